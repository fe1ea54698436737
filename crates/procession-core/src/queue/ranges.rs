//! Ranges of a queue's file that blocks have to themselves.
//!
//! A word of each block says which range it has. There is no other list: what no word
//! says is free. So nothing can be half changed by the dead, and what a sender had that
//! was killed belongs to its block, whoever has that next.
//!
//! ```text
//! range   63  62  61                 25 24       0
//!        ┌───┬───┬─────────────────────┬──────────┐
//!        │ T │ - │ first page          │ pages    │  T: may not be had; no pages: no range
//!        └───┴───┴─────────────────────┴──────────┘
//!
//! end     63                36 35                0
//!        ┌────────────────────┬───────────────────┐
//!        │ gaps filled        │ page              │  no range reaches farther
//!        └────────────────────┴───────────────────┘
//! ```
//!
//! Whoever has a block and wants a range says so in its word first, with T, and then
//! changes the end by compare-and-swap, which says that nobody has taken anything since
//! the words were looked at. Only then T goes. Whoever looks takes a range with T for
//! taken: it may be a little longer than it has to be, until the block is used again.
//!
//! # What comes round
//! The number of gaps that were filled, with its 28 bits: a sender stands still between
//! its look at the words and its compare-and-swap while exactly 2^28 gaps are filled, or
//! a multiple, and the end is where it was. Then two messages share memory.

use crate::Failure;
use crate::atomics::{AtomicU64, Ordering};

const END_BITS: u32 = 36;
const END: u64 = (1 << END_BITS) - 1;
const PAGES_BITS: u32 = 25;
const TENTATIVE: u64 = 1 << 63;

/// Most pages that a range can have.
pub const MAX_PAGES: u64 = (1 << PAGES_BITS) - 1;

/// Attempts in which others were faster, after which they are nonsense.
const MAX_ATTEMPTS: u32 = 1 << 16;

/// Some pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// The first one.
    pub first: u64,
    /// How many.
    pub pages: u64,
}

impl Range {
    fn of(word: u64) -> Option<Range> {
        let range = Range {
            first: (word & !TENTATIVE) >> PAGES_BITS & END,
            pages: word & MAX_PAGES,
        };
        (range.pages > 0).then_some(range)
    }

    fn word(self) -> u64 {
        self.first << PAGES_BITS | self.pages
    }

    fn end(self) -> u64 {
        self.first + self.pages
    }
}

/// The words of all blocks, of which each has a range or none.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'a, W, C> {
    /// Behind all ranges.
    pub end: &'a AtomicU64,
    /// The word of a block.
    pub word: W,
    /// How many blocks there are now: whoever gets a range may have added its block.
    pub blocks: C,
    /// How many pages there are for all ranges.
    pub pages: u64,
}

