//! What a pool knows, under one lock: its workers, what is to be done, what is being
//! done, what came of it; and the policy, which decides which worker does what.
//!
//! [`TaskTable`] has each argument until it is answered, [`WorkerSlot`] each worker and
//! what it has in flight. [`Scheduler`] moves chunks between the queue, the workers and
//! the timers, a file for each occasion.

pub(in crate::pool) mod chunk;
pub(in crate::pool) mod ids;
pub(in crate::pool) mod task_table;

pub(in crate::pool) mod cancel;
mod collect;
mod dispatch;
mod jobs;
mod judged;
mod ledger;
mod limits;
mod live_worker;
mod ready_queue;
mod retire;
mod retry;
mod runs;
mod staffing;
mod statistics;
#[cfg(test)]
mod tests;
mod timers;
mod wakefulness;
mod worker_slot;

pub(in crate::pool) use dispatch::{AHEAD, AHEAD_IN_BULK};
pub(in crate::pool) use jobs::{Definition, Job, Jobs, Key};
pub(in crate::pool) use judged::Ticket;
pub(in crate::pool) use live_worker::{LiveWorker, Process};
pub(in crate::pool) use timers::after;

use super::TaskError;
use super::doorbell::Eagerness;
use super::executor::UserCode;
use super::stats::Slowest;
use super::worker_ring::RingMemory;
use chunk::{Arguments, Policy};
use ids::{ChunkId, Id, JobId, WorkerId};
use jobs::Captured;
use judged::Judged;
use ready_queue::ReadyQueue;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;
use task_table::{Notify, Owner, Place, Span, TaskTable};
use timers::Timers;
use worker_slot::WorkerSlot;

/// The user's code, which does not run under the lock.
pub(in crate::pool) enum After {
    /// Ask whether a failure is worth another attempt, and come back with the answer and
    /// this ticket.
    Judge(Ticket, fn(&TaskError) -> bool, TaskError),
    /// The destructors of what a task has captured.
    Forget(Captured),
    /// Tell subscribers.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
    Tell(UserCode),
}

/// How far the pool's life has come.
#[derive(Clone, Debug)]
pub(in crate::pool) enum Phase {
    Open,
    /// What there is to be done is done; nothing is added.
    Closed,
    /// Nothing is done any more, for this reason.
    Over(TaskError),
}

/// What is asked of workers.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Limits {
    pub(in crate::pool) tasks_per_worker: Option<u64>,
    pub(in crate::pool) recycle_above: Option<u64>,
    pub(in crate::pool) memory: Option<u64>,
    pub(in crate::pool) start_timeout: Option<Duration>,
}

/// Everything that a pool knows.
///
/// A chunk is in one place, and [its entry](Place) says in which: in `queue`, with the
/// `timers`, `judged`, or in the ledger of one worker.
pub(in crate::pool) struct Scheduler {
    phase: Phase,
    workers: Vec<WorkerSlot>,
    /// The rings of those that live, for threads that look without the lock.
    rings: Arc<Vec<Arc<RingMemory>>>,
    tasks: TaskTable,
    jobs: Jobs,
    queue: ReadyQueue,
    timers: Timers,
    judged: Judged,
    limits: Limits,
    /// Some worker is lost: it should have been killed and cannot be.
    has_lost: bool,
    /// Not all chunks had the same priority so far.
    has_priorities: bool,
    /// What is to be done without the lock.
    afterwards: Vec<After>,
    /// Starts in a row that failed.
    failed_starts: u32,
    /// Threads that take results in by themselves, all the time.
    drivers: usize,
    /// How deep the helper sleeps.
    helper: Eagerness,
    /// Counts what has changed for threads that wait, beside answers.
    changes: u64,
    slowest: Slowest,
    deaths: u64,
    /// Stop was posted to all.
    is_stopping: bool,
    /// The thread that waits for the pool's end: it takes no more results of its own
    /// runs.
    joiner: Option<ThreadId>,
}

impl Scheduler {
    pub(in crate::pool) fn new(workers: usize, limits: Limits) -> Scheduler {
        Scheduler {
            phase: Phase::Open,
            workers: (0..workers).map(|_| WorkerSlot::new()).collect(),
            rings: Arc::default(),
            tasks: TaskTable::default(),
            jobs: Jobs::default(),
            queue: ReadyQueue::default(),
            timers: Timers::default(),
            judged: Judged::default(),
            limits,
            has_lost: false,
            has_priorities: false,
            afterwards: Vec::new(),
            failed_starts: 0,
            drivers: 0,
            helper: Eagerness::Eager,
            changes: 0,
            slowest: Slowest::default(),
            deaths: 0,
            is_stopping: false,
            joiner: None,
        }
    }

