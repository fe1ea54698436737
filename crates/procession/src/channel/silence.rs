//! When the other host of a connection is silent.
//!
//! A host that loses its power or its cable says nothing, so that the end of a
//! connection has to be concluded: when the other host's *kernel* owes an answer and
//! has given none for the [limit](super::Address::lost_after). A process that is
//! busy or stopped is not lost: its kernel answers.
//!
//! Three things ask, because each of them alone has a gap:
//!
//! | state of the connection | which side asks |
//! |---|---|
//! | nothing is under way | the kernel, by keep-alive probes |
//! | all that was written is under way | the kernel, by `TCP_USER_TIMEOUT` |
//! | something waits to be sent, because the other side does not read | the thread that waits here, by `TCP_INFO` |
//!
//! In the last state `TCP_USER_TIMEOUT` must be off: it would end the connection to
//! a living host whose process reads slowly, since the kernel takes a closed window
//! that lasts for silence, answered or not.

use crate::error::Context;
use crate::peer::Peer;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::event::PollFlags;
use rustix::net::sockopt;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The shortest limit: the kernel counts keep-alive probes in seconds.
const MIN: Duration = Duration::from_secs(2);

/// The longest one: the kernel's for the time before keep-alive probes.
const MAX: Duration = Duration::from_secs(32_767);

/// How long to wait between two looks.
const SLICE: Duration = Duration::from_secs(1);

/// One half of a connection's knowledge of its other host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Silence {
    limit: Duration,
    /// Shared with the other half, in one process: the kernel tells of a loss once.
    #[serde(skip)]
    lost: Arc<AtomicBool>,
    /// Since when the other host owes an answer, as far as we have looked.
    #[serde(skip)]
    owed_since: Cell<Option<Instant>>,
    /// Whether `TCP_USER_TIMEOUT` is on, if this half has set it.
    #[serde(skip)]
    user_timeout: Cell<Option<bool>>,
}

impl Silence {
    /// Sets a socket up; one for each of its two halves.
    pub(super) fn limited(socket: impl AsFd, limit: Duration) -> Result<(Silence, Silence)> {
        let limit = limit.clamp(MIN, MAX);
        keep_alive(socket.as_fd(), limit).during("limiting silence of connection", "")?;
        let lost = Arc::new(AtomicBool::new(false));
        let half = || Silence {
            limit,
            lost: Arc::clone(&lost),
            owed_since: Cell::new(None),
            user_timeout: Cell::new(None),
        };
        Ok((half(), half()))
    }

    /// Repeats a call that does not block until it succeeds, fails, the deadline
    /// passes or the other host is lost.
    pub(super) fn repeat<T>(
        &self,
        peer: &Peer,
        events: PollFlags,
        deadline: Deadline,
        operation: &'static str,
        mut call: impl FnMut(BorrowedFd<'_>) -> procession_sys::Result<T>,
    ) -> Result<T> {
        peer.with_descriptor(|socket| {
            loop {
                let slice = match self.is_lost() {
                    true => Deadline::NOW,
                    false => deadline.min(Deadline::after(SLICE)),
                };
                let attempt = || call(socket);
                let outcome = crate::poll::repeat(socket, events, slice, operation, &"", attempt);
                let error = match outcome {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                match error.raw_os_error().map(Errno::from_raw_os_error) {
                    // We gave up waiting, for now.
                    None if self.is_lost() || self.has_found_loss(socket) => {
                        return Err(self.loss(operation));
                    }
                    None if !deadline.has_passed() => {}
                    Some(errno) if says_loss(errno) => {
                        self.lost.store(true, Ordering::Relaxed);
                        return Err(self.loss(operation));
                    }
                    // The kernel tells of a loss once, and then of a closed socket.
                    Some(Errno::PIPE | Errno::CONNRESET) if self.is_lost() => {
                        return Err(self.loss(operation));
                    }
                    _ => return Err(error),
                }
            }
        })
    }

    /// Has the kernel limit the silence if all that was written is under way.
    pub(super) fn written(&self, peer: &Peer) {
        let _ = peer.with_descriptor(|socket| {
            self.choose_user_timeout(socket);
            Ok(())
        });
    }

    /// Returns `true` if the other host is known to be lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// What to say of it.
    pub(super) fn loss(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::ConnectionLost, operation, "")
            .because(format!(
                "the other host has not answered for {:?}: it is down, or the network to it is",
                self.limit
            ))
            .with_hint("connect again; `Address::lost_after` sets the time")
    }

    fn choose_user_timeout(&self, socket: BorrowedFd<'_>) {
        let on = procession_sys::socket::unsent(socket).is_ok_and(|bytes| bytes == 0);
        if self.user_timeout.get() != Some(on) {
            let limit = if on { self.limit.as_millis() as u32 } else { 0 };
            if sockopt::set_tcp_user_timeout(socket, limit).is_ok() {
                self.user_timeout.set(Some(on));
            }
        }
    }

    fn has_found_loss(&self, socket: BorrowedFd<'_>) -> bool {
        self.choose_user_timeout(socket);
        let Ok(silence) = procession_sys::socket::silence(socket) else {
            return false;
        };
        let now = Instant::now();
        // An answer since the last look is a new start.
        let owed_since = self.owed_since.get().filter(|&since| {
            let looking = now.saturating_duration_since(since);
            silence.owes_answer && silence.since >= looking.saturating_sub(SLICE / 10)
        });
        self.owed_since
            .set(owed_since.or(silence.owes_answer.then_some(now)));
        let is_lost =
            owed_since.is_some_and(|since| now.saturating_duration_since(since) >= self.limit);
        if is_lost {
            self.lost.store(true, Ordering::Relaxed);
        }
        is_lost
    }
}

/// `TCP_USER_TIMEOUT` of a socket whose owner waits for it in a loop of its own.
#[derive(Debug)]
pub(crate) struct UserTimeout {
    limit: Duration,
    is_on: Option<bool>,
}

impl UserTimeout {
    pub(crate) fn new(limit: Duration) -> UserTimeout {
        let limit = limit.clamp(MIN, MAX);
        UserTimeout { limit, is_on: None }
    }

    /// Limits the silence if all that was written is under way. While something waits because the other side does not read,
    /// the kernel would take that for silence.
    pub(crate) fn written(&mut self, socket: BorrowedFd<'_>) {
        let on = procession_sys::socket::unsent(socket).is_ok_and(|bytes| bytes == 0);
        if self.is_on != Some(on) {
            let limit = if on { self.limit.as_millis() as u32 } else { 0 };
            if sockopt::set_tcp_user_timeout(socket, limit).is_ok() {
                self.is_on = Some(on);
            }
        }
    }
}

/// Has the kernel ask a silent host whether it is there.
pub(crate) fn keep_alive(socket: BorrowedFd<'_>, limit: Duration) -> procession_sys::Result<()> {
    let limit = limit.clamp(MIN, MAX);
    let second = Duration::from_secs(1);
    let idle = Duration::from_secs((limit / 2).as_secs()).max(second);
    let interval = Duration::from_secs(((limit - idle) / 3).as_secs()).max(second);
    let probes = (limit - idle).as_secs() / interval.as_secs();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_keepintvl(socket, interval)?;
    sockopt::set_tcp_keepcnt(socket, probes.max(1) as u32)?;
    sockopt::set_tcp_user_timeout(socket, limit.as_millis() as u32)
}

/// Returns `true` if the kernel says with this that the other host does not answer.
pub(crate) fn says_loss(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::NETRESET
            | Errno::CONNABORTED
    )
}
