//! A function and the values that it captured, as a value that can be sent.

pub(crate) mod batch;
mod call;
mod captures;
mod definition;
mod entry_point;
mod function;
mod hook;
mod macros;
mod named;
mod pair;
pub(crate) mod record;
mod seal;
mod travel;
mod worker_state;

pub(crate) use call::{Call, Outcome};
pub(crate) use definition::Definition;
pub(crate) use function::perform;
pub(crate) use hook::Hook;
#[doc(hidden)]
pub use named::NAMED_TASKS;
pub use named::{NamedTask, named_tasks};
pub(crate) use pair::pair_of;
pub(crate) use seal::{adopt as adopt_key, key as family_key};
pub(crate) use worker_state::{finalizer, initializer, with_state};

use crate::codec::{self, Arrived, Encoded, Encoder};
use crate::{Error, ErrorKind, Result};
use entry_point::{Trampoline, no_code};
use function::{Function, locate, offset_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A function from `A` to `R` that another process can call, with the values
/// it captured; made by [`task!`](crate::task).
///
/// It never carries code. It names its function by the function's offset in the program,
/// under a seal that only processes of the family can make; or, if it is a
/// [named](Task::named) task, by its name. It is cheap to clone, and can itself be an
/// argument, a captured value, a result or a message.
///
/// [`spawn_task`](super::spawn_task) calls it in a process of its own,
/// [`Pool::task`](crate::pool::Pool::task) in the workers of a pool.
///
/// # Who may name code
/// A task that arrives is checked before it is one:
///
/// - Its offset must have been sealed by a process of this family, of this build: the one
///   that was started first, those that it has forked, and all that were started through
///   this library from these. A task from any other process is an error
///   ([`Untrusted`](ErrorKind::Untrusted)), the same program in another execution
///   included, and so is one whose bytes were changed on the way.
/// - Or its name must be that of a function which this program lists under it, with
///   [`process::task`](macro@crate::process::task), and of these very types, by their names.
/// - Argument and result must be the types it was made for, by their names.
///
/// What is captured is data: decoded as any message is.
///
/// # Errors
/// Encoding or decoding it with anything but this library is an error
/// ([`Unsupported`](ErrorKind::Unsupported)).
///
/// # Examples
/// ```
/// use procession::{process, task};
/// let factor = 3;
/// let scale = task!([factor] |x| x * factor);
/// assert_eq!(process::spawn_task(&scale, 5)?.join().unwrap(), 15);
/// assert_eq!(process::spawn_task(&scale, 7)?.join().unwrap(), 21);
/// # Ok::<(), procession::Error>(())
/// ```
pub struct Task<A, R> {
    function: Function,
    captured: Arc<Captured>,
    types: PhantomData<fn(A) -> R>,
}

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl<A, R> Task<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Returns a task that is a function and captures nothing.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Task};
    /// fn square(x: u64) -> u64 { x * x }
    /// fn tasks() -> procession::Result<Vec<Task<u64, u64>>> {
    ///     Ok(vec![Task::new(square)?, Task::bind(10, |offset, x| x + offset)?])
    /// }
    /// let mut results = Vec::new();
    /// for task in tasks()? {
    ///     results.push(process::spawn_task(&task, 7)?.join()?);
    /// }
    /// assert_eq!(results, [49, 17]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): the function is not code of
    /// the main program but of a shared library.
    pub fn new(function: fn(A) -> R) -> Result<Task<A, R>> {
        let trampoline: Trampoline = entry_point::plain::<A, R>;
        Ok(Task {
            function: locate::<A, R>(trampoline, function as *const ())?,
            captured: Arc::default(),
            types: PhantomData,
        })
    }

    /// Returns a task that calls `function` with copies of the captured values.
    ///
    /// # Errors
    /// As [`new`](Task::new); [`Corrupt`](ErrorKind::Corrupt): the values
    /// cannot be encoded.
    pub fn bind<C>(captured: C, function: fn(C, A) -> R) -> Result<Task<A, R>>
    where
        C: Serialize + DeserializeOwned,
    {
        let trampoline: Trampoline = entry_point::bound::<C, A, R>;
        Task::capture(trampoline, function as *const (), &captured)
    }

    /// Returns a task that lends `function` one copy of the captured value, which a
    /// worker of a [pool](crate::pool) decodes once and not for each call: for
    /// large values. (Values that all workers can read in the same memory go into
    /// [`Bytes`](crate::Bytes).)
    ///
    /// # Errors
    /// As [`bind`](Task::bind).
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, process::Task};
    /// use std::collections::HashMap;
    /// let prices = HashMap::from([("tea".to_owned(), 3), ("bread".to_owned(), 5)]);
    /// let price = Task::lend(prices, |prices: &HashMap<String, u32>, item: String| prices[&item])?;
    /// let pool = Pool::new(2)?;
    /// assert_eq!(pool.task(&price).call("bread".to_owned())?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lend<C>(captured: C, function: fn(&C, A) -> R) -> Result<Task<A, R>>
    where
        C: Serialize + DeserializeOwned + 'static,
    {
        let trampoline: Trampoline = entry_point::lent::<C, A, R>;
        Task::capture(trampoline, function as *const (), &captured)
    }

    /// Returns the task whose function the attribute [`task`](macro@crate::process::task)
    /// lists under `name`. Such a task names its function by name wherever it
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
    /// let square = process::named_tasks().find(|task| task.name() == "square").unwrap();
    /// assert_eq!(square.signature(), "fn(u64) -> u64");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<Task<A, R>> {
        let found = named::find(name)?;
        let wanted = std::any::type_name::<fn(A) -> R>();
        if found.signature() != wanted {
            let error = Error::new(ErrorKind::InvalidInput, "finding task", name);
            return Err(error.because(format!("it is {}, not {wanted}", found.signature())));
        }
        Ok(Task {
            function: Function::Named(name.to_owned()),
            captured: Arc::default(),
            types: PhantomData,
        })
    }

    fn capture<C: Serialize>(
        trampoline: Trampoline,
        target: *const (),
        captured: &C,
    ) -> Result<Task<A, R>> {
        let function = locate::<A, R>(trampoline, target)?;
        let Encoded { body, descriptors } = codec::encode(captured)?;
        let bytes = match body {
            codec::Body::Inline(bytes) => bytes,
            codec::Body::Memory(file) => codec::open_memory(&file)?.to_vec(),
        };
        Ok(Task {
            function,
            captured: Arc::new(Captured { bytes, descriptors }),
            types: PhantomData,
        })
    }

    /// Calls the function here, with copies of what it is given.
    pub(crate) fn perform_here(&self, argument: &A) -> Result<Outcome> {
        let Encoded { body, descriptors } = self.encode_call(argument)?;
        let body = match body {
            codec::Body::Inline(bytes) => Arrived::Inline(bytes),
            codec::Body::Memory(file) => codec::open_memory(&file)?,
        };
        Ok(perform(Call::new(body, descriptors)))
    }

    /// The call of this task with an argument, for another process.
    pub(crate) fn encode_call(&self, argument: &A) -> Result<Encoded> {
        let mut encoder = Encoder::new();
        encoder.value(&self.function)?;
        encoder.encoded(&self.captured.bytes, &self.captured.descriptors)?;
        encoder.value(argument)?;
        encoder.finish()
    }
}

