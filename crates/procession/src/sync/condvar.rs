//! Waiting for what a mutex protects.
//!
//! ```text
//!   0
//! ┌────────┐
//! │ state  │
//! └────────┘
//! ```

use super::LockError;
use super::error::failed;
use super::wait::{TimedWaitResult, WaitGuard, WaitOutcome, WaitResult, alone};
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
use crate::{Deadline, Result};
use procession_core::Failure;
use procession_core::condvar::{Ended, RawCondvar};
use procession_sys::memory::Word;
use std::sync::Arc;
use std::time::Duration;

const CLASS: Class = Class {
    kind: Kind::Condvar,
    fingerprint: Fingerprint::NONE,
    abandon: |_, _| {},
    lends: |_, _| false,
};

/// Lets those who hold a [`Mutex`](super::Mutex) or a
/// [`ReentrantMutex`](super::ReentrantMutex) wait until somebody else has changed
/// what it protects.
///
/// # Blocking
/// A wait ends when somebody notifies, when its time is over, and when a process
/// died that uses shared objects with this one; not by itself. The forms with a
/// time say [which](WaitOutcome) it was. [`notify_one`](Condvar::notify_one) ends
/// the wait of one who sleeps; if nobody sleeps yet, of all who are just on their
/// way to. So a burst of notifications can end more waits than it has notifications:
/// those that find too few asleep end the waits of all who are about to sleep. Look
/// at the condition in a loop, or let [`wait_while`](Condvar::wait_while) do it.
///
/// Change what the condition is about with the lock in hand; to notify, it is not
/// needed. A lock that the thread has several times
/// ([`ReentrantMutex`](super::ReentrantMutex)) is given back entirely while it
/// waits, and is had as many times after that.
///
/// # If a process dies
/// All waits end. So a sleeper that is killed takes nothing with it: a wake-up
/// that it was given and did not act upon becomes one for all the others, who look
/// again. So does one that was owed by a process killed between its change and its
/// notification.
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
    state: Word,
}

impl Condvar {
    /// Makes one without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace), [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new() -> Result<Condvar> {
        Condvar::of(Object::anonymous(CLASS, Extent::fixed(8), |_| Ok(()))?)
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`new`](Condvar::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str) -> Result<Condvar> {
        Condvar::of(Object::create_named(
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
        Condvar::of(Object::create_named(
            name,
            CLASS,
            Extent::fixed(8),
            true,
            |_| Ok(()),
        )?)
    }

    fn of(object: Arc<Object>) -> Result<Condvar> {
        super::check_body(&object, 8)?;
        Ok(Condvar {
            state: object.word(0)?,
            object,
        })
    }

    /// One that another process made: the death of this one is to end waits at it,
    /// though it may not have notified anybody yet.
    fn from_object(object: Arc<Object>) -> Result<Condvar> {
        // Who cannot join says so when it waits.
        let _ = object.caller(Deadline::NOW);
        Condvar::of(object)
    }

    fn object(&self) -> &Object {
        &self.object
    }

    fn raw(&self) -> RawCondvar<'_> {
        RawCondvar(&self.state)
    }

    /// Gives the lock back, all levels of it, sleeps until notified or until some
    /// process died, and takes the lock again.
    ///
    /// # Errors
    /// As locking the mutex.
    pub fn wait<G: WaitGuard>(&self, guard: G) -> WaitResult<G> {
        let (guard, _) = self.wait_deadline(guard, Deadline::NEVER).map_err(alone)?;
        Ok(guard)
    }

    /// [`wait`](Condvar::wait), sleeping so long at most; says why it ended.
    ///
    /// # Errors
    /// As [`wait_deadline`](Condvar::wait_deadline).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    /// let (work, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// let held = work.lock().unwrap();
    /// let (held, outcome) = changed.wait_timeout(held, Duration::from_millis(1)).unwrap();
    /// assert!(outcome.timed_out());
    /// # drop(held);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_timeout<G: WaitGuard>(&self, guard: G, timeout: Duration) -> TimedWaitResult<G> {
        self.wait_deadline(guard, Deadline::after(timeout))
    }

    /// [`wait`](Condvar::wait), sleeping until then at most; says why it ended. The
    /// lock is taken again however long that takes.
    ///
    /// # Errors
    /// As locking the mutex.
    pub fn wait_deadline<G: WaitGuard>(&self, guard: G, deadline: Deadline) -> TimedWaitResult<G> {
        let caller = self.object.caller(deadline)?;
        let mut outcome = WaitOutcome::TimedOut;
        // Begun with the lock in hand: no notification since then is missed.
        let begun = self.raw().begin(&caller);
        let guard = guard.let_go_while(|| {
            outcome = match self.raw().wait(begun, &caller) {
                Ok(Ended::Notified) => WaitOutcome::Notified,
                Ok(Ended::SomebodyDied) => WaitOutcome::SomebodyDied,
                Err(_) => WaitOutcome::TimedOut,
            };
        });
        match guard {
            Ok(guard) => Ok((guard, outcome)),
            Err(LockError::Poisoned(guard)) => Err(LockError::Poisoned((guard, outcome))),
            Err(LockError::OwnerDied(repair)) => Err(LockError::OwnerDied((repair, outcome))),
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }

    /// Waits as long as the condition holds; it is asked first.
    ///
    /// # Errors
    /// As locking the mutex.
    pub fn wait_while<G: WaitGuard>(
        &self,
        guard: G,
        condition: impl FnMut(&mut G::Seen) -> bool,
    ) -> WaitResult<G> {
        self.wait_while_deadline(guard, Deadline::NEVER, condition)
    }

    /// Waits as long as the condition holds, and so long at most.
    ///
    /// # Errors
    /// As [`wait_while_deadline`](Condvar::wait_while_deadline).
    pub fn wait_while_timeout<G: WaitGuard>(
        &self,
        guard: G,
        timeout: Duration,
        condition: impl FnMut(&mut G::Seen) -> bool,
    ) -> WaitResult<G> {
        self.wait_while_deadline(guard, Deadline::after(timeout), condition)
    }

    /// Waits as long as the condition holds, and until then at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), without the lock, if the condition
    /// still holds then; and as locking the mutex.
    pub fn wait_while_deadline<G: WaitGuard>(
        &self,
        mut guard: G,
        deadline: Deadline,
        mut condition: impl FnMut(&mut G::Seen) -> bool,
    ) -> WaitResult<G> {
        while condition(guard.seen()) {
            if deadline.has_passed() {
                let label = self.object.label();
                let error = failed(Failure::TimedOut, "waiting for condition", label, deadline);
                return Err(LockError::Failed(error));
            }
            (guard, _) = self.wait_deadline(guard, deadline).map_err(alone)?;
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
            self.raw().notify(count, &caller);
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}

shared_object!(Condvar, CLASS);
