//! Frames in a stream of bytes.
//!
//! ```text
//! frame:   length of the message (8) │ its bytes │ verdict (1)
//! verdict: 0 the message counts   1 it was taken back
//! ```
//!
//! A reader that was told to wait no longer keeps what has come of a frame. A writer that
//! has no time for the rest of one keeps that, with the verdict that its message was taken
//! back, and writes it before the next message. The verdict is one byte, so that it cannot
//! be cut: until it is written, the message can be taken back.

#[cfg(feature = "network")]
use super::silence::Silence;
use crate::peer::Peer;
use crate::queue::{Hindrance, Outcome};
use crate::{Deadline, Error, ErrorKind, Result};
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Most that is read, and that a buffer grows, at once: no announced length is
/// believed before as many bytes have come.
const STEP: usize = 1 << 16;

/// Most that an empty buffer keeps for the next message.
pub(super) const KEPT: usize = 1 << 20;

/// Bytes of the length of a message in a pipe.
const LENGTH: usize = 8;

const COUNTS: u8 = 0;
const TAKEN_BACK: u8 = 1;

/// The writing end of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Writes {
    pub(super) peer: Peer,
    /// Of a frame that was taken back, what is to be written before the next one.
    rest: Vec<u8>,
    /// Part of something was written that cannot be taken back.
    #[cfg(feature = "network")]
    broken: bool,
    /// Of a connection to another host.
    #[cfg(feature = "network")]
    silence: Option<Silence>,
}

