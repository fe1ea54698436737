//! An argument has failed: whether it is tried again, and when.

use super::ids::ChunkId;
use super::judged::Ticket;
use super::task_table::{Apart, Place};
use super::{After, Scheduler, after};
use crate::pool::TaskError;
use crate::pool::trace;
use std::time::Instant;

/// If an argument that has failed may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// As often as was asked for.
    IfAsked,
    Never,
}

impl Scheduler {
    /// The next argument of a chunk has failed: it is answered with `error`, or put apart to
    /// be tried again.
    pub(super) fn fail_one(&mut self, chunk: ChunkId, error: TaskError, retry: Retry) {
        let failed = &self.tasks[chunk];
        let attempts = failed.attempts().saturating_add(1);
        let error = error.at(failed.index()).after(attempts);
        let policy = *failed.policy();
        let may_retry = retry == Retry::IfAsked
            && !self.is_over()
            && attempts <= policy.retries
            && !failed.is_cancelled();
        if !may_retry {
            self.tell_failure(&error, false);
            self.tasks.answer_failed(chunk, error);
            return;
        }
        let apart = self.tasks.set_apart(chunk, attempts);
        if let Apart::Own(own) = apart {
            self.jobs.retain(self.tasks[own].job());
        }
        match policy.retry_if {
            None => {
                self.tell_failure(&error, true);
                self.postpone(apart.chunk());
            }
            Some(retry_if) => self.have_judged(apart.chunk(), retry_if, error),
        }
    }

    /// Asks the user's code whether a failure is worth another attempt.
    fn have_judged(&mut self, chunk: ChunkId, retry_if: fn(&TaskError) -> bool, error: TaskError) {
        self.tasks.put(chunk, Place::Judged);
        let ticket = self.judged.add(chunk, error.clone());
        self.afterwards.push(After::Judge(ticket, retry_if, error));
    }

    /// The answer is here. It comes too late if the call was cancelled, or the pool has
    /// ended.
    pub(in crate::pool) fn take_verdict(&mut self, ticket: Ticket, is_retried: bool) {
        let Some((chunk, error)) = self.judged.take(ticket) else {
            return;
        };
        self.tell_failure(&error, is_retried);
        if is_retried {
            self.postpone(chunk);
            self.dispatch();
        } else {
            self.tasks.answer_failed(chunk, error);
            self.complete(chunk);
        }
        // Whoever waits for the pool's end waits for this as well.
        self.changes += 1;
    }

    fn tell_failure(&mut self, error: &TaskError, again: bool) {
        let told = trace::failed(error, again);
        self.afterwards.extend(told.map(After::Tell));
    }

    /// Queues a chunk when it is time for the next attempt.
    fn postpone(&mut self, chunk: ChunkId) {
        let doublings = self.tasks[chunk].attempts().saturating_sub(1).min(16);
        let wait = self.tasks[chunk]
            .policy()
            .backoff
            .saturating_mul(1 << doublings);
        if wait.is_zero() {
            self.enqueue(chunk);
        } else {
            self.tasks.put(chunk, Place::Delayed);
            self.timers.delay(chunk, after(Instant::now(), wait));
        }
    }

    /// Ends everything that no worker has, for a reason.
    pub(super) fn fail_all_waiting(&mut self, reason: &TaskError) {
        let queued = std::iter::from_fn(|| self.queue.pop_first());
        let mut waiting: Vec<ChunkId> = queued.collect();
        waiting.extend(self.timers.take_all());
        waiting.extend(self.judged.take_all());
        for chunk in waiting {
            self.fail_rest(chunk, reason);
        }
    }

    /// Fails all arguments of a chunk that are not done.
    pub(super) fn fail_rest(&mut self, chunk: ChunkId, reason: &TaskError) {
        while self.tasks[chunk].left() > 0 {
            self.fail_one(chunk, reason.clone(), Retry::Never);
        }
        self.complete(chunk);
    }
}
