//! The pool's side: posting, revoking, and what is left when the worker dies.

use super::{CLAIMED, Entry, Memory, Part, REVOKED, WAITING, Word};
use crate::Failure;
use crate::atomics::Ordering;
use std::ops::Deref;

/// The pool's side of a ring, over the [`Memory`] that `P` refers to; the pool has one thread
/// at a time use it.
#[derive(Debug)]
pub struct PoolSide<P> {
    pub(super) memory: P,
    pub(super) posted: u64,
    arguments_written: u64,
    pub(super) results_read: u64,
    /// As far as the worker was seen to have come.
    taken: u64,
    arguments_read: u64,
    /// Where the arguments of the last posts end: of those that may be in slots, and of
    /// the one before them.
    ends: Box<[u64]>,
    /// The last post whose rest was asked for, and one.
    rest_wanted: u64,
}

/// What a dead worker has done with the first post that has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// It had not taken it.
    Untouched,
    /// It had taken it, and had begun no further call.
    Taken,
    /// It had begun the next call.
    Begun,
}

impl<M: Memory, P: Deref<Target = M>> PoolSide<P> {
    const ENDS: u64 = 2 * M::SLOTS;

    /// The pool's side of a new ring.
    #[must_use]
    pub fn new(memory: P) -> PoolSide<P> {
        PoolSide {
            memory,
            posted: 0,
            arguments_written: 0,
            results_read: 0,
            taken: 0,
            arguments_read: 0,
            ends: vec![0; Self::ENDS as usize].into(),
            rest_wanted: 0,
        }
    }

    /// The memory of the ring.
    #[must_use]
    pub fn memory(&self) -> &P {
        &self.memory
    }

    /// Where the arguments of all posts before this one end.
    fn end_before(&self, index: u64) -> u64 {
        index
            .checked_sub(1)
            .map_or(0, |last| self.ends[(last % Self::ENDS) as usize])
    }

    /// Learns how far the worker has come.
    #[inline]
    pub(super) fn see_progress(&mut self) -> Result<(), Failure> {
        let memory = &*self.memory;
        // SYNC(taken): see `WorkerSide::take`.
        let taken = memory.word(Word::Taken).load(Ordering::Acquire);
        if taken == self.taken && taken == self.posted {
            return Ok(());
        }
        // It writes what it has read first, and may have gone on since.
        let read = memory.word(Word::ArgumentsRead).load(Ordering::Acquire);
        let then = memory.word(Word::Taken).load(Ordering::Acquire);
        let goes_forward = self.taken <= taken && taken <= then && then <= self.posted;
        let last = (then + u64::from(goes_forward)).min(self.posted);
        if !goes_forward || !(taken..=last).any(|index| self.end_before(index) == read) {
            return Err(Failure::Corrupt);
        }
        (self.taken, self.arguments_read) = (taken, read);
        Ok(())
    }

    /// Returns `true` if so many posts without arguments have room.
    #[inline]
    pub fn has_slots(&mut self, count: u64) -> bool {
        // What was seen before is enough, most often.
        if self.posted - self.taken + count <= M::SLOTS {
            return true;
        }
        let sees = self.see_progress();
        sees.is_ok() && self.posted - self.taken + count <= M::SLOTS
    }

    /// Returns `true` if the worker says that it has taken a post or passed it over.
    pub fn is_behind(&self, index: u64) -> bool {
        self.memory.word(Word::Taken).load(Ordering::Acquire) > index
    }

    /// Asks the worker to give back what it has not begun of a post. If it is not in the midst
    /// of that post, it gives nothing back.
    pub fn ask_for_rest(&mut self, index: u64) {
        // Posts are taken in order: an older one is over, or is so before the newer begins.
        self.rest_wanted = self.rest_wanted.max(index + 1);
        self.memory
            .word(Word::GiveBack)
            .store(self.rest_wanted, Ordering::Relaxed);
    }

    /// Posts an entry whose arguments `copy` writes into the ring, from a place on.
    /// Returns its index, or `None` if there is no room.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn post(
        &mut self,
        entry: Entry,
        copy: impl FnOnce(&M, u64),
    ) -> Result<Option<u64>, Failure> {
        self.see_progress()?;
        let used = self.arguments_written - self.arguments_read;
        if self.posted - self.taken >= M::SLOTS || used + entry.length > M::ROOM {
            return Ok(None);
        }
        let memory = &*self.memory;
        let index = self.posted;
        copy(memory, self.arguments_written);
        self.arguments_written += entry.length;
        self.ends[(index % Self::ENDS) as usize] = self.arguments_written;
        entry.write(memory, index);
        memory
            .slot(index, Part::State)
            .store(index << 2 | WAITING, Ordering::Relaxed);
        self.posted = index + 1;
        // SYNC(posts): whoever sees the index sees what is before it.
        memory
            .word(Word::Posted)
            .store(self.posted, Ordering::Release);
        Ok(Some(index))
    }

    /// Takes a post back. Returns `true` if the worker had not taken it.
    pub fn revoke(&self, index: u64) -> bool {
        let slot = self.memory.slot(index, Part::State);
        let (waiting, revoked) = (index << 2 | WAITING, index << 2 | REVOKED);
        slot.compare_exchange(waiting, revoked, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Returns `true` if the worker has taken a post. (Its slot is another one's, if there
    /// were so many more.)
    pub(super) fn is_claimed(&self, index: u64) -> bool {
        self.posted - index > M::SLOTS || self.is(index, CLAIMED)
    }

    fn is(&self, index: u64, state: u64) -> bool {
        let slot = self.memory.slot(index, Part::State);
        slot.load(Ordering::Acquire) == index << 2 | state
    }

    /// Says what a dead worker has done with the first post that has no result, at
    /// `index`, after `done` calls of which there are results. To be asked when all
    /// results were collected.
    pub fn remains(&self, index: u64, done: u64) -> Remains {
        match self.standing().begun.checked_sub(done) {
            Some(0) if self.is_claimed(index) => Remains::Taken,
            Some(0) => Remains::Untouched,
            _ => self.remains_of_corrupt(index, done),
        }
    }

    /// As [`remains`](PoolSide::remains), where the words make no sense: a call counts as
    /// begun unless its post is where it was put, so that none is made twice.
    pub fn remains_of_corrupt(&self, index: u64, done: u64) -> Remains {
        let is_next = self.standing().begun.checked_sub(done) == Some(1);
        let is_waiting = self.posted - index <= M::SLOTS && self.is(index, WAITING);
        match is_waiting && !is_next {
            true => Remains::Untouched,
            false => Remains::Begun,
        }
    }
}
