//! Who still sends, and who still receives, of a queue.
//!
//! A queue without a name has two pipes that nobody writes to. Whoever can send
//! holds the writing end of the one and the reading end of the other, whoever can
//! receive the opposite ends: when the last sender is gone, dropped, dead or lost
//! on the way to a process that died, the kernel says so at the reading end. No
//! count can be wrong, and a message that carries a handle counts as one.
//!
//! Where one process sends and one receives, there is a descriptor of each, of one
//! pair of sockets or a pipe, which says the same, and carries what they say.
//!
//! A forked child would hold the ends of all handles of its parent, and wait for
//! itself: a task that is forked closes those that it was not given.
//!
//! A queue with a name can be opened by anybody at any time, so nobody is ever
//! the last, and there are no pipes.

use crate::error::Context;
use crate::os::socket::SeqPacket;
use crate::{Error, ErrorKind, Result, handle};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
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

/// Descriptors that are ours as long as we send or receive.
#[derive(Debug, Serialize, Deserialize)]
enum Held {
    /// One that the other side watches, and theirs.
    Pipes(End, End),
    /// Both in one.
    Socket(End),
}

impl Held {
    /// The one that tells of the other side's end.
    fn theirs(&self) -> &End {
        match self {
            Held::Pipes(_, theirs) | Held::Socket(theirs) => theirs,
        }
    }
}

/// `None`: a forked process that was not given it.
type Pair = Mutex<Option<Held>>;

/// Those of this process.
static LIVE: Mutex<Vec<Weak<Pair>>> = Mutex::new(Vec::new());

/// What a sender or a receiver holds; nothing, of a queue with a name.
#[derive(Debug)]
pub(crate) struct Ends(Option<Arc<Pair>>);

impl Ends {
    /// Of a queue with a name.
    pub(crate) const NONE: Ends = Ends(None);

    fn new(held: Held) -> Ends {
        let pair = Arc::new(Mutex::new(Some(held)));
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        if live.len().is_power_of_two() {
            live.retain(|pair| pair.strong_count() > 0);
        }
        live.push(Arc::downgrade(&pair));
        Ends(Some(pair))
    }

    /// Those of a sender, and those of a receiver.
    pub(crate) fn pair() -> Result<(Ends, Ends)> {
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("creating queue", "");
        let ((senders_gone, sends), (receivers_gone, receives)) = (pipe()?, pipe()?);
        Ok((
            Ends::new(Held::Pipes(End(sends), End(receivers_gone))),
            Ends::new(Held::Pipes(End(receives), End(senders_gone))),
        ))
    }

    /// Those of one who sends and one who receives.
    pub(crate) fn line() -> Result<(Ends, Ends)> {
        let (sends, receives) = SeqPacket::pair()?;
        Ok((Ends::of(sends.into()), Ends::of(receives.into())))
    }

    /// A descriptor that is all there is between the two sides.
    pub(crate) fn of(descriptor: OwnedFd) -> Ends {
        Ends::new(Held::Socket(End(descriptor)))
    }

    /// The descriptor to the other side.
    ///
    /// # Errors
    /// [`Disconnected`](crate::ErrorKind::Disconnected): there is none, or this
    /// process was forked and has not been given it.
    pub(crate) fn with_socket<T>(
        &self,
        code: impl FnOnce(BorrowedFd<'_>) -> Result<T>,
    ) -> Result<T> {
        let held = self.0.as_ref();
        let held = held.map(|held| held.lock().unwrap_or_else(PoisonError::into_inner));
        match held.as_deref() {
            Some(Some(Held::Socket(socket))) => code(socket.as_fd()),
            _ => Err(Error::new(ErrorKind::Disconnected, "sending message", "")
                .because("this process has not been given this end")),
        }
    }

    /// Whether nobody is left on the other side.
    pub(crate) fn is_other_side_gone(&self) -> bool {
        let Some(pair) = &self.0 else {
            return false;
        };
        let pair = pair.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = &*pair else {
            return false;
        };
        let mut descriptors = [PollFd::new(held.theirs(), PollFlags::empty())];
        let now = Timespec::default();
        let polled =
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut descriptors, Some(&now)));
        polled.is_ok() && descriptors[0].revents().contains(PollFlags::HUP)
    }
}

impl Serialize for Ends {
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

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Ends, D::Error> {
        let held = Option::<Held>::deserialize(deserializer)?;
        Ok(held.map_or(Ends::NONE, Ends::new))
    }
}

/// Whether this process has any.
pub(crate) fn are_there_any() -> bool {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.iter().any(|pair| pair.strong_count() > 0)
}

/// In a forked child: closes all that it has from its parent.
pub(crate) fn forget_inherited() {
    // FORK: the parent had one thread, so nobody holds these locks.
    let live = std::mem::take(&mut *LIVE.lock().unwrap_or_else(PoisonError::into_inner));
    for pair in live.iter().filter_map(Weak::upgrade) {
        drop(pair.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
