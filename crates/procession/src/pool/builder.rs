//! Options for making a pool.

use super::scheduler::Limits;
use super::settings::{Settings, Stderr};
use crate::process::{self, StartMethod};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::time::Duration;

/// How deep pools may be nested, unless the builder says otherwise.
const MAX_DEPTH: u32 = 8;

/// Options for making a [`Pool`](super::Pool).
///
/// Values that no pool can have are errors of [`build`](Builder::build), which starts the
/// workers; the other methods start nothing.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// use std::time::Duration;
/// let pool = Pool::builder()
///     .workers(2)
///     .name("resizer")
///     .max_tasks_per_worker(1000)
///     .memory_limit(1 << 30)
///     .recycle_above(512 << 20)
///     .build()?;
/// assert_eq!(pool.map(|x: u64| x * 2, 1..=3)?, [2, 4, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder makes nothing before `build`"]
pub struct Builder {
    pub(super) workers: Option<usize>,
    pub(super) max_depth: u32,
    pub(super) error: Option<Error>,
    pub(super) settings: Settings,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

/// Returns the number of workers of a pool for which none is set: the number of processors that
/// this process may use, by its affinity and by the quota of its control group.
///
/// # Examples
/// ```
/// assert!(procession::pool::default_workers() >= 1);
/// ```
#[must_use]
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Most workers of a pool: so many processes the kernel has numbers for, unless it was
/// told otherwise.
const MOST_WORKERS: usize = 1 << 15;

/// Refuses numbers of workers that no pool can have.
pub(super) fn check_workers(workers: usize, operation: &'static str) -> Result<()> {
    let why = match workers {
        0 => "it would have no workers".to_owned(),
        1..=MOST_WORKERS => return Ok(()),
        _ => format!("{workers} workers are more than {MOST_WORKERS}"),
    };
    Err(Error::new(ErrorKind::InvalidInput, operation, "").because(why))
}

impl Builder {
    /// Returns the default options: one worker for each processor ([`default_workers`]), which
    /// the family's server forks.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{self, Builder};
    /// let pool = Builder::new().build()?;
    /// assert_eq!(pool.workers(), pool::default_workers());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn new() -> Builder {
        Builder {
            workers: None,
            max_depth: MAX_DEPTH,
            error: None,
            settings: Settings {
                method: StartMethod::ForkServer,
                name: "pool".to_owned(),
                initializer: None,
                finalizer: None,
                limits: Limits::default(),
                niceness: None,
                cpus: None,
                environment: Vec::new(),
                is_lazy: false,
                idle_timeout: None,
                stderr: Stderr::default(),
            },
        }
    }

