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
//!  192        event count of those who wait for a message
//!  256        event count of those who wait for room
//!  264        event count of those who wait until all is done
//!  320        capacity, slots, blocks, bytes of a block, and of a message in it, orphans,
//!             most bytes of memory
//!  384        slots and blocks that are allocated
//!  400        end of the overflow ranges
//!  448        slots, one word each
//!   …         of each block: messages lost in it, what that is to become, bytes of its overflow range,
//!             range of that
//!   …         blocks: state, length of the message, its bytes
//!   …         overflow: ranges that begin at pages, allocated as they are needed
//! ```
//!
//! Slots and blocks are allocated as they are needed, the first ones first, in the order
//! in which they come to be used: a process that finds too few allocates more, and says so in
//! the word afterwards. Several may allocate the same without a lock: the kernel does it
//! one after the other, and what fails takes back only the pages that it has added.
//!
//! A message that does not fit into its block lies in the block's overflow range: a range of the
//! file behind what the header says is the queue ([`procession_core::queue::ranges`]).
//! Each part begins at a cache line. A block has an odd number of them, so that blocks do
//! not compete for the same places of a cache.

use crate::shm::Object;
use crate::{Error, ErrorKind, Result};
use procession_core::queue::{MAX_BLOCKS, Orphans};
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
/// In the line of the one before, which a receiver looks at anyway.
pub(super) const DONE: usize = 264;
const SIZES: usize = 320;
/// How many slots are allocated, and how many blocks: read by all, seldom written.
pub(super) const SLOTS_THERE: usize = 384;
pub(super) const BLOCKS_THERE: usize = 392;
/// In the same line.
pub(super) const RANGES_END: usize = 400;

/// Bytes of what is counted of each block, apart from it.
pub(super) const LOSS: usize = 32;
pub(super) const SLOTS: usize = 448;

/// Offsets within a block.
pub(super) const LENGTH: usize = 8;

/// Said with the length of a message that is in the overflow range.
pub(super) const IN_OVERFLOW: u64 = 1 << 63;

/// Bits of the length; above them is what the message's packet is called, if it has
/// descriptors.
pub(super) const LENGTH_BITS: u32 = 37;
pub(super) const MAX_TAGS: u64 = (1 << (63 - LENGTH_BITS)) - 1;

pub(super) const BYTES: usize = 16;

/// Blocks beyond the capacity, unless the options say otherwise: for messages that are
/// being written, or that receivers have not acknowledged.
pub(super) const SPARE: usize = 1 << 14;

/// The same, where there is one process on each side.
pub(super) const SPARE_OF_TWO: usize = 64;

/// Senders and receivers of a queue of capacity 0 that may wait where others find them. More
/// wait until one of those has gone.
const WAITING: usize = 256;

/// Fewest slots: so that laps take their time to come round.
const MIN_SLOTS: usize = 64;

/// A queue that is not longer than this is allocated as a whole.
const WHOLE: usize = 1 << 17;

/// Bytes of slots, and of blocks, that are allocated at a time: as much again as there
/// is, within these limits.
const MIN_STEP: usize = 1 << 16;
const MAX_STEP: usize = 1 << 24;

/// Bytes of a message for which there is room where so many are wanted: as many as come
/// with them.
pub(super) fn whole_lines(inline: usize) -> usize {
    (inline.saturating_add(BYTES).div_ceil(LINE) | 1) * LINE - BYTES
}

/// How many of what there are, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of a rendezvous, how many may wait for each other.
    pub(super) capacity: usize,
    /// No message waits: each goes from a sender that waits to a receiver.
    pub(super) is_rendezvous: bool,
    pub(super) slots: usize,
    pub(super) blocks: usize,
    pub(super) stride: usize,
    pub(super) inline: usize,
    pub(super) orphans: Orphans,
    /// Bytes that it may take, if senders are not to wait for room. 0: they are.
    pub(super) max_memory: usize,
}

impl Layout {
    /// For so many messages, of which those of so many bytes fit into blocks.
    pub(super) fn new(
        capacity: usize,
        spare: usize,
        inline: usize,
        orphans: Orphans,
        max_memory: usize,
    ) -> Result<Layout> {
        let refuse = |why: String| {
            Err(Error::new(ErrorKind::InvalidInput, "creating queue", "").because(why))
        };
        let is_rendezvous = capacity == 0;
        let capacity = if is_rendezvous { WAITING } else { capacity };
        if capacity > MAX_BLOCKS / 2 {
            return refuse(format!(
                "a queue has room for 0 to {} messages, not {capacity}",
                MAX_BLOCKS / 2
            ));
        }
        if spare > MAX_BLOCKS / 2 {
            return refuse(format!(
                "receivers can have {} unacknowledged messages, not {spare}",
                MAX_BLOCKS / 2
            ));
        }
        let lines = inline
            .checked_add(BYTES)
            .map(|bytes| bytes.div_ceil(LINE) | 1);
        let stride = lines.and_then(|lines| lines.checked_mul(LINE));
        let layout = stride.map(|stride| Layout {
            capacity,
            is_rendezvous,
            slots: capacity.next_power_of_two().max(MIN_SLOTS),
            blocks: capacity + spare,
            stride,
            inline,
            orphans,
            max_memory,
        });
        match layout {
            Some(layout) if layout.length().is_some() => Ok(layout),
            _ => refuse(format!(
                "{capacity} blocks of {inline} bytes are more than an address can count"
            )),
        }
    }

