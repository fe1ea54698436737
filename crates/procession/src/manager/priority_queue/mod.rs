//! A queue with priorities that a manager owns.

mod receive;
mod send;

use super::manager::{ManagedObject, Manager, sealed};
use super::objects::queue::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::queue::{ErrorObject, Messaging};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A queue that a manager owns, from which the message with the highest priority is received first, and of several the one
/// that was sent first.
///
/// # Units and limits
/// Priorities are numbers from 0, the lowest, on. Messages with high priorities keep those below waiting for as long as they come. If the
/// queue is full, the sender with the highest priority is the next one to have room.
///
/// # If a process dies
/// A message that a killed process had received and not acknowledged goes to another receiver, before all others of its priority,
/// and says so ([`Delivery::is_redelivered`](super::Delivery::is_redelivered)): each message is dealt with at least once. See [the module](super).
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, PriorityQueue};
/// let manager = Manager::start()?;
/// let jobs: PriorityQueue<String> = manager.priority_queue()?;
/// jobs.send(0, "sweep the floor".to_owned())?;
/// jobs.send(2, "put out the fire".to_owned())?;
/// assert_eq!(jobs.recv()?, (2, "put out the fire".to_owned()));
/// assert_eq!(jobs.recv()?.0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PriorityQueue<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl<T> Messaging for PriorityQueue<T> {
    #[cold]
    fn error_object(&self) -> ErrorObject {
        ErrorObject::queue(self.proxy.name())
    }
}

type Outcome<T, E> = std::result::Result<T, E>;

impl Manager {
    /// Creates a queue with priorities that takes as many messages as come.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let queue = manager.priority_queue::<String>()?;
    /// queue.send(0, "work".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority_queue<T: Serialize + DeserializeOwned>(&self) -> Result<PriorityQueue<T>> {
        let initial = Initial::Capacity(0);
        Ok(PriorityQueue::of(
            self.create(PriorityQueue::<T>::shape()?, initial)?,
        ))
    }

    /// Creates a queue with priorities of at most `capacity` messages, which is at least one.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let queue = manager.bounded_priority_queue(1)?;
    /// queue.send(0, 1)?;
    /// assert!(queue.try_send(9, 2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bounded_priority_queue<T: Serialize + DeserializeOwned>(
        &self,
        capacity: usize,
    ) -> Result<PriorityQueue<T>> {
        let initial = Initial::Capacity(capacity.max(1) as u64);
        Ok(PriorityQueue::of(
            self.create(PriorityQueue::<T>::shape()?, initial)?,
        ))
    }
}

impl<T: Serialize + DeserializeOwned> PriorityQueue<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(
            ObjectKind::PriorityQueue,
            "priority queue",
            &[schema_of::<T>()?],
        ))
    }

    fn of(proxy: Proxy) -> PriorityQueue<T> {
        PriorityQueue {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &Request,
        deadline: Deadline,
    ) -> Result<R> {
        self.proxy.call(operation, request, deadline)
    }

    /// Returns the number of messages that wait for a receiver.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(0, 1)?;
    /// assert_eq!(queue.len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        let length: u64 = self.ask("calling queue", &Request::Len, Deadline::NEVER)?;
        Ok(length as usize)
    }

    /// Returns `true` if no message waits for a receiver.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// assert!(queue.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Blocks until every message that was sent is acknowledged.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(0, 1)?;
    /// let worker = queue.clone();
    /// let thread = std::thread::spawn(move || worker.recv());
    /// queue.join()?;
    /// assert_eq!(thread.join().unwrap()?, (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(&self) -> Result<()> {
        self.join_deadline(Deadline::NEVER)
    }

    /// Fails with [`WouldBlock`](crate::ErrorKind::WouldBlock) unless every message that was sent is acknowledged.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(0, 1)?;
    /// assert!(queue.try_join().unwrap_err().is_would_block());
    /// queue.recv()?;
    /// queue.try_join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_join(&self) -> Result<()> {
        self.join_deadline(Deadline::NOW)
    }

    /// Blocks until every message that was sent is acknowledged, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); the manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.join_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Blocks until every message that was sent is acknowledged, at most until `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); the manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.join_deadline(procession::Deadline::NEVER)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_deadline(&self, deadline: Deadline) -> Result<()> {
        self.ask("joining queue", &Request::Join, deadline)
    }
}

super::proxy::traits!(PriorityQueue<T>);
