//! A worker, or its pool, that is gone after its first atomic operation, after its
//! second, and so on, or is met by the other one there: each argument has one answer,
//! and no call is made twice.

use super::{Entry, Memory, Part, PoolSide, Remains, Word, WorkerSide};
use crate::Futex;
use crate::atomics::{AtomicU64, Ordering};
use crate::stepping::{run_for, run_watched};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many operations an actor may have; more is an endless loop.
const BOUND: usize = 1000;

/// Three slots, four bytes of arguments and of results; and a journal.
#[derive(Default)]
struct Ring {
    words: [AtomicU64; 13],
    slots: [AtomicU64; 12],
    /// Words, so that copying has operations as well.
    arguments: [AtomicU64; 4],
    results: [AtomicU64; 4],
    /// Arguments whose calls have had their effect.
    made: RefCell<Vec<u8>>,
}

impl Memory for Ring {
    const SLOTS: u64 = 3;
    const ROOM: u64 = 4;

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.words[word as usize]
    }

    fn slot(&self, index: u64, part: Part) -> &AtomicU64 {
        &self.slots[index as usize % 3 * 4 + part as usize]
    }
}

fn load(word: &AtomicU64) -> u8 {
    word.load(Ordering::Relaxed) as u8
}

/// What a sleep ends with: nobody would wake the sleeper.
struct Asleep;

struct Alone;

impl Futex for Alone {
    fn wait(&self, _: &AtomicU64, _: u32) {
        std::panic::resume_unwind(Box::new(Asleep));
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

/// What becomes of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Result,
    /// The worker died in its call, or was to.
    Failed,
    /// It is the pool's again.
    GivenBack,
}

/// A pool, and the arguments of the posts that have no results.
struct Pool<'a> {
    side: PoolSide<&'a Ring>,
    posts: Vec<(u64, Vec<u8>)>,
    done: u64,
    answers: Vec<(u8, Answer)>,
}

impl<'a> Pool<'a> {
    fn new(memory: &'a Ring) -> Pool<'a> {
        Pool {
            side: PoolSide::new(memory),
            posts: Vec::new(),
            done: 0,
            answers: Vec::new(),
        }
    }

    fn post(&mut self, arguments: &[u8]) {
        let entry = Entry {
            order: 7,
            count: arguments.len() as u32,
            length: arguments.len() as u64,
        };
        let copy = |ring: &Ring, at: u64| {
            for (place, &argument) in (at as usize..).zip(arguments) {
                ring.arguments[place % 4].store(argument.into(), Ordering::Relaxed);
            }
        };
        let index = self.side.post(entry, copy).expect("an honest worker");
        let index = index.expect("there is room");
        self.posts.push((index, arguments.to_vec()));
    }

    fn give_back(&mut self, arguments: Vec<u8>) {
        let answers = arguments.into_iter().map(|it| (it, Answer::GivenBack));
        self.answers.extend(answers);
    }

    /// Takes back the post behind the first one, if it can be.
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
            let places = at as usize..at as usize + length;
            results.extend(places.map(|place| load(&ring.results[place % 4])));
        };
        let outcome = self.side.collect(copy, &Alone);
        assert_eq!(outcome, Ok(!results.is_empty()));
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

    /// The worker is dead, or was condemned with this call in its hands.
    fn settle(&mut self, condemned: Option<u64>) {
        self.collect();
        if let Some(&(index, _)) = self.posts.first() {
            let remains = self.side.remains(index, self.done);
            let failed = remains == Remains::Begun;
            if let Some(call) = condemned {
                assert!(failed && call == self.done + 1, "another call is meant");
            }
            if failed {
                let argument = self.posts[0].1.remove(0);
                self.answers.push((argument, Answer::Failed));
            }
        } else {
            assert_eq!(condemned, None, "condemned, and done");
        }
        for (_, arguments) in std::mem::take(&mut self.posts) {
            self.give_back(arguments);
        }
    }

    /// Each argument has one answer, and what has been given back was not made.
    fn check(&mut self, made: &[u8], exact: bool, when: &str) {
        self.answers.sort_by_key(|it| it.0);
        let arguments: Vec<u8> = self.answers.iter().map(|it| it.0).collect();
        assert_eq!(arguments, [1, 2, 3, 4], "{when}: {:?}", self.answers);
        for &(argument, answer) in &self.answers {
            let times = made.iter().filter(|it| **it == argument).count();
            let is_right = match answer {
                Answer::Result => times == 1,
                // One that can be condemned is begun in three operations.
                Answer::Failed => times == 1 || exact && times == 0,
                Answer::GivenBack => times == 0,
            };
            assert!(
                is_right,
                "{when}: {argument} is {answer:?}, made {times} times"
            );
        }
    }
}

