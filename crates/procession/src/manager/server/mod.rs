//! The manager's process: one thread that has all objects and all connections.
//!
//! It sleeps in epoll(7) until a client has something to say, a client's process has ended, or somebody
//! connects. What a call leads to, answers to other clients included, is sent in the same turn.

mod accepting;
#[cfg(feature = "network")]
mod handshake;
mod hearing;
mod hosting;
#[cfg(feature = "network")]
mod link;
mod listener;
mod replies;
mod requests;
mod rings;
mod session;
mod settings;
mod table;

pub(super) use listener::Listener;
pub(super) use settings::Settings;

use super::frame::Kind;
use super::local::Rings;
use super::objects::{Replies, SessionId, Workers};
use crate::error::Context;
use crate::{Deadline, Result, spin};
use rustix::event::epoll::{self, EventData, EventFlags};
use session::{Progress, Session};
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use table::Table;

/// What epoll says of a listener: this bit, and which one it is.
const LISTENER: u64 = 1 << 63;

/// Calls that threads have answered.
const WORKERS: u64 = u64::MAX;

/// What epoll says of a session: its number, and which of its descriptors.
fn of_socket(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 2)
}

const PROCESS: u64 = 1;

fn of_process(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 2 | PROCESS)
}

const DOORBELL: u64 = 2;

fn of_doorbell(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 2 | DOORBELL)
}

pub(super) struct Server {
    settings: Settings,
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    sessions: HashMap<SessionId, Session>,
    /// Sessions that have not proved yet that they may be clients, oldest first, and until when they may.
    handshakes: VecDeque<(Deadline, SessionId)>,
    /// Those that were sent away.
    refused: u64,
    latest_session: u64,
    latest_ticket: u64,
    table: Table,
    /// The threads that run methods of users' objects, if there are such objects.
    workers: Option<Workers>,
    replies: Replies,
    /// Sessions with something to send.
    touched: Vec<SessionId>,
    /// Sessions that take nothing any more.
    closed: Vec<SessionId>,
    /// Sessions that end with this turn.
    ended: Vec<SessionId>,
    /// Sessions with frames that were not heard, because nothing was read of what was sent to them.
    resumed: Vec<SessionId>,
    /// Sessions with rings that were used lately, which are looked at before the server sleeps.
    lively: Vec<(SessionId, Arc<Rings>)>,
    /// The last look at them was for a while.
    has_looked: bool,
    /// How many sessions have rings.
    offered: usize,
    /// When the last of those that do not read are left, once somebody has asked for the end.
    ending: Option<Deadline>,
    /// Until when the listeners are left alone: there were no descriptors for another client.
    deaf_until: Option<Deadline>,
}

