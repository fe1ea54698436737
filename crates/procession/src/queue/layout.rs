//! Where the words and the bytes of a queue are.
//!
//! ```text
//!    0        head: index of the next message to be received
//!   64        tail: index of the next message to be sent
//!  128        closed
//!  136        changes: counts handles that went
//!  144        lock of who looks for descriptors in the socket
//!  152        counts messages with descriptors
//!  160        receivers are to look whether the socket can be tidied
//!  192        gate of those who wait for a message
//!  256        gate of those who wait for room
//!  264        gate of those who wait until all is done
//!  320        capacity, slots, blocks, bytes of a block, and of a message in it, orphans
//!  384        slots, one word each
//!   …         of each block: messages lost in it, what that is to become, bytes of its annex
//!   …         blocks: state, length of the message, its bytes
//! 2^46        annexes, 2^36 for each block, allocated as they are needed
//! ```
//!
//! A message that does not fit into its block lies in the block's annex. Each part begins at a cache line. A block has an odd number of them, so that
//! blocks do not compete for the same places of a cache.

use crate::shm::Object;
use crate::{Error, ErrorKind, Result};
use procession_core::queue::{MOST_BLOCKS, Orphans};
use std::sync::atomic::Ordering;

const LINE: usize = 64;

pub(super) const HEAD: usize = 0;
pub(super) const TAIL: usize = 64;
pub(super) const CLOSED: usize = 128;
pub(super) const CHANGES: usize = 136;
pub(super) const SOCKET: usize = 144;
pub(super) const TAGS: usize = 152;
pub(super) const UNTIDY: usize = 160;
pub(super) const MESSAGES: usize = 192;
pub(super) const ROOM: usize = 256;
/// In the line of the one before, which whoever has received looks at anyway.
pub(super) const DONE: usize = 264;
const SIZES: usize = 320;

/// Bytes of what is counted of each block, apart from it.
pub(super) const LOSS: usize = 32;
pub(super) const SLOTS: usize = 384;

/// Offsets within a block.
pub(super) const LENGTH: usize = 8;

/// Said with the length of a message that is in the annex.
pub(super) const ANNEXED: u64 = 1 << 63;

/// Bits of the length; above them is what the message's packet is called, if it has
/// descriptors.
pub(super) const LENGTH_BITS: u32 = 37;
pub(super) const MOST_TAGS: u64 = (1 << (63 - LENGTH_BITS)) - 1;

pub(super) const BYTES: usize = 16;

/// Blocks beyond the capacity, at most and unless there is a reason for fewer.
pub(super) const SPARE: usize = 64;

/// How many of what there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) capacity: usize,
    pub(super) slots: usize,
    pub(super) blocks: usize,
    pub(super) stride: usize,
    pub(super) inline: usize,
    pub(super) orphans: Orphans,
}

impl Layout {
    /// For so many messages, of which those of so many bytes fit into blocks.
    pub(super) fn new(
        capacity: usize,
        spare: usize,
        inline: usize,
        orphans: Orphans,
    ) -> Result<Layout> {
        let refuse = |why: String| {
            Err(Error::new(ErrorKind::InvalidInput, "creating queue", "").because(why))
        };
        if capacity == 0 || capacity > MOST_BLOCKS / 2 {
            return refuse(format!(
                "a queue has room for 1 to {} messages, not {capacity}",
                MOST_BLOCKS / 2
            ));
        }
        let lines = inline
            .checked_add(BYTES)
            .map(|bytes| bytes.div_ceil(LINE) | 1);
        let stride = lines.and_then(|lines| lines.checked_mul(LINE));
        let layout = stride.map(|stride| Layout {
            capacity,
            slots: capacity.next_power_of_two(),
            blocks: capacity + spare,
            stride,
            inline,
            orphans,
        });
        match layout {
            Some(layout) if layout.length().is_some() => Ok(layout),
            _ => refuse(format!(
                "{capacity} blocks of {inline} bytes are more than an address can count"
            )),
        }
    }

    /// Where the counts of lost messages are.
    pub(super) fn losses(&self) -> usize {
        (SLOTS + self.slots * 8).next_multiple_of(LINE)
    }

    pub(super) fn first_block(&self) -> usize {
        (self.losses() + self.blocks * LOSS).next_multiple_of(LINE)
    }

    /// Bytes of all, if they can be counted.
    pub(super) fn length(&self) -> Option<usize> {
        let blocks = self.stride.checked_mul(self.blocks)?;
        blocks
            .checked_add(self.first_block())
            .filter(|&length| length <= isize::MAX as usize)
    }

    /// Writes the sizes into a new object.
    pub(super) fn write(&self, object: &Object) {
        let orphans = match self.orphans {
            Orphans::Lose => 1,
            _ => 0,
        };
        let sizes = [
            self.capacity,
            self.slots,
            self.blocks,
            self.stride,
            self.inline,
            orphans,
        ];
        for (index, size) in sizes.into_iter().enumerate() {
            let word = object.body().atomic_u64(SIZES + index * 8);
            word.store(size as u64, Ordering::Relaxed);
        }
    }

    /// Reads the sizes, once, and checks that all of them fit together.
    pub(super) fn read(object: &Object) -> Result<Layout> {
        let corrupt = || {
            Error::new(ErrorKind::Corrupt, "opening queue", object.label())
                .because("its parts do not fit into its length")
        };
        let body = object.body();
        if body.len() < SLOTS {
            return Err(corrupt());
        }
        let size = |index: usize| {
            let word = body.atomic_u64(SIZES + index * 8);
            usize::try_from(word.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
        };
        let orphans = if size(5) == 0 {
            Orphans::Redeliver
        } else {
            Orphans::Lose
        };
        let spare = size(2).checked_sub(size(0));
        let spare = spare.filter(|spare| (1..=SPARE).contains(spare));
        let spare = spare.ok_or_else(corrupt)?;
        let expected = Layout::new(size(0), spare, size(4), orphans).map_err(|_| corrupt())?;
        let found = Layout {
            capacity: size(0),
            slots: size(1),
            blocks: size(2),
            stride: size(3),
            inline: size(4),
            orphans,
        };
        if found != expected || expected.length() != Some(body.len()) {
            return Err(corrupt());
        }
        Ok(found)
    }
}
