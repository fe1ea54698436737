//! Calls that wait for their replies, and which thread reads for all.

use crate::manager::frame::PROTOCOL;
use crate::manager::frame::{Incoming, Kind};
use crate::manager::local::{self, DESCRIPTORS, GRANTED, Rings};
use crate::manager::reply::Reply;
use crate::{Error, ErrorKind, Result};
use rustix::net::RecvFlags;
use std::collections::HashMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::Thread;

#[cfg(feature = "network")]
use crate::manager::sealed::Opener;

#[derive(Debug)]
struct Waiting {
    thread: Thread,
    reply: Option<Reply>,
    /// It sleeps until another thread wakes it.
    is_parked: bool,
    /// It waits for room.
    is_writer: bool,
}

/// How bytes come from the manager.
#[derive(Debug, Default)]
enum Link {
    #[default]
    Socket,
    /// By the socket; rings were asked for, or are there.
    Asked(Vec<OwnedFd>),
    Offered(local::Incoming),
    Rings(local::Incoming),
}

/// What a thread that waits for a reply is to do.
#[derive(Debug)]
pub(super) enum Turn {
    Answered(Reply),
    /// It is the reader now, until it says [`stop_reading`](Calls::stop_reading).
    Read,
    /// Another one reads, and wakes it.
    Wait,
}

fn other_version(version: &[u8; 8]) -> Error {
    let (theirs, ours) = (version.escape_ascii(), PROTOCOL.escape_ascii());
    Error::new(ErrorKind::Incompatible, "connecting to manager", "")
        .because(format!("it speaks `{theirs}`, and this process `{ours}`"))
        .with_hint("build both programs with the same version of this library")
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    latest: u64,
    waiting: HashMap<u64, Waiting>,
    /// The call whose thread reads.
    reader: Option<u64>,
    incoming: Incoming,
    link: Link,
    /// Decrypts, over the network.
    #[cfg(feature = "network")]
    pub(super) opener: Option<Opener>,
    /// Threads that have their replies, and are to be woken.
    woken: Vec<Thread>,
    /// The ring to the manager, until somebody writes by it.
    offered: Option<local::Outgoing>,
    server: Option<u64>,
    failure: Option<Error>,
}

