//! The worker's side: taking posts.

use super::{CLAIMED, Entry, Memory, Part, REVOKED, WAITING, Word};
use crate::Failure;
use crate::atomics::Ordering;
use std::ops::Deref;

/// The worker's side of a ring, over the [`Memory`] that `P` refers to.
#[derive(Debug)]
pub struct WorkerSide<P> {
    pub(super) memory: P,
    pub(super) taken: u64,
    pub(super) arguments_read: u64,
    pub(super) results_written: u64,
    /// As far as this side knows.
    pub(super) results_read: u64,
    pub(super) begun: u64,
}

/// A post that the worker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it says.
    pub entry: Entry,
    /// It is the worker's; otherwise the pool has taken it back.
    pub is_claimed: bool,
}

impl<M: Memory, P: Deref<Target = M>> WorkerSide<P> {
    /// The worker's side of a new ring.
    #[must_use]
    pub fn new(memory: P) -> WorkerSide<P> {
        WorkerSide {
            memory,
            taken: 0,
            arguments_read: 0,
            results_written: 0,
            results_read: 0,
            begun: 0,
        }
    }

    /// Tells the pool that the worker takes posts from now on.
    pub fn become_ready(&self) {
        self.memory.word(Word::Ready).store(1, Ordering::Release);
    }

    /// Tells the pool how much memory the worker has, in bytes.
    pub fn tell_resident(&self, bytes: u64) {
        self.memory
            .word(Word::Resident)
            .store(bytes, Ordering::Relaxed);
    }

    /// Returns `true` if there are posts.
    #[inline]
    #[must_use]
    pub fn has_posts(&self) -> bool {
        // SYNC(posts): see `PoolSide::post`.
        self.taken < self.memory.word(Word::Posted).load(Ordering::Acquire)
    }

    /// Takes the next post, or passes it over if it was revoked. `copy` takes its
    /// arguments out of the ring, from a place on, so many bytes; it is called only for
    /// a post that is the worker's. Returns `None` if there are no posts.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn take(&mut self, copy: impl FnOnce(&M, u64, usize)) -> Result<Option<Taken>, Failure> {
        if !self.has_posts() {
            return Ok(None);
        }
        let memory = &*self.memory;
        let index = self.taken;
        let claimed = memory.slot(index, Part::State).compare_exchange(
            index << 2 | WAITING,
            index << 2 | CLAIMED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let is_whole = claimed.is_ok() || claimed == Err(index << 2 | REVOKED);
        let entry = Entry::read(memory, index)
            .filter(|entry| is_whole && entry.length <= M::ROOM)
            .ok_or(Failure::Corrupt)?;
        if claimed.is_ok() {
            copy(memory, self.arguments_read, entry.length as usize);
        }
        self.arguments_read += entry.length;
        // SYNC(taken): whoever sees that bytes were read, or a slot was done with, may
        // write there.
        memory
            .word(Word::ArgumentsRead)
            .store(self.arguments_read, Ordering::Release);
        self.taken = index + 1;
        memory
            .word(Word::Taken)
            .store(self.taken, Ordering::Release);
        Ok(Some(Taken {
            entry,
            is_claimed: claimed.is_ok(),
        }))
    }

    /// Returns `true` if the pool wants the rest of the post that was taken last.
    #[inline]
    #[must_use]
    pub fn is_rest_wanted(&self) -> bool {
        self.memory.word(Word::GiveBack).load(Ordering::Relaxed) == self.taken
    }
}
