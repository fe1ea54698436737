//! What waits for a worker, by priority.

use super::ids::ChunkId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Chunks that no worker has.
#[derive(Debug, Default)]
pub(in crate::pool) struct ReadyQueue {
    by_priority: BTreeMap<Reverse<i32>, VecDeque<ChunkId>>,
    len: usize,
}

impl ReadyQueue {
    pub(in crate::pool) fn len(&self) -> usize {
        self.len
    }

    /// How many there are of this priority and higher ones.
    pub(in crate::pool) fn len_from(&self, priority: i32) -> usize {
        let queues = self.by_priority.range(..=Reverse(priority));
        queues.map(|(_, queue)| queue.len()).sum()
    }

    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(in crate::pool) fn push_back(&mut self, priority: i32, chunk: ChunkId) {
        self.len += 1;
        let queue = self.by_priority.entry(Reverse(priority)).or_default();
        queue.push_back(chunk);
    }

    pub(in crate::pool) fn push_front(&mut self, priority: i32, chunk: ChunkId) {
        self.len += 1;
        let queue = self.by_priority.entry(Reverse(priority)).or_default();
        queue.push_front(chunk);
    }

    pub(in crate::pool) fn first(&self) -> Option<ChunkId> {
        let mut queues = self.by_priority.values();
        queues.find_map(|queue| queue.front().copied())
    }

    pub(in crate::pool) fn pop_first(&mut self) -> Option<ChunkId> {
        let mut queues = self.by_priority.values_mut();
        let first = queues.find_map(VecDeque::pop_front)?;
        self.len -= 1;
        Some(first)
    }

    pub(in crate::pool) fn retain(&mut self, mut keep: impl FnMut(ChunkId) -> bool) {
        for queue in self.by_priority.values_mut() {
            queue.retain(|chunk| keep(*chunk));
        }
        self.len = self.by_priority.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Id;
    use super::*;

    #[test]
    fn higher_ones_come_first_and_equal_ones_in_turn() {
        let mut queue = ReadyQueue::default();
        let id = ChunkId::new;
        for (priority, chunk) in [(0, 1), (5, 2), (0, 3), (-1, 4), (5, 5)] {
            queue.push_back(priority, id(chunk));
        }
        queue.push_front(0, id(6));
        queue.retain(|chunk| chunk != id(3));
        assert_eq!(queue.len(), 5);
        let from = [i32::MIN, -1, 0, 1, 5, 6].map(|priority| queue.len_from(priority));
        assert_eq!(from, [5, 5, 4, 2, 2, 0]);
        let order: Vec<ChunkId> = std::iter::from_fn(|| queue.pop_first()).collect();
        assert_eq!(order, [2, 5, 6, 1, 4].map(id));
        assert!(queue.is_empty() && queue.first().is_none());
    }
}
