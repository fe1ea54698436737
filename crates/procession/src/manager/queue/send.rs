//! Sending to a queue of a manager.

use super::{Outcome, Queue, calls};
use crate::Deadline;
use crate::manager::objects::queue::Request;
use crate::queue::{Hindrance, SendError, SendTimeoutError, TrySendError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Queue<T> {
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
            .map_err(|(hindrance, message)| hindrance.of_send(self, message))
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
            .map_err(|(hindrance, message)| hindrance.of_try_send(self, message))
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
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(self, message))
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
            .map_err(|(hindrance, message)| hindrance.of_send(self, message))
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
            .map_err(|(hindrance, message)| hindrance.of_try_send(self, message))
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
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(self, message))
    }

    fn deliver(&self, message: T, deadline: Deadline) -> Outcome<(), (Hindrance, T)> {
        calls::send(&self.proxy, Request::Send, message, deadline)
    }

    fn deliver_many(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Outcome<usize, (Hindrance, T)> {
        calls::send_many(&self.proxy, Request::Send, messages, deadline)
    }
}
