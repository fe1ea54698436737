//! What all jobs have in common, for the threads that start them.

use super::arguments::Arguments;
use super::results::Results;
use procession::process::Inherited;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Common {
    pub(super) ungroup: bool,
    pub(super) memory: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) results: Option<Results>,
    /// What the caller gave for them.
    pub(super) inherited: Option<Inherited>,
}

impl Common {
    pub(super) fn new(arguments: &Arguments) -> Common {
        Common {
            ungroup: arguments.ungroup,
            memory: arguments.memory,
            timeout: arguments.timeout,
            results: Results::open(arguments),
            inherited: arguments.inherited.get().cloned(),
        }
    }
}
