//! A mutex that its thread can lock several times.
//!
//! # Safety
//! As in `locked.rs`: references to the value exist only in guards of the thread
//! that holds the lock, and are shared ones.
#![allow(unsafe_code)]

use super::LockError;
use super::error::failed;
use super::locked::{self, Locked};
use crate::error::Named;
use crate::registry::thread;
use crate::shm::{Exclusive, Kind, Object, ShmSafe, shared_object};
use crate::{Deadline, Result};
use procession_core::mutex::{INCONSISTENT, POISONED};
use procession_core::{Failure, Owner, Platform};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The result of [`ReentrantMutex::lock`].
type Outcome<'a, T> =
    std::result::Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

/// A mutex that the thread which holds it can lock again (`RLock` in Python).
///
/// A thread can have several guards, so they give shared references only. Use
/// [`Cell`](std::cell::Cell)s or atomics in the value for parts that change.
///
/// # Blocking
/// [`lock`](ReentrantMutex::lock) blocks while a thread other than the caller holds the
/// lock. Otherwise as with [`Mutex`](super::Mutex#blocking).
///
/// # If a process dies
/// `lock` returns [`LockError::OwnerDied`] with a guard, each time, until a holder calls
/// [`mark_consistent`](ReentrantMutexGuard::mark_consistent). Otherwise as with
/// [`Mutex`](super::Mutex#if-a-process-dies).
///
/// # Across fork and exec
/// As with [`Mutex`](super::Mutex#across-fork-and-exec).
///
/// # Cost
/// As [`Mutex`](super::Mutex#cost); each further guard of a thread costs one load and
/// one store.
///
/// # Examples
/// ```
/// use procession::sync::ReentrantMutex;
/// use std::cell::Cell;
/// let depth = ReentrantMutex::new(Cell::new(0_u32))?;
/// fn down(depth: &ReentrantMutex<Cell<u32>>, left: u32) {
///     let held = depth.lock().unwrap();
///     held.set(held.get() + 1);
///     if left > 0 {
///         down(depth, left - 1);
///     }
/// }
/// down(&depth, 4);
/// assert_eq!(depth.lock().unwrap().get(), 5);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct ReentrantMutex<T: ShmSafe> {
    locked: Locked<T>,
}

impl<T: ShmSafe> ReentrantMutex<T> {
    /// Creates a mutex without a name, in shared memory of its own.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// use std::cell::Cell;
    /// let mutex = ReentrantMutex::new(Cell::new(0_u32))?;
    /// let (once, twice) = (mutex.lock().unwrap(), mutex.lock().unwrap());
    /// once.set(twice.get() + 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new(value: T) -> Result<ReentrantMutex<T>> {
        let locked = Locked::anonymous(Kind::ReentrantMutex, std::iter::once(value))?;
        Ok(ReentrantMutex { locked })
    }

    /// Creates a mutex with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](ReentrantMutex::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if an object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// # let name = &format!("example-reentrant-{}", std::process::id());
    /// let mutex = ReentrantMutex::create(name, 5_u32)?;
    /// assert_eq!(*ReentrantMutex::<u32>::open(name)?.lock().unwrap(), 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str, value: T) -> Result<ReentrantMutex<T>> {
        let locked = Locked::named(Kind::ReentrantMutex, name, false, std::iter::once(value))?;
        Ok(ReentrantMutex { locked })
    }

    /// Opens the mutex with this name; creates it with `value` if there is none.
    ///
    /// # Errors
    /// As [`create`](ReentrantMutex::create) and
    /// [`open`](ReentrantMutex::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// # let name = &format!("example-reentrant-or-{}", std::process::id());
    /// let first = ReentrantMutex::open_or_create(name, 1_u32)?;
    /// let second = ReentrantMutex::open_or_create(name, 2_u32)?;
    /// assert_eq!(*second.lock().unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, value: T) -> Result<ReentrantMutex<T>> {
        let locked = Locked::named(Kind::ReentrantMutex, name, true, std::iter::once(value))?;
        Ok(ReentrantMutex { locked })
    }

    fn from_object(object: Arc<Object>) -> Result<ReentrantMutex<T>> {
        let locked = Locked::of(object)?;
        Ok(ReentrantMutex { locked })
    }

    fn object(&self) -> &Object {
        &self.locked.object
    }

    /// Locks the mutex, blocking while another thread holds it.
    ///
    /// # Errors
    /// See [`LockError`].
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// let outer = mutex.lock().unwrap();
    /// let inner = mutex.lock().unwrap(); // blocks in no way
    /// assert_eq!(*outer, *inner);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Locks the mutex if no other thread holds it.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock).
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::ReentrantMutex};
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// let guard = mutex.lock().unwrap();
    /// assert!(mutex.try_lock().is_ok());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(guard);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Locks the mutex, blocking at most `timeout`.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// use std::time::Duration;
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// assert_eq!(*mutex.lock_timeout(Duration::from_secs(1)).unwrap(), 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Locks the mutex, blocking at most until `deadline`.
    ///
    /// # Errors
    /// As [`lock_timeout`](ReentrantMutex::lock_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::ReentrantMutex};
    /// use std::time::Duration;
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// let deadline = Deadline::after(Duration::from_secs(1));
    /// assert_eq!(*mutex.lock_deadline(deadline).unwrap(), 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lock_deadline(&self, deadline: Deadline) -> Outcome<'_, T> {
        lock(&self.locked, 1, deadline)
    }

    /// Clears the poison that the panic of a holder left.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::ReentrantMutex;
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// let panicked = std::panic::catch_unwind(|| {
    ///     let _guard = mutex.lock().unwrap();
    ///     panic!("in the middle of a change");
    /// });
    /// assert!(panicked.is_err() && mutex.lock().is_err());
    /// mutex.clear_poison();
    /// assert!(mutex.lock().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear_poison(&self) {
        self.locked.raw().clear_poison();
    }
}

