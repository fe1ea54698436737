//! A place that this process has, and the thread for whose end the kernel marks it.

use procession_sys::presence::Presence;
use procession_sys::robust::RobustList;
use std::sync::Arc;

/// A thread with a list of places that the kernel marks when the process ends.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    pub(super) list: Arc<RobustList>,
    pub(super) thread_id: u32,
}

/// A place that this process has, and what goes with it.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) place: usize,
    pub(super) generation: u32,
    pub(super) marker: Marker,
    pub(super) presence: Option<Presence>,
}
