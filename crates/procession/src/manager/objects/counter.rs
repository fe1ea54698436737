//! The server's side of a counter.

use super::object::{Caller, Object, Replies, SessionId};
use crate::manager::blob::decode;
use crate::manager::reply::Reply;
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `i64`
    Get,
    /// `i64`: what it was
    Add(i64),
    /// `i64`: what it was
    Swap(i64),
    /// `Result<(), i64>`: the second replaces the first, or what is there instead
    CompareExchange(i64, i64),
    /// `i64`: what it is, answered when that is at least so much
    Wait(i64),
}

#[derive(Debug)]
pub(in crate::manager) struct Counter {
    value: i64,
    /// By what they wait for, and among equals by when they came: a change looks only at those that it wakes.
    waiting: BTreeMap<(i64, u64), Caller>,
    latest: u64,
}

impl Counter {
    pub(super) fn new(value: i64) -> Counter {
        Counter {
            value,
            waiting: BTreeMap::new(),
            latest: 0,
        }
    }

    /// Sets the value and answers those that have waited for it; returns what it was.
    fn set(&mut self, value: i64, replies: &mut Replies) -> i64 {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= value
        {
            replies.done(first.remove(), &value);
        }
        std::mem::replace(&mut self.value, value)
    }
}

impl Object for Counter {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get => replies.done(caller, &self.value),
            Request::Add(count) => match self.value.checked_add(count) {
                Some(sum) => {
                    let before = self.set(sum, replies);
                    replies.done(caller, &before);
                }
                None => {
                    let why = format!("{} and {count} are more than 64 bits", self.value);
                    replies.refuse(caller, ErrorKind::LimitReached, why);
                }
            },
            Request::Swap(value) => {
                let before = self.set(value, replies);
                replies.done(caller, &before);
            }
            Request::CompareExchange(expected, new) => {
                let outcome = match self.value == expected {
                    false => Err(self.value),
                    true => {
                        self.set(new, replies);
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
            Request::Wait(least) if least <= self.value => replies.done(caller, &self.value),
            Request::Wait(_) if caller.is_try => replies.push(caller, Reply::NotYet),
            Request::Wait(least) => {
                self.latest += 1;
                self.waiting.insert((least, self.latest), caller);
            }
        }
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        let before = self.waiting.len();
        self.waiting
            .retain(|_, caller| (caller.session, caller.call) != (session, Some(call)));
        self.waiting.len() < before
    }

    fn end_session(&mut self, session: SessionId, _replies: &mut Replies) {
        self.waiting.retain(|_, caller| caller.session != session);
    }
}
