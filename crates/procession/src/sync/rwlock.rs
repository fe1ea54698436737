//! A lock for many readers or one writer.
//!
//! ```text
//!   0        8        16        24         64          576 (or as the type wants)
//! ┌────────┬────────┬─────────┬─ ─ ─ ─ ─ ┬───────────┬──────────────────
//! │ writer │ entry  │ drained │          │ 64 cells  │ value
//! └────────┴────────┴─────────┴─ ─ ─ ─ ─ ┴───────────┴──────────────────
//! ```
//!
//! # Safety
//! As in `locked.rs`: references to the value exist only in guards; exclusive
//! ones only in that of the writer, which holds the lock while no reader does.
//! Several readers have shared ones, in several threads, so the value is `Sync`.
#![allow(unsafe_code)]

use super::LockError;
use super::error::failed;
use crate::error::Named;
use crate::registry::thread;
use crate::shm::{
    Class, Exclusive, Extent, Fingerprint, Kind, Object, ShmSafe, Values, shared_object,
};
use crate::{Deadline, Result};
use procession_core::event_count::EventCount;
use procession_core::mutex::{Acquired, POISONED, RawMutex};
use procession_core::rwlock::RawRwLock;
use procession_core::{Owner, Platform};
use procession_sys::memory::{Word, Words};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CELLS_AT: usize = 64;

/// How many can read at a time; more wait.
const READERS: usize = 64;

const VALUE_AT: usize = CELLS_AT + READERS * 8;

const fn class<T: ShmSafe + Sync>() -> Class {
    const {
        assert!(
            align_of::<T>() <= 64,
            "shared values are aligned to 64 bytes at most"
        );
    }
    Class {
        kind: Kind::RwLock,
        fingerprint: Fingerprint::of::<T>(),
        abandon: |object, caller| {
            if let Ok(words) = Places::of(object) {
                let raw = words.raw();
                for (place, cell) in words.readers.iter().enumerate() {
                    if let Some(holder) = caller.as_holder(cell.load(Ordering::Relaxed)) {
                        raw.leave(place, holder.me(), &holder);
                    }
                }
                if let Some(holder) = caller.as_holder(raw.writer.word()) {
                    raw.writer.abandon(&holder);
                    raw.entry.notify(u32::MAX, &holder);
                }
            }
        },
        lends: |object, caller| {
            Places::of(object).is_ok_and(|words| {
                let readers = words.readers.iter();
                let mut holders = readers.map(|cell| cell.load(Ordering::Relaxed));
                caller
                    .as_holder(words.writer.load(Ordering::Relaxed))
                    .is_some()
                    || holders.any(|cell| caller.as_holder(cell).is_some())
            })
        },
    }
}

/// The words of a lock, looked up once.
#[derive(Clone, Debug)]
struct Places {
    writer: Word,
    entry: Word,
    drained: Word,
    readers: Words,
}

impl Places {
    fn of(object: &Object) -> Result<Places> {
        Ok(Places {
            writer: object.word(0)?,
            entry: object.word(8)?,
            drained: object.word(16)?,
            readers: object.words(CELLS_AT, READERS)?,
        })
    }

    #[inline]
    fn raw(&self) -> RawRwLock<'_> {
        RawRwLock {
            writer: RawMutex(&self.writer),
            entry: EventCount(&self.entry),
            drained: EventCount(&self.drained),
            readers: &self.readers,
        }
    }
}

