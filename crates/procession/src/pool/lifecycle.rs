//! Making a pool, and ending it.

use super::builder::{Builder, check_workers, default_workers};
use super::scheduler::Scheduler;
use super::shared::Shared;
use super::stats::Stats;
use super::{TaskError, worker};
use crate::process::{self, StartMethod};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::thread;

/// Worker processes that call functions.
///
/// # If it is dropped
/// The pool is [terminated](Pool::terminate): its workers are killed, and tasks that have not
/// ended fail. [`join`](Pool::join) waits until all tasks have ended.
///
/// # If a process dies
/// If a worker dies, its task fails or is retried, and another worker takes its place.
/// If this process dies, the family's server kills all workers.
///
/// # What workers may do
/// A thread of the pool starts all workers, also those that replace others later, and the
/// workers inherit the rights of that thread. The thread inherits those of the thread that made
/// the pool. Later changes that libc makes for the whole process (`setuid` and the like) reach
/// the workers that are started afterwards. Changes that a thread makes for itself alone (niceness,
/// processors, capabilities, namespaces, a seccomp filter without `TSYNC`) do not: restrict the
/// thread before it makes the pool.
///
/// # Across fork and exec
/// A pool belongs to the process that made it. In a forked copy (also after `daemon(3)`)
/// no method blocks: methods that return a `Result` return
/// [`Unsupported`](ErrorKind::Unsupported), the others report no workers and no tasks, and
/// dropping the copy does nothing.
///
/// # Cost
/// Two threads, and one more where the pool calls code of yours (callbacks, `retry_if`). For each
/// worker: a process, half a MiB of shared memory, a handful of descriptors.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// let pool = Pool::builder().workers(2).name("adder").build()?;
/// assert_eq!(pool.map(|x: u64| x + 1, 0..3)?, [1, 2, 3]);
/// assert_eq!(pool.stats().tasks(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    pub(super) shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Pool {
    /// Makes a pool of `workers` workers; [`default_workers`] is a good number for tasks that
    /// compute.
    ///
    /// # Blocking
    /// Until the processes of all workers exist. Their initializers may still run.
    ///
    /// # Errors
    /// As [`Builder::build`].
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// assert_eq!((pool.workers(), pool.pids().len()), (2, 2));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new(workers: usize) -> Result<Pool> {
        Builder::new().workers(workers).build()
    }

    /// Returns a builder, which sets options of the pool and its workers.
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

    /// Returns the number of workers that the pool should have. While workers are being started
    /// or replaced, fewer have a process; see [`pids`](Pool::pids).
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.workers()
    }

    /// Returns the process ids of the workers that have a process, in no fixed order.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let pids = self.shared.with_own(|state| state.pids());
        pids.unwrap_or_default()
    }

    /// Sets the number of workers. Surplus workers exit after finishing the tasks already
    /// assigned to them.
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
        check_workers(workers, "resizing pool")?;
        self.shared.check_process()?;
        self.shared.with(|state| state.resize(workers));
        self.shared.control.try_add(1)
    }

    /// Returns what the pool has done so far.
    ///
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.shared.with_own(|state| {
            state.collect();
            state.stats()
        });
        stats.unwrap_or_default()
    }

    /// Closes the pool: it refuses new tasks. The workers finish the tasks that it has, and exit.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let task = pool.spawn(|x: u64| x + 1, 1)?;
    /// pool.close();
    /// assert!(pool.spawn(|x: u64| x + 1, 1).is_err());
    /// assert_eq!(task.join()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        let closed = self.shared.with_own(|state| state.close());
        if closed.is_some() {
            self.shared.doorbell.ring();
            let _ = self.shared.control.try_add(1);
        }
    }

    /// Closes the pool as [`close`](Pool::close) does, and blocks until all tasks have ended, all
    /// [callbacks](crate::pool::TaskHandle::on_done) have returned, and all workers have exited.
    /// Returns what the pool has done.
    ///
    /// `join` waits until other threads have taken all results of their iterators
    /// ([`imap`](Pool::imap)). It cannot wait for an iterator of the calling thread: the
    /// calls that workers already have are made, and the iterator ends with an error. Results of
    /// tasks and of maps in the background stay in their handles.
    ///
    /// # Blocking
    /// As long as the tasks and the callbacks take. In a callback, `join` does not wait for
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
    pub(super) fn say_who_joins(&self, joins: bool) {
        let me = joins.then(|| std::thread::current().id());
        if self.shared.with_own(|state| state.set_joiner(me)).is_some() {
            self.shared.doorbell.ring();
        }
    }

    /// Kills all workers now, and blocks until they have ended. Tasks that have not ended fail, as
    /// [cancelled](TaskError::is_cancelled). Returns what the pool has done.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(1)?;
    /// let task = pool.spawn(|()| std::thread::sleep(Duration::from_secs(3600)), ())?;
    /// pool.terminate();
    /// assert!(task.join().unwrap_err().is_cancelled());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn terminate(self) -> Stats {
        self.stop();
        self.join()
    }

    fn stop(&self) {
        let reason = TaskError::cancelled();
        if self.shared.with_own(|state| state.end(reason)).is_some() {
            self.shared.doorbell.ring();
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
        self.shared.executor.finish();
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

impl Builder {
    /// Makes the pool, and starts its workers unless it is [lazy](Builder::lazy).
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no workers, or more than 32,768;
    ///   [no tasks](Builder::max_tasks_per_worker) for a worker; an environment that no process can
    ///   have; a pool nested deeper than [`max_depth`](Builder::max_depth)
    /// - [`Unsupported`](ErrorKind::Unsupported): the start method is
    ///   [`Fork`](StartMethod::Fork); the initializer or the finalizer is a function of a shared
    ///   library
    /// - [`LimitReached`](ErrorKind::LimitReached), [`NoSpace`](ErrorKind::NoSpace): there are
    ///   too many processes, threads or descriptors, or too little memory
    ///
    /// # Examples
    /// See [`Builder`].
    pub fn build(self) -> Result<Pool> {
        let operation = "creating pool";
        let refuse = |kind, why: &'static str| Err(Error::new(kind, operation, "").because(why));
        if let Some(error) = self.error {
            return Err(error);
        }
        let workers = self.workers.unwrap_or_else(default_workers);
        check_workers(workers, operation)?;
        if self.settings.limits.tasks_per_worker == Some(0) {
            return refuse(ErrorKind::InvalidInput, "`max_tasks_per_worker` is 0");
        }
        let environment = self.settings.environment.iter();
        environment
            .fold(process::Builder::new(), |builder, (key, value)| {
                builder.env(key, value)
            })
            .check_environment()?;
        if self.settings.method == StartMethod::Fork {
            return refuse(
                ErrorKind::Unsupported,
                "a pool has threads, and a process with threads cannot be forked",
            );
        }
        if worker::depth() >= self.max_depth {
            return Err(Error::new(ErrorKind::InvalidInput, operation, "")
                .because(format!("it would be nested in {} others", self.max_depth))
                .with_hint("allow more with `Builder::max_depth`"));
        }
        let state = Scheduler::new(workers, self.settings.limits);
        let is_lazy = self.settings.is_lazy;
        let shared = Shared::new(state, self.settings)?;
        if !is_lazy {
            shared.start_wanted().inspect_err(|_| shared.give_up())?;
        }
        Pool::new_running(shared)
    }
}
