//! What a pool has done, and where the time went.

use super::state::State;
use super::worker::clock;
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

impl State {
    /// The call that a worker is in the midst of, for how long it has been, and how long
    /// the worker has been at what it was sent with it: a hang is work.
    pub(super) fn running(&self, place: usize, now: Instant) -> Option<(Duration, SlowTask)> {
        let worker = &self.workers[place];
        let life = worker.life.as_ref()?;
        let sent = life.sent.front()?;
        let chunk = self.chunks.get(sent.chunk?)?;
        let standing = life.posting.standing();
        if standing.begun <= life.done {
            return None;
        }
        let since = |at: Instant| now.saturating_duration_since(at);
        let busy = since(life.batch_since);
        // Where the worker says when it began, it is no longer than that, ...
        let mut time = since(life.front_since.max(life.batch_since));
        if sent.is_exact {
            let said = Duration::from_nanos(clock().saturating_sub(standing.begun_at));
            // ... and no longer than the worker has been there.
            let there = worker.stats.since.map_or(busy, |(at, _)| since(at));
            time = said.min(there);
        }
        let task = SlowTask {
            time,
            pid: life.process.pid(),
            index: chunk.index(),
            function: sent.job,
        };
        Some((busy.max(time), task))
    }

    /// What the pool has done so far.
    pub(super) fn stats(&self) -> Stats {
        let now = Instant::now();
        let mut slowest = self.slowest.clone();
        let workers = self.workers.iter().enumerate().map(|(place, worker)| {
            let mut stats = worker.stats.now();
            if let Some((busy, task)) = self.running(place, now) {
                stats.worked(busy);
                slowest.note(task);
            }
            stats
        });
        let workers = workers.collect();
        let lives = self
            .workers
            .iter()
            .filter_map(|worker| worker.life.as_ref());
        Stats {
            workers,
            queued: self.queue.len() + self.delayed.len() + self.judged.len(),
            running: lives.map(|life| life.sent.len()).sum(),
            deaths: self.restarts,
            slowest: slowest.into_list(),
        }
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
