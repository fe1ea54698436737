//! One client of a server: its socket, what came of it and what is to be sent to it.

#[cfg(feature = "network")]
use super::handshake::Handshake;
#[cfg(feature = "network")]
use super::link::Link;
use crate::manager::frame::{self, Incoming, Kind};
use crate::manager::local::{self, Rings};
use crate::manager::reply::{Refusal, Reply};
use rustix::event::epoll::EventFlags;
use rustix::net::SendFlags;
use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A client that does not read has so many bytes of replies; until it reads them, nothing more of
/// it is heard.
const MAX_UNREAD: usize = 1 << 20;

pub(super) struct Session {
    socket: UnixStream,
    /// Encrypts, over the network.
    #[cfg(feature = "network")]
    link: Option<Link>,
    /// The process at the other end: a forked child may keep the socket of one that has ended.
    process: Option<OwnedFd>,
    pub(super) incoming: Incoming,
    outgoing: Vec<u8>,
    sent: usize,
    /// What the socket still has to take before the ring takes the rest.
    before: Vec<u8>,
    /// The rings that it was offered.
    local: Option<Local>,
    /// Its ring is looked at before the server sleeps.
    pub(super) is_lively: bool,
    /// Calls that were not answered yet, with their objects.
    pub(super) calls: HashMap<u64, u64>,
    pub(super) is_greeted: bool,
    /// It has been told that nothing follows.
    pub(super) is_ending: bool,
    /// Nobody is there any more to be answered.
    pub(super) is_over: bool,
    /// It is among those that are removed: nothing of it is heard.
    pub(super) has_ended: bool,
    /// Bytes that came.
    pub(super) heard: u64,
    /// What epoll reports of its socket.
    pub(super) wanted: EventFlags,
}

