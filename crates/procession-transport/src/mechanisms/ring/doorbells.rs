//! Waking the side that waits for a ring: POSIX semaphores, a System V set, or event
//! counters.

use crate::lifeline::Lifeline;
use crate::owned_names::OwnedNames;
use crate::wait::wait_for;
use procession::os::eventfd::EventFd;
use procession::os::posix::Semaphore;
use procession::os::sysv::{self, SemaphoreSet};
use procession::{Deadline, Result};
use rustix::event::PollFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Longest wait on a semaphore: deaths are noticed, and lost wakes made good,
/// within it.
const SLICE: Duration = Duration::from_millis(5);

/// The receiver's part of the doorbells.
#[derive(Debug)]
pub(crate) enum Doorbells {
    Posix {
        receiver: Semaphore,
        senders: Vec<Semaphore>,
    },
    /// The set's key is owned by the receiver until the end.
    Sysv {
        set: SemaphoreSet,
        _names: OwnedNames,
    },
    Events {
        receiver: EventFd,
        senders: Vec<EventFd>,
    },
}

impl Doorbells {
    pub(crate) fn ring_sender(&self, sender: usize) -> Result<()> {
        match self {
            Doorbells::Posix { senders, .. } => senders[sender].post(),
            Doorbells::Sysv { set, .. } => set.post(sysv_index(sender)),
            Doorbells::Events { senders, .. } => senders[sender].add(1),
        }
    }

    /// Waits until the doorbell is rung. May return earlier.
    pub(crate) fn wait_receiver(&self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        let slice = deadline.min(Deadline::after(SLICE));
        match self {
            Doorbells::Posix { receiver, .. } => unless_late(receiver.wait_deadline(slice)),
            Doorbells::Sysv { set, .. } => unless_late(take(set, 0, slice)),
            Doorbells::Events { receiver, .. } => {
                wait_for(&[receiver.as_fd()], also, deadline)?;
                unless_late(receiver.try_take().map(drop))
            }
        }
    }
}

/// A sender's part of the doorbells.
#[derive(Debug)]
pub(crate) enum OutletDoorbells {
    Posix {
        receiver: Semaphore,
        sender: Semaphore,
    },
    Sysv {
        set: SemaphoreSet,
        sender: usize,
    },
    Events {
        receiver: EventFd,
        sender: EventFd,
    },
}

impl OutletDoorbells {
    pub(crate) fn ring_receiver(&self) -> Result<()> {
        match self {
            OutletDoorbells::Posix { receiver, .. } => receiver.post(),
            OutletDoorbells::Sysv { set, .. } => set.post(0),
            OutletDoorbells::Events { receiver, .. } => receiver.add(1),
        }
    }

    /// Waits to be rung; returns early and for no reason as it likes.
    pub(crate) fn wait(&self, lifeline: &Lifeline, deadline: Deadline) -> Result<()> {
        let slice = deadline.min(Deadline::after(SLICE));
        match self {
            OutletDoorbells::Posix { sender, .. } => {
                unless_late(sender.wait_deadline(slice))?;
                lifeline.check()
            }
            OutletDoorbells::Sysv { set, sender } => {
                unless_late(take(set, sysv_index(*sender), slice))?;
                lifeline.check()
            }
            OutletDoorbells::Events { sender, .. } => {
                unless_late(lifeline.wait(sender.as_fd(), PollFlags::IN, slice))?;
                unless_late(sender.try_take().map(drop))
            }
        }
    }
}

fn sysv_index(sender: usize) -> u16 {
    u16::try_from(sender + 1).expect("a set has at most 32,000 semaphores")
}

fn take(set: &SemaphoreSet, index: u16, deadline: Deadline) -> Result<()> {
    set.operate_deadline(&[sysv::Operation::take(index, 1)], deadline)
}

fn unless_late(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.is_timeout() || error.is_would_block() => Ok(()),
        outcome => outcome,
    }
}
