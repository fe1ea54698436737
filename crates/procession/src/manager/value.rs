//! A value that a manager owns.

use super::blob::Blob;
use super::manager::{ManagedObject, Manager, initial, sealed};
use super::objects::value::Request;
use super::objects::{ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A value that a manager owns.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::manager::{Manager, Value};
/// let manager = Manager::start()?;
/// let best: Value<Option<f64>> = manager.value(&None)?;
/// best.update(|best| *best = Some(best.unwrap_or(0.5).max(0.25)))?;
/// assert_eq!(best.get()?, Some(0.5));
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Value<T> {
    proxy: Arc<Proxy>,
    types: PhantomData<fn() -> T>,
}

impl Manager {
    /// Creates a value, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended; the type cannot be sent.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let value = manager.value(&1.5)?;
    /// assert_eq!(value.get()?, 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Value<T>> {
        Ok(Value::of(
            self.create(Value::<T>::shape()?, initial(value)?)?,
        ))
    }
}

impl<T: Serialize + DeserializeOwned> Value<T> {
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Value, "value", &[schema_of::<T>()?]))
    }

    pub(super) fn of(proxy: Proxy) -> Value<T> {
        Value {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy.call("calling value", request, Deadline::NEVER)
    }

    /// Returns a copy.
    ///
    /// # Errors
    /// The manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Value, Manager};
    /// # let manager = Manager::start()?;
    /// # let value: Value<u32> = manager.value(&1)?;
    /// assert_eq!(value.get()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self) -> Result<T> {
        self.ask::<Blob>(&Request::Get)?.get()
    }

    /// Sets the value.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Value, Manager};
    /// # let manager = Manager::start()?;
    /// # let value: Value<u32> = manager.value(&1)?;
    /// value.set(&2)?;
    /// assert_eq!(value.get()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set(&self, value: &T) -> Result<()> {
        self.replace(value).map(drop)
    }

    /// Sets the value, and returns the one that was there.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Value, Manager};
    /// # let manager = Manager::start()?;
    /// # let value: Value<u32> = manager.value(&1)?;
    /// assert_eq!(value.replace(&2)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replace(&self, value: &T) -> Result<T> {
        self.ask::<Blob>(&Request::Replace(Blob::of(value)?))?.get()
    }

    /// Sets it if it is `expected`; otherwise returns what it is.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Value, Manager};
    /// # let manager = Manager::start()?;
    /// # let value: Value<u32> = manager.value(&1)?;
    /// assert_eq!(value.compare_exchange(&2, &3)?, Err(1));
    /// assert_eq!(value.compare_exchange(&1, &3)?, Ok(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compare_exchange(&self, expected: &T, new: &T) -> Result<std::result::Result<(), T>> {
        let request = Request::CompareExchange(Blob::of(expected)?, Blob::of(new)?);
        match self.ask::<std::result::Result<(), Blob>>(&request)? {
            Ok(()) => Ok(Ok(())),
            Err(there) => Ok(Err(there.get()?)),
        }
    }

    /// Changes the value at one moment: `change` has a copy, and is called again if somebody else has changed
    /// the value meanwhile. Returns what it is then; what `change` returns is
    /// ignored.
    /// So `change` must have no effect elsewhere.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::{Value, Manager};
    /// # let manager = Manager::start()?;
    /// # let value: Value<u32> = manager.value(&1)?;
    /// assert_eq!(value.update(|value| *value += 1)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<R>(&self, mut change: impl FnMut(&mut T) -> R) -> Result<T> {
        let mut there: Blob = self.ask(&Request::Get)?;
        loop {
            let mut value: T = there.get()?;
            change(&mut value);
            let request = Request::CompareExchange(there, Blob::of(&value)?);
            match self.ask::<std::result::Result<(), Blob>>(&request)? {
                Ok(()) => return Ok(value),
                Err(other) => there = other,
            }
        }
    }
}

super::proxy::traits!(Value<T>);
