//! The receiving half.

use super::borrowed::{Borrowed, Holding};
use super::handle::{self, Side, both_halves};
use super::message::{decode, with_buffer};
use super::ring::Keep;
use super::source::Messages;
use super::{Hindrance, Outcome, iter};
use super::{RecvError, RecvTimeoutError, TryRecvError};
use crate::ends::Ends;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::queue::Held;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Receives from a [queue](crate::queue). Clones, and copies that went to other
/// processes, share its messages: each goes to one of them.
///
/// # If a process dies
/// A message that it was receiving is delivered to another receiver, or counted
/// as [lost](Receiver::lost), as the queue was made; others are not disturbed.
/// When all senders of a queue without a name are gone, dropped or killed, what
/// they sent can still be received, and then receiving fails.
///
/// # Across fork and exec
/// As [`Sender`](super::Sender).
///
/// # Cost
/// Three atomic operations and two copies of the message; nothing but two looks
/// at counters more for noticing deaths.
///
/// # Examples
/// See [`bounded`](super::bounded).
pub struct Receiver<T: ?Sized> {
    side: Arc<Side>,
    receives: PhantomData<fn() -> Box<T>>,
}

impl<T: ?Sized> Receiver<T> {
    pub(super) fn new(side: Arc<Side>) -> Receiver<T> {
        Receiver {
            side,
            receives: PhantomData,
        }
    }

    /// Receives a message into a buffer; its descriptors, and whether it comes once
    /// more.
    #[inline]
    pub(crate) fn receive_encoded(
        &self,
        buffer: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Outcome<(Vec<OwnedFd>, bool)> {
        let ring = &self.side.ring;
        let gone = || self.side.is_other_side_gone();
        let (mut outcome, mut descriptors) = (Ok(()), Vec::new());
        let mut redelivered = false;
        let read = |held: Held| {
            redelivered = held.redelivered;
            let mut keep = Keep::No;
            match self.read(held.block, buffer) {
                Ok(fetched) => descriptors = fetched,
                Err(error) => {
                    if is_for_another(&error) {
                        keep = Keep::Nobody;
                    }
                    outcome = Err(error);
                }
            }
            ((), keep)
        };
        let tidy = || self.side.descriptor_socket().sweep();
        ring.receive(deadline, gone, tidy, read)?;
        outcome?;
        if !descriptors.is_empty() {
            self.side.descriptor_socket().sweep();
        }
        Ok((descriptors, redelivered))
    }

    /// Reads the message in a block that is ours; its descriptors.
    #[inline]
    fn read(&self, block: usize, buffer: &mut Vec<u8>) -> Result<Vec<OwnedFd>> {
        self.side.ring.read(block, buffer)?;
        self.side.descriptor_socket().fetch(block)
    }

    #[inline]
    fn receive_into(&self, buffer: &mut Vec<u8>, deadline: Deadline) -> Outcome<bool> {
        // Descriptors that are no part of bytes are closed.
        let (_, redelivered) = self.receive_encoded(buffer, deadline)?;
        Ok(redelivered)
    }

    /// How many messages were lost with their receivers, of a queue that was made
    /// to [lose](super::Options::at_most_once) them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.side.ring.lost()
    }
}

impl<T: ?Sized> Receiver<T> {
    pub(crate) fn ends(&self) -> &Ends {
        self.side.ends()
    }

    /// Whether nothing will come any more.
    pub(super) fn is_disconnected(&self) -> bool {
        self.side.ring.is_closed() || self.side.is_other_side_gone()
    }

    pub(crate) fn messages(&self) -> Messages {
        Messages(Arc::clone(&self.side))
    }

    /// Waits until there is something to receive.
    pub(crate) fn wait_for_message(&self, deadline: Deadline) -> Outcome<()> {
        let gone = || self.side.is_other_side_gone();
        self.side.ring.wait_for_message(deadline, gone)
    }
}

both_halves!(Receiver);

/// Whether another receiver, or this one later, may be able to read a message: there
/// is no room for its descriptors, say.
pub(super) fn is_for_another(error: &Error) -> bool {
    use ErrorKind::{Busy, LimitReached, NoSpace, TimedOut};
    [Busy, LimitReached, NoSpace, TimedOut].contains(&error.kind())
}

impl<T: Serialize + DeserializeOwned> Receiver<T> {
    fn next(&self, deadline: Deadline) -> Outcome<T> {
        with_buffer(|buffer| {
            let (descriptors, _) = self.receive_encoded(buffer, deadline)?;
            decode(buffer, descriptors).map_err(Hindrance::Failed)
        })
    }

