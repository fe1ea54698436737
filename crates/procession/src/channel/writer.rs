//! The end that messages go into.

use super::direction::Outlet;
use crate::Deadline;
use crate::queue::{self, Outcome, SendError, SendTimeoutError, TrySendError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::time::Duration;

/// Sends to a [`Reader`](super::Reader), one way. It belongs to one process and
/// one thread at a time.
///
/// # If a process dies
/// When the reader is gone, dropped or killed, sending fails; what was sent, the
/// reader can still receive when this writer is gone. A message is received whole
/// or, if the writer was killed while it wrote to a pipe, is an error of the
/// reader's.
///
/// # Across fork and exec
/// A task that is forked and not given it lets go of it, so that it keeps nobody
/// waiting. Given away, as an argument, capture, message or result, it is to be
/// dropped here.
///
/// # Cost
/// That of its [`Flavor`](super::Flavor).
///
/// # Examples
/// See [`pipe`](super::pipe).
pub struct Writer<T: ?Sized> {
    /// And a buffer for what is sent.
    outlet: RefCell<(Outlet, Vec<u8>)>,
    sends: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Writer<T> {
    pub(super) fn new(outlet: Outlet) -> Writer<T> {
        Writer {
            outlet: RefCell::new((outlet, Vec::new())),
            sends: PhantomData,
        }
    }
}

/// More of a buffer than this is given back after use.
pub(super) const KEPT: usize = 1 << 20;

impl<T: Serialize + DeserializeOwned> Writer<T> {
    fn deliver(&self, message: &T, deadline: Deadline) -> Outcome<()> {
        // What encodes a message may panic, or send another one here.
        let mut buffer = std::mem::take(&mut self.outlet.borrow_mut().1);
        let encoded = queue::encode(message, &mut buffer);
        let (outlet, kept) = &mut *self.outlet.borrow_mut();
        let sent = match encoded {
            Ok(descriptors) => outlet.send(&buffer, &descriptors, deadline),
            Err(error) => Err(error.into()),
        };
        if buffer.capacity() <= KEPT {
            *kept = buffer;
        }
        sent
    }

    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// Has the message: [`Disconnected`](SendError::Disconnected),
    /// [`Failed`](SendError::Failed).
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.deliver(&message, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(message))
    }

    /// Sends a message if there is room. A pipe or a connection that takes only part of
    /// the message is of no use any more; a pipe takes up to 4,000 bytes whole or not at
    /// all.
    ///
    /// # Errors
    /// Has the message: [`Full`](TrySendError::Full), and as
    /// [`send`](Writer::send).
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.deliver(&message, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(message))
    }

    /// Sends a message, waiting for room so long at most.
    ///
    /// # Errors
    /// As [`send_deadline`](Writer::send_deadline).
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, waiting for room until then at most. A pipe or a
    /// connection that had taken part of the message by then is of no use any
    /// more.
    ///
    /// # Errors
    /// Has the message: [`Timeout`](SendTimeoutError::Timeout), and as
    /// [`send`](Writer::send).
    pub fn send_deadline(&self, message: T, deadline: Deadline) -> Result<(), SendTimeoutError<T>> {
        self.deliver(&message, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(message))
    }
}

impl Writer<[u8]> {
    /// Sends some bytes as one message, waiting for room.
    ///
    /// # Errors
    /// As [`send`](Writer::send).
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.deliver_bytes(bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(()))
    }

    /// Sends some bytes as one message, if there is room.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), TrySendError<()>> {
        self.deliver_bytes(bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(()))
    }

    /// Sends some bytes as one message, waiting for room at most `timeout`.
    ///
    /// # Errors
    /// As [`Writer::send_timeout`].
    pub fn send_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<()>> {
        self.send_bytes_deadline(bytes, Deadline::after(timeout))
    }

    /// Sends some bytes as one message, waiting for room until then at most.
    ///
    /// # Errors
    /// As [`send_deadline`](Writer::send_deadline).
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<()>> {
        self.deliver_bytes(bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(()))
    }

    fn deliver_bytes(&self, bytes: &[u8], deadline: Deadline) -> Outcome<()> {
        self.outlet.borrow_mut().0.send(bytes, &[], deadline)
    }
}

impl<T: ?Sized> std::fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Serialize for Writer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.outlet.borrow().0.serialize(serializer)
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Writer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Writer<T>, D::Error> {
        Outlet::deserialize(deserializer).map(Writer::new)
    }
}
