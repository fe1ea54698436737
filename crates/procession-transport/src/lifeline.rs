//! How a sender hears that the receiver is gone, on channels whose kernel
//! object does not say: a pipe that nobody writes to.

use procession::__private::error::ErrorBuilder;
use procession::__private::transport::{poll, timed_out};
use procession::os::pipe::{self, Reader, Writer};
use procession::{Deadline, Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};

/// The receiver's end: while it is open, the receiver lives.
#[derive(Debug)]
pub(crate) struct Held {
    _end: Writer,
}

/// A sender's end.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Lifeline(Reader);

pub(crate) fn lifeline() -> Result<(Held, Lifeline)> {
    let (reader, writer) = pipe::pipe()?;
    Ok((Held { _end: writer }, Lifeline(reader)))
}

impl Lifeline {
    pub(crate) fn try_clone(&self) -> Result<Lifeline> {
        self.0.try_clone().map(Lifeline)
    }

    /// An error if the receiver is gone.
    pub(crate) fn check(&self) -> Result<()> {
        self.pause(Deadline::NOW)
    }

    /// Sleeps until the deadline, or fails as soon as the receiver is gone.
    pub(crate) fn pause(&self, deadline: Deadline) -> Result<()> {
        match poll::readable(&self.0, deadline) {
            Err(error) if error.is_would_block() || error.is_timeout() => Ok(()),
            Ok(()) => Err(gone()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the descriptor has the event, the deadline passes, or the
    /// receiver is gone.
    pub(crate) fn wait(
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
            return Err(timed_out(deadline, "sending", ""));
        }
        if descriptors[1].revents().is_empty() {
            Ok(())
        } else {
            Err(gone())
        }
    }
}

pub(crate) fn gone() -> Error {
    ErrorBuilder::new(ErrorKind::Disconnected, "sending", "")
        .because("the receiver is gone")
        .build()
}
