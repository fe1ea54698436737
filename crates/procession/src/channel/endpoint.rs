//! Both ways at once.

use super::{Address, Reader, Writer};
use crate::Deadline;
use crate::queue::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use crate::wait::{Readiness, Sealed, Selectable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Sends `S` and receives `R`: one end of a [duplex](super::duplex) channel or of a
/// [connection](super::Listener). It belongs to one process at a time.
///
/// # If a process dies
/// When the process at the other end is gone, what it sent can still be received;
/// then receiving fails, and so does sending.
///
/// # Across fork and exec
/// As [`Writer`].
///
/// # Examples
/// See [`duplex`](super::duplex).
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Endpoint<S: ?Sized, R: ?Sized> {
    writer: Writer<S>,
    reader: Reader<R>,
}

impl<S: ?Sized, R: ?Sized> Endpoint<S, R> {
    pub(super) fn new(writer: Writer<S>, reader: Reader<R>) -> Endpoint<S, R> {
        Endpoint { writer, reader }
    }

    /// Has its errors name the address that the connection was made through.
    pub(super) fn of_connection(self, address: &Address) -> Endpoint<S, R> {
        let address = address.to_string();
        Endpoint {
            writer: self.writer.of_connection(address.clone()),
            reader: self.reader.of_connection(address),
        }
    }

    /// Returns the two ways, for two threads or two processes. Each side sees the end of
    /// each way by itself.
    ///
    /// # Examples
    /// ```
    /// use procession::channel;
    /// let (ours, theirs) = channel::duplex::<u32, String>()?;
    /// let (writer, reader) = ours.split();
    /// writer.send(7).unwrap();
    /// drop(writer); // the other side sees the end of this way
    /// assert_eq!(theirs.iter().sum::<u32>(), 7);
    /// theirs.send("seven".to_owned()).unwrap(); // and goes on with the other one
    /// assert_eq!(reader.recv().unwrap(), "seven");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn split(self) -> (Writer<S>, Reader<R>) {
        (self.writer, self.reader)
    }

    /// Returns `true` if there is something to receive, if only the end.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, channel};
    /// use std::time::Duration;
    /// let (ours, theirs) = channel::duplex::<u32, u32>()?;
    /// assert!(!ours.poll()?);
    /// assert!(!ours.poll_timeout(Duration::from_millis(1))?);
    /// theirs.send(7).unwrap();
    /// assert!(ours.poll_deadline(Deadline::NEVER)?);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn poll(&self) -> crate::Result<bool> {
        self.reader.poll()
    }

    /// Blocks until there is something to receive, at most `timeout`. Returns `true` if there is.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    ///
    /// # Examples
    /// See [`poll`](Endpoint::poll).
    pub fn poll_timeout(&self, timeout: Duration) -> crate::Result<bool> {
        self.reader.poll_timeout(timeout)
    }

    /// Blocks until there is something to receive, at most until `deadline`. Returns `true` if
    /// there is.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    ///
    /// # Examples
    /// See [`poll`](Endpoint::poll).
    pub fn poll_deadline(&self, deadline: Deadline) -> crate::Result<bool> {
        self.reader.poll_deadline(deadline)
    }
}

impl<S: ?Sized, R: ?Sized> Selectable for Endpoint<S, R> {}

impl<S: ?Sized, R: ?Sized> Sealed for Endpoint<S, R> {
    fn readiness(&self) -> Readiness<'_> {
        self.reader.readiness()
    }
}

impl<S: Serialize + DeserializeOwned, R: ?Sized> Endpoint<S, R> {
    /// Sends a message, blocking while there is no room.
    ///
    /// # Errors
    /// As [`Writer::send`].
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{Options, TrySendError};
    /// use std::time::Duration;
    /// let (ours, theirs) = Options::new().capacity(1).duplex::<u32, u32>()?;
    /// ours.send(1).unwrap();
    /// assert!(matches!(ours.try_send(2), Err(TrySendError::Full(2))));
    /// assert!(ours.send_timeout(2, Duration::from_millis(1)).is_err());
    /// assert!(ours.send_deadline(2, Deadline::NOW).is_err());
    /// assert_eq!(theirs.recv().unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send(&self, message: S) -> Result<(), SendError<S>> {
        self.writer.send(message)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    ///
    /// # Examples
    /// See [`send`](Endpoint::send).
    pub fn try_send(&self, message: S) -> Result<(), TrySendError<S>> {
        self.writer.try_send(message)
    }

    /// Sends a message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`Writer::send_deadline`].
    ///
    /// # Examples
    /// See [`send`](Endpoint::send).
    pub fn send_timeout(&self, message: S, timeout: Duration) -> Result<(), SendTimeoutError<S>> {
        self.writer.send_timeout(message, timeout)
    }

    /// Sends a message, blocking while there is no room, at most until `deadline`.
    ///
    /// # Errors
    /// As [`Writer::send_deadline`].
    ///
    /// # Examples
    /// See [`send`](Endpoint::send).
    pub fn send_deadline(&self, message: S, deadline: Deadline) -> Result<(), SendTimeoutError<S>> {
        self.writer.send_deadline(message, deadline)
    }
}

