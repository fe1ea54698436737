//! What a pool knows, under one lock: its workers, what is to be done, what is
//! being done, what came of it.

use super::TaskError;
use super::bell::Eagerness;
use super::chunk::{Arguments, Callback, Chunk, Owner, Piece, Place, Policy};
use super::fate::Judged;
use super::line::{Line, Posting};
use super::process::Process;
use super::queue::Queue;
use super::stats::WorkerStats;
use super::trace::WorkerSpan;
use crate::codec::Encoded;
use crate::process::packet::Mailbox;
use crate::process::{self};
use slab::Slab;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// What is known of a function that workers call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) definition: Arc<Encoded>,
    /// What the task has captured, which keeps the key from being another's.
    pub(super) captured: Option<Arc<dyn Any + Send + Sync>>,
    /// Who counts on it: chunks that are not done, and runs.
    pub(super) users: usize,
    /// How long a call takes, in nanoseconds.
    pub(super) estimate: Option<u64>,
}

/// What a pool has to know of a function to have workers call it.
pub(super) struct Definition {
    pub(super) encoded: Encoded,
    pub(super) captured: Option<Arc<dyn Any + Send + Sync>>,
}

/// What tells functions apart: code for the types, and code of the function, or
/// captured values.
pub(super) type Key = (usize, usize);

/// A call of one function for many arguments.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ready: VecDeque<Piece>,
    /// Who took its results last.
    pub(super) user: ThreadId,
}

/// Code of others, which is not run under the lock.
pub(super) enum After {
    Wake(Waker),
    Call(Callback, Piece),
    /// Ask whether a failure is worth another attempt, and come back with the answer and
    /// this ticket.
    Judge(u64, fn(&TaskError) -> bool, TaskError),
    /// The destructors of what a task has captured.
    Forget(Arc<dyn Any + Send + Sync>),
    /// Tell subscribers.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code, reason = "nobody is told"))]
    Tell(super::errands::Errand),
}

/// How far the pool's life has come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Open,
    /// What there is to be done is done; nothing is added.
    Closed,
    /// Nothing is done any more, for this reason.
    Over(TaskError),
}

/// How far a worker's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
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
pub(super) struct Sent {
    /// Until all its results are here.
    pub(super) chunk: Option<usize>,
    pub(super) job: usize,
    /// Place of the first argument, if there are several.
    pub(super) first: Option<u64>,
    /// In the line.
    pub(super) index: u64,
    pub(super) count: u32,
    pub(super) priority: i32,
    /// How long it is thought to take, in nanoseconds.
    pub(super) cost: u64,
    /// The worker says when it begins each call.
    pub(super) is_exact: bool,
    /// It will be told how it went.
    pub(super) has_end: bool,
    pub(super) is_rest_wanted: bool,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) stage: Stage,
    pub(super) life: Option<Life>,
    /// It is one too many.
    pub(super) is_superfluous: bool,
    pub(super) stats: WorkerStats,
}

