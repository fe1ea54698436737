//! A process's connection to a manager, which all its proxies and threads share.
//!
//! A thread that waits for a reply reads for all: it hands the others their replies, and leaves the
//! reading to one of them when it has its own. So a single caller is woken by the kernel and by no
//! other thread.

mod calls;
mod outgoing;

use super::frame::{self, Kind, NO_WAIT};
use super::reply::Reply;
use super::server::PROTOCOL;
use super::value;
use crate::error::Context;
use crate::os::socket::peer_credentials;
use crate::process_token;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use calls::{Calls, Turn};
use outgoing::Outgoing;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a manager may take to answer that a call is cancelled, or to read what is sent to it, after the
/// caller's time has passed. Then the connection is given up, and all that was granted with it.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait for the first answer.
const GREETING: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Connection {
    socket: UnixStream,
    /// Which server it is: another one at the same address has another number.
    pub(super) server: u64,
    /// The process that connected: a forked child has a connection of its own.
    process: u64,
    outgoing: Mutex<Outgoing>,
    calls: Mutex<Calls>,
}

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
    pub(super) fn new(socket: UnixStream) -> Result<Connection> {
        let operation = "connecting to manager";
        let peer = peer_credentials(&socket)?;
        let us = rustix::process::geteuid().as_raw();
        if peer.uid != us {
            return Err(
                Error::new(ErrorKind::Untrusted, operation, "").because(format!(
                    "it is a process of user {}, not of user {us}",
                    peer.uid
                )),
            );
        }
        socket.set_nonblocking(true).during(operation, "")?;
        let mut connection = Connection {
            socket,
            server: 0,
            process: process_token::current(),
            outgoing: Mutex::default(),
            calls: Mutex::default(),
        };
        let deadline = Deadline::after(GREETING);
        let hello = |out: &mut Vec<u8>| {
            frame::append(out, Kind::Hello, 0, 0, |body| {
                body.extend_from_slice(PROTOCOL);
                Ok(())
            })
        };
        connection.send(hello, deadline)?;
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
            Reply::Done(bytes) => value::decode(&bytes).map_err(|error| error.about(target.name)),
            Reply::NotYet => Err(Error::new(
                deadline.error_kind(),
                target.operation,
                target.name,
            )),
            Reply::Refused(refusal) => Err(refusal.into_error(target.operation, target.name)),
        }
    }

    /// Tells an object something, and waits for nothing.
    pub(super) fn tell<Q: Serialize>(&self, object: u64, request: &Q) -> Result<()> {
        let write = |out: &mut Vec<u8>| append_call(out, Kind::Tell, 0, 0, object, request);
        lock(&self.outgoing).send_now(&self.socket, write)
    }

    fn exchange<Q: Serialize>(
        &self,
        target: &Target<'_>,
        request: &Q,
        deadline: Deadline,
    ) -> Result<Reply> {
        let about = |error: Error| error.about(target.name);
        let call = lock(&self.calls).begin().map_err(about)?;
        let flags = if deadline == Deadline::NOW {
            NO_WAIT
        } else {
            0
        };
        let write =
            |out: &mut Vec<u8>| append_call(out, Kind::Call, flags, call, target.object, request);
        if let Err(error) = self.send(write, deadline) {
            lock(&self.calls).forget(call);
            return Err(about(error));
        }
        self.wait_for(call, deadline).map_err(about)
    }

    fn wait_for(&self, call: u64, deadline: Deadline) -> Result<Reply> {
        // Whoever only tries waits for the answer that it would have to wait.
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
                    calls.stop_reading(call);
                    match outcome {
                        // The answer may have come with the end.
                        Err(error) if !error.is_timeout() => calls.fail(error),
                        _ => {}
                    }
                }
                Turn::Wait => match until.remaining() {
                    None => std::thread::park(),
                    Some(left) => std::thread::park_timeout(left),
                },
            }
            if !until.has_passed() {
                continue;
            }
            if is_cancelled {
                let failure = Error::new(ErrorKind::ConnectionLost, "calling manager", "")
                    .because(format!("it has not answered for {GRACE:?}"));
                self.give_up(&failure);
                return Err(failure);
            }
            is_cancelled = true;
            until = Deadline::after(GRACE);
            let cancel = |out: &mut Vec<u8>| frame::append(out, Kind::Cancel, 0, call, |_| Ok(()));
            self.send(cancel, until)?;
        }
    }

    /// Sends a frame, or nothing of it.
    fn send(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
        deadline: Deadline,
    ) -> Result<()> {
        let patience = match deadline.remaining() {
            None => Deadline::NEVER,
            Some(left) => Deadline::after(left.saturating_add(GRACE)),
        };
        let outcome = lock(&self.outgoing).send(&self.socket, write, patience);
        match outcome {
            Err(error) if error.is_timeout() => {
                let failure = Error::new(ErrorKind::ConnectionLost, "calling manager", "")
                    .because(format!("it has not read for {GRACE:?}"));
                self.give_up(&failure);
                Err(failure)
            }
            // What is broken for writing may still have the reason to read.
            Err(error) if error.kind() == ErrorKind::Disconnected => {
                while self.read_once(Deadline::NOW).is_ok() {}
                Err(lock(&self.calls).failure().unwrap_or(error))
            }
            outcome => outcome,
        }
    }

    /// Reads once, and gives out what came.
    fn read_once(&self, deadline: Deadline) -> Result<()> {
        let operation = "calling manager";
        poll::readable(&self.socket, deadline)?;
        let mut calls = lock(&self.calls);
        let outcome = calls.incoming().read(|buffer| (&self.socket).read(buffer));
        match outcome {
            Ok(0) => calls.fail(
                Error::new(ErrorKind::ProcessDied, operation, "")
                    .because("the manager's process has ended"),
            ),
            Ok(_) => calls.take_in(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => calls.fail(
                Error::new(ErrorKind::ProcessDied, operation, "")
                    .because("the manager's process has ended"),
            ),
            Err(error) => {
                let failed: std::io::Result<()> = Err(error);
                if let Err(error) = failed.during(operation, "") {
                    calls.fail(error);
                }
            }
        }
        calls.failure().map_or(Ok(()), Err)
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
            let goodbye = |out: &mut Vec<u8>| frame::append(out, Kind::Goodbye, 0, 0, |_| Ok(()));
            let _ = lock(&self.outgoing).send_now(&self.socket, goodbye);
        }
    }
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
        value::encode_into(request, body)
    })
}
