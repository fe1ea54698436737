//! The scheduler without any process: workers are rings that the test writes.

use super::chunk::{Arguments, Piece, Policy};
use super::dispatch::AHEAD;
use super::ids::{ChunkId, Id, JobId, RunId, WorkerId};
use super::live_worker::Sending;
use super::task_table::{Owner, Place, Span};
use super::{After, Definition, Limits, LiveWorker, Process, Scheduler};
use crate::codec::{Body, Encoded};
use crate::pool::TaskError;
use crate::pool::trace::WorkerSpan;
use crate::pool::worker::Timing;
use crate::pool::worker_ring::{Order, PoolSide, Post, RingMemory, WorkerSide};
use crate::process::packet::{self, Mailbox};
use crate::process::task::record::{self, Status};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct FakeProcess {
    is_killed: AtomicBool,
    /// The kernel refuses to kill it.
    is_protected: AtomicBool,
}

impl Process for FakeProcess {
    fn pid(&self) -> u32 {
        7
    }

    fn kill(&self) -> crate::Result<()> {
        if self.is_protected.load(Ordering::Relaxed) {
            let kind = crate::ErrorKind::PermissionDenied;
            return Err(crate::Error::new(kind, "killing", ""));
        }
        self.is_killed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The other side of a worker's ring.
struct FakeWorker {
    process: Arc<FakeProcess>,
    taking: WorkerSide,
    _mail: Mailbox,
    has_stopped: bool,
    /// The arguments of the calls that it has begun.
    begun: Vec<u32>,
}

/// How a worker goes about a chunk.
#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    /// The call with this number in the chunk panics.
    Panics(u32),
    /// It dies in the call with this number.
    Dies(u32),
}

fn a_record(status: Status, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = record::begin(&mut bytes);
    bytes.extend(body);
    record::end(&mut bytes, start, status);
    bytes
}

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

impl FakeWorker {
    /// Does the next thing in its ring. Returns `false` if it has died of it.
    fn work(&mut self, how: How) -> bool {
        let mut bytes = Vec::new();
        let Some((post, true)) = self.taking.take(&mut bytes) else {
            return true;
        };
        match post.order {
            Order::Run => {}
            Order::Stop => {
                self.has_stopped = true;
                return false;
            }
            _ => return true,
        }
        let mut rest = &bytes[..];
        for number in 0..post.count {
            let argument = record::take(&mut rest).unwrap().body.to_vec();
            if number > 0 && self.taking.is_rest_wanted() {
                self.end(post, number);
                return true;
            }
            self.begun.push(number_in(&argument));
            match post.exact {
                true => self.taking.begin_exact(0),
                false => self.taking.begin(),
            }
            let mut result = match how {
                How::Dies(at) if at % post.count == number => return false,
                How::Panics(at) if at % post.count == number => a_record(Status::Panicked, &[]),
                _ => a_record(Status::Value, &argument),
            };
            if post.exact && !self.taking.end_exact() {
                return false;
            }
            self.taking.write(&mut result, || {});
        }
        self.end(post, post.count);
        true
    }

    /// Takes the next batch and begins its first call; returns what is missing.
    fn begin_batch(&mut self) -> Post {
        let mut bytes = Vec::new();
        loop {
            let (post, _) = self.taking.take(&mut bytes).unwrap();
            if post.order == Order::Run {
                let argument = record::take(&mut &bytes[..]).unwrap().body;
                self.begun.push(number_in(argument));
                match post.exact {
                    true => self.taking.begin_exact(0),
                    false => self.taking.begin(),
                }
                return post;
            }
        }
    }

    /// Writes the result of the first call of a batch.
    fn answer(&mut self, number: u32) {
        let mut result = a_record(Status::Value, &number.to_le_bytes());
        self.taking.write(&mut result, || {});
    }

