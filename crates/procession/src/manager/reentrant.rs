//! A lock of a manager that its thread can take several times.

use super::blob::Blob;
use super::held::found;
use super::manager::{ManagedObject, Manager, initial, sealed};
use super::objects::mutex::{Granted, Request, State};
use super::objects::{ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::error::Named;
use crate::sync::LockError;
use crate::{Deadline, Error, ErrorKind, Result, process_token};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// A lock of a manager that its thread can take several times, and the value that it protects, as
/// [`sync::ReentrantMutex`](crate::sync::ReentrantMutex).
///
/// All guards of a thread refer to one copy of the value, which came with the first of them. They give shared references
/// only: to change the value, let its type have `Cell`s. With the last guard the value goes back, if it has changed.
///
/// # Blocking
/// [`lock`](ReentrantMutex::lock) blocks while another thread holds the lock. The lock is fair: it goes to the thread that
/// has waited longest.
///
/// # If a process dies
/// If the holder dies, the value is what it was before, and `lock` returns [`LockError::OwnerDied`] with a guard until
/// a holder calls [`mark_consistent`](ReentrantMutexGuard::mark_consistent). See [the module](super).
///
/// # Across fork and exec
/// A forked child has the mutex and not the lock, and connects anew. A mutex travels; a guard does not.
///
/// # Cost
/// A call to lock, with the value, and a message to unlock, for which the value is encoded to see if it has changed. A
/// further lock by the same thread is no call: it does not notice that the manager has ended.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, ReentrantMutex};
/// use std::cell::Cell;
/// let manager = Manager::start()?;
/// let depth = manager.reentrant_mutex(&Cell::new(0))?;
/// fn descend(depth: &ReentrantMutex<Cell<u32>>, levels: u32) -> procession::Result<()> {
///     let guard = depth.lock()?;
///     guard.set(guard.get() + 1);
///     match levels {
///         1 => Ok(()),
///         _ => descend(depth, levels - 1),
///     }
/// }
/// descend(&depth, 5)?;
/// assert_eq!(depth.lock()?.get(), 5);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct ReentrantMutex<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl Manager {
    /// Creates a reentrant mutex, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// let (once, twice) = (mutex.lock()?, mutex.lock()?);
    /// assert_eq!(*once, *twice);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reentrant_mutex<T: Serialize + DeserializeOwned>(
        &self,
        value: &T,
    ) -> Result<ReentrantMutex<T>> {
        let shape = ReentrantMutex::<T>::shape()?;
        Ok(ReentrantMutex::of(self.create(shape, initial(value)?)?))
    }
}

type Outcome<'a, T> =
    std::result::Result<ReentrantMutexGuard<'a, T>, LockError<ReentrantMutexGuard<'a, T>>>;

const OPERATION: &str = "locking reentrant mutex";

impl<T: Serialize + DeserializeOwned> ReentrantMutex<T> {
    fn shape() -> Result<Shape> {
        let schemas = [schema_of::<T>()?];
        let what = "reentrant mutex";
        Ok(shape(ObjectKind::ReentrantMutex, what, &schemas))
    }

    fn of(proxy: Proxy) -> ReentrantMutex<T> {
        ReentrantMutex {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> ReentrantMutex<T> {
    /// Locks the mutex, blocking while another thread holds it.
    ///
    /// # Errors
    /// - [`OwnerDied`](LockError::OwnerDied) and [`Poisoned`](LockError::Poisoned), with the guard
    /// - [`Failed`](LockError::Failed): the manager has ended, or the calling thread has the lock with the value as another
    ///   type ([`Incompatible`](ErrorKind::Incompatible))
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// let outer = mutex.lock()?;
    /// let inner = mutex.lock()?; // blocks in no way
    /// assert_eq!(*outer, *inner);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NEVER)
    }

    /// Locks the mutex if no other thread holds it.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and [`WouldBlock`](ErrorKind::WouldBlock).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::ErrorKind;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// let guard = mutex.lock()?;
    /// assert!(mutex.try_lock().is_ok());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(mutex.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(guard);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_lock(&self) -> Outcome<'_, T> {
        self.lock_deadline(Deadline::NOW)
    }

    /// Locks the mutex, blocking at most `timeout`.
    ///
    /// # Errors
    /// As [`lock`](ReentrantMutex::lock), and [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use std::time::Duration;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// assert_eq!(*mutex.lock_timeout(Duration::from_secs(1))?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
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
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::Deadline;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// assert_eq!(*mutex.lock_deadline(Deadline::NEVER)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock_deadline(&self, deadline: Deadline) -> Outcome<'_, T> {
        let key = Key::of(&self.proxy);
        let held = match key.held() {
            Some(held) => held.downcast::<Held<T>>().map_err(|_| {
                let error = Error::new(ErrorKind::Incompatible, OPERATION, self.proxy.name());
                error.because("the calling thread has the lock with a value of another type")
            })?,
            None => {
                let granted: Granted = self.proxy.call(OPERATION, &Request::Lock, deadline)?;
                let lock = Lock {
                    key,
                    proxy: Arc::clone(&self.proxy),
                    token: granted.token,
                    back: RefCell::new((None, false)),
                };
                // Code of the user, which may panic: then `lock` gives the lock back.
                let held = Rc::new(Held {
                    value: granted.value.get()?,
                    lock,
                    came_as: granted.value,
                    state: Cell::new(granted.state),
                });
                key.keep(&held);
                held
            }
        };
        let state = held.state.get();
        let guard = ReentrantMutexGuard {
            held,
            was_panicking: std::thread::panicking(),
            mutex: PhantomData,
        };
        found(guard, state)
    }

