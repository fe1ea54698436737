//! A counter that a manager owns.

use super::manager::{ManagedObject, Manager, sealed};
use super::objects::counter::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A number that a manager owns, which clients count with and wait for: numbers for jobs that nobody else has, the progress of
/// several processes.
///
/// # If a process dies
/// What it has added stays. A killed one waits no longer. See [the module](super).
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Counter, Manager};
/// use procession::process;
/// let manager = Manager::start()?;
/// let done: Counter = manager.counter(0)?;
/// fn work(done: Counter) -> procession::Result<()> {
///     done.fetch_add(1).map(drop)
/// }
/// let first = process::spawn(work, done.clone())?;
/// let second = process::spawn(work, done.clone())?;
/// done.wait_at_least(2)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Counter {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

impl Manager {
    /// Creates a counter, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let tickets = manager.counter(1)?;
    /// assert_eq!(tickets.fetch_add(1)?, 1);
    /// assert_eq!(tickets.fetch_add(1)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counter(&self, value: i64) -> Result<Counter> {
        let initial = Initial::Count(value);
        Ok(Counter::of(self.create(Counter::shape()?, initial)?))
    }
}

impl Counter {
    #[expect(clippy::unnecessary_wraps, reason = "as those of types with values")]
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Counter, "counter", &[]))
    }

    fn of(proxy: Proxy) -> Counter {
        Counter {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request, deadline: Deadline) -> Result<R> {
        self.proxy.call("calling counter", request, deadline)
    }

    /// Returns the value.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.counter(7)?.get()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self) -> Result<i64> {
        self.ask(&Request::Get, Deadline::NEVER)
    }

    /// Sets the value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(0)?;
    /// counter.set(7)?;
    /// assert_eq!(counter.get()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, value: i64) -> Result<()> {
        self.swap(value).map(drop)
    }

    /// Sets the value and returns the one before.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(3)?;
    /// assert_eq!(counter.swap(0)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn swap(&self, value: i64) -> Result<i64> {
        self.ask(&Request::Swap(value), Deadline::NEVER)
    }

    /// Adds `count`, which may be negative, and returns the value before.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): the sum has more than 64 bits. The value stays as it was; it does not
    /// wrap around, as atomics of std do.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(0)?;
    /// assert_eq!(counter.fetch_add(5)?, 0);
    /// assert_eq!(counter.fetch_add(-2)?, 5);
    /// assert!(counter.fetch_add(i64::MAX).is_err());
    /// assert_eq!(counter.get()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "add")]
    #[doc(alias = "increment")]
    pub fn fetch_add(&self, count: i64) -> Result<i64> {
        self.ask(&Request::Add(count), Deadline::NEVER)
    }

    /// Sets the value if it is `expected`; otherwise returns what it is.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(1)?;
    /// assert_eq!(counter.compare_exchange(2, 3)?, Err(1));
    /// assert_eq!(counter.compare_exchange(1, 3)?, Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_exchange(
        &self,
        expected: i64,
        new: i64,
    ) -> Result<std::result::Result<(), i64>> {
        let request = Request::CompareExchange(expected, new);
        self.ask(&request, Deadline::NEVER)
    }

    /// Blocks until the value is at least `least`; returns the value.
    ///
    /// It returns also if the value falls again before this process is told.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(0)?;
    /// let waiting = counter.clone();
    /// let thread = std::thread::spawn(move || waiting.wait_at_least(3));
    /// (0..3).try_for_each(|_| counter.fetch_add(1).map(drop))?;
    /// assert_eq!(thread.join().unwrap()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_at_least(&self, least: i64) -> Result<i64> {
        self.wait_at_least_deadline(least, Deadline::NEVER)
    }

    /// Fails with [`WouldBlock`](crate::ErrorKind::WouldBlock) unless the value is at least `least`; returns the value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(0)?;
    /// assert!(counter.try_wait_at_least(1).unwrap_err().is_would_block());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_wait_at_least(&self, least: i64) -> Result<i64> {
        self.wait_at_least_deadline(least, Deadline::NOW)
    }

    /// Blocks until the value is at least `least`, at most `timeout`; returns the value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(0)?;
    /// use std::time::Duration;
    /// let late = counter.wait_at_least_timeout(1, Duration::from_millis(1));
    /// assert!(late.unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_at_least_timeout(&self, least: i64, timeout: Duration) -> Result<i64> {
        self.wait_at_least_deadline(least, Deadline::after(timeout))
    }

    /// Blocks until the value is at least `least`, at most until `deadline`; returns the value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let counter = manager.counter(5)?;
    /// assert_eq!(counter.wait_at_least_deadline(1, procession::Deadline::NEVER)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_at_least_deadline(&self, least: i64, deadline: Deadline) -> Result<i64> {
        self.ask(&Request::Wait(least), deadline)
    }
}

super::proxy::traits!(Counter);
