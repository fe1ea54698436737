//! Sending byte strings, copied or written where they will be read.

use super::Sender;
use crate::Deadline;
use crate::queue::{Reservation, SendError, SendTimeoutError, TrySendError};
use std::time::Duration;

impl Sender<[u8]> {
    /// Sends some bytes as one message, waiting for room.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn send_bytes(&self, bytes: &[u8]) -> std::result::Result<(), SendError<()>> {
        self.send_slice(bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(()))
    }

    /// Sends some bytes as one message, if there is room.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send).
    pub fn try_send_bytes(&self, bytes: &[u8]) -> std::result::Result<(), TrySendError<()>> {
        self.send_slice(bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(()))
    }

    /// Sends some bytes as one message, waiting for room at most `timeout`.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    pub fn send_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> std::result::Result<(), SendTimeoutError<()>> {
        self.send_bytes_deadline(bytes, Deadline::after(timeout))
    }

    /// Sends some bytes as one message, waiting for room until then at most.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<(), SendTimeoutError<()>> {
        self.send_slice(bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(()))
    }

    /// Makes room for a message of so many bytes, to be written where it will be
    /// read, waiting for it.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    ///
    /// # Examples
    /// See [`Reservation`].
    pub fn reserve(&self, bytes: usize) -> std::result::Result<Reservation, SendError<()>> {
        Reservation::new(&self.side, bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(()))
    }

    /// [`reserve`](Sender::reserve), if there is room now.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send).
    pub fn try_reserve(&self, bytes: usize) -> std::result::Result<Reservation, TrySendError<()>> {
        Reservation::new(&self.side, bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(()))
    }

    /// [`reserve`](Sender::reserve), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    pub fn reserve_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> std::result::Result<Reservation, SendTimeoutError<()>> {
        self.reserve_deadline(bytes, Deadline::after(timeout))
    }

    /// [`reserve`](Sender::reserve), waiting until then at most.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    pub fn reserve_deadline(
        &self,
        bytes: usize,
        deadline: Deadline,
    ) -> std::result::Result<Reservation, SendTimeoutError<()>> {
        Reservation::new(&self.side, bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(()))
    }
}
