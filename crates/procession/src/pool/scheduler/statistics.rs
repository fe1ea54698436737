//! What the pool has done, as its users see it.

use super::ids::{Id, WorkerId};
use super::{Scheduler, WorkerSlot};
use crate::pool::stats::{SlowTask, Stats};
use crate::pool::worker::clock;
use std::time::{Duration, Instant};

impl Scheduler {
    /// Returns the call that a worker is in the midst of, for how long it has been, and how
    /// long the worker has been at what it was sent with it: a hang is work.
    pub(super) fn running(&self, worker: WorkerId, now: Instant) -> Option<(Duration, SlowTask)> {
        let slot = self.worker(worker);
        let live = slot.live()?;
        let sent = live.ledger().front()?;
        let chunk = self.tasks.get(sent.chunk()?)?;
        if live.begun() == 0 {
            return None;
        }
        let since = |at: Instant| now.saturating_duration_since(at);
        let busy = since(live.batch_since());
        // Where the worker says when it began, it is no longer than that, ...
        let mut time = since(live.front_since().max(live.batch_since()));
        if sent.is_exact {
            // ... and no longer than the worker has been there.
            let there = slot.stats().since.map_or(busy, |(at, _)| since(at));
            time = live.elapsed_by_worker(clock()).min(there);
        }
        let task = SlowTask {
            time,
            pid: live.pid(),
            index: chunk.index(),
            function: sent.job.number(),
        };
        Some((busy.max(time), task))
    }

    /// Returns what the pool has done so far.
    pub(in crate::pool) fn stats(&self) -> Stats {
        let now = Instant::now();
        let mut slowest = self.slowest.clone();
        let workers = self.ids().map(|worker| {
            let mut stats = self.worker(worker).stats().now();
            if let Some((busy, task)) = self.running(worker, now) {
                stats.worked(busy);
                slowest.note(task);
            }
            stats
        });
        let workers = workers.collect();
        Stats {
            workers,
            queued: self.queue.len() + self.timers.delayed() + self.judged.len(),
            running: self.lives().map(|(_, live)| live.ledger().len()).sum(),
            deaths: self.deaths,
            slowest: slowest.into_list(),
        }
    }

    /// Returns how many workers there are to be.
    pub(in crate::pool) fn size(&self) -> usize {
        let workers = self.workers.iter();
        workers.filter(|worker| !worker.is_surplus()).count()
    }

    /// Returns how many workers there are, with those that are too many.
    pub(in crate::pool) fn slots(&self) -> usize {
        self.workers.len()
    }

    /// Returns the process ids of the workers that live.
    pub(in crate::pool) fn pids(&self) -> Vec<u32> {
        self.lives().map(|(_, live)| live.pid()).collect()
    }

    /// Returns `true` if the pool has ended, and its processes too.
    pub(in crate::pool) fn is_gone(&self) -> bool {
        let is_over = match self.phase {
            super::Phase::Open => false,
            super::Phase::Closed => self.is_stopping,
            super::Phase::Over(_) => true,
        };
        let has_none = |worker: &WorkerSlot| worker.live().is_none();
        is_over && self.workers.iter().all(has_none)
    }
}
