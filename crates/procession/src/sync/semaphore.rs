//! So many at a time.
//!
//! ```text
//!   0       8          16       24       32          64
//! ┌───────┬──────────┬────────┬────────┬─ ─ ─ ─ ─ ─┬────────┬────────┬─ ─
//! │ gate  │ used     │ most   │ bound  │           │ cell 0 │ cell 1 │
//! └───────┴──────────┴────────┴────────┴─ ─ ─ ─ ─ ─┴────────┴────────┴─ ─
//! ```

use super::error::failed;
use crate::registry::thread;
use crate::shm::{Class, Fingerprint, Kind, Object, shared_object};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::gate::Gate;
use procession_core::permits::Permits;
use procession_core::{Failure, Owner, Platform};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CELLS_AT: usize = 64;

/// Cells of a semaphore that is to start with fewer permits.
const FEWEST_CELLS: usize = 64;

/// Most permits that a semaphore can have.
const MOST_CELLS: usize = 1 << 20;

const fn class(kind: Kind) -> Class {
    Class {
        kind,
        fingerprint: Fingerprint::NONE,
        abandon: |object, caller| {
            let permits = permits(object);
            for place in 0..permits.cells.len() {
                permits.release(place, caller.me(), caller);
            }
        },
    }
}

#[inline]
fn permits(object: &Object) -> Permits<'_> {
    let body = object.body();
    let most = body.atomic_u64(16).load(Ordering::Relaxed);
    let room = (body.len() - CELLS_AT) / 8;
    let most = usize::try_from(most).map_or(room, |most| most.min(room));
    Permits {
        gate: Gate(body.atomic_u64(0)),
        used: body.atomic_u64(8),
        cells: body.atomic_u64s(CELLS_AT, most),
    }
}

fn check(object: &Object) -> Result<()> {
    super::check_body(object, CELLS_AT)
}

fn create(
    kind: Kind,
    name: Option<(&str, bool)>,
    permits: usize,
    most: usize,
) -> Result<Arc<Object>> {
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
        None => Object::anonymous(class(kind), length, fill)?,
        Some((name, open)) => Object::create_named(name, class(kind), length, open, fill)?,
    };
    check(&object)?;
    Ok(object)
}

#[inline]
fn acquire<'a>(object: &'a Object, deadline: Deadline) -> Result<Permit<'a>> {
    let caller = object.caller(deadline)?;
    match permits(object).acquire(&caller) {
        Ok(place) => {
            thread::count_held(1);
            Ok(Permit {
                object,
                place,
                owner: caller.me(),
                stays_with_its_thread: PhantomData,
            })
        }
        Err(failure) => Err(failed(
            failure,
            "acquiring permit",
            object.label(),
            deadline,
        )),
    }
}

fn add(object: &Object, count: usize, bound: Option<usize>) -> Result<()> {
    let operation = "adding permits";
    let caller = object.caller(Deadline::NOW)?;
    let permits = permits(object);
    let most = bound.unwrap_or(permits.cells.len());
    let full = || {
        failed(Failure::Full, operation, object.label(), Deadline::NOW)
            .because(format!("it has room for {most} permits"))
    };
    if permits.total().saturating_add(count) > most {
        return Err(full());
    }
    for _ in 0..count {
        permits.add(&caller).map_err(|_| full())?;
    }
    Ok(())
}

/// A number of permits: whoever has one may go on.
///
/// # Units and limits
/// Permits are counted; there can be as many as it was made with, at least 64,
/// or as many as [`with_capacity`](Semaphore::with_capacity) says, up to
/// 1,048,576. Each takes eight bytes.
///
/// # Blocking
/// [`acquire`](Semaphore::acquire) waits for a permit, without fairness.
///
/// # If a process dies
/// Its permits are free again, exactly those. Whoever needs one finds out; the
/// death of somebody who waits disturbs nobody.
///
/// # Across fork and exec
/// A forked child has the semaphore, and none of its parent's permits.
///
/// # Cost
/// One atomic operation to take a free permit and one to give it back, and a
/// look at each cell before it finds a free one; no system call.
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
/// As a counter of things that are ready, where nobody owns anything:
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
    object: Arc<Object>,
}

/// A [`Semaphore`] that never has more permits than it began with: to add one
/// too many is an error, which shows a mistake of the program.
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
    object: Arc<Object>,
}

