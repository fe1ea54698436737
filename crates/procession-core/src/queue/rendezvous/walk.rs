//! Walking along offers and requests, and moving the head behind what is over.

use super::super::recovery::is_orphan;
use super::super::{
    BLOCK, Blocks, CLOSED, FREE, FULL, OFFERED, PLACE_AT, REQUEST, REQUESTED, RawQueue, state,
};
use crate::atomics::Ordering;
use crate::{Failure, Platform};

/// What a walk has come to.
pub(super) enum Found {
    /// Nothing was sent at this index; the word of its slot.
    Empty(u64),
    /// A message that nobody has taken: its block, and the word of that.
    Message(usize, u64),
    /// A receiver that waits; the word of its slot.
    Request(u64),
    /// As many wait as may.
    Full,
    Closed,
}

impl<B: Blocks> RawQueue<'_, B> {
    /// Walks from an index on to the first at which there is something.
    pub(super) fn walk(
        &self,
        index: &mut u64,
        steps: &mut u64,
        platform: &impl Platform,
    ) -> Result<Found, Failure> {
        loop {
            let word = self.slot(*index).load(Ordering::Acquire);
            let ahead = self.ahead(word, *index);
            match ahead {
                0 if word & FULL == 0 => match self.passed(word, *index) {
                    Some(head) => {
                        self.count_step(steps)?;
                        *index = head;
                        continue;
                    }
                    None => return Ok(Found::Empty(word)),
                },
                0 if word & BLOCK == CLOSED => return Ok(Found::Closed),
                0 if word & REQUEST != 0 => {
                    if self.is_requested(word, *index, platform)? {
                        return Ok(Found::Request(word));
                    }
                    // Looked at once more, for it may have been answered before it ended.
                    self.pass_by(word, *index);
                    self.count_step(steps)?;
                    continue;
                }
                0 => {
                    let block = self.block_in(word)?;
                    if let Some(filled) = self.is_filled(block, *index) {
                        if state(filled) != OFFERED || !is_orphan(filled, platform) {
                            return Ok(Found::Message(block, filled));
                        }
                        // Unless somebody took it before its sender died.
                        self.free_orphan(block, filled);
                    }
                    self.empty_slot(*index, block);
                }
                1.. => {}
                // What was there a lap ago still waits.
                -1 if word & FULL != 0 && self.head.load(Ordering::Acquire) <= *index => {
                    return Ok(Found::Full);
                }
                _ => {
                    *index = self.look_again(*index, steps)?;
                    continue;
                }
            }
            *index = self.step(*index, ahead, steps)?;
        }
    }

    /// The index after this one. The head does not follow: a request before it may stand.
    pub(super) fn step(&self, index: u64, ahead: i64, steps: &mut u64) -> Result<u64, Failure> {
        self.count_step(steps)?;
        let laps = ahead.max(1) as u64 - 1;
        let next = index
            .saturating_add(1)
            .saturating_add(laps << self.slots.len().trailing_zeros());
        if laps > 0 || steps.is_multiple_of(64) {
            self.check_passed(next)?;
        }
        Ok(next)
    }

    /// Returns `true` if a slot with a request is that of a receiver that waits and lives.
    fn is_requested(
        &self,
        word: u64,
        index: u64,
        platform: &impl Platform,
    ) -> Result<bool, Failure> {
        let block = self.block_in(word & !REQUEST)?;
        let word = self.blocks.state(block).load(Ordering::Acquire);
        let of_request = word & ((1 << PLACE_AT) - 1);
        Ok(of_request == Self::ticket(index) | REQUESTED && !is_orphan(word, platform))
    }

    /// Gives back the block of an offer whose sender died.
    fn free_orphan(&self, block: usize, offered: u64) {
        let _ = self.blocks.state(block).compare_exchange(
            offered,
            FREE,
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
    }

    /// Empties the slot of a request that nobody waits at; whether this call did.
    pub(super) fn pass_by(&self, word: u64, index: u64) -> bool {
        // Sequentially consistent, for a notification of those that wait for room.
        self.slot(index)
            .compare_exchange(
                word,
                self.emptied(index),
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Moves the head behind all that is taken or withdrawn, and returns it. To be called
    /// after each message that was taken, and each offer or request that was withdrawn,
    /// before those that wait for room are notified.
    pub fn settle(&self, platform: &impl Platform) -> u64 {
        let mut steps = 0;
        loop {
            let head = self.head.load(Ordering::Acquire);
            let word = self.slot(head).load(Ordering::Acquire);
            let is_done = match self.ahead(word, head) {
                0 if word & FULL == 0 || word & BLOCK == CLOSED => false,
                0 if word & REQUEST != 0 => match self.is_requested(word, head, platform) {
                    Ok(false) => {
                        self.pass_by(word, head);
                        // Unless it was answered before.
                        self.slot(head).load(Ordering::Acquire) == self.emptied(head)
                    }
                    _ => false,
                },
                0 => match self.block_in(word) {
                    Ok(block) if self.is_filled(block, head).is_none() => {
                        self.empty_slot(head, block);
                        true
                    }
                    _ => false,
                },
                1.. => true,
                _ => false,
            };
            if !is_done || self.count_step(&mut steps).is_err() {
                return head;
            }
            self.head.fetch_max(head.wrapping_add(1), Ordering::SeqCst);
        }
    }

    /// Returns `true` if there is no room for an offer or a request at an index.
    pub(super) fn lacks_room(&self, index: u64, platform: &impl Platform) -> bool {
        let is_behind = |head: u64| index.saturating_sub(head) >= self.capacity;
        index >= self.blocks.reach()
            || is_behind(self.head.load(Ordering::Acquire)) && is_behind(self.settle(platform))
    }

    /// Returns `true` if a receiver waits, or nothing is sent any more.
    pub fn has_request(&self, platform: &impl Platform) -> bool {
        self.has(platform, |found| matches!(found, Found::Request(_)))
    }

    /// Returns `true` if a sender waits, or nothing is sent any more.
    pub fn has_offer(&self, platform: &impl Platform) -> bool {
        self.has(platform, |found| matches!(found, Found::Message(..)))
    }

    fn has(&self, platform: &impl Platform, is_it: impl Fn(&Found) -> bool) -> bool {
        let mut index = self.head.load(Ordering::Acquire);
        let mut steps = 0;
        loop {
            let next = match self.walk(&mut index, &mut steps, platform) {
                Ok(Found::Empty(_)) => return self.closed.load(Ordering::SeqCst) != 0,
                Ok(Found::Full) => return false,
                Ok(found @ (Found::Message(..) | Found::Request(_))) if !is_it(&found) => {
                    self.step(index, 0, &mut steps)
                }
                // Whoever attempts it finds out.
                _ => return true,
            };
            match next {
                Ok(next) => index = next,
                Err(_) => return true,
            }
        }
    }
}
