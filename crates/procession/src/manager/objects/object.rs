//! What the server's side of an object is.

use crate::manager::blob;
use crate::manager::reply::{Refusal, Reply};
use crate::{ErrorKind, Result};
use serde::Serialize;
use std::collections::VecDeque;

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

/// A call that goes on at another object, which answers it.
#[derive(Debug)]
pub(in crate::manager) struct Onward {
    pub(in crate::manager) caller: Caller,
    pub(in crate::manager) object: u64,
    pub(in crate::manager) request: Vec<u8>,
}

/// The answers that calls lead to, and the calls that go on at other objects before anything else is done.
#[derive(Debug, Default)]
pub(in crate::manager) struct Replies(
    pub(in crate::manager) Vec<(Caller, Reply)>,
    VecDeque<Onward>,
);

impl Replies {
    /// Has another object answer, which the caller may use as this one.
    pub(in crate::manager) fn go_on(
        &mut self,
        caller: Caller,
        object: u64,
        request: &impl Serialize,
    ) {
        match blob::encode(request) {
            Ok(request) => self.1.push_back(Onward {
                caller,
                object,
                request,
            }),
            Err(error) => self.refuse(caller, error.kind(), error.to_string()),
        }
    }

    pub(in crate::manager) fn next_onward(&mut self) -> Option<Onward> {
        self.1.pop_front()
    }

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

    /// About how many values it has: dropping many takes long.
    fn size(&self) -> usize {
        0
    }

    /// Forgets a caller that waits; returns `false` if none does.
    fn cancel(&mut self, _session: SessionId, _call: u64) -> bool {
        false
    }

    /// Forgets a caller that waits, as [`cancel`](Object::cancel), where that changes what others wait for. Returns
    /// `true` if the caller is to be told that nothing was done.
    fn cancel_among(&mut self, session: SessionId, call: u64, _replies: &mut Replies) -> bool {
        self.cancel(session, call)
    }

    /// A session has received a reference from another one.
    fn adopt(&mut self, _session: SessionId) {}

    /// Takes back what a session held, and forgets its callers: it ended while it referred to the object.
    fn end_session(&mut self, _session: SessionId, _replies: &mut Replies) {}

    /// Takes back what a session held, and forgets its callers: it has dropped its last reference.
    fn leave(&mut self, session: SessionId, replies: &mut Replies) {
        self.end_session(session, replies);
    }
}
