//! Publishing messages.

use super::{BLOCK, Blocks, CLOSED, FILLED, FILLING, FULL, RawQueue, Sent, holder};
use crate::atomics::Ordering;
use crate::{Failure, Platform};

/// What others may have seen of a message that is being published.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    /// The word of its block.
    pub(super) word: u64,
    /// Where it was to be.
    index: u64,
}

impl<B: Blocks> RawQueue<'_, B> {
    /// Publishes a block that the caller has filled. `known_head` is what the
    /// caller knows of the head, and is brought up to date where that matters. To
    /// be followed by [`follow_tail`](RawQueue::follow_tail) and a notification of
    /// those who wait for a message.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt); [`TimedOut`](Failure::TimedOut): after many
    /// steps, on all of which others were faster. The block is the caller's as it was
    /// before.
    #[inline]
    pub fn publish(
        &self,
        block: usize,
        known_head: &mut u64,
        platform: &impl Platform,
    ) -> Result<Sent, Failure> {
        self.publish_behind(0, block, known_head, platform)
    }

    /// [`publish`](RawQueue::publish), where everything before an index is known to
    /// have been sent though the tail may not say so yet.
    ///
    /// # Errors
    /// As [`publish`](RawQueue::publish).
    #[inline]
    pub fn publish_behind(
        &self,
        from: u64,
        block: usize,
        known_head: &mut u64,
        platform: &impl Platform,
    ) -> Result<Sent, Failure> {
        if self.closed.load(Ordering::Relaxed) != 0 {
            return Ok(Sent::Closed);
        }
        let mine = holder(platform.me());
        let mut shown = None;
        let outcome = self.search(from, block, known_head, mine, &mut shown);
        match shown {
            Some(shown) if !matches!(outcome, Ok(Sent::At(_))) => {
                self.take_back(block, mine, shown, outcome)
            }
            _ => outcome,
        }
    }

    /// A message that was shown and not published is the sender's again, unless
    /// somebody has received it.
    #[cold]
    fn take_back(
        &self,
        block: usize,
        mine: u64,
        shown: Shown,
        outcome: Result<Sent, Failure>,
    ) -> Result<Sent, Failure> {
        let again = self.blocks.state(block).compare_exchange(
            shown.word,
            mine | FILLING,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        again.map_or(Ok(Sent::At(shown.index)), |_| outcome)
    }

    #[inline]
    fn search(
        &self,
        from: u64,
        block: usize,
        known_head: &mut u64,
        mine: u64,
        shown: &mut Option<Shown>,
    ) -> Result<Sent, Failure> {
        let mut index = self.tail.load(Ordering::Relaxed).max(from);
        let mut steps = 0;
        loop {
            let waiting = index.wrapping_sub(*known_head);
            if (waiting >= self.capacity || index >= self.blocks.reach())
                && self.is_full(&mut index, known_head, &mut steps)?
            {
                return Ok(Sent::Full);
            }
            let slot = self.slot(index);
            let word = slot.load(Ordering::Acquire);
            let ahead = self.ahead(word, index);
            match ahead {
                0 if word & FULL == 0 => {
                    if let Some(head) = self.passed(word, index) {
                        self.count_step(&mut steps)?;
                        index = head;
                        continue;
                    }
                    // Whoever takes the message compares the ticket; our death
                    // before the slot is ours leaves a block that no slot names.
                    let filled = mine | Self::ticket(index) | FILLED;
                    if let Some(at) = self.show(block, filled, index, shown) {
                        return Ok(Sent::At(at));
                    }
                    let full = self.full(index, block);
                    // SYNC(message): the bytes of the block are visible to who
                    // sees the slot. Sequentially consistent, for a notification
                    // before the tail follows.
                    match slot.compare_exchange(word, full, Ordering::SeqCst, Ordering::Relaxed) {
                        Ok(_) => return Ok(Sent::At(index)),
                        Err(_) => self.count_step(&mut steps)?,
                    }
                }
                0 if word & BLOCK == CLOSED => return Ok(Sent::Closed),
                // Sent and perhaps received already: the index is behind.
                0.. => index = self.next(index, ahead, self.tail, &mut steps)?,
                // A message of the lap before, which nobody has taken.
                -1 if word & FULL != 0 && self.head.load(Ordering::Acquire) <= index => {
                    return Ok(Sent::Full);
                }
                _ => index = self.look_again(index, &mut steps)?,
            }
        }
    }

    /// Says in the block that it is filled, for an index. The index for which it was
    /// said before, if somebody has received it by that: one who looked at the block
    /// when it had the same ticket, long ago. Then it is his.
    #[inline]
    pub(super) fn show(
        &self,
        block: usize,
        word: u64,
        index: u64,
        shown: &mut Option<Shown>,
    ) -> Option<u64> {
        let state = self.blocks.state(block);
        match *shown {
            // Nobody else changes a block that is being filled.
            None => state.store(word, Ordering::Release),
            Some(before) => {
                let again =
                    state.compare_exchange(before.word, word, Ordering::AcqRel, Ordering::Relaxed);
                if again.is_err() {
                    return Some(before.index);
                }
            }
        }
        *shown = Some(Shown { word, index });
        None
    }

    /// Whether there is no room at an index, by a fresh look at the head.
    #[inline(never)]
    fn is_full(
        &self,
        index: &mut u64,
        known_head: &mut u64,
        steps: &mut u64,
    ) -> Result<bool, Failure> {
        loop {
            *known_head = self.head.load(Ordering::Acquire);
            // Everything before the head was sent.
            *index = (*index).max(*known_head);
            let waiting = *index - *known_head;
            if waiting < self.capacity {
                return Ok(*index >= self.blocks.reach());
            }
            if waiting > self.capacity {
                return Err(Failure::Corrupt);
            }
            self.count_step(steps)?;
            // It may be behind, for whoever should have moved it died.
            if !self.help_head(*known_head)? {
                return Ok(true);
            }
        }
    }

    /// Moves the tail behind what was sent at an index.
    #[inline]
    pub fn follow_tail(&self, index: u64) {
        // Sequentially consistent, for the notification that follows.
        self.tail.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
    }
}