impl<'a, W: Fn(usize) -> &'a AtomicU64, C: Fn() -> usize> Ranges<'a, W, C> {
    /// The range of a block, for whoever has that.
    #[inline]
    pub fn of(&self, block: usize) -> Option<Range> {
        let word = (self.word)(block).load(Ordering::Relaxed);
        let range = Range::of(word).filter(|range| range.end() <= self.pages);
        range.filter(|_| word & TENTATIVE == 0)
    }

    /// Gives a block a range of so many pages, instead of the one that it has, for
    /// whoever has the block. `None`: nowhere are so many together.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt): the words do not stay as they are.
    pub fn claim(&self, block: usize, pages: u64) -> Result<Option<Range>, Failure> {
        let word = (self.word)(block);
        for _ in 0..MAX_ATTEMPTS {
            // SYNC(range): whoever sees an end sees the words that were said before it.
            let seen = self.end.load(Ordering::Acquire);
            let (end, filled) = (seen & END, seen & !END);
            let (first, filled) = match end + pages <= self.pages {
                true => (end, filled),
                false => match self.gap(block, pages) {
                    Some(first) => (first, filled.wrapping_add(1 << END_BITS)),
                    None => {
                        word.store(0, Ordering::Release);
                        return Ok(None);
                    }
                },
            };
            let range = Range { first, pages };
            // SYNC(release): the range that the block had is given up by this.
            word.store(range.word() | TENTATIVE, Ordering::Release);
            let next = filled | end.max(range.end());
            // SYNC(range): publishes the end together with the words stored before it.
            let changed =
                self.end
                    .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed);
            if changed.is_ok() {
                word.store(range.word(), Ordering::Release);
                return Ok(Some(range));
            }
        }
        word.store(0, Ordering::Release);
        Err(Failure::Corrupt)
    }

    /// Whether a block has a range, or may have one.
    pub fn has_any(&self, block: usize) -> bool {
        (self.word)(block).load(Ordering::Relaxed) != 0
    }

    /// The block has no range any more, says whoever has the block, and has given its
    /// memory back.
    pub fn release(&self, block: usize) {
        // SYNC(release): whoever takes the pages does so after we are done with them.
        (self.word)(block).store(0, Ordering::Release);
    }

    /// The first of so many pages that no other block has.
    #[cold]
    fn gap(&self, block: usize, pages: u64) -> Option<u64> {
        // Counted after the end was seen: a block that comes later changes that before it
        // has a range.
        let others = (0..(self.blocks)()).filter(|&other| other != block);
        // SYNC(release): see above.
        let range = |other| Range::of((self.word)(other).load(Ordering::Acquire));
        let mut taken: Vec<Range> = others.filter_map(range).collect();
        taken.sort_unstable();
        let mut first = 0;
        for range in taken {
            if first + pages <= range.first {
                break;
            }
            first = first.max(range.end());
        }
        (first + pages <= self.pages).then_some(first)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Words(AtomicU64, Vec<AtomicU64>);

    impl Words {
        fn new(blocks: usize) -> Words {
            let words = (0..blocks).map(|_| AtomicU64::new(0));
            Words(AtomicU64::new(0), words.collect())
        }

        fn ranges<'a>(
            &'a self,
            pages: u64,
        ) -> Ranges<'a, impl Fn(usize) -> &'a AtomicU64, impl Fn() -> usize> {
            Ranges {
                end: &self.0,
                word: |block| &self.1[block],
                blocks: || self.1.len(),
                pages,
            }
        }
    }

    fn claim(words: &Words, block: usize, pages: u64) -> Option<u64> {
        let claimed = words.ranges(10).claim(block, pages).unwrap();
        assert_eq!(claimed, words.ranges(10).of(block));
        claimed.map(|range| range.first)
    }

    #[test]
    fn ranges_follow_each_other_and_then_fill_the_gaps() {
        let words = Words::new(4);
        assert_eq!(claim(&words, 0, 3), Some(0));
        assert_eq!(claim(&words, 1, 4), Some(3));
        assert_eq!(claim(&words, 2, 3), Some(7));
        assert_eq!(claim(&words, 3, 1), None);
        words.ranges(10).release(1);
        assert_eq!(claim(&words, 3, 2), Some(3));
        assert_eq!(claim(&words, 1, 3), None);
        assert_eq!(claim(&words, 1, 2), Some(5));
        // Its own is free to it.
        words.ranges(10).release(2);
        assert_eq!(claim(&words, 1, 5), Some(5));
    }

    #[test]
    fn blocks_that_are_added_after_the_first_look_count() {
        let words = Words::new(5);
        let count = std::cell::Cell::new(4);
        let ranges = Ranges {
            end: &words.0,
            word: |block: usize| &words.1[block],
            blocks: || count.get(),
            pages: 10,
        };
        for (block, pages, first) in [(0, 3, 0), (1, 4, 3), (2, 3, 7)] {
            assert_eq!(
                ranges.claim(block, pages).unwrap().map(|it| it.first),
                Some(first)
            );
        }
        ranges.release(0);
        count.set(5);
        assert_eq!(ranges.claim(4, 3).unwrap().map(|it| it.first), Some(0));
        assert_eq!(ranges.claim(3, 2).unwrap(), None);
    }

    #[test]
    fn what_the_dead_were_at_is_nobodys_range_and_is_left_alone() {
        let words = Words::new(3);
        assert_eq!(claim(&words, 0, 2), Some(0));
        let range = Range { first: 2, pages: 6 };
        words.1[1].store(range.word() | TENTATIVE, Ordering::Relaxed);
        words.0.store(8, Ordering::Relaxed);
        assert_eq!(words.ranges(10).of(1), None);
        assert_eq!(claim(&words, 2, 3), None);
        words.ranges(10).release(1);
        assert_eq!(claim(&words, 2, 3), Some(2));
    }

    #[test]
    fn nonsense_is_no_range_and_ends_no_walk() {
        let words = Words::new(3);
        for nonsense in [u64::MAX, 1 << 62, MAX_PAGES, END << PAGES_BITS | 1, 11] {
            words.1[1].store(nonsense, Ordering::Relaxed);
            assert_eq!(words.ranges(10).of(1), None, "{nonsense:x}");
            words.0.store(nonsense, Ordering::Relaxed);
            let claimed = words.ranges(10).claim(0, 4).unwrap();
            assert!(claimed.is_none_or(|range| range.end() <= 10));
        }
    }
}
