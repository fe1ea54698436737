//! What a pool has done, and where the time went.

use std::fmt;
use std::time::{Duration, Instant};

/// How many of the slowest tasks are remembered.
const REMEMBERED: usize = 5;

/// What a pool has done so far; see [`Pool::stats`](super::Pool::stats).
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
    /// Each worker, its predecessors included.
    pub workers: Vec<WorkerStats>,
    /// Chunks of arguments that no worker has.
    pub queued: usize,
    /// Chunks of arguments that workers have.
    pub running: usize,
    /// Workers that ended without having been told to.
    pub deaths: u64,
    /// The slowest tasks, slowest first; among them those that run and have not ended,
    /// and those that were ended.
    pub slowest: Vec<SlowTask>,
}

/// A task that took long.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SlowTask {
    /// How long it took, or has taken so far.
    pub time: Duration,
    /// In which process.
    pub pid: u32,
    /// Place of its argument among those that were given, from zero; `None` for a
    /// single task.
    pub index: Option<u64>,
    /// Number of its function among those that the pool knows.
    pub function: usize,
}

/// What one worker has done.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// Tasks whose results are here.
    pub tasks: u64,
    /// Processes it has had.
    pub starts: u64,
    /// From being asked for to being ready, altogether.
    pub start_up: Duration,
    /// Time as a ready process.
    pub alive: Duration,
    pub(super) busy_nanoseconds: u64,
    pub(super) since: Option<(Instant, bool)>,
}

impl WorkerStats {
    /// Time in tasks, also in the one that runs and in those that were ended; of short
    /// single ones (below 2 µs) it is not counted.
    #[must_use]
    pub fn working(&self) -> Duration {
        Duration::from_nanos(self.busy_nanoseconds)
    }

    /// Time without a task.
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
    /// Tasks whose results are here.
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
