//! The pool's side of a ring: posts go in, results come out.

use super::{Order, Post, Remains, RingMemory, read_ring, write_ring};
use crate::pool::sleep::Sleeper;
use procession_core::worker_ring::{self, Standing};
use std::sync::Arc;

/// Posts in a ring that were taken back and that its worker has not passed over, at most,
/// before it gets others: their arguments take room, and so do their packets and the
/// descriptors in them.
const MOST_REVOKED: usize = 16;

/// The pool's side of a ring, for the thread that holds the pool's lock.
#[derive(Debug)]
pub(in crate::pool) struct PoolSide {
    ring: worker_ring::PoolSide<Arc<RingMemory>>,
    /// Posts that were taken back, and that the worker may not have passed over.
    revoked: Vec<u64>,
}

impl PoolSide {
    pub(in crate::pool) fn new(memory: Arc<RingMemory>) -> PoolSide {
        PoolSide {
            ring: worker_ring::PoolSide::new(memory),
            revoked: Vec::new(),
        }
    }

    pub(in crate::pool) fn memory(&self) -> &Arc<RingMemory> {
        self.ring.memory()
    }

    /// Returns `true` if an order without bytes has room.
    pub(in crate::pool) fn has_slot(&mut self) -> bool {
        // The last one is for the order to stop, which has room therefore, whatever the worker
        // has not passed over.
        self.ring.has_slots(2)
    }

    /// Posts an order. Returns its index, or `None` if there is no room.
    #[inline]
    pub(in crate::pool) fn post(&mut self, post: Post, bytes: &[u8]) -> Option<u64> {
        if post.order != Order::Stop && !self.has_slot() {
            return None;
        }
        let copy = |memory: &RingMemory, at| write_ring(memory.arguments(), at, bytes);
        // One whose words make no sense gets nothing, and is found out.
        self.ring.post(post.entry(bytes.len()), copy).ok().flatten()
    }

    /// Wakes the worker if it sleeps until there are posts.
    #[inline]
    pub(in crate::pool) fn announce(&self) {
        self.ring.announce(&Sleeper::SHORT);
    }

    /// Takes a post back. Returns `true` if the worker had not taken it.
    pub(in crate::pool) fn revoke(&mut self, index: u64) -> bool {
        let is_revoked = self.ring.revoke(index);
        if is_revoked {
            let ring = &self.ring;
            self.revoked.retain(|index| !ring.is_behind(*index));
            self.revoked.push(index);
        }
        is_revoked
    }

    /// Returns `true` if so many posts were taken back that the worker is to pass them over
    /// before it gets others.
    #[inline]
    pub(in crate::pool) fn has_many_revoked(&self) -> bool {
        self.revoked.len() >= MOST_REVOKED && {
            let revoked = self.revoked.iter();
            let left = revoked.filter(|index| !self.ring.is_behind(**index));
            left.count() >= MOST_REVOKED
        }
    }

    /// Asks the worker to give back what it has not begun of a post.
    pub(in crate::pool) fn ask_for_rest(&mut self, index: u64) {
        self.ring.ask_for_rest(index);
    }

    /// Says what a dead worker has done with the first post that has no result, after
    /// `done` calls of which there are results.
    pub(in crate::pool) fn remains(&self, index: u64, done: u64) -> Remains {
        self.ring.remains(index, done)
    }

    /// As [`remains`](PoolSide::remains), where the words make no sense.
    pub(in crate::pool) fn remains_of_corrupt(&self, index: u64, done: u64) -> Remains {
        self.ring.remains_of_corrupt(index, done)
    }

    /// Returns `true` if what the worker writes contradicts that it has, or has had, a post
    /// whose results are not here.
    pub(in crate::pool) fn is_denied(&self, index: u64) -> bool {
        self.ring.is_denied(index)
    }

    /// Appends the results that there are. Returns `true` if there were any, and `None` if
    /// the words make no sense.
    #[inline]
    pub(in crate::pool) fn read_results(&mut self, into: &mut Vec<u8>) -> Option<bool> {
        let copy = |memory: &RingMemory, at, length| {
            read_ring(memory.results(), at, length, into);
        };
        self.ring.collect(copy, &Sleeper::SHORT).ok()
    }

    /// Says where the worker stands.
    pub(in crate::pool) fn standing(&self) -> Standing {
        self.ring.standing()
    }

    /// Condemns the call with this number. Returns `true` if it was running: the worker
    /// does nothing more then, and is to be killed.
    pub(in crate::pool) fn condemn(&self, call: u64) -> bool {
        self.ring.condemn(call)
    }

    /// Tells the call with this number that it should end.
    pub(in crate::pool) fn give_notice(&self, call: u64) {
        self.ring.give_notice(call);
    }

    /// Returns how much resident memory the worker had when it last told, in bytes.
    pub(in crate::pool) fn resident(&self) -> u64 {
        self.ring.resident()
    }
}
