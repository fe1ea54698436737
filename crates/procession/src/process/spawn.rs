//! Starting a task with the settings that most tasks have.

use super::launch::client;
use super::{Builder, JoinHandle, Task, task};
use crate::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Starts a process that calls `function` with `argument`, on the family's
/// server ([`ForkServer`](super::StartMethod::ForkServer)). It is like [`std::thread::spawn`], but
/// whatever the function does to memory stays in its process.
///
/// The argument and the result are copied, with the descriptors in them
/// ([`Handle`](crate::Handle)). The function is an `fn`, or a closure that captures nothing;
/// [`spawn_task`] takes one that captures values.
///
/// # Blocking
/// Until the process exists, some hundred µs; the first call of a process starts
/// the server, which takes as long as executing the program.
///
/// # Errors
/// As [`Builder::spawn`].
///
/// # Cost
/// Three messages between processes and a fork of the server.
///
/// # Examples
/// ```
/// use procession::process;
/// fn square(x: u64) -> u64 { x * x }
/// let mut child = process::spawn(square, 7)?;
/// assert_eq!(child.join().unwrap(), 49);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn spawn<A, R>(function: fn(A) -> R, argument: A) -> Result<JoinHandle<R>>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Builder::new().spawn(function, argument)
}

/// Starts a process that calls a [`Task`], which may capture values
/// ([`task!`](crate::task)), with `argument`, on the family's server.
///
/// # Blocking
/// As [`spawn`].
///
/// # Errors
/// As [`Builder::spawn`].
///
/// # Examples
/// ```
/// use procession::{process, task};
/// let greeting = "hello".to_owned();
/// let greet = task!([greeting] |name: String| format!("{greeting} {name}"));
/// assert_eq!(process::spawn_task(&greet, "world".to_owned())?.join()?, "hello world");
/// # Ok::<(), procession::Error>(())
/// ```
pub fn spawn_task<A, R>(task: &Task<A, R>, argument: A) -> Result<JoinHandle<R>>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Builder::new().spawn_task(task, argument)
}

/// Has the family's server call `function` when it starts, so that all tasks have what the
/// function loads into memory, at no cost. It is to be called before the first task is
/// started, in the family's first process.
///
/// If the function panics, or starts a thread that does not end, starting tasks is an error
/// that says so.
///
/// # Errors
/// [`Busy`](crate::ErrorKind::Busy): the server runs already;
/// [`Unsupported`](crate::ErrorKind::Unsupported): code of a shared library.
///
/// # Examples
/// ```
/// use procession::process;
/// use std::sync::OnceLock;
/// static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
/// fn load() { TABLE.get_or_init(|| (0..1000).collect()); }
/// process::preload(load)?;
/// let loaded = process::spawn(|()| TABLE.get().map(Vec::len), ())?.join().unwrap();
/// assert_eq!((loaded, TABLE.get()), (Some(1000), None));
/// # Ok::<(), procession::Error>(())
/// ```
pub fn preload(function: fn()) -> Result<()> {
    client::set_preload(task::Hook::of(function)?)
}
