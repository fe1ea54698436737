//! The ring of results: the worker writes, the pool collects.

use super::{AWAITS_POSTS, AWAITS_ROOM, Memory, PoolSide, Word, WorkerSide};
use crate::atomics::{Ordering, fence};
use crate::{Failure, Futex};
use std::ops::Deref;

impl<M: Memory, P: Deref<Target = M>> WorkerSide<P> {
    /// Writes a result of so many bytes, no more than there is room for in an empty
    /// ring; `copy` writes them, from a place on. While there is no room it calls
    /// `when_full`, to have the pool make some, and sleeps.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn write(
        &mut self,
        length: usize,
        copy: impl FnOnce(&M, u64),
        when_full: impl Fn(),
        futex: &impl Futex,
    ) -> Result<(), Failure> {
        let needed = length as u64;
        if self.results_written - self.results_read + needed > M::ROOM {
            self.wait_for_room(needed, when_full, futex)?;
        }
        let memory = &*self.memory;
        copy(memory, self.results_written);
        self.results_written += needed;
        // SYNC(results): whoever sees the index sees the bytes before it.
        memory
            .word(Word::ResultsWritten)
            .store(self.results_written, Ordering::Release);
        Ok(())
    }

    #[cold]
    fn wait_for_room(
        &mut self,
        needed: u64,
        when_full: impl Fn(),
        futex: &impl Futex,
    ) -> Result<(), Failure> {
        let results_read = || {
            // SYNC(results_read): see `PoolSide::collect`.
            self.memory.word(Word::ResultsRead).load(Ordering::Acquire)
        };
        loop {
            let read = results_read();
            if read < self.results_read || read > self.results_written {
                return Err(Failure::Corrupt);
            }
            if self.results_written - read + needed <= M::ROOM {
                self.results_read = read;
                return Ok(());
            }
            when_full();
            let ready = || results_read() != read;
            self.sleep(AWAITS_ROOM, Word::ResultsRead, read, ready, futex);
        }
    }
}

impl<M: Memory, P: Deref<Target = M>> PoolSide<P> {
    /// Collects the results that there are: `copy` takes them out of the ring, from a
    /// place on, so many bytes. Returns `true` if there were any.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn collect(
        &mut self,
        copy: impl FnOnce(&M, u64, usize),
        futex: &impl Futex,
    ) -> Result<bool, Failure> {
        // SYNC(results): see `WorkerSide::write`.
        let written = self
            .memory
            .word(Word::ResultsWritten)
            .load(Ordering::Acquire);
        let length = written.wrapping_sub(self.results_read);
        self.see_progress()?;
        let memory = &*self.memory;
        let is_ours = |word, ours| memory.word(word).load(Ordering::Relaxed) == ours;
        let are_ours =
            is_ours(Word::Posted, self.posted) && is_ours(Word::ResultsRead, self.results_read);
        if length > M::ROOM || !are_ours {
            return Err(Failure::Corrupt);
        }
        if length == 0 {
            return Ok(false);
        }
        copy(memory, self.results_read, length as usize);
        self.results_read = written;
        // SYNC(results_read): whoever sees that bytes were read may write there.
        memory
            .word(Word::ResultsRead)
            .store(written, Ordering::Release);
        // SYNC(worker_sleep): as in `announce`.
        fence(Ordering::SeqCst);
        if memory.word(Word::Asleep).load(Ordering::Relaxed) == AWAITS_ROOM {
            futex.wake(memory.word(Word::ResultsRead), 1);
        }
        Ok(true)
    }

    /// Returns `true` if what the worker writes contradicts that it has, or has had, a
    /// post whose results are not here: it has passed it over, or sleeps until there are
    /// others. To be asked when there were no results to collect.
    pub fn is_denied(&self, index: u64) -> bool {
        let taken = self.memory.word(Word::Taken).load(Ordering::Acquire);
        if taken > index && !self.is_claimed(index) {
            return true;
        }
        // It says that it sleeps after all that it has written, and that it does not
        // before it says what it has taken.
        let load = |word| self.memory.word(word).load(Ordering::Acquire);
        taken == self.posted
            && load(Word::Asleep) == AWAITS_POSTS
            && load(Word::ResultsWritten) == self.results_read
    }
}
