//! The library's own queue, one for all senders.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::frame::HEADER_BYTES;
use crate::inbox::Inbox;
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::wait::wait_for_memory;
use procession::__private::error::ErrorBuilder;
use procession::__private::limits;
use procession::__private::transport::timed_out;
use procession::queue::{self, Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use procession::{Deadline, Error, ErrorKind, Result};
use std::os::fd::BorrowedFd;

/// Frames that may wait, and bytes of the longest.
const CAPACITY: usize = 64;
const LONGEST: usize = 8192;

/// One queue.
pub(crate) struct Queue;

impl Mechanism for Queue {
    const NAME: &'static str = "queue";

    type Channel = SharedQueue;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Messages,
            named: true,
            lifetime: Lifetime::Process,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::open_files()],
        }
    }

    fn open(_senders: usize, _options: &Options) -> Result<SharedQueue> {
        SharedQueue::new()
    }
}

/// Both halves.
#[derive(Debug)]
pub(crate) struct SharedQueue {
    sender: Sender<[u8]>,
    receiver: Receiver<[u8]>,
}

impl SharedQueue {
    fn new() -> Result<SharedQueue> {
        let options = queue::Options::new().inline_bytes(LONGEST);
        let (sender, receiver) = options.capacity(CAPACITY).anonymous::<[u8]>()?;
        Ok(SharedQueue { sender, receiver })
    }
}

/// What a sender needs: its half.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct QueueRoute(Sender<[u8]>);

impl Route for QueueRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(QueueOutlet(self.0)))
    }
}

impl Channel for SharedQueue {
    type Route = QueueRoute;

    fn route(&self, _sender: usize) -> Result<QueueRoute> {
        Ok(QueueRoute(self.sender.clone()))
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        Ok(Box::new(QueueInlet {
            receiver: self.receiver,
            buffer: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct QueueOutlet(Sender<[u8]>);

impl Outlet for QueueOutlet {
    fn max_payload(&self) -> usize {
        LONGEST - HEADER_BYTES
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        self.0
            .send_bytes_deadline(frame, deadline)
            .map_err(|error| failed_to_send(error, deadline))
    }
}

/// Why a frame was not sent.
pub(crate) fn failed_to_send(error: SendTimeoutError<()>, deadline: Deadline) -> Error {
    let operation = "sending to receiver";
    match error {
        SendTimeoutError::Failed((), error) => error,
        SendTimeoutError::Timeout((), ..) => timed_out(deadline, operation, ""),
        SendTimeoutError::Disconnected((), ..) => {
            ErrorBuilder::new(ErrorKind::Disconnected, operation, "")
                .because("the receiver is gone")
                .build()
        }
    }
}

#[derive(Debug)]
struct QueueInlet {
    receiver: Receiver<[u8]>,
    buffer: Vec<u8>,
}

impl QueueInlet {
    /// Takes a frame, waiting for it; whether one came.
    fn take(&mut self, deadline: Deadline) -> Result<bool> {
        match self
            .receiver
            .recv_bytes_deadline(&mut self.buffer, deadline)
        {
            Ok(_) => Ok(true),
            // What senders are left is known from elsewhere.
            Err(RecvTimeoutError::Timeout(..) | RecvTimeoutError::Disconnected(..)) => Ok(false),
            Err(RecvTimeoutError::Failed(error)) => Err(error),
        }
    }
}

impl Inlet for QueueInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut any = false;
        // No more than there can be at once: others have to be looked at, too.
        for _ in 0..CAPACITY {
            if !self.take(Deadline::NOW)? {
                break;
            }
            inbox.packet(&self.buffer)?;
            any = true;
        }
        Ok(any)
    }

    fn drain_dead(&mut self, _sender: usize, inbox: &mut Inbox) -> Result<()> {
        // What it sent is among what is there.
        self.drain(inbox).map(drop)
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for_memory([&self.receiver], also, deadline)
    }
}
