//! A lock that protects a value shared by several processes.

use super::LockError;
use super::locked::{self, Locked, LockedGuard, Orphan};
use crate::error::Named;
use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::{Deadline, Result};
use std::sync::Arc;
use std::time::Duration;

/// The result of [`Mutex::lock`].
pub type LockResult<'a, T> =
    std::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>, RecoveryGuard<'a, T>>>;

/// A mutual exclusion lock that protects a value shared by several processes.
///
/// At most one thread of one process holds the lock at a time.
///
/// # Units and limits
/// The value is [`ShmSafe`]. A thread may hold any number of locks.
///
/// # Blocking
/// [`lock`](Mutex::lock) blocks while another thread holds the lock. The lock is not
/// fair: a thread that arrives when the lock is released can take it before the threads
/// that sleep. A thread that locks a mutex it already holds gets
/// [`Deadlock`](crate::ErrorKind::Deadlock).
///
/// A leaked guard (`mem::forget`, `Box::leak`) keeps the lock locked, even after its
/// thread has ended, because references into the value may still exist. The lock is
/// released when the process ends (this counts as the death of the holder) or when the
/// process drops its last handle of the mutex. Threads of the same process that wait
/// for it without a limit get [`Deadlock`](crate::ErrorKind::Deadlock) once the thread of
/// the guard has ended. A guard in a thread-local is dropped with its thread.
///
/// # If a process dies
/// If the holder dies, the next `lock` returns [`LockError::OwnerDied`] with a
/// [`RecoveryGuard`]. The value is as the dead process left it, possibly in the middle
/// of a change. The caller checks and repairs the value and calls
/// [`repaired`](RecoveryGuard::repaired), which returns an ordinary guard. If the caller
/// drops the recovery guard instead, every later `lock` returns
/// [`NotRecoverable`](crate::ErrorKind::NotRecoverable) until [`reset`](Mutex::reset).
/// The death of a process that waits has no effect on others. A holder that is stopped
/// (`SIGSTOP`) keeps the lock.
///
/// If the holder panics, the lock is *poisoned*: `lock` returns
/// [`LockError::Poisoned`] with the guard until [`clear_poison`](Mutex::clear_poison).
///
/// # Across fork and exec
/// A forked child can use the mutex and holds no lock.
/// [`fork`](crate::process::fork) returns an error while the process holds a lock,
/// because both processes would have the guard. All handles of one mutex in a process,
/// also those that arrive in messages, arguments and results, count as one: the locks
/// that the process holds end with the last of them.
///
/// Executing another program ends the locks that the process holds, as its death does.
///
/// # Cost
/// Locking and unlocking without contention: one atomic operation each and no system
/// call. Sleeping and waking: one system call each.
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
/// pthread_mutexattr_setrobust(3) describes the same contract for threads of libc;
/// `docs/layouts.md`, "Mutex"; `procession_core::mutex`
pub struct Mutex<T: ShmSafe> {
    locked: Locked<T>,
}

impl<T: ShmSafe> Mutex<T> {
    /// Creates a mutex without a name, in shared memory of its own.
    ///
    /// Other processes get it by fork, as an argument, or in a message.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// let mutex = Mutex::new(0_u64)?;
    /// *mutex.lock().unwrap() += 1;
    /// assert_eq!(*mutex.lock().unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new(value: T) -> Result<Mutex<T>> {
        let locked = Locked::anonymous(Kind::Mutex, std::iter::once(value))?;
        Ok(Mutex { locked })
    }

    /// Creates a mutex with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](Mutex::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if
    /// an object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// # let name = &format!("example-mutex-{}", std::process::id());
    /// let mutex = Mutex::create(name, 7_u64)?;
    /// let same = Mutex::<u64>::open(name)?;
    /// assert_eq!(*same.lock().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str, value: T) -> Result<Mutex<T>> {
        Mutex::named(name, value, false)
    }

    /// Opens the mutex with this name; creates it with `value` if there is none.
    ///
    /// # Errors
    /// As [`create`](Mutex::create) and [`open`](Mutex::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// # let name = &format!("example-mutex-or-{}", std::process::id());
    /// let first = Mutex::open_or_create(name, 1_u64)?;
    /// let second = Mutex::open_or_create(name, 2_u64)?;
    /// assert_eq!(*second.lock().unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Locks the mutex, blocking until it is free.
    ///
    /// # Errors
    /// See [`LockError`].
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// let mutex = Mutex::new([0_u32; 2])?;
    /// let mut guard = mutex.lock().unwrap();
    /// guard[1] = 5;
    /// drop(guard); // unlocks
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Locks the mutex if it is free.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock), and [`WouldBlock`](crate::ErrorKind::WouldBlock) if
    /// another thread holds the lock.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::Mutex};
    /// let mutex = Mutex::new(0_u64)?;
    /// let guard = mutex.lock().unwrap();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let refused = mutex.try_lock().unwrap_err();
    ///         assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    ///     });
    /// });
    /// # drop(guard);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn try_lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Locks the mutex, blocking until it is free, at most `timeout`.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock), and [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// use std::time::Duration;
    /// let mutex = Mutex::new(0_u64)?;
    /// let guard = mutex.lock_timeout(Duration::from_secs(1)).unwrap();
    /// # drop(guard);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Locks the mutex, blocking until it is free, at most until `deadline`.
    ///
    /// # Errors
    /// As [`lock_timeout`](Mutex::lock_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::Mutex};
    /// use std::time::Duration;
    /// let deadline = Deadline::after(Duration::from_secs(1));
    /// let (first, second) = (Mutex::new(0_u64)?, Mutex::new(0_u64)?);
    /// // One limit for both.
    /// let one = first.lock_deadline(deadline).unwrap();
    /// let two = second.lock_deadline(deadline).unwrap();
    /// # drop((one, two));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[inline]
    pub fn lock_deadline(&self, deadline: Deadline) -> LockResult<'_, T> {
        from_locked(self.locked.lock(deadline, "locking mutex"))
    }

    /// Returns `true` if a thread of any process holds the lock at this moment, even if
    /// that process is dead.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// let mutex = Mutex::new(0_u64)?;
    /// let guard = mutex.lock().unwrap();
    /// assert!(mutex.is_locked());
    /// drop(guard);
    /// assert!(!mutex.is_locked());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked.raw().owner().is_some()
    }

    /// Returns `true` if a holder panicked and the poison was not cleared since.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// assert!(!Mutex::new(0_u64)?.is_poisoned());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.locked.raw().word() & procession_core::mutex::POISONED != 0
    }

    /// Clears the poison that the panic of a holder left.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Mutex;
    /// let mutex = Mutex::new(0_u64)?;
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// let panicked = std::panic::catch_unwind(|| {
    ///     let _guard = mutex.lock().unwrap();
    ///     panic!("in the middle of a change");
    /// });
    /// assert!(panicked.is_err() && mutex.is_poisoned());
    /// mutex.clear_poison();
    /// assert!(mutex.lock().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear_poison(&self) {
        self.locked.raw().clear_poison();
    }

    /// Makes a lock in the not-recoverable state usable again: the next `lock` returns
    /// [`LockError::OwnerDied`]. Returns `true` if the lock was in that state.
    ///
    /// # Errors
    /// Those of registering this process as a user of the mutex, such as
    /// [`LimitReached`](crate::ErrorKind::LimitReached).
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::{LockError, Mutex}};
    /// let mutex = Mutex::new(0_u64)?;
    /// if let process::Fork::Child = process::fork()? {
    ///     let _guard = mutex.lock().unwrap();
    ///     std::process::abort();
    /// }
    /// loop {
    ///     match mutex.lock() {
    ///         // Dropped without a repair.
    ///         Err(LockError::OwnerDied(_)) => break,
    ///         // The child has not locked it yet.
    ///         other => drop(other),
    ///     }
    /// }
    /// assert!(mutex.lock().is_err() && mutex.reset()?);
    /// assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn reset(&self) -> Result<bool> {
        let caller = self.locked.object.caller(Deadline::NOW)?;
        Ok(self.locked.raw().reset(&caller))
    }
}

