//! Temporary files: one for each sender, without a name.
//!
//! A sender appends frames to its file and rings a doorbell; the receiver reads
//! what is new and gives the space back to the file system by punching holes.
//! Credits bound what may lie unread. The files have no name from the start
//! (`O_TMPFILE`), or none after the instant it takes to remove it.

use crate::facts::{Boundaries, Facts, Lifetime, Reach};
use crate::inbox::Inbox;
use crate::lifeline::{Held, Lifeline, lifeline};
use crate::mechanism::{Channel, Inlet, Mechanism, Outlet, Route};
use crate::options::Options;
use crate::owned_names::OwnedNames;
use crate::wait::wait_for;
use procession::__private::limits;
use procession::__private::transport::{Context, require_writable_to};
use procession::os::eventfd::{EventFd, Mode};
use procession::{Deadline, Handle, Result};
use procession_sys::Errno;
use rustix::event::PollFlags;
use rustix::fs::{FallocateFlags, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Frames that a sender may be ahead.
const CREDITS: u32 = 64;

/// Bytes read before a hole is punched for them.
const PUNCH_BYTES: u64 = 1 << 20;

/// A temporary file for each sender.
pub(crate) struct File;

impl Mechanism for File {
    const NAME: &'static str = "file";

    type Channel = FileChannel;

    fn facts() -> Facts {
        Facts {
            boundaries: Boundaries::Stream,
            named: true,
            lifetime: Lifetime::FileSystem,
            largest_message: None,
            reach: Reach::Machine,
            limits: vec![limits::open_files()],
        }
    }

    fn open(senders: usize, _options: &Options) -> Result<FileChannel> {
        FileChannel::new(senders)
    }
}

#[derive(Debug)]
pub(crate) struct FileChannel {
    files: Vec<OwnedFd>,
    credits: Vec<EventFd>,
    doorbell: EventFd,
    held: Held,
    lifeline: Lifeline,
}

impl FileChannel {
    fn new(senders: usize) -> Result<FileChannel> {
        let files = (0..senders)
            .map(|_| temporary_file())
            .collect::<Result<_>>()?;
        let credit = |_| EventFd::new(CREDITS, Mode::Semaphore);
        let credits = (0..senders).map(credit).collect::<Result<_>>()?;
        let (held, lifeline) = lifeline()?;
        let doorbell = EventFd::new(0, Mode::Counter)?;
        Ok(FileChannel {
            files,
            credits,
            doorbell,
            held,
            lifeline,
        })
    }
}

/// An open file without a name, in the directory for temporary files.
pub(crate) fn temporary_file() -> Result<OwnedFd> {
    let operation = "creating temporary file";
    let directory = std::env::temp_dir();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&directory, flags | OFlags::TMPFILE, mode) {
        // The file system cannot do that.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let names = OwnedNames::new()?;
            let path = names.path("file");
            rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode)
                .during(operation, path.display())
        }
        outcome => outcome.during(operation, directory.display()),
    }
}

/// What a sender needs: its file, its credits, and the receiver's doorbell.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct FileRoute {
    file: Handle<OwnedFd>,
    credits: EventFd,
    doorbell: EventFd,
    lifeline: Lifeline,
}

impl Route for FileRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        Ok(Box::new(FileOutlet {
            file: self.file.into_inner(),
            credits: self.credits,
            doorbell: self.doorbell,
            lifeline: self.lifeline,
            offset: 0,
        }))
    }
}

impl Channel for FileChannel {
    type Route = FileRoute;

    fn route(&self, sender: usize) -> Result<FileRoute> {
        let file = self.files[sender].try_clone();
        Ok(FileRoute {
            file: file.during("taking sender", sender)?.into(),
            credits: self.credits[sender].try_clone()?,
            doorbell: self.doorbell.try_clone()?,
            lifeline: self.lifeline.try_clone()?,
        })
    }

    fn into_inlet(self) -> Result<Box<dyn Inlet>> {
        let new = |(file, credits)| Incoming {
            file,
            credits,
            offset: 0,
            punched: 0,
            credited: 0,
        };
        Ok(Box::new(FileInlet {
            files: self.files.into_iter().zip(self.credits).map(new).collect(),
            doorbell: self.doorbell,
            _held: self.held,
            buffer: vec![0; 256 * 1024],
        }))
    }
}

#[derive(Debug)]
struct FileOutlet {
    file: OwnedFd,
    credits: EventFd,
    doorbell: EventFd,
    lifeline: Lifeline,
    offset: u64,
}

impl FileOutlet {
    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        let operation = "writing temporary file";
        let end = self.offset + bytes.len() as u64;
        require_writable_to(end, operation, &"")?;
        while !bytes.is_empty() {
            let written =
                rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, bytes, self.offset))
                    .during(operation, "")?;
            self.offset += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

impl Outlet for FileOutlet {
    fn max_payload(&self) -> usize {
        256 * 1024
    }

    fn put(&mut self, frame: &[u8], deadline: Deadline) -> Result<()> {
        while let Err(error) = self.credits.try_take() {
            if !error.is_would_block() {
                return Err(error);
            }
            self.lifeline
                .wait(self.credits.as_fd(), PollFlags::IN, deadline)?;
        }
        self.append(frame)?;
        self.doorbell.add(1)
    }
}

#[derive(Debug)]
struct Incoming {
    file: OwnedFd,
    credits: EventFd,
    offset: u64,
    punched: u64,
    credited: u64,
}

#[derive(Debug)]
struct FileInlet {
    files: Vec<Incoming>,
    doorbell: EventFd,
    _held: Held,
    buffer: Vec<u8>,
}

impl FileInlet {
    fn read(&mut self, sender: usize, inbox: &mut Inbox) -> Result<bool> {
        let incoming = &mut self.files[sender];
        let length = rustix::io::retry_on_intr(|| {
            rustix::io::pread(&incoming.file, &mut self.buffer[..], incoming.offset)
        })
        .during("reading temporary file", "")?;
        if length == 0 {
            return Ok(false);
        }
        inbox.stream(sender, &self.buffer[..length]);
        incoming.offset += length as u64;
        let new = inbox.frames_of(sender) - incoming.credited;
        if new > 0 {
            incoming.credits.add(new)?;
            incoming.credited += new;
        }
        if incoming.offset - incoming.punched >= PUNCH_BYTES {
            // A file system that cannot do it keeps the space until the end.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let range = incoming.offset - incoming.punched;
            let _ = rustix::fs::fallocate(&incoming.file, flags, incoming.punched, range);
            incoming.punched = incoming.offset;
        }
        Ok(true)
    }
}

impl Inlet for FileInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        // Before reading: whatever is written after the reading rings again.
        let _ = self.doorbell.try_take();
        let mut progress = false;
        for sender in 0..self.files.len() {
            progress |= self.read(sender, inbox)?;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        while self.read(sender, inbox)? {}
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        wait_for(&[self.doorbell.as_fd()], also, deadline).map(drop)
    }
}
