//! What the workers of a pool are to be like.

use super::scheduler::Limits;
use crate::process::{StartMethod, Task};
use std::ffi::OsString;
use std::time::Duration;

/// What becomes of what workers write to their standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stderr {
    /// The pool passes it on, and keeps the last of it for
    /// [errors](super::TaskError::stderr).
    #[default]
    Tee,
    /// The pool keeps the last of it, and does not pass it on.
    Keep,
    /// It goes where ours goes; errors do not have it.
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
