//! In which order things are looked at: by chance, so that no place among them is a
//! better one than another.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The numbers from zero on, in an order by chance.
#[derive(Default)]
pub(super) struct Order {
    numbers: Vec<usize>,
    random: Option<u64>,
}

impl Order {
    /// Adds the next number, anywhere in the order; which it is.
    pub(super) fn add(&mut self) -> usize {
        let number = self.numbers.len();
        let place = self.chance(u32::try_from(number + 1).unwrap_or(u32::MAX)) as usize;
        self.numbers.push(number);
        self.numbers.swap(place, number);
        number
    }

    /// Places and numbers, around from a place.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let places = self.numbers.iter().copied().enumerate();
        let first = first.min(self.numbers.len());
        places.clone().skip(first).chain(places.take(first))
    }

    /// A number by chance, less than so many.
    pub(super) fn chance(&mut self, below: u32) -> u32 {
        // Keys of the standard library's tables: by chance for each thread, and
        // others each time.
        let seed = || RandomState::new().build_hasher().finish();
        let random = self.random.get_or_insert_with(seed);
        // xorshift64 (Marsaglia, 2003), which zero would stop.
        let mut next = *random | u64::from(*random == 0);
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        *random = next;
        (((next >> 32) * u64::from(below)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn each_number_is_first_of_any_two_about_as_often() {
        const TIMES: usize = 4000;
        for (one, other, count) in [(0, 1, 2), (0, 1, 10), (3, 9, 10), (8, 9, 10)] {
            let mut first = 0;
            for _ in 0..TIMES {
                let mut order = Order::default();
                (0..count).for_each(|number| assert_eq!(order.add(), number));
                let place = |wanted| order.from(0).find(|&(_, number)| number == wanted);
                first += usize::from(place(one) < place(other));
            }
            assert!((TIMES * 2 / 5..TIMES * 3 / 5).contains(&first), "{first}");
        }
    }

    #[test]
    fn all_are_gone_through_from_any_place() {
        let mut order = Order::default();
        for _ in 0..5 {
            order.add();
        }
        for first in 0..8 {
            let mut numbers: Vec<_> = order.from(first).map(|(_, number)| number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2, 3, 4]);
        }
    }
}
