//! The pool's side of a ring: posts go in, results come out.

use super::{Post, Remains, RingMemory, read_ring, write_ring};
use crate::pool::sleep::Sleeper;
use procession_core::worker_ring::{self, Standing};
use std::sync::Arc;

/// The pool's side of a ring, for whoever holds the pool's lock.
#[derive(Debug)]
pub(in crate::pool) struct PoolSide(worker_ring::PoolSide<Arc<RingMemory>>);

impl PoolSide {
    pub(in crate::pool) fn new(memory: Arc<RingMemory>) -> PoolSide {
        PoolSide(worker_ring::PoolSide::new(memory))
    }

    pub(in crate::pool) fn memory(&self) -> &Arc<RingMemory> {
        self.0.memory()
    }

    /// Returns `true` if an order without bytes has room.
    pub(in crate::pool) fn has_slot(&mut self) -> bool {
        self.0.has_slot()
    }

    /// Posts an order. Returns its index, or `None` if there is no room.
    #[inline]
    pub(in crate::pool) fn post(&mut self, post: Post, bytes: &[u8]) -> Option<u64> {
        let copy = |memory: &RingMemory, at| write_ring(memory.arguments(), at, bytes);
        // One whose words make no sense gets nothing, and is found out.
        self.0.post(post.entry(bytes.len()), copy).ok().flatten()
    }

    /// Wakes the worker if it sleeps until there are posts.
    #[inline]
    pub(in crate::pool) fn announce(&self) {
        self.0.announce(&Sleeper::SHORT);
    }

    /// Takes a post back. Returns `true` if the worker had not taken it.
    pub(in crate::pool) fn revoke(&self, index: u64) -> bool {
        self.0.revoke(index)
    }

    /// Says what a dead worker has done with the first post that has no result, after
    /// `done` calls of which there are results.
    pub(in crate::pool) fn remains(&self, index: u64, done: u64) -> Remains {
        self.0.remains(index, done)
    }

    /// As [`remains`](PoolSide::remains), where the words make no sense.
    pub(in crate::pool) fn remains_of_corrupt(&self, index: u64, done: u64) -> Remains {
        self.0.remains_of_corrupt(index, done)
    }

    /// Returns `true` if what the worker writes contradicts that it has, or has had, a post
    /// whose results are not here.
    pub(in crate::pool) fn is_denied(&self, index: u64) -> bool {
        self.0.is_denied(index)
    }

    /// Appends the results that there are. Returns `true` if there were any, and `None` if
    /// the words make no sense.
    #[inline]
    pub(in crate::pool) fn read_results(&mut self, into: &mut Vec<u8>) -> Option<bool> {
        let copy = |memory: &RingMemory, at, length| {
            read_ring(memory.results(), at, length, into);
        };
        self.0.collect(copy, &Sleeper::SHORT).ok()
    }

    /// Says where the worker stands.
    pub(in crate::pool) fn standing(&self) -> Standing {
        self.0.standing()
    }

    /// Condemns the call with this number. Returns `true` if it was running: the worker
    /// does nothing more then, and is to be killed.
    pub(in crate::pool) fn condemn(&self, call: u64) -> bool {
        self.0.condemn(call)
    }

    /// Tells the call with this number that it should end.
    pub(in crate::pool) fn give_notice(&self, call: u64) {
        self.0.give_notice(call);
    }

    /// Returns how much resident memory the worker had when it last told, in bytes.
    pub(in crate::pool) fn resident(&self) -> u64 {
        self.0.resident()
    }
}
