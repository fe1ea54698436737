//! A function over many arguments on all processors, in processes: what crashes in
//! one call costs that call and no other; so does what hangs or leaks, where a timeout
//! or a limit of memory was set.
//!
//! | to do | use |
//! |---|---|
//! | all results, in order | [`Pool::map`] |
//! | results as an iterator, arguments taken as needed | [`Pool::imap`], [`Pool::imap_unordered`] |
//! | all results, in the background | [`Calls::spawn_map`] and [`MapHandle`] |
//! | one call | [`Pool::call`], [`Pool::spawn`] and [`TaskHandle`] |
//! | the first of several to end, or to fail | [`wait_any`], [`wait_first_failure`] |
//! | one result of all | [`Pool::map_reduce`] |
//! | timeouts, retries, priorities | [`Pool::calls`], [`Calls`] |
//! | with captured values, or by name | [`Task`], [`Pool::task`] |
//! | state of each worker; recycling, limits | [`Pool::builder`] |
//! | see what goes on | [`Pool::stats`] |
//!
//! # How it works
//!
//! Each worker shares a piece of memory with the pool: a ring of arguments, a ring of
//! results. Neither a lock nor a system call is between them while both are busy. A
//! thread that waits for results takes them in by itself; the pool's own two threads
//! see to what nobody waits for, and to processes that end.
//!
//! A result counts when it is written into the ring, and so survives whatever happens
//! to its worker then. What a worker had not begun when it died goes to others; the
//! call that it was in fails, or is tried again if [that was asked
//! for](Calls::retries).
//!
//! # Examples
//! ```
//! use procession::pool::Pool;
//! fn square(x: u64) -> u64 { x * x }
//! let pool = Pool::new(4)?;
//! assert_eq!(pool.map(square, 1..=5)?, [1, 4, 9, 16, 25]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod calls;
mod doorbell;
mod executor;
mod feed;
mod function;
mod global;
mod handle;
mod join_error;
mod lifecycle;
mod map_handle;
mod progress;
mod results;
mod scheduler;
mod settings;
mod shared;
mod sleep;
mod stats;
mod supervisor;
mod trace;
mod wait;
mod worker;
mod worker_ring;

pub use builder::{Builder, default_workers};
pub use calls::Calls;
pub use global::global;
pub use handle::TaskHandle;
pub use join_error::JoinError;
pub use lifecycle::Pool;
pub use map_handle::MapHandle;
pub use results::Results;
pub use settings::Stderr;
pub use stats::{SlowTask, Stats, WorkerStats};
pub use wait::{wait_any, wait_first_failure};
pub use worker::{stop_requested, with_state, worker_number};

pub use crate::process::TaskError;

