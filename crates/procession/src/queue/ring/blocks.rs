//! What is in blocks: messages, their lengths, and where they are.

use super::{Ring, layout};
use crate::os::memory::Region;
use crate::queue::overflow;
use crate::sync::failed;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::queue::Blocks;
use procession_core::queue::ranges::{Range, Ranges};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory, and where in it so many bytes are.
pub(in crate::queue) type Location = (Arc<Region>, usize, usize);

impl Ring {
    /// Where the bytes of a block are, in the body.
    #[inline]
    pub(super) fn bytes_of(&self, block: usize) -> usize {
        self.first_block + block * self.layout.stride + layout::BYTES
    }

    #[inline]
    pub(super) fn length_of(&self, block: usize) -> &AtomicU64 {
        self.word(self.first_block + block * self.layout.stride + layout::LENGTH)
    }

    /// How many bytes of the overflow range of a block are allocated.
    pub(super) fn overflow_bytes(&self, block: usize) -> &AtomicU64 {
        self.word(self.losses + block * layout::LOSS + 16)
    }

    /// The ranges of the file that blocks have for their overflow ranges.
    fn ranges<'a>(&'a self) -> Ranges<'a, impl Fn(usize) -> &'a AtomicU64, impl Fn() -> usize> {
        Ranges {
            end: self.word(layout::RANGES_END),
            word: |block| self.word(self.losses + block * layout::LOSS + 24),
            blocks: || self.raw().blocks.count(),
            pages: self.overflow.pages,
        }
    }

    /// Writes a message into a block that is ours.
    #[inline]
    pub(super) fn fill(&self, block: usize, bytes: &[u8], tag: u64) -> Result<()> {
        let overflows = bytes.len() > self.layout.inline;
        self.set_length(block, bytes.len(), tag, overflows);
        if !overflows {
            self.object.body().write(self.bytes_of(block), bytes);
        } else {
            let region = self.make_overflow(block, bytes.len())?;
            region.bytes().write(0, bytes);
        }
        Ok(())
    }

    /// Makes room for a long message in the overflow range of a block that is ours.
    pub(super) fn make_overflow(&self, block: usize, length: usize) -> Result<Arc<Region>> {
        let allocated = self.overflow_bytes(block);
        let more = length.saturating_sub(overflow::there(allocated));
        if more > 0 && self.check_max_memory(more).is_err() {
            // What is kept for the next long message is for this one.
            self.trim(|_| 0);
            self.check_max_memory(more)?;
        }
        let claim = |pages| self.claim(block, pages);
        let of_block = (self.ranges().of(block), allocated);
        self.overflow
            .make_room(&self.object, block, length, of_block, claim)
    }

    /// Gets a block that is ours another range, of so many pages.
    #[cold]
    fn claim(&self, block: usize, pages: u64) -> Result<Option<Range>> {
        let claim = || {
            let claimed = self.ranges().claim(block, pages);
            let (operation, label) = ("making room for message", self.object.label());
            claimed.map_err(|failure| failed(failure, operation, label, Deadline::NOW))
        };
        let claimed = claim()?;
        if claimed.is_some() || pages > self.overflow.pages {
            return Ok(claimed);
        }
        // What free blocks have is for this one.
        let ranges = self.ranges();
        self.visit_free(
            |block| ranges.has_any(block),
            |block| {
                self.clear(block);
                ranges.release(block);
            },
        );
        claim()
    }

    fn clear(&self, block: usize) {
        let range = self.ranges().of(block);
        self.overflow
            .clear(&self.object, range, self.overflow_bytes(block));
    }

    #[inline]
    pub(super) fn set_length(&self, block: usize, length: usize, tag: u64, overflows: bool) {
        let word = length as u64 | tag << layout::LENGTH_BITS;
        let word = word | if overflows { layout::IN_OVERFLOW } else { 0 };
        self.length_of(block).store(word, Ordering::Relaxed);
    }

    /// Length of the message in a block that is ours, and whether it is in the
    /// overflow range.
    #[inline]
    pub(super) fn length(&self, block: usize) -> (usize, bool) {
        let word = self.length_of(block).load(Ordering::Relaxed);
        let overflows = word & layout::IN_OVERFLOW != 0;
        match usize::try_from(word & ((1 << layout::LENGTH_BITS) - 1)) {
            Ok(length) if overflows || length <= self.layout.inline => (length, overflows),
            // A lie, which is found out where the overflow range is looked for.
            _ => (usize::MAX, true),
        }
    }

    /// What the packet with the descriptors of the message in a block is called; 0:
    /// it has none.
    #[inline]
    pub(in crate::queue) fn tag_of(&self, block: usize) -> u64 {
        let word = self.length_of(block).load(Ordering::Relaxed);
        (word & !layout::IN_OVERFLOW) >> layout::LENGTH_BITS
    }

    /// Returns `true` if a packet that is called so is wanted for the message in a block.
    pub(in crate::queue) fn wants(&self, block: usize, tag: u64) -> bool {
        block < self.layout.blocks && self.raw().is_in_use(block) && self.tag_of(block) == tag
    }

    /// Copies the bytes of the message in a block that is ours.
    #[inline]
    pub(in crate::queue) fn read(&self, block: usize, into: &mut Vec<u8>) -> Result<()> {
        let (length, overflows) = self.length(block);
        if !overflows {
            into.resize(length, 0);
            self.object.body().read(self.bytes_of(block), into);
            return Ok(());
        }
        let region = self.find_overflow(block, length)?;
        // It may claim more than there is memory for.
        into.try_reserve(length.saturating_sub(into.len()))
            .map_err(|_| {
                let operation = "receiving from queue";
                Error::new(ErrorKind::NoSpace, operation, self.object.label())
                    .because(format!("no memory for a message of {length} bytes"))
            })?;
        into.resize(length, 0);
        region.bytes().read(0, into);
        Ok(())
    }

    /// Where the message in a block is.
    pub(in crate::queue) fn location(&self, block: usize) -> Result<Location> {
        let (length, overflows) = self.length(block);
        if !overflows {
            let (memory, body_at) = self.object.memory();
            let at = body_at + self.bytes_of(block);
            return Ok((Arc::clone(memory), at, length));
        }
        let region = self.find_overflow(block, length)?;
        Ok((region, 0, length))
    }

    fn find_overflow(&self, block: usize, length: usize) -> Result<Arc<Region>> {
        let range = self.ranges().of(block);
        self.overflow.find(&self.object, block, length, range)
    }

    /// The message that is to be sent from a block has only so many bytes.
    pub(in crate::queue) fn shorten(&self, block: usize, length: usize) {
        let (_, overflows) = self.length(block);
        self.set_length(block, length, 0, overflows);
    }

    /// Gives memory back of the overflow ranges of free blocks, of each what is more than `kept`
    /// says, if any is.
    #[cold]
    pub(super) fn trim(&self, kept: impl Fn(usize) -> usize) {
        let is_more = |block| overflow::at_most(self.overflow_bytes(block)) > kept(block) as u64;
        self.visit_free(is_more, |block| self.clear(block));
    }

    /// Takes each free block of which this is so, does something with it, and gives it
    /// back.
    fn visit_free(&self, is_so: impl Fn(usize) -> bool, visit: impl Fn(usize)) {
        let (raw, Some(caller)) = (self.raw(), self.object.holder()) else {
            return;
        };
        for block in 0..raw.blocks.count() {
            if is_so(block) && raw.take_this(block, &caller) {
                visit(block);
                self.give_back(block, &caller);
            }
        }
    }

    /// Gives memory back that is more than is kept, of a block that is still ours.
    #[inline]
    pub(super) fn shrink(&self, block: usize) {
        if self.length(block).1
            && overflow::at_most(self.overflow_bytes(block)) > overflow::kept(block) as u64
        {
            self.clear(block);
        }
    }
}
