//! Any process, held by a descriptor.

use crate::error::Context;
use crate::signal::Signal;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::Errno;
use rustix::process::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Any process, held by a pidfd: whatever becomes of its number, this is that process
/// and no other. It is for parents, siblings and processes of others; what this process has
/// started has handles of its own.
///
/// A number that was received long ago may be another process's by now. A process passes
/// a number on safely while the process of that number cannot have been reaped: its parent can
/// do so, and the process itself. After [`open`](PidFd::open), ask the sender of the number
/// again, or look at [`inspect`](super::inspect), and only then signal.
///
/// # If a process dies
/// Signals to it are [`NotFound`](ErrorKind::NotFound) errors once it has been reaped.
/// Only its parent gets its status.
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

    /// Returns the number that the process was opened by.
    ///
    /// # Examples
    /// ```
    /// use procession::process::PidFd;
    /// let me = PidFd::open(std::process::id())?;
    /// assert_eq!(me.id(), std::process::id());
    /// assert!(me.is_alive());
    /// assert!(me.try_wait().unwrap_err().is_would_block());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns `true` while the process runs; a zombie does not run.
    ///
    /// # Cost
    /// One poll(2).
    ///
    /// # Examples
    /// See [`id`](PidFd::id).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        poll::readable(self, Deadline::NOW).is_err()
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// As poll(2) has them.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, PidFd};
    /// use procession::Deadline;
    /// let child = Command::new("sleep").arg("1000").spawn()?;
    /// let watch = PidFd::open(child.pid())?;
    /// child.kill()?;
    /// watch.wait()?;
    /// watch.wait_deadline(Deadline::NOW)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
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
