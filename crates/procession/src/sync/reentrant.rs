//! One thread at a time, as often as it likes.
//!
//! # Safety
//! As in `locked.rs`: references to the value exist only in guards of the thread
//! that holds the lock, and are shared ones.
#![allow(unsafe_code)]

use super::LockError;
use super::error::failed;
use super::locked::{self, Locked};
use crate::registry::thread;
use crate::shm::{Exclusive, Kind, Object, ShmSafe, shared_object};
use crate::{Deadline, Result};
use procession_core::mutex::{INCONSISTENT, POISONED};
use procession_core::{Failure, Owner, Platform};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What [`ReentrantMutex::lock`] gives.
type Outcome<'a, T> =
    std::result::Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

/// A value that one thread of one process uses at a time, and which that thread
/// may lock again while it holds it: Python's `RLock`.
///
/// Because the thread may have several guards, they give shared references
/// only; put [`Cell`](std::cell::Cell)s or atomics inside for what changes.
///
/// # If a process dies
/// The next one gets [`LockError::OwnerDied`] with a guard, at every lock,
/// until somebody calls
/// [`mark_consistent`](ReentrantMutexGuard::mark_consistent). Otherwise as with
/// [`Mutex`](super::Mutex).
///
/// # Cost
/// As [`Mutex`](super::Mutex); one atomic operation for each further guard.
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
    /// Makes one without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new(value: T) -> Result<ReentrantMutex<T>> {
        let locked = Locked::anonymous(Kind::ReentrantMutex, std::iter::once(value))?;
        Ok(ReentrantMutex { locked })
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`new`](ReentrantMutex::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str, value: T) -> Result<ReentrantMutex<T>> {
        let locked = Locked::named(Kind::ReentrantMutex, name, false, std::iter::once(value))?;
        Ok(ReentrantMutex { locked })
    }

    /// Opens the one of this name, or makes it with this value.
    ///
    /// # Errors
    /// As [`create`](ReentrantMutex::create) and
    /// [`open`](ReentrantMutex::open).
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

    /// Takes the lock, waiting for other threads.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Takes the lock if no other thread has it.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock).
    pub fn try_lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Takes the lock, waiting so long at most.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn lock_timeout(&self, timeout: Duration) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Takes the lock, waiting until then at most.
    ///
    /// # Errors
    /// As [`lock_timeout`](ReentrantMutex::lock_timeout).
    pub fn lock_deadline(&self, deadline: Deadline) -> Outcome<'_, T> {
        lock(&self.locked, 1, deadline)
    }

    /// Forgets that somebody panicked while holding it.
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
    /// Another handle of the same mutex.
    fn clone(&self) -> ReentrantMutex<T> {
        let locked = self.locked.clone();
        ReentrantMutex { locked }
    }
}

/// Holds a [`ReentrantMutex`]; the lock is given back when the thread's last
/// guard is dropped.
#[must_use = "the lock is given back at once"]
pub struct ReentrantMutexGuard<'a, T: ShmSafe> {
    value: Exclusive<'a, T>,
    locked: &'a Locked<T>,
    owner: Owner,
    panicking: bool,
    stays_with_its_thread: PhantomData<*const ()>,
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

    /// Says that the value is as it should be, after the death of a holder.
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
