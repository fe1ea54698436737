//! An array that a manager owns.

use super::blob::Blob;
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::array::Request;
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// An array that a manager owns: as many values as it was created with, each of which changes by itself.
///
/// Processes of one machine that use numbers often are faster with [`shared::Array`](crate::shared::Array), which is memory.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Array, Manager};
/// let manager = Manager::start()?;
/// let squares: Array<u64> = manager.array([0; 4])?;
/// for number in 0..4 {
///     squares.set(number as usize, &(number * number))?;
/// }
/// squares.swap(0, 3)?;
/// assert_eq!(squares.snapshot()?, [9, 1, 4, 0]);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Array<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

/// Bytes of values that an iterator has at once.
const CHUNK: u64 = 1 << 16;

impl Manager {
    /// Creates an array of these values, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array(["a", "b"].map(str::to_owned))?;
    /// assert_eq!(array.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn array<T>(&self, values: impl IntoIterator<Item = T>) -> Result<Array<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let values = values.into_iter().map(|value| Blob::of(&value));
        let initial = Initial::Values(values.collect::<Result<_>>()?);
        Ok(Array::of(self.create(Array::<T>::shape()?, initial)?))
    }
}

impl<T: Serialize + DeserializeOwned> Array<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Array, "array", &[schema_of::<T>()?]))
    }

    fn of(proxy: Proxy) -> Array<T> {
        Array {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy.call("calling array", request, Deadline::NEVER)
    }

    /// Returns a copy of the value at a position.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the array is shorter. As all methods with positions.
    /// - the manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6])?;
    /// assert_eq!(array.get(1)?, 6);
    /// assert!(array.get(2).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, index: usize) -> Result<T> {
        let mut values = self.get_range(index, 1)?;
        values.pop().ok_or_else(|| self.is_odd())
    }

    /// Returns copies of `count` values from a position on, as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array(0..10)?;
    /// assert_eq!(array.get_range(3, 2)?, [3, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_range(&self, from: usize, count: usize) -> Result<Vec<T>> {
        let request = Request::Range(from as u64, count as u64, u64::MAX);
        let values: Vec<Blob> = self.ask(&request)?;
        values.iter().map(Blob::get).collect()
    }

    /// Sets the value at a position.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6])?;
    /// array.set(1, &7)?;
    /// assert_eq!(array.get(1)?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, index: usize, value: &T) -> Result<()> {
        let values = vec![Blob::of(value)?];
        self.ask(&Request::SetRange(index as u64, values))
    }

    /// Sets the value at a position; returns what was there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6])?;
    /// assert_eq!(array.replace(1, &7)?, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace(&self, index: usize, value: &T) -> Result<T> {
        let request = Request::Replace(index as u64, Blob::of(value)?);
        self.ask::<Blob>(&request)?.get()
    }

    /// Sets the values from a position on, in one call and at one moment. If there is no room for all, none is set.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([0; 4])?;
    /// array.set_range(1, [5, 6])?;
    /// assert!(array.set_range(3, [7, 8]).is_err());
    /// assert_eq!(array.snapshot()?, [0, 5, 6, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_range(&self, from: usize, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values = values.into_iter().map(|value| Blob::of(&value));
        let values = values.collect::<Result<_>>()?;
        self.ask(&Request::SetRange(from as u64, values))
    }

    /// Exchanges the values at two positions.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6, 7])?;
    /// array.swap(0, 2)?;
    /// assert_eq!(array.snapshot()?, [7, 6, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn swap(&self, one: usize, other: usize) -> Result<()> {
        self.ask(&Request::Swap(one as u64, other as u64))
    }

    /// Replaces the value at a position if it is `expected`; otherwise returns what is there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6])?;
    /// assert_eq!(array.compare_exchange(0, &6, &7)?, Err(5));
    /// assert_eq!(array.compare_exchange(0, &5, &7)?, Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_exchange(
        &self,
        index: usize,
        expected: &T,
        new: &T,
    ) -> Result<std::result::Result<(), T>> {
        let (expected, new) = (Blob::of(expected)?, Blob::of(new)?);
        let request = Request::CompareExchange(index as u64, expected, new);
        match self.ask::<std::result::Result<(), Blob>>(&request)? {
            Ok(()) => Ok(Ok(())),
            Err(there) => Ok(Err(there.get()?)),
        }
    }

    /// Changes the value at a position at one moment: `change` has a copy, and is called again if somebody else has
    /// changed the value meanwhile. Returns what it is then; what `change` returns is ignored.
    /// So `change` must have no effect elsewhere.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array([5, 6])?;
    /// assert_eq!(array.update(1, |value| *value += 1)?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<R>(&self, index: usize, mut change: impl FnMut(&mut T) -> R) -> Result<T> {
        let request = Request::Range(index as u64, 1, u64::MAX);
        let mut values: Vec<Blob> = self.ask(&request)?;
        let mut there = values.pop().ok_or_else(|| self.is_odd())?;
        loop {
            let mut value: T = there.get()?;
            change(&mut value);
            let request = Request::CompareExchange(index as u64, there, Blob::of(&value)?);
            match self.ask::<std::result::Result<(), Blob>>(&request)? {
                Ok(()) => return Ok(value),
                Err(other) => there = other,
            }
        }
    }

    /// Returns the number of values, which does not change.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.array([5, 6])?.len()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> Result<usize> {
        Ok(self.ask::<u64>(&Request::Len)? as usize)
    }

    /// Returns `true` if there are no values.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert!(manager.array::<u32>([])?.is_empty()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns the values one after the other, some at a time: each as it is when its turn comes.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let array = manager.array(0..1000)?;
    /// let sum: i32 = array.iter().sum::<procession::Result<_>>()?;
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> + '_ {
        super::chunks::each(Some(0), move |from| {
            let values: Vec<Blob> = self.ask(&Request::Range(from, u64::MAX, CHUNK))?;
            let next = from + values.len() as u64;
            Ok((next, values))
        })
        .map(|value| value?.get())
    }

    /// Returns a copy of all values as of one moment.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// assert_eq!(manager.array([5, 6])?.snapshot()?, [5, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "copy")]
    pub fn snapshot(&self) -> Result<Vec<T>> {
        self.get_range(0, usize::MAX)
    }

    /// The answer to a call for one value has none.
    fn is_odd(&self) -> crate::Error {
        let (kind, operation) = (crate::ErrorKind::Corrupt, "calling array");
        crate::Error::new(kind, operation, self.proxy.name())
    }
}

super::proxy::traits!(Array<T>);
