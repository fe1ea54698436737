//! Calls: begun, over, and condemned.

use super::{CONDEMNED, Memory, PoolSide, RUNNING, Word, WorkerSide};
use crate::Failure;
use crate::atomics::Ordering;
use std::ops::Deref;

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Calls that it has begun since it started.
    pub begun: u64,
    /// When it began the last one, if that is timed; on the monotonic clock, in
    /// nanoseconds.
    pub begun_at: u64,
}

impl<M: Memory, P: Deref<Target = M>> WorkerSide<P> {
    /// Begins a call.
    #[inline]
    pub fn begin(&mut self) {
        self.begun += 1;
        // SYNC(begun): whoever sees a call begun sees when.
        self.memory
            .word(Word::Begun)
            .store(self.begun, Ordering::Release);
    }

    /// Begins a call that can be condemned, at this time.
    #[inline]
    pub fn begin_exact(&mut self, now: u64) {
        self.memory
            .word(Word::BegunAt)
            .store(now, Ordering::Relaxed);
        self.begin();
        let running = self.begun << 2 | RUNNING;
        self.memory
            .word(Word::Current)
            .store(running, Ordering::Release);
    }

    /// Ends a call that can be condemned. Returns `true` if it was not: if it was, the
    /// worker writes nothing more, and is about to be killed.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn end_exact(&self) -> Result<bool, Failure> {
        let (running, condemned) = (self.begun << 2 | RUNNING, self.begun << 2 | CONDEMNED);
        let current = self.memory.word(Word::Current);
        match current.compare_exchange(running, 0, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(true),
            Err(word) if word == condemned => Ok(false),
            Err(_) => Err(Failure::Corrupt),
        }
    }
}

impl<M: Memory, P: Deref<Target = M>> PoolSide<P> {
    /// Says where the worker stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        // SYNC(begun): see `WorkerSide::begin`.
        let begun = self.memory.word(Word::Begun).load(Ordering::Acquire);
        Standing {
            begun,
            begun_at: self.memory.word(Word::BegunAt).load(Ordering::Relaxed),
        }
    }

    /// Condemns the call with this number. Returns `true` if it was running: the worker
    /// does nothing more then, and is to be killed.
    pub fn condemn(&self, call: u64) -> bool {
        let (running, condemned) = (call << 2 | RUNNING, call << 2 | CONDEMNED);
        let current = self.memory.word(Word::Current);
        current
            .compare_exchange(running, condemned, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Tells the call with this number that it should end.
    pub fn give_notice(&self, call: u64) {
        self.memory
            .word(Word::Notice)
            .store(call, Ordering::Release);
    }

    /// Returns how much memory the worker had when it last told, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.memory.word(Word::Resident).load(Ordering::Relaxed)
    }
}
