//! Callers that wait, in the order in which they came.

use super::object::{Caller, Replies, SessionId};
use crate::manager::reply::Reply;
use std::collections::{BTreeMap, VecDeque};

/// As many are looked through one by one; of more, it is kept where each stands.
const FEW: usize = 32;

/// Callers that wait, each with what it wants: the first that came is the first that goes.
///
/// One that gives up, and all of a session that ends, are found without a look at the others.
#[derive(Debug)]
pub(in crate::manager) struct Waiting<T> {
    /// The first of them is one that waits; others may have given up.
    places: VecDeque<Option<(Caller, T)>>,
    /// The number of the first place.
    first: u64,
    count: usize,
    /// The numbers of places, while there are more than a few.
    index: Option<BTreeMap<(SessionId, u64), u64>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting {
            places: VecDeque::new(),
            first: 0,
            count: 0,
            index: None,
        }
    }
}

fn key(caller: &Caller) -> Option<(SessionId, u64)> {
    caller.call.map(|call| (caller.session, call))
}

impl<T> Waiting<T> {
    /// Has a caller wait, or tells it that it would have to. One that wants no answer waits for nothing.
    pub(in crate::manager) fn push(&mut self, caller: Caller, wants: T, replies: &mut Replies) {
        match key(&caller) {
            None => {}
            Some(_) if caller.is_try => replies.push(caller, Reply::NotYet),
            Some(key) => {
                if let Some(index) = &mut self.index {
                    index.insert(key, self.first + self.places.len() as u64);
                }
                self.places.push_back(Some((caller, wants)));
                self.count += 1;
                if self.index.is_none() && self.places.len() > FEW {
                    self.tidy();
                }
            }
        }
    }

    pub(in crate::manager) fn pop(&mut self) -> Option<(Caller, T)> {
        let place = self.first;
        self.front()?;
        self.take(place)
    }

    /// The caller with the highest key, and of several the first. Looks at all.
    pub(in crate::manager) fn pop_highest<K: Ord>(
        &mut self,
        key: impl Fn(&T) -> K,
    ) -> Option<(Caller, T)> {
        let places = (self.first..).zip(&self.places);
        let keys = places.filter_map(|(place, waits)| {
            let (_, wants) = waits.as_ref()?;
            Some((key(wants), std::cmp::Reverse(place)))
        });
        let (_, std::cmp::Reverse(place)) = keys.max()?;
        self.take(place)
    }

    /// What the first of them wants.
    pub(in crate::manager) fn front(&self) -> Option<&(Caller, T)> {
        self.places.front()?.as_ref()
    }

    pub(in crate::manager) fn drain(&mut self) -> impl Iterator<Item = (Caller, T)> + use<T> {
        std::mem::take(self).places.into_iter().flatten()
    }

    pub(in crate::manager) fn len(&self) -> usize {
        self.count
    }