    /// Clears the poison that the panic of a holder left.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// let other = mutex.clone();
    /// let panicked = std::thread::spawn(move || {
    ///     let _guard = other.lock();
    ///     panic!("in the middle of a change");
    /// });
    /// assert!(panicked.join().is_err() && mutex.lock().is_err());
    /// mutex.clear_poison()?;
    /// assert!(mutex.lock().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear_poison(&self) -> Result<()> {
        let request = Request::ClearPoison { token: None };
        let operation = "clearing poison of reentrant mutex";
        self.proxy.call(operation, &request, Deadline::NEVER)
    }
}

/// A mutex, as a thread of a process knows it, whichever proxy it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    /// A forked child has not what its parent's thread had.
    process: u64,
    server: u64,
    object: u64,
}

thread_local! {
    /// What this thread has locked.
    static HELD: RefCell<Vec<(Key, Weak<dyn Any>)>> = const { RefCell::new(Vec::new()) };
}

impl Key {
    fn of(proxy: &Proxy) -> Key {
        Key {
            process: process_token::current(),
            server: proxy.server(),
            object: proxy.object(),
        }
    }

    fn held(self) -> Option<Rc<dyn Any>> {
        let held = HELD.try_with(|held| {
            let held = held.borrow();
            held.iter().find(|(key, _)| *key == self)?.1.upgrade()
        });
        held.ok()?
    }

    fn keep<T: Serialize + 'static>(self, held: &Rc<Held<T>>) {
        let held: Rc<dyn Any> = Rc::<Held<T>>::clone(held);
        // In a thread that ends, a further lock is a deadlock, of which the manager tells.
        let _ = HELD.try_with(|all| all.borrow_mut().push((self, Rc::downgrade(&held))));
    }

    fn forget(self) {
        let _ = HELD.try_with(|all| all.borrow_mut().retain(|(key, _)| *key != self));
    }
}

/// The lock, without the value.
struct Lock {
    key: Key,
    proxy: Arc<Proxy>,
    token: u64,
    /// The new value, and that a panic has ended the guard.
    back: RefCell<(Option<Blob>, bool)>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.key.forget();
        if self.key.process != process_token::current() {
            return;
        }
        let (value, poison) = self.back.take();
        let unlock = |value, poison| Request::Unlock {
            token: self.token,
            value,
            poison,
        };
        let has_value = value.is_some();
        // A value that is too long is not sent. If the manager has ended, so has the lock.
        if self.proxy.tell(&unlock(value, poison)).is_err() && has_value {
            let _ = self.proxy.tell(&unlock(None, true));
        }
    }
}

/// What all guards of a thread have together.
struct Held<T: Serialize> {
    value: T,
    lock: Lock,
    came_as: Blob,
    state: Cell<State>,
}

impl<T: Serialize> Drop for Held<T> {
    fn drop(&mut self) {
        if self.lock.key.process != process_token::current() {
            return;
        }
        let poison = self.lock.back.borrow().1;
        // Code of the user, which may panic or fail: then the value stays as it was, and the lock is poisoned.
        self.lock.back.replace((None, true));
        if let Ok(value) = Blob::of(&self.value) {
            let changed = (value != self.came_as).then_some(value);
            self.lock.back.replace((changed, poison));
        }
    }
}

/// The right to use the value of a [`ReentrantMutex`]. Dropping the last guard of the
/// thread unlocks the mutex.
#[must_use = "if the guard is not kept, the mutex unlocks immediately"]
pub struct ReentrantMutexGuard<'a, T: Serialize + DeserializeOwned> {
    held: Rc<Held<T>>,
    was_panicking: bool,
    mutex: PhantomData<&'a ReentrantMutex<T>>,
}

impl<T: Serialize + DeserializeOwned> ReentrantMutexGuard<'_, T> {
    /// Returns a number that grows with each time that a thread takes the lock, and is the same for all guards that it has
    /// meanwhile.
    ///
    /// What stands outside of the manager can refuse those that come with a smaller one: they had the lock before.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let mutex = manager.reentrant_mutex(&5)?;
    /// let first = mutex.lock()?.token();
    /// assert!(mutex.lock()?.token() > first);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> u64 {
        self.held.lock.token
    }

    /// Declares the value consistent after the death of a holder: from now on `lock`
    /// returns no [`LockError::OwnerDied`].
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Manager, ReentrantMutex};
    /// # let manager = Manager::start()?;
    /// use procession::{process, sync::LockError};
    /// fn die(mutex: ReentrantMutex<u32>) {
    ///     let _guard = mutex.lock();
    ///     std::process::abort();
    /// }
    /// let mutex = manager.reentrant_mutex(&7)?;
    /// process::spawn(die, mutex.clone())?.join().unwrap_err();
    /// match mutex.lock() {
    ///     Err(LockError::OwnerDied(guard)) => guard.mark_consistent()?,
    ///     other => panic!("{other:?}"),
    /// }
    /// assert_eq!(*mutex.lock()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mark_consistent(&self) -> Result<()> {
        let lock = &self.held.lock;
        let request = Request::MarkConsistent { token: lock.token };
        let operation = "repairing reentrant mutex";
        let marked = lock.proxy.call(operation, &request, Deadline::NEVER);
        if marked.is_ok() {
            self.held.state.set(State::Whole);
        }
        marked
    }
}

impl<T: Serialize + DeserializeOwned> Deref for ReentrantMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held.value
    }
}

impl<T: Serialize + DeserializeOwned> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        // The last guard decides, as the one that gives the lock back.
        let panics = !self.was_panicking && std::thread::panicking();
        self.held.lock.back.replace((None, panics));
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.value.fmt(f)
    }
}

impl<T: Serialize + DeserializeOwned> Named for ReentrantMutexGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        ("reentrant mutex of manager", self.held.lock.proxy.name())
    }
}

super::proxy::traits!(ReentrantMutex<T>);
