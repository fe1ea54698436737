//! The server's side of a semaphore.
//!
//! While callers wait, no permit is available: whatever becomes available goes to the first of them.

use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::manager::blob::decode;
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `u64`: the token of the permit, when one is available.
    Acquire,
    /// Gives a permit back.
    Release { token: u64 },
    /// Ends a permit, and makes none available.
    Forget { token: u64 },
    /// Makes so many more available.
    Add(u64),
    /// `u64`: how many are available.
    Available,
}

#[derive(Debug)]
pub(in crate::manager) struct Semaphore {
    available: u64,
    /// Available and held ones together are no more.
    most: u64,
    held: BTreeSet<(SessionId, u64)>,
    latest_token: u64,
    waiting: Waiting<()>,
}

impl Semaphore {
    pub(super) fn new(permits: u64, most: u64) -> Semaphore {
        Semaphore {
            available: permits,
            most,
            held: BTreeSet::new(),
            latest_token: 0,
            waiting: Waiting::default(),
        }
    }

    /// Gives what is available to those that wait.
    fn settle(&mut self, replies: &mut Replies) {
        while self.available > 0
            && let Some((next, ())) = self.waiting.pop()
        {
            self.grant(next, replies);
        }
    }

    fn grant(&mut self, caller: Caller, replies: &mut Replies) {
        self.available -= 1;
        self.latest_token += 1;
        self.held.insert((caller.session, self.latest_token));
        replies.done(caller, &self.latest_token);
    }

    fn add(&mut self, caller: Caller, count: u64, replies: &mut Replies) {
        let there = self.available + self.held.len() as u64;
        if count > self.most.saturating_sub(there) {
            let why = format!("there can be {} at most", self.most);
            return replies.refuse(caller, ErrorKind::LimitReached, why);
        }
        self.available += count;
        replies.done(caller, &());
        self.settle(replies);
    }
}

impl Object for Semaphore {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Acquire => match self.available {
                0 => self.waiting.push(caller, (), replies),
                _ => self.grant(caller, replies),
            },
            Request::Release { token } => {
                self.available += u64::from(self.held.remove(&(caller.session, token)));
                replies.done(caller, &());
                self.settle(replies);
            }
            Request::Forget { token } => {
                self.held.remove(&(caller.session, token));
                replies.done(caller, &());
            }
            Request::Add(count) => self.add(caller, count, replies),
            Request::Available => replies.done(caller, &self.available),
        }
        Ok(())
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        self.waiting.cancel(session, call)
    }

    fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        self.waiting.end_session(session);
        let all = (session, 0)..=(session, u64::MAX);
        let held: Vec<(SessionId, u64)> = self.held.range(all).copied().collect();
        for permit in held {
            self.held.remove(&permit);
            self.available += 1;
        }
        self.settle(replies);
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{self, Client};
    use super::*;

    /// A semaphore as a list of permits with their sessions, and a list of waits in their order.
    #[derive(Debug, Default)]
    struct Model {
        available: u64,
        held: Vec<(u64, u64)>,
        latest: u64,
        waiting: Vec<(u64, u64)>,
    }

    impl Model {
        /// The calls that are answered now, each with its token.
        fn settle(&mut self) -> Vec<(u64, u64)> {
            let mut answered = Vec::new();
            while self.available > 0 && !self.waiting.is_empty() {
                let (session, call) = self.waiting.remove(0);
                self.available -= 1;
                self.latest += 1;
                self.held.push((session, self.latest));
                answered.push((call, self.latest));
            }
            answered
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Acquire(u64),
        TryAcquire(u64),
        /// Of the oldest permit.
        Release(u64),
        Forget(u64),
        Add,
        /// Of the latest call.
        Cancel(u64),
        End(u64),
    }

    #[test]
    fn every_short_history_gives_each_permit_to_the_first_that_waits() {
        let steps = (1..=2).flat_map(|session| {
            [
                Step::Acquire(session),
                Step::TryAcquire(session),
                Step::Release(session),
                Step::Forget(session),
                Step::Cancel(session),
                Step::End(session),
            ]
        });
        let steps: Vec<Step> = steps.chain([Step::Add]).collect();
        let histories = |permits| {
            search::all(&steps, 4, |history| check(permits, history));
        };
        histories(0);
        histories(1);
    }

    fn check(permits: u64, history: &[Step]) {
        let mut semaphore = Semaphore::new(permits, 2);
        let mut client = Client::default();
        let mut model = Model {
            available: permits,
            ..Model::default()
        };
        for step in history {
            let mut expected = Vec::new();
            let answers: Vec<(u64, Option<u64>)> = match *step {
                Step::Acquire(session) => {
                    let call = client.next_call();
                    model.waiting.push((session, call));
                    client.call(&mut semaphore, session, call, &Request::Acquire)
                }
                Step::TryAcquire(session) => {
                    let call = client.next_call();
                    match model.available {
                        0 => expected.push((call, None)),
                        _ => model.waiting.push((session, call)),
                    }
                    client.try_call(&mut semaphore, session, call, &Request::Acquire)
                }
                Step::Release(session) | Step::Forget(session) => {
                    let place = model.held.iter().position(|(holder, _)| *holder == session);
                    // Another one's, which is not touched.
                    let other = model.held.first().map_or(9, |(_, token)| *token);
                    let token = place.map_or(other, |place| model.held.remove(place).1);
                    let releases = matches!(step, Step::Release(_));
                    model.available += u64::from(place.is_some() && releases);
                    let request = match releases {
                        true => Request::Release { token },
                        false => Request::Forget { token },
                    };
                    client.tell(&mut semaphore, session, &request)
                }
                Step::Add => {
                    let there = model.available + model.held.len() as u64;
                    model.available += u64::from(there < 2);
                    client.tell(&mut semaphore, 3, &Request::Add(1))
                }
                Step::Cancel(session) => {
                    let place = model.waiting.iter().rposition(|(by, _)| *by == session);
                    let call = place.map_or(99, |place| model.waiting.remove(place).1);
                    assert_eq!(
                        client.cancel::<u64>(&mut semaphore, session, call).0,
                        place.is_some()
                    );
                    Vec::new()
                }
                Step::End(session) => {
                    model.waiting.retain(|(by, _)| *by != session);
                    let before = model.held.len();
                    model.held.retain(|(by, _)| *by != session);
                    model.available += (before - model.held.len()) as u64;
                    client.end(&mut semaphore, session)
                }
            };
            let granted = model.settle();
            expected.extend(granted.iter().map(|(call, token)| (*call, Some(*token))));
            assert_eq!(answers, expected, "{history:?}");
            let available = client.ask::<u64>(&mut semaphore, &Request::Available);
            assert_eq!(available, model.available, "{history:?}");
        }
    }
}
