//! Numbers of slots: a job gets the smallest that is free.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The largest number that was ever taken.
    largest: usize,
    free: BinaryHeap<Reverse<usize>>,
}

impl Slots {
    pub(super) fn take(&mut self) -> usize {
        if let Some(Reverse(slot)) = self.free.pop() {
            return slot;
        }
        self.largest += 1;
        self.largest
    }

    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.push(Reverse(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_free_number_is_taken() {
        let mut slots = Slots::default();
        assert_eq!([1, 2, 3].map(|_| slots.take()), [1, 2, 3]);
        slots.give_back(2);
        slots.give_back(1);
        assert_eq!([1, 2, 3].map(|_| slots.take()), [1, 2, 4]);
    }
}
