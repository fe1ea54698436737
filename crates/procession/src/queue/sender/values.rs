//! Sending values one by one.

use super::Sender;
use crate::Deadline;
use crate::queue::message::{encode, with_buffer};
use crate::queue::{Hindrance, Outcome, SendError, SendTimeoutError, TrySendError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Sender<T> {
    pub(super) fn deliver(&self, message: &T, deadline: Deadline) -> Outcome<()> {
        with_buffer(|buffer| {
            let descriptors = encode(message, buffer)?;
            self.send_encoded(buffer, &descriptors, deadline)
        })
    }

    /// Sends a message, blocking while the queue is full.
    ///
    /// With capacity 0, it blocks until a receiver has the message. Otherwise the message is in shared memory when this
    /// returns, and stays there until a receiver acknowledges it
    /// ([`recv`](crate::queue::Receiver::recv) does before it returns). It is lost only if the last user of the queue leaves,
    /// or, with [`at_most_once`](crate::queue::Options::at_most_once), if the receiver that took it does not finish it.
    ///
    /// # Errors
    /// Has the message: [`Disconnected`](SendError::Disconnected),
    /// [`Failed`](SendError::Failed).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, SendTimeoutError, TrySendError};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bounded::<u32>(1)?;
    /// sender.send(1).unwrap();
    /// assert!(matches!(sender.try_send(2), Err(TrySendError::Full(2))));
    /// let late = sender.send_timeout(3, Duration::from_millis(1));
    /// assert!(matches!(late, Err(SendTimeoutError::Timeout(3, ..))));
    /// assert!(sender.send_deadline(3, Deadline::NOW).is_err());
    /// drop(receiver);
    /// assert_eq!(sender.send(4).unwrap_err().into_inner(), 4); // no receiver is left
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send(&self, message: T) -> std::result::Result<(), SendError<T>> {
        self.deliver(&message, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(&*self.side, message))
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// Has the message: [`Full`](TrySendError::Full), and as
    /// [`send`](Sender::send).
    ///
    /// # Examples
    /// See [`send`](Sender::send).
    pub fn try_send(&self, message: T) -> std::result::Result<(), TrySendError<T>> {
        self.deliver(&message, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(&*self.side, message))
    }

    /// Sends a message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    ///
    /// # Examples
    /// See [`send`](Sender::send).
    pub fn send_timeout(
        &self,
        message: T,
        timeout: Duration,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, blocking while there is no room, at most until `deadline`.
    ///
    /// # Errors
    /// Has the message: [`Timeout`](SendTimeoutError::Timeout), and as
    /// [`send`](Sender::send).
    ///
    /// # Examples
    /// See [`send`](Sender::send).
    pub fn send_deadline(
        &self,
        message: T,
        deadline: Deadline,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.deliver(&message, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(&*self.side, message))
    }

    /// Sends as [`send`](Sender::send) does, as a future, for any executor. Dropped before it is
    /// ready, it has sent nothing; only of a queue of [capacity
    /// 0](crate::queue#a-queue-of-capacity-0), a receiver may have taken the message just before.
    ///
    /// # Cost
    /// As [`recv_async`](crate::queue::Receiver::recv_async).
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// let (sender, receiver) = queue::bounded::<u32>(1)?;
    /// let mut future = Box::pin(sender.send_async(7));
    /// let sent = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// assert!(matches!(sent, Poll::Ready(Ok(()))));
    /// assert_eq!(receiver.recv().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub async fn send_async(&self, message: T) -> std::result::Result<(), SendError<T>> {
        if self.side.ring.is_rendezvous() {
            let handed = self.hand_over_async(&message).await;
            return handed.map_err(|hindrance| hindrance.of_send(&*self.side, message));
        }
        let attempt = || match self.deliver(&message, Deadline::NOW) {
            Err(Hindrance::TimedOut) => None,
            outcome => Some(outcome),
        };
        let sent = crate::wait::until(self.room(), attempt).await;
        sent.map_err(Hindrance::Failed)
            .flatten()
            .map_err(|hindrance| hindrance.of_send(&*self.side, message))
    }
}
