//! Blocks and slots that are allocated when there are too few: for messages that
//! receivers have not acknowledged, and for more that wait than ever before.

use super::{Ring, layout};
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::{Error, ErrorKind, Result};
use std::sync::atomic::Ordering;

const SENDING: &str = "sending to queue";

impl Ring {
    fn blocks_there(&self) -> usize {
        self.word(layout::BLOCKS_THERE).load(Ordering::Acquire) as usize
    }

    /// A free block, looked for from `first` on, of more than there were. `None`: one
    /// becomes free when something is received.
    #[cold]
    pub(super) fn take_another(&self, caller: &Caller<'_>) -> Outcome<Option<usize>> {
        let mut first = 0;
        loop {
            let there = self.blocks_there();
            let block = self.raw().take_block(first, caller);
            if block.is_some() {
                return Ok(block);
            }
            if self.blocks_there() != there {
                // Somebody else has added some.
                continue;
            }
            if there >= self.layout.blocks || self.layout.add_blocks(&self.object, there)? == there
            {
                return self.no_block();
            }
            first = there;
        }
    }

    /// All blocks are taken, and there are as many as may be.
    fn no_block(&self) -> Outcome<Option<usize>> {
        let unacked = self.raw().unacked();
        if unacked > self.layout.blocks - self.layout.capacity {
            let label = self.object.label();
            let error = Error::new(ErrorKind::LimitReached, SENDING, label)
                .because(format!("receivers have {unacked} unacknowledged messages"))
                .with_hint("let them acknowledge, or make the queue with a higher `Options::max_unacked(..)`");
            return Err(Hindrance::Failed(error));
        }
        if self.is_unbounded() {
            return Err(Hindrance::Failed(self.at_max_memory()));
        }
        // Nobody is to wait for a block that nobody has.
        let checked = self.raw().check_blocks();
        checked.map_err(|failure| self.failed(failure, SENDING))?;
        Ok(None)
    }

    /// Allocates more slots, if it is for lack of them that a message has no room;
    /// whether there may be room now. `known` is how many there were when this was last
    /// asked: somebody else may have added the last ones.
    #[cold]
    pub(super) fn add_slots(&self, known: &mut u64) -> Result<bool> {
        if self.len() >= self.layout.capacity {
            return Ok(false);
        }
        let there = self.word(layout::SLOTS_THERE).load(Ordering::Acquire);
        if there >= self.layout.slots as u64 {
            return Ok(std::mem::replace(known, there) != there);
        }
        self.layout
            .add_slots(&self.object, there as usize)
            .map(|_| true)
    }

    /// Returns `true` if senders do not wait for room.
    pub(super) fn is_unbounded(&self) -> bool {
        self.layout.max_memory > 0
    }

    /// Refuses to take so many bytes more than `max_memory` allows.
    pub(super) fn check_max_memory(&self, more: usize) -> Result<()> {
        let max_memory = self.layout.max_memory as u64;
        match max_memory > 0 && self.object.taken()?.saturating_add(more as u64) > max_memory {
            true => Err(self.at_max_memory()),
            false => Ok(()),
        }
    }

    #[cold]
    pub(super) fn at_max_memory(&self) -> Error {
        let (waiting, max_memory) = (self.len(), self.layout.max_memory);
        let label = self.object.label();
        Error::new(ErrorKind::LimitReached, SENDING, label)
            .because(format!(
                "{waiting} messages wait, and it may have {max_memory} bytes"
            ))
            .with_hint("receive faster, or make it with a higher `Options::max_memory(..)`")
    }
}
