//! What the pool has done, as its users see it.

use super::State;
use crate::pool::stats::{SlowTask, Stats};
use crate::pool::worker::clock;
use std::time::{Duration, Instant};

impl State {
    /// The call that a worker is in the midst of, for how long it has been, and how long
    /// the worker has been at what it was sent with it: a hang is work.
    pub(in crate::pool) fn running(
        &self,
        place: usize,
        now: Instant,
    ) -> Option<(Duration, SlowTask)> {
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
    pub(in crate::pool) fn stats(&self) -> Stats {
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
