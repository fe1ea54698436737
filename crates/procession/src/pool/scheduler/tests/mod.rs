//! The scheduler without any process: workers are rings that the test writes.

mod cases;
mod fake_worker;
mod maps;
mod random;

use fake_worker::{FakeProcess, FakeWorker, How, a_record};

use super::chunk::{Arguments, Piece, Policy};
use super::ids::{ChunkId, Id, JobId, RunId, WorkerId};
use super::task_table::{Owner, Place, Span};
use super::{After, Definition, Limits, LiveWorker, Scheduler};
use crate::codec::{Body, Encoded};
use crate::pool::trace::WorkerSpan;
use crate::pool::worker_ring::{PoolSide, RingMemory, WorkerSide};
use crate::process::TaskError;
use crate::process::protocol::{self, Mailbox};
use crate::process::task::record::{self, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn a_definition() -> Definition {
    let encoded = Encoded {
        body: Body::Inline(Vec::new()),
        descriptors: Vec::new(),
    };
    Definition {
        encoded,
        captured: None,
    }
}

/// A scheduler, its workers, and what it was asked for.
struct House {
    scheduler: Scheduler,
    workers: BTreeMap<usize, FakeWorker>,
    job: JobId,
    /// Workers that the pool has given up, because it could not kill them. They go on.
    lost: Vec<FakeWorker>,
    handles: Vec<(ChunkId, u32)>,
    /// Runs in the background, with the number of their arguments, and the next number for one.
    maps: Vec<(RunId, u64)>,
    next_of_maps: u32,
    run: RunId,
    /// Arguments of the run, and how often each was answered.
    answered: Vec<u32>,
    /// Arguments whose calls were begun that are not to be tried again, and those that may be.
    begun: BTreeSet<u32>,
    retriable: BTreeSet<u32>,
}

/// Arguments of handles are numbers from here on.
const OF_HANDLES: u32 = 1 << 31;

/// Arguments of runs in the background are numbers from here on.
const OF_MAPS: u32 = 1 << 30;

const DEATH: TaskError = TaskError::exited(1);

impl House {
    fn new(workers: usize, limits: Limits) -> House {
        let mut scheduler = Scheduler::new(workers, limits);
        let job = scheduler.jobs_mut().add((0, 0), a_definition());
        let run = scheduler.begin_run(job, std::thread::current().id());
        House {
            scheduler,
            workers: BTreeMap::new(),
            lost: Vec::new(),
            job,
            handles: Vec::new(),
            maps: Vec::new(),
            next_of_maps: OF_MAPS,
            run,
            answered: Vec::new(),
            begun: BTreeSet::new(),
            retriable: BTreeSet::new(),
        }
    }

    /// Makes the processes that are wanted; they are not ready.
    fn start(&mut self) {
        let later = Instant::now() + Duration::from_secs(3600);
        while let Some(worker) = self.scheduler.take_wanted(later, false) {
            let (ring, file) = RingMemory::create().unwrap();
            let (mail, theirs) = protocol::pair().unwrap();
            let process = Arc::new(FakeProcess::default());
            let fake = FakeWorker {
                process: Arc::clone(&process),
                taking: WorkerSide::new(Arc::new(RingMemory::open(&file).unwrap())),
                _mail: Mailbox::new(theirs),
                has_stopped: false,
                begun: Vec::new(),
            };
            self.workers.insert(worker.number(), fake);
            let posting = PoolSide::new(Arc::new(ring));
            let live = LiveWorker::new(process, posting, mail, WorkerSpan::default());
            self.scheduler.started(worker, live, Instant::now(), "pool");
        }
    }

    fn become_ready(&mut self, worker: usize) {
        if let Some(fake) = self.workers.get(&worker) {
            fake.taking.become_ready();
        }
    }

    fn policy(retries: u32, priority: i32) -> Policy {
        Policy {
            retries,
            priority,
            ..Policy::default()
        }
    }

    fn spawn(&mut self, retries: u32, priority: i32) -> ChunkId {
        let number = OF_HANDLES + self.handles.len() as u32;
        if retries > 0 {
            self.retriable.insert(number);
        }
        let bytes = a_record(Status::Value, &number.to_le_bytes());
        let arguments = Arguments::Records(Arc::new(bytes), 0);
        let (policy, span) = (
            House::policy(retries, priority),
            Span { first: 0, count: 1 },
        );
        let chunk = self
            .scheduler
            .add(self.job, Owner::Handle, policy, arguments, span);
        self.handles.push((chunk, number));
        self.scheduler.dispatch();
        chunk
    }

    fn add_to_run(&mut self, count: u32, retries: u32, priority: i32) {
        let first = self.answered.len() as u64;
        let numbers = first as u32..first as u32 + count;
        if retries > 0 {
            self.retriable.extend(numbers.clone());
        }
        let records = numbers.map(|number| a_record(Status::Value, &number.to_le_bytes()));
        let arguments = Arguments::Records(Arc::new(records.flatten().collect()), 0);
        self.answered.extend((0..count).map(|_| 0));
        let policy = House::policy(retries, priority);
        let what = (self.run, self.job);
        self.scheduler
            .add_to_run(what, policy, Span { first, count }, Ok(arguments));
        self.scheduler.dispatch();
    }

    fn work(&mut self, worker: usize, how: How) {
        let Some(fake) = self.workers.get_mut(&worker) else {
            return;
        };
        let lives = !fake.process.is_killed.load(Ordering::Relaxed) && fake.work(how);
        let begun = std::mem::take(&mut fake.begun);
        if !lives || fake.process.is_killed.load(Ordering::Relaxed) {
            self.die(worker);
        }
        self.note(begun);
    }

    /// Has a lost worker go on, if there is one.
    fn work_lost(&mut self, at: usize, how: How) {
        if let Some(fake) = self.lost.get_mut(at) {
            fake.work(how);
            let begun = std::mem::take(&mut fake.begun);
            self.note(begun);
        }
    }

    /// No call is made twice, unless it is to be tried again.
    fn note(&mut self, begun: Vec<u32>) {
        for number in begun {
            let is_first = self.begun.insert(number);
            assert!(
                is_first || self.retriable.contains(&number),
                "{number} is called twice"
            );
        }
    }

    /// The pool kills a worker, and cannot; it has gone on meanwhile, or not.
    fn lose(&mut self, worker: usize, goes_on: bool) {
        let Some(mut fake) = self.workers.remove(&worker) else {
            return;
        };
        if fake.process.is_killed.load(Ordering::Relaxed) {
            self.workers.insert(worker, fake);
            return self.die(worker);
        }
        fake.process.is_protected.store(true, Ordering::Relaxed);
        let why = TaskError::timed_out();
        self.scheduler.condemn(WorkerId::new(worker), why);
        if goes_on {
            fake.work(How::Well);
        }
        let begun = std::mem::take(&mut fake.begun);
        self.note(begun);
        self.lost.push(fake);
        for worker in self.scheduler.take_lost() {
            self.scheduler.retire(worker, Err(DEATH), "");
        }
    }

    fn die(&mut self, worker: usize) {
        let Some(fake) = self.workers.remove(&worker) else {
            return;
        };
        let outcome = match fake.has_stopped {
            true => Ok(()),
            false => Err(DEATH),
        };
        self.scheduler.retire(WorkerId::new(worker), outcome, "");
    }

    /// Takes what has arrived for the run.
    fn take(&mut self) {
        self.scheduler.collect();
        let verdicts = self.scheduler.take_afterwards().1;
        for after in verdicts {
            if let After::Judge(ticket, ..) = after {
                self.scheduler.take_verdict(ticket, true);
            }
        }
        for piece in self.scheduler.tasks_mut().take_ready(self.run) {
            let first = piece.first() as usize;
            let count = match &piece {
                Piece::Values { count, bytes, .. } => {
                    let mut rest = &bytes[..];
                    for number in 0..*count {
                        let body = record::take(&mut rest).unwrap().body;
                        assert_eq!(body, (first as u32 + number).to_le_bytes());
                    }
                    *count as usize
                }
                _ => 1,
            };
            for at in first..first + count {
                self.answered[at] += 1;
                assert_eq!(self.answered[at], 1, "argument {at} is answered once");
            }
        }
    }

    /// A chunk is where its entry says, and nowhere else.
    fn check(&self) {
        let chunks = self.handles.iter().map(|(chunk, _)| *chunk);
        let of_run = self.scheduler.tasks.chunks_of(self.run);
        let maps = self.maps.iter();
        let of_maps = maps.flat_map(|(run, _)| self.scheduler.tasks.chunks_of(*run));
        for id in chunks.chain(of_run).chain(of_maps) {
            let Some(chunk) = self.scheduler.tasks.get(id) else {
                continue;
            };
            for (worker, live) in self.scheduler.lives() {
                let times = live.ledger().iter().filter(|it| it.chunk() == Some(id));
                let expected = usize::from(chunk.place() == Place::Sent(worker));
                assert_eq!(times.count(), expected, "{id:?} is {:?}", chunk.place());
            }
        }
    }

    /// Lets all workers work well until nothing is left, and counts what came of it.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.start();
            for at in 0..self.lost.len() {
                self.work_lost(at, How::Well);
            }
            for worker in 0..3 {
                self.become_ready(worker);
                self.work(worker, How::Well);
            }
            self.take();
            let later = Instant::now() + Duration::from_secs(3600);
            self.scheduler.keep_time(later);
            if self.scheduler.is_idle() {
                break;
            }
        }
        assert!(self.scheduler.is_idle(), "all is answered in the end");
        for (worker, live) in self.scheduler.lives() {
            assert!(live.ledger().is_empty(), "{worker:?} has nothing in flight");
            assert_eq!(live.ledger().load(), 0);
            assert_eq!(live.ledger().assigned(), live.ledger().answered());
        }
        self.finish_maps();
        for (chunk, _) in std::mem::take(&mut self.handles) {
            let piece = self.scheduler.tasks_mut().take_result(chunk);
            assert!(piece.is_some(), "each handle has its result");
            assert!(self.scheduler.tasks().get(chunk).is_none());
        }
        let lost = self.answered.iter().filter(|times| **times != 1).count();
        assert_eq!(lost, 0, "no argument of the run is lost");
        assert!(self.scheduler.tasks.chunks_of(self.run).is_empty());
        assert_eq!(self.scheduler.tasks.retriable(), 0);
        self.scheduler.remove_run(self.run, self.job);
    }
}
