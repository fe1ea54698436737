//! Messages where they lie: written before they are sent, read before they are
//! done with, without a copy.
//!
//! # Safety
//! The second zone of `unsafe`, as in `shm/exclusive.rs`: a block is one
//! process's from when it takes it until it publishes it or gives it back, and
//! the word of the block, which all users of the queue keep to, says whose.
#![allow(unsafe_code)]

use super::SendTimeoutError;
use super::handle::Side;
use super::ring::is_for_another;
use super::sender::hand_over_block;
use super::{Hindrance, Outcome};
use crate::Deadline;
use crate::shm::{Range, ShmSafe};
use procession_core::Owner;
use procession_core::queue::Held;
use std::sync::Arc;
use std::time::Duration;

/// A block that this process has.
#[derive(Debug)]
pub(super) struct Holding {
    side: Arc<Side>,
    /// `None`: not any more.
    block: Option<usize>,
    process: Option<Owner>,
    on_drop: OnDrop,
}

/// What becomes of a block whose message is neither acknowledged nor requeued by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDrop {
    /// It is given back: its message is done with, or was never sent.
    GiveBack,
    /// A panic is a death: unwinding requeues it.
    RequeueInPanic,
    Requeue,
}

impl Holding {
    /// Of a message that is to be acknowledged.
    pub(super) fn delivered(side: &Arc<Side>, block: usize) -> Holding {
        Holding::new(side, block, OnDrop::Requeue)
    }

    /// Of a message that is read where it lies.
    fn borrowed(side: &Arc<Side>, block: usize) -> Holding {
        // What is received and dropped by a destructor while its thread unwinds
        // already is done with as elsewhere.
        let on_drop = match std::thread::panicking() {
            true => OnDrop::GiveBack,
            false => OnDrop::RequeueInPanic,
        };
        Holding::new(side, block, on_drop)
    }

    /// Of a message that is to be sent.
    fn reserved(side: &Arc<Side>, block: usize) -> Holding {
        Holding::new(side, block, OnDrop::GiveBack)
    }

    fn new(side: &Arc<Side>, block: usize, on_drop: OnDrop) -> Holding {
        Holding {
            side: Arc::clone(side),
            block: Some(block),
            process: side.process(),
            on_drop,
        }
    }

    /// Has the block given back when this is dropped.
    pub(super) fn acknowledge(&mut self) {
        self.on_drop = OnDrop::GiveBack;
    }

    /// Leaves the message to another receiver.
    #[cold]
    pub(super) fn requeue(&mut self) {
        if self.is_ours()
            && let Some(block) = self.block.take()
            && let Some(caller) = self.side.ring.object.holder()
        {
            let ring = &self.side.ring;
            let loses_descriptors = ring.loses() && ring.tag_of(block) != 0;
            ring.abandon(block, &caller);
            if loses_descriptors {
                self.side.descriptor_socket().sweep();
            }
        }
    }

    /// Leaves the message to another receiver if that one may be able to do what has
    /// failed here; what nobody can read is not to come again and again.
    pub(super) fn kept<T>(&mut self, outcome: crate::Result<T>) -> Outcome<T> {
        outcome.map_err(|error| {
            match is_for_another(&error) {
                true => self.requeue(),
                false => self.acknowledge(),
            }
            Hindrance::Failed(error)
        })
    }

    /// The bytes of the message in it.
    fn range(&self, block: usize) -> crate::Result<Range> {
        let (memory, at, length) = self.side.ring.location(block)?;
        // SAFETY: the bytes of the message in a block that this process has; the
        // types below let go of the range before they give the block up, and
        // refuse to show it to a forked copy, which has not got the block.
        let range = unsafe { Range::new(&memory, at, length) };
        range.ok_or_else(|| {
            let error = crate::Error::new(crate::ErrorKind::Corrupt, "borrowing message", "");
            error.because("it leaves the memory of the queue")
        })
    }

    /// Returns `true` if this is the process that took it, and not a forked copy.
    #[inline]
    fn is_ours(&self) -> bool {
        self.process.is_some() && self.side.process() == self.process
    }

    /// Panics in a forked copy.
    #[inline]
    fn check_process(&self) {
        assert!(
            self.is_ours(),
            "a forked process has none of the messages that its parent borrows"
        );
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        match self.on_drop {
            OnDrop::Requeue => self.requeue(),
            OnDrop::RequeueInPanic if std::thread::panicking() => self.requeue(),
            _ => {}
        }
        // A forked copy gives nothing back.
        if let Some(block) = self.block.take()
            && self.is_ours()
            && let Some(caller) = self.side.ring.object.holder()
        {
            let has_descriptors = self.side.ring.tag_of(block) != 0;
            self.side.ring.finish(block, &caller);
            if has_descriptors {
                self.side.descriptor_socket().sweep();
            }
        }
    }
}

