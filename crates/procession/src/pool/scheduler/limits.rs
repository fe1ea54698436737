//! Calls that take too long, and what else becomes due.

use super::ids::{Id, WorkerId};
use super::timers::{after, earlier};
use super::{LiveWorker, Scheduler};
use crate::pool::worker::clock;
use crate::process::TaskError;
use crate::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// When to look again for a call that is to be ended and has not begun.
const SOON: Duration = Duration::from_millis(1);

/// How long after its time a call is ended that does not say that it runs.
const LENIENCE: Duration = Duration::from_secs(1);

impl Scheduler {
    /// Does what is due. The helper's thread looks again at the time that is returned.
    pub(in crate::pool) fn keep_time(&mut self, now: Instant) -> Option<Instant> {
        for chunk in self.timers.take_due(now) {
            self.enqueue(chunk);
        }
        self.dispatch();
        let next_deadline = self.end_overdue_runs(now);
        let mut next = earlier(self.timers.next_delayed(), next_deadline);
        for worker in self.ids() {
            next = earlier(next, self.enforce_limits(worker, now));
        }
        self.timers.looked(next);
        next
    }

    /// Keeps time where the helper has not.
    pub(in crate::pool) fn keep_time_if_late(&mut self) {
        if self.timers.is_late() {
            self.keep_time(Instant::now());
        }
    }

    /// Returns `true` once if something becomes due before the helper looks again.
    pub(in crate::pool) fn take_sooner(&mut self) -> bool {
        self.timers.take_sooner()
    }

    /// Gives notice to the call that a worker runs, or ends it; returns when to look again.
    pub(super) fn enforce_limits(&mut self, worker: WorkerId, now: Instant) -> Option<Instant> {
        let slot = &self.workers[worker.number()];
        if slot.live().is_none() || slot.is_killed() {
            return None;
        }
        let is_starting = slot.is_starting();
        if is_starting
            && let Some(limit) = self.limits.start_timeout
            && let Some((asked, _)) = slot.stats().since
            && let Some(due) = after(asked, limit)
        {
            if due > now {
                return Some(due);
            }
            let error = Error::new(ErrorKind::TimedOut, "starting worker", worker.number());
            let why = format!("its initializer did not return within {limit:?}");
            self.condemn(worker, TaskError::never_started(error.because(why)));
            return None;
        }
        let live = slot.live()?;
        let chunks = live.ledger().iter().filter_map(|sent| sent.chunk());
        let first = chunks.clone().next();
        let limits = chunks.filter_map(|chunk| {
            let policy = self.tasks.get(chunk)?.policy();
            earlier_limit(policy.timeout, policy.notice)
        });
        // Others may begin at any moment.
        let later = limits.min().and_then(|limit| after(now, limit.max(SOON)));
        let chunk = self.tasks.get(first?)?;
        let policy = chunk.policy();
        if policy.timeout.is_none() && policy.notice.is_none() && !chunk.is_cancelled() {
            return later;
        }
        let reason = match chunk.is_cancelled() {
            true => TaskError::cancelled(),
            false => TaskError::timed_out(),
        };
        let overdue = policy
            .timeout
            .map(|timeout| timeout.saturating_add(LENIENCE));
        let waited = now.saturating_duration_since(live.front_since());
        let is_overdue = !is_starting && overdue.is_some_and(|overdue| waited > overdue);
        let number = live.posting().standing().begun;
        let begun = number.saturating_sub(live.ledger().answered());
        let left = u64::from(chunk.left());
        if (is_overdue || begun > left) && live.ring().has_news() {
            // Perhaps it is over, and the next call is not meant: results come first.
            return Some(now + SOON);
        }
        let is_running = (1..=left).contains(&begun);
        let elapsed = live.elapsed_by_worker(clock());
        let is_late = |limit: Option<Duration>| is_running && limit.is_some_and(|it| elapsed >= it);
        if is_late(policy.timeout) && live.condemn(number) {
            self.condemn_call(worker, number, reason);
            return None;
        }
        if is_overdue {
            // It may be stopped, or what it writes be nonsense.
            let call = live.ledger().answered() + 1;
            self.condemn_call(worker, call, reason);
            return None;
        }
        if is_late(policy.timeout) || begun > left || begun == 0 && chunk.is_cancelled() {
            // It is over, or has not said that it runs.
            return Some(now + SOON);
        }
        if begun == 0 {
            return later;
        }
        if is_late(policy.notice) {
            live.posting().give_notice(number);
        }
        let notice = policy.notice.filter(|notice| elapsed < *notice);
        let limit = earlier_limit(policy.timeout, notice);
        let next = limit.and_then(|limit| after(now, limit.saturating_sub(elapsed)));
        earlier(next, later)
    }

    /// Kills a worker, so that the call that it runs fails for this reason. One that
    /// cannot be killed is lost, which costs its call the same and holds nobody up.
    pub(super) fn condemn(&mut self, worker: WorkerId, reason: TaskError) {
        self.has_lost |= !self.worker_mut(worker).kill(reason, None);
    }

    /// [`condemn`](Scheduler::condemn), for a reason that is only this call's, by its number.
    fn condemn_call(&mut self, worker: WorkerId, call: u64, reason: TaskError) {
        self.has_lost |= !self.worker_mut(worker).kill(reason, Some(call));
    }
}

fn earlier_limit(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    [one, other].into_iter().flatten().min()
}

impl LiveWorker {
    /// Returns how long the call has run that it is in, zero if it is in none; if it says
    /// when it begins calls.
    pub(super) fn running_for(&self) -> Duration {
        match self.begun() {
            0 => Duration::ZERO,
            _ => self.elapsed_by_worker(clock()),
        }
    }
}
