//! What contradicts the protocol, as opposed to what took long.

use super::{BEHIND, Blocks, COUNTED, FREE, FULL, MAX_BEHIND, MAX_STEPS, RawQueue, state};
use crate::Failure;
use crate::atomics::{AtomicU64, Ordering};

/// No queue comes so far.
const LAST: u64 = 1 << 62;

impl<B: Blocks> RawQueue<'_, B> {
    /// Counts a step of a walk.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut): there were so many that the caller should look
    /// at the clock. Others have gone on all the while.
    #[inline]
    pub(super) fn count_step(&self, steps: &mut u64) -> Result<(), Failure> {
        *steps += 1;
        match *steps > 3 * self.slots.len() as u64 + MAX_STEPS {
            true => Err(Failure::TimedOut),
            false => Ok(()),
        }
    }

    /// The index after this one, whose slot is so many laps ahead, or further: what
    /// was before in the laps between was sent and taken as well. `others` follows,
    /// and is helped where it is far behind.
    #[inline]
    pub(super) fn next(
        &self,
        index: u64,
        ahead: i64,
        others: &AtomicU64,
        steps: &mut u64,
    ) -> Result<u64, Failure> {
        self.count_step(steps)?;
        let laps = ahead.max(1) as u64 - 1;
        let next = index
            .saturating_add(1)
            .saturating_add(laps << self.slots.len().trailing_zeros());
        let seen = others.load(Ordering::Relaxed);
        let behind = next.saturating_sub(seen);
        if laps > 0 || steps.is_multiple_of(64) || behind > MAX_BEHIND || next >= LAST {
            // Our look is younger than the slot's word. Before it is said to others: a
            // wrong index that both ends have looks like a right one.
            self.check_passed(next)?;
        }
        if behind > BEHIND {
            others.fetch_max(next, Ordering::AcqRel);
        }
        Ok(next.max(seen))
    }

    /// Refuses an index up to which everything is said to have been sent, if that
    /// cannot be.
    #[cold]
    pub(super) fn check_passed(&self, index: u64) -> Result<(), Failure> {
        let tail = self.tail.load(Ordering::Acquire);
        let head = self.head.load(Ordering::Acquire);
        let is_sent = index <= tail.saturating_add(MAX_BEHIND);
        let has_room = index <= head.saturating_add(self.capacity);
        match is_sent && has_room && index < LAST {
            true => Ok(()),
            false => Err(Failure::Corrupt),
        }
    }

    /// Where to go on after a slot that no index of its present may have: others have
    /// come far since this one was looked at.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt): they have not.
    #[cold]
    pub(super) fn look_again(&self, index: u64, steps: &mut u64) -> Result<u64, Failure> {
        self.count_step(steps)?;
        let head = self.head.load(Ordering::Acquire);
        match head > index && head < LAST {
            true => Ok(head),
            false => Err(Failure::Corrupt),
        }
    }

    /// Where to go on, if an empty slot is that of an index a whole round of laps after
    /// this one.
    #[inline]
    pub(super) fn passed(&self, word: u64, index: u64) -> Option<u64> {
        if word == self.empty(index) {
            return None;
        }
        // The upper half of its lap may be wrong, too: one whose lap had come round
        // has emptied it.
        let head = self.head.load(Ordering::Acquire);
        (head > index && head < LAST).then_some(head)
    }

    /// Looks whether head, tail and the slots at them fit together: to be called
    /// before a sleep for which there would be no reason otherwise.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    pub fn check(&self) -> Result<(), Failure> {
        let tail = self.tail.load(Ordering::Acquire);
        let head = self.head.load(Ordering::Acquire);
        let first = head.min(tail);
        let word = self.slot(first).load(Ordering::Acquire);
        // What was sent before we looked at the slot is not missing there.
        let is_missing = head != tail && word & FULL == 0 && self.ahead(word, first) == 0;
        // What was sent there a lap ago was taken, and the slot emptied, before the head
        // went past.
        let is_left = self.ahead(word, first) < 0;
        let is_full = tail > head.saturating_add(self.capacity);
        let is_ahead = head > tail.saturating_add(MAX_BEHIND);
        let fits = !is_missing && !is_left && !is_full && !is_ahead && head.max(tail) < LAST;
        // One that moved may have come far before our other looks.
        let moved =
            self.tail.load(Ordering::Acquire) != tail || self.head.load(Ordering::Acquire) != head;
        match fits || moved {
            true => Ok(()),
            false => Err(Failure::Corrupt),
        }
    }
    /// Looks whether each block is in a state that there is: to be called where none is
    /// free, before a wait for one that becomes so.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[cold]
    pub fn check_blocks(&self) -> Result<(), Failure> {
        let fits = (0..self.blocks.count()).all(|block| {
            let word = self.blocks.state(block).load(Ordering::Relaxed);
            // A free one is nobody's, and nobody would take it otherwise.
            word == FREE
                || state(word) != FREE && (state(word) <= COUNTED || self.blocks.is_rendezvous())
        });
        match fits {
            true => Ok(()),
            false => Err(Failure::Corrupt),
        }
    }
}