/// Does all that there is; ends when it is condemned.
fn work(ring: &Ring, exact: bool) {
    let mut worker = WorkerSide::new(ring);
    worker.become_ready();
    let mut arguments = Vec::new();
    loop {
        arguments.clear();
        let copy = |ring: &Ring, at: u64, length: usize| {
            let places = at as usize..at as usize + length;
            arguments.extend(places.map(|place| load(&ring.arguments[place % 4])));
        };
        match worker.take(copy).expect("an honest pool") {
            None => return worker.wait(|| {}, &Alone),
            Some(taken) if !taken.is_claimed => continue,
            Some(taken) => assert_eq!(taken.entry.count as usize, arguments.len()),
        }
        for &argument in &arguments {
            match exact {
                true => worker.begin_exact(1),
                false => worker.begin(),
            }
            ring.made.borrow_mut().push(argument);
            if exact && !worker.end_exact().expect("an honest pool") {
                return;
            }
            let copy = |ring: &Ring, at: u64| {
                ring.results[at as usize % 4].store(argument.into(), Ordering::Relaxed);
            };
            let written = worker.write(1, copy, || {}, &Alone);
            written.expect("an honest pool");
        }
    }
}

/// Runs somebody until it sleeps, or returns.
fn until_asleep(actor: impl FnOnce()) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(actor));
    if let Err(payload) = outcome
        && !payload.is::<Asleep>()
    {
        std::panic::resume_unwind(payload);
    }
}

#[test]
fn a_dead_worker_leaves_each_argument_answered_or_given_back() {
    for exact in [false, true] {
        for revokes in [false, true] {
            let mut finished = None;
            for operations in 0..BOUND {
                let ring = Ring::default();
                let mut pool = Pool::new(&ring);
                pool.post(&[1, 2]);
                pool.post(&[3]);
                pool.post(&[4]);
                if revokes {
                    pool.revoke_second();
                }
                let is_over = run_for(operations, || until_asleep(|| work(&ring, exact)));
                pool.settle(None);
                pool.check(&ring.made.borrow(), exact, &format!("after {operations}"));
                if is_over {
                    assert_eq!(ring.made.borrow().len(), if revokes { 3 } else { 4 });
                    finished = Some(operations);
                    break;
                }
            }
            assert!(
                finished.is_some_and(|operations| operations > 30),
                "{finished:?}"
            );
        }
    }
}

/// The pool collects, revokes and condemns while the worker stands at an operation.
#[test]
fn a_call_that_is_condemned_anywhere_has_no_result_and_no_other_is_hit() {
    let mut condemned_at = 0;
    let mut revoked_at = 0;
    for at in 0..BOUND {
        // For a watcher, which borrows nothing.
        let ring: &'static Ring = Box::leak(Box::default());
        let mut pool = Pool::new(ring);
        pool.post(&[1, 2]);
        pool.post(&[3]);
        pool.post(&[4]);
        let pool = Rc::new(RefCell::new(pool));
        let condemned = Rc::new(Cell::new(None));
        let was_there = Rc::new(Cell::new(false));
        let watcher = {
            let (pool, condemned) = (Rc::clone(&pool), Rc::clone(&condemned));
            let was_there = Rc::clone(&was_there);
            move |number| {
                if number != at {
                    return;
                }
                was_there.set(true);
                let mut pool = pool.borrow_mut();
                pool.collect();
                pool.revoke_second();
                let call = pool.side.standing().begun;
                condemned.set(pool.side.condemn(call).then_some(call));
            }
        };
        run_watched(Box::new(watcher), || until_asleep(|| work(ring, true)));
        let mut pool = pool.borrow_mut();
        condemned_at += u32::from(condemned.get().is_some());
        revoked_at += u32::from(pool.answers.iter().any(|it| it.1 == Answer::GivenBack));
        pool.settle(condemned.get());
        pool.check(&ring.made.borrow(), true, &format!("at {at}"));
        if !was_there.get() {
            assert!(
                condemned_at > 3 && revoked_at > 3,
                "{condemned_at}, {revoked_at}"
            );
            return;
        }
    }
    panic!("more than {BOUND} operations");
}

#[test]
fn what_a_dead_pool_has_posted_is_done_and_then_the_worker_sleeps() {
    for operations in 0..BOUND {
        let ring = Ring::default();
        let is_over = run_for(operations, || {
            let mut pool = Pool::new(&ring);
            pool.post(&[1, 2]);
            pool.side.announce(&Alone);
            pool.post(&[3]);
            pool.side.announce(&Alone);
            pool.revoke_second();
            pool.collect();
        });
        until_asleep(|| work(&ring, true));
        let made = ring.made.borrow();
        assert!([1, 2, 3].starts_with(&made) && made.len() != 1, "{made:?}");
        if is_over {
            assert_eq!(*made, [1, 2]);
            return;
        }
    }
    panic!("more than {BOUND} operations");
}

/// One that waits for room, which a dead pool never makes.
#[test]
fn a_worker_whose_pool_is_dead_waits_for_room_asleep() {
    let ring = Ring::default();
    let mut rang = Cell::new(0);
    until_asleep(|| {
        let mut worker = WorkerSide::new(&ring);
        for _ in 0..5 {
            let when_full = || rang.set(rang.get() + 1);
            worker.write(1, |_, _| {}, when_full, &Alone).unwrap();
        }
        panic!("there is no room");
    });
    assert_eq!(*rang.get_mut(), 1);
}
