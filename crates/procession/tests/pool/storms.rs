//! Workers that are killed, again and again, while they work.

use crate::{increment, pool};
use procession::pool::{Pool, Stderr, TaskError};
use procession::process::Signal;
use rustix::process::{Pid, Signal as Number, kill_process};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::random::Random;

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    // It may have died since.
    let _ = kill_process(pid, Number::KILL);
}

/// Ends a storm, also when what it is about panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while workers are killed at random moments, each time after some task
/// was done: whoever kills all before they have started leaves nothing to be tested.
/// How many were killed.
pub(crate) fn in_a_storm<T>(
    pool: &Pool,
    most_wait: Duration,
    calm: impl FnOnce() -> T,
) -> (T, u64) {
    let (over, kills) = (AtomicBool::new(false), AtomicU64::new(0));
    let value = std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            let mut random = Random::new();
            let mut seen = 0;
            while !over.load(Ordering::Relaxed) {
                let (tasks, pids) = (pool.stats().tasks(), pool.pids());
                if tasks > seen && !pids.is_empty() {
                    seen = tasks;
                    kill(pids[random.below(pids.len() as u64) as usize]);
                    kills.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(random.moment(most_wait));
            }
        });
        calm()
    });
    (value, kills.into_inner())
}

/// Every task is a result or an error that says that its worker was killed.
fn account(count: u64, results: impl Iterator<Item = (u64, Result<u64, TaskError>)>) -> u64 {
    let mut seen = vec![false; count as usize];
    let mut killed = 0;
    for (index, result) in results {
        assert!(
            !std::mem::replace(&mut seen[index as usize], true),
            "twice: {index}"
        );
        match result {
            Ok(value) => assert_eq!(value, index + 1),
            Err(error) => {
                assert_eq!(error.signal(), Some(Signal::KILL), "{error}");
                assert_eq!(error.index(), Some(index));
                killed += 1;
            }
        }
    }
    assert!(seen.into_iter().all(|seen| seen), "some are missing");
    killed
}

/// Some microseconds of work.
fn work(x: u64) -> u64 {
    let mut value = x;
    for _ in 0..2000 {
        value = std::hint::black_box(value.wrapping_mul(31).wrapping_add(7));
    }
    x + 1
}

pub(crate) fn workers_killed_at_random_lose_nothing() {
    let pool = pool();
    let count = 100_000;
    let (killed, kills) = in_a_storm(&pool, Duration::from_millis(5), || {
        let mut results = pool.imap_unordered(work, 0..count);
        account(count, std::iter::from_fn(move || results.next_indexed()))
    });
    assert!(killed <= kills, "{killed} failed, {kills} were killed");
    assert!(kills > 10, "a storm of {kills} kills");
    assert!(
        pool.map(increment, 0..1000)
            .unwrap()
            .into_iter()
            .eq(1..=1000)
    );
}

pub(crate) fn single_tasks_survive_a_storm() {
    let pool = pool();
    let count = 20_000;
    in_a_storm(&pool, Duration::from_millis(3), || {
        let mut killed = 0;
        for round in 0..count / 500 {
            let tasks: Vec<_> = (0..500)
                .map(|number| {
                    (
                        round * 500 + number,
                        pool.spawn(work, round * 500 + number).unwrap(),
                    )
                })
                .collect();
            for (number, task) in tasks {
                match task.join() {
                    Ok(value) => assert_eq!(value, number + 1),
                    Err(error) => {
                        assert_eq!(error.signal(), Some(Signal::KILL), "{error}");
                        killed += 1;
                    }
                }
            }
        }
        killed
    });
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn all_workers_killed_at_once() {
    let pool = pool();
    for _ in 0..20 {
        let mut results = pool.imap(work, 0..20_000);
        let first = results.next().unwrap();
        assert!(first.is_ok());
        pool.pids().into_iter().for_each(kill);
        let rest: Vec<_> = results.collect();
        assert_eq!(rest.len(), 19_999);
        let killed = rest.iter().filter(|result| result.is_err()).count();
        assert!(killed <= 2, "{killed} failed");
    }
}

pub(crate) fn killed_while_starting() {
    for round in 0..30 {
        let pool = pool();
        let mut random = Random::new();
        let pids = pool.pids();
        std::thread::sleep(random.moment(Duration::from_micros(600)));
        pids.into_iter().for_each(kill);
        let results: Vec<_> = pool.imap(increment, 0..100).collect();
        assert_eq!(results.len(), 100, "round {round}");
        assert!(results.iter().filter(|result| result.is_err()).count() <= 2);
    }
}

pub(crate) fn retried_tasks_all_succeed_in_a_storm() {
    let pool = pool();
    let count = 30_000;
    in_a_storm(&pool, Duration::from_millis(5), || {
        let results = pool.calls(work).retries(1000).map(0..count).unwrap();
        assert!(results.into_iter().eq(1..=count));
    });
}

/// Work that fails now and then, in one way or another.
fn risky(x: u64) -> u64 {
    match x % 50 {
        7 => panic!("the {x}th"),
        23 => std::process::exit(3),
        _ => work(x),
    }
}

pub(crate) fn panics_in_a_storm_are_told_and_nothing_is_lost() {
    let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    let count = 4_000;
    let (called, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Others whose callbacks and judges panic, on the same pool.
        let beside = scope.spawn(|| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let mut given = 0;
            while !over.load(Ordering::Relaxed) {
                let sender = sender.clone();
                let task = pool.calls(risky).retries(1);
                let judged = task.retry_if(|_| panic!("in retry_if")).spawn(given);
                judged.unwrap().on_done(move |_| {
                    sender.send(()).unwrap();
                    panic!("in a callback");
                });
                given += 1;
                receiver.recv().unwrap();
                called.fetch_add(1, Ordering::Relaxed);
            }
            given
        });
        let over = Over(&over);
        in_a_storm(&pool, Duration::from_millis(5), || {
            let mut seen = vec![false; count as usize];
            let mut results = pool.imap_unordered(risky, 0..count);
            while let Some((index, result)) = results.next_indexed() {
                assert!(
                    !std::mem::replace(&mut seen[index as usize], true),
                    "twice: {index}"
                );
                match result {
                    Ok(value) => assert_eq!(value, index + 1),
                    Err(error) if error.signal() == Some(Signal::KILL) => {}
                    Err(error) => match index % 50 {
                        7 => assert!(error.panic().unwrap().message.contains(&index.to_string())),
                        23 => assert!(error.to_string().contains("code 3"), "{error}"),
                        _ => panic!("{error}"),
                    },
                }
            }
            assert!(seen.into_iter().all(|seen| seen), "some are missing");
        });
        drop(over);
        assert_eq!(beside.join().unwrap(), called.load(Ordering::Relaxed));
    });
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    pool.join();
}
