//! Options of the workers of a pool.

use super::scheduler::Limits;
use crate::process::{StartMethod, Task};
use std::ffi::OsString;
use std::time::Duration;

/// Where the standard error of workers goes; see [`Builder::stderr`](super::Builder::stderr).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stderr {
    /// To the standard error of this process; the pool also keeps the last 16 KiB for
    /// [errors](super::TaskError::stderr).
    #[default]
    Tee,
    /// Nowhere, but the pool keeps the last 16 KiB for [errors](super::TaskError::stderr).
    Keep,
    /// To the standard error of this process, which the workers inherit; errors do not have it.
    Inherit,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) method: StartMethod,
    pub(super) name: String,
    pub(super) initializer: Option<Task<(), ()>>,
    pub(super) finalizer: Option<Task<(), ()>>,
    pub(super) limits: Limits,
    pub(super) niceness: Option<i32>,
    pub(super) cpus: Option<Vec<usize>>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) is_lazy: bool,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) stderr: Stderr,
}

impl Settings {
    pub(super) fn reads_stderr(&self) -> bool {
        self.stderr != Stderr::Inherit
    }

    pub(super) fn passes_on_stderr(&self) -> bool {
        self.stderr == Stderr::Tee
    }
}
