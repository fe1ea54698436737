//! Which generations of a barrier were broken.
//!
//! One cell for each remainder of a generation's number holds the last broken one
//! of those, marked so that zero is none. Where it takes the place of an earlier
//! one, that one goes into the first cell, which holds the latest that was
//! forgotten. So whatever number of generations went by, a party of a broken one
//! hears so. A party of a completed one hears that it was broken only if it looks
//! after a later one with the same remainder was broken, and one that is not
//! earlier than its own was forgotten: where that cannot be told from what it is
//! taken for.

use crate::atomics::{AtomicU64, Ordering};
use crate::platform::Losses;

/// Bits of a generation.
pub(super) const GENERATION_BITS: u32 = 50;

/// The first cell, and those of the remainders.
pub(super) struct Outcomes<'a>(pub(super) &'a [AtomicU64]);

fn entry(generation: u64) -> u64 {
    generation << 1 | 1
}

/// Returns `true` if an entry says that this generation, or a later one, was broken.
fn is_not_before(entry: u64, generation: u64) -> bool {
    let later_by = (entry >> 1).wrapping_sub(generation) % (1 << GENERATION_BITS);
    entry & 1 != 0 && later_by < 1 << (GENERATION_BITS - 1)
}

impl Outcomes<'_> {
    /// Writes down that a generation was broken. A process that is killed meanwhile has at
    /// most forgotten too much.
    pub(super) fn write_down(&self, generation: u64) {
        let Some((forgotten, cells)) = self.0.split_first() else {
            return;
        };
        if cells.is_empty() {
            return raise(forgotten, generation);
        }
        let cell = &cells[(generation % cells.len() as u64) as usize];
        let seen = cell.load(Ordering::Relaxed);
        if seen & 1 != 0 && !is_not_before(seen, generation) {
            // SYNC(forgotten): before it is overwritten.
            raise(forgotten, seen >> 1);
        }
        raise(cell, generation);
    }

    /// Returns `true` if a generation that is over was broken.
    pub(super) fn was_broken(&self, generation: u64) -> bool {
        let Some((forgotten, cells)) = self.0.split_first() else {
            return false;
        };
        let is_forgotten = || is_not_before(forgotten.load(Ordering::Acquire), generation);
        if cells.is_empty() {
            return is_forgotten();
        }
        let cell = &cells[(generation % cells.len() as u64) as usize];
        // SYNC(forgotten): see `write_down`.
        let seen = cell.load(Ordering::Acquire);
        seen == entry(generation) || is_not_before(seen, generation) && is_forgotten()
    }
}

/// Puts a generation into a cell, unless a later one is there.
fn raise(cell: &AtomicU64, generation: u64) {
    let mut seen = cell.load(Ordering::Relaxed);
    let mut losses = Losses::default();
    while !is_not_before(seen, generation) && !losses.are_too_many() {
        match cell.compare_exchange(seen, entry(generation), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const WRAP: u64 = 1 << GENERATION_BITS;

    /// Goes through so many generations from the first, breaks those that are
    /// said, and asks about all so far, each time.
    fn go(cells: usize, first: u64, count: u64, is_broken: impl Fn(u64) -> bool, exact: bool) {
        let cells: Vec<AtomicU64> = (0..cells).map(|_| AtomicU64::new(0)).collect();
        let outcomes = Outcomes(&cells);
        let mut broken = BTreeSet::new();
        for number in 0..count {
            if is_broken(number) {
                outcomes.write_down((first + number) % WRAP);
                broken.insert(number);
            }
            for asked in 0..=number {
                let said = outcomes.was_broken((first + asked) % WRAP);
                let was = broken.contains(&asked);
                assert!(said || !was, "{asked} of {number} was broken");
                assert!(said == was || !exact, "{asked} of {number} was completed");
            }
        }
    }

    #[test]
    fn a_broken_generation_is_known_for_good_and_across_the_wrap() {
        for first in [0, 1, 1000, WRAP - 50, WRAP - 1] {
            for cells in [1, 2, 4, 64] {
                go(cells, first, 150, |number| number % 3 == 0, false);
                go(cells, first, 150, |_| true, false);
            }
        }
    }

    #[test]
    fn a_completed_generation_is_told_from_broken_ones_that_are_not_forgotten() {
        for first in [0, 1, WRAP - 50] {
            for alone in 0..150 {
                go(4, first, 150, |number| number == alone, true);
            }
            go(
                64,
                first,
                150,
                |number| number % 10 == 3 && number < 63,
                true,
            );
        }
    }
}
