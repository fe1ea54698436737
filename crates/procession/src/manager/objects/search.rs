//! For tests: every short history of an object, and a client of it without a server.

use super::object::{Caller, Object, Replies, SessionId};
use crate::manager::blob;
use crate::manager::reply::Reply;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Calls `check` with every sequence of so many steps.
pub(super) fn all<S: Copy>(steps: &[S], length: u32, mut check: impl FnMut(&[S])) {
    let count = steps.len();
    for mut number in 0..count.pow(length) {
        let history: Vec<S> = (0..length)
            .map(|_| {
                let step = steps[number % count];
                number /= count;
                step
            })
            .collect();
        check(&history);
    }
}

/// Calls an object in the name of sessions, and takes the answers.
#[derive(Debug, Default)]
pub(super) struct Client {
    latest: u64,
    pub(super) replies: Replies,
}

impl Client {
    pub(super) fn next_call(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }

    /// The answers that are there, each with its call: `None` is "not yet".
    pub(super) fn answers<R: DeserializeOwned>(&mut self) -> Vec<(u64, Option<R>)> {
        let (answers, refusals) = self.answers_and_refusals();
        assert!(refusals.is_empty(), "{refusals:?}");
        answers
    }

    /// The same, and the calls that were refused.
    pub(super) fn answers_and_refusals<R: DeserializeOwned>(
        &mut self,
    ) -> (Vec<(u64, Option<R>)>, Vec<u64>) {
        let (mut answers, mut refusals) = (Vec::new(), Vec::new());
        for (caller, reply) in self.replies.0.drain(..) {
            let call = caller.call.unwrap();
            match reply {
                Reply::Done(bytes) => answers.push((call, Some(blob::decode(&bytes).unwrap()))),
                Reply::NotYet => answers.push((call, None)),
                Reply::Refused(_) => refusals.push(call),
            }
        }
        (answers, refusals)
    }

    /// Calls, and leaves the answers where they are.
    pub(super) fn call_as(
        &mut self,
        object: &mut dyn Object,
        (session, thread): (u64, u64),
        (call, is_try): (Option<u64>, bool),
        request: &impl Serialize,
    ) {
        let caller = Caller {
            session: SessionId(session),
            thread,
            call,
            is_try,
        };
        let request = blob::encode(request).unwrap();
        object.call(caller, &request, &mut self.replies).unwrap();
    }

    pub(super) fn call<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        session: u64,
        call: u64,
        request: &impl Serialize,
    ) -> Vec<(u64, Option<R>)> {
        self.call_as(object, (session, 1), (Some(call), false), request);
        self.answers()
    }

    pub(super) fn try_call<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        session: u64,
        call: u64,
        request: &impl Serialize,
    ) -> Vec<(u64, Option<R>)> {
        self.call_as(object, (session, 1), (Some(call), true), request);
        self.answers()
    }

    pub(super) fn tell<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        session: u64,
        request: &impl Serialize,
    ) -> Vec<(u64, Option<R>)> {
        self.call_as(object, (session, 1), (None, false), request);
        self.answers()
    }

    /// What an object answers at once to a session that does nothing else.
    pub(super) fn ask<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        request: &impl Serialize,
    ) -> R {
        self.call_as(object, (1000, 1), (Some(0), false), request);
        let answer = self.answers().pop().expect("an answer");
        answer.1.expect("a result")
    }

    pub(super) fn cancel<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        session: u64,
        call: u64,
    ) -> (bool, Vec<(u64, Option<R>)>) {
        let told = object.cancel_among(SessionId(session), call, &mut self.replies);
        (told, self.answers())
    }

    pub(super) fn end<R: DeserializeOwned>(
        &mut self,
        object: &mut dyn Object,
        session: u64,
    ) -> Vec<(u64, Option<R>)> {
        object.end_session(SessionId(session), &mut self.replies);
        self.answers()
    }
}