/// A reader-writer lock that protects a value shared by several processes.
///
/// Many threads of many processes read the value at the same time, or one thread
/// changes it.
///
/// # Units and limits
/// The value is [`ShmSafe`], and `Sync`, because its readers refer to it at the same
/// time. At most 64 read guards exist at a time; a further reader waits.
///
/// # Blocking
/// A waiting writer keeps new readers out, so that readers cannot starve it. A thread
/// that holds a read guard and calls `write` gets
/// [`Deadlock`](crate::ErrorKind::Deadlock). A thread that holds a read guard and calls
/// `read` again while a writer waits blocks for ever, because the writer waits for it:
/// use a timeout, or one guard.
///
/// # If a process dies
/// A reader that dies leaves nothing behind. If a writer dies while it holds the lock,
/// `read` and `write` return [`LockError::OwnerDied`] with a guard until a writer calls
/// [`mark_consistent`](RwLockWriteGuard::mark_consistent). A writer that dies while it
/// waits for readers has changed nothing.
///
/// # Across fork and exec
/// As with [`Mutex`](super::Mutex#across-fork-and-exec).
///
/// # Cost
/// Reading: two atomic operations, two fences and no system call. Writing examines all
/// 64 reader cells.
///
/// # Examples
/// ```
/// use procession::sync::RwLock;
/// let limits = RwLock::new([0_u32, 100])?;
/// {
///     let (one, two) = (limits.read().unwrap(), limits.read().unwrap());
///     assert_eq!(one[1], two[1]);
/// }
/// limits.write().unwrap()[1] = 200;
/// assert_eq!(limits.read().unwrap()[1], 200);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// A type with unsynchronised interior mutability anywhere inside does not compile;
/// atomics do:
/// ```compile_fail,E0277
/// use procession::sync::RwLock;
/// let lock = RwLock::new(std::cell::Cell::new(0_u64));
/// ```
/// ```compile_fail,E0277
/// use procession::{shm::ShmSafe, sync::RwLock};
/// #[derive(ShmSafe)]
/// #[repr(C)]
/// struct Counts { all: [std::cell::Cell<u32>; 4] }
/// fn open(name: &str) -> procession::Result<RwLock<Counts>> { RwLock::open(name) }
/// ```
/// ```
/// use procession::{shm::ShmSafe, sync::RwLock};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// #[derive(ShmSafe)]
/// #[repr(C)]
/// struct Counts { all: [AtomicU32; 4] }
/// let counts = RwLock::new(Counts { all: Default::default() })?;
/// counts.read()?.all[2].fetch_add(1, Ordering::Relaxed);
/// assert_eq!(*counts.write()?.all[2].get_mut(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RwLock<T: ShmSafe + Sync> {
    object: Arc<Object>,
    words: Places,
    value: Values<T>,
}

type ReadResult<'a, T> =
    std::result::Result<RwLockReadGuard<'a, T>, LockError<RwLockReadGuard<'a, T>>>;
type WriteResult<'a, T> =
    std::result::Result<RwLockWriteGuard<'a, T>, LockError<RwLockWriteGuard<'a, T>>>;

impl<T: ShmSafe + Sync> RwLock<T> {
    fn make(name: Option<(&str, bool)>, value: T) -> Result<RwLock<T>> {
        let fill = |object: &Object| {
            let place = Values::of(object, VALUE_AT, 1)?;
            // SAFETY: nobody else has the object yet.
            let mut place = unsafe { Exclusive::new(object, place) };
            place.write(0, value);
            Ok(())
        };
        let length = VALUE_AT + size_of::<T>();
        RwLock::from_object(match name {
            None => Object::anonymous(class::<T>(), Extent::fixed(length), fill)?,
            Some((name, open)) => {
                Object::create_named(name, class::<T>(), Extent::fixed(length), open, fill)?
            }
        })
    }