/// A message that is written where its receiver will read it, and sent by
/// [`commit`](Reservation::commit). If it is dropped instead, nothing is sent.
///
/// # If a process dies
/// The message was sent whole or not at all. If it was not sent, its room is free again.
///
/// # Across fork and exec
/// A forked copy shows nothing (it panics) and sends nothing.
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::bytes(4)?;
/// let mut message = sender.reserve(5).unwrap();
/// message.copy_from_slice(b"hello");
/// message.commit().unwrap();
/// let borrowed = receiver.recv_borrowed().unwrap();
/// assert_eq!(&*borrowed, b"hello");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a reservation that is dropped sends nothing"]
pub struct Reservation {
    // Before the block.
    range: Range,
    holding: Holding,
}

impl Reservation {
    pub(super) fn new(side: &Arc<Side>, length: usize, deadline: Deadline) -> Outcome<Reservation> {
        let gone = || side.are_receivers_gone();
        let block = side.ring.reserve(length, deadline, gone)?;
        let holding = Holding::reserved(side, block);
        let range = holding.range(block)?;
        Ok(Reservation { range, holding })
    }

    /// Sends the message, blocking while there is no room.
    ///
    /// # Errors
    /// [`Disconnected`](super::SendError::Disconnected),
    /// [`Failed`](super::SendError::Failed); nothing was sent.
    pub fn commit(self) -> Result<(), super::SendError<()>> {
        self.send(Deadline::NEVER)
            .map_err(|(hindrance, side)| hindrance.of_send(&*side, ()))
    }

    /// Sends the message if there is room now.
    ///
    /// # Errors
    /// [`Full`](super::TrySendError::Full), and as [`commit`](Reservation::commit).
    ///
    /// # Examples
    /// See [`commit_first`](Reservation::commit_first).
    pub fn try_commit(self) -> Result<(), super::TrySendError<()>> {
        self.send(Deadline::NOW)
            .map_err(|(hindrance, side)| hindrance.of_try_send(&*side, ()))
    }

    /// Sends the message, blocking while there is no room, at most `timeout`.
    ///
    /// # Errors
    /// As [`commit_deadline`](Reservation::commit_deadline).
    ///
    /// # Examples
    /// See [`commit_first`](Reservation::commit_first).
    pub fn commit_timeout(self, timeout: Duration) -> Result<(), SendTimeoutError<()>> {
        self.commit_deadline(Deadline::after(timeout))
    }

    /// Sends the message, blocking while there is no room, at most until `deadline`.
    ///
    /// # Errors
    /// [`Timeout`](SendTimeoutError::Timeout), and as
    /// [`commit`](Reservation::commit).
    ///
    /// # Examples
    /// See [`commit_first`](Reservation::commit_first).
    pub fn commit_deadline(self, deadline: Deadline) -> Result<(), SendTimeoutError<()>> {
        self.send(deadline)
            .map_err(|(hindrance, side)| hindrance.of_send_timeout(&*side, ()))
    }

