//! A set that a manager owns.

mod algebra;
mod operand;

pub use operand::Operand;

use super::blob::{Blob, decoded};
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::set::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A set that a manager owns, in the order in which its members were inserted.
///
/// Values are the same if their encodings are. What serde does not see of a value (a field that is skipped) does not tell values
/// apart, and a value that is a `HashMap` has no encoding that is always the same.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, Set};
/// let manager = Manager::start()?;
/// let seen: Set<String> = manager.set()?;
/// assert!(seen.insert("example.org".to_owned())?);
/// // Another process was faster.
/// assert!(!seen.insert("example.org".to_owned())?);
/// assert!(seen.contains("example.org")?);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Set<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

/// Bytes of members that an iterator has at once.
const CHUNK: u64 = 1 << 16;

impl Manager {
    /// Creates an empty set, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let set = manager.set::<u64>()?;
    /// set.insert(7)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set<T: Serialize + DeserializeOwned>(&self) -> Result<Set<T>> {
        Ok(Set::of(self.create(Set::<T>::shape()?, Initial::Empty)?))
    }
}

impl<T: Serialize + DeserializeOwned> Set<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Set, "set", &[schema_of::<T>()?]))
    }

    pub(super) fn of(proxy: Proxy) -> Set<T> {
        Set {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy.call("calling set", request, Deadline::NEVER)
    }

    /// Inserts a value; returns `true` if it was not there.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// assert!(set.insert(7)?);
    /// assert!(!set.insert(7)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "add")]
    pub fn insert(&self, value: T) -> Result<bool> {
        let new: u64 = self.ask(&Request::Insert(vec![Blob::of(&value)?]))?;
        Ok(new == 1)
    }

    /// Removes a value; returns `true` if it was there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.insert(7)?;
    /// assert!(set.remove(&7)?);
    /// assert!(!set.remove(&7)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "discard")]
    pub fn remove<Q>(&self, value: &Q) -> Result<bool>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let removed: u64 = self.ask(&Request::Remove(vec![Blob::of(value)?]))?;
        Ok(removed == 1)
    }

    /// Removes the member that was inserted first and returns it: several processes that take members away never get the same one.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6])?;
    /// assert_eq!((set.pop()?, set.pop()?, set.pop()?), (Some(5), Some(6), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "take")]
    pub fn pop(&self) -> Result<Option<T>> {
        decoded(self.ask(&Request::Pop)?)
    }

    /// Returns `true` if a value is a member.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// assert!(!set.contains(&7)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains<Q>(&self, value: &Q) -> Result<bool>
    where
        T: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        self.ask(&Request::Contains(Blob::of(value)?))
    }

    /// Returns the number of members.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([5, 6, 5])?;
    /// assert_eq!(set.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        Ok(self.ask::<u64>(&Request::Len)? as usize)
    }

    /// Returns `true` if there are no members.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert!(manager.set::<u64>()?.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all members.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.insert(7)?;
    /// set.clear()?;
    /// assert!(set.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clear(&self) -> Result<()> {
        self.ask(&Request::Clear)
    }

    /// Returns the members one after the other, some at a time: those that are inserted meanwhile may be among them, those
    /// that are removed meanwhile may not, and none is there twice unless it was removed and inserted again.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend(0..1000)?;
    /// let sum: u64 = set.iter().sum::<procession::Result<_>>()?;
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> + '_ {
        super::chunks::each(Some(0), move |after| {
            let members: Vec<(u64, Blob)> = self.ask(&Request::Entries(after, CHUNK))?;
            let last = members.last().map_or(after, |(number, _)| *number);
            Ok((last, members))
        })
        .map(|member| member?.1.get())
    }

    /// Returns a copy of all members as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let set = manager.set::<u64>()?;
    /// set.extend([6, 5])?;
    /// assert_eq!(set.snapshot()?, [6, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "copy")]
    pub fn snapshot(&self) -> Result<Vec<T>> {
        self.all()?.iter().map(Blob::get).collect()
    }

    fn all(&self) -> Result<Vec<Blob>> {
        let members: Vec<(u64, Blob)> = self.ask(&Request::Entries(0, u64::MAX))?;
        Ok(members.into_iter().map(|(_, member)| member).collect())
    }
}

super::proxy::traits!(Set<T>);
