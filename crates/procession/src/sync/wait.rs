//! The guards that a condition variable accepts, and the results of its waits.

use super::mutex::{self, MutexGuard};
use super::reentrant::ReentrantMutexGuard;
use super::{LockError, RecoveryGuard};
use crate::Deadline;
use crate::error::Named;
use crate::shm::ShmSafe;

/// A guard that a [`Condvar`](super::Condvar) can release and take again.
///
/// Only [`MutexGuard`] and [`ReentrantMutexGuard`] implement it.
pub trait WaitGuard: private::Sealed + Named + Sized {
    /// The guard that repairs the value after the death of a holder.
    type Repair: Named;

    /// The argument of a condition: the value, or the guard where the thread may have
    /// other guards of the value.
    type Seen: ?Sized;

    /// Releases the lock, calls `wait`, and takes the lock again.
    #[doc(hidden)]
    fn let_go_while(self, wait: impl FnOnce()) -> WaitResult<Self>;

    /// Returns the argument of a condition.
    #[doc(hidden)]
    fn seen(&mut self) -> &mut Self::Seen;
}

mod private {
    pub trait Sealed {}
}

/// The result of [`Condvar::wait`](super::Condvar::wait), as of locking.
pub type WaitResult<G> = Result<G, LockError<G, <G as WaitGuard>::Repair>>;

/// The result of [`Condvar::wait_timeout`](super::Condvar::wait_timeout): the guard, and
/// why the wait ended.
pub type TimedWaitResult<G> =
    Result<(G, WaitOutcome), LockError<(G, WaitOutcome), (<G as WaitGuard>::Repair, WaitOutcome)>>;

/// Why a wait at a [`Condvar`](super::Condvar) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// A thread notified.
    Notified,
    /// A process died that may have been about to notify, or may have received a
    /// notification.
    SomebodyDied,
    /// The time limit passed.
    TimedOut,
}

impl WaitOutcome {
    /// Returns `true` if the time limit passed before anything else happened.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    /// let (mutex, changed) = (Mutex::new(0)?, Condvar::new()?);
    /// let (_guard, outcome) = changed.wait_timeout(mutex.lock()?, Duration::from_millis(1))?;
    /// assert!(outcome.timed_out());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn timed_out(self) -> bool {
        self == WaitOutcome::TimedOut
    }
}

impl<G: Named> Named for (G, WaitOutcome) {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.0.kind_and_name()
    }
}

/// Forgets why the wait ended.
pub(super) fn alone<G, R>(error: LockError<(G, WaitOutcome), (R, WaitOutcome)>) -> LockError<G, R> {
    match error {
        LockError::OwnerDied((repair, _)) => LockError::OwnerDied(repair),
        LockError::Poisoned((guard, _)) => LockError::Poisoned(guard),
        LockError::Failed(error) => LockError::Failed(error),
    }
}

impl<T: ShmSafe> private::Sealed for MutexGuard<'_, T> {}

impl<'a, T: ShmSafe> WaitGuard for MutexGuard<'a, T> {
    type Repair = RecoveryGuard<'a, T>;
    type Seen = T;

    fn let_go_while(self, wait: impl FnOnce()) -> WaitResult<Self> {
        let locked = self.locked();
        drop(self);
        wait();
        mutex::from_locked(locked.lock(Deadline::NEVER, "locking mutex"))
    }

    fn seen(&mut self) -> &mut T {
        self
    }
}

impl<T: ShmSafe> private::Sealed for ReentrantMutexGuard<'_, T> {}

impl<T: ShmSafe> WaitGuard for ReentrantMutexGuard<'_, T> {
    type Repair = Self;
    type Seen = Self;

    fn let_go_while(self, wait: impl FnOnce()) -> WaitResult<Self> {
        let let_go = self.let_go();
        wait();
        let_go.lock_again()
    }

    fn seen(&mut self) -> &mut Self {
        self
    }
}
