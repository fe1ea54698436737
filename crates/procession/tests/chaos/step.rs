//! Killed, or stopped, at every machine instruction.

use crate::operations::{Bodies, Operation, PATIENCE, Pair, change_pair, check_pair};
use procession::ErrorKind;
use procession::process::{self, Fork};
use procession::sync::{LockError, Mutex};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::fault::armed;
use testkit::random::Random;
use testkit::step::kill_at;
use testkit::step::{Points, Stepper, count_instructions};

/// Kills a process at instructions of an operation; how many there are.
pub(crate) fn go_through(operation: &Operation, points: Points<'_>) -> usize {
    // On one processor nobody looks again before it sleeps: those loops change
    // nothing, and have many instructions.
    let _ = testkit::step::share_processor();
    let Bodies { operate, check, .. } = (operation.make)();
    // What the first use of an object needs is not part of the operation.
    check();
    kill_at(
        points,
        || {
            operate();
            check();
            armed(&operate);
        },
        |_| check(),
    )
}

/// Says that it is over, also by a panic: others are waited for.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As [`go_through`], while other threads of the process do the same elsewhere: one
/// with the same handles and one with others. How often they wait for each other
/// depends on chance; the instructions that count are those of one that does not wait.
pub(crate) fn go_through_with_threads(operation: &Operation, points: Points<'_>) -> usize {
    let mut elsewhere = testkit::step::share_processor();
    elsewhere.unset(rustix::thread::sched_getcpu());
    let bodies = (operation.make)();
    let Bodies { operate, check, .. } = &bodies;
    check();
    let instructions = count_instructions(|| {
        operate();
        check();
        armed(operate);
    });
    let at_work = || {
        check();
        let received = (bodies.by_another_handle)();
        let (turns, is_over) = ([const { AtomicUsize::new(0) }; 2], AtomicBool::new(false));
        std::thread::scope(|threads| {
            for (body, turns) in [operate, &received].into_iter().zip(&turns) {
                threads.spawn(|| {
                    let _ = rustix::thread::sched_setaffinity(None, &elsewhere);
                    while !is_over.load(Ordering::Relaxed) {
                        body();
                        turns.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while turns.iter().any(|turns| turns.load(Ordering::Relaxed) == 0) {
                std::thread::yield_now();
            }
            let _ends = Ends(&is_over);
            operate();
            armed(operate);
        });
    };
    let points = choose(points, instructions);
    for &point in &points {
        let mut stepper = Stepper::start(at_work);
        stepper.step(point);
        stepper.kill();
        check();
    }
    points.len()
}

/// Some of so many points, by chance, or all of them.
fn choose(points: Points<'_>, count: usize) -> Vec<usize> {
    match points {
        Points::Some(some, random) if some <= count => (0..some)
            .map(|_| random.below(count as u64 + 1) as usize)
            .collect(),
        _ => (0..=count).collect(),
    }
}

/// Kills a process at instructions of an operation, and whoever comes next at an
/// instruction of what it does then, `times` times each; how many pairs of
/// instructions that were.
pub(crate) fn go_through_nested(
    operation: &Operation,
    points: Points<'_>,
    times: usize,
    random: &mut Random,
) -> usize {
    let _ = testkit::step::share_processor();
    let Bodies { operate, check, .. } = (operation.make)();
    check();
    let first = || {
        operate();
        check();
        armed(&operate);
    };
    let second = || {
        warm_up();
        armed(&check);
    };
    let instructions = count_instructions(first);
    check();
    let following = count_instructions(second);
    let mut pairs = 0;
    for point in choose(points, instructions) {
        for _ in 0..times {
            let mut dies = Stepper::start(first);
            dies.step(point);
            dies.kill();
            let mut repairs = Stepper::start(second);
            repairs.step(random.below(following as u64 + 1) as usize);
            repairs.kill();
            check();
            pairs += 1;
        }
    }
    pairs
}

/// Stops a process at instructions of an operation and has another one use the
/// object; then the first is killed, and the other one has to come to its end.
/// How many instructions those were.
pub(crate) fn go_through_pairs(operation: &Operation, points: Points<'_>) -> usize {
    let _ = testkit::step::share_processor();
    let Bodies { operate, check, .. } = (operation.make)();
    check();
    let body = || {
        operate();
        check();
        armed(&operate);
    };
    let instructions = count_instructions(body);
    check();
    let points = choose(points, instructions);
    for &point in &points {
        let mut stopped = Stepper::start(body);
        stopped.step(point);
        let other = match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&check));
                process::exit(i32::from(outcome.is_err()))
            }
        };
        // It ends by itself, or waits for the one who is stopped.
        let _ = other.wait_timeout(Duration::from_millis(2));
        stopped.kill();
        let status = other
            .wait_timeout(PATIENCE)
            .expect("it waits for a dead one");
        // What it counted may have changed by the death while it counted.
        assert!(matches!(status.code(), Some(0 | 1)), "{status}");
        check();
    }
    points.len()
}

