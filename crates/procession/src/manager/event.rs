//! An event of a manager.

use super::manager::{ManagedObject, Manager, sealed};
use super::objects::event::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A flag that processes wait for, as [`sync::Event`](crate::sync::Event).
///
/// # If a process dies
/// A killed one waits no longer. See [the module](super).
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Event, Manager};
/// let manager = Manager::start()?;
/// let start = manager.event()?;
/// assert!(start.try_wait().unwrap_err().is_would_block());
/// start.set()?;
/// start.wait()?;
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Event {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

impl Manager {
    /// Creates an event that is not set, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let event = manager.event()?;
    /// assert!(!event.is_set()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn event(&self) -> Result<Event> {
        Ok(Event::of(self.create(Event::shape()?, Initial::Empty)?))
    }
}

impl Event {
    #[expect(clippy::unnecessary_wraps, reason = "as those of types with values")]
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Event, "event", &[]))
    }

    fn of(proxy: Proxy) -> Event {
        Event {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request, deadline: Deadline) -> Result<R> {
        self.proxy.call("calling event", request, deadline)
    }

    /// Sets the event, and wakes all that wait for it.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// event.set()?;
    /// event.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self) -> Result<()> {
        self.ask(&Request::Set, Deadline::NEVER)
    }

    /// Clears the event.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// event.set()?;
    /// event.clear()?;
    /// assert!(!event.is_set()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        self.ask(&Request::Clear, Deadline::NEVER)
    }

    /// Returns `true` if the event is set.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// assert!(!event.is_set()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_set(&self) -> Result<bool> {
        self.ask(&Request::IsSet, Deadline::NEVER)
    }

    /// Blocks until it is set.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// let waiting = event.clone();
    /// let thread = std::thread::spawn(move || waiting.wait());
    /// event.set()?;
    /// thread.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Fails with [`WouldBlock`](crate::ErrorKind::WouldBlock) unless it is set.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// assert!(event.try_wait().unwrap_err().is_would_block());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Blocks until it is set, at most `timeout`.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// use std::time::Duration;
    /// assert!(event.wait_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Blocks until it is set, at most until `deadline`.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let event = manager.event()?;
    /// use procession::Deadline;
    /// use std::time::Duration;
    /// let soon = Deadline::after(Duration::from_millis(1));
    /// assert!(event.wait_deadline(soon).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        self.ask(&Request::Wait, deadline)
    }
}

super::proxy::traits!(Event);
