//! What clients say is read and done.

use super::Server;
use super::session::Progress;
use crate::manager::objects::SessionId;

impl Server {
    /// Hears what a client says: what one read gives, and then it is the next one's turn. Returns `true` if
    /// there may be more. If it `is_over`, its replies do not matter any more.
    pub(super) fn hear(&mut self, id: SessionId, is_over: bool) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else {
            return false;
        };
        if session.has_ended || !session.is_heard() && !session.is_ending && !is_over {
            return false;
        }
        let was_proved = session.is_proved();
        let progress = session.read();
        if !was_proved && session.is_proved() {
            self.forget_handshake(id);
        }
        if let Progress::Some = progress {
            self.work(id, is_over);
            return true;
        }
        if let Progress::Ended = progress {
            // What was not heard while it did not read.
            if let Some(session) = self.sessions.get_mut(&id) {
                session.is_over = true;
            }
            self.work(id, true);
            self.end_session(id);
        }
        false
    }

    /// Hears what a client had said before it ended, which counts, and ends its session.
    pub(super) fn hear_last(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.has_ended {
            return;
        }
        session.is_over = true;
        // A forked copy of it may go on for ever.
        let until = session.heard.saturating_add(session.unheard());
        // What came while it did not read.
        self.work(id, true);
        let is_left = |server: &Server| {
            let session = server.sessions.get(&id);
            session.is_some_and(|session| session.heard < until)
        };
        while is_left(self) && self.hear(id, true) {}
        self.end_session(id);
    }

    /// Does what the frames of a client ask for, as long as it reads the replies.
    pub(super) fn work(&mut self, id: SessionId, is_over: bool) {
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
}
