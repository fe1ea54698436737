//! A lock of a manager for many readers or one writer.

use super::blob::Blob;
use super::grant::Grant;
use super::held::{Held, Unlock, found};
use super::manager::{ManagedObject, Manager, initial, sealed};
use super::objects::mutex::Granted;
use super::objects::rwlock::Request;
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

/// A reader-writer lock of a manager, and the value that it protects, as
/// [`sync::RwLock`](crate::sync::RwLock).
///
/// Many threads of many processes have a copy of the value at the same time, or one thread changes it. The value comes
/// with the lock, and goes back with a write guard if it was touched: a lock and its end are one call and one message.
///
/// # Blocking
/// The lock is fair: threads get it in the order in which they came, so that neither readers nor writers starve. A thread
/// that holds a read guard gets a further one at once, also while a writer waits. A thread that holds a read
/// guard and calls `write`, or holds a write guard and calls `read` or `write`, gets
/// [`Deadlock`](crate::ErrorKind::Deadlock).
///
/// # If a process dies
/// A reader that dies leaves nothing behind. If a writer dies while it holds the lock, the value is what it was before,
/// and `read` and `write` return [`LockError::OwnerDied`] with a guard until a writer calls
/// [`mark_consistent`](RwLockWriteGuard::mark_consistent). The same happens when a process drops its last proxy of the lock
/// while it holds it. See [the module](super).
///
/// # Across fork and exec
/// A forked child has the lock's proxy, holds none of its parent's guards, and connects anew. The lock travels; a guard does not.
///
/// # Cost
/// A call to lock, with the value, and a message to unlock.
///
/// # Examples
/// ```
/// use procession::manager::Manager;
/// let manager = Manager::start()?;
/// let limits = manager.rwlock(&[0_u32, 100])?;
/// {
///     let (one, two) = (limits.read()?, limits.read()?);
///     assert_eq!(one[1], two[1]);
/// }
/// limits.write()?[1] = 200;
/// assert_eq!(limits.read()?[1], 200);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct RwLock<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl Manager {
    /// Creates a reader-writer lock, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&7)?;
    /// assert_eq!(*lock.read()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rwlock<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<RwLock<T>> {
        Ok(RwLock::of(
            self.create(RwLock::<T>::shape()?, initial(value)?)?,
        ))
    }
}

type ReadResult<'a, T> =
    std::result::Result<RwLockReadGuard<'a, T>, LockError<RwLockReadGuard<'a, T>>>;
type WriteResult<'a, T> =
    std::result::Result<RwLockWriteGuard<'a, T>, LockError<RwLockWriteGuard<'a, T>>>;

impl<T: Serialize + DeserializeOwned> RwLock<T> {
    fn shape() -> Result<Shape> {
        let schemas = [schema_of::<T>()?];
        Ok(shape(ObjectKind::RwLock, "reader-writer lock", &schemas))
    }

    fn of(proxy: Proxy) -> RwLock<T> {
        RwLock {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    /// Locks for reading, blocking while a writer holds the lock or came before.
    ///
    /// # Errors
    /// - [`OwnerDied`](LockError::OwnerDied) and [`Poisoned`](LockError::Poisoned), with the guard
    /// - [`Failed`](LockError::Failed): the calling thread has a write guard
    ///   ([`Deadlock`](crate::ErrorKind::Deadlock)), or the manager has ended
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&5)?;
    /// let (one, two) = (lock.read()?, lock.read()?);
    /// assert!(lock.try_write().is_err());
    /// drop((one, two));
    /// *lock.write()? += 1;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&self) -> ReadResult<'_, T> {
        self.read_deadline(Deadline::NEVER)
    }

