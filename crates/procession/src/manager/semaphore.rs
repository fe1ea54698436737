//! Semaphores of a manager.

use super::grant::Grant;
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::semaphore::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, shape};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Most permits that a semaphore can have.
const MOST: usize = u32::MAX as usize;

/// A counting semaphore of a manager: a number of permits, which threads of several processes
/// acquire and release, as [`sync::Semaphore`](crate::sync::Semaphore).
///
/// # Units and limits
/// At most 4,294,967,295 permits, available and held ones together.
/// [`semaphore_with_capacity`](Manager::semaphore_with_capacity) sets a smaller number.
///
/// # Blocking
/// [`acquire`](Semaphore::acquire) blocks until a permit is available. The semaphore is fair: the permit goes to the
/// thread that has waited longest.
///
/// # If a process dies
/// Exactly its permits become available again, and its waits end. The same happens when a process drops its last proxy of
/// the semaphore. See [the module](super).
///
/// # Across fork and exec
/// A forked child can use the semaphore and holds none of its parent's permits. A semaphore travels; a permit does not.
///
/// # Cost
/// A call to acquire, and a message to release.
///
/// # Examples
/// ```
/// use procession::manager::Manager;
/// let manager = Manager::start()?;
/// let seats = manager.semaphore(2)?;
/// let one = seats.acquire()?;
/// let two = seats.acquire()?;
/// assert!(seats.try_acquire().is_err());
/// drop(one);
/// assert_eq!(seats.available()?, 1);
/// # drop(two);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Semaphore {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

/// A [`Semaphore`] that has at most its initial number of permits: adding one too many
/// returns an error, which reveals a mistake of the program.
///
/// # Examples
/// ```
/// use procession::{ErrorKind, manager::Manager};
/// let manager = Manager::start()?;
/// let seats = manager.bounded_semaphore(2)?;
/// let error = seats.add_permits(1).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::LimitReached);
/// seats.acquire()?.forget()?;
/// seats.add_permits(1)?;
/// # Ok::<(), procession::Error>(())
/// ```
pub struct BoundedSemaphore {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

fn initial(permits: usize, most: usize) -> Result<Initial> {
    if permits > most || most > MOST {
        let error = Error::new(
            ErrorKind::InvalidInput,
            "creating object of manager",
            "semaphore",
        );
        let most = most.min(MOST);
        return Err(error.because(format!("{permits} permits, where {most} are possible")));
    }
    Ok(Initial::Permits {
        permits: permits as u64,
        most: most as u64,
    })
}

impl Manager {
    /// Creates a semaphore with `permits` permits, which goes with its last proxy.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): more than 4,294,967,295 permits
    /// - the manager has ended
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let permits = manager.semaphore(2)?;
    /// assert_eq!(permits.available()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn semaphore(&self, permits: usize) -> Result<Semaphore> {
        self.semaphore_with_capacity(permits, MOST)
    }

    /// Creates a semaphore with `permits` permits, to which more can be added up to
    /// `capacity`.
    ///
    /// # Errors
    /// As [`semaphore`](Manager::semaphore); `permits` is more than `capacity`.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let slots = manager.semaphore_with_capacity(0, 2)?;
    /// slots.add_permits(2)?;
    /// assert!(slots.add_permits(1).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn semaphore_with_capacity(&self, permits: usize, capacity: usize) -> Result<Semaphore> {
        let initial = initial(permits, capacity)?;
        Ok(Semaphore::of(self.create(Semaphore::shape()?, initial)?))
    }

    /// Creates a semaphore with `permits` permits, and never more, which goes with its last proxy.
    ///
    /// # Errors
    /// As [`semaphore`](Manager::semaphore).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let permits = manager.bounded_semaphore(2)?;
    /// assert!(permits.add_permits(1).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bounded_semaphore(&self, permits: usize) -> Result<BoundedSemaphore> {
        let initial = initial(permits, permits)?;
        let proxy = self.create(BoundedSemaphore::shape()?, initial)?;
        Ok(BoundedSemaphore::of(proxy))
    }
}

