//! The server's side of a barrier.

use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::manager::blob::decode;
use crate::manager::reply::{Refusal, Reply};
use crate::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// [`Arrived`], when all have arrived. One that `acts` is told so as the last one, before the others.
    Wait { acts: bool },
    /// The one that was told to act has acted.
    Passed,
    /// Breaks the barrier.
    Abort,
    /// Makes it whole.
    Reset,
    /// `bool`
    IsBroken,
    /// `u64`: how many meet.
    Parties,
    /// `u64`: how many have arrived.
    Waiting,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::manager) struct Arrived {
    pub(in crate::manager) index: u64,
    pub(in crate::manager) parties: u64,
    /// The others wait until this one has acted, and says so.
    pub(in crate::manager) acts: bool,
}

/// The last one acts, and the others wait for it.
#[derive(Debug)]
struct Acting {
    leader: SessionId,
    /// Each with its index.
    others: Waiting<u64>,
}

#[derive(Debug)]
pub(in crate::manager) struct Barrier {
    parties: u64,
    is_broken: bool,
    /// Sessions that have received it from others, or have arrived at some time.
    members: HashSet<SessionId>,
    /// Each with whether it acts.
    waiting: Waiting<bool>,
    acting: Option<Acting>,
}

fn is_broken(why: &str) -> Reply {
    let refusal = Refusal::new(ErrorKind::Broken, why);
    Reply::Refused(
        refusal.with_hint("call `reset` when as many parties as it needs are there again"),
    )
}

impl Barrier {
    pub(super) fn new(parties: u64) -> Barrier {
        Barrier {
            parties,
            is_broken: false,
            members: HashSet::new(),
            waiting: Waiting::default(),
            acting: None,
        }
    }

    fn arrive(&mut self, caller: Caller, acts: bool, replies: &mut Replies) {
        self.members.insert(caller.session);
        if self.is_broken {
            return replies.push(caller, is_broken("it was broken before"));
        }
        let is_last = self.acting.is_none() && self.waiting.len() as u64 + 1 >= self.parties;
        if caller.is_try && !is_last {
            // Its time is over, as that of one that has waited.
            replies.push(caller, Reply::NotYet);
            return self.fail("another party has not waited", replies);
        }
        let caller = Caller {
            is_try: false,
            ..caller
        };
        self.waiting.push(caller, acts, replies);
        self.settle(replies);
    }

    /// Lets pass as many as meet, once there are as many.
    fn settle(&mut self, replies: &mut Replies) {
        while self.acting.is_none() && self.waiting.len() as u64 >= self.parties {
            let mut others = Waiting::default();
            for index in 0..self.parties {
                let Some((caller, acts)) = self.waiting.pop() else {
                    return;
                };
                let acts = acts && index + 1 == self.parties;
                if index + 1 < self.parties {
                    others.push(caller, index, replies);
                    continue;
                }
                if acts {
                    self.acting = Some(Acting {
                        leader: caller.session,
                        others: std::mem::take(&mut others),
                    });
                }
                self.pass(caller, index, acts, replies);
            }
            self.pass_all(&mut others, replies);
        }
    }

    fn pass(&self, caller: Caller, index: u64, acts: bool, replies: &mut Replies) {
        let arrived = Arrived {
            index,
            parties: self.parties,
            acts,
        };
        replies.done(caller, &arrived);
    }

    fn pass_all(&self, all: &mut Waiting<u64>, replies: &mut Replies) {
        for (caller, index) in all.drain() {
            self.pass(caller, index, false, replies);
        }
    }

    /// Breaks it, for those that wait and those that come.
    fn fail(&mut self, why: &str, replies: &mut Replies) {
        self.is_broken = true;
        self.turn_away(why, replies);
    }

    fn turn_away(&mut self, why: &str, replies: &mut Replies) {
        let others = self.acting.take();
        let others = others
            .map(|acting| acting.others)
            .unwrap_or_default()
            .drain();
        let waiting = self.waiting.drain().map(|(caller, _)| caller);
        for caller in others.map(|(caller, _)| caller).chain(waiting) {
            replies.push(caller, is_broken(why));
        }
    }

    /// Forgets the callers of a session; returns `true` if the others wait for it in vain.
    fn forget(&mut self, session: SessionId) -> bool {
        let mut forgotten = self.waiting.end_session(session);
        let mut leads = false;
        if let Some(acting) = &mut self.acting {
            forgotten += acting.others.end_session(session);
            leads = acting.leader == session;
        }
        forgotten > 0 || leads
    }
}

