//! How an inlet waits, beside descriptors of others.

use procession::__private::transport::poll;
use procession::{Deadline, Result, Select, Selectable};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::BorrowedFd;

/// Waits until one of `watched` or `also` is ready; tells which of `watched`.
pub(crate) fn wait_for(
    watched: &[BorrowedFd<'_>],
    also: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<Vec<bool>> {
    let mut descriptors: Vec<PollFd<'_>> = watched
        .iter()
        .chain(also)
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    poll::wait(&mut descriptors, deadline)?;
    let ready = |descriptor: &PollFd<'_>| !descriptor.revents().is_empty();
    Ok(descriptors[..watched.len()].iter().map(ready).collect())
}

/// Waits until something in memory may be received, one of `also` is readable, or
/// the deadline passes.
pub(crate) fn wait_for_memory<'a, R: Selectable + 'a>(
    memory: impl IntoIterator<Item = &'a R>,
    also: &'a [BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<()> {
    let mut select = Select::new();
    for receives in memory {
        select.recv(receives);
    }
    for descriptor in also {
        select.readable(descriptor);
    }
    match select.ready_deadline(deadline) {
        Err(error) if error.is_timeout() || error.is_would_block() => Ok(()),
        outcome => outcome.map(drop),
    }
}