/// Instructions of each operation that a test kills at, by chance; the long run
/// takes all.
pub(crate) const POINTS: usize = 20;

/// Instructions of each operation that a test stops at while another one works.
pub(crate) const PAIRS: usize = 8;

/// Instructions of each operation that a test kills at with other threads at work.
pub(crate) const WITH_THREADS: usize = 4;

/// Instructions of each operation after which a test kills the next one too.
pub(crate) const NESTED: usize = 3;

/// Leaves a lock whose holder was killed.
fn orphan(pair: &Pair) {
    let mut stepper = Stepper::start(|| {
        let mut held = pair.lock_timeout(PATIENCE).unwrap();
        held[0] += 1;
        armed(|| held[1] += 1);
    });
    assert!(stepper.is_inside());
    stepper.kill();
}

/// Joins the registry and gets its number, before instructions count.
fn warm_up() {
    drop(Mutex::new(0_u8).unwrap().lock());
}

pub(crate) fn whoever_repairs_may_be_killed_at_any_instruction() {
    let pair = Mutex::new([0_u64, 0]).unwrap();
    let repair = || {
        warm_up();
        armed(|| match pair.lock() {
            Err(LockError::OwnerDied(mut left)) => {
                left[1] = left[0];
                drop(left.repaired());
            }
            other => panic!("{other:?}"),
        });
    };
    orphan(&pair);
    let mut random = Random::new();
    let instructions = count_instructions(repair);
    for _ in 0..POINTS.min(instructions) {
        let instruction = random.below(instructions as u64 + 1) as usize;
        orphan(&pair);
        let mut repairer = Stepper::start(repair);
        repairer.step(instruction);
        repairer.kill();
        check_pair(&pair);
    }
}

pub(crate) fn a_stopped_holder_is_waited_for_at_any_instruction() {
    let pair = Mutex::new([0_u64, 0]).unwrap();
    check_pair(&pair);
    let change = || {
        change_pair(&pair);
        armed(|| change_pair(&pair));
    };
    let mut random = Random::new();
    let instructions = count_instructions(change);
    for _ in 0..POINTS.min(instructions) {
        let instruction = random.below(instructions as u64 + 1) as usize;
        let mut stopped = Stepper::start(change);
        stopped.step(instruction);
        // It stands still there, and is not dead: either it does not hold the
        // lock, or nobody gets it.
        match pair.lock_timeout(Duration::from_micros(300)) {
            Ok(held) => assert_eq!(held[0], held[1], "taken from one who lives"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
        stopped.kill();
        check_pair(&pair);
    }
}

pub(crate) fn a_waiter_may_be_killed_at_any_instruction_of_its_sleep() {
    let pair = Mutex::new([0_u64, 0]).unwrap();
    check_pair(&pair);
    let wait = || {
        warm_up();
        armed(|| {
            let error = pair.lock_timeout(Duration::ZERO).map(drop).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        });
    };
    let held = pair.lock().unwrap();
    let mut random = Random::new();
    let instructions = count_instructions(wait);
    drop(held);
    for _ in 0..POINTS.min(instructions) {
        let instruction = random.below(instructions as u64 + 1) as usize;
        let held = pair.lock().unwrap();
        let mut waiter = Stepper::start(wait);
        waiter.step(instruction);
        waiter.kill();
        drop(held);
        check_pair(&pair);
    }
}
