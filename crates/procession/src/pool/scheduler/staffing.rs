//! Which workers are to be started, and which are to end because they are too many or idle.

use super::ids::{Id, WorkerId};
use super::timers::{after, earlier};
use super::worker_slot::WorkerSlot;
use super::{After, LiveWorker, Phase, Scheduler};
use crate::pool::TaskError;
use std::time::{Duration, Instant};

impl Scheduler {
    /// Sets how many workers there are to be.
    pub(in crate::pool) fn resize(&mut self, workers: usize) {
        for (at, worker) in self.workers.iter_mut().enumerate() {
            worker.set_surplus(at >= workers);
        }
        let missing = workers.saturating_sub(self.workers.len());
        self.workers.extend((0..missing).map(|_| WorkerSlot::new()));
    }

    /// Returns a worker whose process the caller is to make, and nobody else; if one is
    /// wanted now.
    pub(in crate::pool) fn take_wanted(&mut self, now: Instant, is_lazy: bool) -> Option<WorkerId> {
        let worker = self.next_wanted(now, is_lazy)?;
        self.worker_mut(worker).request();
        Some(worker)
    }

    fn next_wanted(&self, now: Instant, is_lazy: bool) -> Option<WorkerId> {
        let is_needed = match self.phase {
            Phase::Over(_) => false,
            Phase::Closed => !self.queue.is_empty() || self.timers.has_delayed(),
            Phase::Open => !is_lazy || !self.queue.is_empty(),
        };
        if !is_needed {
            return None;
        }
        let starting = self.workers.iter().filter(|worker| worker.is_starting());
        if (is_lazy || !matches!(self.phase, Phase::Open))
            && starting.count() >= self.queue.len().max(1)
        {
            return None;
        }
        let mut workers = self.workers.iter();
        workers
            .position(|worker| worker.may_start(now))
            .map(WorkerId::new)
    }

    /// Returns `true` if there is work for a worker that is not there, and can be started
    /// now.
    pub(in crate::pool) fn wants_workers(&self, is_lazy: bool) -> bool {
        !self.queue.is_empty()
            && self.workers.iter().any(WorkerSlot::is_gone)
            && self.next_wanted(Instant::now(), is_lazy).is_some()
    }

    /// Takes in that the process of a worker was made, as `asked` for.
    pub(in crate::pool) fn started(
        &mut self,
        worker: WorkerId,
        mut live: LiveWorker,
        asked: Instant,
        pool: &str,
    ) {
        let pid = live.pid();
        let told = live.span().begun(pool, worker.number(), pid);
        self.afterwards.extend(told.map(After::Tell));
        self.worker_mut(worker).started(live, asked);
        if let Phase::Over(reason) = &self.phase {
            let reason = reason.clone().without_report();
            self.condemn(worker, reason);
        }
        if self.is_stopping {
            // The others were told to stop while it was being made.
            self.worker_mut(worker).dismiss();
        }
        self.update_rings();
        self.changes += 1;
        let limit = self.limits.start_timeout;
        self.timers
            .becomes_due(limit.and_then(|limit| after(asked, limit)));
        self.dispatch();
    }

    /// Takes in that the process of a worker could not be made.
    pub(in crate::pool) fn never_started(&mut self, worker: WorkerId, error: crate::Error) {
        self.start_failed(worker, TaskError::never_started(error));
    }

    /// Lets workers end that are too many, or idle for too long; returns when to look again.
    pub(in crate::pool) fn dismiss_idle(
        &mut self,
        now: Instant,
        idle_timeout: Option<Duration>,
    ) -> Option<Instant> {
        if idle_timeout.is_some() {
            // Whoever took the last result may have left the end of its batch unread, and a worker with
            // something to be read is not idle.
            self.collect();
        }
        let mut next = None;
        for worker in &mut self.workers {
            // Whoever wants it later, when its time is past, tells the supervisor.
            next = earlier(next, worker.may_start_at(now));
            let Some(live) = worker.live_mut() else {
                continue;
            };
            let idle_since = live.idle_since(now);
            let until = idle_timeout.and_then(|timeout| after(idle_since, timeout));
            let is_idle = until.is_some_and(|until| until <= now);
            if worker.is_surplus() || is_idle {
                worker.dismiss();
            } else {
                next = earlier(next, until);
            }
        }
        while let Some(last) = self.workers.last()
            && last.is_surplus()
            && last.is_gone()
        {
            self.workers.pop();
        }
        next
    }
}
