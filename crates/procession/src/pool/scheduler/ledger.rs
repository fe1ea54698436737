//! What a worker was sent and has not answered.

use super::ids::{ChunkId, JobId};
use std::collections::VecDeque;

/// The longest time that is counted, in nanoseconds: four months. The sum of as many as a
/// ring has slots is a number.
const MOST_COST: u64 = u64::MAX >> 10;

/// A chunk that was sent, until all its results are here.
#[derive(Debug)]
pub(in crate::pool) struct InFlight {
    /// `None` once all results are here; the record that ends the batch is not.
    chunk: Option<ChunkId>,
    pub(super) job: JobId,
    /// Place of the first argument in its run.
    pub(super) first: Option<u64>,
    /// The post in the ring.
    pub(super) index: u64,
    pub(super) count: u32,
    /// Results that are here.
    answered: u32,
    pub(super) priority: i32,
    /// The expected time in nanoseconds.
    cost: u64,
    /// The worker says when it begins each call.
    pub(super) is_exact: bool,
    /// A record with the time of the batch follows the results.
    has_end: bool,
    /// The worker was asked to give back what it has not begun.
    is_rest_wanted: bool,
}

/// What is known of a chunk when it is sent.
pub(super) struct Sent {
    pub(super) chunk: ChunkId,
    pub(super) job: JobId,
    pub(super) first: Option<u64>,
    pub(super) index: u64,
    pub(super) count: u32,
    pub(super) priority: i32,
    pub(super) cost: u64,
    pub(super) is_exact: bool,
    pub(super) has_end: bool,
}

/// What came of taking a chunk back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenBack {
    /// The worker had not begun it, and never will.
    Yes,
    /// The worker has begun it.
    Begun,
    /// The worker has no such chunk.
    Unknown,
}

/// The end of a batch whose record has arrived.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) entry: InFlight,
    /// The chunk of which the worker has given the rest back.
    pub(super) given_back: Option<ChunkId>,
}

