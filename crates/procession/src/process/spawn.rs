//! Starting a task without further ado.

use super::launch::client;
use super::{Builder, JoinHandle, Task, task};
use crate::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Starts a process that calls `function` with `argument`, on the family's
/// server ([`ForkServer`](super::StartMethod::ForkServer)). Like [`std::thread::spawn`], but what
/// the function does to memory, or to itself, stays in its process.
///
/// The argument and the result are copied, with the descriptors in them
/// ([`Handle`](crate::Handle)); the function is any `fn` or closure that
/// captures nothing ([`task!`](crate::task) captures).
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

/// Starts a process that runs a task with an argument, on the family's
/// server; see [`task!`](crate::task).
///
/// # Errors
/// As [`Builder::spawn`].
///
/// # Examples
/// See [`Task`].
pub fn spawn_task<A, R>(task: &Task<A, R>, argument: A) -> Result<JoinHandle<R>>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    Builder::new().spawn_task(task, argument)
}

/// Has the family's server call a function when it starts, so that what the
/// function loads into memory is there in all tasks at no cost. Call it before
/// the first task is started, and in the family's first process only.
///
/// If the function panics, or starts a thread that goes on, starting tasks
/// fails and says so.
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
