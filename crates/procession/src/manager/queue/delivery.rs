//! Messages that were delivered and are to be acknowledged.

use crate::manager::objects::queue::{Delivered, Request};
use crate::manager::proxy::Proxy;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// A message that is to be acknowledged.
///
/// If it is dropped before that, also by a panic, or its process is killed, the message goes back to the front of the queue.
#[must_use = "dropped, it is delivered again"]
pub struct Delivery<T: Serialize + DeserializeOwned> {
    held: Held,
    message: Option<T>,
    is_redelivered: bool,
    priority: usize,
}

impl<T: Serialize + DeserializeOwned> Delivery<T> {
    pub(super) fn new(held: Held, message: T, delivered: &Delivered) -> Delivery<T> {
        Delivery {
            held,
            message: Some(message),
            is_redelivered: delivered.is_redelivered,
            priority: usize::try_from(delivered.priority).unwrap_or(usize::MAX),
        }
    }

    /// Returns the priority with which it was sent: 0 in a queue without priorities.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let queue = manager.priority_queue::<u32>()?;
    /// queue.send(3, 1)?;
    /// assert_eq!(queue.recv_delivery()?.priority(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn priority(&self) -> usize {
        self.priority
    }

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

    /// Puts the message back before all others, marked as redelivered. The next receiver gets it, which may be this one.
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

/// A message that was delivered and is neither acknowledged nor requeued.
pub(super) struct Held {
    proxy: Arc<Proxy>,
    number: u64,
    is_done: bool,
}

impl Held {
    pub(super) fn new(proxy: &Arc<Proxy>, number: u64) -> Held {
        Held {
            proxy: Arc::clone(proxy),
            number,
            is_done: false,
        }
    }

    pub(super) fn finish(mut self, request: &Request) -> Result<()> {
        self.is_done = true;
        self.proxy.tell(request)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.proxy.tell(&Request::Requeue(self.number));
        }
    }
}
