//! Processes that are killed at random moments while they work.
//!
//! A few workers work on one set of objects; one of them after the other is
//! killed at a moment that a seed chooses, and replaced. What they have done is
//! written to a journal in memory of its own, outside of the objects, where each
//! worker has its place. From time to time all are killed, and the objects are
//! held against the journal.

use crate::operations::{PATIENCE, Pair, check_pair};
use crate::queue::Queue;
use procession::ErrorKind;
use procession::process::{self, Child, Fork};
use procession::shared::{Counter, Value};
use procession::sync::{
    Barrier, Condvar, Event, LockError, Mutex, Once, ReentrantMutex, RwLock, Semaphore,
};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::random::Random;

/// Places for workers in the journal.
pub(crate) const MOST_WORKERS: usize = 6;

/// Workers at a time: one for each processor, because one that is killed while
/// it waits for a processor takes long to die.
fn workers() -> usize {
    static WORKERS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *WORKERS.get_or_init(|| {
        std::thread::available_parallelism().map_or(2, |it| it.get().clamp(2, MOST_WORKERS))
    })
}

/// How much nicer the workers are than the one who kills.
const BEFORE_WORKERS: i32 = 5;

/// Kills between two audits.
const EPOCH: u64 = 50;

/// What workers have done, each in its own place.
pub(crate) struct Journal {
    region: procession::os::memory::Region,
}

impl Journal {
    fn new() -> Journal {
        let region = procession::os::memory::Region::anonymous(4096).unwrap();
        Journal { region }
    }

    /// One of eight numbers of a worker.
    pub(crate) fn number(&self, worker: usize, index: usize) -> &AtomicU64 {
        self.region.bytes().atomic_u64(worker * 64 + index * 8)
    }

    /// Counts something that is done.
    fn count(&self, worker: usize, index: usize) {
        self.number(worker, index).fetch_add(1, Ordering::SeqCst);
    }

    fn sum(&self, index: usize) -> u64 {
        let numbers = (0..workers()).map(|worker| self.number(worker, index));
        numbers.map(|number| number.load(Ordering::SeqCst)).sum()
    }
}

/// Numbers of the journal that all workloads use.
pub(crate) const DONE: usize = 0;
pub(crate) const REPAIRS: usize = 1;

/// One workload: the objects and what is done with them.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    make: fn() -> Box<dyn Work>,
}

pub(crate) trait Work {
    /// What a worker does, again and again.
    fn step(&self, worker: usize, journal: &Journal);
    /// What must hold when nobody works and `kills` have been made.
    fn audit(&self, journal: &Journal, kills: u64);
}

pub(crate) struct Figures {
    pub(crate) kills: u64,
    pub(crate) operations: u64,
    pub(crate) repairs: u64,
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "mutex",
        make: || Box::new(Locked::new()),
    },
    Workload {
        name: "reentrant mutex",
        make: || Box::new(Reentrant::new()),
    },
    Workload {
        name: "rwlock",
        make: || Box::new(ReadWrite::new()),
    },
    Workload {
        name: "semaphore",
        make: || Box::new(Permits::new()),
    },
    Workload {
        name: "condvar",
        make: || Box::new(Turns::new()),
    },
    Workload {
        name: "events",
        make: || Box::new(Events::new()),
    },
    Workload {
        name: "barrier",
        make: || Box::new(Meeting::new()),
    },
    Workload {
        name: "once",
        make: || Box::new(OnceOnly::new()),
    },
    Workload {
        name: "value",
        make: || Box::new(Shared::new()),
    },
    Workload {
        name: "queue",
        make: || Box::new(Queue::new(false)),
    },
    Workload {
        name: "queue, at most once",
        make: || Box::new(Queue::new(true)),
    },
];

/// Has the next generator use this seed.
pub(crate) fn set_seed(seed: u64) {
    testkit::random::set_seed(seed);
}

