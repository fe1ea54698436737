//! Connections on one machine: over a Unix socket, both sides see whose process
//! the other one is, and the listener sends an end of a channel in shared memory.

use super::packets::Kind;
use super::types::{TIME, Types, of_other_types};
use super::{Address, Endpoint, Options};
use crate::error::Context;
use crate::os::descriptors::receive_any;
use crate::os::socket::peer_credentials;
use crate::packet::{self, Mailbox};
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_sys::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

const MARK: [u8; 8] = *b"procchn2";

/// The mark, and what the side that connects sends and receives.
const HELLO: usize = MARK.len() + 16;

/// How long to leave a listener alone that has no room for another client that waits.
const PAUSE: Duration = Duration::from_millis(2);

/// Refuses another user's process.
fn check_user(socket: BorrowedFd<'_>) -> Result<()> {
    let them = peer_credentials(socket)?.uid;
    let us = rustix::process::geteuid().as_raw();
    if them == us {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Untrusted, "connecting", "")
        .because(format!("it is a process of user {them}, not of user {us}")))
}

pub(super) struct Pending(OwnedFd);

impl Pending {
    pub(super) fn new(socket: OwnedFd) -> Option<Pending> {
        check_user(socket.as_fd())
            .is_ok()
            .then_some(Pending(socket))
    }

    pub(super) fn progress<S: ?Sized, R: ?Sized>(
        &mut self,
        ours: &Types,
    ) -> Result<Option<Endpoint<S, R>>> {
        let operation = "accepting connection";
        let mut hello = [0; HELLO];
        let (length, _) = match receive_any(
            self.0.as_fd(),
            &mut hello,
            RecvFlags::empty(),
            Deadline::NOW,
            operation,
        ) {
            Err(error) if error.is_would_block() => return Ok(None),
            outcome => outcome?,
        };
        if length != HELLO || hello[..MARK.len()] != MARK {
            return Err(
                Error::new(ErrorKind::Corrupt, operation, "").because("it speaks another protocol")
            );
        }
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&hello[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let theirs = [number(8), number(16)];
        if [theirs[1], theirs[0]] != ours.numbers() {
            let answer = codec::encode(&ours.describe())?;
            let socket = self.0.as_fd();
            packet::send(socket, Kind::Refused, [0; 16], &answer, Deadline::NOW)?;
            return Err(Error::new(ErrorKind::Incompatible, operation, ""));
        }
        let (endpoint, theirs) = Options::new().duplex::<S, R>()?;
        let answer = codec::encode(&theirs)?;
        drop(theirs);
        let socket = self.0.as_fd();
        packet::send(socket, Kind::Accepted, [0; 16], &answer, Deadline::NOW)?;
        Ok(Some(endpoint))
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Connects to a path.
pub(super) fn connect<S: ?Sized, R: ?Sized>(
    types: &Types,
    path: &std::path::Path,
    address: &Address,
    deadline: Deadline,
) -> Result<Endpoint<S, R>> {
    let operation = "connecting";
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .during(operation, address)?;
    let peer = SocketAddrUnix::new(path).during(operation, address)?;
    loop {
        match rustix::net::connect(&socket, &peer) {
            Err(Errno::INTR) => {}
            // So many wait to be accepted that there is no room for another one.
            Err(Errno::AGAIN) => {
                if deadline.has_passed() {
                    return Err(Error::new(deadline.error_kind(), operation, address));
                }
                let pause = deadline.min(Deadline::after(PAUSE));
                crate::poll::wait(&mut [], pause)?;
            }
            outcome => break outcome.during(operation, address)?,
        }
    }
    check_user(socket.as_fd()).map_err(|error| error.about(address))?;
    let numbers = types.numbers();
    let mut hello = [0; HELLO];
    hello[..8].copy_from_slice(&MARK);
    hello[8..16].copy_from_slice(&numbers[0].to_le_bytes());
    hello[16..].copy_from_slice(&numbers[1].to_le_bytes());
    rustix::net::send(&socket, &hello, SendFlags::NOSIGNAL).during(operation, address)?;
    // From when it is accepted, the listener has this long; until then, there is
    // no bound but the caller's.
    let answer = Mailbox::new(socket).receive(deadline);
    let answer = answer.map_err(|error| error.about(address))?;
    let answer = answer.ok_or_else(|| {
        Error::new(ErrorKind::Disconnected, operation, address).because(format!(
            "it was refused, or the listener had no {TIME:?} for it"
        ))
    })?;
    match answer.kind {
        Kind::Accepted => codec::decode(&answer.body, answer.descriptors),
        Kind::Refused => {
            let theirs: String = codec::decode(&answer.body, answer.descriptors)?;
            Err(of_other_types(types, &theirs, address))
        }
        _ => Err(Error::new(ErrorKind::Corrupt, operation, address)),
    }
}
