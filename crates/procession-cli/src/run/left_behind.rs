//! Jobs that are over, though a process has their pipes.

use super::capture::Capture;
use super::job::{Finished, Job};
use std::time::Instant;

/// A job that is over, though a process that it left behind has its pipes.
#[derive(Debug)]
pub(super) struct LeftBehind {
    pub(super) finished: Finished,
    pub(super) capture: Capture,
    pub(super) until: Instant,
}

impl LeftBehind {
    pub(super) fn job(&self) -> &Job {
        &self.finished.job
    }
}
