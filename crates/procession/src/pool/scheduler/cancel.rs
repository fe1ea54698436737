//! Chunks that are not wanted any more.

use super::Scheduler;
use super::ids::{ChunkId, Id, RunId};
use super::ledger::TakenBack;
use super::task_table::Place;
use crate::pool::TaskError;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// What becomes of the calls of a run that are under way when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Running {
    /// They are ended, with their workers.
    Killed,
    /// Their results are thrown away.
    Ignored,
}

fn cancelled() -> TaskError {
    TaskError::cancelled()
}

impl Scheduler {
    /// Ends a chunk, wherever it is. What runs of it is given notice, and ended when
    /// `grace` is over.
    pub(in crate::pool) fn cancel(&mut self, chunk: ChunkId, grace: Duration) {
        let Some(place) = self.tasks.get(chunk).map(super::task_table::Chunk::place) else {
            return;
        };
        let worker = match place {
            Place::Done => return,
            Place::Queued | Place::Delayed | Place::Judged => {
                self.queue.retain(|other| other != chunk);
                self.timers.forget(chunk);
                self.judged.forget(chunk);
                return self.fail_rest(chunk, &cancelled());
            }
            Place::Sent(worker) => worker,
        };
        let Some(live) = self.workers[worker.number()].live_mut() else {
            return;
        };
        match live.take_back(chunk) {
            TakenBack::Yes => return self.fail_rest(chunk, &cancelled()),
            TakenBack::Unknown => return,
            TakenBack::Begun => {}
        }
        // What it has begun is one call; the others of the chunk need not be killed.
        live.ask_for_rest_of(chunk);
        let elapsed = live.running_for();
        let now = Instant::now();
        let waited = now.saturating_duration_since(live.front_since());
        self.tasks.cancel(chunk);
        let policy = self.tasks.policy_mut(chunk);
        policy.notice = Some(Duration::ZERO);
        policy.timeout = Some(match grace.is_zero() {
            // However long it has run, it has its lenience from now on.
            true => elapsed.min(waited),
            false => elapsed.saturating_add(grace),
        });
        let next = self.enforce_limits(worker, now);
        self.timers.becomes_due(next);
    }

    /// [`cancel`](Scheduler::cancel) for a handle: a result that is here already stays.
    pub(in crate::pool) fn cancel_task(&mut self, chunk: ChunkId, grace: Duration) {
        // It may be over, and its result not have been taken in.
        if let Place::Sent(worker) = self.tasks[chunk].place() {
            self.collect_from(worker);
        }
        self.cancel(chunk, grace);
        self.dispatch();
    }

    /// Ends all that is left of a run: what runs is given notice, and ended when `grace` is
    /// over. Results that are here already stay.
    pub(in crate::pool) fn cancel_run(&mut self, run: RunId, grace: Duration) {
        for worker in self.ids() {
            self.collect_from(worker);
        }
        let chunks = self.tasks.chunks_of(run);
        self.fail_queued(&chunks);
        // A worker whose call ends for the notice would begin the next one.
        for chunk in &chunks {
            self.take_back_unbegun(*chunk);
        }
        for chunk in chunks {
            self.cancel(chunk, grace);
        }
        self.dispatch();
    }

    /// Cancels a chunk that a worker has and has not begun.
    fn take_back_unbegun(&mut self, chunk: ChunkId) {
        let place = self.tasks.get(chunk).map(super::task_table::Chunk::place);
        if let Some(Place::Sent(worker)) = place
            && let Some(live) = self.live_mut(worker)
            && live.take_back(chunk) == TakenBack::Yes
        {
            self.fail_rest(chunk, &cancelled());
        }
    }

    /// Ends the runs whose time is over; returns when to look again.
    pub(super) fn end_overdue_runs(&mut self, now: Instant) -> Option<Instant> {
        while let Some(run) = self.tasks.take_overdue(now) {
            self.cancel_run(run, Duration::ZERO);
        }
        self.tasks.next_deadline()
    }

    /// Cancels those of the chunks that wait for a worker, all at once: they may be many.
    fn fail_queued(&mut self, chunks: &[ChunkId]) {
        let queued = chunks.iter().copied();
        let queued = queued.filter(|chunk| self.tasks[*chunk].place() == Place::Queued);
        let queued: HashSet<ChunkId> = queued.collect();
        if queued.is_empty() {
            return;
        }
        self.queue.retain(|chunk| !queued.contains(&chunk));
        for chunk in chunks.iter().filter(|chunk| queued.contains(chunk)) {
            self.fail_rest(*chunk, &cancelled());
        }
    }

    /// Ends what no worker has begun of a run; of what runs nothing is wanted.
    pub(in crate::pool) fn end_run(&mut self, run: RunId, running: Running) {
        let chunks = self.tasks.chunks_of(run);
        chunks.iter().for_each(|chunk| self.tasks.disown(*chunk));
        self.fail_queued(&chunks);
        for chunk in chunks {
            if self.tasks.get(chunk).is_none() {
                continue;
            }
            match self.tasks[chunk].place() {
                Place::Sent(_) if running == Running::Ignored => self.withdraw(chunk),
                _ => self.cancel(chunk, Duration::ZERO),
            }
        }
        self.tasks.clear_run(run);
    }

    /// Takes back what a worker has not begun of a chunk.
    fn withdraw(&mut self, chunk: ChunkId) {
        self.tasks.cancel(chunk);
        let Place::Sent(worker) = self.tasks[chunk].place() else {
            return;
        };
        let Some(live) = self.live_mut(worker) else {
            return;
        };
        match live.take_back(chunk) {
            TakenBack::Yes => self.fail_rest(chunk, &cancelled()),
            TakenBack::Begun => live.ask_for_rest_of(chunk),
            TakenBack::Unknown => {}
        }
    }
}
