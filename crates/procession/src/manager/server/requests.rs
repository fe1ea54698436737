//! What clients ask for: calls of objects, and of the manager itself.

use super::Server;
use crate::manager::blob;
use crate::manager::frame::{Frame, Kind, NO_WAIT, PROTOCOL};
use crate::manager::objects::{Caller, SessionId};
use crate::manager::reply::{Refusal, Reply};
use crate::manager::root::{self, ROOT};
use crate::{Deadline, Error, ErrorKind, Result};
use std::time::Duration;

/// What all versions begin with.
const FAMILY: &[u8] = b"procman";

/// Calls of one client that wait.
const MAX_WAITING: usize = 100_000;

/// How long clients have to read that the server ends.
const FAREWELL: Duration = Duration::from_secs(1);

impl Server {
    /// Does what a frame asks for.
    ///
    /// # Errors
    /// The client does not keep to the protocol.
    pub(super) fn obey(&mut self, id: SessionId, frame: &Frame<'_>) -> Result<bool> {
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(false);
        };
        let corrupt = || Error::new(ErrorKind::Corrupt, "serving client of manager", "");
        match frame.kind {
            Kind::Hello if !session.is_greeted && frame.body.starts_with(FAMILY) => {
                let welcome = [&PROTOCOL[..], &self.settings.number.to_le_bytes()].concat();
                session.say(Kind::Welcome, &welcome);
                session.is_greeted = frame.body == PROTOCOL;
                // One of another version learns which one this is.
                session.is_ending = !session.is_greeted;
                self.flush(id);
            }
            _ if !session.is_greeted => return Err(corrupt()),
            Kind::Call | Kind::Tell => {
                let (object, rest) = frame.body.split_first_chunk().ok_or_else(corrupt)?;
                let (thread, request) = rest.split_first_chunk().ok_or_else(corrupt)?;
                let object = u64::from_le_bytes(*object);
                let call = (frame.kind == Kind::Call).then_some(frame.call);
                if let Some(call) = call
                    && session.calls.insert(call, object).is_some()
                {
                    return Err(corrupt());
                }
                let is_full = session.calls.len() > MAX_WAITING;
                let caller = Caller {
                    session: id,
                    thread: u64::from_le_bytes(*thread),
                    call,
                    is_try: frame.flags & NO_WAIT != 0,
                };
                if is_full {
                    let why = format!("{MAX_WAITING} calls of this process wait already");
                    self.replies.refuse(caller, ErrorKind::LimitReached, why);
                    return Ok(true);
                }
                match object {
                    ROOT => self.call_root(caller, request)?,
                    _ => self.table.call(object, caller, request, &mut self.replies),
                }
            }
            Kind::Cancel => {
                if let Some(&object) = session.calls.get(&frame.call)
                    && (self.table).cancel(object, id, frame.call, &mut self.replies)
                {
                    session.answer(frame.call, &Reply::NotYet);
                    self.flush(id);
                }
            }
            Kind::Goodbye => {
                self.end_session(id);
                return Ok(false);
            }
            Kind::Rings if !session.is_local() => return Err(corrupt()),
            Kind::Rings if !session.is_offered() => self.offer_rings(id),
            Kind::Rings => {
                if !session.use_rings() {
                    return Err(corrupt());
                }
                self.flush(id);
                self.enliven(id);
            }
            Kind::Hello | Kind::Welcome | Kind::Reply => return Err(corrupt()),
        }
        Ok(true)
    }

    fn call_root(&mut self, caller: Caller, request: &[u8]) -> Result<()> {
        use root::Request;
        let id = caller.session;
        let reply = match blob::decode(request)? {
            Request::Create(shape, initial) => reply(self.table.create(id, shape, initial)),
            Request::Get(name, shape) => reply(self.table.get(id, &name, &shape)),
            Request::Register(name, object) => reply(self.table.register(name, object)),
            Request::Unregister(name) => Reply::of(&self.table.unregister(&name)),
            Request::Names => Reply::of(&self.table.names()),
            Request::Retain(object) => reply(self.table.retain(id, object)),
            Request::Release(object, count) => {
                self.table.release(id, object, count, &mut self.replies);
                Reply::of(&())
            }
            Request::Lend(object) => {
                self.latest_ticket += 1;
                reply(self.table.lend(id, object, self.latest_ticket))
            }
            Request::Adopt(object, ticket) => reply(self.table.adopt(id, object, ticket)),
            Request::Stats => {
                let clients = self.sessions.len() - self.handshakes.len();
                Reply::of(&self.table.stats(clients, self.refused))
            }
            Request::Shutdown => {
                self.ending.get_or_insert(Deadline::after(FAREWELL));
                Reply::of(&())
            }
        };
        self.replies.push(caller, reply);
        Ok(())
    }
}

fn reply<T: serde::Serialize>(outcome: std::result::Result<T, Refusal>) -> Reply {
    match outcome {
        Ok(value) => Reply::of(&value),
        Err(refusal) => Reply::Refused(refusal),
    }
}
