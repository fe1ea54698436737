//! A process that works until it is killed: its threads, and their panics.

use super::journal::{AT_WORK, DONE, ENDED, Journal, NOT_BEGUN, PANICS};
use super::{Work, places_of};
use procession::process::{self, Child, Fork};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use testkit::random::Random;

/// How much nicer the workers are than the one who kills.
pub(crate) const NICER: i32 = 5;

/// The code of a process whose first thread ended by a panic that was meant.
pub(crate) const PANICKED: i32 = 98;

/// The code of a process that found what must not be.
const VIOLATION: i32 = 99;

/// What is thrown on purpose.
struct OnPurpose;

/// Panics come after 1, 2, 4, ... or so many things held: some workloads hold a
/// thousand times as many as others in the same time.
const LONGEST_FUSE: u64 = 20;

/// One panic of so many ends its thread, or its process where it is the first thread;
/// the others are caught.
const ENDS_BY_PANIC: u64 = 10;

/// One thread at work.
pub(crate) struct Worker<'a> {
    /// Its place in the journal.
    pub(crate) place: usize,
    pub(crate) journal: &'a Journal,
    random: RefCell<Random>,
    /// How often it holds something until it panics.
    fuse: Cell<u64>,
}

impl Worker<'_> {
    fn new(journal: &Journal, place: usize, seed: u64) -> Worker<'_> {
        let mut random = Random::seeded(seed ^ place as u64);
        Worker {
            place,
            journal,
            fuse: Cell::new(1 << random.below(LONGEST_FUSE)),
            random: RefCell::new(random),
        }
    }

    /// Counts something that is done.
    pub(crate) fn count(&self, index: usize) {
        let number = self.journal.number(self.place, index);
        number.fetch_add(1, Ordering::SeqCst);
    }

    /// Called where something is held: panics now and then.
    pub(crate) fn may_panic(&self) {
        self.fuse.set(self.fuse.get() - 1);
        if self.fuse.get() > 0 {
            return;
        }
        let next = self.random.borrow_mut().below(LONGEST_FUSE);
        self.fuse.set(1 << next);
        self.count(PANICS);
        // As `panic_any`, without words.
        std::panic::resume_unwind(Box::new(OnPurpose));
    }

    /// Works until it is killed, or a panic is its end.
    fn go_on(&self, work: &dyn Work) {
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    work.step(self);
                    self.count(DONE);
                    self.journal.set_state(self.place, AT_WORK);
                }
            }));
            let Err::<std::convert::Infallible, _>(payload) = outcome;
            if !payload.is::<OnPurpose>() {
                process::exit(VIOLATION);
            }
            if self.random.borrow_mut().below(ENDS_BY_PANIC) == 0 {
                break;
            }
        }
        self.journal.set_state(self.place, ENDED);
    }
}

/// Starts a process whose threads work on the same objects: the first two with the
/// same handles, the third, or the second of two now and then, with others that came
/// in a message.
pub(crate) fn start(
    work: &dyn Work,
    worker: usize,
    threads: usize,
    journal: &Journal,
    seed: u64,
) -> Child {
    for place in places_of(worker) {
        journal.set_state(place, NOT_BEGUN);
    }
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let _ = rustix::process::nice(NICER);
            be_at_work(work, worker, threads, journal, seed)
        }
    }
}

fn be_at_work(work: &dyn Work, worker: usize, threads: usize, journal: &Journal, seed: u64) -> ! {
    let mut places = places_of(worker).map(|place| Worker::new(journal, place, seed));
    let first = places.next().unwrap();
    if threads == 1 {
        first.go_on(work);
        process::exit(PANICKED);
    }
    let received = work.through_a_message();
    let received = &*received;
    let second = if threads > 2 || seed.is_multiple_of(2) {
        work
    } else {
        received
    };
    let others = places.zip([second, received]).take(threads - 1);
    std::thread::scope(|scope| {
        for (worker, work) in others {
            scope.spawn(move || worker.go_on(work));
        }
        first.go_on(work);
        // In the middle of what the others do.
        process::exit(PANICKED)
    })
}
