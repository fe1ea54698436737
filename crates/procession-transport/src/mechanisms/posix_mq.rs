//! A POSIX message queue, one for all senders.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::frame::HEADER_BYTES;
use crate::inbox::Inbox;
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::{Object, OwnedNames};
use crate::wait::wait_for;
use procession::__private::limits;
use procession::os::posix;
use procession::{Deadline, Name, Result};
use rustix::event::PollFlags;
use std::os::fd::{AsFd, BorrowedFd};

/// One POSIX message queue.
pub(crate) struct PosixMq;

impl Mechanism for PosixMq {
    const NAME: &'static str = "posix-mq";

    type Channel = PosixQueue;

    fn facts() -> Facts {
        let largest = limits::mq_message_bytes();
        Facts {
            boundaries: Boundaries::Messages,
            named: true,
            lifetime: Lifetime::Kernel,
            largest_message: largest.value(),
            reach: Reach::Machine,
            limits: vec![
                limits::mq_messages(),
                largest,
                limits::mq_queues(),
                limits::message_queue_bytes(),
            ],
        }
    }

    fn open(_senders: usize, _options: &Options) -> Result<PosixQueue> {
        PosixQueue::new()
    }
}

/// A POSIX queue. Its name is gone before the first fork.
#[derive(Debug)]
pub(crate) struct PosixQueue {
    queue: posix::MessageQueue,
    held: Held,
    lifeline: Lifeline,
}

impl PosixQueue {
    fn new() -> Result<PosixQueue> {
        let mut names = OwnedNames::new()?;
        let name = Name::random("procession")?;
        names.will_create(Object::PosixQueue(name.clone()))?;
        let capped = |limit: limits::Limit, most: usize| {
            limit.value().map_or(most, |value| {
                most.min(usize::try_from(value).unwrap_or(most))
            })
        };
        let messages = capped(limits::mq_messages(), 10);
        let bytes = capped(limits::mq_message_bytes(), 8192);
        let queue = posix::MessageQueue::create(&name.to_string(), messages, bytes)?;
        let (held, lifeline) = lifeline()?;
        // `names` is dropped here, which removes the name.
        Ok(PosixQueue {
            queue,
            held,
            lifeline,
        })
    }
}

/// What a sender needs: the queue.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct PosixRoute {
    queue: posix::MessageQueue,
    lifeline: Lifeline,
}

impl Route for PosixRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let PosixRoute { queue, lifeline } = self;
        Ok(Box::new(PosixOutlet { queue, lifeline }))
    }
}

impl Channel for PosixQueue {
    type Route = PosixRoute;

    fn route(&self, _sender: usize) -> Result<PosixRoute> {
        Ok(PosixRoute {
            queue: self.queue.try_clone()?,
            lifeline: self.lifeline.try_clone()?,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let PosixQueue { queue, held, .. } = self;
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