    /// Sends only so many bytes of it, from the first on: for messages whose
    /// length is known when they are written.
    ///
    /// # Errors
    /// As [`commit`](Reservation::commit).
    ///
    /// # Panics
    /// If it has not as many.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// let mut message = sender.reserve(100).unwrap();
    /// message[..2].copy_from_slice(b"ok");
    /// message.commit_first(2).unwrap();
    /// assert_eq!(*receiver.recv_borrowed().unwrap(), *b"ok");
    /// sender.reserve(1).unwrap().try_commit().unwrap();
    /// sender.reserve(1).unwrap().commit_timeout(Duration::from_millis(1)).unwrap();
    /// sender.reserve(1).unwrap().commit_deadline(Deadline::NOW).unwrap();
    /// assert_eq!(receiver.len(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn commit_first(self, bytes: usize) -> Result<(), super::SendError<()>> {
        assert!(bytes <= self.range.get().len(), "there are not as many");
        if let Some(block) = self.holding.block {
            self.holding.side.ring.shorten(block, bytes);
        }
        self.commit()
    }

    /// Returns the message as values of `T`, to be written; `None` if its length is not a
    /// multiple of the size of `T`, or if `T` needs an alignment above 16 that it lacks.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// let mut message = sender.reserve(3 * size_of::<f64>()).unwrap();
    /// message.values_mut::<f64>().unwrap().copy_from_slice(&[0.5, 1.5, 2.5]);
    /// message.commit().unwrap();
    /// let borrowed = receiver.recv_borrowed().unwrap();
    /// assert_eq!(borrowed.values::<f64>().unwrap(), [0.5, 1.5, 2.5]);
    /// assert!(borrowed.values::<[u8; 5]>().is_none());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn values_mut<T: ShmSafe + Copy>(&mut self) -> Option<&mut [T]> {
        let bytes: &mut [u8] = self;
        let count = count_of::<T>(bytes)?;
        // SAFETY: aligned, and as long as `count_of` says; any bytes are a `T`, and any
        // `T` is bytes, by `ShmSafe`; borrowed as the bytes are.
        Some(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), count) })
    }

    fn send(self, deadline: Deadline) -> Result<(), (Hindrance, Arc<Side>)> {
        self.holding.check_process();
        let Reservation { range, mut holding } = self;
        drop(range);
        let Some(block) = holding.block.take() else {
            return Ok(());
        };
        let side = &holding.side;
        let sent = if side.ring.is_rendezvous() {
            hand_over_block(side, block, deadline)
        } else {
            let gone = || side.are_receivers_gone();
            side.ring.commit(block, deadline, gone)
        };
        sent.map_err(|hindrance| (hindrance, Arc::clone(side)))
    }
}

impl std::ops::Deref for Reservation {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.holding.check_process();
        self.range.get()
    }
}

impl std::ops::DerefMut for Reservation {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.holding.check_process();
        self.range.get_mut()
    }
}

/// A message of bytes, read where it lies, without a copy. Dropping it ends the loan and
/// acknowledges the message, as a copy by [`recv_bytes`](super::Receiver::recv_bytes)
/// would have; if this process is killed before, or a panic drops it, another receiver
/// gets the message, or it is counted as [lost](super::Receiver::lost).
///
/// # Across fork and exec
/// A forked copy shows nothing (it panics) and gives nothing back.
///
/// # Cost
/// Whatever the length of the message: four atomic operations, and none for a
/// look at the bytes.
///
/// # Examples
/// See [`Reservation`].
#[derive(Debug)]
#[must_use = "the message is acknowledged when this is dropped"]
pub struct Borrowed {
    // Before the block.
    range: Range,
    redelivered: bool,
    holding: Holding,
}

impl Borrowed {
    pub(super) fn new(side: &Arc<Side>, held: Held) -> Result<Borrowed, Hindrance> {
        let mut holding = Holding::borrowed(side, held.block);
        let range = holding.range(held.block);
        let range = holding.kept(range)?;
        Ok(Borrowed {
            range,
            redelivered: held.redelivered,
            holding,
        })
    }

    /// Returns `true` if a receiver had the message before and did not finish it.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    /// Leaves the message to another receiver, or to this one later, marked as
    /// [redelivered](Borrowed::is_redelivered); of a queue that was made to
    /// [lose](super::Options::at_most_once) what is not finished, it is counted as lost.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// sender.send_bytes(b"not now").unwrap();
    /// receiver.recv_borrowed().unwrap().requeue();
    /// assert!(receiver.recv_borrowed().unwrap().is_redelivered());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn requeue(self) {
        let Borrowed {
            range, mut holding, ..
        } = self;
        drop(range);
        holding.requeue();
    }

    /// Returns the message as values of `T`, or `None` if its length is not a multiple of
    /// the size of `T`, or if `T` needs an alignment above 16 that the message lacks.
    ///
    /// # Examples
    /// See [`values_mut`](Reservation::values_mut).
    #[must_use]
    pub fn values<T: ShmSafe + Copy>(&self) -> Option<&[T]> {
        let bytes: &[u8] = self;
        let count = count_of::<T>(bytes)?;
        // SAFETY: aligned, and as long as `count_of` says; any bytes are a `T` by
        // `ShmSafe`; borrowed as the bytes are, and what is `Copy` has no cells
        // through which a shared reference could write.
        Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) })
    }
}

/// How many values of `T` some bytes are, if they are.
fn count_of<T>(bytes: &[u8]) -> Option<usize> {
    let whole = size_of::<T>() > 0 && bytes.len().is_multiple_of(size_of::<T>());
    let aligned = bytes.as_ptr().cast::<T>().is_aligned();
    (whole && aligned).then(|| bytes.len() / size_of::<T>())
}

impl std::ops::Deref for Borrowed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.holding.check_process();
        self.range.get()
    }
}
