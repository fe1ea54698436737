//! Many senders, one receiver, whole messages: one abstraction over every
//! channel that Unix has.
//!
//! A [`Link`] is made before forking; each child takes its [`Sender`], the
//! parent its [`Receiver`]. A [`Crew`] does all of it and turns the death of
//! a worker into an event that names it.
//!
//! # What every transport does
//!
//! - A message of 0 bytes to [`Options::max_message_bytes`] arrives whole and
//!   once, cut into frames that the kernel object takes.
//! - Senders wait when the channel is full, and hear when the receiver is
//!   gone; nothing waits for ever.
//! - Nothing stays behind: names are removed as soon as both sides hold the
//!   object, and what must keep one is removed by the next run, by proof of
//!   its owner's death, if this one is killed.
//! - Names are unguessable and private; the loopback ports ask for a token.
//!
//! # Layers
//!
//! `frame` cuts messages and puts them together; each mechanism is a
//! `Channel` that becomes an `Outlet` in a child and an `Inlet` in the parent;
//! `crew` joins them with processes.
//!
//! # Examples
//! ```
//! use procession::transport::{Crew, Event, Link, Options, Transport};
//! let link = Link::open(Transport::Pipe, 3, &Options::default())?;
//! let mut crew = Crew::start(link, |worker, sender| sender.send(&[worker as u8; 4]))?;
//! let mut received = Vec::new();
//! while let Some(event) = crew.next()? {
//!     match event {
//!         Event::Message { worker, bytes } => received.push((worker, bytes)),
//!         Event::Finished { .. } => {}
//!         Event::Failed(error) => panic!("{error}"),
//!     }
//! }
//! received.sort();
//! assert_eq!(received[2], (2, vec![2; 4]));
//! # Ok::<(), procession::Error>(())
//! ```

mod catalogue;
mod channels;
mod connect;
mod crew;
mod fifo;
mod file;
mod frame;
mod lease;
mod lifeline;
mod link;
mod queue;
mod receiver;
#[cfg(feature = "redis")]
mod redis;
mod ring;
mod sender;
mod shared_queue;
mod stream;
mod ticket;
mod udp;

pub use catalogue::{Boundaries, Facts, Lifetime, Transport};
pub use crew::{Crew, Event, Failure, Worker, WorkerError};
pub use link::Link;
pub use receiver::{Delivery, Receiver};
pub use sender::Sender;
pub use ticket::Ticket;

use crate::{Deadline, Receives, Result, Select, poll};
use frame::Inbox;
use rustix::event::{PollFd, PollFlags};
use std::fmt;
use std::os::fd::BorrowedFd;
use ticket::Route;

/// Most senders of one link.
pub const MAX_SENDERS: usize = 4096;

/// Settings of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Longest message that the receiver takes, in bytes; a sender that
    /// announces a longer one is cut off. 1 GiB unless set.
    pub max_message_bytes: u64,
    /// Bytes that a sender may be ahead in shared memory; 64 KiB unless set.
    pub ring_bytes: Option<usize>,
    /// The Redis server to use; a private one unless set.
    pub redis_url: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_message_bytes: 1 << 30,
            ring_bytes: None,
            redis_url: None,
        }
    }
}

/// A mechanism with all its ends in one process.
trait Channel: fmt::Debug {
    /// What a sender needs to send, in whatever process.
    fn route(&self, sender: usize) -> Result<Route>;
    /// Keeps the receiver's ends.
    fn into_inlet(self: Box<Self>) -> Result<Box<dyn Inlet>>;
}

/// Where a sender's frames go.
trait Outlet: fmt::Debug {
    /// Longest payload of one frame in bytes, at least 1.
    fn max_payload(&self) -> usize;
    /// Whether a frame may come in pieces; else each `put` is a whole frame.
    fn is_stream(&self) -> bool {
        false
    }
    /// Sends a frame, or a piece of one, waiting for room until the deadline.
    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()>;
    /// Waits until all that was put outlives this process.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Where all senders' frames come from.
trait Inlet: fmt::Debug {
    /// Takes what is there without waiting; whether there was anything. Must
    /// be asked again until it says no before `wait` may be called.
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool>;
    /// Takes all that a sender, which is dead, has left.
    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()>;
    /// Waits until something may be there, one of `also` is readable, or the
    /// deadline passes; may return for no reason.
    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()>;
}

/// Waits until one of `watched` or `also` is ready; tells which of `watched`.
fn wait_for(
    watched: &[BorrowedFd<'_>],
    also: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<Vec<bool>> {
    let mut descriptors: Vec<PollFd<'_>> = watched
        .iter()
        .chain(also)
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    poll::wait(&mut descriptors, deadline)?;
    let ready = |descriptor: &PollFd<'_>| !descriptor.revents().is_empty();
    Ok(descriptors[..watched.len()].iter().map(ready).collect())
}

/// Waits until something in memory may be received, one of `also` is readable, or
/// the deadline passes.
fn wait_for_memory<'a, R: Receives + 'a>(
    memory: impl IntoIterator<Item = &'a R>,
    also: &'a [BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<()> {
    let mut select = Select::new();
    for receives in memory {
        select.recv(receives);
    }
    for descriptor in also {
        select.readable(descriptor);
    }
    match select.ready_deadline(deadline) {
        Err(error) if error.is_timeout() || error.is_would_block() => Ok(()),
        outcome => outcome.map(drop),
    }
}