    fn end(&mut self, post: Post, done: u32) {
        if post.count > 1 || post.slow {
            let timing = Timing {
                elapsed: 1000,
                slowest: 0,
                slowest_time: 0,
                done,
            };
            let body = postcard::to_stdvec(&timing).unwrap();
            self.taking.write(&mut a_record(Status::End, &body), || {});
        }
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
    run: RunId,
    /// Arguments of the run, and how often each was answered.
    answered: Vec<u32>,
    /// Arguments whose calls were begun that are not to be tried again, and those that may be.
    begun: BTreeSet<u32>,
    retriable: BTreeSet<u32>,
}

/// Arguments of handles are numbers from here on.
const OF_HANDLES: u32 = 1 << 31;

fn number_in(argument: &[u8]) -> u32 {
    u32::from_le_bytes(argument.try_into().unwrap())
}

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
            let (mail, theirs) = packet::pair().unwrap();
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
        let why = process::TaskError::TimedOut;
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
        for id in chunks.chain(of_run) {
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

#[derive(Clone, Copy, Debug)]
enum Event {
    Spawn {
        retries: u32,
        priority: i32,
    },
    Add {
        count: u32,
        retries: u32,
        priority: i32,
    },
    Start,
    Ready(usize),
    Work(usize, How),
    Die(usize),
    Lose {
        worker: usize,
        goes_on: bool,
    },
    WorkLost(usize, How),
    Take,
    Balance,
    Cancel(usize),
    Dismiss(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let how = prop_oneof![
        3 => Just(How::Well),
        1 => (0..8u32).prop_map(How::Panics),
        1 => (0..8u32).prop_map(How::Dies),
    ];
    let event = prop_oneof![
        (0..3u32, -1..2i32).prop_map(|(retries, priority)| Event::Spawn { retries, priority }),
        (1..9u32, 0..3u32, -1..2i32).prop_map(|(count, retries, priority)| Event::Add {
            count,
            retries,
            priority
        }),
        Just(Event::Start),
        (0..3usize).prop_map(Event::Ready),
        (0..3usize, how.clone()).prop_map(|(worker, how)| Event::Work(worker, how)),
        (0..3usize, how.clone()).prop_map(|(worker, how)| Event::Work(worker, how)),
        (0..3usize).prop_map(Event::Die),
        (0..3usize, any::<bool>()).prop_map(|(worker, goes_on)| Event::Lose { worker, goes_on }),
        (0..3usize, how).prop_map(|(at, how)| Event::WorkLost(at, how)),
        Just(Event::Take),
        Just(Event::Balance),
        (0..16usize).prop_map(Event::Cancel),
        (0..3usize).prop_map(Event::Dismiss),
    ];
    prop::collection::vec(event, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_argument_is_answered_once(
        events in events(),
        most_tasks in prop::option::of(1..9u64),
    ) {
        let limits = Limits { tasks_per_worker: most_tasks, ..Limits::default() };
        let mut house = House::new(3, limits);
        for event in events {
            match event {
                Event::Spawn { retries, priority } => {
                    house.spawn(retries, priority);
                }
                Event::Add { count, retries, priority } => {
                    house.add_to_run(count, retries, priority);
                }
                Event::Start => house.start(),
                Event::Ready(worker) => house.become_ready(worker),
                // Starts that fail would end the pool.
                Event::Work(worker, how) => {
                    house.become_ready(worker);
                    house.work(worker, how);
                }
                Event::Die(worker) => {
                    house.become_ready(worker);
                    house.die(worker);
                }
                Event::Lose { worker, goes_on } => {
                    house.become_ready(worker);
                    house.lose(worker, goes_on);
                }
                Event::WorkLost(at, how) => house.work_lost(at, how),
                Event::Take => house.take(),
                Event::Balance => house.scheduler.balance(),
                Event::Cancel(at) => {
                    if let Some((chunk, _)) = house.handles.get(at) {
                        house.scheduler.cancel_task(*chunk, Duration::ZERO);
                    }
                }
                Event::Dismiss(worker) => house.scheduler.workers[worker].dismiss(),
            }
            house.check();
        }
        house.finish();
    }
}

#[test]
fn a_record_that_lies_about_its_batch_loses_no_argument() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.add_to_run(4, 0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    let mut bytes = Vec::new();
    // The definition, then the chunk.
    while let Some((post, _)) = fake.taking.take(&mut bytes) {
        if post.order == Order::Run {
            fake.taking.begin();
            let first = 0u32.to_le_bytes();
            fake.taking
                .write(&mut a_record(Status::Value, &first), || {});
            fake.end(post, 3);
        }
    }
    house.take();
    assert!(house.workers[&0].process.is_killed.load(Ordering::Relaxed));
    house.finish();
}

#[test]
fn a_pool_that_is_over_has_answered_all() {
    let mut house = House::new(2, Limits::default());
    house.start();
    house.become_ready(0);
    for _ in 0..5 {
        house.spawn(1, 0);
        house.add_to_run(3, 1, 0);
    }
    let reason = TaskError::cancelled();
    house.scheduler.end(reason);
    for worker in 0..2 {
        house.die(worker);
    }
    assert!(house.scheduler.is_gone());
    house.finish();
}

#[test]
fn what_waits_for_a_start_goes_to_an_idle_worker() {
    let mut house = House::new(2, Limits::default());
    house.start();
    for _ in 0..3 {
        house.spawn(0, 0);
    }
    // Nobody else is told of it, so that the helper has to look.
    assert!(house.scheduler.has_something_to_move());
    house.become_ready(1);
    for _ in 0..6 {
        house.take();
        house.scheduler.balance();
        house.work(1, How::Well);
    }
    house.take();
    assert!(house.scheduler.is_idle());
    house.finish();
}

#[test]
fn one_that_starts_gets_nothing_where_another_is_ready() {
    let mut house = House::new(2, Limits::default());
    house.start();
    house.become_ready(1);
    house.take();
    for _ in 0..10 {
        house.spawn(0, 0);
    }
    let has = |house: &House, worker: usize| {
        let live = house.scheduler.workers[worker].live().unwrap();
        live.ledger().len()
    };
    assert_eq!((has(&house, 0), has(&house, 1)), (0, AHEAD));
    house.become_ready(0);
    house.take();
    assert_eq!(has(&house, 0), AHEAD);
    house.finish();
}

/// Tasks that are cancelled before their worker comes to them do not fill its ring, where
/// each stays until then.
fn take_much_back(house: &mut House) {
    for _ in 0..1000 {
        let chunk = house.spawn(0, 0);
        house.scheduler.cancel_task(chunk, Duration::ZERO);
    }
    let encoded = a_definition().encoded;
    let live = house.scheduler.workers[0].live_mut().unwrap();
    for number in 1..200 {
        let defined = live.define(JobId::new(number), &encoded);
        assert!(
            matches!(defined, Sending::Done),
            "there is room for {number}"
        );
    }
}

#[test]
fn what_is_taken_back_from_one_that_starts_does_not_pile_up() {
    let mut house = House::new(1, Limits::default());
    house.start();
    take_much_back(&mut house);
    house.finish();
}

#[test]
fn what_is_taken_back_from_one_that_is_busy_does_not_pile_up() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.spawn(0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    let post = fake.begin_batch();
    take_much_back(&mut house);
    let fake = house.workers.get_mut(&0).unwrap();
    assert!(post.exact && fake.taking.end_exact());
    fake.answer(OF_HANDLES);
    fake.end(post, 1);
    house.finish();
}

#[test]
fn whatever_a_full_ring_holds_the_order_to_stop_has_room() {
    let mut house = House::new(1, Limits::default());
    house.start();
    let encoded = a_definition().encoded;
    let live = house.scheduler.workers[0].live_mut().unwrap();
    let mut numbers = 0..;
    while let Sending::Done = live.define(JobId::new(numbers.next().unwrap()), &encoded) {}
    house.scheduler.workers[0].dismiss();
    house.become_ready(0);
    for _ in 0..numbers.start {
        house.work(0, How::Well);
    }
    assert!(house.workers.is_empty(), "it was told to stop, and has");
    house.finish();
}

#[test]
fn a_lost_worker_may_do_what_it_has_taken_and_nobody_does_it_again() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.add_to_run(4, 0, 0);
    house.add_to_run(4, 0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    fake.begin_batch();
    house.lose(0, false);
    // Of the first batch it does the rest, of the second nothing.
    let begun = BTreeSet::from([0]);
    assert_eq!(house.begun, begun);
    house.note(vec![1, 2, 3]);
    for _ in 0..10 {
        house.work_lost(0, How::Well);
    }
    assert!(house.lost[0].has_stopped);
    house.finish();
    assert_eq!(house.begun, (0..8).collect());
}

#[test]
fn a_request_for_the_rest_is_for_one_batch() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.take();
    for _ in 0..2 {
        house.add_to_run(4, 0, 0);
    }
    let fake = house.workers.get_mut(&0).unwrap();
    let post = fake.begin_batch();
    assert!(!fake.taking.is_rest_wanted());
    house.scheduler.workers[0]
        .live_mut()
        .unwrap()
        .ask_for_rest();
    let fake = house.workers.get_mut(&0).unwrap();
    assert!(fake.taking.is_rest_wanted());
    fake.answer(0);
    fake.end(post, 1);
    // The pool has not read that yet: what it asks for now is late.
    let post = fake.begin_batch();
    assert!(!fake.taking.is_rest_wanted(), "that was of the last one");
    fake.answer(4);
    fake.end(post, 1);
    house.take();
    house.finish();
}