    /// Locks for reading if no writer holds the lock or waits for it.
    ///
    /// # Errors
    /// As [`read`](RwLock::read), and [`WouldBlock`](crate::ErrorKind::WouldBlock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// let lock = manager.rwlock(&7)?;
    /// let writer = lock.write()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(lock.try_read().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(writer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_read(&self) -> ReadResult<'_, T> {
        self.read_deadline(Deadline::NOW)
    }

    /// Locks for reading, blocking at most `timeout`.
    ///
    /// # Errors
    /// As [`read`](RwLock::read), and [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use std::time::Duration;
    /// let lock = manager.rwlock(&7)?;
    /// assert_eq!(*lock.read_timeout(Duration::from_secs(1))?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_timeout(&self, timeout: Duration) -> ReadResult<'_, T> {
        self.read_deadline(Deadline::after(timeout))
    }

    /// Locks for reading, blocking at most until `deadline`.
    ///
    /// # Errors
    /// As [`read_timeout`](RwLock::read_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// let lock = manager.rwlock(&7)?;
    /// assert_eq!(*lock.read_deadline(Deadline::NEVER)?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_deadline(&self, deadline: Deadline) -> ReadResult<'_, T> {
        let proxy = &*self.proxy;
        let granted: Granted = proxy.call("locking for reading", &Request::Read, deadline)?;
        let read = Read(Grant::new(proxy, granted.token));
        // Code of the user, which may panic: then `read` gives the lock back.
        let value = granted.value.get()?;
        let guard = RwLockReadGuard {
            read,
            value,
            lock: PhantomData,
        };
        found(guard, granted.state)
    }

    /// Locks for writing, blocking until no other thread reads or writes.
    ///
    /// # Errors
    /// - [`OwnerDied`](LockError::OwnerDied) and [`Poisoned`](LockError::Poisoned), with the guard
    /// - [`Failed`](LockError::Failed): the calling thread has a guard of the lock
    ///   ([`Deadlock`](crate::ErrorKind::Deadlock)), or the manager has ended
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&7)?;
    /// *lock.write()? += 1;
    /// assert_eq!(*lock.read()?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write(&self) -> WriteResult<'_, T> {
        self.write_deadline(Deadline::NEVER)
    }

    /// Locks for writing if no thread reads or writes.
    ///
    /// # Errors
    /// As [`write`](RwLock::write), and [`WouldBlock`](crate::ErrorKind::WouldBlock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// let lock = manager.rwlock(&7)?;
    /// let reader = lock.read()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(lock.try_write().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(reader);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_write(&self) -> WriteResult<'_, T> {
        self.write_deadline(Deadline::NOW)
    }

    /// Locks for writing, blocking at most `timeout`.
    ///
    /// # Errors
    /// As [`write`](RwLock::write), and [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use std::time::Duration;
    /// let lock = manager.rwlock(&7)?;
    /// *lock.write_timeout(Duration::from_secs(1))? = 8;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_timeout(&self, timeout: Duration) -> WriteResult<'_, T> {
        self.write_deadline(Deadline::after(timeout))
    }

    /// Locks for writing, blocking at most until `deadline`.
    ///
    /// # Errors
    /// As [`write_timeout`](RwLock::write_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// let lock = manager.rwlock(&7)?;
    /// *lock.write_deadline(Deadline::NEVER)? = 8;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_deadline(&self, deadline: Deadline) -> WriteResult<'_, T> {
        let proxy = &*self.proxy;
        let granted: Granted = proxy.call("locking for writing", &Request::Write, deadline)?;
        let guard = RwLockWriteGuard {
            held: Held::new(proxy, &granted)?,
            lock: PhantomData,
        };
        found(guard, granted.state)
    }

    /// Returns `true` if a writer panicked and the poison was not cleared since.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert!(!manager.rwlock(&7)?.is_poisoned()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_poisoned(&self) -> Result<bool> {
        let operation = "asking for poison of lock";
        (self.proxy).call(operation, &Request::IsPoisoned, Deadline::NEVER)
    }

    /// Clears the poison that the panic of a writer left.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&7)?;
    /// let other = lock.clone();
    /// let panicked = std::thread::spawn(move || {
    ///     let _guard = other.write();
    ///     panic!("in the middle of a change");
    /// });
    /// assert!(panicked.join().is_err() && lock.is_poisoned()?);
    /// lock.clear_poison()?;
    /// assert!(lock.read().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear_poison(&self) -> Result<()> {
        let operation = "clearing poison of lock";
        (self.proxy).call(operation, &Request::ClearPoison, Deadline::NEVER)
    }
}

