//! A dictionary that a manager owns.

use super::blob::{Blob, decoded};
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::dict::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A dictionary that a manager owns, in the order in which its keys were inserted.
///
/// Keys are the same if their encodings are. What serde does not see of a key (a field that is skipped) does not tell keys
/// apart, and a key that is a `HashMap` has no encoding that is always the same.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Dict, Manager};
/// let manager = Manager::start()?;
/// let stock: Dict<String, u32> = manager.dict()?;
/// stock.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
/// assert_eq!(stock.get("tea")?, Some(3));
/// let left = stock.update("tea".to_owned(), |count| count.map(|count| count - 1))?;
/// # let _ = left;
/// assert_eq!(stock.snapshot()?.len(), 2);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Dict<K, V> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn(K) -> V>,
}

/// Bytes of entries that an iterator has at once.
const CHUNK: u64 = 1 << 16;

impl Manager {
    /// Creates a dictionary, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the types cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let dict = manager.dict::<u8, String>()?;
    /// dict.insert(7, "seven".to_owned())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dict<K, V>(&self) -> Result<Dict<K, V>>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        let proxy = self.create(Dict::<K, V>::shape()?, Initial::Empty)?;
        Ok(Dict::of(proxy))
    }
}

impl<K, V> Dict<K, V>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    fn shape() -> Result<Shape> {
        let schemas = [schema_of::<K>()?, schema_of::<V>()?];
        Ok(shape(ObjectKind::Dict, "dictionary", &schemas))
    }

    pub(super) fn of(proxy: Proxy) -> Dict<K, V> {
        Dict {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy
            .call("calling dictionary", request, Deadline::NEVER)
    }

    /// Returns a copy of the value of a key.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// assert_eq!(dict.get("tea")?, None);
    /// dict.insert("tea".to_owned(), 3)?;
    /// assert_eq!(dict.get("tea")?, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        decoded(self.ask(&Request::Get(Blob::of(key)?))?)
    }

    /// Returns copies of the values of several keys, in one call and as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// assert_eq!(dict.get_many(["tea", "bread"])?, [Some(3), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>) -> Result<Vec<Option<V>>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        let keys = keys.into_iter().map(Blob::of).collect::<Result<_>>()?;
        let values: Vec<Option<Blob>> = self.ask(&Request::GetMany(keys))?;
        values.into_iter().map(decoded).collect()
    }

    /// Sets the value of a key; returns what was there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// assert_eq!(dict.insert("tea".to_owned(), 3)?, None);
    /// assert_eq!(dict.insert("tea".to_owned(), 4)?, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn insert(&self, key: K, value: V) -> Result<Option<V>> {
        decoded(self.ask(&Request::Insert(Blob::of(&key)?, Blob::of(&value)?))?)
    }

    /// Sets the value of a key that has none; returns the value that it has then.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// assert_eq!(dict.get_or_insert("tea".to_owned(), 3)?, 3);
    /// assert_eq!(dict.get_or_insert("tea".to_owned(), 4)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "setdefault")]
    pub fn get_or_insert(&self, key: K, value: V) -> Result<V> {
        let request = Request::GetOrInsert(Blob::of(&key)?, Blob::of(&value)?);
        self.ask::<Blob>(&request)?.get()
    }

    /// Sets the value of a key that has none, to what `make` returns; returns the value that it has then. If several clients do so at
    /// the same time, all get the value of one.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// let tea = dict.get_or_insert_with("tea".to_owned(), || panic!("it is there"))?;
    /// assert_eq!(tea, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "entry")]
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Result<V> {
        match decoded(self.ask(&Request::Get(Blob::of(&key)?))?)? {
            Some(there) => Ok(there),
            None => self.get_or_insert(key, make()),
        }
    }

    /// Removes a key; returns the value that it had.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// assert_eq!(dict.remove("tea")?, Some(3));
    /// assert_eq!(dict.remove("tea")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "pop")]
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        decoded(self.ask(&Request::Remove(Blob::of(key)?))?)
    }

    /// Removes several keys, in one call and at one moment; returns how many had a value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// assert_eq!(dict.remove_many(["tea", "bread"])?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_many<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>) -> Result<usize>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized + 'a,
    {
        let keys = keys.into_iter().map(Blob::of).collect::<Result<_>>()?;
        Ok(self.ask::<u64>(&Request::RemoveMany(keys))? as usize)
    }

    /// Returns `true` if the key has a value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// assert!(!dict.contains_key("tea")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.ask(&Request::ContainsKey(Blob::of(key)?))
    }

    /// Returns the number of keys.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
    /// assert_eq!(dict.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        Ok(self.ask::<u64>(&Request::Len)? as usize)
    }

    /// Returns `true` if there are no keys.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// assert!(dict.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all keys.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// dict.clear()?;
    /// assert!(dict.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        self.ask(&Request::Clear)
    }

    /// Sets the values of several keys, in one call and at one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
    /// assert_eq!(dict.get("bread")?, Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "update")]
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<()> {
        let entries = entries.into_iter();
        let encode = |(key, value): (K, V)| Ok((Blob::of(&key)?, Blob::of(&value)?));
        self.ask(&Request::Extend(
            entries.map(encode).collect::<Result<_>>()?,
        ))
    }

    /// Changes the value of a key, inserts it, or removes it, at one moment: what `entry` does for the maps of std. `change` has
    /// a copy of what is there, and is called again if somebody else has changed it meanwhile. Returns what is there then; what
    /// `change` returns is ignored.
    /// So `change` must have no effect elsewhere.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// let visits: Dict<String, u32> = manager.dict()?;
    /// visits.update("home".to_owned(), |count| *count.get_or_insert(0) += 1)?;
    /// assert_eq!(visits.get("home")?, Some(1));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn update<R>(
        &self,
        key: K,
        mut change: impl FnMut(&mut Option<V>) -> R,
    ) -> Result<Option<V>> {
        let key = Blob::of(&key)?;
        let mut there: Option<Blob> = self.ask(&Request::Get(key.clone()))?;
        loop {
            let mut value = decoded(there.clone())?;
            change(&mut value);
            let new = value.as_ref().map(Blob::of).transpose()?;
            let request = Request::CompareExchange(key.clone(), there, new);
            match self.ask::<std::result::Result<(), Option<Blob>>>(&request)? {
                Ok(()) => return Ok(value),
                Err(other) => there = other,
            }
        }
    }

    /// Replaces the value of a key if it is `expected`, where `None` is a key without value; otherwise
    /// returns what is there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// let tea = || "tea".to_owned();
    /// assert_eq!(dict.compare_exchange(tea(), None, Some(&3))?, Ok(()));
    /// assert_eq!(dict.compare_exchange(tea(), Some(&4), None)?, Err(Some(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_exchange(
        &self,
        key: K,
        expected: Option<&V>,
        new: Option<&V>,
    ) -> Result<std::result::Result<(), Option<V>>> {
        let expected = expected.map(Blob::of).transpose()?;
        let new = new.map(Blob::of).transpose()?;
        let request = Request::CompareExchange(Blob::of(&key)?, expected, new);
        match self.ask::<std::result::Result<(), Option<Blob>>>(&request)? {
            Ok(()) => Ok(Ok(())),
            Err(there) => Ok(Err(decoded(there)?)),
        }
    }

    /// Returns the entries one after the other, some at a time: those that are inserted meanwhile may be
    /// among them, those that are removed meanwhile may not, and none is there twice.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
    /// let mut keys = Vec::new();
    /// for entry in dict.iter() {
    ///     keys.push(entry?.0);
    /// }
    /// assert_eq!(keys, ["tea", "bread"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<(K, V)>> + '_ {
        self.entries()
            .map(|entry| entry.and_then(|(_, key, value)| Ok((key.get()?, value.get()?))))
    }

    fn entries(&self) -> impl Iterator<Item = Result<(u64, Blob, Blob)>> + '_ {
        super::chunks::each(Some(0), move |after| {
            let entries: Vec<(u64, Blob, Blob)> = self.ask(&Request::Entries(after, CHUNK))?;
            let last = entries.last().map_or(after, |(number, ..)| *number);
            Ok((last, entries))
        })
    }

    /// Returns the keys one after the other, some at a time, as [`iter`](Dict::iter); values do not travel.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
    /// let keys = dict.keys().collect::<procession::Result<Vec<_>>>()?;
    /// assert_eq!(keys, ["tea", "bread"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keys(&self) -> impl Iterator<Item = Result<K>> + '_ {
        super::chunks::each(Some(0), move |after| {
            let keys: Vec<(u64, Blob)> = self.ask(&Request::Keys(after, CHUNK))?;
            let last = keys.last().map_or(after, |(number, _)| *number);
            Ok((last, keys))
        })
        .map(|key| key?.1.get())
    }

    /// Returns the values one after the other, some at a time, as [`iter`](Dict::iter).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.extend([("tea".to_owned(), 3), ("bread".to_owned(), 5)])?;
    /// assert_eq!(dict.values().sum::<procession::Result<u32>>()?, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn values(&self) -> impl Iterator<Item = Result<V>> + '_ {
        self.entries().map(|entry| entry?.2.get())
    }

    /// Returns a copy of all entries as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Dict, Manager};
    /// # let manager = Manager::start()?;
    /// # let dict: Dict<String, u32> = manager.dict()?;
    /// dict.insert("tea".to_owned(), 3)?;
    /// assert_eq!(dict.snapshot()?, [("tea".to_owned(), 3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "copy")]
    pub fn snapshot(&self) -> Result<Vec<(K, V)>> {
        let entries: Vec<(u64, Blob, Blob)> = self.ask(&Request::Entries(0, u64::MAX))?;
        let entries = entries.into_iter();
        entries
            .map(|(_, key, value)| Ok((key.get()?, value.get()?)))
            .collect()
    }
}

super::proxy::traits!(Dict<K, V>);
