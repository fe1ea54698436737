//! Counting semaphores.
//!
//! ```text
//!   0       8          16       24       32          64
//! ┌───────┬──────────┬────────┬────────┬─ ─ ─ ─ ─ ─┬────────┬────────┬─ ─
//! │waiters│ used     │ most   │ bound  │           │ cell 0 │ cell 1 │
//! └───────┴──────────┴────────┴────────┴─ ─ ─ ─ ─ ─┴────────┴────────┴─ ─
//! ```

use super::error::failed;
use crate::registry::thread;
use crate::shm::{Class, Extent, Fingerprint, Kind, Object, shared_object};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::event_count::EventCount;
use procession_core::permits::Permits;
use procession_core::{Failure, Owner, Platform};
use procession_sys::memory::{Word, Words};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CELLS_AT: usize = 64;

/// Cells of a semaphore that is to start with fewer permits.
const FEWEST_CELLS: usize = 1000;

/// Most permits that a semaphore can have.
const MOST_CELLS: usize = 1 << 20;

const fn class(kind: Kind) -> Class {
    Class {
        kind,
        fingerprint: Fingerprint::NONE,
        abandon: |object, caller| {
            if let Ok(words) = Permitted::of(object) {
                for (place, cell) in words.cells.iter().enumerate() {
                    if let Some(holder) = caller.as_holder(cell.load(Ordering::Relaxed)) {
                        words.permits().release(place, holder.me(), &holder);
                    }
                }
            }
        },
        // A permit refers to nothing that is shared.
        lends: |_, _| false,
    }
}

/// The words of a semaphore, looked up once.
#[derive(Clone, Debug)]
struct Permitted {
    waiters: Word,
    used: Word,
    bound: Word,
    cells: Words,
}

impl Permitted {
    fn of(object: &Object) -> Result<Permitted> {
        super::check_body(object, CELLS_AT)?;
        let most = object.word(16)?.load(Ordering::Relaxed);
        let room = (object.body().len() - CELLS_AT) / 8;
        let most = usize::try_from(most).map_or(room, |most| most.min(room));
        Ok(Permitted {
            waiters: object.word(0)?,
            used: object.word(8)?,
            bound: object.word(24)?,
            cells: object.words(CELLS_AT, most)?,
        })
    }

    #[inline]
    fn permits(&self) -> Permits<'_> {
        Permits {
            waiters: EventCount(&self.waiters),
            used: &self.used,
            cells: &self.cells,
        }
    }
}

/// What both semaphores are.
#[derive(Clone, Debug)]
struct Shared {
    object: Arc<Object>,
    words: Permitted,
}

impl Shared {
    fn of(object: Arc<Object>) -> Result<Shared> {
        Ok(Shared {
            words: Permitted::of(&object)?,
            object,
        })
    }

    fn create(
        kind: Kind,
        name: Option<(&str, bool)>,
        permits: usize,
        most: usize,
    ) -> Result<Shared> {
        let most = most.max(permits);
        if most > MOST_CELLS {
            return Err(
                Error::new(ErrorKind::InvalidInput, "creating semaphore", "")
                    .because(format!("{most} permits are more than {MOST_CELLS}")),
            );
        }
        let fill = |object: &Object| {
            let body = object.body();
            body.atomic_u64(8).store(permits as u64, Ordering::Relaxed);
            body.atomic_u64(16).store(most as u64, Ordering::Relaxed);
            body.atomic_u64(24).store(permits as u64, Ordering::Relaxed);
            for cell in body.atomic_u64s(CELLS_AT, permits) {
                cell.store(procession_core::permits::PERMIT, Ordering::Relaxed);
            }
            Ok(())
        };
        let length = CELLS_AT + most * 8;
        let object = match name {
            None => Object::anonymous(class(kind), Extent::fixed(length), fill)?,
            Some((name, open)) => {
                Object::create_named(name, class(kind), Extent::fixed(length), open, fill)?
            }
        };
        Shared::of(object)
    }

    #[inline]
    fn acquire(&self, deadline: Deadline) -> Result<Permit<'_>> {
        if let Some(me) = self.object.me()
            && let Some(place) = self.words.permits().take_free(me)
        {
            return Ok(self.permit(place, me));
        }
        self.acquire_slow(deadline)
    }

    #[cold]
    fn acquire_slow(&self, deadline: Deadline) -> Result<Permit<'_>> {
        let caller = self.object.caller(deadline)?;
        match self.words.permits().acquire(&caller) {
            Ok(place) => Ok(self.permit(place, caller.me())),
            Err(failure) => {
                let label = self.object.label();
                Err(failed(failure, "acquiring permit", label, deadline))
            }
        }
    }

    #[inline]
    fn permit(&self, place: usize, owner: Owner) -> Permit<'_> {
        thread::count_held(1);
        Permit {
            shared: self,
            place,
            owner,
            stays_with_its_thread: PhantomData,
        }
    }

    fn add(&self, count: usize, bound: Option<usize>) -> Result<()> {
        let caller = self.object.caller(Deadline::NOW)?;
        let permits = self.words.permits();
        let most = bound.unwrap_or(permits.cells.len());
        let full = || {
            let label = self.object.label();
            failed(Failure::Full, "adding permits", label, Deadline::NOW)
                .because(format!("there can be {most} at most"))
        };
        if permits.total().saturating_add(count) > most {
            return Err(full());
        }
        permits.add(count, &caller).map_err(|_| full())
    }
}