    /// Creates a lock without a name, in shared memory of its own.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): not enough memory
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): too many open files
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// let lock = RwLock::new(7_u32)?;
    /// assert_eq!(*lock.read().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new(value: T) -> Result<RwLock<T>> {
        RwLock::make(None, value)
    }

    /// Creates a lock with a name, by which other processes open it.
    ///
    /// # Errors
    /// As [`new`](RwLock::new), and [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if
    /// an object has this name.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// # let name = &format!("example-rwlock-{}", std::process::id());
    /// let lock = RwLock::create(name, [1_u32, 2])?;
    /// assert_eq!(RwLock::<[u32; 2]>::open(name)?.read().unwrap()[1], 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create(name: &str, value: T) -> Result<RwLock<T>> {
        RwLock::make(Some((name, false)), value)
    }

    /// Opens the lock with this name; creates it with `value` if there is none.
    ///
    /// # Errors
    /// As [`create`](RwLock::create) and [`open`](RwLock::open).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// # let name = &format!("example-rwlock-or-{}", std::process::id());
    /// let first = RwLock::open_or_create(name, 1_u32)?;
    /// let second = RwLock::open_or_create(name, 2_u32)?;
    /// assert_eq!(*second.read().unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, value: T) -> Result<RwLock<T>> {
        RwLock::make(Some((name, true)), value)
    }

    fn from_object(object: Arc<Object>) -> Result<RwLock<T>> {
        super::check_body(&object, VALUE_AT + size_of::<T>())?;
        Ok(RwLock {
            value: Values::of(&object, VALUE_AT, 1)?,
            words: Places::of(&object)?,
            object,
        })
    }

    fn object(&self) -> &Object {
        &self.object
    }

    /// Locks for reading, blocking while a writer holds the lock or waits for it.
    ///
    /// # Errors
    /// See [`LockError`].
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// let lock = RwLock::new(5_u32)?;
    /// let (one, two) = (lock.try_read().unwrap(), lock.try_read().unwrap());
    /// assert!(lock.try_write().is_err());
    /// drop((one, two));
    /// *lock.write().unwrap() += 1;
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{ErrorKind, sync::RwLock};
    /// let lock = RwLock::new(7_u32)?;
    /// let writer = lock.write().unwrap();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(lock.try_read().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(writer);
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::sync::RwLock;
    /// use std::time::Duration;
    /// let lock = RwLock::new(7_u32)?;
    /// assert_eq!(*lock.read_timeout(Duration::from_secs(1)).unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{Deadline, sync::RwLock};
    /// use std::time::Duration;
    /// let lock = RwLock::new(7_u32)?;
    /// let deadline = Deadline::after(Duration::from_secs(1));
    /// assert_eq!(*lock.read_deadline(deadline).unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn read_deadline(&self, deadline: Deadline) -> ReadResult<'_, T> {
        let caller = self.object.caller(deadline)?;
        match self.words.raw().read(&caller) {
            Ok((place, acquired)) => {
                thread::count_held(1);
                let guard = RwLockReadGuard {
                    lock: self,
                    place,
                    owner: caller.me(),
                    // SAFETY: no writer has the lock while this reader is in,
                    // and readers take shared references only.
                    value: unsafe { Exclusive::new(&self.object, self.value) },
                    stays_with_its_thread: PhantomData,
                };
                found(guard, acquired)
            }
            Err(failure) => {
                let label = self.object.label();
                Err(failed(failure, "locking for reading", label, deadline).into())
            }
        }
    }

    /// Locks for writing, blocking until no other thread reads or writes.
    ///
    /// # Errors
    /// See [`LockError`].
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// let lock = RwLock::new(7_u32)?;
    /// *lock.write().unwrap() += 1;
    /// assert_eq!(*lock.read().unwrap(), 8);
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{ErrorKind, sync::RwLock};
    /// let lock = RwLock::new(7_u32)?;
    /// let reader = lock.read().unwrap();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(lock.try_write().unwrap_err().kind(), ErrorKind::WouldBlock));
    /// });
    /// # drop(reader);
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::sync::RwLock;
    /// use std::time::Duration;
    /// let lock = RwLock::new(7_u32)?;
    /// *lock.write_timeout(Duration::from_secs(1)).unwrap() = 8;
    /// # Ok::<(), procession::Error>(())
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
    /// use procession::{Deadline, sync::RwLock};
    /// use std::time::Duration;
    /// let lock = RwLock::new(7_u32)?;
    /// *lock.write_deadline(Deadline::after(Duration::from_secs(1))).unwrap() = 8;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn write_deadline(&self, deadline: Deadline) -> WriteResult<'_, T> {
        let caller = self.object.caller(deadline)?;
        match self.words.raw().write(&caller) {
            Ok(acquired) => {
                thread::count_held(1);
                let guard = RwLockWriteGuard {
                    lock: self,
                    owner: caller.me(),
                    // SAFETY: the lock is held and all readers have left.
                    value: unsafe { Exclusive::new(&self.object, self.value) },
                    panicking: std::thread::panicking(),
                    stays_with_its_thread: PhantomData,
                };
                found(guard, acquired)
            }
            Err(failure) => {
                let label = self.object.label();
                Err(failed(failure, "locking for writing", label, deadline).into())
            }
        }
    }

    /// Returns `true` if a writer panicked and the poison was not cleared since.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// assert!(!RwLock::new(7_u32)?.is_poisoned());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.words.raw().writer.word() & POISONED != 0
    }

    /// Clears the poison that the panic of a writer left.
    ///
    /// # Examples
    /// ```
    /// use procession::sync::RwLock;
    /// let lock = RwLock::new(7_u32)?;
    /// # std::panic::set_hook(Box::new(|_| {}));
    /// let panicked = std::panic::catch_unwind(|| {
    ///     let _guard = lock.write().unwrap();
    ///     panic!("in the middle of a change");
    /// });
    /// assert!(panicked.is_err() && lock.is_poisoned());
    /// lock.clear_poison();
    /// assert!(lock.read().is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn clear_poison(&self) {
        self.words.raw().writer.clear_poison();
    }
}

