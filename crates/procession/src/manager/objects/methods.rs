//! The methods of a user's type, as the server calls them: by their names, with encoded arguments.

use super::shape::Shape;
use crate::Result;
use crate::manager::blob;
use crate::process::Panic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError, RwLock};

/// What becomes of a call of a user's object, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Answer<R> {
    Returned(R),
    Panicked(Panic),
}

/// An object of a user's type, with its methods.
#[expect(
    missing_debug_implementations,
    reason = "the user's type need not have it"
)]
pub struct Hosted(pub(super) Box<dyn Dispatch>);

/// Which method a call is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::manager) struct Entry {
    pub(super) number: usize,
    /// It takes `&mut self`.
    pub(super) is_exclusive: bool,
}

pub(super) trait Dispatch: Send + Sync {
    /// The method at this place of the shape.
    fn entry(&self, number: usize) -> Option<Entry>;

    /// Calls a method. It unwinds where the user's code does.
    ///
    /// # Errors
    /// The arguments cannot be decoded, or the result cannot be encoded.
    fn call(&self, entry: Entry, arguments: &[u8]) -> Result<Outcome>;
}

/// What a call has led to.
pub(super) enum Outcome {
    /// An [`Answer`], encoded.
    Returned(Vec<u8>),
    /// A new object, which the caller is to refer to.
    Created(Shape, Hosted),
}

type Run<C> = Box<dyn Fn(&C, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// The methods of an object that lies in a `C`.
///
/// The server calls no method while another one has the object for itself, so these locks are
/// always free. They are here for the compiler.
#[expect(
    missing_debug_implementations,
    reason = "the user's type need not have it"
)]
pub struct Methods<C> {
    cell: C,
    entries: Vec<(bool, Run<C>)>,
}

/// What an object lies in.
pub trait Cell<O>: Send + Sync + 'static {
    /// Lends the object.
    fn with_exclusive<R>(&self, code: impl FnOnce(&mut O) -> R) -> R;
}

impl<O: Send + Sync + 'static> Cell<O> for RwLock<O> {
    fn with_exclusive<R>(&self, code: impl FnOnce(&mut O) -> R) -> R {
        // A panic leaves the object as it is: what that means is the object's own matter.
        code(&mut self.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<O: Send + 'static> Cell<O> for Mutex<O> {
    fn with_exclusive<R>(&self, code: impl FnOnce(&mut O) -> R) -> R {
        code(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<O: Send + Sync + 'static> Methods<RwLock<O>> {
    /// Begins with an object of which some methods take `&self`.
    pub fn shared(object: O) -> Self {
        Methods {
            cell: RwLock::new(object),
            entries: Vec::new(),
        }
    }

    /// Adds a method that takes `&self`.
    #[must_use]
    pub fn with_shared<A, R>(mut self, method: fn(&O, A) -> R) -> Self
    where
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        let run = move |cell: &RwLock<O>, arguments: &[u8]| {
            run(arguments, |arguments| {
                method(
                    &cell.read().unwrap_or_else(PoisonError::into_inner),
                    arguments,
                )
            })
        };
        self.entries.push((false, Box::new(run)));
        self
    }
}

impl<O: Send + 'static> Methods<Mutex<O>> {
    /// Begins with an object of which all methods take `&mut self`.
    pub fn exclusive(object: O) -> Self {
        Methods {
            cell: Mutex::new(object),
            entries: Vec::new(),
        }
    }
}

impl<C: Send + Sync + 'static> Methods<C> {
    /// Adds a method that takes `&mut self`.
    #[must_use]
    pub fn with_exclusive<O, A, R>(mut self, method: fn(&mut O, A) -> R) -> Self
    where
        C: Cell<O>,
        O: 'static,
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
    {
        let run = move |cell: &C, arguments: &[u8]| {
            run(arguments, |arguments| {
                cell.with_exclusive(|object| method(object, arguments))
            })
        };
        self.entries.push((true, Box::new(run)));
        self
    }

    /// Forgets the type.
    #[must_use]
    pub fn into_hosted(self) -> Hosted {
        Hosted(Box::new(self))
    }
}

/// Values are decoded before the object is taken, and encoded after it was given back.
fn run<A, R>(arguments: &[u8], method: impl FnOnce(A) -> R) -> Result<Vec<u8>>
where
    A: DeserializeOwned,
    R: Serialize,
{
    let result = method(blob::decode(arguments)?);
    blob::encode(&Answer::Returned(result))
}

impl<C: Send + Sync> Dispatch for Methods<C> {
    fn entry(&self, number: usize) -> Option<Entry> {
        let (is_exclusive, _) = self.entries.get(number)?;
        Some(Entry {
            number,
            is_exclusive: *is_exclusive,
        })
    }

    fn call(&self, entry: Entry, arguments: &[u8]) -> Result<Outcome> {
        let (_, run) = &self.entries[entry.number];
        run(&self.cell, arguments).map(Outcome::Returned)
    }
}

/// An object whose only method creates objects.
struct Factory<F> {
    shape: Shape,
    create: F,
}

impl Hosted {
    /// An object whose only method creates objects of a shape.
    pub(in crate::manager) fn factory<A: DeserializeOwned>(
        shape: Shape,
        create: impl Fn(A) -> Hosted + Send + Sync + 'static,
    ) -> Hosted {
        let create = move |arguments: &[u8]| {
            let (argument,) = blob::decode(arguments)?;
            Ok(create(argument))
        };
        Hosted(Box::new(Factory { shape, create }))
    }
}

impl<F: Fn(&[u8]) -> Result<Hosted> + Send + Sync> Dispatch for Factory<F> {
    fn entry(&self, number: usize) -> Option<Entry> {
        (number == 0).then_some(Entry {
            number,
            is_exclusive: false,
        })
    }

    fn call(&self, _: Entry, arguments: &[u8]) -> Result<Outcome> {
        let created = (self.create)(arguments)?;
        Ok(Outcome::Created(self.shape.clone(), created))
    }
}
