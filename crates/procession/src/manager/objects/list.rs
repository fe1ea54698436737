//! The server's side of a list.

use super::object::{Caller, Object, Replies};
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `Option<Blob>`
    Get(u64),
    /// `(u64, Vec<Blob>)`: the version of the list, and values from one on, up to so many, and bytes
    Range(u64, u64, u64),
    /// `Option<Blob>`: what was there, if anything was
    Set(u64, Blob),
    Push(Blob),
    Extend(Vec<Blob>),
    /// `bool`: whether the list is so long
    Insert(u64, Blob),
    /// `Option<Blob>`: the last
    Pop,
    /// `Option<Blob>`
    Remove(u64),
    /// `u64`
    Len,
    Truncate(u64),
    Reverse,
    /// `Option<u64>`: where it is first
    Position(Blob),
    /// `bool`: whether the list was still of this version, and is now this one
    Replace(u64, Vec<Blob>),
    /// `Result<(), Option<Blob>>`: at a position, the second replaces the first, or what is there instead
    CompareExchange(u64, Blob, Blob),
}

#[derive(Debug, Default)]
pub(in crate::manager) struct List {
    values: VecDeque<Blob>,
    /// How often it was changed.
    version: u64,
}

impl List {
    fn changed(&mut self) -> &mut VecDeque<Blob> {
        self.version += 1;
        &mut self.values
    }

    fn get(&self, index: u64) -> Option<&Blob> {
        self.values.get(usize::try_from(index).ok()?)
    }

    fn range(&self, from: u64, count: u64, max_bytes: u64) -> Vec<&Blob> {
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut bytes = 0;
        self.values
            .iter()
            .skip(place(from))
            .take(place(count))
            .take_while(|value| {
                let is_first = bytes == 0;
                bytes += (value.0.len() + 8) as u64;
                is_first || bytes <= max_bytes
            })
            .collect()
    }
}

impl Object for List {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Get(index) => replies.done(caller, &self.get(index)),
            Request::Range(from, count, max_bytes) => {
                replies.done(caller, &(self.version, self.range(from, count, max_bytes)));
            }
            Request::Set(index, value) => {
                let there = usize::try_from(index).ok();
                let there = there.and_then(|index| self.changed().get_mut(index));
                replies.done(caller, &there.map(|there| std::mem::replace(there, value)));
            }
            Request::Push(value) => {
                self.changed().push_back(value);
                replies.done(caller, &());
            }
            Request::Extend(values) => {
                self.changed().extend(values);
                replies.done(caller, &());
            }
            Request::Insert(index, value) => {
                let fits = index <= self.values.len() as u64;
                if fits {
                    self.changed().insert(index as usize, value);
                }
                replies.done(caller, &fits);
            }
            Request::Pop => replies.done(caller, &self.changed().pop_back()),
            Request::Remove(index) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                replies.done(caller, &self.changed().remove(index));
            }
            Request::Len => replies.done(caller, &(self.values.len() as u64)),
            Request::Truncate(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.changed().truncate(length);
                replies.done(caller, &());
            }
            Request::Reverse => {
                self.changed().make_contiguous().reverse();
                replies.done(caller, &());
            }
            Request::Position(value) => {
                let place = self.values.iter().position(|there| *there == value);
                replies.done(caller, &place.map(|place| place as u64));
            }
            Request::Replace(version, values) => {
                let same = version == self.version;
                if same {
                    *self.changed() = values.into();
                }
                replies.done(caller, &same);
            }
            Request::CompareExchange(index, expected, new) => {
                let there = self.get(index);
                let outcome = match there == Some(&expected) {
                    false => Err(there.cloned()),
                    true => {
                        self.changed()[index as usize] = new;
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
        }
        Ok(())
    }
}