    pub(in crate::pool) fn phase(&self) -> &Phase {
        &self.phase
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(in crate::pool) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    pub(in crate::pool) fn tasks(&self) -> &TaskTable {
        &self.tasks
    }

    pub(in crate::pool) fn tasks_mut(&mut self) -> &mut TaskTable {
        &mut self.tasks
    }

    pub(in crate::pool) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    pub(in crate::pool) fn jobs_mut(&mut self) -> &mut Jobs {
        &mut self.jobs
    }

    pub(in crate::pool) fn rings(&self) -> &Arc<Vec<Arc<RingMemory>>> {
        &self.rings
    }

    /// Returns how many chunks no worker has that could be sent.
    pub(in crate::pool) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns a number that is another one whenever something has changed that somebody
    /// may wait for.
    pub(in crate::pool) fn finished(&self) -> u64 {
        self.changes + self.tasks.answers()
    }

    /// Takes the user's code that is to be run without the lock.
    pub(in crate::pool) fn take_afterwards(&mut self) -> (Vec<Notify>, Vec<After>) {
        let notifications = self.tasks.take_notifications();
        (notifications, std::mem::take(&mut self.afterwards))
    }

    /// Sets the thread that waits for the pool's end.
    pub(in crate::pool) fn set_joiner(&mut self, joiner: Option<ThreadId>) {
        self.joiner = joiner;
    }

    /// Takes nothing more.
    pub(in crate::pool) fn close(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Closed;
        }
    }

    /// Adds what is to be done.
    pub(in crate::pool) fn add(
        &mut self,
        job: JobId,
        owner: Owner,
        policy: Policy,
        arguments: Arguments,
        span: Span,
    ) -> ChunkId {
        self.jobs.retain(job);
        self.has_priorities |= policy.priority != 0;
        let chunk = self.tasks.insert(job, owner, policy, arguments, span);
        self.queue.push_back(policy.priority, chunk);
        chunk
    }

    /// Takes in that all of a chunk is done.
    fn complete(&mut self, chunk: ChunkId) {
        let job = self.tasks.complete(chunk);
        self.release_job(job);
    }

    /// Removes a user of a job; one of captured values goes with its last.
    fn release_job(&mut self, job: JobId) {
        let Some(captured) = self.jobs.release(job) else {
            return;
        };
        self.afterwards.push(After::Forget(captured));
        for live in self.workers.iter_mut().filter_map(WorkerSlot::live_mut) {
            live.forget(job);
        }
    }

    /// Puts a chunk behind all others of its priority.
    fn enqueue(&mut self, chunk: ChunkId) {
        self.tasks.put(chunk, Place::Queued);
        self.queue
            .push_back(self.tasks[chunk].policy().priority, chunk);
    }

    /// Puts the rest of a chunk first in the queue; where the pool has ended, nobody would
    /// ever take it from there, and it has failed.
    fn requeue(&mut self, chunk: ChunkId) {
        if let Phase::Over(reason) = &self.phase {
            let reason = reason.clone();
            return self.fail_rest(chunk, &reason);
        }
        self.tasks.rebase(chunk);
        self.tasks.put(chunk, Place::Queued);
        self.queue
            .push_front(self.tasks[chunk].policy().priority, chunk);
    }

    /// Returns `true` if nothing is to be done.
    pub(in crate::pool) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && !self.timers.has_delayed()
            && self.judged.is_empty()
            && self.lives().all(|(_, live)| live.has_nothing())
    }

    fn worker(&self, worker: WorkerId) -> &WorkerSlot {
        &self.workers[worker.number()]
    }

    fn worker_mut(&mut self, worker: WorkerId) -> &mut WorkerSlot {
        &mut self.workers[worker.number()]
    }

    fn live_mut(&mut self, worker: WorkerId) -> Option<&mut LiveWorker> {
        self.workers[worker.number()].live_mut()
    }

    fn ids(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.workers.len()).map(WorkerId::new)
    }

    /// The workers that have a process.
    fn lives(&self) -> impl Iterator<Item = (WorkerId, &LiveWorker)> + Clone {
        let workers = self.workers.iter().enumerate();
        workers.filter_map(|(at, worker)| Some((WorkerId::new(at), worker.live()?)))
    }

    fn update_rings(&mut self) {
        let rings = self.lives().map(|(_, live)| Arc::clone(live.ring()));
        self.rings = Arc::new(rings.collect());
    }
}
