//! The server's side of a lock for many readers or one writer.
//!
//! Callers get it in the order in which they came, so that neither readers nor writers starve. Only a thread that reads already
//! does not wait behind a writer: that writer waits for it.

use super::mutex::{Granted, State};
use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::manager::blob::{Blob, decode};
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// [`Granted`], when no writer has it and none came before.
    Read,
    /// [`Granted`], when nobody has it.
    Write,
    /// Ends the read with this token.
    EndRead {
        token: u64,
    },
    /// Ends the write with this token, with a new value if it has changed.
    EndWrite {
        token: u64,
        value: Option<Blob>,
        /// The holder panicked.
        poison: bool,
    },
    /// The writer with this token has repaired what a dead one left.
    MarkConsistent {
        token: u64,
    },
    /// `bool`
    IsPoisoned,
    ClearPoison,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Read,
    Write,
}

#[derive(Debug)]
struct Writer {
    session: SessionId,
    thread: u64,
    token: u64,
}

#[derive(Debug)]
pub(in crate::manager) struct RwLock {
    value: Blob,
    /// The session of a writer ended while it held the lock, and no writer has said since that all is well.
    owner_died: bool,
    poisoned: bool,
    writer: Option<Writer>,
    /// Sessions and threads of readers, by token.
    readers: BTreeMap<u64, (SessionId, u64)>,
    /// The same as session, thread and token.
    reading: BTreeSet<(SessionId, u64, u64)>,
    latest_token: u64,
    waiting: Waiting<Wants>,
}

impl RwLock {
    pub(super) fn new(value: Blob) -> RwLock {
        RwLock {
            value,
            owner_died: false,
            poisoned: false,
            writer: None,
            readers: BTreeMap::new(),
            reading: BTreeSet::new(),
            latest_token: 0,
            waiting: Waiting::default(),
        }
    }

    fn is_reading(&self, caller: &Caller) -> bool {
        let (session, thread) = (caller.session, caller.thread);
        let all = (session, thread, 0)..=(session, thread, u64::MAX);
        self.reading.range(all).next().is_some()
    }

    /// What the caller wants, it prevents itself.
    fn waits_for_itself(&self, caller: &Caller, wants: Wants) -> bool {
        let writes = self.writer.as_ref().is_some_and(|writer| {
            (writer.session, writer.thread) == (caller.session, caller.thread)
        });
        writes || wants == Wants::Write && self.is_reading(caller)
    }

    fn take(&mut self, caller: Caller, wants: Wants, replies: &mut Replies) {
        if self.waits_for_itself(&caller, wants) {
            let why = "the calling thread holds it already";
            return replies.refuse(caller, ErrorKind::Deadlock, why);
        }
        let is_first = self.waiting.len() == 0;
        match self.admits(wants) && (is_first || self.is_reading(&caller)) {
            true => self.grant(caller, wants, replies),
            false => self.waiting.push(caller, wants, replies),
        }
    }

    fn admits(&self, wants: Wants) -> bool {
        self.writer.is_none() && (wants == Wants::Read || self.readers.is_empty())
    }

    fn grant(&mut self, caller: Caller, wants: Wants, replies: &mut Replies) {
        self.latest_token += 1;
        let token = self.latest_token;
        let (session, thread) = (caller.session, caller.thread);
        match wants {
            Wants::Read => {
                self.readers.insert(token, (session, thread));
                self.reading.insert((session, thread, token));
            }
            Wants::Write => {
                self.writer = Some(Writer {
                    session,
                    thread,
                    token,
                });
            }
        }
        let granted = Granted {
            token,
            value: self.value.clone(),
            state: match (self.owner_died, self.poisoned) {
                (true, _) => State::OwnerDied,
                (false, true) => State::Poisoned,
                (false, false) => State::Whole,
            },
        };
        replies.done(caller, &granted);
    }

    /// Gives the lock to those that wait, as far as they can have it now.
    fn settle(&mut self, replies: &mut Replies) {
        while let Some((_, wants)) = self.waiting.front()
            && self.admits(*wants)
            && let Some((caller, wants)) = self.waiting.pop()
        {
            self.grant(caller, wants, replies);
        }
    }

    fn writes(&self, session: SessionId, token: u64) -> bool {
        let writer = self.writer.as_ref();
        writer.is_some_and(|writer| (writer.session, writer.token) == (session, token))
    }