fn found<G>(guard: G, acquired: Acquired) -> std::result::Result<G, LockError<G>> {
    if acquired.inconsistent {
        return Err(LockError::OwnerDied(guard));
    }
    if acquired.poisoned {
        return Err(LockError::Poisoned(guard));
    }
    Ok(guard)
}

impl<T: ShmSafe + Sync> Clone for RwLock<T> {
    /// Returns another handle of the same lock.
    fn clone(&self) -> RwLock<T> {
        RwLock {
            object: Arc::clone(&self.object),
            words: self.words.clone(),
            value: self.value,
        }
    }
}

/// The right to read the value of a [`RwLock`]. Dropping the guard unlocks.
#[must_use = "if the guard is not kept, the lock is released immediately"]
pub struct RwLockReadGuard<'a, T: ShmSafe + Sync> {
    lock: &'a RwLock<T>,
    place: usize,
    owner: Owner,
    value: Exclusive<'a, T>,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl<T: ShmSafe + Sync> Named for RwLockReadGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.lock.object.kind_and_name()
    }
}

impl<T: ShmSafe + Sync> std::ops::Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value.get()[0]
    }
}

impl<T: ShmSafe + Sync> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // In a process that was forked meanwhile, the place is its parent's.
        if let Some(caller) = self.lock.object.holder()
            && caller.me() == self.owner
        {
            thread::count_held(-1);
            self.lock.words.raw().leave(self.place, self.owner, &caller);
        }
    }
}

/// The right to change the value of a [`RwLock`]. Dropping the guard unlocks.
#[must_use = "if the guard is not kept, the lock is released immediately"]
pub struct RwLockWriteGuard<'a, T: ShmSafe + Sync> {
    lock: &'a RwLock<T>,
    owner: Owner,
    value: Exclusive<'a, T>,
    panicking: bool,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl<T: ShmSafe + Sync> RwLockWriteGuard<'_, T> {
    /// Declares the value consistent after the death of a writer: from now on `read` and
    /// `write` return no [`LockError::OwnerDied`].
    ///
    /// # Examples
    /// ```
    /// use procession::{process, sync::{LockError, RwLock}};
    /// let lock = RwLock::new([1_u32, 1])?;
    /// if let process::Fork::Child = process::fork()? {
    ///     lock.write().unwrap()[0] = 2;
    ///     let mut guard = lock.write().unwrap();
    ///     guard[0] = 3;
    ///     std::process::abort();
    /// }
    /// loop {
    ///     match lock.write() {
    ///         Err(LockError::OwnerDied(mut guard)) => {
    ///             guard[1] = guard[0];
    ///             guard.mark_consistent();
    ///             break;
    ///         }
    ///         // The child has not come so far.
    ///         other => drop(other),
    ///     }
    /// }
    /// assert_eq!(*lock.read().unwrap(), [3, 3]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn mark_consistent(&self) {
        self.lock.words.raw().writer.mark_consistent();
    }
}

impl<T: ShmSafe + Sync> Named for RwLockWriteGuard<'_, T> {
    fn kind_and_name(&self) -> (&'static str, &str) {
        self.lock.object.kind_and_name()
    }
}

impl<T: ShmSafe + Sync> std::ops::Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value.get()[0]
    }
}

impl<T: ShmSafe + Sync> std::ops::DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value.get_mut()[0]
    }
}

impl<T: ShmSafe + Sync> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        if let Some(caller) = self.lock.object.holder()
            && caller.me() == self.owner
        {
            thread::count_held(-1);
            let panicked = std::thread::panicking() && !self.panicking;
            self.lock.words.raw().unlock(panicked, &caller);
        }
    }
}

shared_object!(RwLock<T: ShmSafe, Sync>, class::<T>());

impl<T: ShmSafe + Sync + std::fmt::Debug> std::fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe + Sync + std::fmt::Debug> std::fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ShmSafe + Sync> std::fmt::Debug for RwLock<T> {
    /// Says which it is, and not what it holds: a look would take the lock from others.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RwLock")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
