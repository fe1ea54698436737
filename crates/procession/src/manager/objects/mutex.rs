//! The server's side of a lock with a value.

use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::manager::blob::{Blob, decode};
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// [`Granted`], when nobody holds it.
    Lock,
    /// Gives it back, with a new value if it has changed, of the grant with this token.
    Unlock {
        token: u64,
        value: Option<Blob>,
        /// The holder panicked.
        poison: bool,
    },
    /// The value is in order again.
    ClearPoison { token: u64 },
}

/// What the caller that takes the lock is told.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Granted {
    /// Grows with each grant, so that a later holder has the larger one.
    pub(in crate::manager) token: u64,
    pub(in crate::manager) value: Blob,
    pub(in crate::manager) state: State,
}

/// What state the value is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::manager) enum State {
    Whole,
    /// The session of the last holder ended while it held the lock.
    OwnerDied,
    /// A thread panicked while it held the lock.
    Poisoned,
}

#[derive(Debug)]
struct Holder {
    session: SessionId,
    thread: u64,
    token: u64,
}

#[derive(Debug)]
pub(in crate::manager) struct Mutex {
    value: Blob,
    /// The session of the last holder ended while it held the lock, and nobody has seen it yet.
    owner_died: bool,
    poisoned: bool,
    holder: Option<Holder>,
    latest_token: u64,
    waiting: Waiting<()>,
}

impl Mutex {
    pub(super) fn new(value: Blob) -> Mutex {
        Mutex {
            value,
            owner_died: false,
            poisoned: false,
            holder: None,
            latest_token: 0,
            waiting: Waiting::default(),
        }
    }

    fn grant(&mut self, caller: Caller, replies: &mut Replies) {
        self.latest_token += 1;
        self.holder = Some(Holder {
            session: caller.session,
            thread: caller.thread,
            token: self.latest_token,
        });
        let granted = Granted {
            token: self.latest_token,
            value: self.value.clone(),
            state: match (self.owner_died, self.poisoned) {
                (true, _) => State::OwnerDied,
                (false, true) => State::Poisoned,
                (false, false) => State::Whole,
            },
        };
        replies.done(caller, &granted);
    }

    fn free(&mut self, replies: &mut Replies) {
        self.holder = None;
        if let Some((next, ())) = self.waiting.pop() {
            self.grant(next, replies);
        }
    }

    fn is_held_by(&self, session: SessionId, token: u64) -> bool {
        let holder = self.holder.as_ref();
        holder.is_some_and(|holder| (holder.session, holder.token) == (session, token))
    }
}

impl Object for Mutex {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Lock => match &self.holder {
                None => self.grant(caller, replies),
                Some(holder)
                    if (holder.session, holder.thread) == (caller.session, caller.thread) =>
                {
                    replies.refuse(
                        caller,
                        ErrorKind::Deadlock,
                        "the calling thread holds it already",
                    );
                }
                Some(_) => self.waiting.push(caller, (), replies),
            },
            Request::Unlock {
                token,
                value,
                poison,
            } => {
                if !self.is_held_by(caller.session, token) {
                    replies.refuse(caller, ErrorKind::OwnerDead, "another holder came after");
                    return Ok(());
                }
                if let Some(value) = value {
                    self.value = value;
                }
                self.poisoned |= poison;
                // Seen, and given back.
                self.owner_died = false;
                replies.done(caller, &());
                self.free(replies);
            }
            Request::ClearPoison { token } => {
                if self.is_held_by(caller.session, token) {
                    self.poisoned = false;
                }
                replies.done(caller, &());
            }
        }
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        self.waiting.cancel(session, call)
    }

    fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        self.waiting.end_session(session);
        if let Some(holder) = &self.holder
            && holder.session == session
        {
            self.owner_died = true;
            self.free(replies);
        }
    }
}
