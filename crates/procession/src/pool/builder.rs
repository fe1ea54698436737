//! Making a pool, with everything that can be said about its workers.

use super::scheduler::Limits;
use super::settings::{Settings, Stderr};
use crate::process::{self, StartMethod};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::time::Duration;

/// Pools within workers of pools within …, unless the builder says otherwise.
const DEEPEST: u32 = 8;

/// A pool to be made, and what its workers are to be like.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// use std::time::Duration;
/// let pool = Pool::builder()
///     .workers(2)
///     .name("resizer")
///     .tasks_per_worker(1000)
///     .memory_limit(1 << 30)
///     .build()?;
/// assert_eq!(pool.map(|x: u64| x * 2, 1..=3)?, [2, 4, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder makes nothing before `build`"]
pub struct Builder {
    pub(super) workers: Option<usize>,
    pub(super) deepest: u32,
    pub(super) error: Option<Error>,
    pub(super) settings: Settings,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

/// How many workers a pool has unless told otherwise: as many as processors that
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
    /// A pool with a worker for each processor, made by the family's server.
    pub fn new() -> Builder {
        Builder {
            workers: None,
            deepest: DEEPEST,
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

    /// How many workers, 32,768 at most; [`default_workers`] unless set.
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = Some(workers);
        self
    }

    /// How the workers come into being: [`ForkServer`](StartMethod::ForkServer)
    /// unless set, or [`Spawn`](StartMethod::Spawn).
    /// [`Fork`](StartMethod::Fork) is refused: a pool has threads.
    pub fn start_method(mut self, method: StartMethod) -> Builder {
        self.settings.method = method;
        self
    }

    /// A name for the workers, which `ps` shows with the number of each; `pool`
    /// unless set.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.settings.name = name.into();
        self
    }

    /// Calls a function in each worker before its first task, and keeps what it
    /// makes for them: a connection, a model, a parser. Tasks use it through
    /// [`with_state`](super::with_state).
    ///
    /// What all workers should read in the same memory goes into the argument as
    /// [`Bytes`](crate::Bytes), or as a handle of [shared memory](crate::shared).
    ///
    /// A worker whose initializer panics, or does not return in the time that
    /// [`start_timeout`](Builder::start_timeout) gives it, has not started. If three in
    /// a row have not (twenty, if the last was killed), and no other worker is there, the
    /// pool says why and is over.
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

    /// How long a worker may take to be ready: to exist, and for its initializer to
    /// return. One that takes longer is killed, and has not started. As long as it
    /// takes, unless set.
    pub fn start_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.limits.start_timeout = Some(timeout);
        self
    }

    /// Calls a function in each worker after its last task, with what the
    /// initializer made. It is not called in workers that are killed.
    pub fn finalizer<S: 'static>(mut self, function: fn(&mut S)) -> Builder {
        match process::finalizer(function) {
            Ok(task) => self.settings.finalizer = Some(task),
            Err(error) => self.error = Some(error),
        }
        self
    }

    /// Replaces each worker after so many tasks.
    #[doc(alias = "maxtasksperchild")]
    pub fn tasks_per_worker(mut self, tasks: u64) -> Builder {
        self.settings.limits.tasks_per_worker = Some(tasks);
        self
    }

    /// Replaces each worker that has more than so many bytes of resident memory
    /// after a task: for tasks that leak.
    pub fn recycle_above(mut self, bytes: u64) -> Builder {
        self.settings.limits.recycle_above = Some(bytes);
        self
    }

    /// Sets how many bytes of private writable memory a worker may have. A task that
    /// allocates more aborts its worker, and fails.
    pub fn memory_limit(mut self, bytes: u64) -> Builder {
        self.settings.limits.memory = Some(bytes);
        self
    }

    /// Niceness of the workers.
    pub fn niceness(mut self, niceness: i32) -> Builder {
        self.settings.niceness = Some(niceness);
        self
    }

    /// Binds each worker to one of these processors, in turn.
    #[doc(alias = "sched_setaffinity")]
    pub fn pin(mut self, cpus: impl IntoIterator<Item = usize>) -> Builder {
        self.settings.cpus = Some(cpus.into_iter().collect());
        self
    }

    /// Sets an environment variable of the workers. One that no process can have is an
    /// error of [`build`](Builder::build).
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        let pair = (key.as_ref().to_owned(), value.as_ref().to_owned());
        self.settings.environment.push(pair);
        self
    }

    /// Starts workers only when there is something for them to do.
    pub fn lazy(mut self) -> Builder {
        self.settings.is_lazy = true;
        self
    }

    /// Ends workers that have had nothing to do for so long; others are started when
    /// there is something to do again.
    pub fn idle_timeout(mut self, timeout: Duration) -> Builder {
        self.settings.idle_timeout = Some(timeout);
        self.settings.is_lazy = true;
        self
    }

    /// What becomes of what workers write to their standard error.
    pub fn stderr(mut self, stderr: Stderr) -> Builder {
        self.settings.stderr = stderr;
        self
    }

    /// Sets how deep pools may be nested (a worker makes a pool); 8 unless set.
    pub fn deepest(mut self, depth: u32) -> Builder {
        self.deepest = depth;
        self
    }
}
