//! What a condition variable waits with, and how waits end.

use super::locked;
use super::mutex::MutexGuard;
use super::reentrant::ReentrantMutexGuard;
use super::{LockError, RecoveryGuard};
use crate::Deadline;
use crate::shm::ShmSafe;

/// A guard that a [`Condvar`](super::Condvar) can give back and take again.
///
/// It is implemented for [`MutexGuard`] and [`ReentrantMutexGuard`], and by nobody
/// else.
pub trait WaitGuard: private::Sealed + Sized {
    /// The guard for repairs, after the death of a holder.
    type Repair;

    /// What a condition is asked about: the value, or, where there may be other
    /// guards of it, the guard.
    type Seen: ?Sized;

    /// Gives the lock back, does something, and takes the lock again.
    #[doc(hidden)]
    fn let_go_while(self, wait: impl FnOnce()) -> WaitResult<Self>;

    /// What a condition is asked about.
    #[doc(hidden)]
    fn seen(&mut self) -> &mut Self::Seen;
}

mod private {
    pub trait Sealed {}
}

/// What [`Condvar::wait`](super::Condvar::wait) gives: as locking does.
pub type WaitResult<G> = Result<G, LockError<G, <G as WaitGuard>::Repair>>;

/// What [`Condvar::wait_timeout`](super::Condvar::wait_timeout) gives: the guard,
/// and why the wait ended.
pub type TimedWaitResult<G> =
    Result<(G, WaitOutcome), LockError<(G, WaitOutcome), (<G as WaitGuard>::Repair, WaitOutcome)>>;

/// Why a wait at a [`Condvar`](super::Condvar) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// Somebody notified.
    Notified,
    /// A process died, which perhaps was about to notify, or had been notified.
    SomebodyDied,
    /// Its time was over.
    TimedOut,
}

impl WaitOutcome {
    /// Whether its time was over, before anything else happened.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self == WaitOutcome::TimedOut
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
        locked::of_mutex(locked.lock(Deadline::NEVER, "locking mutex"))
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
