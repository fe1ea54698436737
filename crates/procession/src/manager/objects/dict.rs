//! The server's side of a dictionary.

use super::discard;
use super::object::{Caller, Object, Replies};
use super::ordered::Ordered;
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};

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
    /// `u64`: how many of them were there
    RemoveMany(Vec<Blob>),
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
    /// `Vec<(u64, Blob)>`: the same without values
    Keys(u64, u64),
}

/// Keys and values in the order in which the keys were inserted.
#[derive(Debug, Default)]
pub(in crate::manager) struct Dict(Ordered<Blob>);

impl Object for Dict {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get(key) => replies.done(caller, &self.0.get(&key)),
            Request::GetMany(keys) => {
                let values: Vec<_> = keys.iter().map(|key| self.0.get(key)).collect();
                replies.done(caller, &values);
            }
            Request::Insert(key, value) => replies.done(caller, &self.0.insert(key, value)),
            Request::GetOrInsert(key, value) => match self.0.get(&key) {
                Some(there) => replies.done(caller, there),
                None => {
                    replies.done(caller, &value);
                    self.0.insert(key, value);
                }
            },
            Request::Remove(key) => replies.done(caller, &self.0.remove(&key)),
            Request::RemoveMany(keys) => {
                let removed = keys.iter().filter_map(|key| self.0.remove(key));
                replies.done(caller, &(removed.count() as u64));
            }
            Request::ContainsKey(key) => replies.done(caller, &self.0.contains(&key)),
            Request::Len => replies.done(caller, &(self.0.len() as u64)),
            Request::Clear => {
                let garbage = std::mem::take(&mut self.0);
                let count = garbage.len();
                discard(garbage, count);
                replies.done(caller, &());
            }
            Request::Extend(entries) => {
                for (key, value) in entries {
                    self.0.insert(key, value);
                }
                replies.done(caller, &());
            }
            Request::CompareExchange(key, expected, new) => {
                let there = self.0.get(&key);
                let outcome = match there == expected.as_ref() {
                    false => Err(there.cloned()),
                    true => {
                        match new {
                            Some(new) => self.0.insert(key, new),
                            None => self.0.remove(&key),
                        };
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
            Request::Keys(after, max_bytes) => {
                let keys = self.0.behind(after, max_bytes, |_| 0);
                let keys: Vec<_> = keys.map(|(number, key, _)| (number, key)).collect();
                replies.done(caller, &keys);
            }
            Request::Entries(after, max_bytes) => {
                let entries = self.0.behind(after, max_bytes, |value| value.0.len());
                replies.done(caller, &entries.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}