    /// Receives a message, waiting for one. It is done with when it has been
    /// copied, before it is decoded and returned: who wants it to come again if this
    /// process is killed, or panics, while decoding it or working on it uses
    /// [`receive`](Receiver::receive).
    ///
    /// # Errors
    /// [`Disconnected`](RecvError::Disconnected), when nothing is there and
    /// nothing will come; [`Failed`](RecvError::Failed): the message cannot be decoded,
    /// and is lost, or there is no room for its descriptors, and another receiver gets
    /// it, or this one the next time.
    pub fn recv(&self) -> std::result::Result<T, RecvError> {
        self.next(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// Receives a message if there is one.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and as [`recv`](Receiver::recv).
    pub fn try_recv(&self) -> std::result::Result<T, TryRecvError> {
        self.next(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// Receives a message, waiting for one so long at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn recv_timeout(&self, timeout: Duration) -> std::result::Result<T, RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives a message, waiting for one until then at most.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and as [`recv`](Receiver::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> std::result::Result<T, RecvTimeoutError> {
        self.next(deadline).map_err(Hindrance::of_recv_timeout)
    }

    /// Receives several messages, waiting for the first: what is there then, at most
    /// so many, is put behind what is in `into`. How many there were. Each is done with
    /// before it is decoded, as by [`recv`](Receiver::recv).
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), if there was no first. A message that cannot be
    /// decoded ends the row, and is lost.
    ///
    /// # Examples
    /// See [`send_many`](super::Sender::send_many).
    pub fn recv_many(
        &self,
        into: &mut Vec<T>,
        max: usize,
    ) -> std::result::Result<usize, RecvError> {
        self.next_many(into, max, Deadline::NEVER)
            .map_err(Hindrance::of_recv)
    }

    /// Receives what is there now, at most `max` messages, as
    /// [`recv_many`](Receiver::recv_many) does.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv), if there was no first.
    pub fn try_recv_many(
        &self,
        into: &mut Vec<T>,
        max: usize,
    ) -> std::result::Result<usize, TryRecvError> {
        self.next_many(into, max, Deadline::NOW)
            .map_err(Hindrance::of_try_recv)
    }

    /// [`recv_many`](Receiver::recv_many), waiting for the first at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout), if there was no first.
    pub fn recv_many_timeout(
        &self,
        into: &mut Vec<T>,
        max: usize,
        timeout: Duration,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.recv_many_deadline(into, max, Deadline::after(timeout))
    }

    /// [`recv_many`](Receiver::recv_many), waiting for the first until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline), if there was no first.
    pub fn recv_many_deadline(
        &self,
        into: &mut Vec<T>,
        max: usize,
        deadline: Deadline,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.next_many(into, max, deadline)
            .map_err(Hindrance::of_recv_timeout)
    }

    fn next_many(&self, into: &mut Vec<T>, max: usize, deadline: Deadline) -> Outcome<usize> {
        if max == 0 {
            return Ok(0);
        }
        into.push(self.next(deadline)?);
        let mut row = self.side.ring.row()?;
        let mut count = 1;
        let more = with_buffer(|buffer| {
            while count < max {
                let mut descriptors = Vec::new();
                let read = |block| {
                    descriptors = self.read(block, buffer)?;
                    Ok(())
                };
                if !row.try_next(read)? {
                    break;
                }
                if !descriptors.is_empty() {
                    self.side.descriptor_socket().sweep();
                }
                into.push(decode(buffer, descriptors)?);
                count += 1;
            }
            Ok(count)
        });
        drop(row);
        more
    }

    /// [`recv`](Receiver::recv) as a future, for any executor. Dropped before it is
    /// ready, it has received nothing.
    ///
    /// Wakers are called on a thread of the library. One that takes longer than 20 ms
    /// keeps its thread, and another thread goes on with the others, up to 32 threads:
    /// more wakers than that which do not return make all later ones wait.
    ///
    /// # Cost
    /// The thread that keeps shared objects wakes the task: a few system calls where
    /// it has to wait, and no thread for each queue.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    pub async fn recv_async(&self) -> std::result::Result<T, RecvError> {
        let attempt = || match self.next(Deadline::NOW) {
            Err(Hindrance::TimedOut) => None,
            outcome => Some(outcome),
        };
        let received = crate::select::until(self.messages(), attempt).await;
        received
            .map_err(Hindrance::Failed)
            .flatten()
            .map_err(Hindrance::of_recv)
    }

    /// Receives a message that is ours until the [`Delivery`] is dropped: if this
    /// process is killed before, or a panic drops it, another receiver gets it, marked
    /// as [redelivered](Delivery::is_redelivered), or it is counted as lost.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (jobs, workers) = queue::bounded(10)?;
    /// jobs.send("a page to fetch".to_owned()).unwrap();
    /// let job = workers.receive().unwrap();
    /// assert_eq!((job.as_str(), job.is_redelivered()), ("a page to fetch", false));
    /// drop(job); // done
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn receive(&self) -> std::result::Result<Delivery<T>, RecvError> {
        self.deliver(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// [`receive`](Receiver::receive), if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    pub fn try_receive(&self) -> std::result::Result<Delivery<T>, TryRecvError> {
        self.deliver(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// [`receive`](Receiver::receive), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    pub fn receive_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<Delivery<T>, RecvTimeoutError> {
        self.receive_deadline(Deadline::after(timeout))
    }

    /// [`receive`](Receiver::receive), waiting until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn receive_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<Delivery<T>, RecvTimeoutError> {
        self.deliver(deadline).map_err(Hindrance::of_recv_timeout)
    }

    fn deliver(&self, deadline: Deadline) -> Outcome<Delivery<T>> {
        let ring = &self.side.ring;
        let gone = || self.side.is_other_side_gone();
        let tidy = || self.side.descriptor_socket().sweep();
        let Held { block, redelivered } =
            ring.receive(deadline, gone, tidy, |held| (held, Keep::Yes))?;
        let mut holding = Holding::received(&self.side, block);
        let message = with_buffer(|buffer| {
            let descriptors = self.read(block, buffer)?;
            decode(buffer, descriptors)
        });
        Ok(Delivery {
            message: holding.kept(message)?,
            redelivered,
            _holding: holding,
        })
    }

    /// The messages that come, until nothing is there and nothing will come.
    ///
    /// # Panics
    /// On any other end, with the error of [`recv`](Receiver::recv): a message that
    /// cannot be decoded, a queue that is corrupt. An iterator of messages cannot say
    /// so otherwise, and it is not to look as if all had come.
    /// [`results`](Receiver::results) has it as a value.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| iter::item(self.recv()))
    }

    /// The messages that come, until nothing is there and nothing will come, or until
    /// one cannot be received: then the error is the last item. Where that was about
    /// one message, what comes after it can be had by asking again.
    ///
    /// # Examples
    /// ```
    /// use procession::{queue, Result};
    /// let (sender, receiver) = queue::bounded::<u64>(4)?;
    /// sender.send_many([1, 2, 3]).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.results().sum::<Result<u64>>()?, 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn results(&self) -> impl Iterator<Item = Result<T>> + '_ {
        iter::results(|| self.recv())
    }

