//! The server's side of a lock with a value.

use super::condition::{self, Why};
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
    /// The value is in order again: the holder says so, or, without a token, any caller.
    ClearPoison { token: Option<u64> },
    /// Gives the lock back, as `Unlock`, and goes on at a condition variable; [`Woken`].
    Wait {
        token: u64,
        value: Option<Blob>,
        condvar: u64,
        /// The number of this object, to which the condition variable sends the caller back.
        mutex: u64,
    },
    /// Takes the lock after a wait; [`Woken`].
    LockAgain(Why),
    /// The holder has repaired what a dead one left.
    MarkConsistent { token: u64 },
}

/// The end of a wait at a condition variable.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Woken {
    pub(in crate::manager) why: Why,
    /// `None`: the caller gave up while it waited for the lock, and has to ask for it.
    pub(in crate::manager) granted: Option<Granted>,
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
    /// It is not enough to see it: a holder has to say that all is well.
    remembers_deaths: bool,
    poisoned: bool,
    holder: Option<Holder>,
    latest_token: u64,
    /// Callers that come from a condition variable want to know why.
    waiting: Waiting<Option<Why>>,
}

impl Mutex {
    pub(super) fn new(value: Blob) -> Mutex {
        Mutex {
            value,
            owner_died: false,
            remembers_deaths: false,
            poisoned: false,
            holder: None,
            latest_token: 0,
            waiting: Waiting::default(),
        }
    }

    /// One that its thread can take several times, without asking again.
    pub(super) fn reentrant(value: Blob) -> Mutex {
        Mutex {
            remembers_deaths: true,
            ..Mutex::new(value)
        }
    }

    fn take(&mut self, caller: Caller, why: Option<Why>, replies: &mut Replies) {
        match &self.holder {
            None => self.grant(caller, why, replies),
            Some(holder) if (holder.session, holder.thread) == (caller.session, caller.thread) => {
                let cause = "the calling thread holds it already";
                replies.refuse(caller, ErrorKind::Deadlock, cause);
            }
            Some(_) => self.waiting.push(caller, why, replies),
        }
    }

    fn grant(&mut self, caller: Caller, why: Option<Why>, replies: &mut Replies) {
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
        match why {
            None => replies.done(caller, &granted),
            Some(why) => {
                let granted = Some(granted);
                replies.done(caller, &Woken { why, granted });
            }
        }
    }

    fn free(&mut self, replies: &mut Replies) {
        self.holder = None;
        if let Some((next, why)) = self.waiting.pop() {
            self.grant(next, why, replies);
        }
    }

    /// Takes the lock back with what the holder has made of the value.
    fn take_back(&mut self, value: Option<Blob>) {
        if let Some(value) = value {
            self.value = value;
        }
        // Seen, and given back.
        self.owner_died &= self.remembers_deaths;
    }

    fn is_held_by(&self, session: SessionId, token: u64) -> bool {
        let holder = self.holder.as_ref();
        holder.is_some_and(|holder| (holder.session, holder.token) == (session, token))
    }
}

impl Object for Mutex {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Lock => self.take(caller, None, replies),
            Request::LockAgain(why) => self.take(caller, Some(why), replies),
            Request::Unlock {
                token,
                value,
                poison,
            } => {
                if !self.is_held_by(caller.session, token) {
                    replies.refuse(caller, ErrorKind::OwnerDead, "another holder came after");
                    return Ok(());
                }
                self.take_back(value);
                self.poisoned |= poison;
                replies.done(caller, &());
                self.free(replies);
            }
            Request::Wait {
                token,
                value,
                condvar,
                mutex,
            } => {
                if !self.is_held_by(caller.session, token) {
                    replies.refuse(caller, ErrorKind::OwnerDead, "another holder came after");
                    return Ok(());
                }
                self.take_back(value);
                // It waits before anybody else has the lock, so that it misses no notification.
                replies.go_on(caller, condvar, &condition::Request::Wait { mutex });
                self.free(replies);
            }
            Request::MarkConsistent { token } => {
                if self.is_held_by(caller.session, token) {
                    self.owner_died = false;
                }
                replies.done(caller, &());
            }
            Request::ClearPoison { token } => {
                if token.is_none_or(|token| self.is_held_by(caller.session, token)) {
                    self.poisoned = false;
                }
                replies.done(caller, &());
            }
        }
        Ok(())
    }

    fn cancel_among(&mut self, session: SessionId, call: u64, replies: &mut Replies) -> bool {
        match self.waiting.remove(session, call) {
            None => false,
            Some((_, None)) => true,
            // It was notified, which is not to be lost: it is told so, and asks for the lock.
            Some((caller, Some(why))) => {
                let granted = None;
                replies.done(caller, &Woken { why, granted });
                false
            }
        }
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
