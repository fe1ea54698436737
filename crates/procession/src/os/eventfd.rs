//! A 64-bit counter behind a descriptor, eventfd(2).

use crate::error::Context;
use crate::poll::repeat;
use crate::{Deadline, Error, ErrorKind, Result};
use rustix::event::{EventfdFlags, PollFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How much [`EventFd::take`] takes from the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it: the counter becomes zero.
    Counter,
    /// One: the counter works as a semaphore.
    #[doc(alias = "EFD_SEMAPHORE")]
    Semaphore,
}

/// A counter that processes add to and wait for, eventfd(2). It is a descriptor, which can
/// be polled beside others.
///
/// # Units and limits
/// The counter has 64 bits; its largest value is 2⁶⁴ − 2.
///
/// # If a process dies
/// The counter keeps what was added, and nobody is notified. Wait for the process as well:
/// [`Child`](crate::process::Child) is a descriptor.
///
/// # Across fork and exec
/// A forked child inherits the descriptor; exec closes it. The handle can be an argument of
/// a [task](crate::process::spawn).
///
/// # Cost
/// One system call per operation that does not wait.
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
    /// [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left.
    pub fn new(value: u32, mode: Mode) -> Result<EventFd> {
        let mut flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        if mode == Mode::Semaphore {
            flags |= EventfdFlags::SEMAPHORE;
        }
        rustix::event::eventfd(value, flags)
            .during("creating event counter", "")
            .map(EventFd)
    }

    /// Adds `amount` to the counter, blocking while the sum would exceed 2⁶⁴ − 2.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): `amount` is `u64::MAX`.
    pub fn add(&self, amount: u64) -> Result<()> {
        self.add_deadline(amount, Deadline::NEVER)
    }

    /// Adds `amount` to the counter if the sum does not exceed 2⁶⁴ − 2.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): the sum would exceed 2⁶⁴ − 2.
    pub fn try_add(&self, amount: u64) -> Result<()> {
        self.add_deadline(amount, Deadline::NOW)
    }

    /// Adds `amount` to the counter, blocking at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn add_timeout(&self, amount: u64, timeout: Duration) -> Result<()> {
        self.add_deadline(amount, Deadline::after(timeout))
    }

    /// Adds `amount` to the counter, blocking until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::eventfd::{EventFd, Mode}};
    /// use std::time::Duration;
    /// let counter = EventFd::new(0, Mode::Counter)?;
    /// counter.add_deadline(u64::MAX - 1, Deadline::NEVER)?; // now it is full
    /// assert!(counter.try_add(1).unwrap_err().is_would_block());
    /// assert!(counter.add_timeout(1, Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Blocks until the counter is positive, takes from it and returns what was taken: all of
    /// it, or one ([`Mode`]).
    ///
    /// # Errors
    /// None that an event counter can cause; reported all the same.
    pub fn take(&self) -> Result<u64> {
        self.take_deadline(Deadline::NEVER)
    }

    /// Takes from the counter if it is positive.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): it is zero.
    pub fn try_take(&self) -> Result<u64> {
        self.take_deadline(Deadline::NOW)
    }

    /// Takes from the counter, blocking at most `timeout` until it is positive.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn take_timeout(&self, timeout: Duration) -> Result<u64> {
        self.take_deadline(Deadline::after(timeout))
    }

    /// Takes from the counter, blocking until it is positive, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, os::eventfd::{EventFd, Mode}};
    /// use std::time::Duration;
    /// let permits = EventFd::new(2, Mode::Semaphore)?;
    /// assert_eq!(permits.take_deadline(Deadline::NOW)?, 1);
    /// assert_eq!(permits.take_timeout(Duration::from_secs(1))?, 1);
    /// assert!(permits.take_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
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
    /// Returns another descriptor of the same counter.
    ///
    /// # Errors
    /// [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use procession::os::eventfd::{EventFd, Mode};
    /// let counter = EventFd::new(0, Mode::Counter)?;
    /// counter.try_clone()?.add(7)?;
    /// assert_eq!(counter.take()?, 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
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
