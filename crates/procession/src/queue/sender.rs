//! The sending half.

use super::borrowed::Reservation;
use super::handle::{self, Side, both_halves};
use super::message::{encode, with_buffer};
use super::source::Room;
use super::{Hindrance, Outcome};
use super::{SendError, SendTimeoutError, TrySendError};
#[cfg(test)]
use crate::ends::Ends;
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Sends to a [queue](crate::queue). Clones, and copies that went to other
/// processes, send to the same one.
///
/// # If a process dies
/// One that is killed while it sends has sent the message or has not; others are
/// not disturbed. When all receivers of a queue without a name are gone,
/// dropped or killed, sending fails.
///
/// # Across fork and exec
/// A forked child has it; to other processes it travels as an argument, capture
/// or result.
///
/// # Cost
/// Three atomic operations and two copies of the message; a system call to wake
/// somebody who sleeps.
///
/// # Examples
/// See [`bounded`](super::bounded).
pub struct Sender<T: ?Sized> {
    side: Arc<Side>,
    sends: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Sender<T> {
    pub(super) fn new(side: Arc<Side>) -> Sender<T> {
        Sender {
            side,
            sends: PhantomData,
        }
    }

    fn send_slice(&self, bytes: &[u8], deadline: Deadline) -> Outcome<()> {
        self.send_encoded(bytes, &[], deadline)
    }

    /// Sends bytes and descriptors as one message.
    #[inline]
    pub(crate) fn send_encoded(
        &self,
        bytes: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        if descriptors.is_empty() {
            let gone = || self.side.are_receivers_gone();
            let ring = &self.side.ring;
            return ring.send(bytes, 0, |_| Ok(true), deadline, gone);
        }
        self.send_with_descriptors(bytes, descriptors, deadline)
    }

    #[cold]
    fn send_with_descriptors(
        &self,
        bytes: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        let socket = self.side.descriptor_socket();
        let tag = socket.tag(descriptors)?;
        let send_packet = |block| socket.try_send(block, tag, descriptors);
        let gone = || self.side.are_receivers_gone();
        let ring = &self.side.ring;
        ring.send(bytes, tag, send_packet, deadline, gone)
    }
}

impl<T: ?Sized> Sender<T> {
    /// Waits until every message that was sent, by anybody, is done with: received
    /// by [`recv`](super::Receiver::recv), or received by
    /// [`receive`](super::Receiver::receive) and the [`Delivery`](super::Delivery)
    /// dropped. One that a killed receiver had is not, until another one is done
    /// with it.
    ///
    /// # Errors
    /// [`Disconnected`](ErrorKind::Disconnected): no receiver is left, and something
    /// is not done.
    ///
    /// # Cost
    /// A look at every block of the queue, each time that it becomes empty.
    ///
    /// # Examples
    /// ```
    /// use procession::{process, queue::{self, Receiver}};
    /// fn work(jobs: Receiver<String>) {
    ///     for job in jobs.deliveries() {
    ///         // … and when `job` is dropped, it is done.
    ///         assert!(job.len() > 0);
    ///     }
    /// }
    /// let (sender, jobs) = queue::joinable(10)?;
    /// let mut worker = process::spawn(work, jobs)?;
    /// for name in ["one", "two", "three"] {
    ///     sender.send(name.to_owned()).unwrap();
    /// }
    /// sender.join()?; // all three are done
    /// drop(sender);
    /// worker.join().unwrap();
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "JoinableQueue")]
    #[doc(alias = "task_done")]
    pub fn join(&self) -> Result<()> {
        self.join_deadline(Deadline::NEVER)
    }

    /// Returns at once: `Ok` if all messages are done, as [`join`](Sender::join) waits for.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): some are not; and as [`join`](Sender::join).
    pub fn try_join(&self) -> Result<()> {
        self.join_deadline(Deadline::NOW)
    }

    /// [`join`](Sender::join), waiting so long at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`join`](Sender::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<()> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// [`join`](Sender::join), waiting until then at most.
    ///
    /// # Errors
    /// As [`join_timeout`](Sender::join_timeout).
    pub fn join_deadline(&self, deadline: Deadline) -> Result<()> {
        let operation = "waiting until all messages are done";
        let gone = || self.side.are_receivers_gone();
        let ring = &self.side.ring;
        let label = ring.object.label();
        ring.join(deadline, gone)
            .map_err(|hindrance| match hindrance {
                Hindrance::TimedOut => Error::new(deadline.error_kind(), operation, label),
                Hindrance::Disconnected => Error::new(ErrorKind::Disconnected, operation, label)
                    .because("no receiver is left who would do the rest"),
                Hindrance::Failed(error) => error,
            })
    }

    #[cfg(test)]
    pub(crate) fn ends(&self) -> &Ends {
        self.side.ends()
    }

    pub(crate) fn room(&self) -> Room {
        Room(Arc::clone(&self.side))
    }
}

