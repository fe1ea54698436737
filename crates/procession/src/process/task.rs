//! A function and what it has captured, as something that can be sent.
//!
//! # Safety
//!
//! `unsafe` here is one step: from a hook's distance to the load address back to
//! the hook. What makes it sound is what [`ways`] says.
#![allow(unsafe_code)]

use super::batch::Captures;
use super::named;
use super::seal;
use super::ways::{self, Found, Trampoline, no_code, ways};
use crate::codec::{self, Arrived, Decoder, Encoded, Encoder};
use crate::{Error, ErrorKind, Result, shape};
use procession_sys::image;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A function from `A` to `R` that another process can call, with the values
/// it captured; made by [`task!`](crate::task).
///
/// It never carries code. It names its function by its place in the program, under a
/// seal that only processes of the family can make; or, if it is a [named](Task::named)
/// one, by its name. It is cheap to clone, and can itself be an argument, a captured
/// value, a result or a message.
///
/// # Who may name code
/// A task that arrives is checked before it is one:
///
/// - Its place must have been sealed by a process of this family, of this build: the one
///   that was started first, those that it has forked, and all that were started through
///   this library from these. A task from any other process is an error
///   ([`Untrusted`](ErrorKind::Untrusted)), the same program in another execution
///   included, and so is one whose bytes were changed on the way.
/// - Or its name must be that of a function which this program lists under it, with
///   [`process::task`](macro@super::task), and of these very types, by their names.
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
    pub(crate) function: Function,
    captured: Arc<Captured>,
    types: PhantomData<fn(A) -> R>,
}

/// Which function it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Function {
    /// One of this build of the program, by where it is.
    Here {
        /// The build.
        build: Vec<u8>,
        /// The function that knows the types: decodes, calls, encodes.
        trampoline: u64,
        /// The user's function.
        target: u64,
        /// What it takes and returns: a hash of the types' names.
        types: u64,
        /// Says that the family has put these together.
        seal: u64,
    },
    /// One that is listed under a name.
    Named(String),
}

#[derive(Debug, Default)]
struct Captured {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What became of a call.
pub(crate) enum Outcome {
    Returned(Encoded),
    Untranslatable(Error),
}

impl Outcome {
    pub(crate) fn of<R: Serialize>(result: R) -> Outcome {
        match codec::encode(&result) {
            Ok(encoded) => Outcome::Returned(encoded),
            Err(error) => Outcome::Untranslatable(error),
        }
    }
}

/// A call as it arrives.
pub(crate) struct Call {
    body: Arrived,
    /// Bytes of the body that have been read.
    read: usize,
    descriptors: codec::Table,
}

impl<A, R> Task<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// A task that is a function and nothing else.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): the function is not code of
    /// the main program but of a shared library.
    pub fn new(function: fn(A) -> R) -> Result<Task<A, R>> {
        let trampoline: Trampoline = ways::plain::<A, R>;
        Ok(Task {
            function: locate::<A, R>(trampoline, function as *const ())?,
            captured: Arc::default(),
            types: PhantomData,
        })
    }

    /// A task that calls `function` with copies of the captured values.
    ///
    /// # Errors
    /// As [`new`](Task::new); [`Corrupt`](ErrorKind::Corrupt): the values
    /// cannot be encoded.
    pub fn bind<C>(captured: C, function: fn(C, A) -> R) -> Result<Task<A, R>>
    where
        C: Serialize + DeserializeOwned,
    {
        let trampoline: Trampoline = ways::bound::<C, A, R>;
        Task::capture(trampoline, function as *const (), &captured)
    }

