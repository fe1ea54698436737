//! Tasks that are found by name, in this program or another.
//!
//! # Safety
//!
//! `unsafe` here is one step: a function pointer of a type that a constant
//! cannot name, back to its own type, by code that was written for that type
//! and nothing else.
#![allow(unsafe_code)]

use super::batch::Batch;
use super::task::{Call, Outcome, Task};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All functions of the program that are listed by the attribute
/// [`task`](macro@super::task).
#[doc(hidden)]
#[linkme::distributed_slice]
pub static NAMED_TASKS: [NamedTask];

/// A function that is listed under a name by the attribute
/// [`task`](macro@super::task).
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
/// See [`Task::named`].
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

impl<A, R> Task<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The function that the attribute [`task`](macro@super::task) lists
    /// under this name. Such a task names its function by name wherever it
    /// goes, so that a program of another build, with a function of the same
    /// name and type, can run it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): there is none;
    /// [`InvalidInput`](ErrorKind::InvalidInput): it has another type, or there
    /// are several.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Task};
    /// #[process::task(name = "square")]
    /// fn square(x: u64) -> u64 { x * x }
    /// let task = Task::<u64, u64>::named("square")?;
    /// assert_eq!(process::spawn_task(&task, 9)?.join().unwrap(), 81);
    /// assert_eq!(process::named_tasks().next().unwrap().signature(), "fn(u64) -> u64");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Task<A, R>> {
        let found = find(name)?;
        let wanted = std::any::type_name::<fn(A) -> R>();
        if found.signature() != wanted {
            let error = Error::new(ErrorKind::InvalidInput, "finding task", name);
            return Err(error.because(format!("it is {}, not {wanted}", found.signature())));
        }
        Ok(Task::by_name(name))
    }
}