/// Runs a workload until so many workers were killed.
pub(crate) fn run(workload: &Workload, kills: u64, random: &mut Random) -> Figures {
    // Before the workers, so that it need not wait for a processor.
    let _ = rustix::process::nice(-BEFORE_WORKERS);
    let journal = Journal::new();
    let mut killed = 0;
    let mut operations = 0;
    let mut repairs = 0;
    while killed < kills {
        // New objects now and then: states that a long life would hide.
        let work = (workload.make)();
        for index in 0..8 {
            for worker in 0..workers() {
                journal.number(worker, index).store(0, Ordering::SeqCst);
            }
        }
        let epochs = 4;
        let mut here = 0;
        for _ in 0..epochs {
            here += epoch(&*work, &journal, random);
            work.audit(&journal, here);
        }
        killed += here;
        operations += journal.sum(DONE);
        repairs += journal.sum(REPAIRS);
    }
    Figures {
        kills: killed,
        operations,
        repairs,
    }
}

fn start(work: &dyn Work, worker: usize, journal: &Journal) -> Child {
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let _ = rustix::process::nice(BEFORE_WORKERS);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                loop {
                    work.step(worker, journal);
                    journal.count(worker, DONE);
                }
            }));
            drop(outcome);
            process::exit(99)
        }
    }
}

/// Kills workers until it is time for an audit; how many.
fn epoch(work: &dyn Work, journal: &Journal, random: &mut Random) -> u64 {
    let mut crew: Vec<Child> = (0..workers()).map(|it| start(work, it, journal)).collect();
    let mut killed = 0;
    while killed < EPOCH {
        // The moment of a random kill, which is what this is about.
        let moment = random.moment(Duration::from_micros(200));
        std::thread::sleep(moment);
        let victim = random.below(workers() as u64) as usize;
        kill(&mut crew[victim]);
        crew[victim] = start(work, victim, journal);
        killed += 1;
        if killed % 10 == 0 {
            require_progress(journal);
        }
    }
    for worker in &mut crew {
        kill(worker);
        killed += 1;
    }
    killed
}

fn kill(worker: &mut Child) {
    worker.kill().unwrap();
    let status = worker.wait().unwrap();
    assert_eq!(
        status.signal().map(|it| it.as_raw()),
        Some(9),
        "a worker failed: {status}"
    );
}

