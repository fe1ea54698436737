//! The server's side of a dictionary.

use super::object::{Caller, Object, Replies};
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `Option<Blob>`
    Get(Blob),
    /// `Vec<Option<Blob>>`
    GetMany(Vec<Blob>),
    /// `Option<Blob>`: what was there
    Insert(Blob, Blob),
    /// `Blob`: what is there now
    GetOrInsert(Blob, Blob),
    /// `Option<Blob>`: what was there
    Remove(Blob),
    /// `bool`
    ContainsKey(Blob),
    /// `u64`
    Len,
    Clear,
    Extend(Vec<(Blob, Blob)>),
    /// `Result<(), Option<Blob>>`: the second replaces the first, or what is there instead
    CompareExchange(Blob, Option<Blob>, Option<Blob>),
    /// `Vec<(u64, Blob, Blob)>`: entries behind this one, up to so many bytes
    Entries(u64, u64),
}

/// Keys and values in the order in which the keys were inserted.
#[derive(Debug, Default)]
pub(in crate::manager) struct Dict {
    places: HashMap<Blob, u64>,
    entries: BTreeMap<u64, (Blob, Blob)>,
    /// The number of the latest entry.
    latest: u64,
}

impl Dict {
    fn get(&self, key: &Blob) -> Option<&Blob> {
        let place = self.places.get(key)?;
        self.entries.get(place).map(|(_, value)| value)
    }

    fn insert(&mut self, key: Blob, value: Blob) -> Option<Blob> {
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

    fn remove(&mut self, key: &Blob) -> Option<Blob> {
        let place = self.places.remove(key)?;
        self.entries.remove(&place).map(|(_, value)| value)
    }

    /// Entries behind one, up to so many bytes, but at least one.
    fn entries(&self, after: u64, max_bytes: u64) -> Vec<(u64, &Blob, &Blob)> {
        let mut bytes = 0;
        let range = self.entries.range(after.saturating_add(1)..);
        range
            .take_while(|(_, (key, value))| {
                let is_first = bytes == 0;
                bytes += (key.0.len() + value.0.len() + 16) as u64;
                is_first || bytes <= max_bytes
            })
            .map(|(number, (key, value))| (*number, key, value))
            .collect()
    }
}

impl Object for Dict {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get(key) => replies.done(caller, &self.get(&key)),
            Request::GetMany(keys) => {
                let values: Vec<_> = keys.iter().map(|key| self.get(key)).collect();
                replies.done(caller, &values);
            }
            Request::Insert(key, value) => replies.done(caller, &self.insert(key, value)),
            Request::GetOrInsert(key, value) => match self.get(&key) {
                Some(there) => replies.done(caller, there),
                None => {
                    replies.done(caller, &value);
                    self.insert(key, value);
                }
            },
            Request::Remove(key) => replies.done(caller, &self.remove(&key)),
            Request::ContainsKey(key) => replies.done(caller, &self.places.contains_key(&key)),
            Request::Len => replies.done(caller, &(self.entries.len() as u64)),
            Request::Clear => {
                self.places.clear();
                self.entries.clear();
                replies.done(caller, &());
            }
            Request::Extend(entries) => {
                for (key, value) in entries {
                    self.insert(key, value);
                }
                replies.done(caller, &());
            }
            Request::CompareExchange(key, expected, new) => {
                let there = self.get(&key);
                let outcome = match there == expected.as_ref() {
                    false => Err(there.cloned()),
                    true => {
                        match new {
                            Some(new) => self.insert(key, new),
                            None => self.remove(&key),
                        };
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
            Request::Entries(after, max_bytes) => {
                replies.done(caller, &self.entries(after, max_bytes));
            }
        }
        Ok(())
    }
}
