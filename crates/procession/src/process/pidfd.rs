//! Any process, held by a descriptor.

use crate::error::Context;
use crate::signal::Signal;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::Errno;
use rustix::process::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Any process, held by a pidfd: whatever becomes of its number, this is that process
/// and no other. For parents, siblings and strangers; what this process has started
/// has handles of its own.
///
/// A number that was heard of long ago may be another process's by now. Whoever passes
/// one on does so safely while the process cannot have been reaped: its parent does,
/// and the process itself. [`open`](PidFd::open), then ask whoever told the number, or
/// look at [`inspect`](super::inspect), and only then signal.
///
/// # If a process dies
/// Signals to it are [`NotFound`](ErrorKind::NotFound) errors once it has been reaped.
/// Its status is its parent's to hear.
///
/// # Across fork and exec
/// A forked copy may use it; exec closes it.
///
/// # Examples
/// ```
/// use procession::process::{self, PidFd, Signal};
/// use std::time::Duration;
/// // A task ends its sibling.
/// let mut sleeper = process::spawn(|()| loop { std::thread::park() }, ())?;
/// let mut other = process::spawn(|pid: u32| {
///     let sleeper = PidFd::open(pid).unwrap();
///     sleeper.signal(Signal::TERM).unwrap();
///     sleeper.wait_timeout(Duration::from_secs(10)).is_ok()
/// }, sleeper.pid())?;
/// assert!(other.join().unwrap());
/// let ended: Result<(), _> = sleeper.join();
/// assert_eq!(ended.unwrap_err().signal(), Some(Signal::TERM));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct PidFd {
    pid: Pid,
    descriptor: OwnedFd,
}

impl PidFd {
    /// Takes hold of the process that has this number now.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): there is none;
    /// [`InvalidInput`](ErrorKind::InvalidInput): no process has such a number;
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor is left.
    ///
    /// # Cost
    /// One system call, and a descriptor.
    ///
    /// # References
    /// pidfd_open(2)
    #[doc(alias = "pidfd_open")]
    pub fn open(pid: u32) -> Result<PidFd> {
        let operation = "opening process";
        let number = i32::try_from(pid).ok().filter(|number| *number > 0);
        let pid = number.and_then(Pid::from_raw).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, operation, pid).because("no process has this id")
        })?;
        Ok(PidFd {
            pid,
            descriptor: open(pid, operation)?,
        })
    }

    /// The number that it was opened by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): it has been reaped;
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): it is another user's.
    #[doc(alias = "pidfd_send_signal")]
    #[doc(alias = "kill")]
    pub fn signal(&self, signal: Signal) -> Result<()> {
        procession_sys::signal::send(self.as_fd(), signal.as_raw())
            .during("signalling process", format!("{} with {signal}", self.pid))
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        poll::readable(self, Deadline::NOW).is_err()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// The system call's.
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns `Ok` if it has ended.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): it runs.
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Waits until it has ended, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until it has ended, or until `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        poll::readable(self, deadline)
            .map_err(|error| Error::new(error.kind(), "waiting for the end of process", self.pid))
    }
}

impl AsFd for PidFd {
    /// The pidfd: readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// A pidfd of the process that has this number now.
pub(crate) fn open(pid: Pid, operation: &'static str) -> Result<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let refused = matches!(pidfd, Err(Errno::PERM | Errno::NOSYS | Errno::ACCESS));
    pidfd.during(operation, pid).map_err(|error| match refused {
        true => error.of_kind(ErrorKind::Unsupported).with_hint(
            "a filter of system calls (seccomp) has to allow pidfd_open and pidfd_send_signal, which Linux has since 5.3",
        ),
        false => error,
    })
}

/// A pidfd of the calling process, which tells others of its death.
pub(crate) fn open_own() -> Result<OwnedFd> {
    open(rustix::process::getpid(), "opening own pidfd")
}
