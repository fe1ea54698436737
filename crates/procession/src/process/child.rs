//! A child process, held by pidfd.

use super::inspect::{ProcessState, inspect};
use super::wait::reap;
use super::{ExitStatus, reaper};
use crate::error::Context;
use crate::process_token;
use crate::signal::Signal;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A child process.
///
/// # If the handle is dropped
/// The child goes on running. When it ends it is reaped, so it does not stay
/// a zombie: at once if it has ended already, else by a small thread that the
/// library starts then (it makes system calls and nothing else, so
/// [`fork`](super::fork) does not count it).
///
/// # Across fork and exec
/// A copy in a forked child can signal the process, but cannot wait for it,
/// and its drop does nothing. The descriptor is closed by exec.
///
/// # Examples
/// ```
/// use procession::process::{fork, exit, Fork, Signal};
/// use std::time::Duration;
/// match fork()? {
///     Fork::Child => loop { std::thread::park() },
///     Fork::Parent(child) => {
///         assert!(child.wait_timeout(Duration::from_millis(5)).unwrap_err().is_timeout());
///         child.kill()?;
///         let status = child.wait()?;
///         assert_eq!(status.signal(), Some(Signal::KILL));
///         assert_eq!(child.wait()?, status); // asked again, answered again
///     }
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// `None` only between `drop` taking it and the end of `drop`.
    pidfd: Option<OwnedFd>,
    /// The process that started it.
    parent: u64,
    /// Held while it is reaped, or signalled by its number: never longer, and never asleep.
    status: Mutex<Option<ExitStatus>>,
}

impl Child {
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Child {
        Child {
            pid,
            pidfd: Some(pidfd),
            parent: process_token::current(),
            status: Mutex::new(None),
        }
    }

    /// Whether this is the process that started it, not a forked copy.
    fn is_ours(&self) -> bool {
        self.parent == process_token::current()
    }

    fn status(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `signal` with the child's number if it is our child, and neither we nor anybody
    /// else has reaped it; no other thread reaps it through this handle meanwhile.
    fn while_unreaped<T>(&self, signal: impl FnOnce(i32) -> T) -> Option<T> {
        if !self.is_ours() {
            return None;
        }
        let status = self.status();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_unreaped = status.is_none()
            && rustix::process::waitid(WaitId::PidFd(self.pidfd()), options).is_ok();
        is_unreaped.then(|| signal(self.pid.as_raw_nonzero().get()))
    }

    /// Takes the process apart; whoever does reaps it.
    pub(super) fn into_parts(mut self) -> (Pid, OwnedFd) {
        let pidfd = self.pidfd.take();
        (self.pid, pidfd.expect("the descriptor is there until drop"))
    }

    /// Signals the group that the child leads.
    pub(super) fn signal_group(&self, signal: Signal) -> Result<()> {
        // Until we reap it the number is the child's, and its group's.
        let send = |pid: i32| procession_sys::signal::send_by_number(-pid, signal.as_raw());
        let sent = self.while_unreaped(send).unwrap_or(Ok(()));
        sent.during(
            "signalling process group",
            format!("{} with {signal}", self.pid),
        )
    }

    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd
            .as_ref()
            .expect("the descriptor is there until drop")
            .as_fd()
    }

