//! One value.

use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::sync::{LockResult, Locked, Mutex};
use crate::{Deadline, Result, sync};
use std::sync::Arc;
use std::time::Duration;

/// A value that several processes read and change, whole: Python's `Value`.
///
/// It is a [`Mutex`] with operations that take the lock for the time of one of
/// them.
///
/// # If a process dies
/// Dying in [`get`](Value::get), [`set`](Value::set) or waiting, it leaves
/// nothing; in the middle of a change ([`update`](Value::update), or holding
/// [`lock`](Value::lock)), or of copying a value of more than eight bytes, what
/// it leaves may be half a change, and the others get
/// [`OwnerDead`](crate::ErrorKind::OwnerDead) until one of them repairs it
/// through [`lock`](Value::lock), or puts another one there by
/// [`set`](Value::set).
///
/// # Examples
/// ```
/// use procession::{process, shared::Value, task};
/// let best = Value::new(f64::MAX)?;
/// let offer = task!([&best] |price: f64| best.update(|best| *best = best.min(price)).unwrap());
/// let mut tasks = [3.5, 1.25, 2.0].map(|price| process::spawn_task(&offer, price).unwrap());
/// for task in &mut tasks {
///     task.join().unwrap();
/// }
/// assert_eq!(best.get()?, 1.25);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Value<T: ShmSafe> {
    mutex: Mutex<T>,
}

impl<T: ShmSafe> Value<T> {
    /// Makes one without a name.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace),
    /// [`LimitReached`](crate::ErrorKind::LimitReached)
    pub fn new(value: T) -> Result<Value<T>> {
        let locked = Locked::anonymous(Kind::Value, std::iter::once(value))?;
        Ok(Value::of(locked))
    }

    /// Makes one with a name.
    ///
    /// # Errors
    /// As [`new`](Value::new), and
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists).
    pub fn create(name: &str, value: T) -> Result<Value<T>> {
        let locked = Locked::named(Kind::Value, name, false, std::iter::once(value))?;
        Ok(Value::of(locked))
    }

    /// Opens the one of this name, or makes it with this value.
    ///
    /// # Errors
    /// As [`create`](Value::create) and [`open`](Value::open).
    pub fn open_or_create(name: &str, value: T) -> Result<Value<T>> {
        let locked = Locked::named(Kind::Value, name, true, std::iter::once(value))?;
        Ok(Value::of(locked))
    }

    fn of(locked: Locked<T>) -> Value<T> {
        Value {
            mutex: Mutex::of(locked),
        }
    }

    fn from_object(object: Arc<Object>) -> Result<Value<T>> {
        Ok(Value::of(Locked::of(object)?))
    }

    fn object(&self) -> &Object {
        self.mutex.object()
    }

    /// A copy of it.
    ///
    /// # Errors
    /// [`OwnerDead`](crate::ErrorKind::OwnerDead): somebody died changing it.
    pub fn get(&self) -> Result<T>
    where
        T: Copy,
    {
        match self.mutex.lock() {
            Ok(value) | Err(sync::LockError::Poisoned(value)) => Ok(*value),
            Err(error) => Err(self.left_as_it_is(error)),
        }
    }

    /// Puts another one in its place; that is a repair, too.
    ///
    /// # Errors
    /// [`Deadlock`](crate::ErrorKind::Deadlock): the thread has the lock.
    pub fn set(&self, value: T) -> Result<()> {
        match self.mutex.lock() {
            Ok(mut old) | Err(sync::LockError::Poisoned(mut old)) => *old = value,
            Err(sync::LockError::OwnerDied(mut old)) => {
                *old = value;
                drop(old.repaired());
            }
            Err(sync::LockError::Failed(error)) => return Err(error),
        }
        Ok(())
    }

    /// Changes it, while nobody else reads or changes it; returns what `change`
    /// does.
    ///
    /// # Errors
    /// As [`get`](Value::get).
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        match self.mutex.lock() {
            Ok(mut value) => Ok(change(&mut value)),
            Err(error) => self.update_slow(error, change),
        }
    }

    #[cold]
    fn update_slow<R>(
        &self,
        error: ValueLockError<'_, T>,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R> {
        match error {
            sync::LockError::Poisoned(mut value) => Ok(change(&mut value)),
            error => Err(self.left_as_it_is(error)),
        }
    }

    /// Somebody died: the next one is to find that, too.
    fn left_as_it_is(&self, error: ValueLockError<'_, T>) -> crate::Error {
        match error {
            sync::LockError::OwnerDied(guard) => {
                guard.leave();
                crate::Error::new(
                    crate::ErrorKind::OwnerDead,
                    "using shared value",
                    self.object().label(),
                )
                .because("a process died while it changed it")
                .with_hint("repair it through `lock`, or `set` another one")
            }
            error => error.into(),
        }
    }

    /// Whether somebody panicked while changing it.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.mutex.is_poisoned()
    }

    /// Forgets that somebody panicked while changing it.
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Value;
    /// use std::time::Duration;
    /// let number = Value::new(1_u64)?;
    /// let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
    ///     let _guard = number.lock_timeout(Duration::from_secs(1)).unwrap();
    ///     panic!("in the middle of a change");
    /// }));
    /// assert!(panicked.is_err() && number.is_poisoned());
    /// number.clear_poison();
    /// assert!(number.try_lock().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear_poison(&self) {
        self.mutex.clear_poison();
    }

    /// Takes the lock, for several operations at once, or for a repair.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T> {
        self.mutex.lock()
    }

    /// Takes the lock, if nobody has it.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`](crate::sync::Mutex::try_lock).
    pub fn try_lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Takes the lock, waiting for it at most `timeout`.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`](crate::sync::Mutex::lock_timeout).
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Takes the lock, waiting until then at most.
    ///
    /// # Errors
    /// As [`Mutex::lock_deadline`].
    pub fn lock_deadline(&self, deadline: Deadline) -> LockResult<'_, T> {
        self.mutex.lock_deadline(deadline)
    }
}

type ValueLockError<'a, T> = sync::LockError<sync::MutexGuard<'a, T>, sync::RecoveryGuard<'a, T>>;

impl<T: ShmSafe> Clone for Value<T> {
    /// Another handle of the same value.
    fn clone(&self) -> Value<T> {
        Value {
            mutex: self.mutex.clone(),
        }
    }
}

shared_object!(Value<T: ShmSafe>, sync::locked_class::<T>(Kind::Value));

impl<T: ShmSafe> std::fmt::Debug for Value<T> {
    /// Says which it is, and not what it holds: a look would take the lock from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
