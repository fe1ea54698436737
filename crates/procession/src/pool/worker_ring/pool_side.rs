//! The pool's side of a ring: posts go in, results come out.

use super::{
    ARGUMENTS_READ, ASLEEP, AWAITS_POSTS, AWAITS_ROOM, BEGUN, BEGUN_AT, CLAIMED, CONDEMNED,
    CURRENT, GIVE_BACK, NOTICE, POSTED, Post, READY, RESIDENT, RESULTS_READ, RESULTS_WRITTEN,
    REVOKED, ROOM, RUNNING, RingMemory, SLOTS, TAKEN, WAITING, read_ring, write_ring,
};
use procession_sys::futex;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Posts of which the pool knows where their arguments end: those that may be in slots, and
/// the one before them.
const ENDS: u64 = 2 * SLOTS;

/// The pool's side of a ring, for whoever holds the pool's lock.
#[derive(Debug)]
pub(in crate::pool) struct PoolSide {
    ring: Arc<RingMemory>,
    posted: u64,
    arguments_written: u64,
    results_read: u64,
    /// As far as the worker was seen to have come.
    taken: u64,
    arguments_read: u64,
    /// Where the arguments of the last posts end.
    ends: Box<[u64; ENDS as usize]>,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Standing {
    /// Calls that it has begun since it started.
    pub(in crate::pool) begun: u64,
    /// When it began the last one, if that is timed; on the monotonic clock, in
    /// nanoseconds.
    pub(in crate::pool) begun_at: u64,
}

impl PoolSide {
    pub(in crate::pool) fn new(ring: Arc<RingMemory>) -> PoolSide {
        PoolSide {
            ring,
            posted: 0,
            arguments_written: 0,
            results_read: 0,
            taken: 0,
            arguments_read: 0,
            ends: Box::new([0; ENDS as usize]),
        }
    }

    pub(in crate::pool) fn memory(&self) -> &Arc<RingMemory> {
        &self.ring
    }

    /// Where the arguments of all posts before this one end.
    fn end_before(&self, index: u64) -> u64 {
        index
            .checked_sub(1)
            .map_or(0, |last| self.ends[(last % ENDS) as usize])
    }

    /// Learns how far the worker has come; `None` if its words make no sense.
    #[inline]
    fn see_progress(&mut self) -> Option<()> {
        let ring = &*self.ring;
        let taken = ring.word(TAKEN).load(Ordering::Acquire);
        if taken == self.taken && taken == self.posted {
            return Some(());
        }
        // It writes what it has read first, and may have gone on since.
        let read = ring.word(ARGUMENTS_READ).load(Ordering::Acquire);
        let then = ring.word(TAKEN).load(Ordering::Acquire);
        let goes_forward = self.taken <= taken && taken <= then && then <= self.posted;
        let last = (then + u64::from(goes_forward)).min(self.posted);
        if !goes_forward || !(taken..=last).any(|index| self.end_before(index) == read) {
            return None;
        }
        (self.taken, self.arguments_read) = (taken, read);
        Some(())
    }

    /// Whether an order without bytes has room.
    pub(in crate::pool) fn has_slot(&mut self) -> bool {
        self.see_progress().is_some() && self.posted - self.taken < SLOTS
    }

    /// Posts an order; its index, or `None` if there is no room.
    #[inline]
    pub(in crate::pool) fn post(&mut self, post: Post, bytes: &[u8]) -> Option<u64> {
        // One whose words make no sense gets nothing, and is found out.
        self.see_progress()?;
        let used = self.arguments_written - self.arguments_read;
        if self.posted - self.taken >= SLOTS || used + bytes.len() as u64 > ROOM {
            return None;
        }
        let ring = &*self.ring;
        let index = self.posted;
        write_ring(ring.arguments(), self.arguments_written, bytes);
        self.arguments_written += bytes.len() as u64;
        self.ends[(index % ENDS) as usize] = self.arguments_written;
        let (word, count, length) = (post.word(), u64::from(post.count), bytes.len() as u64);
        let check = Post::check(index, word, count, length);
        ring.slot(index, 1).store(word, Ordering::Relaxed);
        ring.slot(index, 2)
            .store(count | check << 32, Ordering::Relaxed);
        ring.slot(index, 3).store(length, Ordering::Relaxed);
        ring.slot(index, 0)
            .store(index << 2 | WAITING, Ordering::Relaxed);
        self.posted = index + 1;
        // SYNC(posts): whoever sees the index sees what is before it.
        ring.word(POSTED).store(self.posted, Ordering::Release);
        Some(index)
    }

    /// Wakes the worker if it sleeps until there are posts.
    #[inline]
    pub(in crate::pool) fn announce(&self) {
        // SYNC(sleep): it says that it sleeps, then looks for posts; we post, then
        // look whether it says so.
        fence(Ordering::SeqCst);
        if self.ring.word(ASLEEP).load(Ordering::Relaxed) == AWAITS_POSTS {
            futex::wake(self.ring.word(POSTED), 1);
        }
    }

