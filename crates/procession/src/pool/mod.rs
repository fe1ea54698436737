//! A function over many arguments on all processors, in processes: what crashes in
//! one call costs that call and no other; so does what hangs or leaks, where a timeout
//! or a limit of memory was set.
//!
//! | to do | use |
//! |---|---|
//! | all results, in order | [`Pool::map`] |
//! | results as an iterator, arguments taken as needed | [`Pool::imap`], [`Pool::imap_unordered`] |
//! | one call | [`Pool::call`], [`Pool::spawn`] and [`TaskHandle`] |
//! | one result of all | [`Pool::map_reduce`] |
//! | timeouts, retries, priorities | [`Pool::task`], [`Pool::calls`] |
//! | with captured values, or by name | [`Task`] and the methods with `_task` |
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

mod bell;
mod builder;
mod call;
mod calls;
mod chunk;
mod collect;
mod death;
mod dispatch;
mod errands;
mod error;
mod fate;
mod global;
mod handle;
mod join_error;
mod line;
mod process;
mod progress;
mod queue;
mod run;
mod shared;
mod state;
mod stats;
mod tend;
mod trace;
mod watcher;
mod words;
mod worker;

pub use builder::{Builder, Stderr, default_workers};
pub use call::Call;
pub use calls::{Calls, Results};
pub use error::TaskError;
pub use global::global;
pub use handle::TaskHandle;
pub use join_error::JoinError;
pub use stats::{SlowTask, Stats, WorkerStats};
pub use worker::{stop_requested, with_state, worker_number};

