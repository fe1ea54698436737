//! What senders and receivers have in common, and how they travel.

use super::descriptors::DescriptorSocket;
use super::error_object::{ErrorObject, Messaging};
use super::ring::{self, Ring};
use super::schema::{Message, REMEDY};
use crate::peer::Peer;
use crate::shm::{Fingerprint, Object};
use crate::{Error, ErrorKind};
use procession_core::Owner;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::sync::Arc;

/// One side of a queue, of this process; its clones share it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) ring: Ring,
    peer: Option<Peer>,
}

impl Side {
    pub(super) fn new(ring: Ring, peer: Peer) -> Arc<Side> {
        if peer.is_none() {
            ring.never_look();
        }
        let peer = Some(peer);
        Arc::new(Side { ring, peer })
    }

    /// This process, as blocks know it; `None` until it has joined, and in a fork.
    #[inline]
    pub(super) fn process(&self) -> Option<Owner> {
        self.ring.object.registry().joined_process()
    }

    /// What it holds as long as it is there.
    pub(super) fn peer(&self) -> &Peer {
        self.peer.as_ref().unwrap_or(&Peer::NONE)
    }

    /// Where descriptors of messages go.
    pub(super) fn descriptor_socket(&self) -> DescriptorSocket<'_> {
        DescriptorSocket {
            ring: &self.ring,
            peer: self.peer(),
        }
    }

    pub(super) fn is_other_side_gone(&self) -> bool {
        self.peer.as_ref().is_some_and(Peer::has_hung_up)
    }

    /// Returns `true` if no receiver is left, of a sender: then none will ever be, and the queue
    /// is closed, so that every sender in every process is refused from now on.
    #[cold]
    pub(super) fn are_receivers_gone(&self) -> bool {
        let gone = self.is_other_side_gone();
        if gone {
            self.ring.close_for_good();
        }
        gone
    }
}

impl Messaging for Side {
    #[cold]
    fn error_object(&self) -> ErrorObject {
        ErrorObject::queue(self.ring.object.label())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // First the end, so that a process that is told finds it gone.
        drop(self.peer.take());
        self.ring.handle_went();
    }
}

/// A side as it travels, of a queue of `T`.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "T: Message<'de>"))]
struct Travelling<'a, T: ?Sized> {
    object: Queue<T>,
    #[serde(skip_deserializing)]
    borrowed: Option<&'a Peer>,
    #[serde(skip_serializing)]
    peer: Option<Peer>,
}

/// The object of a queue of `T`.
struct Queue<T: ?Sized>(Arc<Object>, PhantomData<fn(&T)>);

impl<T: ?Sized> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Message<'de> + ?Sized> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        let class = ring::class(Fingerprint::ANY);
        let object = Object::deserialize(deserializer, class)?;
        let custom = |error| serde::de::Error::custom(crate::codec::reason(error));
        let schema = T::schema().map_err(custom)?;
        if !schema.accepts(object.header().fingerprint) {
            return Err(custom(
                Error::new(ErrorKind::Incompatible, "receiving queue", object.label())
                    .because(format!("its messages are not {}", schema.describe()))
                    .with_hint(REMEDY),
            ));
        }
        Ok(Queue(object, PhantomData))
    }
}

pub(super) fn serialize<T: ?Sized, S: Serializer>(
    side: &Side,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let travelling = Travelling::<T> {
        object: Queue(Arc::clone(&side.ring.object), PhantomData),
        borrowed: side.peer.as_ref(),
        peer: None,
    };
    travelling.serialize(serializer)
}

pub(super) fn deserialize<'de, T: Message<'de> + ?Sized, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<Side>, D::Error> {
    let travelling = Travelling::<T>::deserialize(deserializer)?;
    let ring = Ring::of(travelling.object.0)
        .map_err(|error| serde::de::Error::custom(crate::codec::reason(error)))?;
    Ok(Side::new(ring, travelling.peer.unwrap_or(Peer::NONE)))
}

/// What both halves can be asked and told.
macro_rules! both_halves {
    ($half:ident) => {
        impl<T: ?Sized> $half<T> {
            /// Returns how many messages wait to be received at this moment, without those
            /// that are received and not acknowledged ([`Delivery`](super::Delivery)).
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// // Of a sender, as of a receiver.
            /// let (sender, receiver) = queue::bounded(8)?;
            /// sender.send(7)?;
            /// assert_eq!((sender.len(), receiver.len()), (1, 1));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[must_use]
            pub fn len(&self) -> usize {
                self.side.ring.len()
            }

            /// Returns `true` if no message waits.
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// // Of a sender, as of a receiver.
            /// let (sender, receiver) = queue::bounded::<u32>(8)?;
            /// assert!(sender.is_empty() && receiver.is_empty());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns `true` if as many messages wait as may. Messages that are received and
            /// not acknowledged ([`Delivery`](super::Delivery)) do not count.
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// // Of a sender, as of a receiver.
            /// let (sender, receiver) = queue::bounded(1)?;
            /// sender.send(7)?;
            /// assert!(sender.is_full() && receiver.is_full());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.len() >= self.capacity()
            }

            /// Returns how many messages may wait.
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// // Of a sender, as of a receiver.
            /// let (sender, receiver) = queue::bounded::<u32>(8)?;
            /// assert_eq!((sender.capacity(), receiver.capacity()), (8, 8));
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.side.ring.capacity()
            }

            /// Closes the queue for every process: no sender can send any more, and what was
            /// sent can still be received. To be done with sending in this process alone, drop
            /// its senders.
            ///
            /// # Errors
            /// The process could not join the users of the queue.
            ///
            /// # Examples
            /// ```
            /// use procession::queue;
            /// // Of a sender, as of a receiver.
            /// let (sender, receiver) = queue::bounded(8)?;
            /// sender.send(7)?;
            /// receiver.close()?;
            /// assert!(sender.send(8).is_err());
            /// assert_eq!(receiver.recv()?, 7);
            /// assert!(receiver.recv().is_err());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn close(&self) -> crate::Result<()> {
                self.side.ring.close()
            }
        }
    };
}
pub(super) use both_halves;