macro_rules! semaphore {
    ($type:ident, $kind:expr, $bound:expr, $most:expr) => {
        impl $type {
            /// Makes one with so many permits, without a name.
            ///
            /// # Errors
            /// [`InvalidInput`](ErrorKind::InvalidInput): more than there can be;
            /// [`NoSpace`](ErrorKind::NoSpace).
            pub fn new(permits: usize) -> Result<$type> {
                let object = create($kind, None, permits, $most)?;
                Ok($type { object })
            }

            /// Makes one with a name.
            ///
            /// # Errors
            /// As [`new`](Self::new), and
            /// [`AlreadyExists`](ErrorKind::AlreadyExists).
            pub fn create(name: &str, permits: usize) -> Result<$type> {
                let object = create($kind, Some((name, false)), permits, $most)?;
                Ok($type { object })
            }

            /// Opens the one of this name, or makes it with so many permits.
            ///
            /// # Errors
            /// As [`create`](Self::create) and [`open`](Self::open).
            pub fn open_or_create(name: &str, permits: usize) -> Result<$type> {
                let object = create($kind, Some((name, true)), permits, $most)?;
                Ok($type { object })
            }

            fn from_object(object: Arc<Object>) -> Result<$type> {
                check(&object)?;
                Ok($type { object })
            }

            fn object(&self) -> &Object {
                &self.object
            }

            /// Takes a permit, waiting for one.
            ///
            /// # Errors
            /// The process could not join the users of the semaphore.
            #[inline]
            pub fn acquire(&self) -> Result<Permit<'_>> {
                acquire(&self.object, Deadline::NEVER)
            }

            /// Takes a permit if there is one.
            ///
            /// # Errors
            /// [`WouldBlock`](ErrorKind::WouldBlock).
            pub fn try_acquire(&self) -> Result<Permit<'_>> {
                acquire(&self.object, Deadline::NOW)
            }

            /// Takes a permit, waiting so long at most.
            ///
            /// # Errors
            /// [`TimedOut`](ErrorKind::TimedOut).
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
                acquire(&self.object, Deadline::after(timeout))
            }

            /// Takes a permit, waiting until then at most.
            ///
            /// # Errors
            /// [`TimedOut`](ErrorKind::TimedOut).
            pub fn acquire_deadline(&self, deadline: Deadline) -> Result<Permit<'_>> {
                acquire(&self.object, deadline)
            }

            /// Adds permits, and wakes those who wait for them.
            ///
            /// # Errors
            /// [`LimitReached`](ErrorKind::LimitReached): there can be no more.
            pub fn add_permits(&self, count: usize) -> Result<()> {
                let bound = self.object.body().atomic_u64(24).load(Ordering::Relaxed);
                let bound: Option<usize> = $bound(bound);
                add(&self.object, count, bound)
            }

            /// How many permits are free at this moment, those of the dead
            /// included.
            ///
            /// # Errors
            /// The process could not join the users of the semaphore.
            pub fn available(&self) -> Result<usize> {
                let caller = self.object.caller(Deadline::NOW)?;
                Ok(permits(&self.object).available(&caller))
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
    /// Makes one without a name that can come to have `capacity` permits.
    ///
    /// # Errors
    /// As [`new`](Semaphore::new).
    pub fn with_capacity(permits: usize, capacity: usize) -> Result<Semaphore> {
        let object = create(Kind::Semaphore, None, permits, capacity)?;
        Ok(Semaphore { object })
    }
}

/// A permit of a semaphore, given back when dropped, or when its process ends.
#[derive(Debug)]
#[must_use = "the permit is given back at once"]
pub struct Permit<'a> {
    object: &'a Object,
    place: usize,
    owner: Owner,
    stays_with_its_thread: PhantomData<*const ()>,
}

impl Permit<'_> {
    /// Uses the permit up: the semaphore has one less, until somebody adds one.
    pub fn forget(self) {
        if self.is_ours() {
            thread::count_held(-1);
            permits(self.object).forget(self.place, self.owner);
        }
        std::mem::forget(self);
    }

    /// Not in a process that was forked meanwhile.
    #[inline]
    fn is_ours(&self) -> bool {
        let holder = self.object.holder();
        holder.is_some_and(|caller| caller.me().process() == self.owner.process())
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(caller) = self.object.holder()
            && caller.me().process() == self.owner.process()
        {
            thread::count_held(-1);
            permits(self.object).release(self.place, self.owner, &caller);
        }
    }
}
