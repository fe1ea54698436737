//! The other half of a queue or a channel, and whether it has hung up.
//!
//! A queue without a name has a pair of sockets: all senders hold the one end, and all
//! receivers the other. When the last sender is gone, dropped, dead or lost on the way
//! to a process that died, the kernel says so at the other end. No count can be wrong,
//! and a message that carries a handle counts as one. The descriptors of messages
//! travel there, too; of some channels, all that there is.
//!
//! A forked child would hold the ends of all handles of its parent, and wait for
//! itself: a task that is forked closes those that it was not given.
//!
//! A queue with a name can be opened by any process at any time, so no handle is ever
//! the last, and there are no sockets.
//!
//! # References
//! poll(2) "POLLHUP", unix(7)

use crate::fd::socket_pair;
use crate::{Error, ErrorKind, Result, handle};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A descriptor that travels.
#[derive(Debug)]
struct End(OwnedFd);

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for End {
    fn from(descriptor: OwnedFd) -> End {
        End(descriptor)
    }
}

impl Serialize for End {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        handle::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<End, D::Error> {
        handle::deserialize(deserializer)
    }
}

/// `None`: a forked process that was not given it.
type Held = Mutex<Option<End>>;

/// Those of this process.
static LIVE: Mutex<Vec<Weak<Held>>> = Mutex::new(Vec::new());

/// The end that a sender or a receiver holds; nothing, of a queue with a name.
#[derive(Debug)]
pub(crate) struct Peer(Option<Arc<Held>>);

impl Peer {
    /// Of a queue with a name.
    pub(crate) const NONE: Peer = Peer(None);

    fn new(held: End) -> Peer {
        let pair = Arc::new(Mutex::new(Some(held)));
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        if live.len().is_power_of_two() {
            live.retain(|pair| pair.strong_count() > 0);
        }
        live.push(Arc::downgrade(&pair));
        Peer(Some(pair))
    }

    /// Makes a pair: the end of the senders, and that of the receivers.
    pub(crate) fn pair() -> Result<(Peer, Peer)> {
        let (sends, receives) = socket_pair::of_packets()?;
        Ok((Peer::of(sends), Peer::of(receives)))
    }

    /// Returns `true` if there is none: a queue with a name.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Wraps a descriptor that is all there is between the two sides.
    pub(crate) fn of(descriptor: OwnedFd) -> Peer {
        Peer::new(End(descriptor))
    }

    /// Calls `code` with the descriptor to the other side.
    ///
    /// # Errors
    /// [`Disconnected`](crate::ErrorKind::Disconnected): there is none, or this
    /// process was forked and has not been given it.
    pub(crate) fn with_descriptor<T>(
        &self,
        code: impl FnOnce(BorrowedFd<'_>) -> Result<T>,
    ) -> Result<T> {
        let held = self.0.as_ref();
        let held = held.map(|held| held.lock().unwrap_or_else(PoisonError::into_inner));
        match held.as_deref() {
            Some(Some(socket)) => code(socket.as_fd()),
            _ => Err(Error::new(ErrorKind::Disconnected, "sending message", "")
                .because("this process has not been given this end")),
        }
    }

    /// Returns `true` if no process is left on the other side.
    pub(crate) fn has_hung_up(&self) -> bool {
        let Some(pair) = &self.0 else {
            return false;
        };
        let pair = pair.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = &*pair else {
            return false;
        };
        let mut descriptors = [PollFd::new(held, PollFlags::empty())];
        let now = Timespec::default();
        let polled =
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut descriptors, Some(&now)));
        polled.is_ok() && descriptors[0].revents().contains(PollFlags::HUP)
    }
}

impl Serialize for Peer {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let pair = self.0.as_ref();
        let pair = pair.map(|pair| pair.lock().unwrap_or_else(PoisonError::into_inner));
        pair.as_deref()
            .and_then(Option::as_ref)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Peer, D::Error> {
        let held = Option::<End>::deserialize(deserializer)?;
        Ok(held.map_or(Peer::NONE, Peer::new))
    }
}

/// Returns `true` if this process has any.
pub(crate) fn has_any() -> bool {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.iter().any(|pair| pair.strong_count() > 0)
}

/// In a forked child: closes all that it has from its parent.
pub(crate) fn close_inherited() {
    // FORK: the parent had one thread, so no thread holds these locks.
    let live = std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner));
    for pair in live.iter().filter_map(Weak::upgrade) {
        drop(pair.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
