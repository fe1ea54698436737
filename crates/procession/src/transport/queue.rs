//! Message queues of the kernel, one for all senders: POSIX and System V.

use super::frame::{HEADER_BYTES, Inbox};
use super::lease::{Lease, Object};
use super::lifeline::{Held, Lifeline, lifeline};
use super::{Channel, Inlet, Outlet, ticket, wait_for};
use crate::os::eventfd::{EventFd, Mode};
use crate::os::sysv::{self, Key, Select};
use crate::os::{posix, sysv::Flags};
use crate::{Deadline, Error, Name, Result, limits};
use rustix::event::PollFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Longest sleep of a sender before it asks a full System V queue again: long
/// enough for thousands of them to leave the receiver some processor time.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A POSIX queue. Its name is gone before the first fork.
#[derive(Debug)]
pub(super) struct PosixQueue {
    queue: posix::MessageQueue,
    held: Held,
    lifeline: Lifeline,
}

impl PosixQueue {
    pub(super) fn new() -> Result<PosixQueue> {
        let mut lease = Lease::new()?;
        let name = Name::random("procession")?;
        lease.will_create(Object::PosixQueue(name.clone()))?;
        let capped = |limit: limits::Limit, most: usize| {
            limit.value().map_or(most, |value| {
                most.min(usize::try_from(value).unwrap_or(most))
            })
        };
        let messages = capped(limits::mq_messages(), 10);
        let bytes = capped(limits::mq_message_bytes(), 8192);
        let queue = posix::MessageQueue::create(&name.to_string(), messages, bytes)?;
        let (held, lifeline) = lifeline()?;
        // The lease is dropped here and removes the name.
        Ok(PosixQueue {
            queue,
            held,
            lifeline,
        })
    }
}

/// What a sender needs: the queue.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct PosixRoute {
    queue: posix::MessageQueue,
    lifeline: Lifeline,
}

impl PosixRoute {
    pub(super) fn open(self) -> Box<dyn Outlet> {
        let PosixRoute { queue, lifeline } = self;
        Box::new(PosixOutlet { queue, lifeline })
    }
}

impl Channel for PosixQueue {
    fn route(&self, _sender: usize) -> Result<ticket::Route> {
        Ok(ticket::Route::PosixQueue(PosixRoute {
            queue: self.queue.try_clone()?,
            lifeline: self.lifeline.try_clone()?,
        }))
    }

    fn into_inlet(self: Box<Self>) -> Result<Box<dyn Inlet>> {
        let PosixQueue { queue, held, .. } = *self;
        Ok(Box::new(PosixInlet { queue, _held: held }))
    }
}

#[derive(Debug)]
struct PosixOutlet {
    queue: posix::MessageQueue,
    lifeline: Lifeline,
}

impl Outlet for PosixOutlet {
    fn max_payload(&self) -> usize {
        self.queue
            .max_message_bytes()
            .saturating_sub(HEADER_BYTES)
            .max(1)
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        loop {
            match self.queue.try_send(frame, 0) {
                Err(error) if error.is_would_block() => {
                    self.lifeline
                        .wait(self.queue.as_fd(), PollFlags::OUT, deadline)?;
                }
                outcome => return outcome,
            }
        }
    }
}

#[derive(Debug)]
struct PosixInlet {
    queue: posix::MessageQueue,
    _held: Held,
}

