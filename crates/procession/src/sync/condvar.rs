//! Condition variables.
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

/// A condition variable: a thread that holds a [`Mutex`](super::Mutex) or a
/// [`ReentrantMutex`](super::ReentrantMutex) waits until another thread has changed the
/// value that the mutex protects.
///
/// # Blocking
/// A wait ends when a thread notifies, when the time limit passes, or when a process that
/// uses shared objects with this one dies. The forms with a time limit return
/// [which](WaitOutcome) it was. [`notify_one`](Condvar::notify_one) ends the wait of one
/// sleeping thread. If no thread sleeps yet, it ends the waits of all threads that are
/// about to sleep, so a burst of notifications can end more waits than it has
/// notifications. Check the condition in a loop, or call
/// [`wait_while`](Condvar::wait_while), which does.
///
/// Change the value while you hold the lock; notifying does not need the lock. A
/// [`ReentrantMutex`](super::ReentrantMutex) that the thread has locked several times is
/// released completely during the wait, and has the same number of guards afterwards.
///
/// # If a process dies
/// All waits end, and the waiting threads check their conditions again. So no wake-up is
/// lost: neither one that a killed process received and did not act on, nor one that a
/// process owed when it was killed between its change and its notification.
///
/// # Across fork and exec
/// A forked child can use the condition variable; a wait belongs to its thread.
///
/// # Cost
/// Notifying makes no system call while no thread sleeps.
///
/// # References
/// pthread_cond_wait(3p); `procession_core::condvar`
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
    /// Creates a condition variable without a name, in shared memory of its own.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Condvar;
    /// let changed = Condvar::new()?;
    /// changed.notify_all(); // no thread waits
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new() -> Result<Condvar> {
        Condvar::of(Object::anonymous(CLASS, Extent::fixed(8), |_| Ok(()))?)
    }

    /// Creates a condition variable with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](Condvar::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if an object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Condvar;
    /// # let name = &format!("example-condvar-{}", std::process::id());
    /// let changed = Condvar::create(name)?;
    /// let same = Condvar::open(name)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str) -> Result<Condvar> {
        Condvar::of(Object::create_named(
            name,
            CLASS,
            Extent::fixed(8),
            false,
            |_| Ok(()),
        )?)
    }

    /// Opens the condition variable with this name; creates it if there is none.
    ///
    /// # Errors
    /// As [`create`](Condvar::create) and [`open`](Condvar::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Condvar;
    /// # let name = &format!("example-condvar-or-{}", std::process::id());
    /// let changed = Condvar::open_or_create(name)?;
    /// let same = Condvar::open_or_create(name)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Releases the lock, all levels of it, blocks until a notification or a death, and
    /// takes the lock again.
    ///
    /// # Errors
    /// As locking the mutex.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *slot.lock().unwrap() = 7;
    ///         filled.notify_one();
    ///     });
    ///     let mut guard = slot.lock().unwrap();
    ///     while *guard == 0 {
    ///         guard = filled.wait(guard).unwrap();
    ///     }
    ///     assert_eq!(*guard, 7);
    /// });
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait<G: WaitGuard>(&self, guard: G) -> WaitResult<G> {
        let (guard, _) = self.wait_deadline(guard, Deadline::NEVER).map_err(alone)?;
        Ok(guard)
    }

    /// Waits as [`wait`](Condvar::wait), blocking at most `timeout`; returns why the wait
    /// ended.
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

    /// Waits as [`wait`](Condvar::wait), blocking at most until `deadline`; returns why
    /// the wait ended. Taking the lock again has no time limit.
    ///
    /// # Errors
    /// As locking the mutex.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::{Condvar, Mutex}};
    /// use std::time::Duration;
    /// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// let deadline = Deadline::after(Duration::from_millis(1));
    /// let (guard, outcome) = filled.wait_deadline(slot.lock().unwrap(), deadline).unwrap();
    /// assert!(outcome.timed_out() && *guard == 0);
    /// # drop(guard);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Waits while `condition` returns `true`; calls it before the first wait.
    ///
    /// # Errors
    /// As locking the mutex.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *slot.lock().unwrap() = 7;
    ///         filled.notify_one();
    ///     });
    ///     let guard = filled.wait_while(slot.lock().unwrap(), |value| *value == 0);
    ///     assert_eq!(*guard.unwrap(), 7);
    /// });
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_while<G: WaitGuard>(
        &self,
        guard: G,
        condition: impl FnMut(&mut G::Seen) -> bool,
    ) -> WaitResult<G> {
        self.wait_while_deadline(guard, Deadline::NEVER, condition)
    }

    /// Waits while `condition` returns `true`, at most `timeout`.
    ///
    /// # Errors
    /// As [`wait_while_deadline`](Condvar::wait_while_deadline).
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, sync::{Condvar, Mutex}};
    /// use std::time::Duration;
    /// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// let limit = Duration::from_millis(1);
    /// let still_empty = filled.wait_while_timeout(slot.lock().unwrap(), limit, |value| *value == 0);
    /// assert_eq!(still_empty.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_while_timeout<G: WaitGuard>(
        &self,
        guard: G,
        timeout: Duration,
        condition: impl FnMut(&mut G::Seen) -> bool,
    ) -> WaitResult<G> {
        self.wait_while_deadline(guard, Deadline::after(timeout), condition)
    }

    /// Waits while `condition` returns `true`, at most until `deadline`.
    ///
    /// # Errors
    /// As locking the mutex, and [`TimedOut`](crate::ErrorKind::TimedOut) if `condition`
    /// still returns `true` then; the lock is released.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, sync::{Condvar, Mutex}};
    /// use std::time::Duration;
    /// let (slot, filled) = (Mutex::new(7_u32)?, Condvar::new()?);
    /// let deadline = Deadline::after(Duration::from_secs(1));
    /// let guard = filled.wait_while_deadline(slot.lock().unwrap(), deadline, |value| *value == 0);
    /// assert_eq!(*guard.unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Wakes one thread that waits.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// let (slot, filled) = (Mutex::new(0_u32)?, Condvar::new()?);
    /// *slot.lock().unwrap() = 7;
    /// filled.notify_one();
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes up to `count` threads that wait.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// let (slots, filled) = (Mutex::new([0_u32; 3])?, Condvar::new()?);
    /// *slots.lock().unwrap() = [7; 3];
    /// filled.notify(3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn notify(&self, count: u32) {
        // Who cannot join has nobody to wake: joining is for those who wait.
        if let Ok(caller) = self.object.caller(Deadline::NOW) {
            self.raw().notify(count, &caller);
        }
    }

    /// Wakes all threads that wait.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::{Condvar, Mutex};
    /// let (is_over, changed) = (Mutex::new(0_u8)?, Condvar::new()?);
    /// *is_over.lock().unwrap() = 1;
    /// changed.notify_all();
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn notify_all(&self) {
        self.notify(u32::MAX);
    }
}

shared_object!(Condvar, CLASS);