/// A counting semaphore: a number of permits, which threads of several processes acquire
/// and release.
///
/// # Units and limits
/// The capacity is the greater of 1,000 and the initial number of permits;
/// [`with_capacity`](Semaphore::with_capacity) sets another one, at most 1,048,576. Each
/// permit takes eight bytes of shared memory.
///
/// # Blocking
/// [`acquire`](Semaphore::acquire) blocks until a permit is available. The semaphore is
/// not fair.
///
/// # If a process dies
/// Exactly its permits become available again. Threads that wait notice it. The death of
/// a process that waits has no effect on others.
///
/// # Across fork and exec
/// A forked child can use the semaphore and holds none of its parent's permits.
///
/// # Cost
/// One atomic operation to acquire an available permit, after reading the cells before
/// it; one to release it. No system call without contention.
///
/// # Examples
/// ```
/// use procession::sync::Semaphore;
/// let seats = Semaphore::new(2)?;
/// let one = seats.acquire()?;
/// let two = seats.acquire()?;
/// assert!(seats.try_acquire().is_err());
/// drop(one);
/// assert_eq!(seats.available()?, 1);
/// # drop(two);
/// # Ok::<(), procession::Error>(())
/// ```
/// As a counter of finished items, where no thread owns a permit:
/// ```
/// use procession::{process, sync::Semaphore};
/// let ready = Semaphore::new(0)?;
/// fn produce(ready: Semaphore) { ready.add_permits(3).unwrap() }
/// let mut producer = process::spawn(produce, ready.clone())?;
/// for _ in 0..3 {
///     ready.acquire()?.forget();
/// }
/// producer.join().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    shared: Shared,
}

/// A [`Semaphore`] that has at most its initial number of permits: adding one too many
/// returns an error, which reveals a mistake of the program.
///
/// # Examples
/// ```
/// use procession::{ErrorKind, sync::BoundedSemaphore};
/// let seats = BoundedSemaphore::new(2)?;
/// let error = seats.add_permits(1).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::LimitReached);
/// seats.acquire()?.forget();
/// seats.add_permits(1)?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BoundedSemaphore {
    shared: Shared,
}

