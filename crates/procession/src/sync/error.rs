//! Why a lock could not be had, or not as it should be.

use crate::{Deadline, Error, ErrorKind};
use procession_core::Failure;
use std::fmt;

/// Why a lock could not be had, or not as it should be: `G` is the guard, for
/// the cases in which the caller has it all the same, and `R` the one for
/// repairs.
pub enum LockError<G, R = G> {
    /// The caller has the lock, which was held by somebody who died: what it
    /// protects may be half changed.
    OwnerDied(R),
    /// The caller has the lock; somebody panicked while holding it.
    Poisoned(G),
    /// The caller does not have it: the deadline passed, it holds it already,
    /// nobody has repaired what a dead holder left, or the system failed.
    Failed(Error),
}

impl<G, R> LockError<G, R> {
    /// The kind of error that it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            LockError::OwnerDied(_) => ErrorKind::OwnerDead,
            LockError::Poisoned(_) => ErrorKind::Poisoned,
            LockError::Failed(error) => error.kind(),
        }
    }
}

impl<G, R> fmt::Debug for LockError<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            LockError::Poisoned(_) => f.write_str("Poisoned(..)"),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<G, R> fmt::Display for LockError<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(_) => f.write_str("locking: a process died while holding it"),
            LockError::Poisoned(_) => f.write_str("locking: somebody panicked while holding it"),
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G, R> std::error::Error for LockError<G, R> {}

impl<G, R> From<Error> for LockError<G, R> {
    fn from(error: Error) -> LockError<G, R> {
        LockError::Failed(error)
    }
}

/// Forgets the guard, which gives the lock back: where it was to be repaired,
/// nobody can take it any more.
impl<G, R> From<LockError<G, R>> for Error {
    fn from(error: LockError<G, R>) -> Error {
        match error {
            LockError::Failed(error) => error,
            other => Error::new(other.kind(), "locking", ""),
        }
    }
}

/// What an algorithm could not do, in words.
#[cold]
pub(crate) fn failed(
    failure: Failure,
    operation: &'static str,
    object: &str,
    deadline: Deadline,
) -> Error {
    let (kind, hint) = match failure {
        Failure::TimedOut => (deadline.error_kind(), None),
        Failure::NotRecoverable => (
            ErrorKind::NotRecoverable,
            Some("make what it protects anew, and call `reset`"),
        ),
        Failure::WouldDeadlock => (ErrorKind::Deadlock, None),
        Failure::Full => (ErrorKind::LimitReached, None),
        Failure::Broken => (
            ErrorKind::Broken,
            Some("call `reset` when as many parties as it needs are there again"),
        ),
        Failure::Corrupt => (ErrorKind::Corrupt, None),
    };
    let error = Error::new(kind, operation, object);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