use crate::process::Task;
use crate::{Deadline, Error, ErrorKind, Result};
use call::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::Shared;
use state::Phase;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Processes that call functions.
///
/// # If it is dropped
/// It is [terminated](Pool::terminate): what is done is done, the rest is not.
/// [`join`](Pool::join) waits for the rest.
///
/// # If a process dies
/// A worker: its task fails or is retried, another worker takes its place. This
/// process: the family's server, which the kernel tells of it, kills all workers.
///
/// # What workers may do
/// All workers, also those that replace others later, are started by a thread of the pool,
/// with what that thread has at that moment. It was made by the thread that made the pool,
/// and shares with it what belongs to the whole process: `setuid` and the like, as libc
/// calls them, change both. What a thread changes for itself alone (niceness, processors,
/// capabilities, namespaces, a seccomp filter without `TSYNC`) after it has made the pool
/// does not reach the workers: restrict the thread first.
///
/// # Across fork and exec
/// A pool is of the process that made it. In a forked copy (also after `daemon(3)`) nothing
/// waits: what can fail fails at once, as [`Unsupported`](ErrorKind::Unsupported), what
/// cannot says that there are no workers and nothing was done, and dropping it there does
/// nothing.
///
/// # Cost
/// Two threads, and one more where code of yours is to be called by the pool; for each
/// worker a process, half a MiB of shared memory, a handful of descriptors.
///
/// # Examples
/// See the [module](self).
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pool {
    /// Makes a pool with so many workers; [`default_workers`] is a good number for
    /// work that computes.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(workers: usize) -> Result<Pool> {
        Builder::new().workers(workers).build()
    }

    /// A pool that is out of the ordinary.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn new_running(shared: Arc<Shared>) -> Result<Pool> {
        let mut pool = Pool {
            shared,
            threads: Vec::new(),
        };
        let names = ["procession-pool", "procession-watch"];
        let lives: [fn(&Shared); 2] = [Shared::help, Shared::watch];
        // Signals are for the program's own threads.
        let mask = procession_sys::signal::Mask::all().block();
        let started = names.into_iter().zip(lives).try_for_each(|(name, live)| {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(name.to_owned());
            pool.threads.push(thread.spawn(move || live(&shared))?);
            Ok::<(), std::io::Error>(())
        });
        if let Ok(mask) = mask {
            let _ = mask.install();
        }
        match started {
            Ok(()) => Ok(pool),
            Err(error) => {
                pool.shared.give_up();
                Err(Error::new(ErrorKind::LimitReached, "creating pool", "")
                    .because(error.to_string())
                    .with_hint(crate::limits::processes().hint()))
            }
        }
    }

    /// Calls the function for each argument; all results, in order. The first failure
    /// ends it.
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

    /// Calls the function for each argument, as results are taken; results in order.
    /// The arguments may be without end: only some are taken in advance.
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

    /// [`imap`](Pool::imap), with results as they come.
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

    /// Calls the function for each argument, for what it does.
    ///
    /// # Errors
    /// As [`map`](Pool::map).
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, shared::Counter, process::Task};
    /// let (pool, total) = (Pool::new(2)?, Counter::new(0)?);
    /// let add = Task::lend(total.clone(), |total: &Counter, x: i64| { total.add(x); })?;
    /// pool.calls_task(&add).for_each(1..=100)?;
    /// assert_eq!(total.get(), 5050);
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

    /// Calls the function for each argument and puts the results together, in the
    /// workers and at last here; see [`Calls::map_reduce`].
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
    /// Never: what no worker can take waits in this process.
    ///
    /// # Errors
    /// The pool is closed or over; the argument cannot be encoded.
    ///
    /// # Examples
    /// See [`TaskHandle`].
    pub fn spawn<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
    ) -> std::result::Result<TaskHandle<R>, TaskError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.task(function, argument).spawn()
    }

    /// Has a worker call the function, and waits for the result.
    ///
    /// # Errors
    /// How the call failed, or as [`spawn`](Pool::spawn).
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
        self.task(function, argument).call()
    }

    /// [`call`](Pool::call) of a task, which may capture values.
    ///
    /// # Errors
    /// As [`call`](Pool::call).
    ///
    /// # Examples
    /// See [`Task::lend`].
    pub fn call_task<A, R>(
        &self,
        task: &Task<A, R>,
        argument: A,
    ) -> std::result::Result<R, TaskError>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Call::new(self, Function::Task(task.clone()), argument).call()
    }

    /// One call, with more to be said about it.
    pub fn task<A, R>(&self, function: fn(A) -> R, argument: A) -> Call<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Call::new(self, Function::Plain(function), argument)
    }

    /// One call of a task that may capture values, with more to be said about it.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(1)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.task_of(&scale, 5).retries(1).call()?, 15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn task_of<A, R>(&self, task: &Task<A, R>, argument: A) -> Call<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Call::new(self, Function::Task(task.clone()), argument)
    }

    /// Many calls of a function, with more to be said about them.
    pub fn calls<A, R>(&self, function: fn(A) -> R) -> Calls<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Calls::new(self, Function::Plain(function))
    }

    /// Many calls of a task, which may capture values.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(2)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.calls_task(&scale).map(1..=3)?, [3, 6, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn calls_task<A, R>(&self, task: &Task<A, R>) -> Calls<'_, A, R>
    where
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        Calls::new(self, Function::Task(task.clone()))
    }

    /// How many workers there are to be.
    #[must_use]
    pub fn workers(&self) -> usize {
        let workers = self.shared.with_own(|state| {
            let workers = state.workers.iter();
            workers.filter(|worker| !worker.is_superfluous).count()
        });
        workers.unwrap_or_default()
    }

    /// Process ids of the workers that live.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let pids = self.shared.with_own(|state| {
            let lives = state
                .workers
                .iter()
                .filter_map(|worker| worker.life.as_ref());
            lives.map(|life| life.process.pid()).collect()
        });
        pids.unwrap_or_default()
    }

    /// Has so many workers from now on. Those that are too many end when they have
    /// done what they have.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): none, or more than a pool can have;
    /// [`Unsupported`](ErrorKind::Unsupported): the pool is of another process.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// pool.resize(3)?;
    /// assert_eq!(pool.workers(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn resize(&self, workers: usize) -> Result<()> {
        builder::check_workers(workers, "resizing pool")?;
        self.shared.check_process()?;
        self.shared.with(|state| {
            for (place, worker) in state.workers.iter_mut().enumerate() {
                worker.is_superfluous = place >= workers;
            }
            while state.workers.len() < workers {
                state.workers.push(state::Worker::vacant());
            }
        });
        self.shared.control.try_add(1)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.shared.with_own(|state| {
            state.collect();
            state.stats()
        });
        stats.unwrap_or_default()
    }

    /// Takes no more tasks; those it has are done, and then the workers end.
    pub fn close(&self) {
        let closed = self.shared.with_own(|state| {
            if matches!(state.phase, Phase::Open) {
                state.phase = Phase::Closed;
            }
        });
        if closed.is_some() {
            self.shared.bell.ring();
            let _ = self.shared.control.try_add(1);
        }
    }

    /// [Closes](Pool::close) it, and waits until everything is done, all
    /// [callbacks](TaskHandle::on_done) were called, and all workers have ended.
    ///
    /// An iterator of results that other threads take from ([`imap`](Pool::imap)) goes on
    /// to its end. One that this thread has taken from would never get there meanwhile:
    /// what workers have of it is done, and it ends with an error.
    ///
    /// # Blocking
    /// As long as the tasks take, and the callbacks. In a callback, it does not wait for
    /// callbacks.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let task = pool.spawn(|x: u64| x + 1, 1)?;
    /// let stats = pool.join();
    /// assert_eq!(stats.tasks(), 1);
    /// assert_eq!(task.join()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(mut self) -> Stats {
        self.close();
        self.say_who_joins(true);
        self.end_threads();
        self.stats()
    }

    /// Lets the pool know that this thread waits for its end, or does not any more.
    fn say_who_joins(&self, joins: bool) {
        let me = joins.then(|| std::thread::current().id());
        if self.shared.with_own(|state| state.joiner = me).is_some() {
            self.shared.bell.ring();
        }
    }

    /// [`join`](Pool::join), if the pool is done; else it comes back, and is closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
    pub fn try_join(self) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::NOW)
    }

    /// [`join`](Pool::join), waiting at most `timeout`; then the pool comes back, and is
    /// closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
    pub fn join_timeout(self, timeout: Duration) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// [`join`](Pool::join), but only until a deadline; then the pool comes back, and
    /// is closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
    pub fn join_deadline(self, deadline: Deadline) -> std::result::Result<Stats, JoinError> {
        self.close();
        if self.shared.check_process().is_err() {
            return Ok(self.join());
        }
        self.say_who_joins(true);
        let errands = &self.shared.errands;
        let is_called = || errands.is_own_thread() || errands.are_done();
        let done = self.shared.wait(deadline, false, |state| {
            (state.is_gone() && is_called()).then_some(())
        });
        match done {
            Some(()) => Ok(self.join()),
            None => {
                self.say_who_joins(false);
                Err(JoinError::new(self, deadline))
            }
        }
    }

    /// Kills all workers now. Tasks that are not done fail, as
    /// [cancelled](TaskError::is_cancelled).
    pub fn terminate(self) -> Stats {
        self.stop();
        self.join()
    }

    fn stop(&self) {
        let reason = TaskError::new(crate::process::TaskError::Cancelled);
        if self.shared.with_own(|state| state.end(reason)).is_some() {
            self.shared.bell.ring();
            let _ = self.shared.control.try_add(1);
        }
    }

    /// Waits until the pool's life is over, and all code of others has been called: only
    /// then is nothing added to that.
    fn end_threads(&mut self) {
        if self.shared.check_process().is_err() {
            // A copy: the threads and the workers are another process's.
            self.threads.drain(..).for_each(std::mem::forget);
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.shared.errands.finish();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stop();
            self.end_threads();
        }
    }
}
