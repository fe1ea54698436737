//! One FIFO that all senders write to.
//!
//! A frame is at most `PIPE_BUF` long, so the kernel writes it whole or not
//! at all, whatever other senders do and whichever of them is killed. The path is removed
//! before the first fork: every side has opened the FIFO by then.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::frame::HEADER_BYTES;
use crate::inbox::Inbox;
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::OwnedNames;
use crate::wait::wait_for;
use procession::__private::limits;
use procession::os::fifo;
use procession::os::pipe::{ATOMIC_WRITE_BYTES, Reader, Writer};
use procession::{Deadline, Result};
use std::os::fd::{AsFd, BorrowedFd};

/// One FIFO.
pub(crate) struct Fifo;

impl Mechanism for Fifo {
    const NAME: &'static str = "fifo";

    type Channel = FifoChannel;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::FileSystem,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::pipe_bytes(), limits::open_files()],
        }
    }

    fn open(_senders: usize, _options: &Options) -> Result<FifoChannel> {
        FifoChannel::new()
    }
}

#[derive(Debug)]
pub(crate) struct FifoChannel {
    reader: Reader,
    writer: Writer,
}

impl FifoChannel {
    fn new() -> Result<FifoChannel> {
        let names = OwnedNames::new()?;
        let fifo = fifo::Fifo::create(names.path("fifo"))?;
        let reader = fifo.reader()?.into_reader();
        let writer = fifo.try_writer()?;
        fifo.unlink()?;
        Ok(FifoChannel { reader, writer })
    }
}

/// What a sender needs: the writing end.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct FifoRoute(Writer);

impl Route for FifoRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(FifoOutlet { writer: self.0 }))
    }
}

impl Channel for FifoChannel {
    type Route = FifoRoute;

    fn route(&self, _sender: usize) -> Result<FifoRoute> {
        self.writer.try_clone().map(FifoRoute)
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let buffer = vec![0; 64 * 1024];
        Ok(Box::new(FifoInlet {
            reader: self.reader,
            _anchor: self.writer,
            buffer,
        }))
    }
}

#[derive(Debug)]
struct FifoOutlet {
    writer: Writer,
}

impl Outlet for FifoOutlet {
    fn max_payload(&self) -> usize {
        ATOMIC_WRITE_BYTES - HEADER_BYTES
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        self.writer.write_all_deadline(frame, deadline)
    }
}

#[derive(Debug)]
struct FifoInlet {
    reader: Reader,
    /// Keeps the FIFO from reporting "hung up" when the senders are gone.
    _anchor: Writer,
    buffer: Vec<u8>,
}

impl FifoInlet {
    fn read(&mut self, inbox: &mut Inbox) -> Result<usize> {
        match self.reader.try_read(&mut self.buffer) {
            Ok(length) => {
                inbox.shared_stream(&self.buffer[..length])?;
                Ok(length)
            }
            Err(error) if error.is_would_block() => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl Inlet for FifoInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        Ok(self.read(inbox)? > 0)
    }

    fn drain_dead(&mut self, _sender: usize, inbox: &mut Inbox) -> Result<()> {
        // What the dead sender wrote is among the bytes that are there now.
        let mut left = self.reader.available()?;
        while left > 0 {
            match self.read(inbox)? {
                0 => break,
                length => left = left.saturating_sub(length),
            }
        }
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for(&[self.reader.as_fd()], also, deadline).map(drop)
    }
}
