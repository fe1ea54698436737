//! A lock of a manager, with a value.

use super::blob::Blob;
use super::held::{Held, Unlock, found};
use super::manager::{ManagedObject, Manager, initial, sealed};
use super::objects::mutex::{Granted, Request};
use super::objects::{ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::error::Named;
use crate::sync::LockError;
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

/// A lock of a manager, and the value that it protects.
///
/// The value comes with the lock, and goes back with it if it was touched: a lock and its end are one call and one message.
///
/// # If a process dies
/// The next one has the lock and is told: [`OwnerDied`](LockError::OwnerDied). The value is what it was before the dead one
/// had the lock. See [the module](super).
///
/// # Across fork and exec
/// A forked child has the mutex and not the lock, and connects anew. A mutex travels; a guard does not.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, Mutex};
/// let manager = Manager::start()?;
/// let seats: Mutex<Vec<String>> = manager.mutex(&Vec::new())?;
/// seats.lock()?.push("Ada".to_owned());
/// assert_eq!(*seats.lock()?, ["Ada"]);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Mutex<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl Manager {
    /// Creates a mutex, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mutex = manager.mutex(&"nobody".to_owned())?;
    /// *mutex.lock()? = "Ada".to_owned();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mutex<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Mutex<T>> {
        Ok(Mutex::of(
            self.create(Mutex::<T>::shape()?, initial(value)?)?,
        ))
    }
}

type Outcome<'a, T> = std::result::Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

impl<T: Serialize + DeserializeOwned> Mutex<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Mutex, "mutex", &[schema_of::<T>()?]))
    }

    fn of(proxy: Proxy) -> Mutex<T> {
        Mutex {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    /// Blocks until nobody else has the lock, and takes it.
    ///
    /// # Errors
    /// [`OwnerDied`](LockError::OwnerDied) and [`Poisoned`](LockError::Poisoned), with the lock;
    /// [`Failed`](LockError::Failed), of the kind [`Deadlock`](crate::ErrorKind::Deadlock): the calling thread has it; the
    /// manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// *mutex.lock()? += 1;
    /// assert_eq!(*mutex.lock()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Takes the lock if nobody has it; otherwise fails with [`WouldBlock`](crate::ErrorKind::WouldBlock).
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// let guard = mutex.try_lock()?;
    /// assert!(mutex.try_lock().is_err());
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Blocks until nobody else has the lock, at most `timeout`.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// use std::time::Duration;
    /// assert_eq!(*mutex.lock_timeout(Duration::from_secs(1))?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::after(timeout))
    }

    /// Blocks until nobody else has the lock, at most until `deadline`.
    ///
    /// # Errors
    /// As [`lock`](Mutex::lock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// use procession::Deadline;
    /// assert_eq!(*mutex.lock_deadline(Deadline::NEVER)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_deadline(&self, deadline: Deadline) -> Outcome<'_, T> {
        let proxy = &*self.proxy;
        let granted: Granted = proxy.call("locking mutex", &Request::Lock, deadline)?;
        found(MutexGuard::new(proxy, &granted)?, granted.state)
    }
}

impl Unlock for Request {
    fn unlock(token: u64, value: Option<Blob>, poison: bool) -> Request {
        Request::Unlock {
            token,
            value,
            poison,
        }
    }
}

/// Has the lock, and gives it back when it is dropped.
pub struct MutexGuard<'a, T: Serialize + DeserializeOwned> {
    held: Held<'a, T, Request>,
    mutex: PhantomData<&'a Mutex<T>>,
}

impl<'a, T: Serialize + DeserializeOwned> MutexGuard<'a, T> {
    pub(super) fn new(proxy: &'a Proxy, granted: &Granted) -> Result<MutexGuard<'a, T>> {
        Ok(MutexGuard {
            held: Held::new(proxy, granted)?,
            mutex: PhantomData,
        })
    }

    pub(super) fn held(&mut self) -> &mut Held<'a, T, Request> {
        &mut self.held
    }

    /// Returns a number that grows with each time that somebody takes the lock.
    ///
    /// What stands outside of the manager can refuse those that come with a smaller one: they had the lock before.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// let first = mutex.lock()?.token();
    /// assert!(mutex.lock()?.token() > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> u64 {
        self.held.grant().token
    }

    /// Says that the value is in order again, after a panic.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Mutex, Manager};
    /// # let manager = Manager::start()?;
    /// # let mutex: Mutex<u32> = manager.mutex(&1)?;
    /// use procession::sync::LockError;
    /// let other = mutex.clone();
    /// let panicked = std::thread::spawn(move || {
    ///     let _guard = other.lock();
    ///     panic!("in the middle of it");
    /// });
    /// assert!(panicked.join().is_err());
    /// match mutex.lock() {
    ///     Err(LockError::Poisoned(guard)) => guard.clear_poison()?,
    ///     other => panic!("{other:?}"),
    /// }
    /// assert_eq!(*mutex.lock()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear_poison(&self) -> Result<()> {
        let grant = self.held.grant();
        let request = Request::ClearPoison {
            token: Some(grant.token),
        };
        (grant.proxy).call("clearing poison of mutex", &request, Deadline::NEVER)
    }
}

impl<T: Serialize + DeserializeOwned> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.get()
    }
}

impl<T: Serialize + DeserializeOwned> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.get_mut()
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.get().fmt(f)
    }
}

impl<T: Serialize + DeserializeOwned> Named for MutexGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        ("mutex of manager", self.held.grant().proxy.name())
    }
}

super::proxy::traits!(Mutex<T>);