macro_rules! semaphore {
    ($type:ident, $kind:expr, $bound:expr, $most:expr) => {
        impl $type {
            /// Creates a semaphore with `permits` permits, without a name.
            ///
            /// # Errors
            /// - [`InvalidInput`](ErrorKind::InvalidInput): more than 1,048,576 permits
            /// - [`NoSpace`](ErrorKind::NoSpace): not enough memory
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let permits = ", stringify!($type), "::new(2)?;")]
            /// assert_eq!(permits.available()?, 2);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn new(permits: usize) -> Result<$type> {
                let shared = Shared::create($kind, None, permits, $most)?;
                Ok($type { shared })
            }

            /// Creates a semaphore with a name, by which other processes open it.
            ///
            /// # Errors
            /// As [`new`](Self::new), and
            /// [`AlreadyExists`](ErrorKind::AlreadyExists) if an object has this name.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let name = format!(\"doc-create-", stringify!($type), "-{}\", std::process::id());")]
            #[doc = concat!("let permits = ", stringify!($type), "::create(&name, 2)?;")]
            #[doc = concat!("let same = ", stringify!($type), "::open(&name)?;")]
            /// same.acquire()?.forget();
            /// assert_eq!(permits.available()?, 1);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn create(name: &str, permits: usize) -> Result<$type> {
                let shared = Shared::create($kind, Some((name, false)), permits, $most)?;
                Ok($type { shared })
            }

            /// Opens the semaphore with this name; creates it with `permits` permits if
            /// there is none.
            ///
            /// # Errors
            /// As [`create`](Self::create) and [`open`](Self::open).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let name = format!(\"doc-or-create-", stringify!($type), "-{}\", std::process::id());")]
            #[doc = concat!("let permits = ", stringify!($type), "::open_or_create(&name, 2)?;")]
            #[doc = concat!("let same = ", stringify!($type), "::open_or_create(&name, 5)?;")]
            /// assert_eq!(same.available()?, 2);
            /// # drop(permits);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn open_or_create(name: &str, permits: usize) -> Result<$type> {
                let shared = Shared::create($kind, Some((name, true)), permits, $most)?;
                Ok($type { shared })
            }

            fn from_object(object: Arc<Object>) -> Result<$type> {
                let shared = Shared::of(object)?;
                Ok($type { shared })
            }

            fn object(&self) -> &Object {
                &self.shared.object
            }

            /// Acquires a permit, blocking until one is available.
            ///
            /// # Errors
            /// Those of registering this process as a user of the semaphore, such as
            /// [`LimitReached`](ErrorKind::LimitReached).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let permits = ", stringify!($type), "::new(1)?;")]
            /// let permit = permits.acquire()?;
            /// assert_eq!(permits.available()?, 0);
            /// drop(permit);
            /// assert_eq!(permits.available()?, 1);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[inline]
            pub fn acquire(&self) -> Result<Permit<'_>> {
                self.shared.acquire(Deadline::NEVER)
            }

            /// Acquires a permit if one is available.
            ///
            /// # Errors
            /// As [`acquire`](Self::acquire), and [`WouldBlock`](ErrorKind::WouldBlock) if
            /// none is.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let permits = ", stringify!($type), "::new(1)?;")]
            /// let permit = permits.try_acquire()?;
            /// assert!(permits.try_acquire().unwrap_err().is_would_block());
            /// # drop(permit);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn try_acquire(&self) -> Result<Permit<'_>> {
                self.shared.acquire(Deadline::NOW)
            }

            /// Acquires a permit, blocking at most `timeout`.
            ///
            /// # Errors
            /// As [`acquire`](Self::acquire), and [`TimedOut`](ErrorKind::TimedOut).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            /// use std::time::Duration;
            #[doc = concat!("let permits = ", stringify!($type), "::new(0)?;")]
            /// let late = permits.acquire_timeout(Duration::from_millis(1));
            /// assert!(late.unwrap_err().is_timeout());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
                self.shared.acquire(Deadline::after(timeout))
            }

            /// Acquires a permit, blocking at most until `deadline`.
            ///
            /// # Errors
            /// As [`acquire_timeout`](Self::acquire_timeout).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            /// use procession::Deadline;
            #[doc = concat!("let permits = ", stringify!($type), "::new(1)?;")]
            /// let _permit = permits.acquire_deadline(Deadline::NEVER)?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn acquire_deadline(&self, deadline: Deadline) -> Result<Permit<'_>> {
                self.shared.acquire(deadline)
            }

            /// Adds `count` permits and wakes as many threads that wait.
            ///
            /// # Errors
            /// [`LimitReached`](ErrorKind::LimitReached): the sum would exceed the
            /// capacity; no permit was added.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let permits = ", stringify!($type), "::new(1)?;")]
            /// permits.acquire()?.forget();
            /// permits.add_permits(1)?;
            /// assert_eq!(permits.available()?, 1);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn add_permits(&self, count: usize) -> Result<()> {
                let bound = self.shared.words.bound.load(Ordering::Relaxed);
                let bound: Option<usize> = $bound(bound);
                self.shared.add(count, bound)
            }

            /// Returns the number of permits that are available at this moment,
            /// including those of dead processes.
            ///
            /// # Errors
            /// As [`acquire`](Self::acquire).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use procession::sync::", stringify!($type), ";")]
            #[doc = concat!("let permits = ", stringify!($type), "::new(2)?;")]
            /// assert_eq!(permits.available()?, 2);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn available(&self) -> Result<usize> {
                let caller = self.shared.object.caller(Deadline::NOW)?;
                Ok(self.shared.words.permits().available(&caller))
            }
        }

        shared_object!($type, class($kind));
    };
}

semaphore!(Semaphore, Kind::Semaphore, |_| None, FEWEST_CELLS);
semaphore!(
    BoundedSemaphore,
    Kind::BoundedSemaphore,
    |bound| usize::try_from(bound).ok(),
    0
);

impl Semaphore {
    /// Creates a semaphore with `permits` permits, to which more can be added up to
    /// `capacity`, without a name.
    ///
    /// # Errors
    /// As [`new`](Semaphore::new).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Semaphore;
    /// let slots = Semaphore::with_capacity(0, 2)?;
    /// slots.add_permits(2)?;
    /// assert!(slots.add_permits(1).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn with_capacity(permits: usize, capacity: usize) -> Result<Semaphore> {
        let shared = Shared::create(Kind::Semaphore, None, permits, capacity)?;
        Ok(Semaphore { shared })
    }
}

/// A permit of a semaphore. Dropping it, or the end of its process, releases it.
#[derive(Debug)]
#[must_use = "if the permit is not kept, it is released immediately"]
pub struct Permit<'a> {
    shared: &'a Shared,
    place: usize,
    owner: Owner,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl Permit<'_> {
    /// Consumes the permit: the semaphore has one permit less until
    /// [`add_permits`](Semaphore::add_permits).
    ///
    /// # Examples
    /// ```
    /// use procession::sync::Semaphore;
    /// let permits = Semaphore::new(2)?;
    /// permits.acquire()?.forget();
    /// assert_eq!(permits.available()?, 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn forget(self) {
        // Not in a process that was forked meanwhile.
        if self.shared.object.me() == Some(self.owner) {
            thread::count_held(-1);
            self.shared.words.permits().forget(self.place, self.owner);
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.shared.object.me() != Some(self.owner) {
            return;
        }
        thread::count_held(-1);
        let permits = self.shared.words.permits();
        if !permits.give_back(self.place, self.owner) {
            self.notify();
        }
    }
}

impl Permit<'_> {
    #[cold]
    fn notify(&self) {
        if let Some(caller) = self.shared.object.holder() {
            self.shared.words.permits().waiters.notify(1, &caller);
        }
    }
}
