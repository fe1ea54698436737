//! The end that messages go into.

use super::direction::Outlet;
use super::stream::KEPT;
use crate::Deadline;
use crate::queue::{
    self, ErrorObject, Messaging, Outcome, SendError, SendTimeoutError, TrySendError,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::time::Duration;

/// Sends to a [`Reader`](super::Reader), one way. It belongs to one process and
/// one thread at a time.
///
/// # If a process dies
/// When the reader is gone, dropped or killed, sending fails. When this writer is gone,
/// the reader can still receive what was sent. If the process is killed when part of a
/// message is in a pipe, the reader gets an error instead of the message.
///
/// # Across fork and exec
/// A forked task closes its copy of a writer that was not given to it, so that the reader
/// sees the end. After giving the writer to another process (as an argument, capture,
/// message or result), drop it in this one.
///
/// # Cost
/// That of its [`Flavor`](super::Flavor).
///
/// # Examples
/// See [`pipe`](super::pipe).
pub struct Writer<T: ?Sized> {
    /// And a buffer for what is sent.
    outlet: RefCell<(Outlet, Vec<u8>)>,
    /// Of a connection: the address that it was made through, for errors.
    address: String,
    sends: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Writer<T> {
    pub(super) fn new(outlet: Outlet) -> Writer<T> {
        Writer {
            outlet: RefCell::new((outlet, Vec::new())),
            address: String::new(),
            sends: PhantomData,
        }
    }

    pub(super) fn of_connection(mut self, address: String) -> Writer<T> {
        self.address = address;
        self
    }
}

impl<T: ?Sized> Messaging for Writer<T> {
    #[cold]
    fn error_object(&self) -> ErrorObject {
        ErrorObject::channel(&self.address)
    }
}

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

    /// Sends a message, blocking while there is no room.
    ///
    /// # Errors
    /// Has the message: [`Disconnected`](SendError::Disconnected),
    /// [`Failed`](SendError::Failed).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{Options, SendTimeoutError, TrySendError};
    /// use std::time::Duration;
    /// let (writer, reader) = Options::new().capacity(1).pipe::<u32>()?;
    /// writer.send(1).unwrap();
    /// assert!(matches!(writer.try_send(2), Err(TrySendError::Full(2))));
    /// let late = writer.send_timeout(3, Duration::from_millis(1));
    /// assert!(matches!(late, Err(SendTimeoutError::Timeout(3, ..))));
    /// assert!(writer.send_deadline(3, Deadline::NOW).is_err());
    /// assert_eq!(reader.recv().unwrap(), 1);
    /// drop(reader);
    /// assert_eq!(writer.send(4).unwrap_err().into_inner(), 4); // nobody is left
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.deliver(&message, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(self, message))
    }

    /// Sends a message if there is room now. A pipe may have taken part of the message: it
    /// is then taken back, and the next call that sends writes the rest of it first, which
    /// the reader drops. If the writer is dropped instead, the reader gets an error at the
    /// end. (A pipe takes up to 4,000 bytes whole or not at all.) A connection
    /// over the network that has taken part of the message cannot be sent to any more.
    ///
    /// # Errors
    /// Has the message: [`Full`](TrySendError::Full), and as
    /// [`send`](Writer::send).
    ///
    /// # Examples
    /// See [`send`](Writer::send).
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.deliver(&message, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(self, message))
    }

    /// Sends a message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`send_deadline`](Writer::send_deadline).
    ///
    /// # Examples
    /// See [`send`](Writer::send).
    pub fn send_timeout(&self, message: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, blocking while there is no room, at most until `deadline`. What is then
    /// of a message that a pipe or a connection over the network had taken in part, is as
    /// with [`try_send`](Writer::try_send).
    ///
    /// # Errors
    /// Has the message: [`Timeout`](SendTimeoutError::Timeout), and as
    /// [`send`](Writer::send).
    ///
    /// # Examples
    /// See [`send`](Writer::send).
    pub fn send_deadline(&self, message: T, deadline: Deadline) -> Result<(), SendTimeoutError<T>> {
        self.deliver(&message, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(self, message))
    }
}

impl Writer<[u8]> {
    /// Sends some bytes as one message, blocking while there is no room.
    ///
    /// # Errors
    /// As [`send`](Writer::send).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{Options, TrySendError};
    /// use std::time::Duration;
    /// let (writer, _reader) = Options::new().capacity(1).pipe::<[u8]>()?;
    /// writer.send_bytes(b"one").unwrap();
    /// assert!(matches!(writer.try_send_bytes(b"two"), Err(TrySendError::Full(()))));
    /// assert!(writer.send_bytes_deadline(b"two", Deadline::NOW).is_err());
    /// assert!(writer.send_bytes_timeout(b"two", Duration::from_millis(1)).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.deliver_bytes(bytes, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_send(self, ()))
    }

    /// Sends some bytes as one message if there is room now.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    ///
    /// # Examples
    /// See [`send_bytes`](Writer::send_bytes).
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), TrySendError<()>> {
        self.deliver_bytes(bytes, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_send(self, ()))
    }

    /// Sends some bytes as one message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`Writer::send_timeout`].
    ///
    /// # Examples
    /// See [`send_bytes`](Writer::send_bytes).
    pub fn send_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<()>> {
        self.send_bytes_deadline(bytes, Deadline::after(timeout))
    }

    /// Sends some bytes as one message, blocking while there is no room, at most until
    /// `deadline`.
    ///
    /// # Errors
    /// As [`send_deadline`](Writer::send_deadline).
    ///
    /// # Examples
    /// See [`send_bytes`](Writer::send_bytes).
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<()>> {
        self.deliver_bytes(bytes, deadline)
            .map_err(|hindrance| hindrance.of_send_timeout(self, ()))
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
        (&self.outlet.borrow().0, &self.address).serialize(serializer)
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Writer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Writer<T>, D::Error> {
        let (outlet, address) = <(Outlet, String)>::deserialize(deserializer)?;
        Ok(Writer::new(outlet).of_connection(address))
    }
}
