//! A process that runs a task or a program, forked by this process or by a server.

mod end;
mod reply;
mod result;
mod signal;
mod start;

use super::launch::connection::Connection;
use super::launch::protocol::Mailbox;
use super::{Child, ExitStatus, reaper};
use crate::{Deadline, Error, ErrorKind, Result, poll, process_token};
use procession_sys::Errno;
use reply::Received;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long only the end of a process is waited for, not what it sends.
const END_ONLY_TIMEOUT: Duration = Duration::from_millis(5);

/// Whose child the process is: that process reaps it.
#[derive(Debug)]
enum ChildOf {
    ThisProcess(Child),
    Server {
        pid: u32,
        pidfd: OwnedFd,
        server: Arc<Connection>,
    },
}

/// A process that runs a task, or a program.
///
/// Several threads may wait for it while others signal it: nobody sleeps under its lock, and
/// signals go by pidfd, without it.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    /// Which process it is of; a forked copy has no part in it.
    owner: u64,
    mailbox: Mailbox,
    child_of: ChildOf,
    /// When it is to be killed, where we are the ones to tell.
    deadline: Option<Instant>,
    /// When it is killed unless it has taken over its process.
    start_deadline: Option<Instant>,
    /// It leads a process group of its own.
    leads_group: bool,
    received: Mutex<Received>,
}

impl Running {
    /// Returns `true` if it leads a process group of its own.
    pub(crate) fn leads_group(&self) -> bool {
        self.leads_group
    }

    /// A task in a child of ours.
    pub(in crate::process) fn forked(
        name: String,
        mailbox: Mailbox,
        child: Child,
        deadline: Option<Instant>,
        leads_group: bool,
    ) -> Running {
        Running {
            name,
            owner: process_token::current(),
            mailbox,
            child_of: ChildOf::ThisProcess(child),
            deadline,
            start_deadline: None,
            leads_group,
            received: Mutex::new(Received {
                booted: true,
                ..Received::default()
            }),
        }
    }

    /// Returns `true` if this is the process that started it, not a forked copy.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == process_token::current()
    }

    pub(crate) fn id(&self) -> u32 {
        match &self.child_of {
            ChildOf::ThisProcess(child) => child.id(),
            ChildOf::Server { pid, .. } => *pid,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        match &self.child_of {
            ChildOf::ThisProcess(child) => child.as_fd(),
            ChildOf::Server { pidfd, .. } => pidfd.as_fd(),
        }
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        // Nothing under it is code of others, and nothing panics half-way.
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the process has ended; what it has sent has been received then.
    ///
    /// An error in a forked copy, which would take them from its parent.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        if !self.is_ours() {
            return Err(
                Error::new(ErrorKind::Unsupported, "waiting for process", &self.name)
                    .because("it was started by the process that this one was forked from")
                    .with_hint("wait for it there, or watch its pidfd"),
            );
        }
        let failed = |operation| Error::new(deadline.error_kind(), operation, &self.name);
        // A result nearly always fits into the mailbox, so that its coming is
        // no reason to wake up: the end of the process, a moment later, is.
        let mut until = deadline.min(Deadline::after(END_ONLY_TIMEOUT));
        let mut brief = deadline != Deadline::NOW;
        loop {
            let is_closed = {
                let received = self.received();
                if received.ended.is_some() {
                    return Ok(());
                }
                received.is_closed
            };
            let pidfd = self.pidfd();
            let mut watched = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            if !brief && !is_closed {
                watched.push(PollFd::new(&self.mailbox, PollFlags::IN));
            }
            let ready = poll::wait(&mut watched, until)?;
            // Before the mailbox is emptied: what it has sent last is in there.
            let over = !watched[0].revents().is_empty();
            if ready == 0 && !std::mem::take(&mut brief) {
                return Err(failed("waiting for process"));
            }
            until = deadline;
            let mut received = self.received();
            received.receive_all(self.mailbox.as_fd())?;
            if over && received.ended.is_none() && !self.finish(&mut received)? {
                drop(received);
                // The server has not come to telling its status. When it has, it closes its
                // end, so that this returns though another thread has taken the status.
                poll::readable(&self.mailbox, deadline)
                    .map_err(|_| failed("waiting for status of process"))?;
            }
        }
    }

    /// How the process ended, once [`wait`](Running::wait) has returned.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        let ended = self.received().ended;
        ended.map(|ended| ExitStatus::from_raw(ended.status))
    }

    /// When it ended, as far as is known, once [`wait`](Running::wait) has returned.
    pub(in crate::process) fn ended_at(&self) -> Option<Instant> {
        self.received().ended_at
    }

    /// Readable when [`wait`](Running::wait) need not wait, or when nobody will say how
    /// the process ends.
    pub(in crate::process) fn news(&self) -> BorrowedFd<'_> {
        self.mailbox.as_fd()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let received = self
            .received
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let is_reaped = received.is_reaped;
        // If its server is killed, we may inherit it, and nobody else would reap it.
        if let ChildOf::Server { pidfd, .. } = &self.child_of
            && !is_reaped
            && self.is_ours()
            && procession_sys::process::inherits_orphans()
            && procession_sys::signal::send(pidfd.as_fd(), 0) != Err(Errno::SRCH)
            && let Ok(copy) = pidfd.try_clone()
        {
            reaper::expect(copy);
        }
    }
}