/// The right to use the value of a [`Mutex`]. Dropping the guard unlocks the mutex.
#[must_use = "if the guard is not kept, the mutex unlocks immediately"]
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

impl<T: ShmSafe> Named for MutexGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.guard.locked().object.kind_and_name()
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

/// The right to repair the value of a [`Mutex`] whose holder died.
///
/// Dropping it puts the lock into the not-recoverable state, until
/// [`Mutex::reset`]. If this process is killed before it decides, the next `lock` returns
/// [`LockError::OwnerDied`] again.
#[must_use = "dropping it without a repair makes the lock not recoverable"]
pub struct RecoveryGuard<'a, T: ShmSafe> {
    orphan: Orphan<'a, T>,
}

impl<'a, T: ShmSafe> RecoveryGuard<'a, T> {
    pub(super) fn of(orphan: Orphan<'a, T>) -> RecoveryGuard<'a, T> {
        RecoveryGuard { orphan }
    }

    /// Releases the lock without a repair: the next `lock` returns
    /// [`LockError::OwnerDied`] again.
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::{LockError, Mutex}};
    /// let mutex = Mutex::new(0_u64)?;
    /// if let process::Fork::Child = process::fork()? {
    ///     let _guard = mutex.lock().unwrap();
    ///     std::process::abort();
    /// }
    /// loop {
    ///     match mutex.lock() {
    ///         Err(LockError::OwnerDied(left)) => break left.leave(),
    ///         other => drop(other),
    ///     }
    /// }
    /// // Another thread may know better how to repair it.
    /// assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn leave(self) {
        self.orphan.leave();
    }

    /// Declares the value consistent and returns an ordinary guard.
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::{LockError, Mutex}};
    /// let mutex = Mutex::new(7)?;
    /// if let process::Fork::Child = process::fork()? {
    ///     let _guard = mutex.lock().unwrap();
    ///     std::process::abort();
    /// }
    /// let guard = loop {
    ///     match mutex.lock() {
    ///         // Look whether the value is whole, and repair it; then it is a guard as any other.
    ///         Err(LockError::OwnerDied(left)) => break left.repaired(),
    ///         other => drop(other),
    ///     }
    /// };
    /// assert_eq!(*guard, 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn repaired(self) -> MutexGuard<'a, T> {
        MutexGuard::of(self.orphan.repaired())
    }
}

impl<T: ShmSafe> Named for RecoveryGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.orphan.guard().locked().object.kind_and_name()
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
    /// Returns another handle of the same mutex.
    fn clone(&self) -> Mutex<T> {
        let locked = self.locked.clone();
        Mutex { locked }
    }
}

/// Turns guards of [`Locked`] into those of [`Mutex`].
pub(super) fn from_locked<'a, T: ShmSafe>(
    outcome: std::result::Result<LockedGuard<'a, T>, LockError<LockedGuard<'a, T>, Orphan<'a, T>>>,
) -> std::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>, RecoveryGuard<'a, T>>> {
    outcome.map(MutexGuard::of).map_err(|error| match error {
        LockError::OwnerDied(orphan) => LockError::OwnerDied(RecoveryGuard::of(orphan)),
        LockError::Poisoned(guard) => LockError::Poisoned(MutexGuard::of(guard)),
        LockError::Failed(error) => LockError::Failed(error),
    })
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