macro_rules! managed_semaphore {
    ($type:ident, $new:ident, $what:literal) => {
        impl $type {
            fn shape() -> Result<Shape> {
                Ok(shape(ObjectKind::$type, $what, &[]))
            }

            fn of(proxy: Proxy) -> $type {
                $type {
                    proxy: Arc::new(proxy),
                    types: PhantomData,
                }
            }

            /// Acquires a permit, blocking until one is available.
            ///
            /// # Errors
            /// The manager has ended.
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            #[doc = concat!("let permits = manager.", stringify!($new), "(1)?;")]
            /// let permit = permits.acquire()?;
            /// assert_eq!(permits.available()?, 0);
            /// drop(permit);
            /// assert_eq!(permits.available()?, 1);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn acquire(&self) -> Result<Permit<'_>> {
                self.acquire_deadline(Deadline::NEVER)
            }

            /// Acquires a permit if one is available.
            ///
            /// # Errors
            /// As [`acquire`](Self::acquire), and [`WouldBlock`](ErrorKind::WouldBlock) if
            /// none is.
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            #[doc = concat!("let permits = manager.", stringify!($new), "(1)?;")]
            /// let permit = permits.try_acquire()?;
            /// assert!(permits.try_acquire().unwrap_err().is_would_block());
            /// # drop(permit);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn try_acquire(&self) -> Result<Permit<'_>> {
                self.acquire_deadline(Deadline::NOW)
            }

            /// Acquires a permit, blocking at most `timeout`.
            ///
            /// # Errors
            /// As [`acquire`](Self::acquire), and [`TimedOut`](ErrorKind::TimedOut).
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            /// use std::time::Duration;
            #[doc = concat!("let permits = manager.", stringify!($new), "(0)?;")]
            /// let late = permits.acquire_timeout(Duration::from_millis(1));
            /// assert!(late.unwrap_err().is_timeout());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
                self.acquire_deadline(Deadline::after(timeout))
            }

            /// Acquires a permit, blocking at most until `deadline`.
            ///
            /// # Errors
            /// As [`acquire_timeout`](Self::acquire_timeout).
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            /// use procession::Deadline;
            #[doc = concat!("let permits = manager.", stringify!($new), "(1)?;")]
            /// let _permit = permits.acquire_deadline(Deadline::NEVER)?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn acquire_deadline(&self, deadline: Deadline) -> Result<Permit<'_>> {
                let operation = "acquiring permit";
                let token = self.proxy.call(operation, &Request::Acquire, deadline)?;
                Ok(Permit {
                    grant: Grant::new(&self.proxy, token),
                })
            }

            /// Adds `count` permits and wakes as many threads that wait.
            ///
            /// # Errors
            /// [`LimitReached`](ErrorKind::LimitReached): the sum would exceed the
            /// capacity; no permit was added.
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            #[doc = concat!("let permits = manager.", stringify!($new), "(1)?;")]
            /// permits.acquire()?.forget()?;
            /// permits.add_permits(1)?;
            /// assert_eq!(permits.available()?, 1);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn add_permits(&self, count: usize) -> Result<()> {
                let request = Request::Add(count as u64);
                self.proxy.call("adding permits", &request, Deadline::NEVER)
            }

            /// Returns the number of permits that are available at this moment.
            ///
            /// # Errors
            /// The manager has ended.
            ///
            /// # Examples
            /// ```
            /// # use procession::manager::Manager;
            /// # let manager = Manager::start()?;
            #[doc = concat!("let permits = manager.", stringify!($new), "(2)?;")]
            /// assert_eq!(permits.available()?, 2);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn available(&self) -> Result<usize> {
                let operation = "counting permits";
                let proxy = &self.proxy;
                let count: u64 = proxy.call(operation, &Request::Available, Deadline::NEVER)?;
                Ok(usize::try_from(count).unwrap_or(usize::MAX))
            }
        }

        super::proxy::traits!($type);
    };
}

managed_semaphore!(Semaphore, semaphore, "semaphore");
managed_semaphore!(BoundedSemaphore, bounded_semaphore, "bounded semaphore");

/// A permit of a semaphore of a manager. Dropping it, or the end of its process, releases it.
#[derive(Debug)]
#[must_use = "if the permit is not kept, it is released immediately"]
pub struct Permit<'a> {
    grant: Grant<'a>,
}

impl Permit<'_> {
    /// Returns a number that grows with each permit that is acquired from the semaphore.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let permits = manager.semaphore(2)?;
    /// let first = permits.acquire()?;
    /// assert!(permits.acquire()?.token() > first.token());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> u64 {
        self.grant.token
    }

    /// Consumes the permit: the semaphore has one permit less until
    /// [`add_permits`](Semaphore::add_permits). In a forked child, nothing happens.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let permits = manager.semaphore(2)?;
    /// permits.acquire()?.forget()?;
    /// assert_eq!(permits.available()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(self) -> Result<()> {
        let token = self.grant.token;
        let told = self.grant.tell(&Request::Forget { token });
        std::mem::forget(self);
        told
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let token = self.grant.token;
        let _ = self.grant.tell(&Request::Release { token });
    }
}
