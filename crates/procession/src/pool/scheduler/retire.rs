//! A worker has ended: what becomes of what it had, and of the pool.

use super::ids::{ChunkId, WorkerId};
use super::retry::Retry;
use super::task_table::Place;
use super::worker_slot::WorkerSlot;
use super::{After, Phase, Scheduler};
use crate::pool::TaskError;
use crate::pool::worker_ring::Remains;
use crate::process::Signal;
use crate::{Error, ErrorKind};
use std::time::{Duration, Instant};

/// Starts in a row that may fail by themselves, and those that may be killed, before
/// the pool is given up.
const MOST_FAILED_STARTS: u32 = 3;
const MOST_KILLED_STARTS: u32 = 20;

/// How often a worker may die with a call before it has begun it.
const MOST_EARLY_DEATHS: u32 = 3;

impl Scheduler {
    /// Takes in that the process of a worker has ended, with `outcome`: the call that it was
    /// in fails or is tried again, the rest goes to others. Of a worker that is lost, all that
    /// it has taken fails: it may still do it.
    pub(in crate::pool) fn retire(
        &mut self,
        worker: WorkerId,
        outcome: Result<(), TaskError>,
        stderr_tail: &str,
    ) {
        // What it has written is there, whatever came then. Results that are only read now
        // were there before the call that it died in.
        let front_since = self.worker(worker).live().map(|live| live.front_since());
        self.collect_from(worker);
        if let (Some(live), Some(at)) = (self.live_mut(worker), front_since) {
            live.is_at_next_since(at);
        }
        if let Some((busy, task)) = self.running(worker, Instant::now()) {
            self.worker_mut(worker).stats_mut().worked(busy);
            self.slowest.note(task);
        }
        let Some(mut retired) = self.worker_mut(worker).retire() else {
            return;
        };
        self.update_rings();
        let has_left = outcome.is_ok();
        let failed = |failure: TaskError| {
            failure
                .in_process(retired.pid)
                .with_stderr(stderr_tail.to_owned(), self.limits.memory)
        };
        let loss = failed(outcome.err().unwrap_or_else(|| TaskError::exited(0)));
        let error = retired
            .condemned
            .take()
            .map_or_else(|| loss.clone(), failed);
        let told = retired.span.ended((!has_left).then_some(&error));
        self.afterwards.extend(told.map(After::Tell));
        let mut had = retired.had;
        if let Some(&chunk) = had.first() {
            let deaths = match retired.first {
                Remains::Taken if !has_left => self.tasks.count_early_death(chunk),
                _ => 0,
            };
            if retired.first == Remains::Begun || deaths >= MOST_EARLY_DEATHS {
                // Nobody has it, until it is known whether it is tried again.
                self.tasks.put(chunk, Place::Queued);
                self.fail_one(chunk, error.clone(), Retry::IfAsked);
                let is_tried_again =
                    self.tasks[chunk].count() == 1 && self.tasks[chunk].left() == 1;
                if self.tasks[chunk].left() == 0 {
                    self.complete(chunk);
                    had.remove(0);
                } else if is_tried_again {
                    had.remove(0);
                }
            }
        }
        let mut error_of_next = error.clone();
        for chunk in std::mem::take(&mut retired.kept) {
            self.fail_kept(chunk, error_of_next, &loss);
            error_of_next = loss.clone();
        }
        for chunk in had.into_iter().rev() {
            match &self.phase {
                Phase::Over(reason) => {
                    let reason = reason.clone();
                    self.fail_rest(chunk, &reason);
                }
                _ if self.tasks[chunk].is_cancelled() => {
                    let reason = TaskError::cancelled();
                    self.fail_rest(chunk, &reason);
                }
                _ => self.requeue(chunk),
            }
        }
        if !has_left {
            self.deaths += 1;
        }
        if !retired.was_ready && !has_left {
            self.start_failed(worker, error);
        }
        self.changes += 1;
        self.dispatch();
    }

    /// Fails all of a chunk that a lost worker may run: the next call with `error`, the others
    /// with `loss`. Each is tried again only if that was asked for.
    fn fail_kept(&mut self, chunk: ChunkId, error: TaskError, loss: &TaskError) {
        self.tasks.put(chunk, Place::Queued);
        self.fail_one(chunk, error, Retry::IfAsked);
        // One of a single argument that is tried again is with the timers, as a whole.
        while self.tasks[chunk].left() > 0 && self.tasks[chunk].count() > 1 {
            self.fail_one(chunk, loss.clone(), Retry::IfAsked);
        }
        if self.tasks[chunk].left() == 0 {
            self.complete(chunk);
        }
    }

    /// A worker could not be started, or ended before it was ready.
    pub(super) fn start_failed(&mut self, worker: WorkerId, error: TaskError) {
        self.failed_starts += 1;
        let was_killed = error.signal() == Some(Signal::KILL);
        let most = if was_killed {
            MOST_KILLED_STARTS
        } else {
            MOST_FAILED_STARTS
        };
        let others = self.workers.iter().any(WorkerSlot::is_ready);
        if self.failed_starts < most || others {
            let wait = Duration::from_millis(1 << self.failed_starts.min(10));
            self.worker_mut(worker).wait_until(Instant::now() + wait);
            return;
        }
        let why = Error::new(ErrorKind::ProcessDied, "starting workers of pool", "").because(
            format!("{most} starts in a row failed; the last error: {error}"),
        );
        self.end(TaskError::never_started(why));
    }

    /// Ends the pool: nothing is done any more, for a reason.
    pub(in crate::pool) fn end(&mut self, reason: TaskError) {
        if self.is_over() {
            return;
        }
        self.phase = Phase::Over(reason.clone());
        self.fail_all_waiting(&reason);
        for worker in self.ids() {
            self.condemn(worker, reason.clone().without_report());
        }
        self.changes += 1;
    }

    /// Returns the workers that should have been killed and cannot be, if there are new ones.
    pub(in crate::pool) fn take_lost(&mut self) -> Vec<WorkerId> {
        if !std::mem::take(&mut self.has_lost) {
            return Vec::new();
        }
        let lost = self.lives().filter(|(_, live)| live.is_lost());
        lost.map(|(worker, _)| worker).collect()
    }

    /// Forgets all workers of a pool that is over before it has a supervisor. Returns those
    /// that were killed.
    pub(in crate::pool) fn abandon_workers(&mut self) -> Vec<WorkerId> {
        let killed = self.lives().filter(|(_, live)| !live.is_lost());
        let killed = killed.map(|(worker, _)| worker).collect();
        for worker in &mut self.workers {
            let _ = worker.retire();
        }
        killed
    }

    /// Tells all workers to end when they have done what they have.
    pub(in crate::pool) fn dismiss_all(&mut self) {
        self.is_stopping = true;
        self.workers.iter_mut().for_each(WorkerSlot::dismiss);
    }
}

impl Scheduler {
    /// Returns `true` if some worker should have been killed and cannot be.
    pub(in crate::pool) fn has_lost(&self) -> bool {
        self.has_lost
    }
}
