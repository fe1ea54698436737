//! The server's side of a condition variable.
//!
//! A caller comes from the lock that it has given back, and goes on to it when it is notified: it does not wake
//! between the two. Where it waits, its wait can be given up.

use super::condition::{Request, Why};
use super::mutex;
use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::Result;
use crate::manager::blob::decode;

#[derive(Debug, Default)]
pub(in crate::manager) struct Condvar {
    /// Each with its lock.
    waiting: Waiting<u64>,
}

impl Condvar {
    fn wake(&mut self, count: u64, why: Why, replies: &mut Replies) {
        for _ in 0..count {
            let Some((caller, mutex)) = self.waiting.pop() else {
                return;
            };
            replies.go_on(caller, mutex, &mutex::Request::LockAgain(why));
        }
    }
}

impl Object for Condvar {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Wait { mutex } => self.waiting.push(caller, mutex, replies),
            Request::Notify(count) => {
                self.wake(count, Why::Notified, replies);
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
        // It may have been notified, or have owed a notification: the others look for themselves.
        self.wake(u64::MAX, Why::SomebodyDied, replies);
    }

    fn leave(&mut self, session: SessionId, _replies: &mut Replies) {
        self.waiting.end_session(session);
    }
}

#[cfg(test)]
mod tests {
    use super::super::search;
    use super::*;
    use crate::manager::blob::{self, Blob};
    use crate::manager::objects::mutex::{Granted, Mutex, State, Woken};
    use crate::manager::reply::Reply;
    use serde::Serialize;
    use std::collections::{HashMap, HashSet};