impl Server {
    pub(super) fn new(listeners: Vec<Listener>, settings: Settings) -> Result<Server> {
        let operation = "starting manager";
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).during(operation, "")?;
        for (data, listener) in (LISTENER..).zip(&listeners) {
            let data = EventData::new_u64(data);
            epoll::add(&epoll, listener, data, EventFlags::IN).during(operation, "")?;
        }
        Ok(Server {
            settings,
            epoll,
            listeners,
            sessions: HashMap::new(),
            handshakes: VecDeque::new(),
            refused: 0,
            latest_session: 0,
            latest_ticket: 0,
            table: Table::default(),
            workers: None,
            replies: Replies::default(),
            touched: Vec::new(),
            closed: Vec::new(),
            ended: Vec::new(),
            resumed: Vec::new(),
            lively: Vec::new(),
            has_looked: false,
            offered: 0,
            ending: None,
            deaf_until: None,
        })
    }

    /// Serves until somebody asks for the end.
    pub(super) fn run(mut self) -> Result<()> {
        let outcome = self.serve();
        self.leave();
        outcome
    }

    fn serve(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let is_over = |server: &Server| {
            let passed = server.ending.is_some_and(Deadline::has_passed);
            passed || server.ending.is_some() && server.sessions.is_empty()
        };
        while !is_over(self) {
            events.clear();
            let was_lively = !self.lively.is_empty();
            let may_sleep = self.serve_rings();
            let since = (was_lively && may_sleep && self.has_looked).then(Instant::now);
            let expiry = self.table.next_expiry().map(Deadline::at);
            let resumes = (!self.resumed.is_empty()).then_some(Deadline::NOW);
            let looks = (!may_sleep).then_some(Deadline::NOW);
            let handshakes = self.next_handshake();
            let wakes = [
                self.ending,
                self.deaf_until,
                expiry,
                resumes,
                looks,
                handshakes,
            ];
            let wake = wakes.into_iter().flatten().reduce(Deadline::min);
            let left = wake.unwrap_or(Deadline::NEVER).timespec();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome.during("waiting for clients of manager", "")?,
            };
            if let Some(since) = since {
                spin::slept(since.elapsed(), true);
            }
            self.table.expire(Instant::now());
            self.end_handshakes();
            if self.deaf_until.is_some_and(Deadline::has_passed) {
                self.listen_again();
            }
            for id in std::mem::take(&mut self.resumed) {
                self.work(id, false);
                self.enliven(id);
                self.settle();
            }
            for event in &events {
                self.handle(event.data.u64(), event.flags);
                self.settle();
            }
        }
        Ok(())
    }

    fn handle(&mut self, data: u64, flags: EventFlags) {
        if data == WORKERS {
            return self.take_answers();
        }
        if data & LISTENER != 0 {
            return self.accept((data & !LISTENER) as usize);
        }
        let id = SessionId(data >> 2);
        let uses_rings = self.rings_of(id).is_some();
        match data & 3 {
            PROCESS => return self.hear_last(id),
            DOORBELL => {
                // There may be room for what is to be sent, too.
                self.flush(id);
                return self.enliven(id);
            }
            _ if uses_rings && !flags.contains(EventFlags::OUT) => {
                let session = self.sessions.get_mut(&id);
                if session.is_some_and(Session::has_closed) {
                    self.hear_last(id);
                }
                return;
            }
            _ => {}
        }
        if flags.contains(EventFlags::OUT) {
            self.flush(id);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.hear(id, false);
        }
    }

    /// Sends what the turn has led to, and ends the sessions that are over, which may lead to more.
    fn settle(&mut self) {
        loop {
            self.give_replies();
            while let Some(id) = self.touched.pop() {
                self.flush(id);
            }
            if let Some(id) = self.closed.pop() {
                // What it had said before it ended counts.
                self.hear_last(id);
            } else if let Some(id) = self.ended.pop() {
                self.remove_session(id);
            } else if self.ending.is_none() || !self.say_goodbye() {
                return;
            }
        }
    }

    /// Sends what there is room for.
    fn flush(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let was_heard = session.is_heard();
        if let Progress::Ended = session.write() {
            return self.closed.push(id);
        }
        let (has, is_heard) = (session.has_outgoing(), session.is_heard());
        if session.is_ending && !has {
            return self.end_session(id);
        }
        if is_heard && !was_heard {
            self.resumed.push(id);
        }
        let mut flags = EventFlags::empty();
        // What uses its rings says by its socket that it has ended, and nothing else.
        flags.set(EventFlags::IN, is_heard || session.rings().is_some());
        flags.set(EventFlags::OUT, has && session.awaits_socket());
        if session.wanted != flags
            && epoll::modify(&self.epoll, &*session, of_socket(id), flags).is_ok()
        {
            session.wanted = flags;
        }
    }

    fn end_session(&mut self, id: SessionId) {
        let session = self.sessions.get_mut(&id);
        if session.is_some_and(|session| !std::mem::replace(&mut session.has_ended, true)) {
            self.ended.push(id);
        }
    }

    fn remove_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &session);
        if let Some(process) = session.process() {
            let _ = epoll::delete(&self.epoll, process);
        }
        if session.is_offered() {
            self.take_back(id, &session);
        }
        drop(session);
        if self.forget_handshake(id) {
            self.refused += 1;
        }
        self.table.end_session(id, &mut self.replies);
    }

    /// Tells all that nothing follows, and takes their sessions to an end; returns `true` if
    /// there was one to tell.
    fn say_goodbye(&mut self) -> bool {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        let mut told = false;
        for id in ids {
            if let Some(session) = self.sessions.get_mut(&id)
                && !session.is_ending
            {
                if !session.is_proved() {
                    session.is_ending = true;
                    self.end_session(id);
                    told = true;
                    continue;
                }
                session.is_ending = true;
                session.say(Kind::Goodbye, &[]);
                self.flush(id);
                told = true;
            }
        }
        told
    }
}
