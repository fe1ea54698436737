//! What the dead have left in blocks.

use super::{
    BLOCK, Blocks, COUNTED, FILLED, FILLING, FREE, FULL, Held, LOSING, OFFERED, Orphans, PLACE_AT,
    READING, REQUESTED, RawQueue, Recovered, TICKET_AT, TICKETS, holder, state,
};
use crate::Platform;
use crate::atomics::Ordering;

/// What a block was found to be.
enum Orphan {
    None,
    Freed,
    Redelivered,
}

/// Whether the one who has a block is dead.
pub(super) fn is_orphan(word: u64, platform: &impl Platform) -> bool {
    let place = (word >> PLACE_AT & 0xfff) as usize;
    place == 0 || !platform.lives(place - 1, (word >> 40) as u32)
}

impl<B: Blocks> RawQueue<'_, B> {
    /// Gives up a received message that the caller cannot make anything of, as if it
    /// had died with it. To be followed by a notification of those who wait for a
    /// message.
    pub fn abandon(&self, block: usize) {
        // SYNC(block): see `take_block`. Nobody has place 0.
        let word = self.blocks.state(block);
        let seen = word.load(Ordering::Relaxed);
        let _ = word.compare_exchange(seen, READING, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// Looks at all blocks for what the dead have left, up to a message that has
    /// to be delivered once more. If any became free, those who wait for room are
    /// to be notified.
    pub fn recover(&self, orphans: Orphans, platform: &impl Platform) -> Recovered {
        let mut recovered = Recovered::default();
        for block in 0..self.blocks.count() {
            match self.recover_block(block, orphans, platform) {
                Orphan::None => {}
                Orphan::Freed => recovered.freed = true,
                Orphan::Redelivered => {
                    recovered.message = Some(Held {
                        block,
                        redelivered: true,
                    });
                    break;
                }
            }
        }
        recovered
    }

    fn recover_block(&self, block: usize, orphans: Orphans, platform: &impl Platform) -> Orphan {
        let word = self.blocks.state(block);
        let seen = word.load(Ordering::Acquire);
        if state(seen) == FREE || !is_orphan(seen, platform) {
            return Orphan::None;
        }
        let change = |next| {
            word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        };
        let mine = holder(platform.me());
        let freed = match state(seen) {
            // Whoever comes to a slot that names it finds that it is nothing for that index.
            FILLING | OFFERED | REQUESTED => change(FREE),
            FILLED => {
                let slot = self
                    .slot((seen & TICKETS) >> TICKET_AT)
                    .load(Ordering::Acquire);
                slot & (FULL | BLOCK) != FULL | block as u64 && change(FREE)
            }
            READING if orphans == Orphans::Redeliver => {
                if change(mine | READING) {
                    return Orphan::Redelivered;
                }
                false
            }
            READING | LOSING | COUNTED if orphans == Orphans::Leave => false,
            READING | LOSING => {
                // First what the count is to be, then the count: whoever is
                // killed in between, the next one comes to the same number.
                let counts = change(mine | LOSING);
                if counts {
                    let next = self.blocks.lost(block).load(Ordering::Relaxed);
                    let next = next.wrapping_add(1);
                    self.blocks.to_be_lost(block).store(next, Ordering::Relaxed);
                    word.store(mine | COUNTED, Ordering::Release);
                    self.finish_losing(block);
                }
                counts
            }
            COUNTED => {
                let finishes = change(mine | COUNTED);
                if finishes {
                    self.finish_losing(block);
                }
                finishes
            }
            _ => false,
        };
        if freed { Orphan::Freed } else { Orphan::None }
    }

    fn finish_losing(&self, block: usize) {
        let next = self.blocks.to_be_lost(block).load(Ordering::Relaxed);
        self.blocks.lost(block).store(next, Ordering::Relaxed);
        self.blocks.state(block).store(FREE, Ordering::Release);
    }

    /// Whether there is a message whose receiver died.
    pub fn has_orphan(&self, platform: &impl Platform) -> bool {
        (0..self.blocks.count()).any(|block| {
            let word = self.blocks.state(block).load(Ordering::Acquire);
            state(word) == READING && is_orphan(word, platform)
        })
    }

    /// How many messages receivers have, dead or alive.
    pub fn unacked(&self) -> usize {
        let is_unacked = |&block: &usize| {
            let word = self.blocks.state(block).load(Ordering::Relaxed);
            matches!(state(word), READING | LOSING | COUNTED)
        };
        (0..self.blocks.count()).filter(is_unacked).count()
    }

    /// How many messages were lost with their receivers.
    pub fn lost(&self) -> u64 {
        let lost = |block| self.blocks.lost(block).load(Ordering::Relaxed);
        // Whatever somebody has left there: no overflow is ours to report.
        (0..self.blocks.count())
            .map(lost)
            .fold(0, u64::wrapping_add)
    }
}