use crate::process::Task;
use function::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Pool {
    /// Calls the function for each argument, and returns all results, in order. The first
    /// failure ends it.
    ///
    /// # Blocking
    /// Until all results are there.
    ///
    /// # Errors
    /// The failure of a call; the pool goes on.
    ///
    /// # Panics
    /// If the iterator panics.
    ///
    /// # Cost
    /// For short functions, some tens of nanoseconds for each argument.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let lengths = pool.map(|word: String| word.len(), ["one", "three"].map(str::to_owned))?;
    /// assert_eq!(lengths, [3, 5]);
    /// let error = pool.map(|x: u64| 100 / x, [1, 0, 2]).unwrap_err();
    /// assert_eq!(error.index(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<A, R, I>(
        &self,
        function: fn(A) -> R,
        arguments: I,
    ) -> std::result::Result<Vec<R>, TaskError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.calls(function).map(arguments)
    }

    /// Calls the function for each argument as results are taken, and returns an iterator
    /// over the results, in order. The arguments may be without end: only some are taken in
    /// advance.
    ///
    /// # Errors
    /// Each item is a result or a failure.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let mut squares = pool.imap(|x: u64| x * x, 0..);
    /// assert_eq!(squares.nth(1000).unwrap()?, 1_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, arguments: I) -> Results<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.calls(function).imap(arguments)
    }

    /// Calls the function for each argument as results are taken, and returns an iterator
    /// over the results, in the order in which the calls end.
    ///
    /// # Errors
    /// As [`imap`](Pool::imap).
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let mut results = pool.imap_unordered(|x: u32| x % 7, 0..100);
    /// let mut counts = [0; 7];
    /// while let Some((argument, result)) = results.next_indexed() {
    ///     assert_eq!(result.clone()?, argument as u32 % 7);
    ///     counts[result? as usize] += 1;
    /// }
    /// assert_eq!(counts, [15, 15, 14, 14, 14, 14, 14]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn imap_unordered<A, R, I>(
        &self,
        function: fn(A) -> R,
        arguments: I,
    ) -> Results<I::IntoIter, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.calls(function).imap_unordered(arguments)
    }

    /// Calls the function once per argument and discards the results.
    ///
    /// # Errors
    /// As [`map`](Pool::map).
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, shared::Counter};
    /// let (pool, total) = (Pool::new(2)?, Counter::new(0)?);
    /// pool.for_each(|total: Counter| { total.add(1); }, vec![total.clone(); 100])?;
    /// assert_eq!(total.get(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each<A, I>(
        &self,
        function: fn(A),
        arguments: I,
    ) -> std::result::Result<(), TaskError>
    where
        A: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        self.calls(function).for_each(arguments)
    }

    /// Calls the function for each argument and combines the results two by two with
    /// `reduce`, in the workers and at last here; see [`Calls::map_reduce`].
    ///
    /// # Errors
    /// As [`map`](Pool::map).
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let longest = pool.map_reduce(
    ///     |text: String| text.len(),
    ///     usize::max,
    ///     ["a", "bcd", "ef"].map(str::to_owned),
    /// )?;
    /// assert_eq!(longest, Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_reduce<A, R, I>(
        &self,
        function: fn(A) -> R,
        reduce: fn(R, R) -> R,
        arguments: I,
    ) -> std::result::Result<Option<R>, TaskError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
        I: IntoIterator<Item = A>,
    {
        self.calls(function).map_reduce(reduce, arguments)
    }

    /// Has a worker call the function.
    ///
    /// # Blocking
    /// Does not wait for workers: what no worker can take waits in this process.
    ///
    /// # Errors
    /// The pool is closed or over; the argument cannot be encoded.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let task = pool.spawn(|x: u64| x * x, 12)?;
    /// assert_eq!(task.join()?, 144);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> std::result::Result<TaskHandle<R>, TaskError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.calls(function).spawn(argument)
    }

    /// Has a worker call the function, and waits for the result.
    ///
    /// # Errors
    /// The failure of the call, or as [`spawn`](Pool::spawn).
    ///
    /// # Cost
    /// If the worker is awake, less than a system call.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// assert_eq!(pool.call(|(a, b): (u8, u8)| a + b, (1, 2))?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "apply")]
    pub fn call<A, R>(&self, function: fn(A) -> R, argument: A) -> std::result::Result<R, TaskError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.calls(function).call(argument)
    }

    /// Returns calls of a function, to say how they are to go, and then to make them.
    ///
    /// The function is an `fn` or a closure that captures nothing; one that captures values
    /// is a [`Task`], for [`task`](Pool::task).
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// fn fetch(page: u32) -> String { format!("page {page}") }
    /// let pool = Pool::new(2)?;
    /// let fetch = pool.calls(fetch).timeout(Duration::from_secs(10)).retries(3);
    /// assert_eq!(fetch.call(7)?, "page 7");
    /// assert_eq!(fetch.map(1..=2)?, ["page 1", "page 2"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn calls<A, R>(&self, function: fn(A) -> R) -> Calls<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Calls::new(&self.shared, Function::Plain(function))
    }

    /// Returns calls of a [`Task`], which may capture values, or name a function: the same
    /// as [`calls`](Pool::calls), for tasks.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(2)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.task(&scale).call(5)?, 15);
    /// assert_eq!(pool.task(&scale).retries(1).map(1..=3)?, [3, 6, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "call_task")]
    #[doc(alias = "task_of")]
    #[doc(alias = "calls_task")]
    pub fn task<A, R>(&self, task: &Task<A, R>) -> Calls<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Calls::new(&self.shared, Function::Task(task.clone()))
    }
}
