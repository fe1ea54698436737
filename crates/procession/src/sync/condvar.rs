//! Waiting for what a mutex protects.
//!
//! ```text
//!   0
//! ┌────────┐
//! │ gate   │
//! └────────┘
//! ```

use super::error::failed;
use super::mutex::LockResult;
use super::{LockError, MutexGuard, locked};
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, ShmSafe, shared_object};
use crate::{Deadline, Result};
use procession_core::Failure;
use procession_core::gate::Gate;
use procession_sys::memory::Word;
use std::sync::Arc;
use std::time::Duration;

const CLASS: Class = Class {
    kind: Kind::Condvar,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
};

/// Lets those who hold a [`Mutex`](super::Mutex) wait until somebody else has
/// changed what it protects.
///
/// # Blocking
/// A wait may end for no reason, also because some process died; so look at the
/// condition in a loop, or let [`wait_while`](Condvar::wait_while) do it.
///
/// # If a process dies
/// A sleeper that is killed takes nothing with it: a wake-up that it was given
/// and did not act upon becomes one for all the others, who look again. So does
/// one that was owed by a process killed between its change and its notification.
///
/// # Cost
/// Notifying costs no system call while nobody sleeps.
///
/// # Examples
/// ```
/// use procession::{process, sync::{Condvar, Mutex}, task};
/// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
/// let fill = task!([&slot, &filled] |value: u32| {
///     *slot.lock().unwrap() = value;
///     filled.notify_one();
/// });
/// let mut task = process::spawn_task(&fill, 7)?;
/// let held = filled.wait_while(slot.lock().unwrap(), |value| *value == 0).unwrap();
/// assert_eq!(*held, 7);
/// # drop(held);
/// task.join().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Condvar {
    object: Arc<Object>,
    gate: Word,
}

impl Condvar {
    /// Makes one without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new() -> Result<Condvar> {
        Condvar::from_object(Object::anonymous(CLASS, Extent::fixed(8), |_| Ok(()))?)
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`new`](Condvar::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str) -> Result<Condvar> {
        Condvar::from_object(Object::create_named(
            name,
            CLASS,
            Extent::fixed(8),
            false,
            |_| Ok(()),
        )?)
    }

    /// Opens the one of this name, or makes it.
    ///
    /// # Errors
    /// As [`create`](Condvar::create) and [`open`](Condvar::open).
    pub fn open_or_create(name: &str) -> Result<Condvar> {
        Condvar::from_object(Object::create_named(
            name,
            CLASS,
            Extent::fixed(8),
            true,
            |_| Ok(()),
        )?)
    }

    fn from_object(object: Arc<Object>) -> Result<Condvar> {
        super::check_body(&object, 8)?;
        Ok(Condvar {
            gate: object.word(0)?,
            object,
        })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    fn gate(&self) -> Gate<'_> {
        Gate(&self.gate)
    }

    /// Gives the lock back, sleeps until notified or for no reason, and takes
    /// the lock again.
    ///
    /// # Errors
    /// As [`Mutex::lock`](super::Mutex::lock).
    pub fn wait<'a, T: ShmSafe>(&self, guard: MutexGuard<'a, T>) -> LockResult<'a, T> {
        self.wait_deadline(guard, Deadline::NEVER)
    }

    /// [`wait`](Condvar::wait), sleeping so long at most.
    ///
    /// # Errors
    /// As [`wait_deadline`](Condvar::wait_deadline).
    pub fn wait_timeout<'a, T: ShmSafe>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<'a, T> {
        self.wait_deadline(guard, Deadline::after(timeout))
    }

    /// [`wait`](Condvar::wait), sleeping until then at most. The lock is taken
    /// again however long that takes: look at the deadline and at the condition.
    ///
    /// # Errors
    /// As [`Mutex::lock`](super::Mutex::lock).
    pub fn wait_deadline<'a, T: ShmSafe>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> LockResult<'a, T> {
        let caller = self.object.caller(deadline)?;
        // Read before the lock is given back: a notification since then is not
        // missed.
        let since = self.gate().sequence();
        let locked = guard.locked();
        drop(guard);
        let _ = self.gate().wait_since(since, &caller);
        locked::of_mutex(locked.lock(Deadline::NEVER, "locking mutex"))
    }

    /// Waits as long as the condition holds; it is asked first.
    ///
    /// # Errors
    /// As [`Mutex::lock`](super::Mutex::lock).
    pub fn wait_while<'a, T: ShmSafe>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<'a, T> {
        self.wait_while_deadline(guard, Deadline::NEVER, condition)
    }

    /// Waits as long as the condition holds, and so long at most.
    ///
    /// # Errors
    /// As [`wait_while_deadline`](Condvar::wait_while_deadline).
    pub fn wait_while_timeout<'a, T: ShmSafe>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<'a, T> {
        self.wait_while_deadline(guard, Deadline::after(timeout), condition)
    }

    /// Waits as long as the condition holds, and until then at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), without the lock, if the condition
    /// still holds then; and as [`Mutex::lock`](super::Mutex::lock).
    pub fn wait_while_deadline<'a, T: ShmSafe>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Deadline,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<'a, T> {
        while condition(&mut guard) {
            if deadline.has_passed() {
                let label = self.object.label();
                let error = failed(Failure::TimedOut, "waiting for condition", label, deadline);
                return Err(LockError::Failed(error));
            }
            guard = self.wait_deadline(guard, deadline)?;
        }
        Ok(guard)
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes up to `count` of those who wait.
    pub fn notify(&self, count: u32) {
        // Who cannot join has nobody to wake: joining is for those who wait.
        if let Ok(caller) = self.object.caller(Deadline::NOW) {
            self.gate().signal(count, &caller);
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}

shared_object!(Condvar, CLASS);