    /// A task that lends `function` one copy of the captured value, which a
    /// worker of a [pool](crate::pool) decodes once and not for each call: for
    /// large ones. (What a worker is not to copy at all, because all of them can
    /// read the same memory, goes into [`Bytes`](crate::Bytes).)
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
    /// assert_eq!(pool.call_task(&price, "bread".to_owned())?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lend<C>(captured: C, function: fn(&C, A) -> R) -> Result<Task<A, R>>
    where
        C: Serialize + DeserializeOwned + 'static,
    {
        let trampoline: Trampoline = ways::lent::<C, A, R>;
        Task::capture(trampoline, function as *const (), &captured)
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

    /// The task that is listed under a name, and has these types.
    pub(super) fn by_name(name: &str) -> Task<A, R> {
        Task {
            function: Function::Named(name.to_owned()),
            captured: Arc::default(),
            types: PhantomData,
        }
    }

    /// Calls the function here, with copies of what it is given.
    pub(crate) fn perform_here(&self, argument: &A) -> Result<Outcome> {
        let Encoded { body, descriptors } = self.encode_call(argument)?;
        let body = match body {
            codec::Body::Inline(bytes) => Arrived::Inline(bytes),
            codec::Body::Memory(file) => codec::open_memory(&file)?,
        };
        Ok(Call::new(body, descriptors).perform())
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
    let trampoline: Trampoline = ways::plain::<A, R>;
    (trampoline as usize, function as usize)
}

impl<A, R> Task<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The function, of a task that captures nothing and has no name.
    pub(crate) fn function(&self) -> Result<fn(A) -> R> {
        let instance: Trampoline = ways::plain::<A, R>;
        match &self.function {
            Function::Here {
                trampoline, target, ..
            } if *trampoline == place(instance as *const ())? => ways::plain_target(*target),
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

/// A function with what it has captured, as [`Task::encode_definition`] wrote it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) found: Found,
    pub(crate) captures: Captures,
}

impl Definition {
    pub(crate) fn find(body: &[u8], descriptors: Vec<OwnedFd>) -> Result<Definition> {
        let mut decoder = Decoder::new(body, descriptors);
        let function: Function = decoder.value()?;
        let (left, descriptors) = decoder.suspend();
        Ok(Definition {
            found: function.find()?,
            captures: Captures::new(
                body[body.len() - left..].to_vec(),
                descriptors.into_iter().flatten().collect(),
            ),
        })
    }
}

impl Function {
    fn find(self) -> Result<Found> {
        Ok(match self {
            Function::Named(name) => Found::Named(named::find(&name)?),
            Function::Here {
                build,
                trampoline,
                target,
                types,
                seal,
            } => Found::Here {
                each: ways(&build, [trampoline, target, types], seal)?.each,
                target,
            },
        })
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

/// How a task is written down: which function, its types by name, and what it
/// captured.
#[derive(Serialize, Deserialize)]
struct Written {
    function: Function,
    types: String,
    bytes: Vec<u8>,
    descriptors: Vec<crate::Handle<OwnedFd>>,
}

impl<A, R> Serialize for Task<A, R> {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        require_message().map_err(serde::ser::Error::custom)?;
        let copy = |descriptor: &OwnedFd| descriptor.try_clone().map(crate::Handle::new);
        let descriptors: std::io::Result<_> = self.captured.descriptors.iter().map(copy).collect();
        Written {
            function: self.function.clone(),
            types: types_of::<A, R>().to_owned(),
            bytes: self.captured.bytes.clone(),
            descriptors: descriptors.map_err(serde::ser::Error::custom)?,
        }
        .serialize(serializer)
    }
}

impl<'de, A, R> Deserialize<'de> for Task<A, R> {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Task<A, R>, D::Error> {
        if shape::is_tracing() {
            shape::stands_for(&format!("task {}", types_of::<A, R>()))?;
        }
        require_message().map_err(serde::de::Error::custom)?;
        let written = Written::deserialize(deserializer)?;
        written
            .check(types_of::<A, R>())
            .map_err(|error| serde::de::Error::custom(codec::reason(error)))?;
        let descriptors = written.descriptors.into_iter();
        Ok(Task {
            function: written.function,
            captured: Arc::new(Captured {
                bytes: written.bytes,
                descriptors: descriptors.map(crate::Handle::into_inner).collect(),
            }),
            types: PhantomData,
        })
    }
}

/// Refuses other formats than this library's: whatever carries a task elsewhere, a
/// file or another program, is not to name code.
fn require_message() -> std::result::Result<(), String> {
    if codec::is_at_work() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Unsupported, "translating task", "")
        .because("tasks travel only in messages between processes of one family");
    Err(error.to_string())
}

impl Written {
    /// Refuses what may not become a task of these types.
    fn check(&self, types: &str) -> Result<()> {
        if self.types != types {
            return Err(of_other_types(&self.types, types));
        }
        match &self.function {
            Function::Here {
                build,
                trampoline,
                target,
                types: sealed,
                seal,
            } => match *sealed == seal::of_types(types) {
                true => ways::check(build, [*trampoline, *target, *sealed], *seal),
                false => Err(of_other_types("another one", types)),
            },
            Function::Named(name) => match named::find(name)?.signature() {
                listed if listed == types => Ok(()),
                listed => Err(of_other_types(listed, types)),
            },
        }
    }
}

fn of_other_types(is: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::Incompatible, "receiving task", "")
        .because(format!("its function is {is}, not {wanted}"))
}

/// Where a function is.
fn place(function: *const ()) -> Result<u64> {
    let offset = image::main_program().offset(function);
    offset.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "naming function", "")
            .because("it is not code of the main program")
            .with_hint("functions of shared libraries cannot be found again in another process")
    })
}