impl Worker {
    pub(super) fn vacant() -> Worker {
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
pub(super) struct Life {
    pub(super) process: Arc<Process>,
    pub(super) posting: Posting,
    pub(super) mail: Mailbox,
    pub(super) sent: VecDeque<Sent>,
    pub(super) load: u64,
    pub(super) inbox: Vec<u8>,
    /// Which jobs it knows.
    pub(super) known: Vec<bool>,
    /// Calls that were sent to it, and whose results are here.
    pub(super) assigned: u64,
    pub(super) done: u64,
    /// It was to be killed, and cannot be: its end is not waited for.
    pub(super) is_lost: bool,
    /// Why the call that it ran is not wanted any more, and which one that is, if only one
    /// is meant.
    pub(super) condemned: Option<(process::TaskError, Option<u64>)>,
    /// The memory that it shares with us makes no sense: nothing more is read from it.
    pub(super) is_spoilt: bool,
    /// Records that were read from it, as far as their numbers tell them apart.
    pub(super) records: u32,
    pub(super) is_full: bool,
    pub(super) is_dirty: bool,
    pub(super) idle_since: Option<Instant>,
    /// Since when what it has to do first is the same; by our own clock, whatever it
    /// writes.
    pub(super) front_since: Instant,
    /// Since when it has been at the first of what it was sent.
    pub(super) batch_since: Instant,
    pub(super) span: WorkerSpan,
}

impl Life {
    pub(super) fn has_nothing(&self) -> bool {
        self.sent.is_empty()
    }

    /// What it was sent first is done; it is at the next.
    pub(super) fn pop_front(&mut self) -> Option<Sent> {
        let sent = self.sent.pop_front()?;
        self.load = self.load.saturating_sub(sent.cost);
        self.batch_since = Instant::now();
        Some(sent)
    }
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) workers: Vec<Worker>,
    /// The lines of those that live, for threads that look without the lock.
    pub(super) lines: Arc<Vec<Arc<Line>>>,
    pub(super) queue: Queue,
    /// Some worker [is lost](Life::is_lost).
    pub(super) has_lost: bool,
    /// Not all chunks had the same priority so far.
    pub(super) has_priorities: bool,
    /// Chunks that wait for their time, which may never come.
    pub(super) delayed: Vec<(Option<Instant>, usize)>,
    /// Failures that code of others is to judge.
    pub(super) judged: Judged,
    pub(super) chunks: Slab<Chunk>,
    pub(super) jobs: Slab<Job>,
    pub(super) keys: HashMap<Key, usize>,
    pub(super) runs: Slab<Run>,
    /// Chunks that may be tried again, whether somebody waits for them or not.
    pub(super) retriable: usize,
    /// Handles that somebody else than a waiting thread is to be told of.
    pub(super) watched: usize,
    /// What is to be done without the lock, because it is code of others.
    pub(super) afterwards: Vec<After>,
    /// Starts in a row that failed.
    pub(super) failed_starts: u32,
    /// Threads that take results in by themselves, all the time.
    pub(super) drivers: usize,
    /// How deep the helper sleeps.
    pub(super) helper: Eagerness,
    /// When the helper means to look again, and when something becomes due that it
    /// does not know of.
    pub(super) next_look: Option<Instant>,
    pub(super) first_due: Option<Instant>,
    /// Counts what was finished, for those who wait.
    pub(super) finished: u64,
    pub(super) limits: Limits,
    pub(super) slowest: super::stats::Slowest,
    pub(super) restarts: u64,
    /// Stop was posted to all.
    pub(super) is_stopping: bool,
    /// The thread that waits for the pool's end: it takes no more results of its own
    /// runs.
    pub(super) joiner: Option<ThreadId>,
}

/// What is asked of workers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) tasks_per_worker: Option<u64>,
    pub(super) recycle_above: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) start_timeout: Option<Duration>,
}

impl State {
    pub(super) fn new(workers: usize, limits: Limits) -> State {
        State {
            phase: Phase::Open,
            workers: (0..workers).map(|_| Worker::vacant()).collect(),
            lines: Arc::default(),
            queue: Queue::default(),
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
            slowest: super::stats::Slowest::default(),
            restarts: 0,
            is_stopping: false,
            joiner: None,
        }
    }

    /// Adds what is to be done.
    pub(super) fn add(
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
    pub(super) fn insert(
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
    pub(super) fn learn(&mut self, key: Key, definition: Definition) -> usize {
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
    pub(super) fn release_job(&mut self, number: usize) {
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
                let forget = super::line::Post::new(super::line::Order::Forget, number as u32);
                // If there is no room, it learns something else under this number,
                // before it is asked to call it.
                let _ = life.posting.post(forget, &[]);
            }
        }
    }

    /// Gives a result to whom it belongs.
    pub(super) fn deliver(&mut self, number: usize, piece: Piece) {
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
    pub(super) fn complete(&mut self, number: usize) {
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
    pub(super) fn is_idle(&self) -> bool {
        let has_nothing = |worker: &Worker| worker.life.as_ref().is_none_or(Life::has_nothing);
        self.queue.is_empty()
            && self.delayed.is_empty()
            && self.judged.is_empty()
            && self.workers.iter().all(has_nothing)
    }

    pub(super) fn update_lines(&mut self) {
        let lives = self
            .workers
            .iter()
            .filter_map(|worker| worker.life.as_ref());
        self.lines = Arc::new(lives.map(|life| Arc::clone(life.posting.line())).collect());
    }
}
