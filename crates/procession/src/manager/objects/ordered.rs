//! Keys in the order in which they were inserted, each with something.

use crate::manager::blob::Blob;
use std::collections::{BTreeMap, HashMap};

/// Keys in the order in which they were inserted.
#[derive(Debug)]
pub(super) struct Ordered<V> {
    places: HashMap<Blob, u64>,
    entries: BTreeMap<u64, (Blob, V)>,
    /// The number of the latest entry.
    latest: u64,
}

impl<V> Default for Ordered<V> {
    fn default() -> Ordered<V> {
        Ordered {
            places: HashMap::new(),
            entries: BTreeMap::new(),
            latest: 0,
        }
    }
}

impl<V> Ordered<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, key: &Blob) -> bool {
        self.places.contains_key(key)
    }

    pub(super) fn get(&self, key: &Blob) -> Option<&V> {
        let place = self.places.get(key)?;
        self.entries.get(place).map(|(_, value)| value)
    }

    /// Returns what the key had.
    pub(super) fn insert(&mut self, key: Blob, value: V) -> Option<V> {
        if let Some(place) = self.places.get(&key)
            && let Some((_, there)) = self.entries.get_mut(place)
        {
            return Some(std::mem::replace(there, value));
        }
        self.latest += 1;
        self.places.insert(key.clone(), self.latest);
        self.entries.insert(self.latest, (key, value));
        None
    }

    pub(super) fn remove(&mut self, key: &Blob) -> Option<V> {
        let place = self.places.remove(key)?;
        self.entries.remove(&place).map(|(_, value)| value)
    }

    /// Removes the key that was inserted first.
    pub(super) fn pop_first(&mut self) -> Option<(Blob, V)> {
        let (_, (key, value)) = self.entries.pop_first()?;
        self.places.remove(&key);
        Some((key, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Blob> {
        self.entries.values().map(|(key, _)| key)
    }

    /// Removes the keys of which `keep` returns `false`; returns how many those were.
    pub(super) fn retain(&mut self, keep: impl Fn(&Blob) -> bool) -> usize {
        let before = self.len();
        self.places.retain(|key, _| keep(key));
        self.entries.retain(|_, (key, _)| keep(key));
        before - self.len()
    }

    /// Entries behind one, up to so many bytes, but at least one.
    pub(super) fn behind(
        &self,
        after: u64,
        max_bytes: u64,
        size: impl Fn(&V) -> usize,
    ) -> impl Iterator<Item = (u64, &Blob, &V)> {
        let mut bytes = 0;
        let range = self.entries.range(after.saturating_add(1)..);
        range
            .take_while(move |(_, (key, value))| {
                let is_first = bytes == 0;
                bytes += (key.0.len() + size(value) + 16) as u64;
                is_first || bytes <= max_bytes
            })
            .map(|(number, (key, value))| (*number, key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u32),
        Remove(u8),
        Pop,
        Retain(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..20u8, any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
            2 => (0..20u8).prop_map(Step::Remove),
            1 => Just(Step::Pop),
            1 => (0..20u8).prop_map(Step::Retain),
        ]
    }

    fn key(number: u8) -> Blob {
        Blob(vec![number])
    }

    proptest! {
        #[test]
        fn it_is_a_vector_of_entries(steps in prop::collection::vec(step(), 0..200), chunk in 1..200u64) {
            let mut oracle: Vec<(u8, u32)> = Vec::new();
            let mut ordered = Ordered::default();
            for step in steps {
                match step {
                    Step::Insert(number, value) => {
                        let there = oracle.iter_mut().find(|(key, _)| *key == number);
                        let before = there.map(|there| std::mem::replace(&mut there.1, value));
                        if before.is_none() {
                            oracle.push((number, value));
                        }
                        prop_assert_eq!(ordered.insert(key(number), value), before);
                    }
                    Step::Remove(number) => {
                        let place = oracle.iter().position(|(key, _)| *key == number);
                        let there = place.map(|place| oracle.remove(place).1);
                        prop_assert_eq!(ordered.remove(&key(number)), there);
                    }
                    Step::Pop => {
                        let first = (!oracle.is_empty()).then(|| oracle.remove(0));
                        let first = first.map(|(number, value)| (key(number), value));
                        prop_assert_eq!(ordered.pop_first(), first);
                    }
                    Step::Retain(least) => {
                        let before = oracle.len();
                        oracle.retain(|(key, _)| *key >= least);
                        let removed = ordered.retain(|key| key.0[0] >= least);
                        prop_assert_eq!(removed, before - oracle.len());
                    }
                }
                let mut seen = Vec::new();
                let mut after = 0;
                loop {
                    let some: Vec<_> = ordered.behind(after, chunk, |_| 4).collect();
                    let Some((last, ..)) = some.last() else { break };
                    after = *last;
                    seen.extend(some.into_iter().map(|(_, key, value)| (key.0[0], *value)));
                }
                prop_assert_eq!(&seen, &oracle);
                for number in 0..20 {
                    let there = oracle.iter().find(|(key, _)| *key == number);
                    prop_assert_eq!(ordered.get(&key(number)), there.map(|(_, value)| value));
                }
            }
        }
    }
}
