//! Messages in the order in which they are to be received.

use crate::manager::blob::Blob;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, PartialEq)]
pub(super) struct Message {
    pub(super) bytes: Blob,
    pub(super) is_redelivered: bool,
    pub(super) priority: u64,
}

/// Messages of the highest priority first, and those of one priority in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Each has a message, or is the only one: a queue without priorities makes its level once.
    levels: BTreeMap<Reverse<u64>, VecDeque<Message>>,
    count: usize,
}

impl Levels {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn level(&mut self, priority: u64) -> &mut VecDeque<Message> {
        self.count += 1;
        // An empty level of another priority would hide those behind it.
        if self.count == 1 && !self.levels.contains_key(&Reverse(priority)) {
            self.levels.clear();
        }
        self.levels.entry(Reverse(priority)).or_default()
    }

    pub(super) fn push_back(&mut self, message: Message) {
        self.level(message.priority).push_back(message);
    }

    pub(super) fn push_front(&mut self, message: Message) {
        self.level(message.priority).push_front(message);
    }

    pub(super) fn pop_front(&mut self) -> Option<Message> {
        let is_only = self.levels.len() == 1;
        let mut first = self.levels.first_entry()?;
        let message = first.get_mut().pop_front()?;
        self.count -= 1;
        if first.get().is_empty() && !is_only {
            first.remove();
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_come_by_priority_and_then_by_age(steps in prop::collection::vec((0..8u8, 0..4u64), 0..300)) {
            let mut levels = Levels::default();
            let mut oracle: Vec<Message> = Vec::new();
            for (step, priority) in steps {
                let make = |number: usize| Message {
                    bytes: Blob(vec![number as u8]),
                    is_redelivered: step == 3,
                    priority,
                };
                match step {
                    0..=2 => {
                        let number = oracle.len();
                        levels.push_back(make(number));
                        let behind = oracle.iter().position(|there| there.priority < priority);
                        oracle.insert(behind.unwrap_or(number), make(number));
                    }
                    3 => {
                        let number = oracle.len();
                        levels.push_front(make(number));
                        let before = oracle.iter().position(|there| there.priority <= priority);
                        oracle.insert(before.unwrap_or(number), make(number));
                    }
                    _ => {
                        let first = (!oracle.is_empty()).then(|| oracle.remove(0));
                        prop_assert_eq!(levels.pop_front(), first);
                    }
                }
                prop_assert_eq!(levels.len(), oracle.len());
            }
        }
    }
}
