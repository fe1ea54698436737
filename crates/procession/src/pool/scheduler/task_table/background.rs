//! How far a run has come that goes on in the background: all its arguments are known.

use crate::pool::TaskError;
use crate::pool::scheduler::chunk::Piece;
use std::task::Waker;
use std::time::Instant;

/// How far a run in the background has come.
#[derive(Debug)]
pub(super) struct Background {
    pub(super) total: u64,
    /// Arguments that have a result, or have failed.
    pub(super) done: u64,
    /// The first failure: the run has failed with it.
    pub(super) failure: Option<TaskError>,
    pub(super) deadline: Option<Instant>,
    pub(super) waker: Option<Waker>,
}

impl Background {
    pub(super) fn failure(&self) -> Option<&TaskError> {
        self.failure.as_ref()
    }

    pub(super) fn is_over(&self) -> bool {
        self.done >= self.total || self.failure.is_some()
    }

    /// Counts results. Returns the waker of its future if it is over now.
    pub(super) fn count(&mut self, piece: &Piece) -> Option<Waker> {
        match piece {
            Piece::Values { count, .. } => self.done += u64::from(*count),
            Piece::Mailed { .. } => self.done += 1,
            Piece::Failed { error, .. } => {
                self.done += 1;
                self.failure.get_or_insert_with(|| error.clone());
            }
        }
        match self.is_over() {
            true => self.waker.take(),
            false => None,
        }
    }
}
