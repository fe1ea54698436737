//! A queue that a manager owns.

use super::manager::{ManagedObject, Manager, sealed};
use super::objects::queue::{Delivered, Request};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use super::value::Blob;
use crate::queue::{
    Hindrance, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use crate::{Deadline, Error, ErrorKind, Result};
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

/// Messages in one call.
const AT_ONCE: usize = 256;

fn interruption(error: Error) -> Hindrance {
    match error.is_timeout() || error.is_would_block() {
        true => Hindrance::TimedOut,
        false => Hindrance::Failed(error),
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

    /// Creates a queue of at most `capacity` messages, which is at least one.
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

    fn of(proxy: Proxy) -> Queue<T> {
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

    /// Sends a message, blocking while the queue is full.
    ///
    /// # Errors
    /// [`Failed`](SendError::Failed), with the message: the manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// assert_eq!(queue.recv()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, message: T) -> Outcome<(), SendError<T>> {
        self.deliver(message, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(message))
    }

    /// Sends a message if there is room for it.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full), [`Failed`](TrySendError::Failed), with the message.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.try_send(1)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&self, message: T) -> Outcome<(), TrySendError<T>> {
        self.deliver(message, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(message))
    }

    /// Sends a message, blocking while the queue is full, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](SendTimeoutError::Timeout), [`Failed`](SendTimeoutError::Failed), with the message.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send_timeout(1, std::time::Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Outcome<(), SendTimeoutError<T>> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, blocking while the queue is full, at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_timeout`](Queue::send_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send_deadline(1, procession::Deadline::NEVER)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_deadline(
        &self,
        message: T,
        deadline: Deadline,
    ) -> Outcome<(), SendTimeoutError<T>> {
        self.deliver(message, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(message))
    }

    fn deliver(&self, message: T, deadline: Deadline) -> Outcome<(), (Hindrance, T)> {
        match self.deliver_some(std::slice::from_ref(&message), deadline) {
            Ok(_) => Ok(()),
            Err(error) => Err((interruption(error), message)),
        }
    }

    /// Sends at least one of some messages, and as many as the queue has room for.
    fn deliver_some(&self, messages: &[T], deadline: Deadline) -> Result<usize> {
        let messages = messages.iter().map(Blob::of).collect::<Result<_>>()?;
        let request = Request::Send(messages);
        let taken: u64 = self.ask("sending to queue", &request, deadline)?;
        Ok(taken as usize)
    }

    /// Sends messages in their order, several in one call, blocking while the queue is full. Returns how many.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`send`](Queue::send).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// assert_eq!(queue.send_many(0..1000)?, 1000);
    /// assert_eq!(queue.len()?, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many(&self, messages: impl IntoIterator<Item = T>) -> Outcome<usize, SendError<T>> {
        self.deliver_many(messages, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(message))
    }

    /// Sends as many of the messages as there is room for. Returns how many, if that was all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`try_send`](Queue::try_send).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::queue::TrySendError;
    /// let queue = manager.bounded_queue(4)?;
    /// assert_eq!(queue.try_send_many(0..9), Err(TrySendError::Full(4)));
    /// assert_eq!(queue.len()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send_many(
        &self,
        messages: impl IntoIterator<Item = T>,
    ) -> Outcome<usize, TrySendError<T>> {
        self.deliver_many(messages, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(message))
    }

    /// Sends messages in their order, blocking while the queue is full, at most `timeout` in all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`send_timeout`](Queue::send_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// assert_eq!(queue.send_many_timeout([1, 2], std::time::Duration::from_secs(1))?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many_timeout(
        &self,
        messages: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Outcome<usize, SendTimeoutError<T>> {
        self.send_many_deadline(messages, Deadline::after(timeout))
    }

    /// Sends messages in their order, blocking while the queue is full, at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_many_timeout`](Queue::send_many_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// assert_eq!(queue.send_many_deadline([1, 2], procession::Deadline::NEVER)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many_deadline(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Outcome<usize, SendTimeoutError<T>> {
        self.deliver_many(messages, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(message))
    }

    fn deliver_many(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Outcome<usize, (Hindrance, T)> {
        let mut messages = messages.into_iter();
        let mut count = 0;
        let mut some: Vec<T> = Vec::new();
        loop {
            some.extend(messages.by_ref().take(AT_ONCE - some.len()));
            if some.is_empty() {
                return Ok(count);
            }
            match self.deliver_some(&some, deadline) {
                Ok(taken) => {
                    let taken = taken.min(some.len());
                    some.drain(..taken);
                    count += taken;
                }
                Err(error) => {
                    return Err((interruption(error), some.swap_remove(0)));
                }
            }
        }
    }

    /// Receives a message and acknowledges it, blocking while the queue is empty.
    ///
    /// # Errors
    /// [`Failed`](RecvError::Failed): the manager has ended, or the message cannot be decoded.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// assert_eq!(queue.recv()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&self) -> Outcome<T, RecvError> {
        self.take(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// Receives a message and acknowledges it, if there is one.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), [`Failed`](TryRecvError::Failed).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// use procession::queue::TryRecvError;
    /// assert_eq!(queue.try_recv(), Err(TryRecvError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&self) -> Outcome<T, TryRecvError> {
        self.take(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// Receives a message and acknowledges it, blocking while the queue is empty, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), [`Failed`](RecvTimeoutError::Failed).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// use procession::queue::RecvTimeoutError;
    /// use std::time::Duration;
    /// assert_eq!(queue.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Outcome<T, RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives a message and acknowledges it, blocking while the queue is empty, at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Queue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// assert_eq!(queue.recv_deadline(procession::Deadline::NEVER)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&self, deadline: Deadline) -> Outcome<T, RecvTimeoutError> {
        self.take(deadline).map_err(Hindrance::of_recv_timeout)
    }

    fn take(&self, deadline: Deadline) -> Outcome<T, Hindrance> {
        Ok(self.receive(deadline)?.into_inner()?)
    }

    /// Receives a message that is to be acknowledged, blocking while the queue is empty.
    ///
    /// # Errors
    /// As [`recv`](Queue::recv).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// let delivery = queue.recv_delivery()?;
    /// assert_eq!(*delivery, 1);
    /// delivery.ack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_delivery(&self) -> Outcome<Delivery<T>, RecvError> {
        self.receive(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// Receives a message that is to be acknowledged, if there is one.
    ///
    /// # Errors
    /// As [`try_recv`](Queue::try_recv).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// assert!(queue.try_recv_delivery().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv_delivery(&self) -> Outcome<Delivery<T>, TryRecvError> {
        self.receive(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// Receives a message that is to be acknowledged, blocking while the queue is empty, at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Queue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// queue.recv_delivery_timeout(std::time::Duration::from_secs(1))?.ack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_delivery_timeout(
        &self,
        timeout: Duration,
    ) -> Outcome<Delivery<T>, RecvTimeoutError> {
        self.recv_delivery_deadline(Deadline::after(timeout))
    }

    /// Receives a message that is to be acknowledged, blocking while the queue is empty, at most until
    /// `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Queue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// queue.recv_delivery_deadline(procession::Deadline::NEVER)?.ack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_delivery_deadline(
        &self,
        deadline: Deadline,
    ) -> Outcome<Delivery<T>, RecvTimeoutError> {
        self.receive(deadline).map_err(Hindrance::of_recv_timeout)
    }

    fn receive(&self, deadline: Deadline) -> Outcome<Delivery<T>, Hindrance> {
        let delivered = self.ask("receiving from queue", &Request::Recv, deadline);
        let delivered: Delivered = delivered.map_err(interruption)?;
        // Decoding is code of the user, which may panic: then the message goes to another receiver.
        let held = Held {
            queue: self.clone(),
            number: delivered.number,
            is_done: false,
        };
        match delivered.message.get() {
            Ok(message) => Ok(Delivery {
                held,
                message: Some(message),
                is_redelivered: delivered.is_redelivered,
            }),
            Err(error) => {
                // Nobody can decode it: it would come again and again.
                let _ = held.finish(&Request::Ack(delivered.number));
                Err(Hindrance::Failed(error.about(self.proxy.name())))
            }
        }
    }

    /// Returns the number of messages that wait for a receiver.
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

    /// Fails with [`WouldBlock`](ErrorKind::WouldBlock) unless every message that was sent is acknowledged.
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

/// A message that is to be acknowledged.
///
/// Dropped without it, also by a panic, and if its process is killed, it goes to another receiver.
#[must_use = "dropped, it is delivered again"]
pub struct Delivery<T: Serialize + DeserializeOwned> {
    held: Held<T>,
    message: Option<T>,
    is_redelivered: bool,
}

/// A message that was delivered and is neither acknowledged nor requeued.
struct Held<T: Serialize + DeserializeOwned> {
    queue: Queue<T>,
    number: u64,
    is_done: bool,
}

impl<T: Serialize + DeserializeOwned> Held<T> {
    fn finish(mut self, request: &Request) -> Result<()> {
        self.is_done = true;
        self.queue.proxy.tell(request)
    }
}

impl<T: Serialize + DeserializeOwned> Drop for Held<T> {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.queue.proxy.tell(&Request::Requeue(self.number));
        }
    }
}