/// The right to read, without the value.
struct Read<'a>(Grant<'a>);

impl Drop for Read<'_> {
    fn drop(&mut self) {
        let token = self.0.token;
        let _ = self.0.tell(&Request::EndRead { token });
    }
}

impl Unlock for Request {
    fn unlock(token: u64, value: Option<Blob>, poison: bool) -> Request {
        Request::EndWrite {
            token,
            value,
            poison,
        }
    }
}

/// A copy of the value of a [`RwLock`], which nobody changes while the guard exists. Dropping the guard unlocks.
#[must_use = "if the guard is not kept, the lock is released immediately"]
pub struct RwLockReadGuard<'a, T: Serialize + DeserializeOwned> {
    read: Read<'a>,
    value: T,
    lock: PhantomData<&'a RwLock<T>>,
}

impl<T: Serialize + DeserializeOwned> RwLockReadGuard<'_, T> {
    /// Returns a number that grows with each guard of the lock, for reading or for writing.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&7)?;
    /// let first = lock.write()?.token();
    /// assert!(lock.read()?.token() > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> u64 {
        self.read.0.token
    }
}

impl<T: Serialize + DeserializeOwned> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize + DeserializeOwned> Named for RwLockReadGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        ("reader-writer lock of manager", self.read.0.proxy.name())
    }
}

/// The right to change the value of a [`RwLock`]. Dropping the guard sends the value back if it was touched, and unlocks.
#[must_use = "if the guard is not kept, the lock is released immediately"]
pub struct RwLockWriteGuard<'a, T: Serialize + DeserializeOwned> {
    held: Held<'a, T, Request>,
    lock: PhantomData<&'a RwLock<T>>,
}

impl<T: Serialize + DeserializeOwned> RwLockWriteGuard<'_, T> {
    /// Returns a number that grows with each guard of the lock, for reading or for writing.
    ///
    /// What stands outside of the manager can refuse those that come with a smaller one: they had the lock before.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let lock = manager.rwlock(&7)?;
    /// let first = lock.write()?.token();
    /// assert!(lock.write()?.token() > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> u64 {
        self.held.grant().token
    }

    /// Declares the value consistent after the death of a writer: from now on `read` and
    /// `write` return no [`LockError::OwnerDied`].
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Manager, RwLock};
    /// # let manager = Manager::start()?;
    /// use procession::{process, sync::LockError};
    /// fn die(lock: RwLock<u32>) {
    ///     let _guard = lock.write();
    ///     std::process::abort();
    /// }
    /// let lock = manager.rwlock(&7)?;
    /// process::spawn(die, lock.clone())?.join().unwrap_err();
    /// match lock.write() {
    ///     Err(LockError::OwnerDied(guard)) => guard.mark_consistent()?,
    ///     other => panic!("{other:?}"),
    /// }
    /// assert_eq!(*lock.read()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mark_consistent(&self) -> Result<()> {
        let grant = self.held.grant();
        let request = Request::MarkConsistent { token: grant.token };
        (grant.proxy).call("repairing lock", &request, Deadline::NEVER)
    }
}

impl<T: Serialize + DeserializeOwned> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.get()
    }
}

impl<T: Serialize + DeserializeOwned> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.get_mut()
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.get().fmt(f)
    }
}

impl<T: Serialize + DeserializeOwned> Named for RwLockWriteGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        let name = self.held.grant().proxy.name();
        ("reader-writer lock of manager", name)
    }
}

super::proxy::traits!(RwLock<T>);