    /// For as many messages as fit into so many bytes, or into the files and the
    /// addresses that this process may have.
    pub(super) fn unbounded(
        max_memory: usize,
        max_messages: usize,
        spare: usize,
        inline: usize,
        orphans: Orphans,
    ) -> Result<Layout> {
        use crate::limits::soft;
        use rustix::process::Resource;
        let limit = |resource, part| {
            let limit = soft(resource).map(|bytes| bytes / part);
            limit.map_or(usize::MAX, |bytes| {
                usize::try_from(bytes).unwrap_or(usize::MAX)
            })
        };
        let max_memory = max_memory
            .min(limit(Resource::Fsize, 2))
            .min(limit(Resource::As, 8))
            .max(1);
        let one = Layout::new(1, spare, inline, orphans, max_memory)?;
        let per_message = one.stride + LOSS + 8;
        if max_memory < per_message {
            return Err(one.too_low());
        }
        let capacity = (max_memory / per_message).clamp(1, max_messages.min(MAX_BLOCKS / 2));
        Layout::new(capacity, spare.min(capacity), inline, orphans, max_memory)
    }

    fn too_low(&self) -> Error {
        Error::new(ErrorKind::InvalidInput, "creating queue", "")
            .because(format!("no message fits below {} bytes", self.max_memory))
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

    /// Bytes of the body that a new queue has allocated, if that is not all.
    pub(super) fn at_first(&self) -> Option<usize> {
        self.length()
            .is_none_or(|length| length > WHOLE)
            .then_some(SLOTS)
    }

    /// Allocates more slots, where so many are there; how many are there then.
    pub(super) fn add_slots(&self, object: &Object, there: usize) -> Result<usize> {
        let there = there.min(self.slots);
        let next = (there + more(there, 8)).min(self.slots);
        object.allocate_body(SLOTS + there * 8, (next - there) * 8)?;
        say(object, SLOTS_THERE, next);
        Ok(next)
    }

    /// Allocates more blocks, where so many are there; how many are there then.
    pub(super) fn add_blocks(&self, object: &Object, there: usize) -> Result<usize> {
        let there = there.min(self.blocks);
        let mut more = more(there, self.stride).min(self.blocks - there);
        if there == 0 {
            // They are all looked at, again and again.
            more = more.min(self.capacity + SPARE_OF_TWO);
        }
        if self.max_memory > 0 {
            let taken = usize::try_from(object.taken()?).unwrap_or(usize::MAX);
            let left = self.max_memory.saturating_sub(taken);
            more = more.min(left / (self.stride + LOSS));
        }
        let next = there + more;
        if more > 0 {
            object.allocate_body(self.losses() + there * LOSS, more * LOSS)?;
            object.allocate_body(self.first_block() + there * self.stride, more * self.stride)?;
            say(object, BLOCKS_THERE, next);
        }
        Ok(next)
    }

    /// Allocates what a new object has of each, and says so.
    pub(super) fn begin(&self, object: &Object) -> Result<()> {
        self.write(object);
        if self.at_first().is_none() {
            say(object, SLOTS_THERE, self.slots);
            say(object, BLOCKS_THERE, self.blocks);
            return Ok(());
        }
        self.add_slots(object, 0)?;
        match self.add_blocks(object, 0)? {
            0 => Err(self.too_low()),
            _ => Ok(()),
        }
    }

    /// Writes the sizes into a new object.
    fn write(&self, object: &Object) {
        let orphans = match self.orphans {
            Orphans::Lose => 1,
            _ => 0,
        };
        let sizes = [
            if self.is_rendezvous { 0 } else { self.capacity },
            self.slots,
            self.blocks,
            self.stride,
            self.inline,
            orphans,
            self.max_memory,
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
        let capacity = if size(0) == 0 { WAITING } else { size(0) };
        let spare = size(2).checked_sub(capacity);
        let spare = spare.filter(|&spare| spare > 0);
        let spare = spare.ok_or_else(corrupt)?;
        let expected =
            Layout::new(size(0), spare, size(4), orphans, size(6)).map_err(|_| corrupt())?;
        let found = Layout {
            capacity,
            is_rendezvous: size(0) == 0,
            slots: size(1),
            blocks: size(2),
            stride: size(3),
            inline: size(4),
            orphans,
            max_memory: size(6),
        };
        if found != expected || expected.length() != Some(body.len()) {
            return Err(corrupt());
        }
        Ok(found)
    }
}

/// How many more things of so many bytes to allocate where so many are.
fn more(there: usize, bytes: usize) -> usize {
    let least = (MIN_STEP / bytes).max(1);
    there.clamp(least, (MAX_STEP / bytes).max(least))
}

fn say(object: &Object, offset: usize, there: usize) {
    // SYNC(there): whoever sees the number finds the memory allocated.
    let word = object.body().atomic_u64(offset);
    word.fetch_max(there as u64, Ordering::Release);
}
