//! The server's side of a set.

use super::discard;
use super::object::{Caller, Object, Replies};
use super::ordered::Ordered;
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `u64`: how many of them were new
    Insert(Vec<Blob>),
    /// `u64`: how many of them were there
    Remove(Vec<Blob>),
    /// `u64`: how many members are not among them, and were removed
    Retain(Vec<Blob>),
    /// `bool`
    Contains(Blob),
    /// `u64`: how many of them, which differ, are members
    Count(Vec<Blob>),
    /// `Vec<Blob>`
    Combine(Combination, Vec<Blob>),
    /// `Option<Blob>`: the member that was inserted first, which is removed
    Pop,
    /// `u64`
    Len,
    Clear,
    /// `Vec<(u64, Blob)>`: members behind this one, up to so many bytes
    Entries(u64, u64),
}

/// How the members of a set and some values, which differ, become one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::manager) enum Combination {
    Union,
    Intersection,
    Difference,
    SymmetricDifference,
}

#[derive(Debug, Default)]
pub(in crate::manager) struct Set(Ordered<()>);

impl Set {
    fn combine<'a>(&'a self, combination: Combination, others: &'a [Blob]) -> Vec<&'a Blob> {
        use Combination::{Difference, Intersection, SymmetricDifference, Union};
        // Of an intersection, the members are what is looked up: it costs what `others` costs.
        if combination == Intersection {
            return others
                .iter()
                .filter(|&other| self.0.contains(other))
                .collect();
        }
        let known: HashSet<&Blob> = others.iter().collect();
        let own = self.0.keys();
        let own = own.filter(|&key| combination == Union || !known.contains(key));
        let new = others.iter().filter(|&other| !self.0.contains(other));
        match combination {
            Difference | Intersection => own.collect(),
            Union | SymmetricDifference => own.chain(new).collect(),
        }
    }
}

impl Object for Set {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Insert(values) => {
                let before = self.0.len();
                for value in values {
                    self.0.insert(value, ());
                }
                replies.done(caller, &((self.0.len() - before) as u64));
            }
            Request::Remove(values) => {
                let removed = values.iter().filter_map(|value| self.0.remove(value));
                replies.done(caller, &(removed.count() as u64));
            }
            Request::Retain(values) => {
                let values: HashSet<Blob> = values.into_iter().collect();
                let removed = self.0.retain(|key| values.contains(key));
                replies.done(caller, &(removed as u64));
            }
            Request::Contains(value) => replies.done(caller, &self.0.contains(&value)),
            Request::Count(values) => {
                let there = values.iter().filter(|value| self.0.contains(value));
                replies.done(caller, &(there.count() as u64));
            }
            Request::Combine(combination, others) => {
                replies.done(caller, &self.combine(combination, &others));
            }
            Request::Pop => {
                let first = self.0.pop_first();
                replies.done(caller, &first.map(|(value, ())| value));
            }
            Request::Len => replies.done(caller, &(self.0.len() as u64)),
            Request::Clear => {
                let garbage = std::mem::take(&mut self.0);
                let count = garbage.len();
                discard(garbage, count);
                replies.done(caller, &());
            }
            Request::Entries(after, max_bytes) => {
                let entries = self.0.behind(after, max_bytes, |()| 0);
                let entries: Vec<_> = entries.map(|(number, key, ())| (number, key)).collect();
                replies.done(caller, &entries);
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}
