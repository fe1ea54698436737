//! Values in a row, into which others are inserted and from which they are removed anywhere without moving all behind
//! them.

use crate::manager::blob::Blob;
use std::collections::VecDeque;

/// Most values of a chunk. With a million values, finding a position looks at 500 lengths, and inserting moves 24 KiB at most.
const MOST: usize = 2048;

/// Values in chunks. None is empty.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    chunks: Vec<VecDeque<Blob>>,
    length: usize,
}

impl Chunked {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The chunk that has a position, and the position in it.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.length {
            return None;
        }
        if index >= self.length / 2 {
            let mut begin = self.length;
            for (place, chunk) in self.chunks.iter().enumerate().rev() {
                begin -= chunk.len();
                if index >= begin {
                    return Some((place, index - begin));
                }
            }
        }
        let mut begin = 0;
        for (place, chunk) in self.chunks.iter().enumerate() {
            if index < begin + chunk.len() {
                return Some((place, index - begin));
            }
            begin += chunk.len();
        }
        None
    }

    pub(super) fn get(&self, index: usize) -> Option<&Blob> {
        let (place, offset) = self.locate(index)?;
        self.chunks.get(place)?.get(offset)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Blob> {
        let (place, offset) = self.locate(index)?;
        self.chunks.get_mut(place)?.get_mut(offset)
    }

    /// The values from a position on.
    pub(super) fn from(&self, index: usize) -> impl Iterator<Item = &Blob> {
        let (place, offset) = self.locate(index).unwrap_or((self.chunks.len(), 0));
        let first = self.chunks.get(place).map(|chunk| chunk.range(offset..));
        let rest = self.chunks.iter().skip(place + 1).flatten();
        first.into_iter().flatten().chain(rest)
    }

    pub(super) fn push_back(&mut self, value: Blob) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < MOST => last.push_back(value),
            _ => self.chunks.push(VecDeque::from([value])),
        }
        self.length += 1;
    }

    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = Blob>) {
        for value in values {
            self.push_back(value);
        }
    }

    /// Inserts a value before the one at a position, which may be the end.
    pub(super) fn insert(&mut self, index: usize, value: Blob) {
        let Some((place, offset)) = self.locate(index) else {
            return self.push_back(value);
        };
        let chunk = &mut self.chunks[place];
        chunk.insert(offset, value);
        self.length += 1;
        if chunk.len() > MOST {
            let half = chunk.split_off(MOST / 2);
            self.chunks.insert(place + 1, half);
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> Option<Blob> {
        let (place, offset) = self.locate(index)?;
        let value = self.chunks.get_mut(place)?.remove(offset)?;
        self.length -= 1;
        self.mend(place);
        self.mend(place.saturating_sub(1));
        Some(value)
    }

    pub(super) fn pop_back(&mut self) -> Option<Blob> {
        self.remove(self.length.checked_sub(1)?)
    }

    /// Removes what is behind a position, and returns it.
    pub(super) fn split_off(&mut self, index: usize) -> Chunked {
        let Some((place, offset)) = self.locate(index) else {
            return Chunked::default();
        };
        let mut chunks = self.chunks.split_off(place);
        let before = chunks[0].drain(..offset).collect::<VecDeque<_>>();
        let length = self.length - index;
        self.length = index;
        if !before.is_empty() {
            self.chunks.push(before);
            self.mend(place.saturating_sub(1));
        }
        Chunked { chunks, length }
    }

    pub(super) fn append(&mut self, other: Chunked) {
        let seam = self.chunks.len();
        self.chunks.extend(other.chunks);
        self.length += other.length;
        self.mend(seam);
        self.mend(seam.saturating_sub(1));
    }

    /// Has a chunk that became small be a part of the next one, so that there are not too many.
    fn mend(&mut self, place: usize) {
        let Some(chunk) = self.chunks.get(place) else {
            return;
        };
        if chunk.is_empty() {
            self.chunks.remove(place);
        } else if let Some(next) = self.chunks.get(place + 1)
            && chunk.len() + next.len() <= MOST / 2
        {
            let next = self.chunks.remove(place + 1);
            self.chunks[place].extend(next);
        }
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = Blob> {
        self.chunks.into_iter().flatten()
    }

    pub(super) fn reverse(&mut self) {
        self.chunks.reverse();
        for chunk in &mut self.chunks {
            chunk.make_contiguous().reverse();
        }
    }
}

impl FromIterator<Blob> for Chunked {
    fn from_iter<I: IntoIterator<Item = Blob>>(values: I) -> Chunked {
        let mut chunked = Chunked::default();
        chunked.extend(values);
        chunked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(number: usize) -> Blob {
        Blob(number.to_le_bytes().to_vec())
    }

    fn values(range: std::ops::Range<usize>) -> Vec<Blob> {
        range.map(value).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn it_is_a_vector(steps in prop::collection::vec((0..8u8, 0..100usize, 0..5000usize), 0..60)) {
            let mut oracle: Vec<Blob> = Vec::new();
            let mut chunked = Chunked::default();
            for (number, (step, percent, count)) in steps.into_iter().enumerate() {
                let index = oracle.len() * percent / 100;
                match step {
                    0 => {
                        oracle.extend(values(number..number + count));
                        chunked.extend(values(number..number + count));
                    }
                    1 => (0..count.min(100)).for_each(|more| {
                        oracle.insert(index, value(more));
                        chunked.insert(index, value(more));
                    }),
                    2 => for _ in 0..count {
                        let there = (index < oracle.len()).then(|| oracle.remove(index));
                        prop_assert_eq!(chunked.remove(index), there);
                    },
                    3 => for _ in 0..count / 10 {
                        prop_assert_eq!(chunked.pop_back(), oracle.pop());
                    },
                    4 => {
                        let behind = oracle.split_off(index);
                        let split = chunked.split_off(index);
                        prop_assert_eq!(split.len(), behind.len());
                        prop_assert!(split.from(0).eq(&behind));
                        if count % 2 == 0 {
                            oracle.extend(behind);
                            chunked.append(split);
                        }
                    }
                    5 => {
                        oracle.reverse();
                        chunked.reverse();
                    }
                    6 => if let Some(there) = oracle.get_mut(index) {
                        *there = value(count);
                        *chunked.get_mut(index).expect("it is there") = value(count);
                    },
                    _ => prop_assert_eq!(chunked.get(index), oracle.get(index)),
                }
                prop_assert_eq!(chunked.len(), oracle.len());
                prop_assert!(chunked.from(0).eq(&oracle));
                let begin = index.min(oracle.len());
                prop_assert!(chunked.from(begin).eq(&oracle[begin..]));
                prop_assert!(chunked.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MOST));
                // Small chunks have been joined: there are not many more than needed.
                prop_assert!(chunked.chunks.len() <= 4 * (oracle.len() / MOST + 1) + 1);
            }
        }
    }
}