/// Rings of a client, and whether it uses them.
struct Local {
    incoming: local::Incoming,
    outgoing: local::Outgoing,
    is_used: bool,
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
            #[cfg(feature = "network")]
            link: None,
            process,
            incoming: Incoming::default(),
            outgoing: Vec::new(),
            sent: 0,
            before: Vec::new(),
            local: None,
            is_lively: false,
            calls: HashMap::new(),
            is_greeted: false,
            is_ending: false,
            is_over: false,
            has_ended: false,
            heard: 0,
            wanted: EventFlags::IN,
        }
    }

    /// One over the network, which has not proved yet that it may be a client.
    #[cfg(feature = "network")]
    pub(super) fn unproved(socket: UnixStream, handshake: Handshake) -> Session {
        let mut session = Session::new(socket, None);
        session.link = Some(Link::Unproved(handshake));
        session
    }

    /// Returns `true` if the other end has proved that it may be a client.
    #[cfg(feature = "network")]
    pub(super) fn is_proved(&self) -> bool {
        self.link.as_ref().is_none_or(Link::is_proved)
    }

    #[cfg(not(feature = "network"))]
    #[expect(clippy::unused_self, reason = "the network has more to say")]
    pub(super) fn is_proved(&self) -> bool {
        true
    }

    /// Bytes that are encrypted and were not sent.
    #[cfg(feature = "network")]
    fn unsent(&self) -> usize {
        self.link.as_ref().map_or(0, Link::unsent)
    }

    #[cfg(not(feature = "network"))]
    #[expect(clippy::unused_self, reason = "the network has more to say")]
    fn unsent(&self) -> usize {
        0
    }

    /// Returns `true` if it is on this machine.
    #[cfg(feature = "network")]
    pub(super) fn is_local(&self) -> bool {
        self.link.is_none()
    }

    #[cfg(not(feature = "network"))]
    #[expect(clippy::unused_self, reason = "the network has more to say")]
    pub(super) fn is_local(&self) -> bool {
        true
    }

    pub(super) fn process(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().map(AsFd::as_fd)
    }

    /// Returns `true` if more of it is to be heard.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_ending && self.outgoing.len() - self.sent + self.unsent() < MAX_UNREAD
    }

    /// Returns `true` if something waits to be sent.
    pub(super) fn has_outgoing(&self) -> bool {
        self.sent < self.outgoing.len() || !self.before.is_empty() || self.unsent() > 0
    }

    /// Returns `true` if epoll has to tell when there is room in the socket.
    pub(super) fn awaits_socket(&self) -> bool {
        self.rings().is_none() || !self.before.is_empty()
    }

    /// The rings that it uses.
    pub(super) fn rings(&self) -> Option<&Arc<Rings>> {
        let local = self.local.as_ref().filter(|local| local.is_used)?;
        Some(local.incoming.rings())
    }

    /// Keeps the rings that it is offered.
    pub(super) fn offer(&mut self, rings: &Arc<Rings>) {
        let (incoming, outgoing) = local::ends(rings);
        self.local = Some(Local {
            incoming,
            outgoing,
            is_used: false,
        });
    }

    /// Has what it says from now on come by the rings that it was offered, and what it is told go by them. Returns
    /// `false` if it was offered none, or does so already.
    pub(super) fn use_rings(&mut self) -> bool {
        let Some(local) = self.local.as_mut().filter(|local| !local.is_used) else {
            return false;
        };
        local.is_used = true;
        self.say(Kind::Rings, &[]);
        self.before = std::mem::take(&mut self.outgoing);
        self.before.drain(..std::mem::take(&mut self.sent));
        true
    }

    /// The doorbell of the rings that it was offered.
    pub(super) fn doorbell(&self) -> Option<BorrowedFd<'_>> {
        self.local
            .as_ref()
            .map(|local| local.incoming.rings().doorbell())
    }

    /// Returns `true` if it was offered rings.
    pub(super) fn is_offered(&self) -> bool {
        self.local.is_some()
    }

    /// Returns `true` if a client that uses its rings has closed its socket, or says something by it.
    pub(super) fn has_closed(&mut self) -> bool {
        let read = rustix::io::read(&self.socket, &mut [0]);
        read.is_ok() || read.is_err_and(|errno| matches!(waits(&errno.into()), Progress::Ended))
    }

    pub(super) fn read(&mut self) -> Progress {
        #[cfg(feature = "network")]
        if let Some(link) = &mut self.link {
            let outcome = link.read(self.socket.as_fd(), &mut self.incoming);
            return self.progress(outcome);
        }
        let socket = &mut self.socket;
        let outcome = match self.local.as_mut().filter(|local| local.is_used) {
            Some(local) => self.incoming.read(|buffer| local.incoming.read(buffer)),
            None => self.incoming.read(|buffer| socket.read(buffer)),
        };
        self.progress(outcome)
    }

    fn progress(&mut self, outcome: std::io::Result<usize>) -> Progress {
        match outcome {
            Ok(0) => Progress::Ended,
            Ok(count) => {
                self.heard += count as u64;
                Progress::Some
            }
            Err(error) => waits(&error),
        }
    }

    /// How many bytes there may be that were not heard yet. More may come at any time, of a forked copy of the client.
    pub(super) fn unheard(&self) -> u64 {
        let socket = rustix::io::ioctl_fionread(&self.socket).unwrap_or(0);
        let ring = self.local.as_ref().map_or(0, |_| local::ROOM);
        socket + ring as u64
    }

    fn write_some(&mut self) -> std::io::Result<usize> {
        let rest = &self.outgoing[self.sent..];
        match self.local.as_mut().filter(|local| local.is_used) {
            Some(local) => match local.outgoing.write(rest)? {
                0 => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            },
            None => Ok(rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL)?),
        }
    }

    pub(super) fn write(&mut self) -> Progress {
        #[cfg(feature = "network")]
        if let Some(link) = &mut self.link {
            return match link.write(self.socket.as_fd(), &self.outgoing[self.sent..]) {
                Ok(count) => {
                    self.sent += count;
                    if self.sent == self.outgoing.len() {
                        self.sent = 0;
                        self.outgoing.clear();
                        self.outgoing.shrink_to(KEPT);
                    }
                    self.forget_sent();
                    Progress::Some
                }
                Err(error) => waits(&error),
            };
        }
        while !self.before.is_empty() {
            match rustix::net::send(&self.socket, &self.before, SendFlags::NOSIGNAL) {
                Ok(count) if count == self.before.len() => self.before = Vec::new(),
                Ok(count) => drop(self.before.drain(..count)),
                Err(errno) => return waits(&errno.into()),
            }
        }
        while self.sent < self.outgoing.len() {
            match self.write_some() {
                Ok(count) => self.sent += count,
                Err(error) => {
                    self.forget_sent();
                    return waits(&error);
                }
            }
        }
        self.sent = 0;
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT);
        Progress::Some
    }

    /// A client that always has something under way never has been sent all.
    fn forget_sent(&mut self) {
        if self.sent >= KEPT && self.sent >= self.outgoing.len() / 2 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
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
        if self.is_over {
            return;
        }
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