    const CONDVAR: u64 = 1;
    const MUTEX: u64 = 2;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Lock(u64),
        Unlock(u64),
        Wait(u64),
        Notify,
        Cancel(u64),
        End(u64),
    }

    /// What the call of a session came to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Came {
        Locked { owner_died: bool },
        Woken { died: bool, is_locked: bool },
        NotYet,
    }

    /// A server with a lock and a condition variable; each session has one call at a time.
    struct World {
        mutex: Mutex,
        condvar: Condvar,
        replies: Replies,
        /// Where the call of each session waits.
        calls: HashMap<u64, u64>,
        /// Sessions that wait at the condition variable, or come from there.
        waits: HashSet<u64>,
        tokens: HashMap<u64, u64>,
    }

    impl World {
        fn object(&mut self, number: u64) -> &mut dyn Object {
            match number {
                MUTEX => &mut self.mutex,
                _ => &mut self.condvar,
            }
        }

        fn call(&mut self, session: u64, object: u64, request: &impl Serialize) {
            self.calls.insert(session, object);
            self.request(session, Some(session), object, request);
        }

        fn request(
            &mut self,
            session: u64,
            call: Option<u64>,
            object: u64,
            request: &impl Serialize,
        ) {
            let caller = Caller {
                session: SessionId(session),
                thread: 1,
                call,
                is_try: false,
            };
            let mut replies = std::mem::take(&mut self.replies);
            let request = blob::encode(request).unwrap();
            let called = self.object(object).call(caller, &request, &mut replies);
            called.unwrap();
            self.replies = replies;
        }

        fn cancel(&mut self, session: u64) {
            let Some(object) = self.calls.get(&session).copied() else {
                return;
            };
            let mut replies = std::mem::take(&mut self.replies);
            let (id, object) = (SessionId(session), self.object(object));
            let tell = object.cancel_among(id, session, &mut replies);
            self.replies = replies;
            if tell {
                let caller = Caller {
                    session: id,
                    thread: 1,
                    call: Some(session),
                    is_try: false,
                };
                self.replies.push(caller, Reply::NotYet);
            }
        }

        fn end(&mut self, session: u64) {
            self.calls.remove(&session);
            self.waits.remove(&session);
            let mut replies = std::mem::take(&mut self.replies);
            for object in [CONDVAR, MUTEX] {
                let object = self.object(object);
                object.end_session(SessionId(session), &mut replies);
            }
            self.replies = replies;
        }

        /// What has come to whom.
        fn settle(&mut self) -> Vec<(u64, Came)> {
            while let Some(onward) = self.replies.next_onward() {
                let caller = onward.caller;
                self.calls.insert(caller.session.0, onward.object);
                let mut replies = std::mem::take(&mut self.replies);
                let object = self.object(onward.object);
                object.call(caller, &onward.request, &mut replies).unwrap();
                self.replies = replies;
            }
            let mut came = Vec::new();
            for (caller, reply) in std::mem::take(&mut self.replies.0) {
                let session = caller.session.0;
                let is_wait = self.waits.remove(&session);
                let (what, granted) = match reply {
                    Reply::NotYet => (Came::NotYet, None),
                    Reply::Refused(refusal) => panic!("{refusal:?}"),
                    Reply::Done(bytes) if is_wait => {
                        let woken: Woken = blob::decode(&bytes).unwrap();
                        let died = woken.why == Why::SomebodyDied;
                        let is_locked = woken.granted.is_some();
                        (Came::Woken { died, is_locked }, woken.granted)
                    }
                    Reply::Done(bytes) => {
                        let granted: Granted = blob::decode(&bytes).unwrap();
                        let owner_died = granted.state == State::OwnerDied;
                        (Came::Locked { owner_died }, Some(granted))
                    }
                };
                if let Some(granted) = granted {
                    self.tokens.insert(session, granted.token);
                }
                self.calls.remove(&session);
                came.push((session, what));
            }
            came.sort_unstable();
            came
        }
    }

    /// The lock and the condition variable as lists of sessions.
    #[derive(Debug, Default)]
    struct Model {
        holder: Option<u64>,
        owner_died: bool,
        /// Each with what it is told when it has the lock, if it comes from a wait: that somebody died.
        locking: Vec<(u64, Option<bool>)>,
        waiting: Vec<u64>,
        came: Vec<(u64, Came)>,
    }

    impl Model {
        fn lock(&mut self, session: u64, wakes: Option<bool>) {
            self.locking.push((session, wakes));
            self.settle();
        }

        fn settle(&mut self) {
            if self.holder.is_none() && !self.locking.is_empty() {
                let (session, wakes) = self.locking.remove(0);
                self.holder = Some(session);
                let owner_died = self.owner_died;
                let came = match wakes {
                    None => Came::Locked { owner_died },
                    Some(died) => Came::Woken {
                        died,
                        is_locked: true,
                    },
                };
                self.came.push((session, came));
            }
        }

        fn unlock(&mut self) {
            self.holder = None;
            self.owner_died = false;
            self.settle();
        }

        fn is_idle(&self, session: u64) -> bool {
            let is_locking = self.locking.iter().any(|(by, _)| *by == session);
            self.holder != Some(session) && !is_locking && !self.waiting.contains(&session)
        }
    }

    #[test]
    fn no_history_loses_a_notification_or_a_lock() {
        let steps = (1..=3).flat_map(|session| {
            [
                Step::Lock(session),
                Step::Unlock(session),
                Step::Wait(session),
                Step::Cancel(session),
                Step::End(session),
            ]
        });
        let steps: Vec<Step> = steps.chain([Step::Notify]).collect();
        let two_wait = [Step::Lock(1), Step::Wait(1), Step::Lock(2), Step::Wait(2)];
        let one_holds = [&two_wait[..], &[Step::Lock(3)]].concat();
        let one_is_notified = [&one_holds[..], &[Step::Notify]].concat();
        for before in [&[][..], &two_wait, &one_holds, &one_is_notified] {
            search::all(&steps, 3, |history| check(before, history));
        }
    }

    fn check(before: &[Step], history: &[Step]) {
        let mut world = World {
            mutex: Mutex::new(Blob::of(&7u8).unwrap()),
            condvar: Condvar::default(),
            replies: Replies::default(),
            calls: HashMap::new(),
            waits: HashSet::new(),
            tokens: HashMap::new(),
        };
        let mut model = Model::default();
        for step in before.iter().chain(history) {
            match *step {
                Step::Lock(session) if model.is_idle(session) => {
                    world.call(session, MUTEX, &mutex::Request::Lock);
                    model.lock(session, None);
                }
                Step::Unlock(session) if model.holder == Some(session) => {
                    let request = mutex::Request::Unlock {
                        token: world.tokens[&session],
                        value: None,
                        poison: false,
                    };
                    world.request(session, None, MUTEX, &request);
                    model.unlock();
                }
                Step::Wait(session) if model.holder == Some(session) => {
                    let request = mutex::Request::Wait {
                        token: world.tokens[&session],
                        value: None,
                        condvar: CONDVAR,
                        mutex: MUTEX,
                    };
                    world.waits.insert(session);
                    world.call(session, MUTEX, &request);
                    model.waiting.push(session);
                    model.unlock();
                }
                Step::Notify => {
                    world.request(9, None, CONDVAR, &Request::Notify(1));
                    if !model.waiting.is_empty() {
                        let session = model.waiting.remove(0);
                        model.lock(session, Some(false));
                    }
                }
                Step::Cancel(session) => {
                    world.cancel(session);
                    let place = model.locking.iter().position(|(by, _)| *by == session);
                    if let Some(place) = place {
                        let came = match model.locking.remove(place).1 {
                            None => Came::NotYet,
                            Some(died) => Came::Woken {
                                died,
                                is_locked: false,
                            },
                        };
                        model.came.push((session, came));
                    } else if model.waiting.contains(&session) {
                        model.waiting.retain(|by| *by != session);
                        model.came.push((session, Came::NotYet));
                    }
                }
                Step::End(session) => {
                    world.end(session);
                    model.waiting.retain(|by| *by != session);
                    model.locking.retain(|(by, _)| *by != session);
                    if model.holder == Some(session) {
                        model.holder = None;
                        model.owner_died = true;
                        model.settle();
                    }
                    for woken in std::mem::take(&mut model.waiting) {
                        model.lock(woken, Some(true));
                    }
                }
                _ => continue,
            }
            let mut expected = std::mem::take(&mut model.came);
            expected.sort_unstable();
            assert_eq!(world.settle(), expected, "{before:?}, {history:?}");
        }
    }
}
