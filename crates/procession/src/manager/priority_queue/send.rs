//! Sending to a queue with priorities.

use super::{Outcome, PriorityQueue};
use crate::Deadline;
use crate::manager::blob::Blob;
use crate::manager::objects::queue::Request;
use crate::manager::queue::calls;
use crate::queue::{Hindrance, SendError, SendTimeoutError, TrySendError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Makes requests to send with a priority.
fn at(priority: usize) -> impl Fn(Vec<Blob>) -> Request {
    move |messages| Request::SendAt(priority as u64, messages)
}

impl<T: Serialize + DeserializeOwned> PriorityQueue<T> {
    /// Sends a message with a priority, blocking while the queue is full.
    ///
    /// # Errors
    /// [`Failed`](SendError::Failed), with the message: the manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(1, 1)?;
    /// assert_eq!(queue.recv()?, (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, priority: usize, message: T) -> Outcome<(), SendError<T>> {
        self.deliver(priority, message, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(self, message))
    }

    /// Sends a message with a priority if there is room for it.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full), [`Failed`](TrySendError::Failed), with the message.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.try_send(1, 1)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&self, priority: usize, message: T) -> Outcome<(), TrySendError<T>> {
        self.deliver(priority, message, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(self, message))
    }

    /// Sends a message with a priority, blocking while the queue is full, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](SendTimeoutError::Timeout), [`Failed`](SendTimeoutError::Failed), with the message.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send_timeout(1, 1, std::time::Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_timeout(
        &self,
        priority: usize,
        message: T,
        timeout: Duration,
    ) -> Outcome<(), SendTimeoutError<T>> {
        self.send_deadline(priority, message, Deadline::after(timeout))
    }

    /// Sends a message with a priority, blocking while the queue is full, at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_timeout`](PriorityQueue::send_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send_deadline(1, 1, procession::Deadline::NEVER)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_deadline(
        &self,
        priority: usize,
        message: T,
        deadline: Deadline,
    ) -> Outcome<(), SendTimeoutError<T>> {
        self.deliver(priority, message, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(self, message))
    }

    /// Sends messages of one priority in their order, several in one call, blocking while the queue is full. Returns how many.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`send`](PriorityQueue::send).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// assert_eq!(queue.send_many(1, 0..1000)?, 1000);
    /// assert_eq!(queue.len()?, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many(
        &self,
        priority: usize,
        messages: impl IntoIterator<Item = T>,
    ) -> Outcome<usize, SendError<T>> {
        self.deliver_many(priority, messages, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(self, message))
    }

    /// Sends as many of the messages, with one priority, as there is room for. Returns how many, if that was all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`try_send`](PriorityQueue::try_send).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// use procession::queue::TrySendError;
    /// let queue = manager.bounded_priority_queue(4)?;
    /// assert_eq!(queue.try_send_many(1, 0..9), Err(TrySendError::Full(4)));
    /// assert_eq!(queue.len()?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send_many(
        &self,
        priority: usize,
        messages: impl IntoIterator<Item = T>,
    ) -> Outcome<usize, TrySendError<T>> {
        self.deliver_many(priority, messages, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(self, message))
    }

    /// Sends messages of one priority in their order, blocking while the queue is full, at most `timeout` in all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As [`send_timeout`](PriorityQueue::send_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// assert_eq!(queue.send_many_timeout(1, [1, 2], std::time::Duration::from_secs(1))?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many_timeout(
        &self,
        priority: usize,
        messages: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Outcome<usize, SendTimeoutError<T>> {
        self.send_many_deadline(priority, messages, Deadline::after(timeout))
    }

    /// Sends messages of one priority in their order, blocking while the queue is full, at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_many_timeout`](PriorityQueue::send_many_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// assert_eq!(queue.send_many_deadline(1, [1, 2], procession::Deadline::NEVER)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_many_deadline(
        &self,
        priority: usize,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Outcome<usize, SendTimeoutError<T>> {
        self.deliver_many(priority, messages, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(self, message))
    }

    fn deliver(
        &self,
        priority: usize,
        message: T,
        deadline: Deadline,
    ) -> Outcome<(), (Hindrance, T)> {
        calls::send(&self.proxy, at(priority), message, deadline)
    }

    fn deliver_many(
        &self,
        priority: usize,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Outcome<usize, (Hindrance, T)> {
        calls::send_many(&self.proxy, at(priority), messages, deadline)
    }
}
