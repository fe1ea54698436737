//! A namespace that a manager owns.

use super::blob::{Blob, decoded};
use super::manager::{ManagedObject, Manager, sealed};
use super::objects::namespace::{Request, Type};
use super::objects::{Initial, ObjectKind, Shape};
use super::proxy::{Proxy, schema_of, shape};
use crate::{Deadline, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Names that a manager keeps, each with a value of a type of its own: what several programs configure each other with.
///
/// A call that asks for a name with another type than its value has is refused. The types are compared by what serde sees of
/// them: fields, variants and their order.
///
/// # If a process dies
/// See [the module](super). A call that was on its way may have been done or not.
///
/// # Across fork and exec
/// A forked child has it, and connects anew. It travels: as an argument, in a message, as a value.
///
/// # Examples
/// ```
/// use procession::ErrorKind;
/// use procession::manager::{Manager, Namespace};
/// let manager = Manager::start()?;
/// let settings: Namespace = manager.namespace()?;
/// settings.set("threads", &4u32)?;
/// settings.set("title", "a sorted list")?;
/// assert_eq!(settings.get::<u32>("threads")?, Some(4));
/// let error = settings.get::<String>("threads").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Incompatible);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Namespace {
    proxy: Arc<Proxy>,
    types: PhantomData<()>,
}

impl Manager {
    /// Creates a namespace without names, which goes with its last proxy.
    ///
    /// # Errors
    /// The manager has ended.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// let namespace = manager.namespace()?;
    /// namespace.set("x", &1.5)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(&self) -> Result<Namespace> {
        let proxy = self.create(Namespace::shape()?, Initial::Empty)?;
        Ok(Namespace::of(proxy))
    }
}

/// What a value of a type is called and recognised by.
fn type_of<T: DeserializeOwned>() -> Result<Type> {
    let schema = schema_of::<T>()?;
    Ok(Type {
        number: schema.number(),
        text: schema.describe(),
    })
}

/// The type that a value is read as: a `str` is read as a `String`, a slice as a vector.
pub trait ToValue: Serialize {
    /// What it is read as.
    type Value: DeserializeOwned;
}

impl<T: Serialize + DeserializeOwned> ToValue for T {
    type Value = T;
}

impl ToValue for str {
    type Value = String;
}

impl<T: Serialize + DeserializeOwned> ToValue for [T] {
    type Value = Vec<T>;
}

impl Namespace {
    #[expect(clippy::unnecessary_wraps, reason = "as those of types with values")]
    fn shape() -> Result<Shape> {
        Ok(shape(ObjectKind::Namespace, "namespace", &[]))
    }

    fn of(proxy: Proxy) -> Namespace {
        Namespace {
            proxy: Arc::new(proxy),
            types: PhantomData,
        }
    }

    fn ask<R: DeserializeOwned>(&self, request: &Request) -> Result<R> {
        self.proxy
            .call("calling namespace", request, Deadline::NEVER)
    }

    /// Returns a copy of the value of a name, or `None` if there is no such name.
    ///
    /// # Errors
    /// - [`Incompatible`](crate::ErrorKind::Incompatible): the value is of another type
    /// - the manager has ended. As all methods.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let namespace = manager.namespace()?;
    /// namespace.set("x", &1.5)?;
    /// assert_eq!(namespace.get::<f64>("x")?, Some(1.5));
    /// assert_eq!(namespace.get::<f64>("y")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        decoded(self.ask(&Request::Get(name.to_owned(), type_of::<T>()?))?)
    }

    /// Sets the value of a name, also if it was of another type.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let namespace = manager.namespace()?;
    /// namespace.set("x", &1.5)?;
    /// namespace.set("x", "one and a half")?;
    /// assert_eq!(namespace.get::<String>("x")?.unwrap(), "one and a half");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set<T: ToValue + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        let of = type_of::<T::Value>()?;
        self.ask(&Request::Set(name.to_owned(), of, Blob::of(value)?))
    }

    /// Changes the value of a name, or removes it, at one moment: `change` has a copy of what is there, and is called
    /// again if somebody else has changed it meanwhile. Returns what is there then; what `change` returns is ignored.
    /// So `change` must have no effect elsewhere.
    ///
    /// # Errors
    /// As [`get`](Namespace::get).
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let namespace = manager.namespace()?;
    /// namespace.update("runs", |runs: &mut Option<u32>| *runs.get_or_insert(0) += 1)?;
    /// assert_eq!(namespace.get::<u32>("runs")?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update<T, R>(
        &self,
        name: &str,
        mut change: impl FnMut(&mut Option<T>) -> R,
    ) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let of = type_of::<T>()?;
        let request = Request::Get(name.to_owned(), of.clone());
        let mut there: Option<Blob> = self.ask(&request)?;
        loop {
            let mut value = decoded(there.clone())?;
            change(&mut value);
            let new = value.as_ref().map(Blob::of).transpose()?;
            let request = Request::CompareExchange(name.to_owned(), of.clone(), there, new);
            match self.ask::<std::result::Result<(), Option<Blob>>>(&request)? {
                Ok(()) => return Ok(value),
                Err(other) => there = other,
            }
        }
    }

    /// Removes a name; returns `true` if it was one.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let namespace = manager.namespace()?;
    /// namespace.set("x", &1.5)?;
    /// assert!(namespace.remove("x")?);
    /// assert!(!namespace.remove("x")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, name: &str) -> Result<bool> {
        self.ask(&Request::Remove(name.to_owned()))
    }

    /// Returns the names in the order of the alphabet, each with what its value is.
    ///
    /// # Examples
    /// ```
    /// # use procession::manager::Manager;
    /// # let manager = Manager::start()?;
    /// # let namespace = manager.namespace()?;
    /// namespace.set("x", &1.5)?;
    /// namespace.set("name", "pi")?;
    /// let names = namespace.names()?;
    /// assert_eq!((&*names[0].0, &*names[1].0), ("name", "x"));
    /// assert_eq!(names[1].1, "`f64`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> Result<Vec<(String, String)>> {
        self.ask(&Request::Names)
    }
}

super::proxy::traits!(Namespace);
