//! Tasks that end before a block does.

use super::{Builder, JoinHandle, Signal, Task, wait_all};
use crate::error::Context;
use crate::{Deadline, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};

/// Runs `body`, and waits for all tasks that it started in the scope before
/// returning what it returns. If it panics, they are killed first.
///
/// Handles may be joined, or dropped, or leaked inside: the scope waits all
/// the same.
///
/// # Examples
/// ```
/// use procession::process;
/// use std::os::unix::fs::FileExt;
/// let file = tempfile::tempfile().unwrap();
/// process::scope(|scope| {
///     for place in 0..4_u64 {
///         let file = procession::Handle::new(file.try_clone().unwrap());
///         scope.spawn(|(file, place): (procession::Handle<std::fs::File>, u64)| {
///             file.write_all_at(b"!", place).unwrap();
///         }, (file, place)).unwrap();
///     }
/// });
/// assert_eq!(file.metadata().unwrap().len(), 4);
/// ```
pub fn scope<T>(body: impl FnOnce(&Scope) -> T) -> T {
    let scope = Scope {
        processes: RefCell::new(Vec::new()),
    };
    body(&scope)
}

/// A block whose tasks end before it does; see [`scope`].
#[derive(Debug)]
pub struct Scope {
    /// A pidfd of each task.
    processes: RefCell<Vec<OwnedFd>>,
}

impl Scope {
    /// Starts a task that ends before the scope does.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.adopt(Builder::new().spawn(function, argument)?)
    }

    /// Starts a task with captured values that ends before the scope does.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    pub fn spawn_task<A, R>(&self, task: &Task<A, R>, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.adopt(Builder::new().spawn_task(task, argument)?)
    }

    /// Makes a task that was started elsewhere, by a [`Builder`] say, end
    /// before the scope does.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor left;
    /// the task is killed.
    pub fn adopt<R>(&self, handle: JoinHandle<R>) -> Result<JoinHandle<R>> {
        match handle.as_fd().try_clone_to_owned() {
            Ok(pidfd) => {
                self.processes.borrow_mut().push(pidfd);
                Ok(handle)
            }
            Err(error) => {
                let _ = handle.kill();
                Err(error).during("starting task in scope", handle.name())
            }
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let processes = self.processes.take();
        if std::thread::panicking() {
            for process in &processes {
                // Those that have ended cannot be signalled any more.
                let _ = procession_sys::signal::send(process.as_fd(), Signal::KILL.as_raw());
            }
        }
        let _ = wait_all(&processes, Deadline::NEVER);
    }
}