    /// Forgets a caller; returns `false` if it does not wait here.
    pub(in crate::manager) fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        self.remove(session, call).is_some()
    }

    /// Forgets a caller, and returns what it wanted.
    pub(in crate::manager) fn remove(
        &mut self,
        session: SessionId,
        call: u64,
    ) -> Option<(Caller, T)> {
        let wanted = (session, call);
        let place = match &self.index {
            Some(index) => *index.get(&wanted)?,
            None => {
                let is_it = |place: &Option<(Caller, T)>| {
                    place
                        .as_ref()
                        .is_some_and(|(caller, _)| key(caller) == Some(wanted))
                };
                self.first + self.places.iter().position(is_it)? as u64
            }
        };
        self.take(place)
    }

    /// Forgets all callers of a session; returns how many there were.
    pub(in crate::manager) fn end_session(&mut self, session: SessionId) -> usize {
        let before = self.count;
        match &self.index {
            None => {
                for place in &mut self.places {
                    if let Some((caller, _)) = place
                        && caller.session == session
                    {
                        *place = None;
                        self.count -= 1;
                    }
                }
                self.tidy();
            }
            Some(index) => {
                let all = index.range((session, 0)..=(session, u64::MAX));
                let calls: Vec<u64> = all.map(|((_, call), _)| *call).collect();
                for call in calls {
                    self.remove(session, call);
                }
            }
        }
        before - self.count
    }

    fn take(&mut self, place: u64) -> Option<(Caller, T)> {
        let number = usize::try_from(place.checked_sub(self.first)?).ok()?;
        let taken = self.places.get_mut(number)?.take()?;
        self.count -= 1;
        if let (Some(index), Some(key)) = (&mut self.index, key(&taken.0)) {
            index.remove(&key);
        }
        self.tidy();
        Some(taken)
    }

    /// Has a caller in the first place, at most every second place empty, and an index if it takes one.
    fn tidy(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        let is_sparse = self.places.len() > FEW.max(2 * self.count);
        if is_sparse {
            self.places.retain(Option::is_some);
        }
        if self.places.len() <= FEW / 2 {
            self.index = None;
        } else if self.places.len() > FEW && self.index.is_none()
            || is_sparse && self.index.is_some()
        {
            let numbered = (self.first..).zip(&self.places);
            let index = numbered.filter_map(|(number, place)| {
                let (caller, _) = place.as_ref()?;
                Some((key(caller)?, number))
            });
            self.index = Some(index.collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(session: u64, call: u64) -> Caller {
        Caller {
            session: SessionId(session),
            thread: 1,
            call: Some(call),
            is_try: false,
        }
    }

    /// A sequence of numbers that looks random, and is the same each time.
    fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |below| {
            state = state
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(seed | 1);
            (state >> 33) % below
        }
    }

    #[test]
    fn callers_wait_in_their_order_whoever_leaves() {
        for seed in 1..200 {
            let mut next = numbers(seed);
            // Few at a time in some rounds, many in others.
            let pushes = 2 + next(6);
            let (mut waiting, mut expected) = (Waiting::default(), Vec::new());
            let mut replies = Replies::default();
            for call in 0..400 {
                let (session, before) = (next(12), expected.len());
                match next(pushes + 3) {
                    0 => assert_eq!(
                        waiting.pop().map(|(caller, wants)| (key(&caller), wants)),
                        (!expected.is_empty())
                            .then(|| expected.remove(0))
                            .map(|(session, call)| (Some((SessionId(session), call)), call)),
                    ),
                    1 if next(20) == 0 => {
                        let count = waiting.end_session(SessionId(session));
                        expected.retain(|(other, _)| *other != session);
                        assert_eq!(count + expected.len(), before);
                    }
                    1 | 2 => {
                        let place = next(expected.len() as u64 + 1) as usize;
                        let (session, call) = expected.get(place).copied().unwrap_or((99, call));
                        let was = waiting.cancel(SessionId(session), call);
                        assert_eq!(was, expected.contains(&(session, call)));
                        expected.retain(|other| *other != (session, call));
                    }
                    _ => {
                        waiting.push(caller(session, call), call, &mut replies);
                        expected.push((session, call));
                    }
                }
                assert_eq!(waiting.len(), expected.len(), "seed {seed}");
                let front = waiting.front().map(|(_, wants)| *wants);
                assert_eq!(front, expected.first().map(|(_, call)| *call));
            }
            let rest: Vec<u64> = waiting.drain().map(|(_, wants)| wants).collect();
            let expected: Vec<u64> = expected.into_iter().map(|(_, call)| call).collect();
            assert_eq!(rest, expected, "seed {seed}");
            assert!(replies.0.is_empty());
        }
    }

    #[test]
    fn the_highest_goes_first_and_of_equals_the_one_that_came_first() {
        // With more than a few, the places are indexed.
        for count in [7, 5 * FEW as u64] {
            let mut next = numbers(count);
            let (mut waiting, mut expected) = (Waiting::default(), Vec::new());
            let mut replies = Replies::default();
            for call in 0..count {
                let priority = next(3);
                waiting.push(caller(1, call), priority, &mut replies);
                expected.push((std::cmp::Reverse(priority), call));
            }
            // One that gave up leaves a place that is empty.
            assert!(waiting.cancel(SessionId(1), 3));
            expected.retain(|(_, call)| *call != 3);
            expected.sort();
            for (priority, call) in expected {
                let (caller, wants) = waiting.pop_highest(|wants| *wants).unwrap();
                assert_eq!((caller.call, wants), (Some(call), priority.0));
            }
            assert!(waiting.pop_highest(|wants| *wants).is_none());
            assert_eq!(waiting.len(), 0);
        }
    }

    #[test]
    fn one_that_only_tries_or_wants_no_answer_does_not_wait() {
        let (mut waiting, mut replies) = (Waiting::default(), Replies::default());
        let tries = Caller {
            is_try: true,
            ..caller(1, 1)
        };
        waiting.push(tries, (), &mut replies);
        assert!(matches!(*replies.0, [(_, Reply::NotYet)]));
        let tells = Caller {
            call: None,
            ..caller(1, 1)
        };
        waiting.push(tells, (), &mut replies);
        assert_eq!((waiting.len(), replies.0.len()), (0, 1));
    }
}