    fn end_read(&mut self, session: SessionId, token: u64) {
        if let Some((reader, thread)) = self.readers.get(&token).copied()
            && reader == session
        {
            self.readers.remove(&token);
            self.reading.remove(&(session, thread, token));
        }
    }
}

impl Object for RwLock {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Read => self.take(caller, Wants::Read, replies),
            Request::Write => self.take(caller, Wants::Write, replies),
            Request::EndRead { token } => {
                self.end_read(caller.session, token);
                replies.done(caller, &());
                self.settle(replies);
            }
            Request::EndWrite {
                token,
                value,
                poison,
            } => {
                if !self.writes(caller.session, token) {
                    replies.refuse(caller, ErrorKind::OwnerDead, "another holder came after");
                    return Ok(());
                }
                if let Some(value) = value {
                    self.value = value;
                }
                self.poisoned |= poison;
                self.writer = None;
                replies.done(caller, &());
                self.settle(replies);
            }
            Request::MarkConsistent { token } => {
                if self.writes(caller.session, token) {
                    self.owner_died = false;
                }
                replies.done(caller, &());
            }
            Request::IsPoisoned => replies.done(caller, &self.poisoned),
            Request::ClearPoison => {
                self.poisoned = false;
                replies.done(caller, &());
            }
        }
        Ok(())
    }

    fn cancel_among(&mut self, session: SessionId, call: u64, replies: &mut Replies) -> bool {
        let was_there = self.waiting.cancel(session, call);
        // Readers may have waited behind a writer that has given up.
        self.settle(replies);
        was_there
    }

    fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        self.waiting.end_session(session);
        let all = (session, 0, 0)..=(session, u64::MAX, u64::MAX);
        let reads: Vec<u64> = self
            .reading
            .range(all)
            .map(|(_, _, token)| *token)
            .collect();
        for token in reads {
            self.end_read(session, token);
        }
        if self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.session == session)
        {
            self.writer = None;
            self.owner_died = true;
        }
        self.settle(replies);
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{self, Client};
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// By which session, and what.
        Take(u64, Wants),
        /// Ends the oldest read or write of a session.
        Release(u64),
        /// Its latest wait.
        Cancel(u64),
        End(u64),
    }

    /// The lock as lists: of those that have it, and those that wait.
    #[derive(Debug, Default)]
    struct Model {
        held: Vec<(u64, Wants, u64)>,
        waiting: Vec<(u64, Wants, u64)>,
        owner_died: bool,
    }

    impl Model {
        fn admits(&self, wants: Wants) -> bool {
            match wants {
                Wants::Read => self.held.iter().all(|(_, has, _)| *has == Wants::Read),
                Wants::Write => self.held.is_empty(),
            }
        }

        /// The calls that are answered now.
        fn settle(&mut self, latest: &mut u64) -> Vec<u64> {
            let mut answered = Vec::new();
            // Those that read already go first.
            let reads = |model: &Model, session| {
                let mut held = model.held.iter();
                held.any(|(by, has, _)| (*by, *has) == (session, Wants::Read))
            };
            while let Some(place) = (0..self.waiting.len()).find(|place| {
                let (session, wants, _) = self.waiting[*place];
                let is_next = *place == 0 || wants == Wants::Read && reads(self, session);
                is_next && self.admits(wants)
            }) {
                let (session, wants, call) = self.waiting.remove(place);
                *latest += 1;
                self.held.push((session, wants, *latest));
                answered.push(call);
            }
            answered
        }
    }

    #[test]
    fn every_short_history_admits_in_order() {
        let steps = (1..=3).flat_map(|session| {
            [
                Step::Take(session, Wants::Read),
                Step::Take(session, Wants::Write),
                Step::Release(session),
                Step::Cancel(session),
                Step::End(session),
            ]
        });
        let steps: Vec<Step> = steps.collect();
        search::all(&steps, 4, |history| {
            check(&[], history);
            check(&[Step::Take(1, Wants::Write)], history);
        });
    }

    fn check(before: &[Step], history: &[Step]) {
        let mut client = Client::default();
        let lock = &mut RwLock::new(Blob::of(&7u8).unwrap());
        let (mut model, mut latest) = (Model::default(), 0);
        for step in before.iter().chain(history) {
            let mut refused = Vec::new();
            match *step {
                // A thread waits for one thing at a time.
                Step::Take(session, _) if model.waiting.iter().any(|wait| wait.0 == session) => {}
                Step::Take(session, wants) => {
                    let call = client.next_call();
                    let has = |wants| {
                        model
                            .held
                            .iter()
                            .any(|held| (held.0, held.1) == (session, wants))
                    };
                    let refuses = has(Wants::Write) || wants == Wants::Write && has(Wants::Read);
                    match refuses {
                        true => refused.push(call),
                        false => model.waiting.push((session, wants, call)),
                    }
                    let request = match wants {
                        Wants::Read => Request::Read,
                        Wants::Write => Request::Write,
                    };
                    client.call_as(lock, (session, 1), (Some(call), false), &request);
                }
                Step::Release(session) => {
                    let place = model.held.iter().position(|(by, _, _)| *by == session);
                    let other = model.held.first().copied().unwrap_or((9, Wants::Read, 9));
                    let (_, wants, token) = place.map_or(other, |place| model.held.remove(place));
                    let request = match wants {
                        Wants::Read => Request::EndRead { token },
                        Wants::Write => Request::EndWrite {
                            token,
                            value: None,
                            poison: false,
                        },
                    };
                    client.call_as(lock, (session, 1), (None, false), &request);
                }
                Step::Cancel(session) => {
                    let place = model.waiting.iter().rposition(|(by, _, _)| *by == session);
                    let call = place.map_or(99_999, |place| model.waiting.remove(place).2);
                    let told = lock.cancel_among(SessionId(session), call, &mut client.replies);
                    assert_eq!(told, place.is_some());
                }
                Step::End(session) => {
                    model.waiting.retain(|(by, _, _)| *by != session);
                    let mut ended = model.held.iter().filter(|(by, _, _)| *by == session);
                    model.owner_died |= ended.any(|(_, has, _)| *has == Wants::Write);
                    model.held.retain(|(by, _, _)| *by != session);
                    lock.end_session(SessionId(session), &mut client.replies);
                }
            }
            let (answers, refusals) = client.answers_and_refusals::<Granted>();
            assert_eq!(refusals, refused, "{history:?}");
            let mut answered: Vec<u64> = answers.iter().map(|(call, _)| *call).collect();
            let mut expected = model.settle(&mut latest);
            // Tokens are given in the order of the answers.
            for (token, (call, granted)) in (latest - expected.len() as u64 + 1..).zip(&answers) {
                let granted = granted.as_ref().expect("nobody only tried");
                assert_eq!(granted.token, token, "call {call}: {history:?}");
                let died = granted.state == State::OwnerDied;
                assert_eq!(died, model.owner_died, "{history:?}");
            }
            answered.sort_unstable();
            expected.sort_unstable();
            assert_eq!(answered, expected, "{history:?}");
        }
    }

    #[test]
    fn readers_do_not_starve_a_writer() {
        let mut client = Client::default();
        let mut lock = RwLock::new(Blob::of(&7u8).unwrap());
        let mut call = |lock: &mut RwLock, session, number, request: &Request| {
            client.call_as(lock, (session, 1), (Some(number), false), request);
            let answers = client.answers::<Granted>();
            answers
                .into_iter()
                .map(|(call, _)| call)
                .collect::<Vec<_>>()
        };
        assert_eq!(call(&mut lock, 1, 1, &Request::Read), [1]);
        assert!(call(&mut lock, 2, 2, &Request::Write).is_empty());
        // However many come, they wait behind the writer; the thread that reads already does not.
        for number in 3..100 {
            assert!(call(&mut lock, number, number, &Request::Read).is_empty());
        }
        assert_eq!(call(&mut lock, 1, 100, &Request::Read), [100]);
        let mut end = |lock: &mut RwLock, session, request: &Request| {
            client.call_as(lock, (session, 1), (None, false), request);
            client.answers::<Granted>().len()
        };
        assert_eq!(end(&mut lock, 1, &Request::EndRead { token: 1 }), 0);
        assert_eq!(end(&mut lock, 1, &Request::EndRead { token: 2 }), 1);
        let request = Request::EndWrite {
            token: 3,
            value: None,
            poison: false,
        };
        assert_eq!(end(&mut lock, 2, &request), 97);
    }
}
