//! The worker's sleep, and waking it.

use super::{AWAITS_POSTS, Memory, PoolSide, Word, WorkerSide};
use crate::Futex;
use crate::atomics::{Ordering, fence, low};
use std::ops::Deref;

impl<M: Memory, P: Deref<Target = M>> PoolSide<P> {
    /// Wakes the worker if it sleeps until there are posts; to be called after posting.
    #[inline]
    pub fn announce(&self, futex: &impl Futex) {
        // SYNC(worker_sleep): the worker says that it sleeps, then looks for posts; the
        // pool posts, then looks whether it says so.
        fence(Ordering::SeqCst);
        if self.memory.word(Word::Asleep).load(Ordering::Relaxed) == AWAITS_POSTS {
            futex.wake(self.memory.word(Word::Posted), 1);
        }
    }
}

impl<M: Memory, P: Deref<Target = M>> WorkerSide<P> {
    /// Waits until there are posts; before it sleeps it calls `before`.
    pub fn wait(&self, mut before: impl FnMut(), futex: &impl Futex) {
        while !self.has_posts() && !futex.spin(|| self.has_posts()) {
            self.write_again();
            before();
            let ready = || self.has_posts();
            self.sleep(AWAITS_POSTS, Word::Posted, self.taken, ready, futex);
        }
    }

    /// Writes its words as they are, should somebody have changed them: the pool would
    /// miss what it does not see.
    fn write_again(&self) {
        let words = [
            (Word::Ready, 1),
            (Word::Begun, self.begun),
            (Word::ArgumentsRead, self.arguments_read),
            (Word::Taken, self.taken),
            (Word::ResultsWritten, self.results_written),
        ];
        for (word, value) in words {
            let word = self.memory.word(word);
            if word.load(Ordering::Relaxed) != value {
                word.store(value, Ordering::Release);
            }
        }
    }

    /// Sleeps until the pool has changed one of its words.
    pub(super) fn sleep(
        &self,
        what: u64,
        word: Word,
        seen: u64,
        ready: impl Fn() -> bool,
        futex: &impl Futex,
    ) {
        let asleep = self.memory.word(Word::Asleep);
        asleep.store(what, Ordering::SeqCst);
        // SYNC(worker_sleep): see `PoolSide::announce`.
        fence(Ordering::SeqCst);
        if !ready() {
            futex.wait(self.memory.word(word), low(seen));
        }
        asleep.store(0, Ordering::Relaxed);
    }
}
