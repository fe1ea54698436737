//! A worker of a pool killed, or stopped, at machine instructions of what it does with its
//! rings: each argument has one answer, and no call is made twice.
//!
//! Some instructions by chance; each of them with
//! `EVERY_INSTRUCTION=1 cargo test --release -p procession-core --test step_kill` (a development
//! build has too many for the time that a test may take).
#![cfg(all(not(loom), target_arch = "x86_64"))]

use procession_core::Futex;
use procession_core::worker_ring::{Entry, Memory, Part, PoolSide, Remains, Word, WorkerSide};
use procession_sys::memory::{Region, Words};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::fault::armed;
use testkit::random::Random;
use testkit::step::{Points, Stepper, count_instructions, kill_at, share_processor};

/// Instructions that are tried by chance.
const POINTS: usize = 60;

const SLOTS: usize = 4;
const ROOM: usize = 4;

/// Arguments and results are words here.
struct Ring(Words);

const FIRST_SLOT: usize = 13;
const ARGUMENTS: usize = FIRST_SLOT + SLOTS * 4;
const RESULTS: usize = ARGUMENTS + ROOM;
/// How often each call had its effect.
const MADE: usize = RESULTS + ROOM;
const WORDS: usize = MADE + 4;

impl Ring {
    fn new() -> Ring {
        let region = Arc::new(Region::anonymous(WORDS * 8).unwrap());
        Ring(Words::at(&region, 0, WORDS).unwrap())
    }

    /// As it was when it was new.
    fn clear(&self) {
        self.0
            .iter()
            .for_each(|word| word.store(0, Ordering::SeqCst));
    }

    fn argument(&self, at: u64) -> &AtomicU64 {
        &self.0[ARGUMENTS + at as usize % ROOM]
    }

    fn result(&self, at: u64) -> &AtomicU64 {
        &self.0[RESULTS + at as usize % ROOM]
    }

    fn made(&self, argument: u64) -> &AtomicU64 {
        &self.0[MADE + argument as usize - 1]
    }
}

impl Memory for Ring {
    const SLOTS: u64 = SLOTS as u64;
    const ROOM: u64 = ROOM as u64;

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.0[word as usize]
    }

    fn slot(&self, index: u64, part: Part) -> &AtomicU64 {
        &self.0[FIRST_SLOT + index as usize % SLOTS * 4 + part as usize]
    }
}

/// Nobody sleeps here: there are posts, and there is room.
struct Awake;

impl Futex for Awake {
    fn wait(&self, _: &AtomicU64, _: u32) {
        panic!("nothing to wait for");
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

/// Does all that there is; ends when it is condemned.
fn work(ring: &Ring) {
    let mut worker = WorkerSide::new(ring);
    loop {
        let mut arguments = [0; ROOM];
        let copy = |ring: &Ring, at: u64, length: usize| {
            for (place, argument) in (at..).zip(&mut arguments[..length]) {
                *argument = ring.argument(place).load(Ordering::Relaxed);
            }
        };
        let Some(taken) = worker.take(copy).unwrap() else {
            return;
        };
        if !taken.is_claimed {
            continue;
        }
        for &argument in &arguments[..taken.entry.count as usize] {
            worker.begin_exact(1);
            ring.made(argument).fetch_add(1, Ordering::Relaxed);
            if !worker.end_exact().unwrap() {
                return;
            }
            let copy = |ring: &Ring, at| ring.result(at).store(argument, Ordering::Relaxed);
            worker.write(1, copy, || {}, &Awake).unwrap();
        }
    }
}

/// What becomes of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Result,
    /// The worker died in its call.
    Failed,
    /// It is the pool's again.
    GivenBack,
}

struct Pool<'a> {
    side: PoolSide<&'a Ring>,
    posts: Vec<(u64, Vec<u64>)>,
    done: u64,
    answers: Vec<(u64, Answer)>,
}

