//! One at a time.

use super::LockError;
use super::locked::{self, Locked, LockedGuard, Orphan};
use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::{Deadline, Result};
use std::sync::Arc;
use std::time::Duration;

/// What [`Mutex::lock`] gives.
pub type LockResult<'a, T> =
    std::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>, RecoveryGuard<'a, T>>>;

/// A value that one thread of one process uses at a time.
///
/// # Units and limits
/// The value is [`ShmSafe`]. A thread may hold any number of locks.
///
/// # Blocking
/// [`lock`](Mutex::lock) waits for the holder, without fairness: who comes at
/// the right moment overtakes those who sleep. A thread that locks a second
/// time gets [`Deadlock`](crate::ErrorKind::Deadlock).
///
/// A guard that is leaked (`mem::forget`, `Box::leak`) leaves the lock locked, also
/// when its thread ends, because references into the value may live on: until the
/// process ends, as by its death, or has dropped its last handle of the mutex. Threads
/// of the same process that wait for it without a limit get
/// [`Deadlock`](crate::ErrorKind::Deadlock) once the thread has ended. A guard that lies in
/// a thread-local is dropped with it.
///
/// # If a process dies
/// If the holder dies, the next one gets [`LockError::OwnerDied`] with a
/// [`RecoveryGuard`]: the value is as the dead left it, possibly in the middle
/// of a change. After a look and a repair, [`repaired`](RecoveryGuard::repaired)
/// makes the lock an ordinary one again. Without that, the lock cannot be had
/// any more ([`NotRecoverable`](crate::ErrorKind::NotRecoverable)) until it is
/// [`reset`](Mutex::reset). The death of somebody who waits disturbs nobody. A
/// holder that is stopped is waited for.
///
/// Poisoning is something else: the holder panicked, and lives. The next one
/// gets [`LockError::Poisoned`] with the guard until
/// [`clear_poison`](Mutex::clear_poison).
///
/// # Across fork and exec
/// A forked child has the mutex, and none of the locks that its parent holds:
/// [`fork`](crate::process::fork) refuses while the process holds one, because the
/// child would have the guard as well. Handles that come back in messages, arguments
/// or results are handles of the same mutex: only the end of the last one in a process
/// matters.
///
/// Executing another program is the end of those that the process holds.
///
/// # Cost
/// Taking a free lock and giving it back are one atomic operation each, and no
/// system call; waiting for long is one each.
///
/// # Examples
/// ```
/// use procession::sync::{LockError, Mutex};
/// use procession::process::{self, Fork};
/// let balances = Mutex::new([100_i64, 0])?;
/// if let Fork::Child = process::fork()? {
///     let mut held = balances.lock().unwrap();
///     held[0] -= 30;
///     std::process::abort(); // the other half is never done
/// }
/// let repaired = loop {
///     match balances.lock() {
///         Err(LockError::OwnerDied(mut left)) => {
///             left[1] = 100 - left[0];
///             break *left.repaired();
///         }
///         // The child has not come so far.
///         other => drop(other),
///     }
/// };
/// assert_eq!(repaired, [70, 30]);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// `docs/layouts.md`, "Mutex"; `procession_core::mutex`
pub struct Mutex<T: ShmSafe> {
    locked: Locked<T>,
}