/// What a task takes and returns, by name.
fn types_of<A, R>() -> &'static str {
    std::any::type_name::<fn(A) -> R>()
}

/// Measures where the two functions are, for a `Task<A, R>`.
fn locate<A, R>(trampoline: Trampoline, target: *const ()) -> Result<Function> {
    let (trampoline, target) = (place(trampoline as *const ())?, place(target)?);
    let types = seal::of_types(types_of::<A, R>());
    Ok(Function::Here {
        build: image::main_program().build_id().to_vec(),
        trampoline,
        target,
        types,
        seal: seal::seal(&[trampoline, target, types]),
    })
}

impl Call {
    pub(crate) fn new(body: Arrived, descriptors: Vec<OwnedFd>) -> Call {
        Call {
            body,
            read: 0,
            descriptors: descriptors.into_iter().map(Some).collect(),
        }
    }

    /// Finds the function and calls it.
    pub(crate) fn perform(mut self) -> Outcome {
        let function: Function = match self.next() {
            Ok(function) => function,
            Err(error) => return Outcome::Untranslatable(error),
        };
        let (build, places, seal) = match function {
            Function::Named(name) => {
                return match named::find(&name) {
                    Ok(task) => task.perform(self),
                    Err(error) => Outcome::Untranslatable(error),
                };
            }
            Function::Here {
                build,
                trampoline,
                target,
                types,
                seal,
            } => (build, [trampoline, target, types], seal),
        };
        match ways(&build, places, seal) {
            Ok(ways) => (ways.once)(places[1], self),
            Err(error) => Outcome::Untranslatable(error),
        }
    }

    /// Decodes the next value.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let descriptors = std::mem::take(&mut self.descriptors);
        let mut decoder = Decoder::resume(&self.body[self.read..], descriptors);
        let value = decoder.value();
        let (left, descriptors) = decoder.suspend();
        self.read = self.body.len() - left;
        self.descriptors = descriptors;
        value
    }
}

/// A task that calls a function of two arguments with a pair.
pub(crate) fn pair_of<A, R>(function: fn(A, A) -> R) -> Result<Task<(A, A), R>>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let trampoline: Trampoline = ways::pair::<A, R>;
    Ok(Task {
        function: locate::<(A, A), R>(trampoline, function as *const ())?,
        captured: Arc::default(),
        types: PhantomData,
    })
}