impl<T: Serialize + DeserializeOwned> Delivery<T> {
    /// Returns `true` if it was delivered before, to a receiver that did not acknowledge it.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send(1)?;
    /// assert!(!queue.recv_delivery()?.is_redelivered());
    /// assert!(queue.recv_delivery()?.is_redelivered());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.is_redelivered
    }

    /// Says that the message was dealt with.
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
    /// queue.recv_delivery()?.ack()?;
    /// queue.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ack(self) -> Result<()> {
        let request = Request::Ack(self.held.number);
        self.held.finish(&request)
    }

    /// Acknowledges the message and returns it.
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
    /// assert_eq!(queue.recv_delivery()?.into_inner()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(mut self) -> Result<T> {
        let message = self.message.take();
        let request = Request::Ack(self.held.number);
        self.held.finish(&request)?;
        message.ok_or_else(|| Error::new(ErrorKind::Other, "receiving from queue", ""))
    }

    /// Gives the message to another receiver, before all others.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Queue, Manager};
    /// # let manager = Manager::start()?;
    /// # let queue: Queue<u32> = manager.queue()?;
    /// queue.send_many([1, 2])?;
    /// queue.recv_delivery()?.requeue()?;
    /// assert_eq!(queue.recv()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn requeue(self) -> Result<()> {
        let request = Request::Requeue(self.held.number);
        self.held.finish(&request)
    }
}

impl<T: Serialize + DeserializeOwned> std::ops::Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.message
            .as_ref()
            .expect("it is there until it is given away")
    }
}

impl<T: Serialize + DeserializeOwned + fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

super::proxy::traits!(Queue<T>);
