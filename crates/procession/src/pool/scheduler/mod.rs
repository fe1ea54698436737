//! What a pool knows, under one lock: its workers, what is to be done, what is
//! being done, what came of it.

pub(in crate::pool) mod chunk;
mod collect;
pub(in crate::pool) mod dispatch;
mod ready_queue;
mod retire;
mod retry;
mod runs;
mod staffing;
mod statistics;
pub(in crate::pool) mod timers;

use crate::codec::Encoded;
use crate::pool::TaskError;
use crate::pool::doorbell::Eagerness;
use crate::pool::stats::WorkerStats;
use crate::pool::supervisor::WorkerProcess;
use crate::pool::trace::WorkerSpan;
use crate::pool::worker_ring::{PoolSide, RingMemory};
use crate::process;
use crate::process::packet::Mailbox;
use chunk::{Arguments, Callback, Chunk, Owner, Piece, Place, Policy};
use ready_queue::ReadyQueue;
use retry::Judged;
use slab::Slab;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// What is known of a function that workers call.
#[derive(Debug)]
pub(in crate::pool) struct Job {
    pub(in crate::pool) key: Key,
    pub(in crate::pool) definition: Arc<Encoded>,
    /// What the task has captured, which keeps the key from being another's.
    pub(in crate::pool) captured: Option<Arc<dyn Any + Send + Sync>>,
    /// Who counts on it: chunks that are not done, and runs.
    pub(in crate::pool) users: usize,
    /// How long a call takes, in nanoseconds.
    pub(in crate::pool) estimate: Option<u64>,
}

/// What a pool has to know of a function to have workers call it.
pub(in crate::pool) struct Definition {
    pub(in crate::pool) encoded: Encoded,
    pub(in crate::pool) captured: Option<Arc<dyn Any + Send + Sync>>,
}

/// What tells functions apart: code for the types, and code of the function, or
/// captured values.
pub(in crate::pool) type Key = (usize, usize);

/// A call of one function for many arguments.
#[derive(Debug)]
pub(in crate::pool) struct Run {
    pub(in crate::pool) ready: VecDeque<Piece>,
    /// Who took its results last.
    pub(in crate::pool) user: ThreadId,
}

/// Code of others, which is not run under the lock.
pub(in crate::pool) enum After {
    Wake(Waker),
    Call(Callback, Piece),
    /// Ask whether a failure is worth another attempt, and come back with the answer and
    /// this ticket.
    Judge(u64, fn(&TaskError) -> bool, TaskError),
    /// The destructors of what a task has captured.
    Forget(Arc<dyn Any + Send + Sync>),
    /// Tell subscribers.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
    Tell(crate::pool::executor::UserCode),
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

/// How far a worker's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Stage {
    /// There is none, until this time or as long as it is not needed.
    Vacant(Option<Instant>),
    /// It is being started, or has not said that it is ready.
    Starting,
    Ready,
    /// It was told to stop.
    Leaving,
    /// It was killed.
    Killed,
}

/// Something that a worker was sent.
#[derive(Debug)]
pub(in crate::pool) struct Sent {
    /// Until all its results are here.
    pub(in crate::pool) chunk: Option<usize>,
    pub(in crate::pool) job: usize,
    /// Place of the first argument, if there are several.
    pub(in crate::pool) first: Option<u64>,
    /// In the ring.
    pub(in crate::pool) index: u64,
    pub(in crate::pool) count: u32,
    pub(in crate::pool) priority: i32,
    /// How long it is thought to take, in nanoseconds.
    pub(in crate::pool) cost: u64,
    /// The worker says when it begins each call.
    pub(in crate::pool) is_exact: bool,
    /// It will be told how it went.
    pub(in crate::pool) has_end: bool,
    pub(in crate::pool) is_rest_wanted: bool,
}

#[derive(Debug)]
pub(in crate::pool) struct Worker {
    pub(in crate::pool) stage: Stage,
    pub(in crate::pool) life: Option<Life>,
    /// It is one too many.
    pub(in crate::pool) is_superfluous: bool,
    pub(in crate::pool) stats: WorkerStats,
}

impl Worker {
    pub(in crate::pool) fn vacant() -> Worker {
        Worker {
            stage: Stage::Vacant(None),
            life: None,
            is_superfluous: false,
            stats: WorkerStats::default(),
        }
    }
}

