//! One value.

use crate::shm::{Kind, Object, ShmSafe, shared_object};
use crate::sync::{LockResult, Locked, Mutex};
use crate::{Deadline, Result, sync};
use std::sync::Arc;
use std::time::Duration;

/// A value that several processes share, in a [`Mutex`] that each operation locks: Python's
/// `Value`.
///
/// # If a process dies
/// A process that dies while it holds the lock may leave half a change. The other processes
/// then get [`OwnerDead`](crate::ErrorKind::OwnerDead), until one of them repairs the value
/// through [`lock`](Value::lock) or replaces it by [`set`](Value::set).
///
/// # If a thread panics
/// A panic in [`update`](Value::update) or while a guard of [`lock`](Value::lock) exists
/// poisons the value: `lock` returns [`Poisoned`](sync::LockError::Poisoned) until
/// [`clear_poison`](Value::clear_poison). [`get`](Value::get), [`set`](Value::set) and
/// [`update`](Value::update) ignore that.
///
/// # Across fork and exec
/// A forked child shares the value. Other processes get it as an argument or a capture of a
/// [task](crate::process::spawn), or by its name.
///
/// # Cost
/// No system call while no other thread holds the lock.
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
    /// Creates a value without a name.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): there is not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): a control group, `RLIMIT_AS` or
    ///   `RLIMIT_FSIZE` allows fewer bytes, or no descriptor is left
    pub fn new(value: T) -> Result<Value<T>> {
        let locked = Locked::anonymous(Kind::Value, std::iter::once(value))?;
        Ok(Value::of(locked))
    }

    /// Creates a value with a name, by which other processes of this user open it.
    ///
    /// # Errors
    /// - those of [`new`](Value::new)
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the name exists
    pub fn create(name: &str, value: T) -> Result<Value<T>> {
        let locked = Locked::named(Kind::Value, name, false, std::iter::once(value))?;
        Ok(Value::of(locked))
    }

    /// Opens the value of this name, or creates it with `value`.
    ///
    /// # Errors
    /// As [`create`](Value::create) and [`open`](Value::open).
    ///
    /// # Examples
    /// ```
    /// use procession::shared::Value;
    /// let name = format!("procession-doc-value-{}", std::process::id());
    /// let value = Value::create(&name, 1_u64)?;
    /// let same = Value::open_or_create(&name, 5_u64)?; // opens it
    /// assert_eq!((same.get()?, same.name()), (1, Some(&*name)));
    /// Value::<u64>::open(&name)?.set(2)?;
    /// Value::<u64>::unlink(&name)?;
    /// assert_eq!(value.get()?, 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns a copy of the value, blocking while another thread changes it.
    ///
    /// # Errors
    /// - [`OwnerDead`](crate::ErrorKind::OwnerDead): a process died while it changed the value
    /// - [`Deadlock`](crate::ErrorKind::Deadlock): the calling thread holds the lock
    pub fn get(&self) -> Result<T>
    where
        T: Copy,
    {
        match self.mutex.lock() {
            Ok(value) | Err(sync::LockError::Poisoned(value)) => Ok(*value),
            Err(error) => Err(self.left_as_it_is(error)),
        }
    }

    /// Replaces the value, blocking while another thread uses it. This also repairs a value
    /// that a dead process left.
    ///
    /// # Errors
    /// [`Deadlock`](crate::ErrorKind::Deadlock): the calling thread holds the lock.
    ///
    /// # Examples
    /// ```
    /// use procession::{process::{self, Fork}, shared::Value};
    /// let value = Value::new(1_u64)?;
    /// match process::fork()? {
    ///     Fork::Child => {
    ///         let _guard = value.lock().unwrap();
    ///         std::process::abort();
    ///     }
    ///     Fork::Parent(mut child) => child.wait()?,
    /// };
    /// assert!(value.get().unwrap_err().is_owner_dead());
    /// value.set(0)?;
    /// assert_eq!(value.get()?, 0);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Calls `change` with the value while the lock is held, and returns its result.
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

    /// Leaves the lock as it is, so that the next process finds the death as well.
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

    /// Returns `true` if a thread panicked while it held the lock.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.mutex.is_poisoned()
    }

    /// Clears the poison of a panic, so that [`lock`](Value::lock) succeeds again.
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

    /// Locks the value for several operations or for a repair, blocking until the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    #[inline]
    pub fn lock(&self) -> LockResult<'_, T> {
        self.mutex.lock()
    }

    /// Locks the value if the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`](crate::sync::Mutex::try_lock).
    pub fn try_lock(&self) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Locks the value, blocking at most `timeout` until the lock is free.
    ///
    /// # Errors
    /// As [`Mutex::lock_timeout`](crate::sync::Mutex::lock_timeout).
    pub fn lock_timeout(&self, timeout: Duration) -> LockResult<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Locks the value, blocking until the lock is free, until `deadline` at most.
    ///
    /// # Errors
    /// As [`Mutex::lock_deadline`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, ErrorKind, shared::Value};
    /// let value = Value::new([1_u64, 2])?;
    /// let mut pair = value.lock_deadline(Deadline::NEVER)?;
    /// pair.swap(0, 1);
    /// // The thread has the lock already.
    /// assert_eq!(value.lock().unwrap_err().kind(), ErrorKind::Deadlock);
    /// drop(pair);
    /// assert_eq!(value.get()?, [2, 1]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lock_deadline(&self, deadline: Deadline) -> LockResult<'_, T> {
        self.mutex.lock_deadline(deadline)
    }
}

type ValueLockError<'a, T> = sync::LockError<sync::MutexGuard<'a, T>, sync::RecoveryGuard<'a, T>>;

impl<T: ShmSafe> Clone for Value<T> {
    /// Returns another handle of the same value.
    fn clone(&self) -> Value<T> {
        Value {
            mutex: self.mutex.clone(),
        }
    }
}

shared_object!(Value<T: ShmSafe>, sync::locked_class::<T>(Kind::Value));

impl<T: ShmSafe> std::fmt::Debug for Value<T> {
    /// Writes the name and not the value, which would need the lock.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Value")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
