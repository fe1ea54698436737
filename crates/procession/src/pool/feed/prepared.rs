//! Encoded arguments that go to a worker at once, and how many these are to be.

use crate::pool::TaskError;
use crate::pool::scheduler::Scheduler;
use crate::pool::scheduler::chunk::{Arguments, Policy};
use crate::pool::scheduler::ids::{JobId, RunId};
use crate::pool::scheduler::task_table::Span;

/// How long a chunk is meant to take, in nanoseconds: long against what it costs to
/// send it, short against what it costs to wait for it at the end.
pub(super) const CHUNK_TIME: u64 = 500_000;

/// Most arguments in a chunk, unless the caller says otherwise.
pub(super) const MOST_IN_CHUNK: u32 = 1 << 16;

/// Arguments that were taken and not given out yet.
pub(in crate::pool) struct Prepared {
    pub(super) first: u64,
    pub(super) count: u32,
    /// Encoded, or why not.
    pub(super) what: crate::Result<Arguments>,
}

impl Prepared {
    /// Adds the arguments to a run.
    pub(in crate::pool) fn give_to(
        self,
        state: &mut Scheduler,
        to: (RunId, JobId),
        policy: Policy,
    ) {
        let Prepared { first, count, what } = self;
        let what = what.map_err(|error| TaskError::codec(error).at(Some(first)));
        state.add_to_run(to, policy, Span { first, count }, what);
    }
}
