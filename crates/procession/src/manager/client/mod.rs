//! A process's connection to a manager, which all its proxies and threads share.
//!
//! A thread that waits for a reply reads for all: it hands the others their replies, and leaves the
//! reading to one of them when it has its own. So a single caller is woken by the kernel and by no
//! other thread.

mod calls;
mod failure;
mod outgoing;
mod reading;
mod stream;
mod writing;

pub(super) use stream::Stream;

use super::blob;
use super::frame::PROTOCOL;
use super::frame::{self, Kind, NO_WAIT};
use super::local::Rings;
use super::reply::Reply;
use crate::error::Context;
use crate::process_token;
use crate::{Deadline, Error, ErrorKind, Result};
use calls::{Calls, Turn};
use outgoing::Outgoing;
use rustix::event::{EventfdFlags, eventfd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long a manager may take to answer that a call is cancelled, or to read what is sent to it, after the
/// caller's time has passed. Then the connection is given up, and all that was granted with it.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait until the manager accepts a connection, and then for its first answer.
pub(super) const GREETING: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Connection {
    /// A Unix socket, or a TCP socket, which is used alike.
    socket: UnixStream,
    is_remote: bool,
    /// Which server it is: another one at the same address has another number.
    pub(super) server: u64,
    /// The process that connected: a forked child has a connection of its own.
    process: u64,
    outgoing: Mutex<Outgoing>,
    /// There was no room for something that is to be sent.
    has_unsent: AtomicBool,
    /// An eventfd(2) that wakes the thread that waits at the socket.
    interruption: OwnedFd,
    calls: Mutex<Calls>,
    /// Set once, when replies begin to come by them.
    rings: OnceLock<Arc<Rings>>,
}

/// A connection with so many calls asks for shared memory. Those that are hardly used do without, and save the memory.
const CALLS_BEFORE_RINGS: u64 = 32;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number for this thread that no other thread of the process has.
fn thread_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LATEST: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    let number = NUMBER.try_with(Cell::get).unwrap_or(0);
    if number != 0 {
        return number;
    }
    let number = LATEST.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = NUMBER.try_with(|kept| kept.set(number));
    number
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Result<Connection> {
        let operation = "connecting to manager";
        #[cfg_attr(not(feature = "network"), expect(unused_mut))]
        let (mut outgoing, mut calls) = (Outgoing::default(), Calls::default());
        let (socket, is_remote) = match stream {
            Stream::Plain(socket) => {
                stream::check_user(&socket)?;
                (socket, false)
            }
            #[cfg(feature = "network")]
            Stream::Sealed(socket, sealer, opener) => {
                outgoing.sealer = Some(sealer);
                calls.opener = Some(opener);
                (socket, true)
            }
        };
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true).during(operation, "")?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let interruption = eventfd(0, flags).during(operation, "")?;
        let mut connection = Connection {
            socket,
            is_remote,
            server: 0,
            process: process_token::current(),
            outgoing: Mutex::new(outgoing),
            has_unsent: AtomicBool::new(false),
            interruption,
            calls: Mutex::new(calls),
            rings: OnceLock::new(),
        };
        let deadline = Deadline::after(GREETING);
        connection.send(&plain(Kind::Hello, 0, PROTOCOL), deadline)?;
        connection.server = loop {
            let mut calls = lock(&connection.calls);
            if let Some(server) = calls.welcome()? {
                break server;
            }
            drop(calls);
            connection.read_once(deadline)?;
        };
        Ok(connection)
    }

    /// Returns `true` if it works, and is this process's.
    pub(super) fn is_usable(&self) -> bool {
        self.is_ours() && lock(&self.calls).failure().is_none()
    }

    pub(super) fn is_ours(&self) -> bool {
        self.process == process_token::current()
    }

    /// Calls an object, and waits for the result.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), [`WouldBlock`](ErrorKind::WouldBlock): it was not done;
    /// what the object says; the manager has ended.
    pub(super) fn call<Q: Serialize, R: DeserializeOwned>(
        &self,
        target: Target<'_>,
        request: &Q,
        deadline: Deadline,
    ) -> Result<R> {
        let reply = self.exchange(&target, request, deadline)?;
        match reply {
            Reply::Done(bytes) => blob::decode(&bytes).map_err(|error| error.about(target.name)),
            Reply::NotYet => Err(Error::new(
                deadline.error_kind(),
                target.operation,
                target.name,
            )),
            Reply::Refused(refusal) => Err(refusal.into_error(target.operation, target.name)),
        }
    }

    /// Tells an object something that is not answered. Returns when the kernel has it, so that
    /// the end of this process takes nothing of it back.
    ///
    /// # Errors
    /// The manager has ended, or has read nothing for [`GRACE`]; the connection has ended then,
    /// and all that was granted with it.
    pub(super) fn tell<Q: Serialize>(&self, object: u64, request: &Q) -> Result<()> {
        if let Some(failure) = lock(&self.calls).failure() {
            return Err(failure);
        }
        let mut frame = Vec::new();
        append_call(&mut frame, Kind::Tell, 0, 0, object, request)?;
        self.send(&frame, Deadline::after(GRACE))
    }

    fn exchange<Q: Serialize>(
        &self,
        target: &Target<'_>,
        request: &Q,
        deadline: Deadline,
    ) -> Result<Reply> {
        let about = |error: Error| error.about(target.name);
        let call = lock(&self.calls).begin().map_err(about)?;
        if call == CALLS_BEFORE_RINGS && !self.is_remote {
            lock(&self.calls).ask_for_rings();
            self.send(&plain(Kind::Rings, 0, &[]), with_grace(deadline))?;
        }
        let flags = if deadline == Deadline::NOW {
            NO_WAIT
        } else {
            0
        };
        let mut frame = Vec::new();
        let outcome = append_call(&mut frame, Kind::Call, flags, call, target.object, request);
        let outcome = outcome.and_then(|()| self.send(&frame, with_grace(deadline)));
        drop(frame);
        let outcome = outcome.and_then(|()| self.wait_for(call, deadline));
        if outcome.is_err() {
            lock(&self.calls).forget(call);
        }
        outcome.map_err(about)
    }

    fn wait_for(&self, call: u64, deadline: Deadline) -> Result<Reply> {
        // A call that only tries waits for the answer that it would have to wait.
        let mut until = match deadline == Deadline::NOW {
            true => Deadline::after(GRACE),
            false => deadline,
        };
        let mut is_cancelled = deadline == Deadline::NOW;
        loop {
            let turn = lock(&self.calls).turn(call)?;
            match turn {
                Turn::Answered(reply) => return Ok(reply),
                Turn::Read => {
                    let outcome = self.read_once(until);
                    let mut calls = lock(&self.calls);
                    match outcome {
                        // The answer may have come with the end.
                        Err(error) if !error.is_timeout() => calls.fail(error),
                        _ => {}
                    }
                    calls.stop_reading(call, until.has_passed());
                }
                Turn::Wait => match until.remaining() {
                    None => std::thread::park(),
                    Some(left) => std::thread::park_timeout(left),
                },
            }
            if !until.has_passed() {
                continue;
            }
            if let Some(reply) = lock(&self.calls).answer(call) {
                return Ok(reply);
            }
            if is_cancelled {
                let failure = Error::new(ErrorKind::ConnectionLost, "calling manager", "")
                    .because(format!("it has not answered for {GRACE:?}"));
                self.give_up(&failure);
                return Err(failure);
            }
            is_cancelled = true;
            until = Deadline::after(GRACE);
            self.send(&plain(Kind::Cancel, call, &[]), until)?;
        }
    }

    /// Sends a frame. While there is no room for it, reads for all: the manager may be waiting
    /// until its replies are read.
    fn send(&self, frame: &[u8], deadline: Deadline) -> Result<()> {
        let pushed = {
            let mut outgoing = lock(&self.outgoing);
            let others_wait = outgoing.has_unsent();
            let end = outgoing.push(&self.socket, frame);
            let end = end.map(|end| (end, outgoing.has_written(end)));
            drop(outgoing);
            if others_wait {
                // What they want to send may have gone with it.
                lock(&self.calls).wake_writers();
            }
            end
        };
        let mut outcome = match pushed {
            Ok((_, true)) => Ok(()),
            Ok((end, false)) => self.write_up_to(end, deadline),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            let failure = match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                    Error::new(ErrorKind::ConnectionLost, "calling manager", "")
                        .because(format!("it has not read for {GRACE:?}"))
                }
                _ => error.clone(),
            };
            // What is broken for writing may still have the reason to read.
            while self.read_once(Deadline::NOW).is_ok() {}
            self.give_up(&failure);
            outcome = Err(lock(&self.calls).failure().unwrap_or(failure));
        }
        outcome
    }

    /// Ends the session: the manager takes back what was granted.
    fn give_up(&self, failure: &Error) {
        lock(&self.calls).fail(failure.clone());
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_ours() {
            // All that was told is in the kernel's hands; this is a courtesy.
            let _ = lock(&self.outgoing).push(&self.socket, &plain(Kind::Goodbye, 0, &[]));
        }
    }
}

/// A frame with a short body.
fn plain(kind: Kind, call: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let written = frame::append(&mut out, kind, 0, call, |out| {
        out.extend_from_slice(body);
        Ok(())
    });
    debug_assert!(written.is_ok(), "a short frame");
    out
}

/// As long as a call may take to send: its own time, and what the manager may need to read.
fn with_grace(deadline: Deadline) -> Deadline {
    deadline.remaining().map_or(Deadline::NEVER, |left| {
        Deadline::after(left.saturating_add(GRACE))
    })
}

/// What is called, and how errors say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) object: u64,
    pub(super) operation: &'static str,
    pub(super) name: &'a str,
}

fn append_call<Q: Serialize>(
    out: &mut Vec<u8>,
    kind: Kind,
    flags: u8,
    call: u64,
    object: u64,
    request: &Q,
) -> Result<()> {
    frame::append(out, kind, flags, call, |body| {
        body.extend_from_slice(&object.to_le_bytes());
        body.extend_from_slice(&thread_number().to_le_bytes());
        blob::encode_into(request, body)
    })
}
