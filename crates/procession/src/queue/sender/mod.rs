//! The sending half.

mod bytes;
mod hand_over;
mod join;
mod many;
mod values;

pub(super) use hand_over::hand_over_block;

use super::Outcome;
use super::handle::{self, Side, both_halves};
use super::source::Room;
use crate::Deadline;
#[cfg(test)]
use crate::peer::Peer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Sends to a [queue](crate::queue). Clones, and copies that went to other
/// processes, send to the same one.
///
/// # If a process dies
/// A sender that is killed while it sends has sent the message whole or not at all, and
/// does not block others. When all receivers of a queue without a name are gone, dropped
/// or killed, sending fails.
///
/// # Across fork and exec
/// A forked child has it; to other processes it travels as an argument, capture
/// or result.
///
/// # Cost
/// Three atomic operations and two copies of the message; a system call to wake
/// a receiver that sleeps.
///
/// # Examples
/// See [`bounded`](super::bounded).
pub struct Sender<T: ?Sized> {
    pub(super) side: Arc<Side>,
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
        if self.side.ring.is_rendezvous() {
            return self.hand_over(bytes, descriptors, deadline);
        }
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
    #[cfg(test)]
    pub(crate) fn peer(&self) -> &Peer {
        self.side.peer()
    }

    pub(crate) fn room(&self) -> Room {
        Room(Arc::clone(&self.side))
    }
}

both_halves!(Sender);

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
