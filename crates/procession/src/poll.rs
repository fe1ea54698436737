//! Waiting for descriptors.

use crate::error::Context;
use crate::{Deadline, Error, Result};
use procession_sys::Errno;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};

/// Waits until at least one of the descriptors has one of its events, and
/// returns how many have; zero when the deadline passed first.
///
/// Interruptions by signal handlers are absorbed, with the remaining time.
pub(crate) fn wait(descriptors: &mut [PollFd<'_>], deadline: Deadline) -> Result<usize> {
    loop {
        match rustix::event::poll(descriptors, deadline.timespec().as_ref()) {
            Err(Errno::INTR) => continue,
            Ok(0) if !deadline.has_passed() => continue,
            outcome => return outcome.during("waiting for descriptors", ""),
        }
    }
}

/// Waits until one of the descriptors is readable, or the deadline.
pub(crate) fn wait_for_any(descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
    let mut descriptors: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    wait(&mut descriptors, deadline).map(drop)
}

/// Waits until reading would not block: data, end of file or an error.
///
/// # Errors
/// [`TimedOut`](crate::ErrorKind::TimedOut), or
/// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`].
///
/// # Cost
/// One poll(2).
///
/// # Examples
/// ```
/// use procession::{os::pipe, poll, Deadline};
/// let (reader, writer) = pipe::pipe()?;
/// assert!(poll::readable(&reader, Deadline::NOW).unwrap_err().is_would_block());
/// writer.write(b"x")?;
/// poll::readable(&reader, Deadline::NEVER)?;
/// # Ok::<(), procession::Error>(())
/// ```
pub fn readable(descriptor: impl AsFd, deadline: Deadline) -> Result<()> {
    one(descriptor.as_fd(), PollFlags::IN, deadline)
}

/// Waits until writing would not block.
///
/// # Errors
/// As [`readable`].
///
/// # Examples
/// ```
/// use procession::{os::pipe, poll, Deadline};
/// let (_reader, writer) = pipe::pipe()?;
/// poll::writable(&writer, Deadline::NEVER)?;
/// # Ok::<(), procession::Error>(())
/// ```
pub fn writable(descriptor: impl AsFd, deadline: Deadline) -> Result<()> {
    one(descriptor.as_fd(), PollFlags::OUT, deadline)
}

fn one(descriptor: BorrowedFd<'_>, events: PollFlags, deadline: Deadline) -> Result<()> {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, events)];
    match wait(&mut descriptors, deadline)? {
        0 => Err(Error::new(
            deadline.error_kind(),
            "waiting for descriptor",
            "",
        )),
        _ => Ok(()),
    }
}

/// Repeats a non-blocking call until it succeeds, fails for a reason other
/// than "not now", or the deadline passes; waits for the descriptor between.
pub(crate) fn repeat<T>(
    descriptor: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Deadline,
    operation: &'static str,
    object: &dyn std::fmt::Display,
    mut call: impl FnMut() -> procession_sys::Result<T>,
) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut descriptors = [PollFd::from_borrowed_fd(descriptor, events)];
                if deadline.has_passed() || wait(&mut descriptors, deadline)? == 0 {
                    return Err(Error::new(deadline.error_kind(), operation, object));
                }
            }
            outcome => return outcome.during(operation, object),
        }
    }
}
