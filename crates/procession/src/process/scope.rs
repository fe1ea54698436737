//! Tasks that end before a block does.

use super::{Builder, JoinHandle, Signal, Task, wait_all};
use crate::error::Context;
use crate::{Deadline, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};

/// Runs `body`, waits for all tasks that it started in the scope, and returns what `body`
/// returned. If `body` panics, the tasks are killed first.
///
/// Inside, handles may be joined, dropped or leaked: the scope waits all the same.
///
/// # Blocking
/// Until `body` has returned and all tasks have ended.
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
    ///
    /// # Examples
    /// ```
    /// use procession::process;
    /// let lengths = process::scope(|scope| {
    ///     let words = ["one", "three"].map(|word| {
    ///         scope.spawn(|word: String| word.len(), word.to_owned()).unwrap()
    ///     });
    ///     words.map(|mut task| task.join().unwrap())
    /// });
    /// assert_eq!(lengths, [3, 5]);
    /// ```
    pub fn spawn<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.adopt(Builder::new().spawn(function, argument)?)
    }

    /// Starts a [`Task`], which may capture values ([`task!`](crate::task)), that ends before
    /// the scope does.
    ///
    /// # Errors
    /// As [`Builder::spawn`].
    ///
    /// # Examples
    /// ```
    /// use procession::{process, shared::Counter, task};
    /// let total = Counter::new(0)?;
    /// let add = task!([&total] |x: i64| { total.add(x); });
    /// process::scope(|scope| {
    ///     for x in 1..=3 {
    ///         drop(scope.spawn_task(&add, x).unwrap());
    ///     }
    /// });
    /// assert_eq!(total.get(), 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn spawn_task<A, R>(&self, task: &Task<A, R>, argument: A) -> Result<JoinHandle<R>>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.adopt(Builder::new().spawn_task(task, argument)?)
    }

    /// Makes a task that was started elsewhere, for example by a [`Builder`], end before the
    /// scope does.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): the process has no descriptor left. The
    /// task is killed.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Builder};
    /// let answer = process::scope(|scope| {
    ///     let task = Builder::new().name("deep thought").spawn(|()| 42, ())?;
    ///     Ok::<_, procession::Error>(scope.adopt(task)?.join()?)
    /// });
    /// assert_eq!(answer?, 42);
    /// # Ok::<(), procession::Error>(())
    /// ```
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
