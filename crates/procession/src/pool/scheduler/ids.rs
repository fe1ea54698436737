//! Numbers that tell things of a pool apart, a type for each kind, and tables by them.

use slab::Slab;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A number that names one kind of thing.
pub(in crate::pool) trait Id: Copy {
    fn new(number: usize) -> Self;
    fn number(self) -> usize;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(usize);

        impl Id for $name {
            #[inline]
            fn new(number: usize) -> $name {
                $name(number)
            }

            #[inline]
            fn number(self) -> usize {
                self.0
            }
        }
    )*};
}

ids! {
    /// A function that workers call. Workers know it by the same number.
    JobId;
    /// Arguments that go to one worker at once.
    ChunkId;
    /// A call of one function for many arguments.
    RunId;
    /// A worker: its place in the pool, which its replacements take over.
    WorkerId;
}

/// A table whose entries are named by numbers of one kind. The number of an entry that was
/// removed is used again.
#[derive(Debug)]
pub(in crate::pool) struct Table<I, T> {
    entries: Slab<T>,
    id: PhantomData<fn(I) -> I>,
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Table<I, T> {
        Table {
            entries: Slab::new(),
            id: PhantomData,
        }
    }
}

impl<I: Id, T> Table<I, T> {
    pub(super) fn insert(&mut self, entry: T) -> I {
        I::new(self.entries.insert(entry))
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, id: I) -> Option<T> {
        self.entries.try_remove(id.number())
    }

    #[inline]
    pub(super) fn get(&self, id: I) -> Option<&T> {
        self.entries.get(id.number())
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.entries.get_mut(id.number())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        let entries = self.entries.iter();
        entries.map(|(number, entry)| (I::new(number), entry))
    }
}

impl<I: Id, T> Index<I> for Table<I, T> {
    type Output = T;

    #[inline]
    fn index(&self, id: I) -> &T {
        &self.entries[id.number()]
    }
}

impl<I: Id, T> IndexMut<I> for Table<I, T> {
    #[inline]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.entries[id.number()]
    }
}
