//! What callers, servers and tasks tell each other: kinds of packets, and what is in them.
//!
//! Trust: *same binary*. Both ends are processes of one family.

mod messages;

pub(crate) use messages::{Ended, Prepare, Work};
pub(super) use messages::{Hello, SendSignal, Start};

use crate::Result;
use crate::packet;
use std::os::fd::OwnedFd;

pub(crate) use crate::packet::{Token, peek_kind, send};

packet::kinds! {
    /// What a packet is about.
    pub(crate) enum Kind {
        /// To a server: whom it serves, and what it loads first.
        Hello = 1,
        /// From a server: it serves.
        Ready = 2,
        /// To a server: another process to serve.
        Admit = 3,
        /// To a server: a process to start.
        Start = 4,
        /// To a server: a signal for a process or a group of processes.
        Signal = 5,
        /// From a server: the signal was sent.
        Signalled = 6,
        /// To a server: which processes of ours there are.
        List = 7,
        /// From a server: those.
        Listed = 8,
        /// To a server: end when no process is left.
        Retire = 9,
        /// From a server: the process exists, and here is its pidfd.
        Started = 10,
        /// It cannot be started, or not as asked.
        Failed = 11,
        /// From a server: the thread that asks is not one that it serves.
        Refused = 12,
        /// From a server: it has ended, and how.
        Ended = 13,
        /// To a task that is executed anew: what it is to be like.
        Prepare = 14,
        /// To a task: the function and its argument.
        Call = 15,
        /// To a task: please end.
        Stop = 16,
        /// From a task: it has taken over its process.
        Booted = 17,
        /// From a task: the result.
        Returned = 18,
        /// From a task: it panicked.
        Panicked = 19,
        /// From a task: its stack has overflowed, and it is about to die.
        Overflowed = 20,
        /// From a task: the argument cannot be decoded, or the result encoded.
        Untranslatable = 21,
    }
}

/// A packet that arrived whole.
pub(crate) type Packet = packet::Packet<Kind>;

/// An end of the socket pair.
pub(crate) type Mailbox = packet::Mailbox<Kind>;

/// A socket pair: ours, and the one to give away.
pub(crate) fn pair() -> Result<(Mailbox, OwnedFd)> {
    packet::pair()
}
