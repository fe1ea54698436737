//! Condition variables of a manager.

use super::held::found;
use super::manager::{ManagedObject, Manager, sealed};
use super::mutex::MutexGuard;
use super::objects::condition::{Request, Why};
use super::objects::mutex::{Request as LockRequest, Woken};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, shape};
use crate::sync::{LockError, WaitOutcome};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A condition variable of a manager: a thread that holds a [`Mutex`](super::Mutex) of the same manager (not a reentrant one) waits until another thread
/// has changed the value that the mutex protects. As [`sync::Condvar`](crate::sync::Condvar).
///
/// # Blocking
/// The manager releases the lock and begins the wait in one step, and a thread that is notified is in the queue for the lock
/// before the notification returns: it wakes when it has the lock. A wait ends when a thread notifies, when the time limit passes, or when
/// a process dies. The forms with a time limit return [which](WaitOutcome) it was. A notification ends no more waits
/// than it says, those first that have waited longest. Check the condition in a loop nevertheless, or
/// call [`wait_while`](Condvar::wait_while), which does: between the notification and the lock, other threads may
/// have had the lock.
///
/// A notification is for the threads that wait at that moment; it is not kept. If a time limit passes while a thread that
/// was notified queues for the lock, its wait counts as notified.
///
/// # If a process dies
/// A dead process receives no notification. When a process dies that has a proxy of the condition variable, all waits end
/// ([`SomebodyDied`](WaitOutcome::SomebodyDied)), and the waiting threads check their conditions again. So no wake-up is lost:
/// neither one that a killed process received and did not act on, nor one that a process owed when
/// it was killed between its change and its notification. A process that has dropped its proxies ends no wait. See
/// [the module](super).
///
/// # Across fork and exec
/// A forked child can use the condition variable, and connects anew; a wait belongs to its thread. A condition variable travels.
///
/// # Cost
/// Waiting: one call, which comes back with the lock and the value. If the time limit passes, one more call takes the lock.
/// [`wait_while`](Condvar::wait_while) sends the value along, because its condition may have changed it. Notifying: one call, whether
/// or not a thread waits.
///
/// # References
/// pthread_cond_wait(3p)
///
/// # Examples
/// ```
/// use procession::manager::{Condvar, Manager, Mutex};
/// use procession::process;
/// let manager = Manager::start()?;
/// let (slot, filled) = (manager.mutex(&0_u32)?, manager.condvar()?);
/// fn fill((slot, filled): (Mutex<u32>, Condvar)) -> procession::Result<()> {
///     *slot.lock()? = 7;
///     filled.notify_one()
/// }
/// let mut task = process::spawn(fill, (slot.clone(), filled.clone()))?;
/// let held = filled.wait_while(slot.lock()?, |value| *value == 0)?;
/// assert_eq!(*held, 7);
/// # drop(held);
/// task.join()??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Condvar {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

impl Manager {
    /// Creates a condition variable, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let changed = manager.condvar()?;
    /// changed.notify_all()?; // no thread waits
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn condvar(&self) -> Result<Condvar> {
        Ok(Condvar::of(self.create(Condvar::shape()?, Initial::Empty)?))
    }
}

type WaitResult<'a, T> = std::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