impl Calls {
    /// Gives a call a number, which no other call of the connection has.
    pub(super) fn begin(&mut self) -> Result<u64> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.latest += 1;
        let waiting = Waiting {
            thread: std::thread::current(),
            reply: None,
            is_parked: false,
            is_writer: false,
        };
        self.waiting.insert(self.latest, waiting);
        Ok(self.latest)
    }

    /// Forgets a call that has failed.
    pub(super) fn forget(&mut self, call: u64) {
        self.waiting.remove(&call);
        self.stop_reading(call, true);
        self.pass_on();
    }

    /// The reply of a call, if it has come.
    pub(super) fn answer(&mut self, call: u64) -> Option<Reply> {
        let reply = self.waiting.get_mut(&call)?.reply.take()?;
        self.waiting.remove(&call);
        Some(reply)
    }

    /// # Errors
    /// The connection has failed.
    pub(super) fn turn(&mut self, call: u64) -> Result<Turn> {
        if let Some(reply) = self.answer(call) {
            return Ok(Turn::Answered(reply));
        }
        if let Some(failure) = self.failure() {
            self.waiting.remove(&call);
            return Err(failure);
        }
        let reads = self.reader.is_none();
        if reads {
            self.reader = Some(call);
        }
        if let Some(waiting) = self.waiting.get_mut(&call) {
            waiting.is_parked = !reads;
        }
        Ok(match reads {
            true => Turn::Read,
            false => Turn::Wait,
        })
    }

    /// The thread of the call does not read any more. If it will not come back (`leaves`), or has its
    /// reply, another one that waits reads.
    pub(super) fn stop_reading(&mut self, call: u64, leaves: bool) {
        if self.reader != Some(call) {
            return;
        }
        self.reader = None;
        let is_answered = |waiting: &Waiting| waiting.reply.is_some();
        if leaves || self.waiting.get(&call).is_none_or(is_answered) {
            self.pass_on();
        }
    }

    /// Wakes a thread that can read, if no thread does. One that is not parked asks by itself.
    fn pass_on(&mut self) {
        let mut others = self.waiting.values_mut();
        if self.reader.is_none()
            && let Some(next) = others.find(|waiting| waiting.is_parked && waiting.reply.is_none())
        {
            next.is_parked = false;
            next.thread.unpark();
        }
    }

    /// Says that a call is none: its thread waits for room.
    pub(super) fn wait_for_room(&mut self, call: u64) {
        if let Some(waiting) = self.waiting.get_mut(&call) {
            waiting.is_writer = true;
        }
    }

    /// Wakes the threads that wait for room.
    pub(super) fn wake_writers(&mut self) {
        for waiting in self.waiting.values_mut().filter(|it| it.is_writer) {
            waiting.is_parked = false;
            waiting.thread.unpark();
        }
    }

    /// Reads once; an error of the kind `WouldBlock` if there is nothing.
    pub(super) fn read(&mut self, socket: &UnixStream) -> io::Result<usize> {
        #[cfg(feature = "network")]
        if let Some(opener) = &mut self.opener {
            return opener.read(socket, &mut self.incoming);
        }
        self.incoming.read(|buffer| match &mut self.link {
            Link::Rings(ring) => ring.read(buffer),
            Link::Asked(descriptors) => {
                let message =
                    procession_sys::socket::receive(socket.as_fd(), buffer, RecvFlags::empty())?;
                descriptors.extend(message.descriptors);
                Ok(message.length)
            }
            Link::Socket | Link::Offered(_) => (&*socket).read(buffer),
        })
    }

    /// Expects an answer to the question for rings.
    pub(super) fn ask_for_rings(&mut self) {
        self.link = Link::Asked(Vec::new());
    }

    /// Takes the threads that are to be woken.
    pub(super) fn take_woken(&mut self) -> Vec<Thread> {
        std::mem::take(&mut self.woken)
    }

    /// Takes the ring to the manager, once.
    pub(super) fn take_offered(&mut self) -> Option<local::Outgoing> {
        self.offered.take()
    }

    /// The rings, if replies come by them.
    pub(super) fn rings(&self) -> Option<&Arc<Rings>> {
        match &self.link {
            Link::Rings(ring) => Some(ring.rings()),
            _ => None,
        }
    }

    /// Learns of an offer of rings, or that what follows comes by them.
    fn hear_of_rings(&mut self, is_granted: bool) -> bool {
        self.link = match std::mem::take(&mut self.link) {
            Link::Asked(descriptors) => {
                let descriptors = <[OwnedFd; DESCRIPTORS]>::try_from(descriptors).ok();
                let descriptors = descriptors.filter(|_| is_granted);
                // Without room for them there is the socket.
                match descriptors.map(Rings::open) {
                    Some(Ok(rings)) => {
                        let (incoming, outgoing) = local::ends(&rings);
                        self.offered = Some(outgoing);
                        Link::Offered(incoming)
                    }
                    _ => Link::Socket,
                }
            }
            Link::Offered(incoming) => Link::Rings(incoming),
            Link::Socket | Link::Rings(_) => return false,
        };
        true
    }

    /// Gives out what has come.
    pub(super) fn take_in(&mut self) {
        loop {
            let (kind, call, reply) = match self.incoming.next() {
                Ok(None) => return,
                Err(error) => return self.fail(error),
                Ok(Some(frame)) => match frame.kind {
                    Kind::Reply => match Reply::read(frame.body) {
                        Ok(reply) => (Kind::Reply, frame.call, Some(reply)),
                        Err(error) => return self.fail(error),
                    },
                    Kind::Welcome => match frame.body.split_first_chunk() {
                        Some((version, number)) if version == PROTOCOL => {
                            self.server = number.try_into().map(u64::from_le_bytes).ok();
                            continue;
                        }
                        Some((version, _)) => {
                            let failure = other_version(version);
                            return self.fail(failure);
                        }
                        None => (frame.kind, frame.call, None),
                    },
                    Kind::Rings => {
                        let is_granted = frame.body == [GRANTED];
                        if self.hear_of_rings(is_granted) {
                            continue;
                        }
                        (Kind::Rings, 0, None)
                    }
                    kind => (kind, frame.call, None),
                },
            };
            match (kind, reply) {
                (Kind::Reply, Some(reply)) => {
                    if let Some(waiting) = self.waiting.get_mut(&call) {
                        waiting.reply = Some(reply);
                        // One that is not parked asks before it parks.
                        if std::mem::take(&mut waiting.is_parked) {
                            self.woken.push(waiting.thread.clone());
                        }
                    }
                }
                (Kind::Goodbye, _) => {
                    return self.fail(
                        Error::new(ErrorKind::Disconnected, "calling manager", "")
                            .because("the manager was shut down"),
                    );
                }
                _ => {
                    return self.fail(
                        Error::new(ErrorKind::Corrupt, "calling manager", "")
                            .because("it is no manager of this version"),
                    );
                }
            }
        }
    }

    /// The server that it is, once that is known.
    pub(super) fn welcome(&mut self) -> Result<Option<u64>> {
        match self.failure() {
            Some(failure) => Err(failure),
            None => Ok(self.server),
        }
    }

    /// Fails all calls, those of the future included.
    pub(super) fn fail(&mut self, failure: Error) {
        self.failure.get_or_insert(failure);
        for waiting in self.waiting.values() {
            waiting.thread.unpark();
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }
}
