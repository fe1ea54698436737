//! Sessions by shared memory: which of them have rings, and when these are looked at.
//!
//! A client wakes the server by a doorbell in epoll, which costs both a system call. So a ring that was used is looked at again and
//! again, and its client rings only after the server has said that it sleeps. Sockets are looked at between.

use super::{Server, Session, of_doorbell};
use crate::manager::frame::Kind;
use crate::manager::local::{GRANTED, REFUSED, Rings};
use crate::manager::objects::SessionId;
use crate::os::descriptors;
use crate::{Deadline, Result, poll, spin};
use rustix::event::epoll::{self, EventFlags};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Sessions that may have rings: they take memory and descriptors.
const MOST: usize = 1024;

/// Rounds over the rings between two looks at epoll.
const ROUNDS: usize = 16;

/// Looks at the rings between two looks at epoll, while nothing comes.
const LOOKS: u32 = 256;

impl Server {
    /// Offers rings to a client, or says that there are none.
    pub(super) fn offer_rings(&mut self, id: SessionId) {
        if let Ok(true) = self.try_offer(id) {
            self.offered += 1;
        } else if let Some(session) = self.sessions.get_mut(&id) {
            session.say(Kind::Rings, &[REFUSED]);
            self.flush(id);
        }
    }

    fn try_offer(&mut self, id: SessionId) -> Result<bool> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(false);
        };
        // The descriptors go with the bytes that they belong to.
        if self.offered >= MOST || session.has_outgoing() {
            return Ok(false);
        }
        let (rings, theirs) = Rings::create()?;
        let doorbell = EventFlags::IN | EventFlags::ET;
        if epoll::add(&self.epoll, rings.doorbell(), of_doorbell(id), doorbell).is_err() {
            return Ok(false);
        }
        let mut frame = Vec::new();
        crate::manager::frame::append(&mut frame, Kind::Rings, 0, 0, |out| {
            out.push(GRANTED);
            Ok(())
        })?;
        let theirs = theirs.each_ref().map(AsFd::as_fd);
        let sent = descriptors::send(&*session, &frame, &theirs, Deadline::NOW);
        let is_sent = sent.is_ok_and(|count| count == frame.len());
        match is_sent {
            true => session.offer(&rings),
            false => drop(epoll::delete(&self.epoll, rings.doorbell())),
        }
        rings.is_beside();
        Ok(is_sent)
    }

    pub(super) fn rings_of(&self, id: SessionId) -> Option<&Arc<Rings>> {
        self.sessions.get(&id)?.rings()
    }

    /// Looks at the rings of a session from now on, if it uses them.
    pub(super) fn enliven(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.is_lively
            && let Some(rings) = session.rings().map(Arc::clone)
        {
            session.is_lively = true;
            self.lively.push((id, rings));
        }
    }

    /// Takes back the rings of a session that has ended.
    pub(super) fn take_back(&mut self, id: SessionId, session: &Session) {
        self.offered -= 1;
        if session.is_lively {
            self.lively.retain(|(lively, _)| *lively != id);
        }
        if let Some(doorbell) = session.doorbell() {
            let _ = epoll::delete(&self.epoll, doorbell);
        }
    }

    /// Serves the rings that were used lately, and looks at them for a while. Returns `true` if all are quiet: their
    /// clients ring.
    pub(super) fn serve_rings(&mut self) -> bool {
        for _ in 0..ROUNDS {
            if !self.serve_each() {
                return self.lively.is_empty() || !self.look() && self.rest();
            }
        }
        false
    }

    /// Hears each of the rings once; returns `true` if one had something to say.
    fn serve_each(&mut self) -> bool {
        let (mut any, mut next) = (false, 0);
        // Sessions may come and go meanwhile: who is passed over has its turn in the next round.
        while let Some((id, _)) = self.lively.get(next) {
            let id = *id;
            next += 1;
            if self.hear(id, false) {
                any = true;
            } else if let Some(session) = self.sessions.get_mut(&id)
                && !session.is_heard()
            {
                // It is heard again when it has read what was sent to it.
                session.is_lively = false;
                self.lively.retain(|(lively, _)| *lively != id);
                next -= 1;
            }
            self.settle();
        }
        any
    }

    /// Looks for a while. Returns `true` if there is something to do.
    fn look(&mut self) -> bool {
        // All are told where the server runs.
        let mut is_of_use = false;
        for (_, rings) in &self.lively {
            is_of_use |= rings.is_beside();
        }
        self.has_looked = is_of_use;
        let mut looks = 0;
        is_of_use
            && spin::look_beside(|| {
                looks += 1;
                self.lively
                    .iter()
                    .any(|(_, rings)| rings.incoming().has_bytes())
                    || looks % LOOKS == 0 && poll::readable(&self.epoll, Deadline::NOW).is_ok()
            })
    }

    /// Has the clients ring from now on. Returns `false` if one has said something meanwhile.
    fn rest(&mut self) -> bool {
        let mut is_quiet = true;
        for (_, rings) in &self.lively {
            is_quiet &= !rings.incoming().announce();
        }
        if !is_quiet {
            for (_, rings) in &self.lively {
                rings.incoming().wake();
            }
            return false;
        }
        for (id, _) in self.lively.drain(..) {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.is_lively = false;
            }
        }
        true
    }
}