impl<S: ?Sized, R: Serialize + DeserializeOwned> Endpoint<S, R> {
    /// Receives a message, blocking until there is one.
    ///
    /// # Errors
    /// As [`Reader::recv`].
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{self, TryRecvError};
    /// use std::time::Duration;
    /// let (ours, theirs) = channel::duplex::<u32, u32>()?;
    /// assert!(matches!(ours.try_recv(), Err(TryRecvError::Empty)));
    /// assert!(ours.recv_timeout(Duration::from_millis(1)).is_err());
    /// assert!(ours.recv_deadline(Deadline::NOW).is_err());
    /// theirs.send(7).unwrap();
    /// assert_eq!(ours.recv().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv(&self) -> Result<R, RecvError> {
        self.reader.recv()
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// As [`Reader::try_recv`].
    ///
    /// # Examples
    /// See [`recv`](Endpoint::recv).
    pub fn try_recv(&self) -> Result<R, TryRecvError> {
        self.reader.try_recv()
    }

    /// Receives a message, blocking until there is one, at most `timeout`.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    ///
    /// # Examples
    /// See [`recv`](Endpoint::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, RecvTimeoutError> {
        self.reader.recv_timeout(timeout)
    }

    /// Receives a message, blocking until there is one, at most until `deadline`.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    ///
    /// # Examples
    /// See [`recv`](Endpoint::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<R, RecvTimeoutError> {
        self.reader.recv_deadline(deadline)
    }

    /// Receives as [`recv`](Endpoint::recv) does, as a future.
    ///
    /// # Errors
    /// As [`Reader::recv_async`].
    ///
    /// # Examples
    /// ```
    /// use procession::channel;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// let (mut ours, theirs) = channel::duplex::<u32, u32>()?;
    /// theirs.send(7).unwrap();
    /// let mut future = Box::pin(ours.recv_async());
    /// let received = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    /// assert!(matches!(received, Poll::Ready(Ok(7))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub async fn recv_async(&mut self) -> Result<R, RecvError> {
        self.reader.recv_async().await
    }

    /// Returns an iterator over the messages that come, until the end.
    ///
    /// # Panics
    /// As [`Reader::iter`].
    ///
    /// # Examples
    /// ```
    /// use procession::channel;
    /// let (ours, theirs) = channel::duplex::<u32, u32>()?;
    /// (1..=3).for_each(|number| ours.send(number).unwrap());
    /// drop(ours);
    /// assert_eq!(theirs.iter().sum::<u32>(), 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = R> + '_ {
        self.reader.iter()
    }

    /// Returns an iterator over the messages that come, until the end or an error, as
    /// [`Reader::results`] does.
    ///
    /// # Examples
    /// ```
    /// use procession::{channel, Result};
    /// let (ours, theirs) = channel::duplex::<u32, u32>()?;
    /// (1..=3).for_each(|number| ours.send(number).unwrap());
    /// drop(ours);
    /// assert_eq!(theirs.results().sum::<Result<u32>>()?, 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn results(&self) -> impl Iterator<Item = crate::Result<R>> + '_ {
        self.reader.results()
    }
}

impl<R: ?Sized> Endpoint<[u8], R> {
    /// Sends some bytes as one message, blocking while there is no room.
    ///
    /// # Errors
    /// As [`Writer::send`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, channel};
    /// use std::time::Duration;
    /// let (ours, theirs) = channel::duplex::<[u8], [u8]>()?;
    /// let (now, short) = (Deadline::NOW, Duration::from_millis(1));
    /// ours.send_bytes(b"ping").unwrap();
    /// ours.try_send_bytes(b"1").unwrap();
    /// ours.send_bytes_timeout(b"2", short).unwrap();
    /// ours.send_bytes_deadline(b"3", now).unwrap();
    /// let mut bytes = Vec::new();
    /// theirs.recv_bytes(&mut bytes).unwrap();
    /// assert_eq!(bytes, b"ping");
    /// theirs.try_recv_bytes(&mut bytes).unwrap();
    /// theirs.recv_bytes_timeout(&mut bytes, short).unwrap();
    /// theirs.recv_bytes_deadline(&mut bytes, now).unwrap();
    /// assert_eq!(bytes, b"3");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.writer.send_bytes(bytes)
    }

    /// Sends some bytes as one message if there is room now.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), TrySendError<()>> {
        self.writer.try_send_bytes(bytes)
    }

    /// Sends some bytes as one message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`Writer::send_timeout`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn send_bytes_timeout(
        &self,
        bytes: &[u8],
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<()>> {
        self.send_bytes_deadline(bytes, Deadline::after(timeout))
    }

    /// Sends as [`send_bytes`](Endpoint::send_bytes) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`Writer::send_bytes_deadline`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<()>> {
        self.writer.send_bytes_deadline(bytes, deadline)
    }
}

impl<S: ?Sized> Endpoint<S, [u8]> {
    /// Receives a message, whose bytes replace those of `into`, blocking until there is one.
    ///
    /// # Errors
    /// As [`Reader::recv`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), RecvError> {
        self.reader.recv_bytes(into)
    }

    /// Receives as [`recv_bytes`](Endpoint::recv_bytes) does, if there is a message.
    ///
    /// # Errors
    /// As [`Reader::try_recv`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), TryRecvError> {
        self.reader.try_recv_bytes(into)
    }

    /// Receives as [`recv_bytes`](Endpoint::recv_bytes) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`Reader::recv_timeout`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// Receives as [`recv_bytes`](Endpoint::recv_bytes) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    ///
    /// # Examples
    /// See [`send_bytes`](Endpoint::send_bytes).
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), RecvTimeoutError> {
        self.reader.recv_bytes_deadline(into, deadline)
    }
}

crate::queue::into_iterator!([S: ?Sized, R: Serialize + DeserializeOwned] Endpoint<S, R> => R);