type TimedWaitResult<'a, T> = std::result::Result<
    (MutexGuard<'a, T>, WaitOutcome),
    LockError<(MutexGuard<'a, T>, WaitOutcome)>,
>;

const OPERATION: &str = "waiting for condition";

impl Condvar {
    #[expect(clippy::unnecessary_wraps, reason = "as those of types with values")]
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Condvar, "condition variable", &[]))
    }

    fn of(proxy: Proxy) -> Condvar {
        Condvar {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    /// Releases the lock, blocks until a notification or a death, and takes the lock again.
    ///
    /// # Errors
    /// As locking the mutex; [`InvalidInput`](ErrorKind::InvalidInput): the mutex is another manager's, or the guard is a
    /// forked copy. After an error without a guard, the lock is released.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let (slot, filled) = (manager.mutex(&0)?, manager.condvar()?);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *slot.lock().unwrap() = 7;
    ///         filled.notify_one().unwrap();
    ///     });
    ///     let mut guard = slot.lock().unwrap();
    ///     while *guard == 0 {
    ///         guard = filled.wait(guard).unwrap();
    ///     }
    ///     assert_eq!(*guard, 7);
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait<'a, T: Serialize + DeserializeOwned>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> WaitResult<'a, T> {
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
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use std::time::Duration;
    /// let (work, changed) = (manager.mutex(&0)?, manager.condvar()?);
    /// let (held, outcome) = changed.wait_timeout(work.lock()?, Duration::from_millis(1))?;
    /// assert!(outcome.timed_out());
    /// # drop(held);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout<'a, T: Serialize + DeserializeOwned>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> TimedWaitResult<'a, T> {
        self.wait_deadline(guard, Deadline::after(timeout))
    }

    /// Waits as [`wait`](Condvar::wait), blocking at most until `deadline`; returns why
    /// the wait ended. Taking the lock again has no time limit.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// use std::time::Duration;
    /// let (slot, filled) = (manager.mutex(&0)?, manager.condvar()?);
    /// let deadline = Deadline::after(Duration::from_millis(1));
    /// let (guard, outcome) = filled.wait_deadline(slot.lock()?, deadline)?;
    /// assert!(outcome.timed_out() && *guard == 0);
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_deadline<'a, T: Serialize + DeserializeOwned>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> TimedWaitResult<'a, T> {
        let held = guard.held();
        let mutex = held.grant().proxy;
        let refused = |why: &'static str| {
            let error = Error::new(ErrorKind::InvalidInput, OPERATION, self.proxy.name());
            Err(LockError::Failed(error.because(why)))
        };
        if !held.grant().is_ours() {
            return refused("the guard is a copy of that of the parent process");
        }
        if mutex.server() != self.proxy.server() {
            return refused("the mutex is another manager's");
        }
        let request = LockRequest::Wait {
            token: held.grant().token,
            value: held.touched()?,
            condvar: self.proxy.object(),
            mutex: mutex.object(),
        };
        let woken: Option<Woken> = match mutex.call(OPERATION, &request, deadline) {
            Ok(woken) => Some(woken),
            Err(error) if error.is_timeout() || error.is_would_block() => None,
            // If the manager has not taken the lock back, the guard gives it back.
            Err(error) => return Err(LockError::Failed(error)),
        };
        held.is_given_back();
        drop(guard);
        let outcome = match woken.as_ref().map(|woken| woken.why) {
            None => WaitOutcome::TimedOut,
            Some(Why::Notified) => WaitOutcome::Notified,
            Some(Why::SomebodyDied) => WaitOutcome::SomebodyDied,
        };
        let granted = match woken.and_then(|woken| woken.granted) {
            Some(granted) => granted,
            None => mutex.call("locking mutex", &LockRequest::Lock, Deadline::NEVER)?,
        };
        found((MutexGuard::new(mutex, &granted)?, outcome), granted.state)
    }

    /// Waits while `condition` returns `true`; calls it before the first wait.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let (slot, filled) = (manager.mutex(&0)?, manager.condvar()?);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *slot.lock().unwrap() = 7;
    ///         filled.notify_one().unwrap();
    ///     });
    ///     let guard = filled.wait_while(slot.lock().unwrap(), |value| *value == 0);
    ///     assert_eq!(*guard.unwrap(), 7);
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_while<'a, T: Serialize + DeserializeOwned>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> WaitResult<'a, T> {
        self.wait_while_deadline(guard, Deadline::NEVER, condition)
    }

    /// Waits while `condition` returns `true`, at most `timeout`.
    ///
    /// # Errors
    /// As [`wait_while_deadline`](Condvar::wait_while_deadline).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// use std::time::Duration;
    /// let (slot, filled) = (manager.mutex(&0)?, manager.condvar()?);
    /// let limit = Duration::from_millis(1);
    /// let still_empty = filled.wait_while_timeout(slot.lock()?, limit, |value| *value == 0);
    /// assert_eq!(still_empty.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_while_timeout<'a, T: Serialize + DeserializeOwned>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> WaitResult<'a, T> {
        self.wait_while_deadline(guard, Deadline::after(timeout), condition)
    }

    /// Waits while `condition` returns `true`, at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait), and [`TimedOut`](ErrorKind::TimedOut) if `condition`
    /// still returns `true` then; the lock is released.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// let (slot, filled) = (manager.mutex(&7)?, manager.condvar()?);
    /// let guard = filled.wait_while_deadline(slot.lock()?, Deadline::NEVER, |value| *value == 0)?;
    /// assert_eq!(*guard, 7);
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_while_deadline<'a, T: Serialize + DeserializeOwned>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Deadline,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> WaitResult<'a, T> {
        while condition(guard.held().get_mut()) {
            if deadline.has_passed() {
                let error = Error::new(deadline.error_kind(), OPERATION, self.proxy.name());
                return Err(LockError::Failed(error));
            }
            (guard, _) = self.wait_deadline(guard, deadline).map_err(alone)?;
        }
        Ok(guard)
    }

    /// Notifies one thread, the one that came first.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let (slot, filled) = (manager.mutex(&0)?, manager.condvar()?);
    /// *slot.lock()? = 7;
    /// filled.notify_one()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_one(&self) -> Result<()> {
        self.notify(1)
    }

    /// Notifies up to `count` threads, those that came first.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let (slots, filled) = (manager.mutex(&[0; 3])?, manager.condvar()?);
    /// *slots.lock()? = [7; 3];
    /// filled.notify(3)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify(&self, count: u32) -> Result<()> {
        let request = Request::Notify(count.into());
        let proxy = &self.proxy;
        proxy.call("notifying condition", &request, Deadline::NEVER)
    }

    /// Notifies all threads.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let (is_over, changed) = (manager.mutex(&false)?, manager.condvar()?);
    /// *is_over.lock()? = true;
    /// changed.notify_all()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notify_all(&self) -> Result<()> {
        self.notify(u32::MAX)
    }
}

/// Forgets why the wait ended.
fn alone<G>(error: LockError<(G, WaitOutcome)>) -> LockError<G> {
    match error {
        LockError::OwnerDied((guard, _)) => LockError::OwnerDied(guard),
        LockError::Poisoned((guard, _)) => LockError::Poisoned(guard),
        LockError::Failed(error) => LockError::Failed(error),
    }
}

super::proxy::traits!(Condvar);