impl<'a> Pool<'a> {
    /// With four arguments in three posts.
    fn new(ring: &'a Ring) -> Pool<'a> {
        ring.clear();
        let mut pool = Pool {
            side: PoolSide::new(ring),
            posts: Vec::new(),
            done: 0,
            answers: Vec::new(),
        };
        for arguments in [vec![1, 2], vec![3], vec![4]] {
            let entry = Entry {
                order: 7,
                count: arguments.len() as u32,
                length: arguments.len() as u64,
            };
            let copy = |ring: &Ring, at: u64| {
                for (place, &argument) in (at..).zip(&arguments) {
                    ring.argument(place).store(argument, Ordering::Relaxed);
                }
            };
            let index = pool.side.post(entry, copy).unwrap();
            pool.posts.push((index.expect("there is room"), arguments));
        }
        pool
    }

    fn give_back(&mut self, arguments: Vec<u64>) {
        let answers = arguments.into_iter().map(|it| (it, Answer::GivenBack));
        self.answers.extend(answers);
    }

    fn revoke_second(&mut self) {
        if let Some(&(index, _)) = self.posts.get(1)
            && self.side.revoke(index)
        {
            let (_, arguments) = self.posts.remove(1);
            self.give_back(arguments);
        }
    }

    fn collect(&mut self) {
        let mut results = Vec::new();
        let copy = |ring: &Ring, at: u64, length: usize| {
            let places = at..at + length as u64;
            results.extend(places.map(|place| ring.result(place).load(Ordering::Relaxed)));
        };
        self.side.collect(copy, &Awake).unwrap();
        for result in results {
            let (_, arguments) = self.posts.first_mut().expect("a result of a post");
            assert_eq!(arguments.remove(0), result);
            if arguments.is_empty() {
                self.posts.remove(0);
            }
            self.done += 1;
            self.answers.push((result, Answer::Result));
        }
    }

    /// The worker is dead: each argument has one answer, and what is given back was not
    /// made.
    fn settle(&mut self, ring: &Ring, condemned: Option<u64>, when: &str) {
        self.collect();
        if let Some(&(index, _)) = self.posts.first() {
            let failed = self.side.remains(index, self.done) == Remains::Begun;
            if let Some(call) = condemned {
                assert!(failed && call == self.done + 1, "{when}: not the one meant");
            }
            if failed {
                let argument = self.posts[0].1.remove(0);
                self.answers.push((argument, Answer::Failed));
            }
        } else {
            assert_eq!(condemned, None, "{when}: condemned, and done");
        }
        for (_, arguments) in std::mem::take(&mut self.posts) {
            self.give_back(arguments);
        }
        self.answers.sort_by_key(|it| it.0);
        let arguments: Vec<u64> = self.answers.iter().map(|it| it.0).collect();
        assert_eq!(arguments, [1, 2, 3, 4], "{when}: {:?}", self.answers);
        for &(argument, answer) in &self.answers {
            let times = ring.made(argument).load(Ordering::Relaxed);
            let is_right = match answer {
                Answer::Result => times == 1,
                Answer::Failed => times <= 1,
                Answer::GivenBack => times == 0,
            };
            assert!(
                is_right,
                "{when}: {argument} is {answer:?}, made {times} times"
            );
        }
    }
}

fn is_every() -> bool {
    std::env::var_os("EVERY_INSTRUCTION").is_some()
}

fn a_worker_killed_at_any_instruction_leaves_each_argument_one_answer() {
    let _ = share_processor();
    let ring = Ring::new();
    let mut random = Random::new();
    let mut pool = Pool::new(&ring);
    let points = match is_every() {
        true => Points::Every,
        false => Points::Some(POINTS, &mut random),
    };
    let instructions = kill_at(
        points,
        || armed(|| work(&ring)),
        |instruction| {
            pool.settle(&ring, None, &format!("killed after {instruction}"));
            pool = Pool::new(&ring);
        },
    );
    println!("{instructions} instructions");
}

fn a_worker_stopped_at_any_instruction_is_condemned_in_the_call_that_is_meant() {
    let _ = share_processor();
    let ring = Ring::new();
    let mut random = Random::new();
    drop(Pool::new(&ring));
    let instructions = count_instructions(|| armed(|| work(&ring)));
    let points: Vec<usize> = match is_every() {
        true => (0..=instructions).collect(),
        false => (0..POINTS)
            .map(|_| random.below(instructions as u64 + 1) as usize)
            .collect(),
    };
    let mut hit = 0;
    for instruction in points {
        for finishes in [false, true] {
            let mut pool = Pool::new(&ring);
            let mut stopped = Stepper::start(|| armed(|| work(&ring)));
            stopped.step(instruction);
            pool.collect();
            pool.revoke_second();
            let call = pool.side.standing().begun;
            let condemned = pool.side.condemn(call).then_some(call);
            hit += u32::from(condemned.is_some());
            match finishes {
                true => assert_eq!(stopped.finish(), 0),
                false => stopped.kill(),
            }
            pool.settle(&ring, condemned, &format!("stopped after {instruction}"));
        }
    }
    println!("{instructions} instructions, condemned at {hit}");
}

fn main() -> ExitCode {
    testkit::run(testkit::tests![
        a_worker_killed_at_any_instruction_leaves_each_argument_one_answer,
        a_worker_stopped_at_any_instruction_is_condemned_in_the_call_that_is_meant,
    ])
}