    /// Returns the process id. Once the child has been waited for, the number may be
    /// given to another process.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{fork, exit, Fork, ProcessState, Signal};
    /// use procession::{Deadline, poll};
    /// match fork()? {
    ///     Fork::Child => exit(7),
    ///     Fork::Parent(child) => {
    ///         assert!(child.id() > 0);
    ///         poll::readable(&child, Deadline::NEVER)?;
    ///         assert_eq!(child.state()?, Some(ProcessState::Zombie));
    ///         // A zombie takes signals, and heeds none.
    ///         child.signal(Signal::TERM)?;
    ///         child.terminate()?;
    ///         assert_eq!(child.try_wait()?.and_then(|status| status.code()), Some(7));
    ///         assert!(child.wait_deadline(Deadline::NOW)?.code() == Some(7));
    ///         assert_eq!(child.state()?, None);
    ///     }
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Waits until the child ends and reaps it.
    ///
    /// Where somebody else has reaped it — a wait for any child elsewhere in
    /// the program, or `SIGCHLD` set to ignore — the status is had from the
    /// kernel all the same, from Linux 6.15 on.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) (ECHILD): somebody else reaped it and
    /// its status is lost, before Linux 6.15; or the caller is a forked copy.
    #[doc(alias = "waitpid")]
    pub fn wait(&self) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns how the child ended if it has ended, and `None` while it runs.
    ///
    /// # Errors
    /// As [`wait`](Child::wait).
    ///
    /// # Examples
    /// See [`id`](Child::id).
    #[doc(alias = "WNOHANG")]
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        match self.wait_deadline(Deadline::NOW) {
            Err(error) if error.is_would_block() => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Waits at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`wait`](Child::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until the deadline.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`]; and as
    /// [`wait`](Child::wait).
    ///
    /// # Cost
    /// waitid(2), and poll(2) and another waitid if the child is running.
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<ExitStatus> {
        let operation = "waiting for process";
        loop {
            let mut status = self.status();
            if let Some(status) = *status {
                return Ok(status);
            }
            match reap(self.pidfd()) {
                Ok(Some(ended)) => *status = Some(ended),
                Ok(None) => {
                    drop(status);
                    match poll::readable(self.pidfd(), deadline) {
                        Err(error) if error.is_timeout() || error.is_would_block() => {
                            return Err(Error::new(error.kind(), operation, self.pid));
                        }
                        outcome => outcome?,
                    }
                }
                Err(Errno::CHILD) => {
                    // Somebody else has reaped it; the kernel may remember.
                    let kept = procession_sys::process::status_after_reaping(self.pidfd());
                    if let Some(kept) = kept.filter(|_| self.is_ours()) {
                        *status = Some(ExitStatus::from_raw(kept as u16));
                        continue;
                    }
                    return Err(Error::os(operation, self.pid, Errno::CHILD)
                        .of_kind(ErrorKind::NotFound)
                        .because("its status is lost: it was reaped elsewhere"));
                }
                Err(errno) => return Err(Error::os(operation, self.pid, errno)),
            }
        }
    }

    /// Sends a signal to this very process, whatever has happened to its
    /// number since.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) (ESRCH): it has been reaped;
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): it has changed its
    /// user.
    #[doc(alias = "pidfd_send_signal")]
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let sent = match procession_sys::signal::send(self.pidfd(), signal.as_raw()) {
            // A filter of system calls may not know it. Until we reap it the number is
            // the child's.
            Err(errno @ (Errno::PERM | Errno::NOSYS)) => {
                let send = |pid| procession_sys::signal::send_by_number(pid, signal.as_raw());
                self.while_unreaped(send).unwrap_or(Err(errno))
            }
            outcome => outcome,
        };
        sent.during("signalling process", format!("{} with {signal}", self.pid))
    }

    /// Ends the child without appeal (`SIGKILL`); wait for it afterwards.
    ///
    /// # Errors
    /// As [`signal`](Child::signal).
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks the child to end (`SIGTERM`), which it may ignore.
    ///
    /// # Errors
    /// As [`signal`](Child::signal).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Returns what the child is doing; [`ProcessState::Zombie`] when it has ended
    /// and has not been waited for, `None` when it has.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    ///
    /// # Cost
    /// Reads one file under `/proc`.
    ///
    /// # Examples
    /// See [`id`](Child::id).
    pub fn state(&self) -> Result<Option<ProcessState>> {
        if self.status().is_some() {
            return Ok(None);
        }
        // Until we reap it the number is the child's.
        Ok(inspect(self.id())?.map(|info| info.state))
    }
}

impl AsFd for Child {
    /// The pidfd: readable when the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else {
            return;
        };
        let ours = self.is_ours();
        let status = self
            .status
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if ours && status.is_none() && reap(pidfd.as_fd()) == Ok(None) {
            reaper::adopt(pidfd);
        }
    }
}
