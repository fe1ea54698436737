//! The worker's side of a ring: posts come out, results go in.

use super::{
    ARGUMENTS_READ, ASLEEP, AWAITS_POSTS, AWAITS_ROOM, BEGUN, BEGUN_AT, CLAIMED, CONDEMNED,
    CURRENT, GIVE_BACK, NOTICE, Order, POSTED, Post, READY, RESIDENT, RESULTS_READ,
    RESULTS_WRITTEN, REVOKED, ROOM, RUNNING, RingMemory, TAKEN, WAITING, read_ring, write_ring,
};
use crate::process::task::record;
use crate::registry::patience;
use crate::{Error, ErrorKind};
use procession_sys::futex;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// Longest sleep without looking again; for what nobody tells, because whoever
/// should have told it is stopped.
const SLICE: Duration = Duration::from_millis(100);

/// Ends the worker, which is told as its panic.
#[cold]
fn spoilt() -> ! {
    let error = Error::new(ErrorKind::Corrupt, "taking orders of pool", "");
    panic!(
        "{}",
        error.because("the memory that it shares with this worker is spoilt")
    )
}

/// The worker's side of a ring.
#[derive(Debug)]
pub(in crate::pool) struct WorkerSide {
    ring: Arc<RingMemory>,
    taken: u64,
    arguments_read: u64,
    results_written: u64,
    /// As far as this side knows.
    results_read: u64,
    records: u32,
    begun: u64,
}

impl WorkerSide {
    pub(in crate::pool) fn new(ring: Arc<RingMemory>) -> WorkerSide {
        WorkerSide {
            ring,
            taken: 0,
            arguments_read: 0,
            results_written: 0,
            results_read: 0,
            records: 0,
            begun: 0,
        }
    }

    /// Lets the pool know that the worker takes orders from now on.
    pub(in crate::pool) fn become_ready(&self) {
        self.ring.word(READY).store(1, Ordering::Release);
    }

