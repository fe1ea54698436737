//! Both ways at once.

use super::{Reader, Writer};
use crate::Deadline;
use crate::queue::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
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

    /// The two ways, for two threads or two processes. Each side sees the end of
    /// each way by itself.
    #[must_use]
    pub fn split(self) -> (Writer<S>, Reader<R>) {
        (self.writer, self.reader)
    }

    pub(crate) fn reader(&self) -> &Reader<R> {
        &self.reader
    }

    /// Whether there is something to receive, if only the end.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    pub fn poll(&self) -> crate::Result<bool> {
        self.reader.poll()
    }

    /// Waits for something to receive, so long at most; whether there is.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    pub fn poll_timeout(&self, timeout: Duration) -> crate::Result<bool> {
        self.reader.poll_timeout(timeout)
    }

    /// Waits for something to receive until `deadline`. Returns `true` if there is.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    pub fn poll_deadline(&self, deadline: Deadline) -> crate::Result<bool> {
        self.reader.poll_deadline(deadline)
    }
}

impl<S: Serialize + DeserializeOwned, R: ?Sized> Endpoint<S, R> {
    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// As [`Writer::send`].
    pub fn send(&self, message: S) -> Result<(), SendError<S>> {
        self.writer.send(message)
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    pub fn try_send(&self, message: S) -> Result<(), TrySendError<S>> {
        self.writer.try_send(message)
    }

    /// Sends a message, waiting for room so long at most.
    ///
    /// # Errors
    /// As [`Writer::send_deadline`].
    pub fn send_timeout(&self, message: S, timeout: Duration) -> Result<(), SendTimeoutError<S>> {
        self.writer.send_timeout(message, timeout)
    }

    /// Sends a message, waiting for room until then at most.
    ///
    /// # Errors
    /// As [`Writer::send_deadline`].
    pub fn send_deadline(&self, message: S, deadline: Deadline) -> Result<(), SendTimeoutError<S>> {
        self.writer.send_deadline(message, deadline)
    }
}

impl<S: ?Sized, R: Serialize + DeserializeOwned> Endpoint<S, R> {
    /// Receives a message, waiting for one.
    ///
    /// # Errors
    /// As [`Reader::recv`].
    pub fn recv(&self) -> Result<R, RecvError> {
        self.reader.recv()
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// As [`Reader::try_recv`].
    pub fn try_recv(&self) -> Result<R, TryRecvError> {
        self.reader.try_recv()
    }

    /// Receives a message, waiting for one so long at most.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, RecvTimeoutError> {
        self.reader.recv_timeout(timeout)
    }

    /// Receives a message, waiting for one until then at most.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<R, RecvTimeoutError> {
        self.reader.recv_deadline(deadline)
    }

    /// [`recv`](Endpoint::recv) as a future.
    ///
    /// # Errors
    /// As [`Reader::recv_async`].
    pub async fn recv_async(&mut self) -> Result<R, RecvError> {
        self.reader.recv_async().await
    }

    /// The messages that come, until the end.
    ///
    /// # Panics
    /// As [`Reader::iter`].
    pub fn iter(&self) -> impl Iterator<Item = R> + '_ {
        self.reader.iter()
    }

    /// The messages that come, until the end or an error; as [`Reader::results`].
    pub fn results(&self) -> impl Iterator<Item = crate::Result<R>> + '_ {
        self.reader.results()
    }
}

impl<R: ?Sized> Endpoint<[u8], R> {
    /// Sends some bytes as one message, waiting for room.
    ///
    /// # Errors
    /// As [`Writer::send`].
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError<()>> {
        self.writer.send_bytes(bytes)
    }

    /// Sends some bytes as one message, if there is room.
    ///
    /// # Errors
    /// As [`Writer::try_send`].
    pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), TrySendError<()>> {
        self.writer.try_send_bytes(bytes)
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

    /// [`send_bytes`](Endpoint::send_bytes), waiting until then at most.
    ///
    /// # Errors
    /// As [`Writer::send_bytes_deadline`].
    pub fn send_bytes_deadline(
        &self,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), SendTimeoutError<()>> {
        self.writer.send_bytes_deadline(bytes, deadline)
    }
}

impl<S: ?Sized> Endpoint<S, [u8]> {
    /// Receives a message, whose bytes replace those of `into`, waiting for one.
    ///
    /// # Errors
    /// As [`Reader::recv`].
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), RecvError> {
        self.reader.recv_bytes(into)
    }

    /// [`recv_bytes`](Endpoint::recv_bytes), if there is a message.
    ///
    /// # Errors
    /// As [`Reader::try_recv`].
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), TryRecvError> {
        self.reader.try_recv_bytes(into)
    }

    /// [`recv_bytes`](Endpoint::recv_bytes), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`Reader::recv_timeout`].
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// [`recv_bytes`](Endpoint::recv_bytes), waiting until then at most.
    ///
    /// # Errors
    /// As [`Reader::recv_deadline`].
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), RecvTimeoutError> {
        self.reader.recv_bytes_deadline(into, deadline)
    }
}