both_halves!(Sender);

impl<T: Serialize + DeserializeOwned> Sender<T> {
    fn deliver(&self, message: &T, deadline: Deadline) -> Outcome<()> {
        with_buffer(|buffer| {
            let descriptors = encode(message, buffer)?;
            self.send_encoded(buffer, &descriptors, deadline)
        })
    }

    /// Sends a message, waiting for room. When this returns, the message is in
    /// shared memory, and no death takes it away but that of the last user of the queue.
    /// (Of a queue that was made to lose what is not finished, also that of who receives
    /// it; see [`Options::at_most_once`](super::Options::at_most_once).)
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
}

impl<T: Serialize + DeserializeOwned> Sender<T> {
    /// Sends several messages, waiting for room as often as needed; receivers hear
    /// of those that there is room for at once. How many there were.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send`](Sender::send).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bounded(100)?;
    /// assert_eq!(sender.send_many(1..=10).unwrap(), 10);
    /// let mut some = Vec::new();
    /// while some.len() < 10 {
    ///     receiver.recv_many(&mut some, 8).unwrap();
    /// }
    /// assert_eq!(some.iter().sum::<u32>(), 55);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_many(
        &self,
        messages: impl IntoIterator<Item = T>,
    ) -> std::result::Result<usize, SendError<T>> {
        self.deliver_many(messages, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(message))
    }

    /// Sends as many of the messages as there is room for now, as
    /// [`send_many`](Sender::send_many) does.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`try_send`](Sender::try_send).
    pub fn try_send_many(
        &self,
        messages: impl IntoIterator<Item = T>,
    ) -> std::result::Result<usize, TrySendError<T>> {
        self.deliver_many(messages, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(message))
    }

    /// [`send_many`](Sender::send_many), waiting for room at most `timeout` in all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send_timeout`](Sender::send_timeout).
    pub fn send_many_timeout(
        &self,
        messages: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> std::result::Result<usize, SendTimeoutError<T>> {
        self.send_many_deadline(messages, Deadline::after(timeout))
    }

    /// [`send_many`](Sender::send_many), waiting for room until then at most.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send_deadline`](Sender::send_deadline).
    pub fn send_many_deadline(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> std::result::Result<usize, SendTimeoutError<T>> {
        self.deliver_many(messages, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(message))
    }

    fn deliver_many(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> std::result::Result<usize, (Hindrance, T)> {
        let mut messages = messages.into_iter();
        let mut count = 0;
        let mut next = messages.next();
        while let Some(message) = next {
            // Waits, and finds out what has happened to the others.
            if let Err(hindrance) = self.deliver(&message, deadline) {
                return Err((hindrance, message));
            }
            let (sent, left) = self.send_some(&mut messages)?;
            count += 1 + sent;
            next = left;
        }
        Ok(count)
    }

    /// Sends as many as there is room for; how many, and the first that there was
    /// none for.
    fn send_some(
        &self,
        messages: &mut impl Iterator<Item = T>,
    ) -> std::result::Result<(usize, Option<T>), (Hindrance, T)> {
        let ring = &self.side.ring;
        let Ok(caller) = ring.object.caller(Deadline::NOW) else {
            // Sending one by itself says why.
            return Ok((0, messages.next()));
        };
        let mut batch = ring.batch(&caller);
        let mut count = 0;
        for message in messages {
            let sent = with_buffer(|buffer| {
                match encode(&message, buffer)?.is_empty() {
                    true => batch.try_send(buffer),
                    // It goes by itself.
                    false => Ok(false),
                }
            });
            match sent {
                Ok(true) => count += 1,
                Ok(false) => return Ok((count, Some(message))),
                Err(hindrance) => return Err((hindrance, message)),
            }
        }
        Ok((count, None))
    }

    /// [`send`](Sender::send) as a future, for any executor. Dropped before it is
    /// ready, it has sent nothing.
    ///
    /// # Cost
    /// As [`recv_async`](super::Receiver::recv_async).
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

    /// Sends several messages, as [`send_many`](Sender::send_many) does.
    ///
    /// # Errors
    /// As [`send`](Sender::send), and how many were sent before.
    pub fn send_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
    ) -> std::result::Result<usize, SendError<usize>> {
        self.deliver_many_bytes(messages, Deadline::NEVER)
            .map_err(|(hindrance, count)| hindrance.of_send(count))
    }

    /// Sends as many of the messages as there is room for now, as
    /// [`send_many_bytes`](Sender::send_many_bytes) does.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send), and how many were sent before.
    pub fn try_send_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
    ) -> std::result::Result<usize, TrySendError<usize>> {
        self.deliver_many_bytes(messages, Deadline::NOW)
            .map_err(|(hindrance, count)| hindrance.of_try_send(count))
    }

    /// [`send_many_bytes`](Sender::send_many_bytes), waiting for room at most `timeout`
    /// in all.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout), and how many were sent before.
    pub fn send_many_bytes_timeout<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        timeout: Duration,
    ) -> std::result::Result<usize, SendTimeoutError<usize>> {
        self.send_many_bytes_deadline(messages, Deadline::after(timeout))
    }

    /// [`send_many_bytes`](Sender::send_many_bytes), waiting for room until then at
    /// most.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline), and how many were sent before.
    pub fn send_many_bytes_deadline<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        deadline: Deadline,
    ) -> std::result::Result<usize, SendTimeoutError<usize>> {
        self.deliver_many_bytes(messages, deadline)
            .map_err(|(hindrance, count)| hindrance.of_send_timeout(count))
    }

    fn deliver_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        deadline: Deadline,
    ) -> std::result::Result<usize, (Hindrance, usize)> {
        let ring = &self.side.ring;
        let mut messages = messages.into_iter();
        let mut count = 0;
        let mut next = messages.next();
        while let Some(message) = next.take() {
            if let Err(hindrance) = self.send_slice(message, deadline) {
                return Err((hindrance, count));
            }
            count += 1;
            let caller = ring.object.caller(Deadline::NOW);
            let caller = caller.map_err(|error| (Hindrance::Failed(error), count))?;
            let mut batch = ring.batch(&caller);
            for message in messages.by_ref() {
                match batch.try_send(message) {
                    Ok(true) => count += 1,
                    Ok(false) => {
                        next = Some(message);
                        break;
                    }
                    Err(hindrance) => return Err((hindrance, count)),
                }
            }
        }
        Ok(count)
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

impl<T: ?Sized> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender::new(Arc::clone(&self.side))
    }
}

impl<T: ?Sized> std::fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        handle::serialize::<T, S>(&self.side, serializer)
    }
}

impl<'de, T: super::Message<'de> + ?Sized> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Sender<T>, D::Error> {
        handle::deserialize::<T, D>(deserializer).map(Sender::new)
    }
}
