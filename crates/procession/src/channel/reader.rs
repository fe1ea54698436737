//! The end that messages come out of.

use super::direction::Inlet;
use super::stream::KEPT;
use crate::Deadline;
#[cfg(feature = "tokio")]
use crate::error::Context;
use crate::queue::{self, ErrorObject, Hindrance, Messages, Messaging, Outcome};
use crate::queue::{RecvError, RecvTimeoutError, TryRecvError};
use crate::wait::{Readiness, Sealed, Selectable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Receives from a [`Writer`](super::Writer), one way. It belongs to one process
/// and one thread at a time.
///
/// # If a process dies
/// When the writer is gone, dropped or killed, what it sent can still be received,
/// and then receiving fails: that is the end of file. If the writer of a pipe was killed in
/// the middle of a message, or was dropped before it wrote the rest of one that it had
/// [taken back](super::Writer::try_send), the end is an error of the kind
/// [`ProcessDied`](crate::ErrorKind::ProcessDied).
///
/// # Across fork and exec
/// As [`Writer`](super::Writer).
///
/// # Examples
/// See [`pipe`](super::pipe).
pub struct Reader<T: ?Sized> {
    /// And a buffer for what is received.
    inlet: RefCell<(Inlet, Vec<u8>)>,
    /// Of a connection: the address that it was made through, for errors.
    address: String,
    receives: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Reader<T> {
    pub(super) fn new(inlet: Inlet) -> Reader<T> {
        Reader {
            inlet: RefCell::new((inlet, Vec::new())),
            address: String::new(),
            receives: PhantomData,
        }
    }

    pub(super) fn of_connection(mut self, address: String) -> Reader<T> {
        self.address = address;
        self
    }

    /// What tells of its messages, where that is in shared memory.
    fn messages(&self) -> Option<Messages> {
        self.inlet.borrow().0.messages()
    }

    /// A copy of the descriptor that tells of its messages, elsewhere.
    fn descriptor(&self) -> crate::Result<OwnedFd> {
        self.inlet.borrow().0.descriptor()
    }

    /// Returns `true` if part of a message was read from there.
    fn has_some(&self) -> bool {
        self.inlet.borrow().0.has_some()
    }

    /// Returns `true` if there is something to receive, if only the end; of pipes and
    /// connections over the network, if part of a message has come since the last look.
    ///
    /// # Errors
    /// The system failed.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, channel};
    /// use std::time::Duration;
    /// let (writer, reader) = channel::pipe::<u32>()?;
    /// assert!(!reader.poll()?);
    /// assert!(!reader.poll_timeout(Duration::from_millis(1))?);
    /// writer.send(7).unwrap();
    /// assert!(reader.poll_deadline(Deadline::NEVER)?);
    /// assert_eq!(reader.recv().unwrap(), 7);
    /// drop(writer);
    /// assert!(reader.poll()?); // there is the end to receive
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn poll(&self) -> crate::Result<bool> {
        self.poll_deadline(Deadline::NOW)
    }

    /// Blocks until there is something to receive, at most `timeout`. Returns `true` if there is.
    ///
    /// # Errors
    /// As [`poll`](Reader::poll).
    ///
    /// # Examples
    /// See [`poll`](Reader::poll).
    pub fn poll_timeout(&self, timeout: Duration) -> crate::Result<bool> {
        self.poll_deadline(Deadline::after(timeout))
    }

    /// Blocks until there is something to receive, at most until `deadline`. Returns `true` if
    /// there is.
    ///
    /// # Errors
    /// As [`poll`](Reader::poll).
    ///
    /// # Examples
    /// See [`poll`](Reader::poll).
    pub fn poll_deadline(&self, deadline: Deadline) -> crate::Result<bool> {
        match self.inlet.borrow().0.wait(deadline) {
            Ok(()) | Err(Hindrance::Disconnected) => Ok(true),
            Err(Hindrance::TimedOut) => Ok(false),
            Err(Hindrance::Failed(error)) => Err(error),
        }
    }
}

impl<T: ?Sized> Messaging for Reader<T> {
    #[cold]
    fn error_object(&self) -> ErrorObject {
        ErrorObject::channel(&self.address)
    }
}

impl<T: Serialize + DeserializeOwned> Reader<T> {
    fn next(&self, deadline: Deadline) -> Outcome<T> {
        let (descriptors, buffer) = {
            let (inlet, buffer) = &mut *self.inlet.borrow_mut();
            let descriptors = inlet.receive(buffer, deadline)?;
            (descriptors, std::mem::take(buffer))
        };
        // What decodes a message may panic, or receive another one here.
        let decoded = queue::decode(&buffer, descriptors);
        if buffer.capacity() <= KEPT {
            self.inlet.borrow_mut().1 = buffer;
        }
        decoded.map_err(Hindrance::Failed)
    }

    /// Receives a message, blocking until there is one.
    ///
    /// # Errors
    /// [`Disconnected`](RecvError::Disconnected), when nothing is there and the
    /// writer is gone; [`Failed`](RecvError::Failed).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{self, RecvTimeoutError, TryRecvError};
    /// use std::time::Duration;
    /// let (writer, reader) = channel::pipe::<u32>()?;
    /// let short = Duration::from_millis(1);
    /// assert!(matches!(reader.try_recv(), Err(TryRecvError::Empty)));
    /// assert!(matches!(reader.recv_timeout(short), Err(RecvTimeoutError::Timeout(..))));
    /// writer.send(1).unwrap();
    /// writer.send(2).unwrap();
    /// assert_eq!(reader.recv().unwrap(), 1);
    /// assert_eq!(reader.recv_deadline(Deadline::after(short)).unwrap(), 2);
    /// drop(writer);
    /// assert!(reader.recv().is_err()); // the end of file
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv(&self) -> Result<T, RecvError> {
        self.next(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and as [`recv`](Reader::recv).
    ///
    /// # Examples
    /// See [`recv`](Reader::recv).
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.next(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
    }

    /// Receives a message, blocking until there is one, at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Reader::recv_deadline).
    ///
    /// # Examples
    /// See [`recv`](Reader::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives a message, blocking until there is one, at most until `deadline`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and as [`recv`](Reader::recv).
    ///
    /// # Examples
    /// See [`recv`](Reader::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> Result<T, RecvTimeoutError> {
        self.next(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(self))
    }

    /// Receives as [`recv`](Reader::recv) does, as a future. In shared memory, for any executor; with
    /// the feature `tokio`, in its runtime, for the other flavors as well. Dropped
    /// before it is ready, it has received nothing.
    ///
    /// Over a network, a future that waits does not notice that the other host is lost
    /// while something that was written here still waits to be sent; the operations that
    /// block do (`Address::lost_after`, with the feature `network`).
    ///
    /// # Errors
    /// As [`recv`](Reader::recv); [`Failed`](RecvError::Failed) of another flavor
    /// without that feature.
    ///
    /// # Examples
    /// ```
    /// use procession::channel;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// let (writer, mut reader) = channel::pipe::<u32>()?;
    /// writer.send(7).unwrap();
    /// let mut future = Box::pin(reader.recv_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// match future.as_mut().poll(&mut context) {
    ///     Poll::Ready(received) => assert_eq!(received.unwrap(), 7),
    ///     Poll::Pending => panic!("a message is there"),
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub async fn recv_async(&mut self) -> Result<T, RecvError> {
        // By references that are ours alone, so that the future may go to other
        // threads.
        let received = match self.messages() {
            Some(messages) => {
                let inlet = self.inlet.get_mut();
                crate::wait::until(messages, || attempt(inlet)).await
            }
            None => {
                let descriptor = self.descriptor();
                let inlet = self.inlet.get_mut();
                until_readable(descriptor, || attempt(inlet)).await
            }
        };
        received
            .map_err(Hindrance::Failed)
            .flatten()
            .map_err(|hindrance| hindrance.of_recv(self))
    }

    /// Returns an iterator over the messages that come, until the end.
    ///
    /// # Panics
    /// On any other end, with the error of [`recv`](Reader::recv): a message that
    /// cannot be decoded, a writer that ended in the middle of one, a host that is
    /// lost. An iterator of messages cannot say so otherwise, and it is not to look
    /// as if all had come. [`results`](Reader::results) has it as a value.
    ///
    /// # Examples
    /// ```
    /// use procession::channel;
    /// let (writer, reader) = channel::pipe::<u32>()?;
    /// (1..=3).for_each(|number| writer.send(number).unwrap());
    /// drop(writer);
    /// assert_eq!(reader.iter().collect::<Vec<_>>(), [1, 2, 3]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| queue::item(self.recv()))
    }

    /// Returns an iterator over the messages that come, until the end, or until one cannot be
    /// received: then the error is the last item. If only that message cannot be decoded, call
    /// this again for the messages after it.
    ///
    /// # Examples
    /// ```
    /// use procession::{channel, Result};
    /// let (writer, reader) = channel::pipe::<u64>()?;
    /// (1..=3).for_each(|number| writer.send(number).unwrap());
    /// drop(writer);
    /// assert_eq!(reader.results().sum::<Result<u64>>()?, 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn results(&self) -> impl Iterator<Item = crate::Result<T>> + '_ {
        queue::results(|| self.recv())
    }
}

/// Receives a message if there is one now.
fn attempt<T: DeserializeOwned>((inlet, buffer): &mut (Inlet, Vec<u8>)) -> Option<Outcome<T>> {
    let received = inlet.receive_value(buffer, Deadline::NOW);
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
    match received {
        Err(Hindrance::TimedOut) => None,
        outcome => Some(outcome),
    }
}

/// Attempts something each time that a descriptor may be read.
#[cfg(feature = "tokio")]
async fn until_readable<V>(
    descriptor: crate::Result<OwnedFd>,
    mut attempt: impl FnMut() -> Option<V>,
) -> crate::Result<V> {
    let readable = crate::fd::reactor::register(descriptor?, "awaiting message")?;
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        let guard = readable.readable().await;
        guard.during("awaiting message", "")?.clear_ready();
        // What came before that is seen now.
        if let Some(value) = attempt() {
            return Ok(value);
        }
    }
}