impl PosixInlet {
    fn take(&mut self, inbox: &mut Inbox) -> Result<bool> {
        match self.queue.try_receive() {
            Ok((packet, _)) => inbox.packet(&packet).map(|()| true),
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inlet for PosixInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut progress = false;
        while !inbox.has_arrivals() && self.take(inbox)? {
            progress = true;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, _sender: usize, inbox: &mut Inbox) -> Result<()> {
        // What the dead sender sent is among the messages that are there now.
        for _ in 0..self.queue.attributes()?.messages {
            if !self.take(inbox)? {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for(&[self.queue.as_fd()], also, deadline).map(drop)
    }
}

/// A System V queue, with a bell beside it because it cannot be polled. It
/// has no life without its key: the lease keeps that until the end.
#[derive(Debug)]
pub(super) struct SysvQueue {
    queue: sysv::MessageQueue,
    max_packet: usize,
    bell: EventFd,
    held: Held,
    lifeline: Lifeline,
    lease: Lease,
}

impl SysvQueue {
    pub(super) fn new() -> Result<SysvQueue> {
        let mut lease = Lease::new()?;
        let key = Key::random()?;
        lease.will_create(Object::SysvQueue(key))?;
        let queue = sysv::MessageQueue::create(key)?;
        let most = limits::sysv_message_bytes().value().unwrap_or(8192);
        // At least two frames must fit, or sender and receiver take turns.
        let max_packet = most
            .min(queue.status()?.max_bytes / 2)
            .max(HEADER_BYTES as u64 + 1);
        let (held, lifeline) = lifeline()?;
        let bell = EventFd::new(0, Mode::Counter)?;
        let max_packet = usize::try_from(max_packet).unwrap_or(8192);
        Ok(SysvQueue {
            queue,
            max_packet,
            bell,
            held,
            lifeline,
            lease,
        })
    }
}

/// What a sender needs: the queue, by its id, and the receiver's bell.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct SysvRoute {
    queue: sysv::MessageQueue,
    max_packet: usize,
    bell: EventFd,
    lifeline: Lifeline,
    sender: usize,
}

impl SysvRoute {
    pub(super) fn open(self) -> Box<dyn Outlet> {
        Box::new(SysvOutlet {
            queue: self.queue,
            max_packet: self.max_packet,
            bell: self.bell,
            lifeline: self.lifeline,
            kind: kind_of(self.sender),
        })
    }
}

impl Channel for SysvQueue {
    fn route(&self, sender: usize) -> Result<ticket::Route> {
        Ok(ticket::Route::SysvQueue(SysvRoute {
            queue: self.queue.clone(),
            max_packet: self.max_packet,
            bell: self.bell.try_clone()?,
            lifeline: self.lifeline.try_clone()?,
            sender,
        }))
    }

    fn into_inlet(self: Box<Self>) -> Result<Box<dyn Inlet>> {
        let SysvQueue {
            queue,
            max_packet,
            bell,
            held,
            lease,
            ..
        } = *self;
        Ok(Box::new(SysvInlet {
            queue,
            max_packet,
            bell,
            _held: held,
            _lease: lease,
        }))
    }
}

/// Each sender has a message type of its own.
fn kind_of(sender: usize) -> i64 {
    i64::try_from(sender).unwrap_or(i64::MAX - 1) + 1
}

#[derive(Debug)]
struct SysvOutlet {
    queue: sysv::MessageQueue,
    max_packet: usize,
    bell: EventFd,
    lifeline: Lifeline,
    kind: i64,
}

impl Outlet for SysvOutlet {
    fn max_payload(&self) -> usize {
        self.max_packet - HEADER_BYTES
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        // The kernel's own wait would not end with the receiver.
        let mut pause = Duration::from_micros(20);
        loop {
            match self.queue.try_send(self.kind, frame) {
                Err(error) if error.is_would_block() => {}
                sent => break sent?,
            }
            if deadline.has_passed() {
                return Err(Error::new(deadline.error_kind(), "sending", ""));
            }
            self.lifeline.pause(deadline.min(Deadline::after(pause)))?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.bell.add(1)
    }
}

#[derive(Debug)]
struct SysvInlet {
    queue: sysv::MessageQueue,
    max_packet: usize,
    bell: EventFd,
    _held: Held,
    _lease: Lease,
}

impl SysvInlet {
    fn take(&mut self, select: Select, inbox: &mut Inbox) -> Result<bool> {
        let received =
            self.queue
                .receive_at_most(select, self.max_packet, Flags::default(), Deadline::NOW);
        match received {
            Ok((packet, _)) => inbox.packet(&packet).map(|()| true),
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Inlet for SysvInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        // Before receiving: whatever is sent after that rings again. And if
        // messages stay behind, the next drain comes before the next wait.
        let _ = self.bell.try_take();
        let mut progress = false;
        while !inbox.has_arrivals() && self.take(Select::First, inbox)? {
            progress = true;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        while self.take(Select::Type(kind_of(sender)), inbox)? {}
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for(&[self.bell.as_fd()], also, deadline).map(drop)
    }
}