impl<T: ShmSafe> Mutex<T> {
    /// Makes a mutex without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new(value: T) -> Result<Mutex<T>> {
        let locked = Locked::anonymous(Kind::Mutex, std::iter::once(value))?;
        Ok(Mutex { locked })
    }

    /// Makes a mutex with a name.
    ///
    /// # Errors
    /// As [`new`](Mutex::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str, value: T) -> Result<Mutex<T>> {
        Mutex::named(name, value, false)
    }

    /// Opens the mutex of this name, or makes it with this value.
    ///
    /// # Errors
    /// As [`create`](Mutex::create) and [`open`](Mutex::open).
    pub fn open_or_create(name: &str, value: T) -> Result<Mutex<T>> {
        Mutex::named(name, value, true)
    }

    fn named(name: &str, value: T, open: bool) -> Result<Mutex<T>> {
        let locked = Locked::named(Kind::Mutex, name, open, std::iter::once(value))?;
        Ok(Mutex { locked })
    }

    fn from_object(object: Arc<Object>) -> Result<Mutex<T>> {
        Ok(Mutex::of(Locked::of(object)?))
    }

    pub(crate) fn of(locked: Locked<T>) -> Mutex<T> {
        Mutex { locked }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.locked.object
    }

    /// Takes the lock, waiting for it.
    ///
    /// # Errors
    /// See [`LockError`].
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock), and [`WouldBlock`](crate::ErrorKind::WouldBlock).
    #[inline]
    pub fn try_lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Takes the lock, waiting so long at most.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock), and [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Takes the lock, waiting until then at most.
    ///
    /// # Errors
    /// As [`lock_timeout`](Mutex::lock_timeout).
    #[inline]
    pub fn lock_deadline(&self, deadline: Deadline) -> LockResult<'_, T> {
        locked::of_mutex(self.locked.lock(deadline, "locking mutex"))
    }

    /// Whether somebody has it at this moment, dead or alive.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked.raw().owner().is_some()
    }

    /// Whether somebody panicked while holding it.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.locked.raw().word() & procession_core::mutex::POISONED != 0
    }

    /// Forgets that somebody panicked while holding it.
    pub fn clear_poison(&self) {
        self.locked.raw().clear_poison();
    }

    /// Makes a lock that nobody can have any more one that the next one finds as
    /// after its holder's death. Whether it was such a lock.
    ///
    /// # Errors
    /// The process could not join the users of the mutex.
    pub fn reset(&self) -> Result<bool> {
        let caller = self.locked.object.caller(Deadline::NOW)?;
        Ok(self.locked.raw().reset(&caller))
    }
}

/// Holds a [`Mutex`]; gives it back when dropped.
#[must_use = "the lock is given back at once"]
pub struct MutexGuard<'a, T: ShmSafe> {
    guard: LockedGuard<'a, T>,
}

impl<'a, T: ShmSafe> MutexGuard<'a, T> {
    pub(super) fn of(guard: LockedGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard { guard }
    }

    pub(super) fn locked(&self) -> &'a Locked<T> {
        self.guard.locked()
    }
}

impl<T: ShmSafe> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard.get()[0]
    }
}

impl<T: ShmSafe> std::ops::DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard.get_mut()[0]
    }
}

/// Holds a [`Mutex`] whose holder died, for a repair of the value.
///
/// Dropping it says that there is none: nobody can have the lock any more,
/// until somebody resets it. If its process is killed meanwhile, the next one
/// gets it.
#[must_use = "without a repair the lock is lost"]
pub struct RecoveryGuard<'a, T: ShmSafe> {
    orphan: Orphan<'a, T>,
}

impl<'a, T: ShmSafe> RecoveryGuard<'a, T> {
    pub(super) fn of(orphan: Orphan<'a, T>) -> RecoveryGuard<'a, T> {
        RecoveryGuard { orphan }
    }

    /// Leaves the value as it is, to be found and repaired by the next one.
    pub fn leave(self) {
        self.orphan.leave();
    }

    /// Says that the value is as it should be.
    pub fn repaired(self) -> MutexGuard<'a, T> {
        MutexGuard::of(self.orphan.repaired())
    }
}

impl<T: ShmSafe> std::ops::Deref for RecoveryGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.orphan.guard().get()[0]
    }
}

impl<T: ShmSafe> std::ops::DerefMut for RecoveryGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.orphan.guard_mut().get_mut()[0]
    }
}

impl<T: ShmSafe> Clone for Mutex<T> {
    /// Another handle of the same mutex.
    fn clone(&self) -> Mutex<T> {
        let locked = self.locked.clone();
        Mutex { locked }
    }
}

shared_object!(Mutex<T: ShmSafe>, locked::class::<T>(Kind::Mutex));

impl<T: ShmSafe + std::fmt::Debug> std::fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe + std::fmt::Debug> std::fmt::Debug for RecoveryGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe> std::fmt::Debug for Mutex<T> {
    /// Says which it is, and not what it holds: a look would take the lock from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutex")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
