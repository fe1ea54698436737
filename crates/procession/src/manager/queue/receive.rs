//! Receiving from a queue of a manager.

use super::{Delivery, Outcome, Queue, calls};
use crate::Deadline;
use crate::queue::{Hindrance, RecvError, RecvTimeoutError, TryRecvError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Queue<T> {
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
        self.take(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
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
        self.take(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
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
    /// assert!(matches!(queue.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout(..))));
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
        self.take(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(self))
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
        self.receive(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
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
        self.receive(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
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
        self.receive(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(self))
    }

    fn receive(&self, deadline: Deadline) -> Outcome<Delivery<T>, Hindrance> {
        calls::receive(&self.proxy, deadline)
    }
}
