//! Processes that are killed at random moments while they work.
//!
//! A few processes work on one set of objects; one of them after the other is
//! killed at a moment that a seed chooses, and replaced. Half of them have several
//! threads at work when they are killed, and now and then a thread panics with
//! something in its hands. What they have done is
//! written to a journal in memory of its own, outside of the objects, where each
//! thread has its place. From time to time all are killed, and the objects are
//! held against the journal.

mod journal;
mod worker;

pub(crate) use journal::{CURES, DONE, Journal, OF_WORKLOAD, PANICS, PLACES, REPAIRS};
pub(crate) use worker::Worker;

use crate::operations::PATIENCE;
use journal::{AT_WORK, MOST_THREADS, MOST_WORKERS, NOT_BEGUN};
use procession::process::{Child, ExitStatus};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::random::Random;

/// Processes at a time: one for each processor, because one that is killed while
/// it waits for a processor takes long to die.
pub(crate) fn workers() -> usize {
    static WORKERS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *WORKERS.get_or_init(|| {
        std::thread::available_parallelism().map_or(2, |it| it.get().clamp(2, MOST_WORKERS))
    })
}

/// The places in the journal of the threads of a process.
pub(crate) fn places_of(worker: usize) -> impl Iterator<Item = usize> {
    (0..MOST_THREADS).map(move |thread| thread * workers() + worker)
}

/// Kills between two audits.
const EPOCH: u64 = 50;

/// One workload: the objects and what is done with them.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> Box<dyn Work>,
}

pub(crate) trait Work: Send + Sync {
    /// What a thread does, again and again.
    fn step(&self, worker: &Worker<'_>);
    /// The same objects by other handles, which came in a message.
    fn through_a_message(&self) -> Box<dyn Work>;
    /// What must hold when nobody works.
    fn audit(&self, journal: &Journal, ends: Ends);
}

/// What has ended in the middle of something, at most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ends {
    /// Threads of processes that were killed, or exited.
    pub(crate) deaths: u64,
    /// All of these, and panics.
    pub(crate) all: u64,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u64,
    /// Kills of processes in which several threads had begun to work.
    pub(crate) with_threads: u64,
    pub(crate) panics: u64,
    /// Processes that ended by a panic.
    pub(crate) exits: u64,
    pub(crate) operations: u64,
    pub(crate) repairs: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, more: Figures) {
        self.kills += more.kills;
        self.with_threads += more.with_threads;
        self.panics += more.panics;
        self.exits += more.exits;
        self.operations += more.operations;
        self.repairs += more.repairs;
    }
}

/// Has the next generator use this seed.
pub(crate) fn set_seed(seed: u64) {
    testkit::random::set_seed(seed);
}

/// Runs a workload until so many workers were killed.
pub(crate) fn run(workload: &Workload, kills: u64, random: &mut Random) -> Figures {
    // Before the workers, so that it need not wait for a processor.
    let _ = rustix::process::nice(-worker::NICER);
    let journal = std::sync::Arc::new(Journal::new());
    count_violations(&journal);
    let mut figures = Figures::default();
    while figures.kills < kills {
        // New objects now and then: states that a long life would hide.
        let work = (workload.make)();
        journal.clear();
        let mut deaths = 0;
        for _ in 0..4 {
            let crew = Crew::start(&*work, &journal, random);
            deaths += crew.be_killed(&mut figures);
            let all = deaths + journal.sum(PANICS);
            work.audit(&journal, Ends { deaths, all });
            assert_eq!(journal.violations().load(Ordering::SeqCst), 0);
            if figures.kills >= kills {
                break;
            }
        }
        figures.operations += journal.sum(DONE);
        figures.repairs += journal.sum(REPAIRS);
        figures.panics += journal.sum(PANICS);
    }
    drop(std::panic::take_hook());
    figures
}

/// Counts what is not thrown on purpose, in this process and its children.
fn count_violations(journal: &std::sync::Arc<Journal>) {
    let (journal, print) = (journal.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        journal.violations().fetch_add(1, Ordering::SeqCst);
        print(info);
    }));
}

