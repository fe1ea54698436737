//! Taking messages out.

use super::{
    BLOCK, Blocks, CLOSED, FILLED, FULL, Held, OFFERED, PLACE_AT, READING, RawQueue, Received,
    holder,
};
use crate::atomics::Ordering;
use crate::{Failure, Platform};

impl<B: Blocks> RawQueue<'_, B> {
    /// The word of a block, if it is filled with the message of this index.
    #[inline]
    pub(super) fn is_filled(&self, block: usize, index: u64) -> Option<u64> {
        // SYNC(message): see `publish`.
        let word = self.blocks.state(block).load(Ordering::Acquire);
        let of_message = word & ((1 << PLACE_AT) - 1);
        let state = of_message ^ Self::ticket(index);
        (state == FILLED || state == OFFERED).then_some(word)
    }

    /// Takes the next message, if there is one; its index. The head stays where
    /// it is until [`follow_head`](RawQueue::follow_head).
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt); [`TimedOut`](Failure::TimedOut): after many
    /// steps, on all of which others were faster. The caller tries again, if it has
    /// the time.
    #[inline]
    pub fn take(&self, from: u64, platform: &impl Platform) -> Result<(Received, u64), Failure> {
        let mut index = from;
        let mut steps = 0;
        loop {
            let word = self.slot(index).load(Ordering::Acquire);
            let ahead = self.ahead(word, index);
            match ahead {
                0 if word & FULL == 0 => {
                    if let Some(head) = self.passed(word, index) {
                        self.count_step(&mut steps)?;
                        index = head;
                        continue;
                    }
                    if self.closed.load(Ordering::SeqCst) == 0 {
                        return Ok((Received::Empty, index));
                    }
                    // Nobody sends after this.
                    self.count_step(&mut steps)?;
                    let last = self.full(index, CLOSED as usize);
                    let _ = self.slot(index).compare_exchange(
                        word,
                        last,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    );
                }
                0 if word & BLOCK == CLOSED => return Ok((Received::Closed, index)),
                0 => {
                    let block = self.block_in(word)?;
                    if let Some(filled) = self.is_filled(block, index)
                        && self.claim(block, filled, platform)
                    {
                        let held = Held {
                            block,
                            redelivered: false,
                        };
                        return Ok((Received::Message(held), index));
                    }
                    self.empty_slot(index, block);
                    index = self.next(index, ahead, self.head, &mut steps)?;
                }
                1.. => index = self.next(index, ahead, self.head, &mut steps)?,
                _ => index = self.look_again(index, &mut steps)?,
            }
        }
    }

    /// The block that a full slot names.
    #[inline]
    pub(super) fn block_in(&self, word: u64) -> Result<usize, Failure> {
        let block = (word & BLOCK) as usize;
        match block < self.blocks.count() {
            true => Ok(block),
            false => Err(Failure::Corrupt),
        }
    }

    #[inline]
    pub(super) fn claim(&self, block: usize, seen: u64, platform: &impl Platform) -> bool {
        let mine = holder(platform.me()) | READING;
        self.blocks
            .state(block)
            .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Empties the slot of an index whose message, in this block, was taken. Whoever
    /// took it does so before it gives the block back: as long as it has it, no slot
    /// can come to name it again.
    #[inline]
    pub fn empty_slot(&self, index: u64, block: usize) {
        // Somebody else may have been faster, and a sender too, since. Sequentially
        // consistent, for a notification before the head follows.
        let _ = self.slot(index).compare_exchange(
            self.full(index, block),
            self.emptied(index),
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
    }

    /// Moves the head behind what was received at an index, whose slot was
    /// emptied, as those before it were. To be followed by a notification of
    /// those who wait for room.
    #[inline]
    pub fn follow_head(&self, index: u64) {
        self.head.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
    }

    /// Moves the head on from an index if its message has been taken. Whether it
    /// had been.
    pub(super) fn help_head(&self, index: u64) -> Result<bool, Failure> {
        let word = self.slot(index).load(Ordering::Acquire);
        match self.ahead(word, index) {
            0 if word & FULL == 0 || word & BLOCK == CLOSED => return Ok(false),
            0 => {
                let block = self.block_in(word)?;
                if self.is_filled(block, index).is_some() {
                    return Ok(false);
                }
                self.empty_slot(index, block);
            }
            1.. => {}
            _ => return self.look_again(index, &mut 0).map(|_| true),
        }
        self.head.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
        Ok(true)
    }

    /// Whether [`take`](RawQueue::take) would find anything but
    /// [`Empty`](Received::Empty).
    pub fn is_ready(&self, from: u64) -> bool {
        let mut index = from;
        let mut steps = 0;
        loop {
            let word = self.slot(index).load(Ordering::Acquire);
            match self.ahead(word, index) {
                0 if word & FULL == 0 => match self.passed(word, index) {
                    Some(head) if self.count_step(&mut steps).is_ok() => {
                        index = head;
                        continue;
                    }
                    _ => return self.closed.load(Ordering::SeqCst) != 0,
                },
                0 if word & BLOCK == CLOSED => return true,
                0 => match self.block_in(word) {
                    Ok(block) if self.is_filled(block, index).is_none() => {}
                    _ => return true,
                },
                1.. => {}
                _ => match self.look_again(index, &mut steps) {
                    Ok(head) => {
                        index = head;
                        continue;
                    }
                    Err(_) => return true,
                },
            }
            index = index.wrapping_add(1);
            if self.count_step(&mut steps).is_err() {
                // Whoever receives finds out.
                return true;
            }
        }
    }
}