/// What tells a function from others, its types included.
pub(crate) fn key_of<A, R>(function: fn(A) -> R) -> (usize, usize)
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let trampoline: Trampoline = entry_point::plain::<A, R>;
    (trampoline as usize, function as usize)
}

impl<A, R> Task<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The function, of a task that captures nothing and has no name.
    pub(crate) fn function(&self) -> Result<fn(A) -> R> {
        let instance: Trampoline = entry_point::plain::<A, R>;
        match &self.function {
            Function::Here {
                trampoline, target, ..
            } if *trampoline == offset_of(instance as *const ())? => {
                entry_point::plain_target(*target)
            }
            _ => Err(no_code()),
        }
    }
}

impl<A, R> Task<A, R> {
    /// What it has captured, to be kept.
    pub(crate) fn kept(&self) -> Arc<dyn std::any::Any + Send + Sync> {
        Arc::clone(&self.captured) as _
    }

    /// What tells this task from others, with the same values captured.
    pub(crate) fn key(&self) -> (usize, usize) {
        (0, Arc::as_ptr(&self.captured).addr())
    }

    /// The function and what it has captured, for a process that will call it
    /// many times; see [`Definition::find`].
    pub(crate) fn encode_definition(&self) -> Result<Encoded> {
        let mut encoder = Encoder::new();
        encoder.value(&self.function)?;
        encoder.encoded(&self.captured.bytes, &self.captured.descriptors)?;
        encoder.finish()
    }
}

impl<A, R> Clone for Task<A, R> {
    fn clone(&self) -> Task<A, R> {
        Task {
            function: self.function.clone(),
            captured: Arc::clone(&self.captured),
            types: PhantomData,
        }
    }
}

impl<A, R> fmt::Debug for Task<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("function", &self.function)
            .field("captured_bytes", &self.captured.bytes.len())
            .finish_non_exhaustive()
    }
}
