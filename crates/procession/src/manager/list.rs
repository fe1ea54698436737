//! A list that a manager owns.

use super::blob::{Blob, decoded};
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::list::{Position, Request};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A list that a manager owns.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{List, Manager};
/// let manager = Manager::start()?;
/// let numbers: List<u32> = manager.list()?;
/// numbers.extend([3, 1, 2])?;
/// numbers.push(0)?;
/// numbers.update(|numbers| numbers.sort())?;
/// assert_eq!(numbers.snapshot()?, [0, 1, 2, 3]);
/// assert_eq!(numbers.pop()?, Some(3));
/// # Ok::<(), procession::Error>(())
/// ```
pub struct List<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

/// Values that the manager looks at in one call.
const LOOKED_AT: u64 = 1 << 16;

/// Bytes of values that an iterator has at once.
const CHUNK: u64 = 1 << 16;

impl Manager {
    /// Creates a list, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let list = manager.list::<String>()?;
    /// list.push("first".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list<T: Serialize + DeserializeOwned>(&self) -> Result<List<T>> {
        Ok(List::of(self.create(List::<T>::shape()?, Initial::Empty)?))
    }
}

impl<T: Serialize + DeserializeOwned> List<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::List, "list", &[schema_of::<T>()?]))
    }

    pub(super) fn of(proxy: Proxy) -> List<T> {
        List {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy.call("calling list", request, Deadline::NEVER)
    }

    /// Returns a copy of the value at a position.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!((list.get(1)?, list.get(2)?), (Some(6), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        decoded(self.ask(&Request::Get(index as u64))?)
    }

    /// Returns copies of the values from a position on, at most `count`, as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend(0..10)?;
    /// assert_eq!(list.get_range(3, 2)?, [3, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_range(&self, from: usize, count: usize) -> Result<Vec<T>> {
        let request = Request::Range(from as u64, count as u64, u64::MAX);
        let (_, values): (u64, Vec<Blob>) = self.ask(&request)?;
        values.iter().map(Blob::get).collect()
    }

    /// Sets the value at a position; returns what was there.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the list is not so long.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.push(5)?;
    /// assert_eq!(list.set(0, &6)?, 5);
    /// assert!(list.set(1, &7).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, index: usize, value: &T) -> Result<T> {
        let there: Option<Blob> = self.ask(&Request::Set(index as u64, Blob::of(value)?))?;
        there.ok_or_else(|| self.no_such(index))?.get()
    }

    /// Adds a value at the end.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.push(5)?;
    /// assert_eq!(list.snapshot()?, [5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "append")]
    pub fn push(&self, value: T) -> Result<()> {
        self.ask(&Request::Push(Blob::of(&value)?))
    }

    /// Adds values at the end, in one call and at one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!(list.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values = values.into_iter().map(|value| Blob::of(&value));
        self.ask(&Request::Extend(values.collect::<Result<_>>()?))
    }

    /// Inserts a value before the one at a position.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the list is shorter.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 7])?;
    /// list.insert(1, 6)?;
    /// assert_eq!(list.snapshot()?, [5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert(&self, index: usize, value: T) -> Result<()> {
        match self.ask(&Request::Insert(index as u64, Blob::of(&value)?))? {
            true => Ok(()),
            false => Err(self.no_such(index)),
        }
    }

    /// Removes the last value and returns it.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!(list.pop()?, Some(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pop(&self) -> Result<Option<T>> {
        decoded(self.ask(&Request::Pop)?)
    }

    /// Removes the value at a position and returns it.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the list is not so long.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!(list.remove(0)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, index: usize) -> Result<T> {
        let there: Option<Blob> = self.ask(&Request::Remove(index as u64))?;
        there.ok_or_else(|| self.no_such(index))?.get()
    }

    /// Returns the number of values.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// assert_eq!(list.len()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        Ok(self.ask::<u64>(&Request::Len)? as usize)
    }

    /// Returns `true` if there are no values.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// assert!(list.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all values behind the first `length`.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6, 7])?;
    /// list.truncate(2)?;
    /// assert_eq!(list.snapshot()?, [5, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn truncate(&self, length: usize) -> Result<()> {
        self.ask(&Request::Truncate(length as u64))
    }

    /// Removes all values.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.push(5)?;
    /// list.clear()?;
    /// assert!(list.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        self.truncate(0)
    }

    /// Reverses the order.
    ///
    /// # Cost
    /// The manager moves each value, and does nothing else meanwhile.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6, 7])?;
    /// list.reverse()?;
    /// assert_eq!(list.snapshot()?, [7, 6, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reverse(&self) -> Result<()> {
        self.ask(&Request::Reverse)
    }

    /// Returns the first position of a value.
    ///
    /// In a list of more than 65,536 values, each so many are looked at as of a moment of their own: where others insert or remove
    /// meanwhile, a value may be missed.
    ///
    /// # Cost
    /// A call for each 65,536 values.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!((list.position(&6)?, list.position(&7)?), (Some(1), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "index")]
    pub fn position(&self, value: &T) -> Result<Option<usize>> {
        let value = Blob::of(value)?;
        let mut from = 0;
        loop {
            match self.ask(&Request::Position(value.clone(), from, LOOKED_AT))? {
                Position::At(place) => return Ok(Some(place as usize)),
                Position::None => return Ok(None),
                Position::Behind(place) => from = place,
            }
        }
    }

    /// Replaces `count` values from a position on by others, as many as there are, in one call and at one moment; returns
    /// those that were there. With `count` 0, it inserts values before the position.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the list is shorter.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6, 7])?;
    /// assert_eq!(list.splice(1, 2, [1, 2, 3])?, [6, 7]);
    /// assert_eq!(list.snapshot()?, [5, 1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "set_range")]
    #[doc(alias = "insert_many")]
    #[doc(alias = "remove_range")]
    pub fn splice(
        &self,
        from: usize,
        count: usize,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Vec<T>> {
        let values = values.into_iter().map(|value| Blob::of(&value));
        let values = values.collect::<Result<_>>()?;
        let request = Request::Splice(from as u64, count as u64, values);
        let removed: Option<Vec<Blob>> = self.ask(&request)?;
        let removed = removed.ok_or_else(|| self.no_such(from.saturating_add(count)))?;
        removed.iter().map(Blob::get).collect()
    }

    /// Sorts the list, at one moment.
    ///
    /// # Cost
    /// That of [`update`](List::update): this process sorts, since the manager knows no types.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([6, 7, 5])?;
    /// list.sort()?;
    /// assert_eq!(list.snapshot()?, [5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sort(&self) -> Result<()>
    where
        T: Ord,
    {
        self.update(|values| values.sort())
    }

    /// Replaces the value at a position if it is `expected`; otherwise returns what is there, or `None` if the list is not so long.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.push(5)?;
    /// assert_eq!(list.compare_exchange(0, &6, &7)?, Err(Some(5)));
    /// assert_eq!(list.compare_exchange(0, &5, &7)?, Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_exchange(
        &self,
        index: usize,
        expected: &T,
        new: &T,
    ) -> Result<std::result::Result<(), Option<T>>> {
        let (expected, new) = (Blob::of(expected)?, Blob::of(new)?);
        let request = Request::CompareExchange(index as u64, expected, new);
        match self.ask::<std::result::Result<(), Option<Blob>>>(&request)? {
            Ok(()) => Ok(Ok(())),
            Err(there) => Ok(Err(decoded(there)?)),
        }
    }

    /// Changes the list as a whole, at one moment: `change` has a copy of it, and is called again if
    /// somebody else has changed the list meanwhile. Returns what `change` returned at last.
    /// So `change` must have no effect elsewhere.
    ///
    /// # Cost
    /// The whole list goes there and back, each time.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([7, 5, 6])?;
    /// list.update(|numbers| numbers.sort())?;
    /// assert_eq!(list.snapshot()?, [5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sort_by")]
    pub fn update<R>(&self, mut change: impl FnMut(&mut Vec<T>) -> R) -> Result<R> {
        loop {
            let request = Request::Range(0, u64::MAX, u64::MAX);
            let (version, values): (u64, Vec<Blob>) = self.ask(&request)?;
            let mut values = values.iter().map(Blob::get).collect::<Result<Vec<T>>>()?;
            let outcome = change(&mut values);
            let values = values.iter().map(Blob::of).collect::<Result<_>>()?;
            if self.ask(&Request::Replace(version, values))? {
                return Ok(outcome);
            }
        }
    }

    /// Returns the values one after the other, some at a time: where others insert or remove meanwhile,
    /// some may be left out or be there twice.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend(0..1000)?;
    /// let mut sum = 0;
    /// for number in list.iter() {
    ///     sum += number?;
    /// }
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> + '_ {
        super::chunks::each(Some(0), move |from| {
            let request = Request::Range(from, u64::MAX, CHUNK);
            let (_, values): (u64, Vec<Blob>) = self.ask(&request)?;
            Ok((from + values.len() as u64, values))
        })
        .map(|value| value?.get())
    }

    /// Returns a copy of the list as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{List, Manager};
    /// # let manager = Manager::start()?;
    /// # let list: List<u32> = manager.list()?;
    /// list.extend([5, 6])?;
    /// assert_eq!(list.snapshot()?, [5, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "copy")]
    pub fn snapshot(&self) -> Result<Vec<T>> {
        self.get_range(0, usize::MAX)
    }

    fn no_such(&self, index: usize) -> Error {
        Error::new(ErrorKind::InvalidInput, "calling list", self.proxy.name())
            .because(format!("there is no position {index}"))
    }
}

super::proxy::traits!(List<T>);