impl Object for Barrier {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Wait { acts } => self.arrive(caller, acts, replies),
            Request::Passed => match self.acting.take() {
                Some(mut acting) if acting.leader == caller.session => {
                    self.pass_all(&mut acting.others, replies);
                    replies.done(caller, &());
                    self.settle(replies);
                }
                others => {
                    self.acting = others;
                    replies.push(caller, is_broken("it was broken meanwhile"));
                }
            },
            Request::Abort => {
                self.fail("a party has called `abort`", replies);
                replies.done(caller, &());
            }
            Request::Reset => {
                self.turn_away("it was reset", replies);
                self.is_broken = false;
                replies.done(caller, &());
            }
            Request::IsBroken => replies.done(caller, &self.is_broken),
            Request::Parties => replies.done(caller, &self.parties),
            Request::Waiting => {
                let others = self.acting.as_ref().map_or(0, |acting| acting.others.len());
                replies.done(caller, &((self.waiting.len() + others) as u64));
            }
        }
        Ok(())
    }

    fn cancel_among(&mut self, session: SessionId, call: u64, replies: &mut Replies) -> bool {
        let acting = self.acting.as_mut();
        let was_there = self.waiting.cancel(session, call)
            || acting.is_some_and(|acting| acting.others.cancel(session, call));
        if was_there {
            self.fail("another party has not waited any longer", replies);
        }
        was_there
    }

    fn adopt(&mut self, session: SessionId) {
        self.members.insert(session);
    }

    fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        let was_waited_for = self.forget(session);
        if self.members.remove(&session) || was_waited_for {
            self.fail("the process of a party has died", replies);
        }
    }

    fn leave(&mut self, session: SessionId, replies: &mut Replies) {
        self.members.remove(&session);
        if self.forget(session) {
            self.fail("the process of a party has left", replies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{self, Client};
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Arrive(u64, bool),
        Try(u64),
        Passed(u64),
        Abort,
        Reset,
        Cancel(u64),
        Adopt(u64),
        End(u64),
        Leave(u64),
    }

    const PARTIES: usize = 2;

    /// The barrier as lists of sessions, with their calls.
    #[derive(Debug, Default)]
    struct Model {
        is_broken: bool,
        members: Vec<u64>,
        waiting: Vec<(u64, u64, bool)>,
        /// The leader, and those that wait for it.
        acting: Option<(u64, Vec<(u64, u64)>)>,
        passed: Vec<(u64, Option<Arrived>)>,
        refused: Vec<u64>,
    }

    impl Model {
        fn fail(&mut self) {
            self.is_broken = true;
            self.turn_away();
        }

        fn turn_away(&mut self) {
            let waiting = std::mem::take(&mut self.waiting);
            let (_, others) = self.acting.take().unwrap_or_default();
            self.refused
                .extend(waiting.iter().map(|(_, call, _)| *call));
            self.refused.extend(others.iter().map(|(_, call)| *call));
        }

        fn is_busy(&self, session: u64) -> bool {
            let leads = self.acting.as_ref().is_some_and(|(leader, others)| {
                *leader == session || others.iter().any(|(by, _)| *by == session)
            });
            leads || self.waiting.iter().any(|(by, _, _)| *by == session)
        }

        /// The session is gone; the others do not wait for it.
        fn forget(&mut self, session: u64) {
            self.waiting.retain(|(by, _, _)| *by != session);
            if let Some((_, others)) = &mut self.acting {
                others.retain(|(by, _)| *by != session);
            }
            self.members.retain(|by| *by != session);
        }

        fn settle(&mut self) {
            if self.acting.is_some() || self.waiting.len() < PARTIES {
                return;
            }
            let meet: Vec<(u64, u64, bool)> = self.waiting.drain(..PARTIES).collect();
            let (leader, _, acts) = meet[PARTIES - 1];
            if acts {
                let others = meet[..PARTIES - 1].iter();
                let others = others.map(|(by, call, _)| (*by, *call)).collect();
                self.acting = Some((leader, others));
            }
            for (index, (_, call, _)) in meet.iter().enumerate() {
                if !acts || index == PARTIES - 1 {
                    self.pass(*call, index, acts);
                }
            }
        }

        fn pass(&mut self, call: u64, index: usize, acts: bool) {
            let arrived = Arrived {
                index: index as u64,
                parties: PARTIES as u64,
                acts,
            };
            self.passed.push((call, Some(arrived)));
        }
    }

    #[test]
    fn in_every_short_history_all_pass_or_none() {
        let steps = (1..=3).flat_map(|session| {
            [
                Step::Arrive(session, false),
                Step::Arrive(session, true),
                Step::Passed(session),
                Step::Cancel(session),
                Step::End(session),
                Step::Leave(session),
            ]
        });
        let others = [Step::Abort, Step::Reset, Step::Adopt(2), Step::Try(3)];
        let steps: Vec<Step> = steps.chain(others).collect();
        let meet = [Step::Arrive(1, false), Step::Arrive(2, true)];
        search::all(&steps, 4, |history| check(&[], history));
        search::all(&steps, 3, |history| check(&meet, history));
    }

    fn check(before: &[Step], history: &[Step]) {
        let mut barrier = Barrier::new(PARTIES as u64);
        let (mut client, mut model) = (Client::default(), Model::default());
        let mut calls = [0; 4];
        for step in before.iter().chain(history) {
            match *step {
                Step::Arrive(session, _) | Step::Try(session) if !model.is_busy(session) => {
                    let (acts, is_try) = match step {
                        Step::Arrive(_, acts) => (*acts, false),
                        _ => (false, true),
                    };
                    let call = client.next_call();
                    calls[session as usize] = call;
                    let number = (Some(call), is_try);
                    client.call_as(&mut barrier, (session, 1), number, &Request::Wait { acts });
                    if !model.members.contains(&session) {
                        model.members.push(session);
                    }
                    let is_last = model.acting.is_none() && model.waiting.len() + 1 == PARTIES;
                    if model.is_broken {
                        model.refused.push(call);
                    } else if is_try && !is_last {
                        model.passed.push((call, None));
                        model.fail();
                    } else {
                        model.waiting.push((session, call, acts));
                        model.settle();
                    }
                }
                Step::Passed(session) => {
                    let call = client.next_call();
                    let number = (None, false);
                    client.call_as(&mut barrier, (session, call), number, &Request::Passed);
                    match model.acting.take() {
                        Some((leader, others)) if leader == session => {
                            for (index, (_, call)) in others.iter().enumerate() {
                                model.pass(*call, index, false);
                            }
                            model.settle();
                        }
                        others => model.acting = others,
                    }
                }
                Step::Abort => {
                    client.call_as(&mut barrier, (9, 1), (None, false), &Request::Abort);
                    model.fail();
                }
                Step::Reset => {
                    client.call_as(&mut barrier, (9, 1), (None, false), &Request::Reset);
                    model.turn_away();
                    model.is_broken = false;
                }
                Step::Cancel(session) => {
                    let (id, call) = (SessionId(session), calls[session as usize]);
                    let told = barrier.cancel_among(id, call, &mut client.replies);
                    let leads = model
                        .acting
                        .as_ref()
                        .is_some_and(|acting| acting.0 == session);
                    let waits = model.is_busy(session) && !leads;
                    assert_eq!(told, waits, "{before:?}, {history:?}");
                    if waits {
                        let members = model.members.clone();
                        model.forget(session);
                        model.members = members;
                        model.fail();
                    }
                }
                Step::Adopt(session) => {
                    barrier.adopt(SessionId(session));
                    if !model.members.contains(&session) {
                        model.members.push(session);
                    }
                }
                Step::End(session) => {
                    barrier.end_session(SessionId(session), &mut client.replies);
                    let breaks = model.members.contains(&session) || model.is_busy(session);
                    model.forget(session);
                    if breaks {
                        model.fail();
                    }
                }
                Step::Leave(session) => {
                    barrier.leave(SessionId(session), &mut client.replies);
                    let breaks = model.is_busy(session);
                    model.forget(session);
                    if breaks {
                        model.fail();
                    }
                }
                _ => continue,
            }
            let (mut answers, mut refusals) = client.answers_and_refusals::<Arrived>();
            let (mut passed, mut refused) = (
                std::mem::take(&mut model.passed),
                std::mem::take(&mut model.refused),
            );
            for calls in [&mut refusals, &mut refused] {
                calls.sort_unstable();
            }
            for calls in [&mut answers, &mut passed] {
                calls.sort_unstable_by_key(|(call, _)| *call);
            }
            assert_eq!(
                (answers, refusals),
                (passed, refused),
                "{before:?}, {history:?}"
            );
            let is_broken: bool = client.ask(&mut barrier, &Request::IsBroken);
            assert_eq!(is_broken, model.is_broken, "{before:?}, {history:?}");
        }
    }
}