    /// Sets the number of workers, at most 32,768; [`default_workers`] unless set.
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = Some(workers);
        self
    }

    /// Sets how the processes of workers are started: [`ForkServer`](StartMethod::ForkServer)
    /// unless set, or [`Spawn`](StartMethod::Spawn). [`build`](Builder::build) refuses
    /// [`Fork`](StartMethod::Fork), because a pool has threads.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, process::StartMethod, ErrorKind};
    /// let pool = Pool::builder().workers(1).start_method(StartMethod::Spawn).build()?;
    /// assert_eq!(pool.call(|x: u64| x + 1, 1)?, 2);
    /// let refused = Pool::builder().start_method(StartMethod::Fork).build().unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Unsupported);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.settings.method = method;
        self
    }

    /// Sets the name of the workers' processes, which `ps` shows with the number of each worker;
    /// `pool` unless set.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.settings.name = name.into();
        self
    }

    /// Calls `function` with `argument` in each worker before its first task. The worker keeps
    /// the value that it returns (a connection, a model, a parser), and tasks use this value
    /// through [`with_state`](super::with_state).
    ///
    /// Data that all workers read belongs into the argument as [`Bytes`](crate::Bytes) or as a
    /// handle of [shared memory](crate::shared): then all workers have the same memory.
    ///
    /// A worker whose initializer panics, or does not return within
    /// [`start_timeout`](Builder::start_timeout), has failed to start. After three such starts in
    /// a row (twenty, if the last worker was killed) the pool ends, unless another worker is
    /// ready; its tasks fail with
    /// [`NeverStarted`](super::TaskError::NeverStarted), which has the last error.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::{self, Pool}, Bytes};
    /// struct Dictionary(Bytes);
    /// let words = Bytes::from(b"one two three".repeat(10_000));
    /// let pool = Pool::builder().workers(2).initializer(Dictionary, words).build()?;
    /// let count = |word: String| pool::with_state(|dictionary: &mut Dictionary| {
    ///     let text = str::from_utf8(&dictionary.0).unwrap();
    ///     text.matches(&word).count()
    /// });
    /// let words = ["two", "four"].map(str::to_owned);
    /// assert_eq!(pool.map(count, words)?, [10_000, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initializer<I, S>(mut self, function: fn(I) -> S, argument: I) -> Builder
    where
        I: Serialize + DeserializeOwned,
        S: 'static,
    {
        match process::initializer(function, &argument) {
            Ok(task) => self.settings.initializer = Some(task),
            Err(error) => self.error = Some(error),
        }
        self
    }

    /// Sets how long a worker may take until it is ready: until its process exists and its
    /// initializer has returned. A worker that takes longer is killed, and has failed to start.
    /// There is no limit unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{Pool, TaskError};
    /// use std::time::Duration;
    /// let hang = |()| std::thread::sleep(Duration::from_secs(3600));
    /// let pool = Pool::builder()
    ///     .workers(1)
    ///     .initializer(hang, ())
    ///     .start_timeout(Duration::from_millis(1))
    ///     .build()?;
    /// let failed = pool.call(|x: u64| x, 1).unwrap_err();
    /// assert!(matches!(failed, TaskError::NeverStarted(..)));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn start_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.limits.start_timeout = Some(timeout);
        self
    }

    /// Calls `function` in each worker after its last task, with the value that the initializer
    /// returned. Workers that are killed do not call it, and those of a pool that is
    /// [terminated](super::Pool::terminate) or dropped are killed.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, shared::Counter};
    /// let open = Counter::new(0)?;
    /// let pool = Pool::builder()
    ///     .workers(2)
    ///     .initializer(|open: Counter| { open.add(1); open }, open.clone())
    ///     .finalizer(|open: &mut Counter| { open.add(-1); })
    ///     .build()?;
    /// pool.map(|x: u64| x, 0..10)?;
    /// pool.join();
    /// assert_eq!(open.get(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finalizer<S: 'static>(mut self, function: fn(&mut S)) -> Builder {
        match process::finalizer(function) {
            Ok(task) => self.settings.finalizer = Some(task),
            Err(error) => self.error = Some(error),
        }
        self
    }

    /// Replaces each worker after `tasks` tasks. There is no limit unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::builder().workers(1).max_tasks_per_worker(1).build()?;
    /// let pids = pool.map(|_: u64| std::process::id(), 0..2)?;
    /// assert_ne!(pids[0], pids[1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "maxtasksperchild")]
    #[doc(alias = "tasks_per_worker")]
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Builder {
        self.settings.limits.tasks_per_worker = Some(tasks);
        self
    }

    /// Replaces each worker that has more than `bytes` bytes of resident memory after a batch of
    /// tasks. It is for tasks that leak memory. Workers measure it at most once in a millisecond,
    /// in [`/proc/self/statm`](https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html).
    pub fn recycle_above(mut self, bytes: u64) -> Builder {
        self.settings.limits.recycle_above = Some(bytes);
        self
    }

    /// Sets how many bytes of private writable memory a worker may have
    /// ([`RLIMIT_DATA`](https://man7.org/linux/man-pages/man2/setrlimit.2.html)). A task that
    /// allocates more aborts its worker, and fails.
    pub fn memory_limit(mut self, bytes: u64) -> Builder {
        self.settings.limits.memory = Some(bytes);
        self
    }

    /// Sets the niceness of the workers, from -20 to 19; that of this process unless set.
    /// [`setpriority(2)`](https://man7.org/linux/man-pages/man2/setpriority.2.html) says which
    /// processes may lower it.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::builder().workers(1).niceness(10).env("LANG", "C").pin([0]).build()?;
    /// let language = pool.call(|()| std::env::var("LANG").unwrap_or_default(), ())?;
    /// assert_eq!(language, "C");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn niceness(mut self, niceness: i32) -> Builder {
        self.settings.niceness = Some(niceness);
        self
    }

    /// Binds each worker to one of the processors `cpus`, in turn
    /// ([`sched_setaffinity(2)`](https://man7.org/linux/man-pages/man2/sched_setaffinity.2.html)).
    #[doc(alias = "sched_setaffinity")]
    pub fn pin(mut self, cpus: impl IntoIterator<Item = usize>) -> Builder {
        self.settings.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// Sets an environment variable of the workers. A key or value that no process can have is
    /// an error of [`build`](Builder::build).
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        let pair = (key.as_ref().to_owned(), value.as_ref().to_owned());
        self.settings.environment.push(pair);
        self
    }

    /// Starts workers only when there are tasks for them.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::builder().workers(2).lazy().build()?;
    /// assert!(pool.pids().is_empty());
    /// assert_eq!(pool.call(|x: u64| x + 1, 1)?, 2);
    /// assert!(!pool.pids().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lazy(mut self) -> Builder {
        self.settings.is_lazy = true;
        self
    }

    /// Ends workers that had no task for `timeout`; others are started when there are tasks
    /// again. The pool is [`lazy`](Builder::lazy) then.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::builder().workers(1).idle_timeout(Duration::from_millis(1)).build()?;
    /// pool.call(|x: u64| x + 1, 1)?;
    /// while !pool.pids().is_empty() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(pool.call(|x: u64| x + 1, 2)?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.idle_timeout = Some(timeout);
        self.settings.is_lazy = true;
        self
    }

    /// Sets where the standard error of workers goes; [`Stderr::Tee`] unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{Pool, Stderr};
    /// let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build()?;
    /// fn die(_: ()) { eprintln!("out of paper"); std::process::exit(1) }
    /// let failed = pool.call(die, ()).unwrap_err();
    /// assert_eq!(failed.stderr(), "out of paper\n");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn stderr(mut self, stderr: Stderr) -> Builder {
        self.settings.stderr = stderr;
        self
    }

    /// Sets how deep pools may be nested, where a task makes a pool in its worker; 8 unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, ErrorKind};
    /// let nested = |()| Pool::builder().workers(1).max_depth(1).build().map(drop);
    /// let refused = Pool::new(1)?.call(nested, ())?.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "deepest")]
    pub fn max_depth(mut self, depth: u32) -> Builder {
        self.max_depth = depth;
        self
    }
}
