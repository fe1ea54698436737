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

    /// Sends a message, waiting for room. When this returns, the message is in
    /// shared memory, and no death takes it away but that of the last user of the queue.
    /// (Of a queue that was made to lose what is not finished, also that of who receives
    /// it; see [`Options::at_most_once`](crate::queue::Options::at_most_once).)
    ///
    /// # Errors
    /// Has the message: [`Disconnected`](SendError::Disconnected),
    /// [`Failed`](SendError::Failed).
    pub fn send(&self, message: T) -> std::result::Result<(), SendError<T>> {
        self.deliver(&message, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(message))
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// Has the message: [`Full`](TrySendError::Full), and as
    /// [`send`](Sender::send).
    pub fn try_send(&self, message: T) -> std::result::Result<(), TrySendError<T>> {
        self.deliver(&message, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(message))
    }

    /// Sends a message, waiting for room so long at most.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    pub fn send_timeout(
        &self,
        message: T,
        timeout: Duration,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, waiting for room until then at most.
    ///
    /// # Errors
    /// Has the message: [`Timeout`](SendTimeoutError::Timeout), and as
    /// [`send`](Sender::send).
    pub fn send_deadline(
        &self,
        message: T,
        deadline: Deadline,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.deliver(&message, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(message))
    }

    /// [`send`](Sender::send) as a future, for any executor. Dropped before it is
    /// ready, it has sent nothing.
    ///
    /// # Cost
    /// As [`recv_async`](crate::queue::Receiver::recv_async).
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub async fn send_async(&self, message: T) -> std::result::Result<(), SendError<T>> {
        let attempt = || match self.deliver(&message, Deadline::NOW) {
            Err(Hindrance::TimedOut) => None,
            outcome => Some(outcome),
        };
        let sent = crate::select::until(self.room(), attempt).await;
        sent.map_err(Hindrance::Failed)
            .flatten()
            .map_err(|hindrance| hindrance.of_send(message))
    }
}
