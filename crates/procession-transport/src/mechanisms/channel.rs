//! The library's own channels in shared memory, one for each sender.

use super::queue::failed_to_send;
use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::frame::HEADER_BYTES;
use crate::inbox::Inbox;
use crate::mechanism::{self, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::wait::wait_for_memory;
use procession::__private::error::ErrorBuilder;
use procession::__private::limits;
use procession::channel::{self, Reader, RecvTimeoutError, Writer};
use procession::{Deadline, ErrorKind, Result};
use std::cell::RefCell;
use std::os::fd::BorrowedFd;

/// Bytes of the longest frame.
const LONGEST: usize = 1 << 16;

/// A channel for each sender.
pub(crate) struct Channel;

impl Mechanism for Channel {
    const NAME: &'static str = "channel";

    type Channel = Channels;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Messages,
            named: false,
            lifetime: Lifetime::Process,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<Channels> {
        Channels::new(senders)
    }
}

/// All ends, of which those of senders are taken one by one.
#[derive(Debug)]
pub(crate) struct Channels {
    readers: Vec<Reader<[u8]>>,
    writers: RefCell<Vec<Option<Writer<[u8]>>>>,
}

impl Channels {
    fn new(senders: usize) -> Result<Channels> {
        let pipes = (0..senders).map(|_| channel::pipe());
        let pipes = pipes.collect::<Result<Vec<_>>>()?.into_iter();
        let (writers, readers) = pipes.map(|(writer, reader)| (Some(writer), reader)).unzip();
        Ok(Channels {
            readers,
            writers: RefCell::new(writers),
        })
    }
}

/// What a sender needs: its end.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ChannelRoute(Writer<[u8]>);

impl Route for ChannelRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(ChannelOutlet(self.0)))
    }
}

impl mechanism::Channel for Channels {
    type Route = ChannelRoute;

    fn route(&self, sender: usize) -> Result<ChannelRoute> {
        let writer = self
            .writers
            .borrow_mut()
            .get_mut(sender)
            .and_then(Option::take);
        let writer = writer.ok_or_else(|| {
            ErrorBuilder::new(ErrorKind::InvalidInput, "taking sender", sender)
                .because("it was taken already")
                .build()
        })?;
        Ok(ChannelRoute(writer))
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        Ok(Box::new(ChannelInlet {
            readers: self.readers.into_iter().map(Some).collect(),
            buffer: Vec::new(),
        }))
    }
}

/// Most frames of a sender before the next one has its turn, and deaths and deadlines have
/// theirs: a fast sender is not to keep them waiting.
const AT_ONCE: usize = 32;

#[derive(Debug)]
struct ChannelOutlet(Writer<[u8]>);

impl Outlet for ChannelOutlet {
    fn max_payload(&self) -> usize {
        LONGEST - HEADER_BYTES
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        self.0
            .send_bytes_deadline(frame, deadline)
            .map_err(|error| failed_to_send(error, deadline))
    }
}

#[derive(Debug)]
struct ChannelInlet {
    /// `None`: it is over.
    readers: Vec<Option<Reader<[u8]>>>,
    buffer: Vec<u8>,
}

impl ChannelInlet {
    /// Takes at most `count` frames of one sender. Returns `true` if there were any.
    fn drain_one(&mut self, sender: usize, count: usize, inbox: &mut Inbox) -> Result<bool> {
        let mut any = false;
        for _ in 0..count {
            let Some(reader) = &self.readers[sender] else {
                break;
            };
            match reader.recv_bytes_deadline(&mut self.buffer, Deadline::NOW) {
                Ok(()) => inbox.packet(&self.buffer)?,
                Err(RecvTimeoutError::Timeout(..)) => break,
                Err(RecvTimeoutError::Disconnected(..)) => self.readers[sender] = None,
                Err(RecvTimeoutError::Failed(error)) => return Err(error),
            }
            any = true;
        }
        Ok(any)
    }
}

impl Inlet for ChannelInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut any = false;
        for sender in 0..self.readers.len() {
            any |= self.drain_one(sender, AT_ONCE, inbox)?;
        }
        Ok(any)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        // It adds nothing any more.
        self.drain_one(sender, usize::MAX, inbox).map(drop)
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for_memory(self.readers.iter().flatten(), also, deadline)
    }
}