/// The processes that work.
struct Crew<'a> {
    work: &'a dyn Work,
    journal: &'a Journal,
    random: &'a mut Random,
    members: Vec<Member>,
    /// Threads whose process has ended.
    deaths: u64,
    exits: u64,
}

struct Member {
    child: Child,
    threads: usize,
}

impl<'a> Crew<'a> {
    fn start(work: &'a dyn Work, journal: &'a Journal, random: &'a mut Random) -> Crew<'a> {
        let mut crew = Crew {
            work,
            journal,
            random,
            members: Vec::new(),
            deaths: 0,
            exits: 0,
        };
        for worker in 0..workers() {
            let member = crew.member(worker);
            crew.members.push(member);
        }
        crew
    }

    fn member(&mut self, worker: usize) -> Member {
        // Some are killed before their threads have begun.
        let threads = match self.random.below(5) {
            0 => 1,
            _ => 2 + self.random.below(2) as usize,
        };
        let seed = self.random.number();
        Member {
            child: worker::start(self.work, worker, threads, self.journal, seed),
            threads,
        }
    }

    /// Kills one after the other until it is time for an audit; how many threads
    /// have ended in the middle of something.
    fn be_killed(mut self, figures: &mut Figures) -> u64 {
        for number in 1..=EPOCH {
            self.replace_ended();
            let victim = self.random.below(workers() as u64) as usize;
            if self.random.below(8) > 0 {
                self.wait_for_threads(victim);
            }
            // The moment of a random kill, which is what this is about.
            let moment = self.random.moment(Duration::from_micros(200));
            std::thread::sleep(moment);
            self.kill(victim, figures);
            self.members[victim] = self.member(victim);
            if number % 10 == 0 {
                self.require_progress();
            }
        }
        for victim in 0..workers() {
            self.kill(victim, figures);
        }
        figures.exits += self.exits;
        self.deaths
    }

    /// Until two of its threads, if it has so many, have done something, or a while
    /// has passed.
    fn wait_for_threads(&self, victim: usize) {
        let enough = self.members[victim].threads.min(2);
        let begun = || {
            let places = places_of(victim);
            places.filter(|&place| self.journal.state(place) != NOT_BEGUN)
        };
        let start = Instant::now();
        while begun().count() < enough && start.elapsed() < Duration::from_millis(4) {
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn kill(&mut self, victim: usize, figures: &mut Figures) {
        let member = &mut self.members[victim];
        member.child.kill().unwrap();
        let status = member.child.wait().unwrap();
        let at_work = places_of(victim).filter(|&place| self.journal.state(place) == AT_WORK);
        let at_work = at_work.count();
        if self.note_end(victim, status) {
            figures.kills += 1;
            figures.with_threads += u64::from(at_work > 1);
        }
    }

    /// Whether it was killed; otherwise a panic was earlier.
    fn note_end(&mut self, worker: usize, status: ExitStatus) -> bool {
        let is_killed = status.signal().map(|it| it.as_raw()) == Some(9);
        let panicked = status.code().map(i32::from) == Some(worker::PANICKED);
        let violations = self.journal.violations().load(Ordering::SeqCst);
        assert!(
            (is_killed || panicked) && violations == 0,
            "a worker failed: {status}"
        );
        self.deaths += self.members[worker].threads as u64;
        self.exits += u64::from(panicked);
        is_killed
    }

    /// Others take the place of those who have ended by a panic.
    fn replace_ended(&mut self) {
        for worker in 0..workers() {
            if let Some(status) = self.members[worker].child.try_wait().unwrap() {
                self.note_end(worker, status);
                self.members[worker] = self.member(worker);
            }
        }
    }

    /// Somebody does something.
    fn require_progress(&mut self) {
        let before = self.journal.sum(DONE);
        let start = Instant::now();
        while self.journal.sum(DONE) == before {
            assert!(start.elapsed() < PATIENCE, "nobody got on for {PATIENCE:?}");
            self.replace_ended();
            std::thread::yield_now();
        }
    }
}
