//! Receiving from a queue with priorities.

use super::{Outcome, PriorityQueue};
use crate::Deadline;
use crate::manager::queue::{Delivery, calls};
use crate::queue::{Hindrance, RecvError, RecvTimeoutError, TryRecvError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> PriorityQueue<T> {
    /// Receives and acknowledges the first message, blocking while the queue is empty. Returns its priority and the message.
    ///
    /// # Errors
    /// [`Failed`](RecvError::Failed): the manager has ended, or the message cannot be decoded.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(2, 1)?;
    /// assert_eq!(queue.recv()?, (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&self) -> Outcome<(usize, T), RecvError> {
        self.take(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
    }

    /// Receives the message that is first and acknowledges it, and returns its priority and it, if there is one.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), [`Failed`](TryRecvError::Failed).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// use procession::queue::TryRecvError;
    /// assert_eq!(queue.try_recv(), Err(TryRecvError::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&self) -> Outcome<(usize, T), TryRecvError> {
        self.take(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
    }

    /// Receives the message that is first and acknowledges it, and returns its priority and it, blocking while the queue is empty, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), [`Failed`](RecvTimeoutError::Failed).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// use std::time::Duration;
    /// let late = queue.recv_timeout(Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(late.kind(), procession::ErrorKind::TimedOut);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&self, timeout: Duration) -> Outcome<(usize, T), RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives the message that is first and acknowledges it, and returns its priority and it, blocking while the queue is empty, at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](PriorityQueue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(2, 1)?;
    /// assert_eq!(queue.recv_deadline(procession::Deadline::NEVER)?, (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&self, deadline: Deadline) -> Outcome<(usize, T), RecvTimeoutError> {
        self.take(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(self))
    }

    fn take(&self, deadline: Deadline) -> Outcome<(usize, T), Hindrance> {
        let delivery = self.receive(deadline)?;
        Ok((delivery.priority(), delivery.into_inner()?))
    }

    /// Receives the message that is first, which is to be acknowledged, blocking while the queue is empty.
    ///
    /// # Errors
    /// As [`recv`](PriorityQueue::recv).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(2, 1)?;
    /// let delivery = queue.recv_delivery()?;
    /// assert_eq!(*delivery, 1);
    /// delivery.ack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_delivery(&self) -> Outcome<Delivery<T>, RecvError> {
        self.receive(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
    }

    /// Receives the message that is first, which is to be acknowledged, if there is one.
    ///
    /// # Errors
    /// As [`try_recv`](PriorityQueue::try_recv).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// assert!(queue.try_recv_delivery().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv_delivery(&self) -> Outcome<Delivery<T>, TryRecvError> {
        self.receive(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
    }

    /// Receives the message that is first, which is to be acknowledged, blocking while the queue is empty, at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](PriorityQueue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(2, 1)?;
    /// queue.recv_delivery_timeout(std::time::Duration::from_secs(1))?.ack()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_delivery_timeout(
        &self,
        timeout: Duration,
    ) -> Outcome<Delivery<T>, RecvTimeoutError> {
        self.recv_delivery_deadline(Deadline::after(timeout))
    }

    /// Receives the message that is first, which is to be acknowledged, blocking while the queue is empty, at most until
    /// `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](PriorityQueue::recv_timeout).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let queue = manager.priority_queue::<u32>()?;
    /// queue.send(2, 1)?;
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