    /// Takes the next order and its bytes, if there is one. One that was taken back
    /// is passed over, but for those whose packet has to be taken all the same:
    /// they come with `false`.
    pub(in crate::pool) fn take(&mut self, bytes: &mut Vec<u8>) -> Option<(Post, bool)> {
        let ring = &*self.ring;
        // SYNC(posts): see `PoolSide::post`.
        while self.taken < ring.word(POSTED).load(Ordering::Acquire) {
            let index = self.taken;
            let state = ring.slot(index, 0);
            let claimed = state.compare_exchange(
                index << 2 | WAITING,
                index << 2 | CLAIMED,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            let length = ring.slot(index, 3).load(Ordering::Relaxed);
            let post = Post::from_words(
                index,
                ring.slot(index, 1).load(Ordering::Relaxed),
                ring.slot(index, 2).load(Ordering::Relaxed),
                length,
            );
            let is_whole = claimed.is_ok() || claimed == Err(index << 2 | REVOKED);
            let (Some(post), true) = (post, is_whole && length <= ROOM) else {
                spoilt();
            };
            bytes.clear();
            if claimed.is_ok() {
                read_ring(
                    ring.arguments(),
                    self.arguments_read,
                    length as usize,
                    bytes,
                );
            }
            self.arguments_read += length;
            ring.word(ARGUMENTS_READ)
                .store(self.arguments_read, Ordering::Release);
            self.taken = index + 1;
            ring.word(TAKEN).store(self.taken, Ordering::Release);
            if claimed.is_ok() || post.order == Order::RunMailed {
                return Some((post, claimed.is_ok()));
            }
        }
        None
    }

    /// Whether there are orders.
    #[inline]
    pub(in crate::pool) fn has_posts(&self) -> bool {
        self.taken < self.ring.word(POSTED).load(Ordering::Acquire)
    }

    /// Waits until there are orders; before it sleeps it calls `before`.
    pub(in crate::pool) fn wait(&self, mut before: impl FnMut()) {
        while !self.has_posts() && !patience::look(|| self.has_posts()) {
            self.write_again();
            before();
            let ready = || self.has_posts();
            self.sleep(AWAITS_POSTS, POSTED, self.taken, ready);
        }
    }

    /// Writes its words as they are, should somebody have changed them: the pool would
    /// miss what it does not see.
    fn write_again(&self) {
        let words = [
            (READY, 1),
            (BEGUN, self.begun),
            (ARGUMENTS_READ, self.arguments_read),
            (TAKEN, self.taken),
            (RESULTS_WRITTEN, self.results_written),
        ];
        for (word, value) in words {
            let word = self.ring.word(word);
            if word.load(Ordering::Relaxed) != value {
                word.store(value, Ordering::Release);
            }
        }
    }

    /// Sleeps until the pool has changed one of its words.
    fn sleep(&self, what: u64, word: usize, seen: u64, ready: impl Fn() -> bool) {
        let asleep = self.ring.word(ASLEEP);
        asleep.store(what, Ordering::SeqCst);
        // SYNC(sleep): see `PoolSide::announce`.
        fence(Ordering::SeqCst);
        if !ready() {
            let start = Instant::now();
            let outcome = futex::wait(&[(self.ring.word(word), seen as u32)], SLICE);
            patience::slept(start.elapsed(), outcome.is_ok());
        }
        asleep.store(0, Ordering::Relaxed);
    }

    /// Writes a record. If there is no room, `when_full` is called, and has the pool
    /// make some.
    #[inline]
    pub(in crate::pool) fn write(&mut self, record: &mut [u8], when_full: impl Fn()) {
        record::number(record, self.records);
        self.records = self.records.wrapping_add(1);
        let needed = record.len() as u64;
        if self.results_written - self.results_read + needed > ROOM {
            self.wait_for_room(needed, when_full);
        }
        write_ring(self.ring.results(), self.results_written, record);
        self.results_written += needed;
        // SYNC(results): see `PoolSide::read_results`.
        self.ring
            .word(RESULTS_WRITTEN)
            .store(self.results_written, Ordering::Release);
    }

    #[cold]
    fn wait_for_room(&mut self, needed: u64, when_full: impl Fn()) {
        loop {
            let read = self.ring.word(RESULTS_READ).load(Ordering::Acquire);
            if read < self.results_read || read > self.results_written {
                spoilt();
            }
            self.results_read = read;
            if self.results_written - read + needed <= ROOM {
                return;
            }
            when_full();
            let ready = || self.ring.word(RESULTS_READ).load(Ordering::Acquire) != read;
            self.sleep(AWAITS_ROOM, RESULTS_READ, read, ready);
        }
    }

    /// A call begins.
    #[inline]
    pub(in crate::pool) fn begin(&mut self) {
        self.begun += 1;
        self.ring.word(BEGUN).store(self.begun, Ordering::Release);
    }

    /// A call begins that can be condemned.
    #[inline]
    pub(in crate::pool) fn begin_exact(&mut self, now: u64) {
        self.ring.word(BEGUN_AT).store(now, Ordering::Relaxed);
        self.begin();
        let running = self.begun << 2 | RUNNING;
        self.ring.word(CURRENT).store(running, Ordering::Release);
    }

    /// Such a call is over. Whether it was not condemned.
    #[inline]
    pub(in crate::pool) fn end_exact(&self) -> bool {
        let (running, condemned) = (self.begun << 2 | RUNNING, self.begun << 2 | CONDEMNED);
        let current = self.ring.word(CURRENT);
        match current.compare_exchange(running, 0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => true,
            Err(word) if word == condemned => false,
            Err(_) => spoilt(),
        }
    }

    /// Whether the pool wants the rest of the batch.
    #[inline]
    pub(in crate::pool) fn is_rest_wanted(&self) -> bool {
        self.ring.word(GIVE_BACK).load(Ordering::Relaxed) != 0
    }

    /// A batch begins, of which nothing is wanted back yet.
    pub(in crate::pool) fn keep_batch(&self) {
        self.ring.word(GIVE_BACK).store(0, Ordering::Relaxed);
    }

    pub(in crate::pool) fn tell_resident(&self, bytes: u64) {
        self.ring.word(RESIDENT).store(bytes, Ordering::Relaxed);
    }
}

impl RingMemory {
    /// Whether the call that runs has been given notice; in its worker.
    pub(in crate::pool) fn has_notice(&self) -> bool {
        let begun = self.word(BEGUN).load(Ordering::Relaxed);
        self.word(NOTICE).load(Ordering::Acquire) == begun && begun != 0
    }
}