impl<A, R> Task<(A, A), R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The function, of a task that [`pair_of`] has made.
    pub(crate) fn function_of_pair(&self) -> Result<fn(A, A) -> R> {
        let instance: Trampoline = ways::pair::<A, R>;
        match &self.function {
            Function::Here {
                trampoline, target, ..
            } if *trampoline == place(instance as *const ())? => ways::pair_target(*target),
            _ => Err(no_code()),
        }
    }
}

/// A task that makes a worker's state, of a type that need not travel, and gives
/// it to `keep`.
pub(crate) fn making<I, S>(function: fn(I) -> S, argument: &I) -> Result<Task<(), ()>>
where
    I: Serialize + DeserializeOwned,
    S: 'static,
{
    let trampoline: Trampoline = ways::maker::<I, S>;
    Task::capture(trampoline, function as *const (), argument)
}

/// A task that is lent a worker's state, at its end.
pub(crate) fn ending<S: 'static>(function: fn(&mut S)) -> Result<Task<(), ()>> {
    let trampoline: Trampoline = ways::ender::<S>;
    Task::capture(trampoline, function as *const (), &())
}

/// A function without arguments, for another process of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hook {
    place: u64,
    seal: u64,
}

impl Hook {
    pub(crate) fn of(hook: fn()) -> Result<Hook> {
        let place = place(hook as *const ())?;
        Ok(Hook {
            place,
            seal: seal::seal(&[place]),
        })
    }

    /// Calls it.
    pub(crate) fn call(self) -> Result<()> {
        if seal::seal(&[self.place]) != self.seal {
            return Err(ways::not_ours());
        }
        // SAFETY: the seal says that `of` took the place from a `fn()` of this build.
        let hook = unsafe { image::main_program().function::<fn()>(self.place) };
        hook.ok_or_else(no_code)?();
        Ok(())
    }
}

/// A [`Task`](crate::process::Task) that captures the named values: `task!([a,
/// mut b, &c] |x| ...)`. The values are moved into the task, those behind an `&`
/// as clones, and copied to each process that runs it; types are inferred.
///
/// # Panics
/// If the values cannot be encoded, or the function is code of a shared
/// library; [`Task::bind`](crate::process::Task::bind) returns these errors.
///
/// # Examples
/// ```
/// use procession::{process, task};
/// let (greeting, mut count) = (String::from("hello"), 0);
/// let greet = task!([greeting, mut count] |name: String| {
///     count += 1;
///     format!("{greeting} {name} {count}")
/// });
/// let said = process::spawn_task(&greet, "world".to_owned())?.join().unwrap();
/// assert_eq!(said, "hello world 1");
/// # Ok::<(), procession::Error>(())
/// ```
///
/// Using a value that is not in the list does not compile:
/// ```compile_fail
/// let (a, b) = (1, 2);
/// let sum = procession::task!([a] |x: i32| a + b + x);
/// ```
#[macro_export]
macro_rules! task {
    // Splits the list into the values and the patterns that take them.
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [] $argument:tt $(: $type:ty)? => $body:expr) => {
        $crate::process::Task::bind(($($value,)*), |($($pattern,)*), $argument $(: $type)?| $body)
            .expect("the task can be sent")
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [mut $next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(@bind [$($value,)* $next,] [$($pattern,)* mut $next,] [$($($rest)*)?] $($end)*)
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [$next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(@bind [$($value,)* $next,] [$($pattern,)* $next,] [$($($rest)*)?] $($end)*)
    };
    (@bind [$($value:expr,)*] [$($pattern:pat,)*] [&$next:ident $(, $($rest:tt)*)?] $($end:tt)*) => {
        $crate::task!(
            @bind [$($value,)* ::core::clone::Clone::clone(&$next),] [$($pattern,)* $next,]
            [$($($rest)*)?] $($end)*
        )
    };
    ([$($captured:tt)*] || $body:expr) => {
        $crate::task!(@bind [] [] [$($captured)*] (): () => $body)
    };
    ([$($captured:tt)*] |$argument:tt $(: $type:ty)?| $body:expr) => {
        $crate::task!(@bind [] [] [$($captured)*] $argument $(: $type)? => $body)
    };
}