/// Repeats a call that does not block until it succeeds, fails or the deadline
/// passes.
fn repeat<T>(
    peer: &Peer,
    events: PollFlags,
    deadline: Deadline,
    operation: &'static str,
    mut call: impl FnMut(BorrowedFd<'_>) -> procession_sys::Result<T>,
) -> Result<T> {
    peer.with_descriptor(|descriptor| {
        let call = || call(descriptor);
        crate::poll::repeat(descriptor, events, deadline, operation, &"", call)
    })
}

impl Writes {
    pub(super) fn new(peer: Peer) -> Writes {
        Writes {
            peer,
            rest: Vec::new(),
            #[cfg(feature = "network")]
            broken: false,
            #[cfg(feature = "network")]
            silence: None,
        }
    }

    /// Of a connection to another host.
    #[cfg(feature = "network")]
    pub(super) fn limited(peer: Peer, silence: Silence) -> Writes {
        Writes {
            silence: Some(silence),
            ..Writes::new(peer)
        }
    }

    fn repeat<T>(
        &self,
        deadline: Deadline,
        call: impl FnMut(BorrowedFd<'_>) -> procession_sys::Result<T>,
    ) -> Result<T> {
        let operation = "sending message";
        #[cfg(feature = "network")]
        if let Some(silence) = &self.silence {
            return silence.repeat(&self.peer, PollFlags::OUT, deadline, operation, call);
        }
        repeat(&self.peer, PollFlags::OUT, deadline, operation, call)
    }

    /// Returns `true` if part of something was written, so that nothing can follow.
    #[cfg(feature = "network")]
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Writes as many of the bytes as there is room for in time; how many, and why not all.
    pub(super) fn write_some(&self, bytes: &[u8], deadline: Deadline) -> (usize, Outcome<()>) {
        let mut written = 0;
        while written < bytes.len() {
            let left = &bytes[written..];
            let write = |descriptor: BorrowedFd<'_>| rustix::io::write(descriptor, left);
            match self.repeat(deadline, write) {
                Ok(more) => written += more,
                Err(error) => return (written, Err(Hindrance::of_descriptor(error))),
            }
        }
        (written, Ok(()))
    }

    /// Writes a frame that ends with a verdict, or takes it back if there is no room for
    /// all of it in time.
    fn write_frame(&mut self, mut frame: Vec<u8>, deadline: Deadline) -> Outcome<()> {
        if !self.rest.is_empty() {
            let (written, outcome) = self.write_some(&self.rest, deadline);
            self.rest.drain(..written);
            outcome?;
            self.rest = Vec::new();
        }
        let (written, outcome) = self.write_some(&frame, deadline);
        if written > 0 && written < frame.len() {
            frame.drain(..written);
            if let Some(verdict) = frame.last_mut() {
                *verdict = TAKEN_BACK;
            }
            self.rest = frame;
        }
        outcome
    }

    /// Writes all of the bytes, or none if there is no room in time.
    #[cfg(feature = "network")]
    pub(super) fn write(&mut self, bytes: &[u8], deadline: Deadline) -> Outcome<()> {
        let operation = "sending message";
        if let Some(silence) = self.silence.as_ref().filter(|silence| silence.is_lost()) {
            return Err(Hindrance::Failed(silence.loss(operation)));
        }
        if self.broken {
            let error = Error::new(ErrorKind::Broken, operation, "");
            return Err(Hindrance::Failed(error.because(
                "there was no time for the rest of the message before, so that none can follow",
            )));
        }
        let (written, outcome) = self.write_some(bytes, deadline);
        self.broken = written > 0 && written < bytes.len();
        outcome?;
        if let Some(silence) = &self.silence {
            silence.written(&self.peer);
        }
        Ok(())
    }
}

/// The reading end of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reads {
    pub(super) peer: Peer,
    /// What has come and was not taken.
    buffer: Vec<u8>,
    /// The last look found less than it wanted.
    lacks_more: bool,
    /// Of a connection to another host.
    #[cfg(feature = "network")]
    silence: Option<Silence>,
}

impl Reads {
    pub(super) fn new(peer: Peer) -> Reads {
        Reads {
            peer,
            buffer: Vec::new(),
            lacks_more: false,
            #[cfg(feature = "network")]
            silence: None,
        }
    }

    /// Of a connection to another host.
    #[cfg(feature = "network")]
    pub(super) fn limited(peer: Peer, silence: Silence) -> Reads {
        Reads {
            silence: Some(silence),
            ..Reads::new(peer)
        }
    }

    /// Reads some more; how much it was, 0 at the end.
    fn read(&mut self, more: usize, deadline: Deadline) -> Result<usize> {
        let (operation, have) = ("receiving message", self.buffer.len());
        self.buffer.resize(have + more, 0);
        let free = &mut self.buffer[have..];
        let read = |descriptor: BorrowedFd<'_>| rustix::io::read(descriptor, &mut *free);
        #[cfg(feature = "network")]
        let outcome = match &self.silence {
            Some(silence) => {
                let read = silence.repeat(&self.peer, PollFlags::IN, deadline, operation, read);
                match read {
                    // The kernel tells of a loss once, and then of an end.
                    Ok(0) if silence.is_lost() => Err(silence.loss(operation)),
                    read => read,
                }
            }
            None => repeat(&self.peer, PollFlags::IN, deadline, operation, read),
        };
        #[cfg(not(feature = "network"))]
        let outcome = repeat(&self.peer, PollFlags::IN, deadline, operation, read);
        self.buffer.truncate(have + *outcome.as_ref().unwrap_or(&0));
        outcome
    }

    /// Waits until so many bytes are there, which stay.
    ///
    /// # Errors
    /// [`Disconnected`](Hindrance::Disconnected) at the end, if nothing is there.
    pub(super) fn gather(&mut self, bytes: usize, deadline: Deadline) -> Outcome<&[u8]> {
        let operation = "receiving message";
        while self.buffer.len() < bytes {
            let have = self.buffer.len();
            let more = (bytes - have).clamp(512, STEP);
            let read = self.read(more, deadline);
            let read = read.map_err(Hindrance::of_descriptor);
            self.lacks_more = matches!(read, Err(Hindrance::TimedOut));
            match read? {
                0 if have == 0 => return Err(Hindrance::Disconnected),
                0 => {
                    let error = Error::new(ErrorKind::ProcessDied, operation, "");
                    return Err(Hindrance::Failed(error.because(
                        "the other side ended in the middle of it, or had taken it back",
                    )));
                }
                _ => {}
            }
        }
        Ok(&self.buffer[..bytes])
    }

    /// Returns `true` if bytes are there that were not looked at: the rest of part of a
    /// message may never come, and then its descriptor says so.
    pub(super) fn has_some(&self) -> bool {
        !self.buffer.is_empty() && !self.lacks_more
    }

    /// Takes bytes that are there.
    pub(super) fn take(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
    }

    /// Receives a message in a plain stream.
    pub(super) fn receive(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Outcome<()> {
        let corrupt = |why: &'static str| {
            let error = Error::new(ErrorKind::Corrupt, "receiving message", "");
            Err(Hindrance::Failed(error.because(why)))
        };
        loop {
            let header = self.gather(LENGTH, deadline)?;
            let mut length = [0; LENGTH];
            length.copy_from_slice(header);
            let length = usize::try_from(u64::from_le_bytes(length)).ok();
            let verdict = length.and_then(|length| length.checked_add(LENGTH));
            let whole = verdict.and_then(|verdict| verdict.checked_add(1));
            let (Some(verdict), Some(whole)) = (verdict, whole) else {
                return corrupt("it claims to be longer than memory");
            };
            let frame = self.gather(whole, deadline)?;
            match frame[verdict] {
                COUNTS => {
                    into.clear();
                    into.extend_from_slice(&frame[LENGTH..verdict]);
                    self.take(whole);
                    return Ok(());
                }
                TAKEN_BACK => self.take(whole),
                _ => return corrupt("it does not end where it claims to"),
            }
        }
    }
}

/// Sends a message in a plain stream.
pub(super) fn send(
    writes: &mut Writes,
    message: &[u8],
    descriptors: &[OwnedFd],
    deadline: Deadline,
) -> Outcome<()> {
    refuse_descriptors(descriptors, "a pipe")?;
    let mut frame = Vec::with_capacity(LENGTH + message.len() + 1);
    frame.extend_from_slice(&(message.len() as u64).to_le_bytes());
    frame.extend_from_slice(message);
    frame.push(COUNTS);
    writes.write_frame(frame, deadline)
}

/// An error if there are any.
pub(super) fn refuse_descriptors(descriptors: &[OwnedFd], what: &'static str) -> Result<()> {
    if descriptors.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "sending message", "")
        .because(format!("{what} carries no descriptors"))
        .with_hint("use `Flavor::Shared` or `Flavor::Packets`"))
}
