//! The receiving half.

mod bytes;
mod many;
mod values;

use super::Outcome;
use super::handle::{self, Side, both_halves};
use super::ring::{Keep, is_for_another};
use super::source::Messages;
use crate::peer::Peer;
use crate::wait::{Readiness, Sealed, Selectable};
use crate::{Deadline, Result};
use procession_core::queue::Held;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

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
/// Three atomic operations, two copies of the message, and two loads of counters to
/// notice deaths.
///
/// # Examples
/// See [`bounded`](super::bounded).
pub struct Receiver<T: ?Sized> {
    pub(super) side: Arc<Side>,
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
    pub(super) fn read(&self, block: usize, buffer: &mut Vec<u8>) -> Result<Vec<OwnedFd>> {
        self.side.ring.read(block, buffer)?;
        self.side.descriptor_socket().fetch(block)
    }

    #[inline]
    fn receive_into(&self, buffer: &mut Vec<u8>, deadline: Deadline) -> Outcome<bool> {
        // Descriptors that are no part of bytes are closed.
        let (_, redelivered) = self.receive_encoded(buffer, deadline)?;
        Ok(redelivered)
    }

    /// Returns how many messages their receivers did not finish, of a queue that was made
    /// to [lose](super::Options::at_most_once) them.
    ///
    /// # Examples
    /// ```
    /// use procession::queue::Options;
    /// let (sender, receiver) = Options::new().at_most_once().anonymous::<u32>()?;
    /// sender.send(7).unwrap();
    /// drop(receiver.recv_delivery().unwrap()); // without `ack`
    /// assert!(receiver.try_recv().is_err());
    /// assert_eq!(receiver.lost(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.side.ring.lost()
    }
}

impl<T: ?Sized> Receiver<T> {
    pub(crate) fn peer(&self) -> &Peer {
        self.side.peer()
    }

    /// Returns `true` if nothing will come any more.
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

impl<T: ?Sized> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver::new(Arc::clone(&self.side))
    }
}

impl<T: ?Sized> Selectable for Receiver<T> {}

impl<T: ?Sized> Sealed for Receiver<T> {
    fn readiness(&self) -> Readiness<'_> {
        Readiness::shared(self.messages())
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