/// Somebody does something.
fn require_progress(journal: &Journal) {
    let before = journal.sum(DONE);
    let start = Instant::now();
    while journal.sum(DONE) == before {
        assert!(start.elapsed() < PATIENCE, "nobody got on for {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// The first of two numbers that are changed together, when nobody works.
fn settled(pair: &Pair) -> u64 {
    check_pair(pair);
    pair.lock_timeout(PATIENCE).unwrap()[0]
}

/// Two numbers that are changed together.
struct Locked {
    pair: Pair,
}

impl Locked {
    fn new() -> Locked {
        let pair = Mutex::new([0, 0]).unwrap();
        Locked { pair }
    }
}

impl Work for Locked {
    fn step(&self, worker: usize, journal: &Journal) {
        match self.pair.lock_timeout(PATIENCE) {
            Ok(mut held) => {
                assert_eq!(held[0], held[1]);
                held[0] += 1;
                held[1] += 1;
            }
            Err(LockError::OwnerDied(mut left)) => {
                assert!(left[0] - left[1] <= 1);
                left[1] = left[0];
                drop(left.repaired());
                journal.count(worker, REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn audit(&self, journal: &Journal, kills: u64) {
        let value = settled(&self.pair);
        // What was counted was done, or was a repair; what was done was counted,
        // but for one of each of the dead.
        let done = journal.sum(DONE) - journal.sum(REPAIRS).min(journal.sum(DONE));
        assert!(value + kills >= done, "{done} done, {value} there");
        assert!(
            value <= journal.sum(DONE) + kills,
            "{value} of {}",
            journal.sum(DONE)
        );
    }
}

struct Reentrant {
    pair: ReentrantMutex<[Cell<u64>; 2]>,
}

impl Reentrant {
    fn new() -> Reentrant {
        let pair = ReentrantMutex::new([Cell::new(0), Cell::new(0)]).unwrap();
        Reentrant { pair }
    }
}

impl Work for Reentrant {
    fn step(&self, worker: usize, journal: &Journal) {
        match self.pair.lock_timeout(PATIENCE) {
            Ok(outer) => {
                assert_eq!(outer[0], outer[1]);
                let inner = self.pair.lock().unwrap();
                inner[0].set(inner[0].get() + 1);
                drop(inner);
                outer[1].set(outer[1].get() + 1);
            }
            Err(LockError::OwnerDied(left)) => {
                assert!(left[0].get() - left[1].get() <= 1);
                left[1].set(left[0].get());
                left.mark_consistent();
                journal.count(worker, REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn audit(&self, journal: &Journal, kills: u64) {
        let value = match self.pair.lock_timeout(PATIENCE) {
            Ok(held) => held[0].get(),
            Err(LockError::OwnerDied(left)) => {
                left[1].set(left[0].get());
                left.mark_consistent();
                left[0].get()
            }
            Err(error) => panic!("{error}"),
        };
        assert!(value <= journal.sum(DONE) + kills);
    }
}

struct ReadWrite {
    pair: RwLock<[u64; 2]>,
}

impl ReadWrite {
    fn new() -> ReadWrite {
        let pair = RwLock::new([0, 0]).unwrap();
        ReadWrite { pair }
    }
}

impl Work for ReadWrite {
    fn step(&self, worker: usize, journal: &Journal) {
        for _ in 0..3 {
            match self.pair.read_timeout(PATIENCE) {
                Ok(held) => assert_eq!(held[0], held[1]),
                Err(LockError::OwnerDied(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        match self.pair.write_timeout(PATIENCE) {
            Ok(mut held) => {
                assert_eq!(held[0], held[1]);
                held[0] += 1;
                held[1] += 1;
            }
            Err(LockError::OwnerDied(mut left)) => {
                assert!(left[0] - left[1] <= 1);
                left[1] = left[0];
                left.mark_consistent();
                journal.count(worker, REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn audit(&self, journal: &Journal, kills: u64) {
        let value = match self.pair.write_timeout(PATIENCE) {
            Ok(held) => held[0],
            Err(LockError::OwnerDied(mut left)) => {
                left[1] = left[0];
                left.mark_consistent();
                left[0]
            }
            Err(error) => panic!("{error}"),
        };
        assert!(value <= journal.sum(DONE) + kills);
    }
}

/// A permit less than workers.
struct Permits {
    permits: Semaphore,
    single: Semaphore,
    inside: Value<u64>,
}

impl Permits {
    fn new() -> Permits {
        Permits {
            permits: Semaphore::new(workers() - 1).unwrap(),
            single: Semaphore::new(1).unwrap(),
            inside: Value::new(0).unwrap(),
        }
    }
}

impl Work for Permits {
    fn step(&self, worker: usize, _: &Journal) {
        let permit = self.permits.acquire_timeout(PATIENCE).unwrap();
        {
            let single = self.single.acquire_timeout(PATIENCE).unwrap();
            // With one permit, only one is here: nobody changes it meanwhile.
            let me = worker as u64 + 1;
            self.inside.set(me).unwrap();
            assert_eq!(self.inside.get().unwrap_or(me), me, "two with one permit");
            drop(single);
        }
        drop(permit);
    }

    fn audit(&self, _: &Journal, _: u64) {
        for (semaphore, permits) in [(&self.permits, workers() - 1), (&self.single, 1)] {
            let held: Vec<_> = (0..permits)
                .map(|_| semaphore.acquire_timeout(PATIENCE).unwrap())
                .collect();
            let error = semaphore.try_acquire().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            drop(held);
            assert_eq!(semaphore.available().unwrap(), permits);
        }
    }
}

/// A turn that goes round: who has it gives it to the next.
struct Turns {
    turn: Pair,
    changed: Condvar,
}

impl Turns {
    fn new() -> Turns {
        Turns {
            turn: Mutex::new([0, 0]).unwrap(),
            changed: Condvar::new().unwrap(),
        }
    }
}

impl Work for Turns {
    fn step(&self, worker: usize, journal: &Journal) {
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.turn.lock_timeout(PATIENCE);
        loop {
            let mut guard = match held {
                Ok(guard) => guard,
                Err(LockError::OwnerDied(mut left)) => {
                    assert!(left[0] - left[1] <= 1);
                    left[1] = left[0];
                    journal.count(worker, REPAIRS);
                    left.repaired()
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(guard[0], guard[1]);
            if guard[0] % workers() as u64 == worker as u64 {
                guard[0] += 1;
                guard[1] += 1;
                drop(guard);
                self.changed.notify_all();
                return;
            }
            assert!(Instant::now() < deadline, "the turn does not come");
            held = match self.changed.wait_timeout(guard, PATIENCE) {
                Ok((guard, _)) => Ok(guard),
                Err(LockError::OwnerDied((left, _))) => Err(LockError::OwnerDied(left)),
                Err(error) => panic!("{error}"),
            };
        }
    }

    fn audit(&self, journal: &Journal, kills: u64) {
        let turn = settled(&self.turn);
        assert!(turn >= journal.sum(DONE) && turn <= journal.sum(DONE) + kills);
    }
}

/// A token that goes round as an event that resets itself.
struct Events {
    token: Event,
    begun: Event,
}

impl Events {
    fn new() -> Events {
        let (token, begun) = (Event::auto_reset().unwrap(), Event::new().unwrap());
        token.set().unwrap();
        Events { token, begun }
    }
}

impl Work for Events {
    fn step(&self, _: usize, _: &Journal) {
        self.begun.set().unwrap();
        self.begun.wait_timeout(PATIENCE).unwrap();
        // The token dies with whoever has it; after a while another one is made.
        match self.token.wait_timeout(Duration::from_millis(2)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
        self.token.set().unwrap();
        self.begun.clear();
        self.begun.set().unwrap();
    }

    fn audit(&self, _: &Journal, _: u64) {
        self.token.set().unwrap();
        self.token.wait_timeout(PATIENCE).unwrap();
        assert!(!self.token.is_set());
        self.token.set().unwrap();
    }
}

/// A barrier for two, whom death breaks and the next one resets.
struct Meeting {
    barrier: Barrier,
}

impl Meeting {
    fn new() -> Meeting {
        Meeting {
            barrier: Barrier::new(2).unwrap(),
        }
    }
}

impl Work for Meeting {
    fn step(&self, worker: usize, journal: &Journal) {
        match self.barrier.wait_timeout(PATIENCE) {
            Ok(wait) => assert!(wait.index() < 2),
            Err(error) if error.kind() == ErrorKind::Broken => {
                self.barrier.reset().unwrap();
                journal.count(worker, REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn audit(&self, _: &Journal, _: u64) {
        self.barrier.reset().unwrap();
        assert!(!self.barrier.is_broken());
        assert_eq!(self.barrier.waiting(), 0);
    }
}

/// Something that is done once, by whoever lives to do it.
struct OnceOnly {
    once: Vec<Once>,
    done: Counter,
    next: Counter,
}

impl OnceOnly {
    fn new() -> OnceOnly {
        OnceOnly {
            once: (0..64).map(|_| Once::new().unwrap()).collect(),
            done: Counter::new(0).unwrap(),
            next: Counter::new(0).unwrap(),
        }
    }
}

impl Work for OnceOnly {
    fn step(&self, worker: usize, _: &Journal) {
        let next = self.next.add(1) as usize;
        for once in [worker, next % 64].map(|index| &self.once[index]) {
            once.call_once_deadline(procession::Deadline::after(PATIENCE), || {
                self.done.add(1);
            })
            .unwrap();
            assert!(once.is_completed());
        }
    }

    fn audit(&self, _: &Journal, kills: u64) {
        for once in &self.once {
            let deadline = procession::Deadline::after(PATIENCE);
            once.call_once_deadline(deadline, || {
                self.done.add(1);
            })
            .unwrap();
        }
        // Each once, and again only where its doer died in between.
        let done = self.done.get() as u64;
        assert!((64..=64 + kills).contains(&done), "{done} times");
    }
}

/// A value that only grows.
struct Shared {
    value: Value<u64>,
    counter: Counter,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            value: Value::new(0).unwrap(),
            counter: Counter::new(0).unwrap(),
        }
    }
}

impl Work for Shared {
    fn step(&self, worker: usize, journal: &Journal) {
        match self.value.update(|value| *value += 1) {
            Ok(()) => {
                self.counter.add(1);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OwnerDead);
                if let Err(LockError::OwnerDied(left)) = self.value.lock() {
                    drop(left.repaired());
                    journal.count(worker, REPAIRS);
                }
            }
        }
    }

    fn audit(&self, _: &Journal, kills: u64) {
        if let Err(LockError::OwnerDied(left)) = self.value.lock() {
            drop(left.repaired());
        }
        let (value, counted) = (self.value.get().unwrap(), self.counter.get() as u64);
        assert!(value >= counted, "{counted} counted, {value} there");
        assert!(value <= counted + kills);
    }
}