/// Takes the lock so many times more.
fn lock<T: ShmSafe>(locked: &Locked<T>, times: u64, deadline: Deadline) -> Outcome<'_, T> {
    let operation = "locking reentrant mutex";
    let caller = locked.object.caller(deadline)?;
    let depth = locked.extra();
    let owner = if locked.raw().owner() == Some(caller.me()) && thread::number() != 0 {
        // Nobody but this thread changes the depth while it has the lock.
        let before = depth.load(Ordering::Relaxed);
        if before >= u64::from(u32::MAX) {
            let label = locked.object.label();
            return Err(failed(Failure::Full, operation, label, deadline).into());
        }
        depth.store(before + times, Ordering::Relaxed);
        caller.me()
    } else {
        let (owner, _) = locked.acquire(deadline, operation)?;
        // A holder that died may have left any depth.
        depth.store(times, Ordering::Relaxed);
        owner
    };
    let guard = ReentrantMutexGuard {
        // SAFETY: the lock is held until the last of the thread's guards is
        // dropped, and they give shared references only.
        value: unsafe { locked.values() },
        locked,
        owner,
        panicking: std::thread::panicking(),
        stays_with_its_thread: PhantomData,
    };
    match locked.raw().word() {
        word if word & INCONSISTENT != 0 => Err(LockError::OwnerDied(guard)),
        word if word & POISONED != 0 => Err(LockError::Poisoned(guard)),
        _ => Ok(guard),
    }
}

/// A lock that its thread has given back for a while, with the number of guards
/// that it has of it.
pub(super) struct LetGo<'a, T: ShmSafe> {
    locked: &'a Locked<T>,
    guards: u64,
}

impl<'a, T: ShmSafe> LetGo<'a, T> {
    /// Takes the lock as many times as before.
    pub(super) fn lock_again(self) -> Outcome<'a, T> {
        lock(self.locked, self.guards, Deadline::NEVER)
    }
}

impl<T: ShmSafe> Clone for ReentrantMutex<T> {
    /// Returns another handle of the same mutex.
    fn clone(&self) -> ReentrantMutex<T> {
        let locked = self.locked.clone();
        ReentrantMutex { locked }
    }
}

/// The right to use the value of a [`ReentrantMutex`]. Dropping the last guard of the
/// thread unlocks the mutex.
#[must_use = "if the guard is not kept, the mutex unlocks immediately"]
pub struct ReentrantMutexGuard<'a, T: ShmSafe> {
    value: Exclusive<'a, T>,
    locked: &'a Locked<T>,
    owner: Owner,
    panicking: bool,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl<T: ShmSafe> Named for ReentrantMutexGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.locked.object.kind_and_name()
    }
}

impl<'a, T: ShmSafe> ReentrantMutexGuard<'a, T> {
    /// Gives the lock back, however many guards the thread has of it: none of them
    /// is used before it is taken again, because the thread waits.
    pub(super) fn let_go(self) -> LetGo<'a, T> {
        let locked = self.locked;
        let guards = match locked.object.me() == Some(self.owner) {
            true => locked.extra().swap(1, Ordering::Relaxed),
            // A copy, in a process that was forked meanwhile.
            false => 1,
        };
        LetGo {
            locked,
            guards: guards.clamp(1, u32::MAX.into()),
        }
    }

    /// Declares the value consistent after the death of a holder: from now on `lock`
    /// returns no [`LockError::OwnerDied`].
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::{LockError, ReentrantMutex}};
    /// let mutex = ReentrantMutex::new(5_u32)?;
    /// if let process::Fork::Child = process::fork()? {
    ///     let _guard = mutex.lock().unwrap();
    ///     std::process::abort();
    /// }
    /// loop {
    ///     match mutex.lock() {
    ///         Err(LockError::OwnerDied(guard)) => break guard.mark_consistent(),
    ///         // The child has not come so far.
    ///         other => drop(other),
    ///     }
    /// }
    /// assert!(mutex.lock().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn mark_consistent(&self) {
        self.locked.raw().mark_consistent();
    }
}

impl<T: ShmSafe> std::ops::Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value.get()[0]
    }
}

impl<T: ShmSafe> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let holder = self.locked.object.holder();
        if holder.is_none_or(|caller| caller.me() != self.owner) {
            // A copy, in a process that was forked meanwhile.
            return;
        }
        if self.locked.raw().owner() != Some(self.owner) {
            // It was let go for a wait, and could not be had again.
            return;
        }
        let depth = self.locked.extra();
        let before = depth.load(Ordering::Relaxed);
        depth.store(before.saturating_sub(1), Ordering::Relaxed);
        if before > 1 {
            return;
        }
        let panicked = std::thread::panicking() && !self.panicking;
        self.locked.release(self.owner, panicked);
    }
}

shared_object!(ReentrantMutex<T: ShmSafe>, locked::class::<T>(Kind::ReentrantMutex));

impl<T: ShmSafe + std::fmt::Debug> std::fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe> std::fmt::Debug for ReentrantMutex<T> {
    /// Says which it is, and not what it holds: a look would take the lock from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReentrantMutex")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