/// A worker that has a process.
#[derive(Debug)]
pub(in crate::pool) struct Life {
    pub(in crate::pool) process: Arc<WorkerProcess>,
    pub(in crate::pool) posting: PoolSide,
    pub(in crate::pool) mail: Mailbox,
    pub(in crate::pool) sent: VecDeque<Sent>,
    pub(in crate::pool) load: u64,
    pub(in crate::pool) inbox: Vec<u8>,
    /// Which jobs it knows.
    pub(in crate::pool) known: Vec<bool>,
    /// Calls that were sent to it, and whose results are here.
    pub(in crate::pool) assigned: u64,
    pub(in crate::pool) done: u64,
    /// It was to be killed, and cannot be: its end is not waited for.
    pub(in crate::pool) is_lost: bool,
    /// Why the call that it ran is not wanted any more, and which one that is, if only one
    /// is meant.
    pub(in crate::pool) condemned: Option<(process::TaskError, Option<u64>)>,
    /// The memory that it shares with us makes no sense: nothing more is read from it.
    pub(in crate::pool) is_spoilt: bool,
    /// Records that were read from it, as far as their numbers tell them apart.
    pub(in crate::pool) records: u32,
    pub(in crate::pool) is_full: bool,
    pub(in crate::pool) is_dirty: bool,
    pub(in crate::pool) idle_since: Option<Instant>,
    /// Since when what it has to do first is the same; by our own clock, whatever it
    /// writes.
    pub(in crate::pool) front_since: Instant,
    /// Since when it has been at the first of what it was sent.
    pub(in crate::pool) batch_since: Instant,
    pub(in crate::pool) span: WorkerSpan,
}

impl Life {
    pub(in crate::pool) fn has_nothing(&self) -> bool {
        self.sent.is_empty()
    }

    /// What it was sent first is done; it is at the next.
    pub(in crate::pool) fn pop_front(&mut self) -> Option<Sent> {
        let sent = self.sent.pop_front()?;
        self.load = self.load.saturating_sub(sent.cost);
        self.batch_since = Instant::now();
        Some(sent)
    }
}

pub(in crate::pool) struct State {
    pub(in crate::pool) phase: Phase,
    pub(in crate::pool) workers: Vec<Worker>,
    /// The rings of those that live, for threads that look without the lock.
    pub(in crate::pool) rings: Arc<Vec<Arc<RingMemory>>>,
    pub(in crate::pool) queue: ReadyQueue,
    /// Some worker [is lost](Life::is_lost).
    pub(in crate::pool) has_lost: bool,
    /// Not all chunks had the same priority so far.
    pub(in crate::pool) has_priorities: bool,
    /// Chunks that wait for their time, which may never come.
    pub(in crate::pool) delayed: Vec<(Option<Instant>, usize)>,
    /// Failures that code of others is to judge.
    pub(in crate::pool) judged: Judged,
    pub(in crate::pool) chunks: Slab<Chunk>,
    pub(in crate::pool) jobs: Slab<Job>,
    pub(in crate::pool) keys: HashMap<Key, usize>,
    pub(in crate::pool) runs: Slab<Run>,
    /// Chunks that may be tried again, whether somebody waits for them or not.
    pub(in crate::pool) retriable: usize,
    /// Handles that somebody else than a waiting thread is to be told of.
    pub(in crate::pool) watched: usize,
    /// What is to be done without the lock, because it is code of others.
    pub(in crate::pool) afterwards: Vec<After>,
    /// Starts in a row that failed.
    pub(in crate::pool) failed_starts: u32,
    /// Threads that take results in by themselves, all the time.
    pub(in crate::pool) drivers: usize,
    /// How deep the helper sleeps.
    pub(in crate::pool) helper: Eagerness,
    /// When the helper means to look again, and when something becomes due that it
    /// does not know of.
    pub(in crate::pool) next_look: Option<Instant>,
    pub(in crate::pool) first_due: Option<Instant>,
    /// Counts what was finished, for those who wait.
    pub(in crate::pool) finished: u64,
    pub(in crate::pool) limits: Limits,
    pub(in crate::pool) slowest: crate::pool::stats::Slowest,
    pub(in crate::pool) restarts: u64,
    /// Stop was posted to all.
    pub(in crate::pool) is_stopping: bool,
    /// The thread that waits for the pool's end: it takes no more results of its own
    /// runs.
    pub(in crate::pool) joiner: Option<ThreadId>,
}

/// What is asked of workers.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pool) struct Limits {
    pub(in crate::pool) tasks_per_worker: Option<u64>,
    pub(in crate::pool) recycle_above: Option<u64>,
    pub(in crate::pool) memory: Option<u64>,
    pub(in crate::pool) start_timeout: Option<Duration>,
}

impl State {
    pub(in crate::pool) fn new(workers: usize, limits: Limits) -> State {
        State {
            phase: Phase::Open,
            workers: (0..workers).map(|_| Worker::vacant()).collect(),
            rings: Arc::default(),
            queue: ReadyQueue::default(),
            has_lost: false,
            has_priorities: false,
            delayed: Vec::new(),
            judged: Judged::default(),
            chunks: Slab::new(),
            jobs: Slab::new(),
            keys: HashMap::new(),
            runs: Slab::new(),
            retriable: 0,
            watched: 0,
            afterwards: Vec::new(),
            failed_starts: 0,
            drivers: 0,
            helper: Eagerness::Eager,
            next_look: None,
            first_due: None,
            finished: 0,
            limits,
            slowest: crate::pool::stats::Slowest::default(),
            restarts: 0,
            is_stopping: false,
            joiner: None,
        }
    }

