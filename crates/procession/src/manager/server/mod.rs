//! The manager's process: one thread that has all objects and all connections.
//!
//! It sleeps in epoll(7) until a client has something to say, a client's process has ended, or somebody
//! connects. What a call leads to, answers to other clients included, is sent in the same turn.

mod requests;
mod session;
mod table;

pub(super) use requests::PROTOCOL;

use super::frame::Kind;
use super::objects::{Replies, SessionId};
use crate::error::Context;
use crate::os::socket::peer_credentials;
use crate::{Deadline, Result};
use rustix::event::epoll::{self, EventData, EventFlags};
use session::{Progress, Session};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use table::Table;

/// Clients at once, unless the descriptors are fewer.
const MAX_SESSIONS: usize = 100_000;

const LISTENER: u64 = 0;

/// What epoll says of a session: its number, and which of its two descriptors.
fn of_socket(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 1)
}

fn of_process(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 1 | 1)
}

pub(super) struct Server {
    number: u64,
    epoll: OwnedFd,
    listener: UnixListener,
    sessions: HashMap<SessionId, Session>,
    latest_session: u64,
    latest_ticket: u64,
    table: Table,
    replies: Replies,
    /// When the last of those that do not read are left, once somebody has asked for the end.
    ending: Option<Deadline>,
    /// The listener is left alone: there were no descriptors for another client.
    is_deaf: bool,
}

impl Server {
    pub(super) fn new(listener: UnixListener, number: u64) -> Result<Server> {
        let operation = "starting manager";
        listener.set_nonblocking(true).during(operation, "")?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).during(operation, "")?;
        let data = EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, data, EventFlags::IN).during(operation, "")?;
        Ok(Server {
            number,
            epoll,
            listener,
            sessions: HashMap::new(),
            latest_session: 0,
            latest_ticket: 0,
            table: Table::default(),
            replies: Replies::default(),
            ending: None,
            is_deaf: false,
        })
    }

    /// Serves until somebody asks for the end.
    pub(super) fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let is_over = |server: &Server| {
            let passed = server.ending.is_some_and(Deadline::has_passed);
            passed || server.ending.is_some() && server.sessions.is_empty()
        };
        while !is_over(&self) {
            events.clear();
            let wake = match (self.ending, self.table.next_expiry()) {
                (Some(ending), Some(expiry)) => ending.min(Deadline::at(expiry)),
                (Some(ending), None) => ending,
                (None, Some(expiry)) => Deadline::at(expiry),
                (None, None) => Deadline::NEVER,
            };
            let left = wake.timespec();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome.during("waiting for clients of manager", "")?,
            };
            self.table.expire(std::time::Instant::now());
            for event in &events {
                self.handle(event.data.u64(), event.flags);
            }
        }
        Ok(())
    }

    fn handle(&mut self, data: u64, flags: EventFlags) {
        if data == LISTENER {
            return self.accept();
        }
        let id = SessionId(data >> 1);
        if data & 1 == 1 {
            return self.end_session(id);
        }
        if flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.hear(id);
        }
        self.send_replies();
        if self.ending.is_some() {
            self.say_goodbye();
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => self.begin_session(socket),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // No descriptors: until a client goes, nobody is accepted.
                    if error.kind() != std::io::ErrorKind::WouldBlock && !self.sessions.is_empty() {
                        self.be_deaf(true);
                    }
                    return;
                }
            }
        }
    }

    fn be_deaf(&mut self, deaf: bool) {
        if self.is_deaf != deaf {
            let flags = match deaf {
                true => EventFlags::empty(),
                false => EventFlags::IN,
            };
            let data = EventData::new_u64(LISTENER);
            if epoll::modify(&self.epoll, &self.listener, data, flags).is_ok() {
                self.is_deaf = deaf;
            }
        }
    }

    fn begin_session(&mut self, socket: UnixStream) {
        let Ok(peer) = peer_credentials(&socket) else {
            return;
        };
        let is_ours = peer.uid == rustix::process::geteuid().as_raw();
        if !is_ours || self.ending.is_some() || self.sessions.len() >= MAX_SESSIONS {
            return;
        }
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        let process = rustix::process::Pid::from_raw(peer.pid).and_then(|pid| {
            rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
        });
        self.latest_session += 1;
        let id = SessionId(self.latest_session);
        let session = Session::new(socket, process);
        if epoll::add(&self.epoll, &session, of_socket(id), EventFlags::IN).is_err() {
            return;
        }
        if let Some(process) = session.process() {
            let _ = epoll::add(&self.epoll, process, of_process(id), EventFlags::IN);
        }
        self.sessions.insert(id, session);
    }

    /// Hears what a client says: what one read gives, and then it is the next one's turn.
    fn hear(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.is_heard() && !session.is_ending {
            return;
        }
        match session.read() {
            Progress::Some => {}
            Progress::Nothing => return,
            Progress::Ended => return self.end_session(id),
        }
        loop {
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            let mut incoming = std::mem::take(&mut session.incoming);
            let outcome = match incoming.next() {
                Ok(Some(frame)) => self.obey(id, &frame),
                Ok(None) => Ok(false),
                Err(error) => Err(error),
            };
            if let Some(session) = self.sessions.get_mut(&id) {
                session.incoming = incoming;
            }
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                // Nobody speaks so whom we could answer.
                Err(_) => return self.end_session(id),
            }
        }
    }

    /// Gives answers to those that wait for them.
    fn send_replies(&mut self) {
        let replies = std::mem::take(&mut self.replies.0);
        let mut touched = Vec::new();
        for (caller, reply) in replies {
            if let (Some(session), Some(call)) =
                (self.sessions.get_mut(&caller.session), caller.call)
            {
                session.answer(call, &reply);
                touched.push(caller.session);
            }
        }
        touched.dedup();
        for id in touched {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let had = session.has_outgoing();
        if let Progress::Ended = session.write() {
            return self.end_session(id);
        }
        let (has, is_heard) = (session.has_outgoing(), session.is_heard());
        if session.is_ending && !has {
            return self.end_session(id);
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, is_heard);
        flags.set(EventFlags::OUT, has);
        if has || had {
            let _ = epoll::modify(&self.epoll, &*session, of_socket(id), flags);
        }
    }

    fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &session);
        if let Some(process) = session.process() {
            let _ = epoll::delete(&self.epoll, process);
        }
        drop(session);
        self.table.end_session(id, &mut self.replies);
        self.be_deaf(false);
        self.send_replies();
    }

    /// Tells all that nothing follows, and takes their sessions to an end.
    fn say_goodbye(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            if let Some(session) = self.sessions.get_mut(&id)
                && !session.is_ending
            {
                session.is_ending = true;
                session.say(Kind::Goodbye, &[]);
            }
            self.flush(id);
        }
    }
}
