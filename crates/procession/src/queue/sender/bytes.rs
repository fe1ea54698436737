//! Sending byte strings, copied or written where they will be read.

use super::Sender;
use crate::Deadline;
use crate::queue::{Reservation, SendError, SendTimeoutError, TrySendError};
use std::time::Duration;

impl Sender<[u8]> {
    /// Sends some bytes as one message, blocking while there is no room.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, TrySendError};
    /// use std::time::Duration;
    /// let (sender, _receiver) = queue::bytes(1)?;
    /// sender.send_bytes(b"one").unwrap();
    /// assert!(matches!(sender.try_send_bytes(b"two"), Err(TrySendError::Full(()))));
    /// assert!(sender.send_bytes_timeout(b"two", Duration::from_millis(1)).is_err());
    /// assert!(sender.send_bytes_deadline(b"two", Deadline::NOW).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> std::result::Result<(), SendError<()>> {
        self.send_slice(bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(&*self.side, ()))
    }

    /// Sends some bytes as one message if there is room now.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send).
    ///
    /// # Examples
    /// See [`send_bytes`](Sender::send_bytes).
    pub fn try_send_bytes(&self, bytes: &[u8]) -> std::result::Result<(), TrySendError<()>> {
        self.send_slice(bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(&*self.side, ()))
    }

    /// Sends some bytes as one message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    ///
    /// # Examples
    /// See [`send_bytes`](Sender::send_bytes).
    pub fn send_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> std::result::Result<(), SendTimeoutError<()>> {
        self.send_bytes_deadline(bytes, Deadline::after(timeout))
    }

    /// Sends some bytes as one message, blocking while there is no room, at most until
    /// `deadline`.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    ///
    /// # Examples
    /// See [`send_bytes`](Sender::send_bytes).
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> std::result::Result<(), SendTimeoutError<()>> {
        self.send_slice(bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(&*self.side, ()))
    }

    /// Makes room for a message of `bytes` bytes, to be written where it will be read,
    /// blocking while there is none.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    ///
    /// # Examples
    /// See [`Reservation`].
    pub fn reserve(&self, bytes: usize) -> std::result::Result<Reservation, SendError<()>> {
        Reservation::new(&self.side, bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(&*self.side, ()))
    }

    /// Reserves as [`reserve`](Sender::reserve) does, if there is room now.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// let reserved = [
    ///     sender.reserve(5).unwrap(),
    ///     sender.try_reserve(5).unwrap(),
    ///     sender.reserve_timeout(5, Duration::from_millis(1)).unwrap(),
    ///     sender.reserve_deadline(5, Deadline::NOW).unwrap(),
    /// ];
    /// for mut message in reserved {
    ///     message.copy_from_slice(b"hello");
    ///     message.commit().unwrap();
    /// }
    /// assert_eq!(receiver.len(), 4);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_reserve(&self, bytes: usize) -> std::result::Result<Reservation, TrySendError<()>> {
        Reservation::new(&self.side, bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(&*self.side, ()))
    }

    /// Reserves as [`reserve`](Sender::reserve) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    ///
    /// # Examples
    /// See [`try_reserve`](Sender::try_reserve).
    pub fn reserve_timeout(
        &self,
        bytes: usize,
        timeout: Duration,
    ) -> std::result::Result<Reservation, SendTimeoutError<()>> {
        self.reserve_deadline(bytes, Deadline::after(timeout))
    }

    /// Reserves as [`reserve`](Sender::reserve) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline).
    ///
    /// # Examples
    /// See [`try_reserve`](Sender::try_reserve).
    pub fn reserve_deadline(
        &self,
        bytes: usize,
        deadline: Deadline,
    ) -> std::result::Result<Reservation, SendTimeoutError<()>> {
        Reservation::new(&self.side, bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(&*self.side, ()))
    }
}