    /// Adds what is to be done.
    pub(in crate::pool) fn add(
        &mut self,
        job: usize,
        owner: Owner,
        policy: Policy,
        arguments: Arguments,
        (first, count): (u64, u32),
    ) -> usize {
        let chunk = self.insert(job, owner, policy, arguments, (first, count));
        self.queue.push_back(policy.priority, chunk);
        chunk
    }

    /// Adds what is to be done and is not in the queue yet.
    pub(in crate::pool) fn insert(
        &mut self,
        job: usize,
        owner: Owner,
        policy: Policy,
        arguments: Arguments,
        (first, count): (u64, u32),
    ) -> usize {
        self.jobs[job].users += 1;
        self.retriable += usize::from(policy.retries > 0);
        self.has_priorities |= policy.priority != 0;
        self.chunks.insert(Chunk {
            job,
            owner,
            place: Place::Queued,
            policy,
            arguments,
            first,
            count,
            done: 0,
            attempts: 0,
            early_deaths: 0,
            cancelled: false,
            result: None,
            waker: None,
            callback: None,
        })
    }

    /// Learns a function; its job.
    pub(in crate::pool) fn learn(&mut self, key: Key, definition: Definition) -> usize {
        let job = self.jobs.insert(Job {
            key,
            definition: Arc::new(definition.encoded),
            captured: definition.captured,
            users: 0,
            estimate: None,
        });
        self.keys.insert(key, job);
        job
    }

    /// One user less; a job of captured values goes with its last.
    pub(in crate::pool) fn release_job(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        job.users -= 1;
        if job.users > 0 {
            return;
        }
        let Some(captured) = job.captured.take() else {
            return;
        };
        self.afterwards.push(After::Forget(captured));
        self.keys.remove(&job.key);
        self.jobs.remove(number);
        for worker in &mut self.workers {
            if let Some(life) = &mut worker.life
                && life.known.get_mut(number).is_some_and(std::mem::take)
            {
                let forget = crate::pool::worker_ring::Post::new(
                    crate::pool::worker_ring::Order::Forget,
                    number as u32,
                );
                // If there is no room, it learns something else under this number,
                // before it is asked to call it.
                let _ = life.posting.post(forget, &[]);
            }
        }
    }

    /// Gives a result to whom it belongs.
    pub(in crate::pool) fn deliver(&mut self, number: usize, piece: Piece) {
        self.finished += 1;
        let chunk = &mut self.chunks[number];
        match chunk.owner {
            Owner::Nobody => {}
            Owner::Handle => {
                if let Some(waker) = chunk.waker.take() {
                    self.watched -= 1;
                    self.afterwards.push(After::Wake(waker));
                }
                match chunk.callback.take() {
                    Some(callback) => {
                        self.watched -= 1;
                        chunk.owner = Owner::Nobody;
                        self.afterwards.push(After::Call(callback, piece));
                    }
                    None => chunk.result = Some(piece),
                }
            }
            Owner::Run(run) => {
                // The run may be over.
                if let Some(run) = self.runs.get_mut(run) {
                    run.ready.push_back(piece);
                }
            }
        }
    }

    /// All results of a chunk were delivered.
    pub(in crate::pool) fn complete(&mut self, number: usize) {
        let chunk = &mut self.chunks[number];
        chunk.place = Place::Done;
        self.retriable -= usize::from(chunk.policy.retries > 0);
        let job = chunk.job;
        // What it held is not needed any more.
        chunk.arguments = Arguments::Records(Arc::default(), 0);
        if chunk.owner != Owner::Handle {
            self.chunks.remove(number);
        }
        self.release_job(job);
    }

    /// Whether nothing is to be done.
    pub(in crate::pool) fn is_idle(&self) -> bool {
        let has_nothing = |worker: &Worker| worker.life.as_ref().is_none_or(Life::has_nothing);
        self.queue.is_empty()
            && self.delayed.is_empty()
            && self.judged.is_empty()
            && self.workers.iter().all(has_nothing)
    }

    pub(in crate::pool) fn update_rings(&mut self) {
        let lives = self
            .workers
            .iter()
            .filter_map(|worker| worker.life.as_ref());
        self.rings = Arc::new(
            lives
                .map(|life| Arc::clone(life.posting.memory()))
                .collect(),
        );
    }
}

/// The point in time `wait` after `start`; `None` if it is too far away to be one.
pub(in crate::pool) fn after(start: Instant, wait: Duration) -> Option<Instant> {
    start.checked_add(wait)
}
