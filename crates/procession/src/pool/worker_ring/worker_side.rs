//! The worker's side of a ring: posts come out, results go in.

use super::{Order, Post, RingMemory, read_ring, write_ring};
use crate::pool::sleep::Sleeper;
use crate::process::task::record;
use crate::{Error, ErrorKind};
use procession_core::worker_ring;
use std::sync::Arc;

/// Ends the worker, which is told as its panic.
#[cold]
fn spoilt() -> ! {
    let error = Error::new(ErrorKind::Corrupt, "taking orders of pool", "");
    panic!(
        "{}",
        error.because("the memory that it shares with this worker was overwritten")
    )
}

/// The worker's side of a ring.
#[derive(Debug)]
pub(in crate::pool) struct WorkerSide {
    ring: worker_ring::WorkerSide<Arc<RingMemory>>,
    records: u32,
}

impl WorkerSide {
    pub(in crate::pool) fn new(memory: Arc<RingMemory>) -> WorkerSide {
        WorkerSide {
            ring: worker_ring::WorkerSide::new(memory),
            records: 0,
        }
    }

    /// Tells the pool that the worker takes orders from now on.
    pub(in crate::pool) fn become_ready(&self) {
        self.ring.become_ready();
    }

    /// Takes the next order and its bytes, if there is one. An order that was taken back is
    /// passed over, unless its packet has to be received all the same: it is returned with
    /// `false`.
    pub(in crate::pool) fn take(&mut self, bytes: &mut Vec<u8>) -> Option<(Post, bool)> {
        loop {
            let copy = |memory: &RingMemory, at, length| {
                bytes.clear();
                read_ring(memory.arguments(), at, length, bytes);
            };
            let Ok(taken) = self.ring.take(copy) else {
                spoilt();
            };
            let taken = taken?;
            let Some(post) = Post::from_entry(taken.entry) else {
                spoilt();
            };
            if taken.is_claimed || post.order == Order::RunMailed {
                return Some((post, taken.is_claimed));
            }
        }
    }

    /// Returns `true` if there are orders.
    #[inline]
    pub(in crate::pool) fn has_posts(&self) -> bool {
        self.ring.has_posts()
    }

    /// Waits until there are orders; before it sleeps it calls `before`.
    pub(in crate::pool) fn wait(&self, before: impl FnMut()) {
        self.ring.wait(before, &Sleeper::SHORT);
    }

    /// Writes a record. If there is no room, `when_full` is called, and has the pool
    /// make some.
    #[inline]
    pub(in crate::pool) fn write(&mut self, record: &mut [u8], when_full: impl Fn()) {
        record::number(record, self.records);
        self.records = self.records.wrapping_add(1);
        let copy = |memory: &RingMemory, at| write_ring(memory.results(), at, record);
        let written = self
            .ring
            .write(record.len(), copy, when_full, &Sleeper::SHORT);
        if written.is_err() {
            spoilt();
        }
    }

    /// Begins a call.
    #[inline]
    pub(in crate::pool) fn begin(&mut self) {
        self.ring.begin();
    }

    /// Begins a call that can be condemned.
    #[inline]
    pub(in crate::pool) fn begin_exact(&mut self, now: u64) {
        self.ring.begin_exact(now);
    }

    /// Ends a call that can be condemned. Returns `true` if it was not.
    #[inline]
    pub(in crate::pool) fn end_exact(&self) -> bool {
        self.ring.end_exact().unwrap_or_else(|_| spoilt())
    }

    /// Returns `true` if the pool wants the rest of the batch that was taken last.
    #[inline]
    pub(in crate::pool) fn is_rest_wanted(&self) -> bool {
        self.ring.is_rest_wanted()
    }

    /// Tells the pool how much resident memory the worker has, in bytes.
    pub(in crate::pool) fn tell_resident(&self, bytes: u64) {
        self.ring.tell_resident(bytes);
    }
}
