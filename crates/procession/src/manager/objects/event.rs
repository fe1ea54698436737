//! The server's side of an event.

use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::Result;
use crate::manager::blob::decode;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    Set,
    Clear,
    /// `bool`
    IsSet,
    /// Answered when it is set.
    Wait,
}

#[derive(Debug, Default)]
pub(in crate::manager) struct Event {
    is_set: bool,
    waiting: Waiting<()>,
}

impl Object for Event {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Set => {
                self.is_set = true;
                for (waiting, ()) in self.waiting.drain() {
                    replies.done(waiting, &());
                }
                replies.done(caller, &());
            }
            Request::Clear => {
                self.is_set = false;
                replies.done(caller, &());
            }
            Request::IsSet => replies.done(caller, &self.is_set),
            Request::Wait if self.is_set => replies.done(caller, &()),
            Request::Wait => self.waiting.push(caller, (), replies),
        }
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        self.waiting.cancel(session, call)
    }

    fn end_session(&mut self, session: SessionId, _replies: &mut Replies) {
        self.waiting.end_session(session);
    }
}
