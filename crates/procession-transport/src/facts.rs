//! Properties of a mechanism.

use procession::__private::limits::Limit;
use std::fmt;

/// What a mechanism makes of the boundaries between messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// A stream of bytes, in which the reader must find the boundaries.
    Stream,
    /// The kernel keeps messages apart.
    Messages,
}

impl fmt::Display for Boundaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Boundaries::Stream => "stream",
            Boundaries::Messages => "messages",
        })
    }
}

/// How long the object of a mechanism exists if it is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as a process uses it.
    Process,
    /// Until the machine restarts.
    Kernel,
    /// Until it is deleted from the file system.
    FileSystem,
    /// As long as the server keeps it.
    Server,
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Lifetime::Process => "process",
            Lifetime::Kernel => "kernel",
            Lifetime::FileSystem => "file system",
            Lifetime::Server => "server",
        })
    }
}

/// Where the senders of a [`FanIn`](crate::FanIn) and its receiver may be.
///
/// No transport reaches other hosts: a [`SenderToken`](crate::SenderToken) holds descriptors, by whose end the receiver learns that all
/// senders have gone, and descriptors travel between processes of one machine only. For messages to another host there are
/// [`procession::channel`] with the feature `network`, which is encrypted, and queues of a [`procession::manager`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// On this machine: the mechanism has no other.
    Machine,
    /// On this machine, in this network namespace: the mechanism is one of networks, and this library binds it to loopback.
    Loopback,
    /// On this machine. The server between them may be on another one.
    Server,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reach::Machine => "machine",
            Reach::Loopback => "loopback",
            Reach::Server => "server",
        })
    }
}

/// Properties of the kernel's mechanism, without what this library adds, except for its reach.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// What it makes of the boundaries between messages.
    pub boundaries: Boundaries,
    /// `true` if unrelated processes can open it by a name.
    pub named: bool,
    /// How long it exists if it is not removed.
    pub lifetime: Lifetime,
    /// Longest message, in bytes, that it carries in one piece; `None` for a stream.
    /// This library cuts longer messages into frames.
    pub largest_message: Option<u64>,
    /// Where senders and the receiver may be, as this library uses it.
    pub reach: Reach,
    /// The limits of the kernel or the process that apply to it.
    pub limits: Vec<Limit>,
}
