//! The manager's process: one thread that has all objects and all connections.
//!
//! It sleeps in epoll(7) until a client has something to say, a client's process has ended, or somebody
//! connects. What a call leads to, answers to other clients included, is sent in the same turn.

mod accepting;
mod hosting;
mod listener;
mod replies;
mod requests;
mod session;
mod settings;
mod table;

pub(super) use listener::Listener;
pub(super) use requests::PROTOCOL;
pub(super) use settings::Settings;

use super::frame::Kind;
use super::objects::{Replies, SessionId, Workers};
use crate::error::Context;
use crate::{Deadline, Result};
use rustix::event::epoll::{self, EventData, EventFlags};
use session::{Progress, Session};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use table::Table;

/// What epoll says of a listener: this bit, and which one it is.
const LISTENER: u64 = 1 << 63;

/// Calls that threads have answered.
const WORKERS: u64 = u64::MAX;

/// What epoll says of a session: its number, and which of its two descriptors.
fn of_socket(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 1)
}

fn of_process(id: SessionId) -> EventData {
    EventData::new_u64(id.0 << 1 | 1)
}

pub(super) struct Server {
    settings: Settings,
    epoll: OwnedFd,
    listeners: Vec<Listener>,
    sessions: HashMap<SessionId, Session>,
    latest_session: u64,
    latest_ticket: u64,
    table: Table,
    /// The threads that run methods of users' objects, if there are such objects.
    workers: Option<Workers>,
    replies: Replies,
    /// Sessions with something to send.
    touched: Vec<SessionId>,
    /// Sessions that end with this turn.
    ended: Vec<SessionId>,
    /// Sessions with frames that were not heard, because nothing was read of what was sent to them.
    resumed: Vec<SessionId>,
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
            latest_session: 0,
            latest_ticket: 0,
            table: Table::default(),
            workers: None,
            replies: Replies::default(),
            touched: Vec::new(),
            ended: Vec::new(),
            resumed: Vec::new(),
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
            let expiry = self.table.next_expiry().map(Deadline::at);
            let resumes = (!self.resumed.is_empty()).then_some(Deadline::NOW);
            let wakes = [self.ending, self.deaf_until, expiry, resumes];
            let wake = wakes.into_iter().flatten().reduce(Deadline::min);
            let left = wake.unwrap_or(Deadline::NEVER).timespec();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome.during("waiting for clients of manager", "")?,
            };
            self.table.expire(std::time::Instant::now());
            if self.deaf_until.is_some_and(Deadline::has_passed) {
                self.listen_again();
            }
            for id in std::mem::take(&mut self.resumed) {
                self.work(id, false);
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
        let id = SessionId(data >> 1);
        if data & 1 == 1 {
            // What it had said before it ended counts.
            while self.hear(id, true) {}
            return self.end_session(id);
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
            if let Some(id) = self.ended.pop() {
                self.remove_session(id);
            } else if self.ending.is_none() || !self.say_goodbye() {
                return;
            }
        }
    }

    /// Hears what a client says: what one read gives, and then it is the next one's turn. Returns `true` if
    /// there may be more. If it `is_over`, its replies do not matter any more.
    fn hear(&mut self, id: SessionId, is_over: bool) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        if !session.is_heard() && !session.is_ending && !is_over {
            return false;
        }
        let progress = session.read();
        if let Progress::Some = progress {
            self.work(id, is_over);
            return true;
        }
        if let Progress::Ended = progress {
            // What was not heard while it did not read.
            self.work(id, true);
            self.end_session(id);
        }
        false
    }

    /// Does what the frames of a client ask for, as long as it reads the replies.
    fn work(&mut self, id: SessionId, is_over: bool) {
        loop {
            self.give_replies();
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            if !session.is_heard() && !is_over {
                return;
            }
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
                // Nobody that we could answer speaks so.
                Err(_) => return self.end_session(id),
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
            return self.end_session(id);
        }
        let (has, is_heard) = (session.has_outgoing(), session.is_heard());
        if session.is_ending && !has {
            return self.end_session(id);
        }
        if is_heard && !was_heard {
            self.resumed.push(id);
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, is_heard);
        flags.set(EventFlags::OUT, has);
        if session.wanted != flags
            && epoll::modify(&self.epoll, &*session, of_socket(id), flags).is_ok()
        {
            session.wanted = flags;
        }
    }

    fn end_session(&mut self, id: SessionId) {
        self.ended.push(id);
    }

    fn remove_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &session);
        if let Some(process) = session.process() {
            let _ = epoll::delete(&self.epoll, process);
        }
        drop(session);
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
                session.is_ending = true;
                session.say(Kind::Goodbye, &[]);
                self.flush(id);
                told = true;
            }
        }
        told
    }
}