    /// The messages that come, each ours until its [`Delivery`] is dropped, at the end
    /// of the loop's body; as [`iter`](Receiver::iter) in all else.
    ///
    /// # Panics
    /// As [`iter`](Receiver::iter).
    ///
    /// # Examples
    /// See [`Sender::join`](super::Sender::join).
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery<T>> + '_ {
        std::iter::from_fn(|| iter::item(self.receive()))
    }

    /// The messages that are there now.
    ///
    /// # Panics
    /// As [`iter`](Receiver::iter).
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| iter::item_now(self.try_recv()))
    }
}

impl Receiver<[u8]> {
    /// Receives a message, whose bytes replace those of `into`, waiting for one.
    /// Whether it was delivered before, to somebody who died.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, RecvError> {
        self.receive_into(into, Deadline::NEVER)
            .map_err(Hindrance::of_recv)
    }

    /// [`recv_bytes`](Receiver::recv_bytes), if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, TryRecvError> {
        self.receive_into(into, Deadline::NOW)
            .map_err(Hindrance::of_try_recv)
    }

    /// [`recv_bytes`](Receiver::recv_bytes), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// [`recv_bytes`](Receiver::recv_bytes), waiting until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.receive_into(into, deadline)
            .map_err(Hindrance::of_recv_timeout)
    }

    /// Receives several messages, waiting for the first: those that are there then,
    /// at most so many, are shown one after the other. How many there were. Each is
    /// done with before it is shown: one that makes `show` panic does not come again.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), if there was no first.
    pub fn recv_many_bytes(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
    ) -> std::result::Result<usize, RecvError> {
        self.show_many(max, show, Deadline::NEVER)
            .map_err(Hindrance::of_recv)
    }

    /// Shows the messages that are there now, at most `max`, as
    /// [`recv_many_bytes`](Receiver::recv_many_bytes) does.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv), if there was no first.
    pub fn try_recv_many_bytes(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
    ) -> std::result::Result<usize, TryRecvError> {
        self.show_many(max, show, Deadline::NOW)
            .map_err(Hindrance::of_try_recv)
    }

    /// [`recv_many_bytes`](Receiver::recv_many_bytes), waiting for the first at most
    /// `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout), if there was no first.
    pub fn recv_many_bytes_timeout(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
        timeout: Duration,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.recv_many_bytes_deadline(max, show, Deadline::after(timeout))
    }

    /// [`recv_many_bytes`](Receiver::recv_many_bytes), waiting for the first until then
    /// at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline), if there was no first.
    pub fn recv_many_bytes_deadline(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
        deadline: Deadline,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.show_many(max, show, deadline)
            .map_err(Hindrance::of_recv_timeout)
    }

    fn show_many(
        &self,
        max: usize,
        mut show: impl FnMut(&[u8]),
        deadline: Deadline,
    ) -> Outcome<usize> {
        if max == 0 {
            return Ok(0);
        }
        let ring = &self.side.ring;
        with_buffer(|buffer| {
            self.receive_into(buffer, deadline)?;
            show(buffer);
            let mut row = ring.row()?;
            let mut count = 1;
            while count < max && row.try_next(|block| ring.read(block, buffer))? {
                show(buffer);
                count += 1;
            }
            Ok(count)
        })
    }

    /// Receives a message to be read where it lies, waiting for one.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// See [`Reservation`](super::Reservation).
    pub fn receive_bytes(&self) -> std::result::Result<Borrowed, RecvError> {
        self.borrow(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// [`receive_bytes`](Receiver::receive_bytes), if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    pub fn try_receive_bytes(&self) -> std::result::Result<Borrowed, TryRecvError> {
        self.borrow(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// [`receive_bytes`](Receiver::receive_bytes), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    pub fn receive_bytes_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.receive_bytes_deadline(Deadline::after(timeout))
    }

    /// [`receive_bytes`](Receiver::receive_bytes), waiting until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn receive_bytes_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.borrow(deadline).map_err(Hindrance::of_recv_timeout)
    }

    /// The messages that come, each to be read where it lies until it is dropped, until
    /// nothing is there and nothing will come.
    ///
    /// # Panics
    /// On any other end, with the error of
    /// [`receive_bytes`](Receiver::receive_bytes).
    pub fn borrowed(&self) -> impl Iterator<Item = Borrowed> + '_ {
        std::iter::from_fn(|| iter::item(self.receive_bytes()))
    }

    fn borrow(&self, deadline: Deadline) -> Outcome<Borrowed> {
        let ring = &self.side.ring;
        let gone = || self.side.is_other_side_gone();
        let tidy = || self.side.descriptor_socket().sweep();
        let held = ring.receive(deadline, gone, tidy, |held| (held, Keep::Yes))?;
        Borrowed::new(&self.side, held)
    }
}

/// A message that is ours until this is dropped, which says that it is done with.
///
/// A panic is a death: dropped while its thread unwinds, it is not done with. Another
/// receiver gets the message, or this one later, marked as
/// [redelivered](Delivery::is_redelivered); of a queue that was made to
/// [lose](super::Options::at_most_once) what is not finished, it is counted as
/// [lost](Receiver::lost). A message that makes every receiver panic comes again and
/// again: look at the mark where that may be.
///
/// Forgotten, by `mem::forget`, it is ours until this process ends.
#[derive(Debug)]
#[must_use = "the message is done with when this is dropped"]
pub struct Delivery<T> {
    message: T,
    redelivered: bool,
    _holding: Holding,
}

impl<T> Delivery<T> {
    /// Whether a receiver had it before, and was killed or panicked.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// The message, which is done with.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.message
    }
}

impl<T> std::ops::Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

impl<T: ?Sized> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver::new(Arc::clone(&self.side))
    }
}

impl<T: ?Sized> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        handle::serialize::<T, S>(&self.side, serializer)
    }
}

impl<'de, T: super::Message<'de> + ?Sized> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Receiver<T>, D::Error> {
        handle::deserialize::<T, D>(deserializer).map(Receiver::new)
    }
}
