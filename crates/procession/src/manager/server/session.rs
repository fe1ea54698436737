//! One client of a server: its socket, what came of it and what is to be sent to it.

use crate::manager::frame::{self, Incoming, Kind};
use crate::manager::reply::{Refusal, Reply};
use rustix::event::epoll::EventFlags;
use rustix::net::SendFlags;
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A client that does not read has so many bytes of replies; until it reads them, nothing more of
/// it is heard.
const MAX_UNREAD: usize = 1 << 20;

pub(super) struct Session {
    socket: UnixStream,
    /// The process at the other end: a forked child may keep the socket of one that has ended.
    process: Option<OwnedFd>,
    pub(super) incoming: Incoming,
    outgoing: Vec<u8>,
    sent: usize,
    /// Calls that were not answered yet, with their objects.
    pub(super) calls: HashMap<u64, u64>,
    pub(super) is_greeted: bool,
    /// It has been told that nothing follows.
    pub(super) is_ending: bool,
    /// What epoll reports of its socket.
    pub(super) wanted: EventFlags,
}

/// How far a read or a write came.
pub(super) enum Progress {
    Some,
    Nothing,
    Ended,
}

/// More than this is given back.
const KEPT: usize = 1 << 16;

impl Session {
    pub(super) fn new(socket: UnixStream, process: Option<OwnedFd>) -> Session {
        Session {
            socket,
            process,
            incoming: Incoming::default(),
            outgoing: Vec::new(),
            sent: 0,
            calls: HashMap::new(),
            is_greeted: false,
            is_ending: false,
            wanted: EventFlags::IN,
        }
    }

    pub(super) fn process(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(AsFd::as_fd)
    }

    /// Returns `true` if more of it is to be heard.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_ending && self.outgoing.len() - self.sent < MAX_UNREAD
    }

    /// Returns `true` if something waits to be sent.
    pub(super) fn has_outgoing(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    pub(super) fn read(&mut self) -> Progress {
        let socket = &mut self.socket;
        match self.incoming.read(|buffer| socket.read(buffer)) {
            Ok(0) => Progress::Ended,
            Ok(_) => Progress::Some,
            Err(error) => waits(&error),
        }
    }

    pub(super) fn write(&mut self) -> Progress {
        while self.has_outgoing() {
            let rest = &self.outgoing[self.sent..];
            match rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(errno) => {
                    // A client that always has something under way never has sent all.
                    if self.sent >= KEPT && self.sent >= self.outgoing.len() / 2 {
                        self.outgoing.drain(..self.sent);
                        self.sent = 0;
                    }
                    return waits(&errno.into());
                }
            }
        }
        self.sent = 0;
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT);
        Progress::Some
    }

    pub(super) fn say(&mut self, kind: Kind, body: &[u8]) {
        let written = frame::append(&mut self.outgoing, kind, 0, 0, |out| {
            out.extend_from_slice(body);
            Ok(())
        });
        debug_assert!(written.is_ok(), "a short frame");
    }

    pub(super) fn answer(&mut self, call: u64, reply: &Reply) {
        self.calls.remove(&call);
        let write = |out: &mut Vec<u8>| reply.write(out);
        if let Err(error) = frame::append(&mut self.outgoing, Kind::Reply, 0, call, write) {
            let refusal = Refusal::new(error.kind(), error.to_string());
            let short = Reply::Refused(refusal);
            let write = |out: &mut Vec<u8>| short.write(out);
            let written = frame::append(&mut self.outgoing, Kind::Reply, 0, call, write);
            debug_assert!(written.is_ok(), "a short frame");
        }
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn waits(error: &std::io::Error) -> Progress {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Progress::Nothing,
        _ => Progress::Ended,
    }
}