#[cfg(not(feature = "tokio"))]
async fn until_readable<V>(
    _descriptor: crate::Result<OwnedFd>,
    _attempt: impl FnMut() -> Option<V>,
) -> crate::Result<V> {
    Err(
        crate::Error::new(crate::ErrorKind::Unsupported, "awaiting message", "")
            .because("this flavor wants tokio's reactor, and the feature `tokio`"),
    )
}

impl Reader<[u8]> {
    /// Receives a message, whose bytes replace those of `into`, blocking until there is one.
    ///
    /// # Errors
    /// As [`recv`](Reader::recv).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::channel::{self, TryRecvError};
    /// use std::time::Duration;
    /// let (writer, reader) = channel::pipe::<[u8]>()?;
    /// let mut bytes = Vec::new();
    /// assert!(matches!(reader.try_recv_bytes(&mut bytes), Err(TryRecvError::Empty)));
    /// writer.send_bytes(b"one").unwrap();
    /// reader.recv_bytes(&mut bytes).unwrap();
    /// assert_eq!(bytes, b"one");
    /// assert!(reader.recv_bytes_deadline(&mut bytes, Deadline::NOW).is_err());
    /// assert!(reader.recv_bytes_timeout(&mut bytes, Duration::from_millis(1)).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), RecvError> {
        self.next_bytes(into, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(self))
    }

    /// Receives as [`recv_bytes`](Reader::recv_bytes) does, if there is a message.
    ///
    /// # Errors
    /// As [`Reader::try_recv`].
    ///
    /// # Examples
    /// See [`recv_bytes`](Reader::recv_bytes).
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> Result<(), TryRecvError> {
        self.next_bytes(into, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(self))
    }

    /// Receives as [`recv_bytes`](Reader::recv_bytes) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`Reader::recv_timeout`].
    ///
    /// # Examples
    /// See [`recv_bytes`](Reader::recv_bytes).
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// Receives as [`recv_bytes`](Reader::recv_bytes) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Reader::recv_deadline).
    ///
    /// # Examples
    /// See [`recv_bytes`](Reader::recv_bytes).
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), RecvTimeoutError> {
        self.next_bytes(into, deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(self))
    }

    fn next_bytes(&self, into: &mut Vec<u8>, deadline: Deadline) -> Outcome<()> {
        // Descriptors that somebody else has sent with them are closed.
        self.inlet.borrow_mut().0.receive(into, deadline).map(drop)
    }
}

impl<T: ?Sized> Selectable for Reader<T> {}

impl<T: ?Sized> Sealed for Reader<T> {
    fn readiness(&self) -> Readiness<'_> {
        if let Some(messages) = self.messages() {
            return Readiness::shared(messages);
        }
        match self.descriptor() {
            Ok(copy) => Readiness::of_stream(copy, || self.has_some()),
            Err(error) => Readiness::failed(error),
        }
    }
}

impl<T: ?Sized> std::fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl<T: ?Sized> Serialize for Reader<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.inlet.borrow().0, &self.address).serialize(serializer)
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Reader<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reader<T>, D::Error> {
        let (inlet, address) = <(Inlet, String)>::deserialize(deserializer)?;
        Ok(Reader::new(inlet).of_connection(address))
    }
}

queue::into_iterator!([T: Serialize + DeserializeOwned] Reader<T> => T);
