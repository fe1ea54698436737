//! What a pool has done, and how long it took.

use std::fmt;
use std::time::{Duration, Instant};

/// How many of the slowest tasks are remembered.
const REMEMBERED: usize = 5;

/// What a pool has done so far, from [`Pool::stats`](super::Pool::stats). `Display` makes a table.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// let pool = Pool::new(2)?;
/// pool.map(|x: u64| x + 1, 0..100)?;
/// let stats = pool.stats();
/// assert_eq!(stats.tasks(), 100);
/// assert_eq!((stats.workers.len(), stats.queued), (2, 0));
/// println!("{stats}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What each worker has done, including the processes that it replaced.
    pub workers: Vec<WorkerStats>,
    /// Number of tasks, or chunks of arguments, that no worker has.
    pub queued: usize,
    /// Number of tasks, or chunks of arguments, that workers have.
    pub running: usize,
    /// Number of worker processes that ended without having been told to.
    pub deaths: u64,
    /// The five slowest tasks, the slowest first, including tasks that still run and tasks whose
    /// workers were killed.
    pub slowest: Vec<SlowTask>,
}

/// A task that took long.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowTask {
    /// How long the task took, or has taken so far.
    pub time: Duration,
    /// The process of its worker.
    pub pid: u32,
    /// Index of its argument in the map, from zero; `None` for a single task.
    pub index: Option<u64>,
    /// Number of its function, which stays the same while the pool knows the function.
    pub function: usize,
}

/// What one worker has done.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process id, if it has a process.
    pub pid: Option<u32>,
    /// Number of tasks that have ended and whose results are here.
    pub tasks: u64,
    /// Number of processes that it has had.
    pub starts: u64,
    /// How long all its processes took until they were ready, in sum.
    pub start_up: Duration,
    /// How long all its processes have been ready, in sum.
    pub alive: Duration,
    pub(super) busy_nanoseconds: u64,
    pub(super) since: Option<(Instant, bool)>,
}

impl WorkerStats {
    /// Returns how long the worker has run tasks, including the task that runs now and tasks in
    /// which its processes were killed. Single tasks below 2 µs are not timed.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(1)?;
    /// pool.call(|ms| std::thread::sleep(Duration::from_millis(ms)), 5)?;
    /// let worker = &pool.join().workers[0];
    /// assert!(worker.working() >= Duration::from_millis(5));
    /// assert_eq!(worker.working() + worker.waiting(), worker.alive);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn working(&self) -> Duration {
        Duration::from_nanos(self.busy_nanoseconds)
    }

    /// Returns how long the worker was ready and ran no task.
    #[must_use]
    pub fn waiting(&self) -> Duration {
        self.alive.saturating_sub(self.working())
    }

    /// Adds time in tasks.
    pub(super) fn worked(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanoseconds = self.busy_nanoseconds.saturating_add(time);
    }

    pub(super) fn started(&mut self, pid: u32, at: Instant) {
        self.pid = Some(pid);
        self.starts += 1;
        self.since = Some((at, false));
    }

    pub(super) fn ready(&mut self) {
        if let Some((at, is_ready @ false)) = self.since {
            self.start_up += at.elapsed();
            self.since = Some((Instant::now(), !is_ready));
        }
    }

    pub(super) fn ended(&mut self) {
        self.pid = None;
        *self = self.now();
        self.since = None;
    }

    /// Up to this moment.
    pub(super) fn now(&self) -> WorkerStats {
        let mut stats = self.clone();
        if let Some((at, true)) = self.since {
            stats.alive += at.elapsed();
        }
        stats
    }
}

/// The slowest tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Slowest(Vec<SlowTask>);

impl Slowest {
    pub(super) fn note(&mut self, task: SlowTask) {
        let time = task.time;
        if self.0.len() == REMEMBERED && self.0.last().is_some_and(|last| last.time >= time) {
            return;
        }
        let place = self.0.partition_point(|task| task.time >= time);
        self.0.insert(place, task);
        self.0.truncate(REMEMBERED);
    }

    pub(super) fn into_list(self) -> Vec<SlowTask> {
        self.0
    }
}

impl Stats {
    /// Returns the number of tasks that have ended and whose results are here.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.workers.iter().map(|worker| worker.tasks).sum()
    }
}

impl fmt::Display for Stats {
    /// A table of the workers, and the slowest tasks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "worker      pid    tasks  starts    start-up     working     waiting"
        )?;
        for (number, worker) in self.workers.iter().enumerate() {
            let pid = worker.pid.map_or("-".to_owned(), |pid| pid.to_string());
            writeln!(
                f,
                "{number:>6} {pid:>8} {:>8} {:>7} {:>11.1?} {:>11.1?} {:>11.1?}",
                worker.tasks,
                worker.starts,
                worker.start_up,
                worker.working(),
                worker.waiting(),
            )?;
        }
        for task in &self.slowest {
            let SlowTask {
                time,
                pid,
                index,
                function,
            } = task;
            let which = index.map_or(String::new(), |index| format!(" {index}"));
            writeln!(
                f,
                "slowest: task{which}, {time:.1?} in process {pid} (function {function})"
            )?;
        }
        let (queued, running, deaths) = (self.queued, self.running, self.deaths);
        write!(f, "queued {queued}, running {running}, deaths {deaths}")
    }
}
