//! Tasks that are found by name, in this program or another.
//!
//! # Safety
//!
//! `unsafe` here is one step: a function pointer of a type that a constant
//! cannot name, back to its own type, by code that was written for that type
//! and nothing else.
#![allow(unsafe_code)]

use super::batch::Batch;
use super::call::{Call, Outcome};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All functions of the program that are listed by the attribute
/// [`task`](macro@crate::process::task).
#[doc(hidden)]
#[linkme::distributed_slice]
pub static NAMED_TASKS: [NamedTask];

/// A function that is listed under a name by the attribute
/// [`task`](macro@crate::process::task).
///
/// # Examples
/// ```
/// use procession::process;
/// #[process::task(name = "cube")]
/// fn cube(x: u64) -> u64 { x * x * x }
/// let listed = process::named_tasks().find(|task| task.name() == "cube").unwrap();
/// assert_eq!(listed.signature(), "fn(u64) -> u64");
/// ```
#[derive(Debug)]
pub struct NamedTask {
    name: &'static str,
    types: fn() -> &'static str,
    /// These know the types of `target`.
    call: unsafe fn(fn(), Call) -> Outcome,
    call_each: unsafe fn(fn(), &mut Batch<'_>),
    target: fn(),
}

impl NamedTask {
    /// Lists a function; the attribute does.
    #[doc(hidden)]
    pub const fn new<A, R>(name: &'static str, function: fn(A) -> R) -> NamedTask
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        NamedTask {
            name,
            types: std::any::type_name::<fn(A) -> R>,
            call: call::<A, R>,
            call_each: call_each::<A, R>,
            // SAFETY: all function pointers are alike in size and validity;
            // it is called only after the way back, in `call`.
            target: unsafe { std::mem::transmute::<fn(A) -> R, fn()>(function) },
        }
    }

    /// Its name: what the attribute says, or the path of the function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its type, as Rust writes it.
    #[must_use]
    pub fn signature(&self) -> &'static str {
        (self.types)()
    }

    /// Performs a call of this function.
    pub(super) fn perform(&self, call: Call) -> Outcome {
        // SAFETY: `new` has put the two together.
        unsafe { (self.call)(self.target, call) }
    }

    /// Calls this function with each argument of a batch.
    pub(super) fn perform_each(&self, batch: &mut Batch<'_>) {
        // SAFETY: `new` has put the two together.
        unsafe { (self.call_each)(self.target, batch) }
    }
}

/// # Safety
/// `target` is an `fn(A) -> R`.
unsafe fn call<A: DeserializeOwned, R: Serialize>(target: fn(), mut call: Call) -> Outcome {
    let argument: A = match call.next() {
        Ok(argument) => argument,
        Err(error) => return Outcome::Untranslatable(error),
    };
    drop(call);
    // SAFETY: the caller's promise.
    let function = unsafe { std::mem::transmute::<fn(), fn(A) -> R>(target) };
    Outcome::of(function(argument))
}

/// # Safety
/// `target` is an `fn(A) -> R`.
unsafe fn call_each<A: DeserializeOwned, R: Serialize>(target: fn(), batch: &mut Batch<'_>) {
    // SAFETY: the caller's promise.
    let function = unsafe { std::mem::transmute::<fn(), fn(A) -> R>(target) };
    batch.run(|argument| Ok(function(argument)));
}

/// All functions of this program that are listed under a name.
///
/// # Examples
/// See [`Task::named`](crate::process::Task::named).
pub fn named_tasks() -> impl Iterator<Item = &'static NamedTask> {
    NAMED_TASKS.iter()
}

/// The function of that name.
pub(super) fn find(name: &str) -> Result<&'static NamedTask> {
    let operation = "finding task";
    let mut found = named_tasks().filter(|task| task.name == name);
    match (found.next(), found.next()) {
        (Some(task), None) => Ok(task),
        (None, _) => Err(Error::new(ErrorKind::NotFound, operation, name)
            .because("no function of this program is listed under that name")
            .with_hint("put `#[procession::process::task]` in front of it")),
        (Some(_), Some(_)) => Err(Error::new(ErrorKind::InvalidInput, operation, name)
            .because("several functions are listed under that name")),
    }
}
