//! What the server's side of an object is.

use crate::manager::reply::{Refusal, Reply};
use crate::{ErrorKind, Result};
use serde::Serialize;

/// A client's session: what was granted to it ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::manager) struct SessionId(pub(in crate::manager) u64);

/// A caller, which may be answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manager) struct Caller {
    pub(in crate::manager) session: SessionId,
    /// The thread of that session.
    pub(in crate::manager) thread: u64,
    /// `None`: no answer is wanted.
    pub(in crate::manager) call: Option<u64>,
    /// It is to be told that it would have to wait, instead of waiting.
    pub(in crate::manager) is_try: bool,
}

/// The answers that calls lead to.
#[derive(Debug, Default)]
pub(in crate::manager) struct Replies(pub(in crate::manager) Vec<(Caller, Reply)>);

impl Replies {
    pub(in crate::manager) fn done<T: Serialize>(&mut self, caller: Caller, value: &T) {
        self.push(caller, Reply::of(value));
    }

    pub(in crate::manager) fn push(&mut self, caller: Caller, reply: Reply) {
        if caller.call.is_some() {
            self.0.push((caller, reply));
        }
    }

    pub(in crate::manager) fn refuse(
        &mut self,
        caller: Caller,
        kind: ErrorKind,
        why: impl Into<String>,
    ) {
        self.push(caller, Reply::Refused(Refusal::new(kind, why)));
    }
}

/// The server's side of an object.
pub(in crate::manager) trait Object: Send {
    /// Answers a request, or keeps the caller until it can.
    ///
    /// # Errors
    /// The request is none of this object's.
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()>;

    /// Forgets a caller that waits; returns `false` if none does.
    fn cancel(&mut self, _session: SessionId, _call: u64) -> bool {
        false
    }

    /// Forgets a caller that waits, as [`cancel`](Object::cancel), where that changes what others wait for. Returns
    /// `true` if the caller is to be told that nothing was done.
    fn cancel_among(&mut self, session: SessionId, call: u64, _replies: &mut Replies) -> bool {
        self.cancel(session, call)
    }

    /// Takes back what a session held, and forgets its callers: it ended while it referred to the object.
    fn end_session(&mut self, _session: SessionId, _replies: &mut Replies) {}

    /// Takes back what a session held, and forgets its callers: it has dropped its last reference.
    fn leave(&mut self, session: SessionId, replies: &mut Replies) {
        self.end_session(session, replies);
    }
}
