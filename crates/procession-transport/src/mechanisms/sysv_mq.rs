//! A System V message queue, one for all senders.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::frame::HEADER_BYTES;
use crate::inbox::Inbox;
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::{Object, OwnedNames};
use crate::wait::wait_for;
use procession::__private::limits;
use procession::__private::transport::timed_out;
use procession::os::eventfd::{EventFd, Mode};
use procession::os::sysv::{self, Flags, Key, Select};
use procession::{Deadline, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Longest sleep of a sender before it asks a full System V queue again: long
/// enough for thousands of them to leave the receiver some processor time.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// One System V message queue.
pub(crate) struct SysvMq;

impl Mechanism for SysvMq {
    const NAME: &'static str = "sysv-mq";

    type Channel = SysvQueue;

    fn facts() -> Facts {
        let largest = limits::sysv_message_bytes();
        Facts {
            boundaries: Boundaries::Messages,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: largest.value(),
            reach: Reach::Machine,
            limits: vec![largest, limits::sysv_queue_bytes(), limits::sysv_queues()],
        }
    }

    fn open(_senders: usize, _options: &Options) -> Result<SysvQueue> {
        SysvQueue::new()
    }
}

/// A System V queue, with a doorbell beside it because it cannot be polled. It
/// has no life without its key, which it owns until the end.
#[derive(Debug)]
pub(crate) struct SysvQueue {
    queue: sysv::MessageQueue,
    max_packet: usize,
    doorbell: EventFd,
    held: Held,
    lifeline: Lifeline,
    names: OwnedNames,
}

impl SysvQueue {
    fn new() -> Result<SysvQueue> {
        let mut names = OwnedNames::new()?;
        let key = Key::random()?;
        names.will_create(Object::SysvQueue(key))?;
        let queue = sysv::MessageQueue::create(key)?;
        let most = limits::sysv_message_bytes().value().unwrap_or(8192);
        // At least two frames must fit, or sender and receiver take turns.
        let max_packet = most
            .min(queue.status()?.max_bytes / 2)
            .max(HEADER_BYTES as u64 + 1);
        let (held, lifeline) = lifeline()?;
        let doorbell = EventFd::new(0, Mode::Counter)?;
        let max_packet = usize::try_from(max_packet).unwrap_or(8192);
        Ok(SysvQueue {
            queue,
            max_packet,
            doorbell,
            held,
            lifeline,
            names,
        })
    }
}

/// What a sender needs: the queue, by its id, and the receiver's doorbell.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct SysvRoute {
    queue: sysv::MessageQueue,
    max_packet: usize,
    doorbell: EventFd,
    lifeline: Lifeline,
    sender: usize,
}

impl Route for SysvRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(SysvOutlet {
            queue: self.queue,
            max_packet: self.max_packet,
            doorbell: self.doorbell,
            lifeline: self.lifeline,
            kind: kind_of(self.sender),
        }))
    }
}

impl Channel for SysvQueue {
    type Route = SysvRoute;

    fn route(&self, sender: usize) -> Result<SysvRoute> {
        Ok(SysvRoute {
            queue: self.queue.clone(),
            max_packet: self.max_packet,
            doorbell: self.doorbell.try_clone()?,
            lifeline: self.lifeline.try_clone()?,
            sender,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let SysvQueue {
            queue,
            max_packet,
            doorbell,
            held,
            names,
            ..
        } = self;
        Ok(Box::new(SysvInlet {
            queue,
            max_packet,
            doorbell,
            _held: held,
            _names: names,
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
    doorbell: EventFd,
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
                return Err(timed_out(deadline, "sending", ""));
            }
            self.lifeline.pause(deadline.min(Deadline::after(pause)))?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.doorbell.add(1)
    }
}

#[derive(Debug)]
struct SysvInlet {
    queue: sysv::MessageQueue,
    max_packet: usize,
    doorbell: EventFd,
    _held: Held,
    _names: OwnedNames,
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
        let _ = self.doorbell.try_take();
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
        wait_for(&[self.doorbell.as_fd()], also, deadline).map(drop)
    }
}
