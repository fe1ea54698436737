//! A queue that a manager owns.

mod as_queue;
pub(super) mod calls;
mod delivery;
mod receive;
mod send;

pub use delivery::Delivery;

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

/// A queue that a manager owns: every proxy sends and receives.
///
/// # If a process dies
/// A message that a killed process had received and not acknowledged goes to another receiver, before all others,
/// and says so ([`Delivery::is_redelivered`]): each message is dealt with at least once. See [the module](super).
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, Queue};
/// use procession::process;
/// let manager = Manager::start()?;
/// let jobs: Queue<u32> = manager.queue()?;
/// let results: Queue<u32> = manager.queue()?;
/// fn work((jobs, results): (Queue<u32>, Queue<u32>)) -> procession::Result<()> {
///     for _ in 0..3 {
///         let job = jobs.recv_delivery()?;
///         results.send(*job * *job)?;
///         job.ack()?;
///     }
///     Ok(())
/// }
/// let mut worker = process::spawn(work, (jobs.clone(), results.clone()))?;
/// jobs.send_many([1, 2, 3])?;
/// assert_eq!((results.recv()?, results.recv()?, results.recv()?), (1, 4, 9));
/// worker.join()??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl<T> Messaging for Queue<T> {
    #[cold]
    fn error_object(&self) -> ErrorObject {
        ErrorObject::queue(self.proxy.name())
    }
}

type Outcome<T, E> = std::result::Result<T, E>;

impl Manager {
    /// Creates a queue that takes as many messages as come.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let queue = manager.queue::<String>()?;
    /// queue.send("work".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn queue<T: Serialize + DeserializeOwned>(&self) -> Result<Queue<T>> {
        let initial = Initial::Capacity(0);
        Ok(Queue::of(self.create(Queue::<T>::shape()?, initial)?))
    }

    /// Creates a queue of at most `capacity` messages. A `capacity` of 0 counts as 1.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let queue = manager.bounded_queue(1)?;
    /// queue.send(1)?;
    /// assert!(queue.try_send(2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bounded_queue<T: Serialize + DeserializeOwned>(
        &self,
        capacity: usize,
    ) -> Result<Queue<T>> {
        let initial = Initial::Capacity(capacity.max(1) as u64);
        Ok(Queue::of(self.create(Queue::<T>::shape()?, initial)?))
    }
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Queue, "queue", &[schema_of::<T>()?]))
    }

    pub(super) fn of(proxy: Proxy) -> Queue<T> {
        Queue {
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
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
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
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
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
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// let worker = queue.clone();
    /// let thread = std::thread::spawn(move || worker.recv());
    /// queue.join()?;
    /// assert_eq!(thread.join().unwrap()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(&self) -> Result<()> {
        self.join_deadline(Deadline::NEVER)
    }

    /// Fails with [`WouldBlock`](crate::ErrorKind::WouldBlock) unless every message that was sent is acknowledged.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
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
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
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
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.join_deadline(procession::Deadline::NEVER)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_deadline(&self, deadline: Deadline) -> Result<()> {
        self.ask("joining queue", &Request::Join, deadline)
    }
}

super::proxy::traits!(Queue<T>);
