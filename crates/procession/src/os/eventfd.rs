//! A 64-bit counter behind a descriptor, eventfd(2).

use crate::error::Context;
use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Result};
use rustix::event::{EventfdFlags, PollFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What a read takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything: the counter becomes zero.
    Counter,
    /// One: the counter is a semaphore.
    #[doc(alias = "EFD_SEMAPHORE")]
    Semaphore,
}

/// A counter that processes add to and wait for: the cheapest doorbell there
/// is, since it can be polled beside other descriptors.
///
/// # If a process dies
/// The counter keeps what was added; nobody is told. Wait for the process too
/// ([`Child`](crate::process::Child) is a descriptor).
///
/// # Across fork and exec
/// Inherited by fork, closed by exec.
///
/// # Cost
/// One system call per operation that need not wait.
///
/// # Examples
/// ```
/// use procession::os::eventfd::{EventFd, Mode};
/// let bell = EventFd::new(0, Mode::Counter)?;
/// bell.add(2)?;
/// bell.add(1)?;
/// assert_eq!(bell.take()?, 3);
/// assert!(bell.try_take().unwrap_err().is_would_block());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Creates a counter with an initial value.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    pub fn new(value: u32, mode: Mode) -> Result<EventFd> {
        let mut flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        if mode == Mode::Semaphore {
            flags |= EventfdFlags::SEMAPHORE;
        }
        rustix::event::eventfd(value, flags)
            .during("creating event counter", "")
            .map(EventFd)
    }

    /// Adds to the counter, waiting in the unlikely case that the sum would
    /// exceed 2⁶⁴ − 2.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): `amount` is `u64::MAX`.
    pub fn add(&self, amount: u64) -> Result<()> {
        self.add_deadline(amount, Deadline::NEVER)
    }

    /// Adds to the counter if there is room.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): the sum would exceed 2⁶⁴ − 2.
    pub fn try_add(&self, amount: u64) -> Result<()> {
        self.add_deadline(amount, Deadline::NOW)
    }

    /// Adds to the counter, waiting for room at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn add_timeout(&self, amount: u64, timeout: Duration) -> Result<()> {
        self.add_deadline(amount, Deadline::after(timeout))
    }

    /// Adds to the counter, waiting for room until the deadline.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn add_deadline(&self, amount: u64, deadline: Deadline) -> Result<()> {
        repeat(
            self.as_fd(),
            PollFlags::OUT,
            deadline,
            "adding to event counter",
            &"",
            || rustix::io::write(&self.0, &amount.to_ne_bytes()),
        )?;
        Ok(())
    }

    /// Waits until the counter is positive and takes it, all or one.
    ///
    /// # Errors
    /// None that an event counter can cause; reported all the same.
    pub fn take(&self) -> Result<u64> {
        self.take_deadline(Deadline::NEVER)
    }

    /// Takes the counter if it is positive.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): it is zero.
    pub fn try_take(&self) -> Result<u64> {
        self.take_deadline(Deadline::NOW)
    }

    /// Waits at most `timeout` for the counter to become positive.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn take_timeout(&self, timeout: Duration) -> Result<u64> {
        self.take_deadline(Deadline::after(timeout))
    }

    /// Waits until the deadline for the counter to become positive.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn take_deadline(&self, deadline: Deadline) -> Result<u64> {
        let operation = "taking from event counter";
        let mut value = [0; 8];
        let length = repeat(
            self.as_fd(),
            PollFlags::IN,
            deadline,
            operation,
            &"",
            || rustix::io::read(&self.0, &mut value),
        )?;
        if length != value.len() {
            return Err(Error::new(ErrorKind::Corrupt, operation, ""));
        }
        Ok(u64::from_ne_bytes(value))
    }
}

impl EventFd {
    /// Another descriptor for the same counter.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    pub fn try_clone(&self) -> Result<EventFd> {
        let copy = self.0.try_clone();
        copy.during("copying event counter", "").map(EventFd)
    }
}

crate::handle::travels!(EventFd);

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