/// The work in flight of one worker, in the order in which it was sent.
///
/// Invariants, which [`check`](Ledger::check) asserts:
/// - the indices of posts increase
/// - `load` is the sum of the costs of all entries
/// - `assigned - answered` is the number of calls whose results are missing
/// - only the first entry has results
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: VecDeque<InFlight>,
    load: u64,
    /// Calls that the worker was sent and has not given back, and those whose results are
    /// here, since it started.
    assigned: u64,
    answered: u64,
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the expected time of all entries in nanoseconds.
    pub(super) fn load(&self) -> u64 {
        self.load
    }

    pub(super) fn assigned(&self) -> u64 {
        self.assigned
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &InFlight> + Clone {
        self.entries.iter()
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&InFlight> {
        self.entries.front()
    }

    pub(super) fn back(&self) -> Option<&InFlight> {
        self.entries.back()
    }

    pub(super) fn push(&mut self, sent: Sent) {
        let cost = sent.cost.min(MOST_COST);
        self.load += cost;
        self.assigned += u64::from(sent.count);
        self.entries.push_back(InFlight {
            chunk: Some(sent.chunk),
            job: sent.job,
            first: sent.first,
            index: sent.index,
            count: sent.count,
            answered: 0,
            priority: sent.priority,
            cost,
            is_exact: sent.is_exact,
            has_end: sent.has_end,
            is_rest_wanted: false,
        });
        self.check();
    }

    /// Takes in that `count` results of the first entry are here; `None` if it has fewer
    /// arguments.
    #[inline]
    pub(super) fn answer(&mut self, count: u32) -> Option<()> {
        let first = self.entries.front_mut()?;
        if count > first.count - first.answered {
            return None;
        }
        first.answered += count;
        self.answered += u64::from(count);
        Some(())
    }

    /// Lets go of the chunk of the first entry, if it is `chunk` and all its results are
    /// here. Returns the number of calls, and whether the entry has gone with it.
    pub(super) fn release(&mut self, chunk: ChunkId) -> Option<(u32, bool)> {
        let first = self.entries.front_mut()?;
        if first.chunk != Some(chunk) || first.answered < first.count {
            return None;
        }
        first.chunk = None;
        let (count, is_gone) = (first.count, !first.has_end);
        if is_gone {
            self.pop_front();
        }
        self.check();
        Some((count, is_gone))
    }

    /// Takes in the record that ends the first entry.
    pub(super) fn end_front(&mut self) -> Option<Ended> {
        let entry = self.pop_front()?;
        let rest = entry.count - entry.answered;
        // What was given back was not assigned.
        self.assigned -= u64::from(rest);
        self.check();
        Some(Ended {
            given_back: entry.chunk,
            entry,
        })
    }

    fn pop_front(&mut self) -> Option<InFlight> {
        let entry = self.entries.pop_front()?;
        self.load -= entry.cost;
        Some(entry)
    }

    /// Takes the last chunk back, if `revoke` says that the worker has not begun its post.
    pub(super) fn take_back_last(&mut self, revoke: impl FnOnce(u64) -> bool) -> Option<ChunkId> {
        let last = self.entries.back()?;
        let chunk = last.chunk?;
        if !revoke(last.index) {
            return None;
        }
        self.remove(self.entries.len() - 1);
        Some(chunk)
    }

    /// Takes `chunk` back, if `revoke` says that the worker has not begun its post.
    pub(super) fn take_back(
        &mut self,
        chunk: ChunkId,
        revoke: impl FnOnce(u64) -> bool,
    ) -> TakenBack {
        let mut entries = self.entries.iter();
        let Some(at) = entries.position(|entry| entry.chunk == Some(chunk)) else {
            return TakenBack::Unknown;
        };
        if !revoke(self.entries[at].index) {
            return TakenBack::Begun;
        }
        self.remove(at);
        TakenBack::Yes
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            debug_assert_eq!(entry.answered, 0, "what was not begun has no results");
            self.load -= entry.cost;
            self.assigned -= u64::from(entry.count);
        }
        self.check();
    }

    /// Notes that the rest of the first entry is wanted back. Returns its post, if it has a
    /// rest and was not asked for it before.
    pub(super) fn want_rest_of_first(&mut self) -> Option<u64> {
        let first = self.entries.front_mut()?;
        (first.count > 1 && !std::mem::replace(&mut first.is_rest_wanted, true))
            .then_some(first.index)
    }

    /// Notes that the rest of a chunk is wanted back. Returns its post, if it has a rest.
    pub(super) fn want_rest_of(&mut self, chunk: ChunkId) -> Option<u64> {
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| entry.chunk == Some(chunk))?;
        entry.is_rest_wanted = true;
        (entry.count > 1).then_some(entry.index)
    }

    /// Takes out all chunks whose results are missing, with their posts: the worker is dead.
    pub(super) fn take_all(&mut self) -> Vec<(ChunkId, u64)> {
        self.load = 0;
        self.assigned = self.answered;
        let entries = self.entries.drain(..);
        entries
            .filter_map(|entry| Some((entry.chunk?, entry.index)))
            .collect()
    }

    /// Asserts the invariants, where assertions are on.
    fn check(&self) {
        #[cfg(debug_assertions)]
        {
            let indices = self.entries.iter().map(|entry| entry.index);
            assert!(indices.is_sorted(), "posts go in order");
            let costs = self.entries.iter().map(|entry| entry.cost);
            assert_eq!(
                costs.sum::<u64>(),
                self.load,
                "the load is that of all entries"
            );
            let missing = self
                .entries
                .iter()
                .map(|entry| entry.count - entry.answered);
            let missing: u64 = missing.map(u64::from).sum();
            assert_eq!(
                self.assigned - self.answered,
                missing,
                "each call is assigned once"
            );
            let behind = self.entries.iter().skip(1);
            assert!(
                behind.into_iter().all(|entry| entry.answered == 0),
                "results come in order"
            );
        }
    }
}

impl InFlight {
    /// Returns the chunk whose results are missing.
    #[inline]
    pub(super) fn chunk(&self) -> Option<ChunkId> {
        self.chunk
    }

    /// Returns how many results are here.
    pub(super) fn answered(&self) -> u32 {
        self.answered
    }

    pub(super) fn cost(&self) -> u64 {
        self.cost
    }
}