    /// Takes a post back. Whether the worker had not taken it.
    pub(in crate::pool) fn revoke(&self, index: u64) -> bool {
        let slot = self.ring.slot(index, 0);
        let (waiting, revoked) = (index << 2 | WAITING, index << 2 | REVOKED);
        slot.compare_exchange(waiting, revoked, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Whether the worker has taken a post. (Its slot is another one's, if there were so
    /// many more.)
    pub(in crate::pool) fn is_claimed(&self, index: u64) -> bool {
        self.posted - index > SLOTS
            || self.ring.slot(index, 0).load(Ordering::Acquire) == index << 2 | CLAIMED
    }

    /// Whether a post is as it was when it was written.
    pub(in crate::pool) fn is_waiting(&self, index: u64) -> bool {
        self.posted - index <= SLOTS
            && self.ring.slot(index, 0).load(Ordering::Acquire) == index << 2 | WAITING
    }

    /// Whether what the worker writes contradicts that it has, or has had, a post whose
    /// results are not here: it has passed it over, or sleeps until there are others.
    pub(in crate::pool) fn is_denied(&self, index: u64) -> bool {
        let ring = &*self.ring;
        let taken = ring.word(TAKEN).load(Ordering::Acquire);
        if taken > index && !self.is_claimed(index) {
            return true;
        }
        // It says that it sleeps after all that it has written, and that it does not
        // before it says what it has taken.
        taken == self.posted
            && ring.word(ASLEEP).load(Ordering::Acquire) == AWAITS_POSTS
            && ring.word(RESULTS_WRITTEN).load(Ordering::Acquire) == self.results_read
    }

    /// Appends the results that there are; whether there were any, or `None` if
    /// the words make no sense.
    #[inline]
    pub(in crate::pool) fn read_results(&mut self, into: &mut Vec<u8>) -> Option<bool> {
        // SYNC(results): whoever sees the index sees the bytes before it.
        let written = self.ring.word(RESULTS_WRITTEN).load(Ordering::Acquire);
        let length = written.wrapping_sub(self.results_read);
        self.see_progress()?;
        let is_ours = |word: usize, ours: u64| self.ring.word(word).load(Ordering::Relaxed) == ours;
        let are_ours = is_ours(POSTED, self.posted) && is_ours(RESULTS_READ, self.results_read);
        if length > ROOM || !are_ours {
            return None;
        }
        if length == 0 {
            return Some(false);
        }
        read_ring(
            self.ring.results(),
            self.results_read,
            length as usize,
            into,
        );
        self.results_read = written;
        self.ring
            .word(RESULTS_READ)
            .store(written, Ordering::Release);
        // SYNC(sleep): as in `announce`.
        fence(Ordering::SeqCst);
        if self.ring.word(ASLEEP).load(Ordering::Relaxed) == AWAITS_ROOM {
            futex::wake(self.ring.word(RESULTS_READ), 1);
        }
        Some(true)
    }

    pub(in crate::pool) fn standing(&self) -> Standing {
        let begun = self.ring.word(BEGUN).load(Ordering::Acquire);
        Standing {
            begun,
            begun_at: self.ring.word(BEGUN_AT).load(Ordering::Relaxed),
        }
    }

    /// Condemns the call with this number. Whether it was running: the worker will
    /// do nothing more then, and is to be killed.
    pub(in crate::pool) fn condemn(&self, call: u64) -> bool {
        let (running, condemned) = (call << 2 | RUNNING, call << 2 | CONDEMNED);
        let current = self.ring.word(CURRENT);
        current
            .compare_exchange(running, condemned, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Lets the call with this number know that it should end.
    pub(in crate::pool) fn give_notice(&self, call: u64) {
        self.ring.word(NOTICE).store(call, Ordering::Release);
    }

    /// Resident memory of the worker when it last told, in bytes.
    pub(in crate::pool) fn resident(&self) -> u64 {
        self.ring.word(RESIDENT).load(Ordering::Relaxed)
    }
}

impl RingMemory {
    /// Whether there are results that the pool has not read, or the worker has
    /// become ready since; for those who do not hold the pool's lock.
    #[inline]
    pub(in crate::pool) fn has_news(&self) -> bool {
        let written = self.word(RESULTS_WRITTEN).load(Ordering::Acquire);
        written != self.word(RESULTS_READ).load(Ordering::Relaxed)
    }

    pub(in crate::pool) fn is_ready(&self) -> bool {
        self.word(READY).load(Ordering::Acquire) != 0
    }

    /// Asks the worker to give back what it has not begun of its batch.
    pub(in crate::pool) fn ask_for_rest(&self) {
        self.word(GIVE_BACK).store(1, Ordering::Relaxed);
    }
}
