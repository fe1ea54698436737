//! An entry of a task table: arguments, and what became of them. Only the table writes it.

use crate::pool::scheduler::chunk::{Arguments, Piece, Policy};
use crate::pool::scheduler::ids::{JobId, RunId, WorkerId};
use std::task::Waker;

/// The owner of a chunk, which gets its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Owner {
    /// A handle: the chunk stays until it has taken the result.
    Handle,
    /// Nobody: the results are thrown away.
    Nobody,
    /// A call for many arguments.
    Run(RunId),
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Place {
    /// In the queue of what is ready to be sent.
    Queued,
    /// With the timers, until it is time for the next attempt.
    Delayed,
    /// It has failed, and `retry_if` is being asked.
    Judged,
    /// In the ledger of this worker.
    Sent(WorkerId),
    /// All results are here.
    Done,
}

/// A function that is called with the result.
pub(in crate::pool) struct Callback(pub(in crate::pool) Box<dyn FnOnce(Piece) + Send>);

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback")
    }
}

/// Which arguments of a run a chunk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Span {
    pub(in crate::pool) first: u64,
    pub(in crate::pool) count: u32,
}

/// Arguments that go to one worker at once.
#[derive(Debug)]
pub(in crate::pool) struct Chunk {
    pub(super) job: JobId,
    pub(super) owner: Owner,
    pub(super) place: Place,
    pub(super) policy: Policy,
    pub(super) arguments: Arguments,
    /// Of the arguments in `arguments`.
    pub(super) span: Span,
    /// How many of them are answered, or were made chunks of their own.
    pub(super) done: u32,
    /// Failed attempts of the first argument that is not done.
    pub(super) attempts: u32,
    /// Workers that died with it before they had begun it.
    pub(super) early_deaths: u32,
    /// Nobody wants further results.
    pub(super) is_cancelled: bool,
    /// For a handle.
    pub(super) result: Option<Piece>,
    pub(super) waker: Option<Waker>,
    pub(super) callback: Option<Callback>,
}

impl Chunk {
    pub(in crate::pool::scheduler) fn job(&self) -> JobId {
        self.job
    }

    pub(in crate::pool::scheduler) fn owner(&self) -> Owner {
        self.owner
    }

    pub(in crate::pool) fn place(&self) -> Place {
        self.place
    }

    pub(in crate::pool::scheduler) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(in crate::pool::scheduler) fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    pub(in crate::pool::scheduler) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(in crate::pool::scheduler) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Returns how many arguments it had when it was queued.
    pub(in crate::pool::scheduler) fn count(&self) -> u32 {
        self.span.count
    }

    /// Returns how many arguments are not done.
    #[inline]
    pub(in crate::pool::scheduler) fn left(&self) -> u32 {
        self.span.count - self.done
    }

    /// Returns the place of the first argument that is not done.
    pub(in crate::pool::scheduler) fn first_left(&self) -> u64 {
        self.span.first + u64::from(self.done)
    }

    /// Returns the same, if it is one of several arguments.
    pub(in crate::pool::scheduler) fn index(&self) -> Option<u64> {
        matches!(self.owner, Owner::Run(_)).then(|| self.first_left())
    }
}
