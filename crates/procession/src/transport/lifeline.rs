//! How a sender hears that the receiver is gone, on channels whose kernel
//! object does not say: a pipe that nobody writes to.

use crate::os::pipe::{self, Reader, Writer};
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};

/// The receiver's end: while it is open, the receiver lives.
#[derive(Debug)]
pub(super) struct Held {
    _end: Writer,
}

/// A sender's end.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Lifeline(Reader);

pub(super) fn lifeline() -> Result<(Held, Lifeline)> {
    let (reader, writer) = pipe::pipe()?;
    Ok((Held { _end: writer }, Lifeline(reader)))
}

impl Lifeline {
    pub(super) fn try_clone(&self) -> Result<Lifeline> {
        self.0.try_clone().map(Lifeline)
    }

    /// An error if the receiver is gone.
    pub(super) fn check(&self) -> Result<()> {
        self.pause(Deadline::NOW)
    }

    /// Sleeps until the deadline, or fails as soon as the receiver is gone.
    pub(super) fn pause(&self, deadline: Deadline) -> Result<()> {
        match poll::readable(&self.0, deadline) {
            Err(error) if error.is_would_block() || error.is_timeout() => Ok(()),
            Ok(()) => Err(gone()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the descriptor has the event, the deadline passes, or the
    /// receiver is gone.
    pub(super) fn wait(
        &self,
        descriptor: BorrowedFd<'_>,
        events: PollFlags,
        deadline: Deadline,
    ) -> Result<()> {
        let mut descriptors = [
            PollFd::from_borrowed_fd(descriptor, events),
            PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN),
        ];
        if poll::wait(&mut descriptors, deadline)? == 0 {
            return Err(Error::new(deadline.error_kind(), "sending", ""));
        }
        if descriptors[1].revents().is_empty() {
            Ok(())
        } else {
            Err(gone())
        }
    }
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Disconnected, "sending", "").because("the receiver is gone")
}
