//! The server's side of a list.

use super::chunked::Chunked;
use super::discard;
use super::object::{Caller, Object, Replies};
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};

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
    /// `Position`: where it is, looking at so many values from one on
    Position(Blob, u64, u64),
    /// `Option<Vec<Blob>>`: so many values from one on, which become these; none if the list is shorter
    Splice(u64, u64, Vec<Blob>),
    /// `bool`: whether the list was still of this version, and is now this one
    Replace(u64, Vec<Blob>),
    /// `Result<(), Option<Blob>>`: at a position, the second replaces the first, or what is there instead
    CompareExchange(u64, Blob, Blob),
}

/// How far a search came.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Position {
    At(u64),
    /// Not before this position, behind which nothing was looked at.
    Behind(u64),
    /// Nowhere.
    None,
}

#[derive(Debug, Default)]
pub(in crate::manager) struct List {
    values: Chunked,
    /// How often it was changed.
    version: u64,
}

impl List {
    fn changed(&mut self) -> &mut Chunked {
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
            .from(place(from))
            .take(place(count))
            .take_while(|value| {
                let is_first = bytes == 0;
                bytes += (value.0.len() + 8) as u64;
                is_first || bytes <= max_bytes
            })
            .collect()
    }
}

impl List {
    fn position(&self, value: &Blob, from: u64, count: u64) -> Position {
        let length = self.values.len() as u64;
        let end = from.saturating_add(count).min(length);
        let count = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX);
        let place = usize::try_from(from).unwrap_or(usize::MAX);
        let mut looked_at = self.values.from(place).take(count);
        match looked_at.position(|there| there == value) {
            Some(place) => Position::At(from + place as u64),
            None if end < length => Position::Behind(end),
            None => Position::None,
        }
    }

    fn splice(&mut self, from: usize, count: usize, values: Vec<Blob>) -> Vec<Blob> {
        let there = self.changed();
        let behind = there.split_off(from + count);
        let removed = there.split_off(from);
        there.append(Chunked::from_iter(values));
        there.append(behind);
        removed.into_values().collect()
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
                let garbage = self.changed().split_off(length);
                let count = garbage.len();
                discard(garbage, count);
                replies.done(caller, &());
            }
            Request::Reverse => {
                self.changed().reverse();
                replies.done(caller, &());
            }
            Request::Position(value, from, count) => {
                replies.done(caller, &self.position(&value, from, count));
            }
            Request::Splice(from, count, values) => {
                let fits = from.checked_add(count);
                let fits = fits.is_some_and(|end| end <= self.values.len() as u64);
                let removed = fits.then(|| self.splice(from as usize, count as usize, values));
                replies.done(caller, &removed);
            }
            Request::Replace(version, values) => {
                let same = version == self.version;
                if same {
                    let garbage = std::mem::replace(self.changed(), Chunked::from_iter(values));
                    let count = garbage.len();
                    discard(garbage, count);
                }
                replies.done(caller, &same);
            }
            Request::CompareExchange(index, expected, new) => {
                let there = self.get(index);
                let outcome = match there == Some(&expected) {
                    false => Err(there.cloned()),
                    true => {
                        if let Some(there) = self.changed().get_mut(index as usize) {
                            *there = new;
                        }
                        Ok(())
                    }
                };
                replies.done(caller, &outcome);
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.values.len()
    }
}
