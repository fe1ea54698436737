//! The end of a pool, whoever asks for it and whatever state its workers are in.

use crate::{increment, pool, sleep_for_ever};
use procession::Deadline;
use procession::pool::{self, Pool, Stats, Stderr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn doze(x: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(2));
    x + 1
}

/// Ends that do what is left.
const JOINS: [fn(Pool) -> Stats; 2] = [Pool::join, |pool| {
    pool.join_deadline(Deadline::NEVER).unwrap()
}];

/// All tasks are done when the pool has ended, however its workers come and go.
fn all_is_done(build: impl Fn() -> pool::Builder, tasks: u64) {
    for join in JOINS.into_iter().cycle().take(10) {
        let pool = build().build().unwrap();
        let tasks: Vec<_> = (0..tasks).map(|n| pool.spawn(doze, n).unwrap()).collect();
        join(pool);
        for (number, task) in (0..).zip(tasks) {
            assert!(task.is_finished());
            assert_eq!(task.join().unwrap(), number + 1);
        }
    }
}

pub(crate) fn recycled_workers_are_replaced_until_all_is_done() {
    for workers in 1..4 {
        all_is_done(
            || Pool::builder().workers(workers).max_tasks_per_worker(1),
            7,
        );
    }
    all_is_done(|| Pool::builder().workers(2).max_tasks_per_worker(3), 7);
    all_is_done(|| Pool::builder().workers(2).recycle_above(1), 7);
}

pub(crate) fn a_pool_without_workers_ends() {
    all_is_done(|| Pool::builder().workers(2).lazy(), 0);
    all_is_done(|| Pool::builder().workers(2).lazy(), 3);
    all_is_done(|| Pool::builder().workers(2), 0);
    let short = Duration::from_millis(1);
    for join in JOINS {
        let pool = Pool::builder().workers(2).idle_timeout(short).build();
        let pool = pool.unwrap();
        assert_eq!(pool.call(increment, 1).unwrap(), 2);
        testkit::eventually("they have ended", || pool.pids().is_empty());
        join(pool);
    }
}

pub(crate) fn workers_that_die_are_replaced_until_all_is_done() {
    let die = |x: u64| {
        if x.is_multiple_of(2) {
            std::process::abort()
        }
        x
    };
    for join in JOINS {
        let pool = Pool::builder().workers(2).stderr(Stderr::Keep).build();
        let pool = pool.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|n| pool.calls(die).retries(1).spawn(n).unwrap())
            .collect();
        join(pool);
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task.join().is_ok(), number % 2 == 1);
        }
    }
}

fn fail(x: u64) -> u64 {
    panic!("it is {x}")
}

/// Ends that leave undone what is left.
const ENDS: [fn(Pool); 2] = [|pool| drop(pool.terminate()), drop];

pub(crate) fn callbacks_are_called_once_whatever_ends_the_pool() {
    // How often each was called, with a result or a failure.
    let called = |count: usize| -> Arc<Vec<[AtomicU32; 2]>> {
        Arc::new((0..count).map(|_| Default::default()).collect())
    };
    let kinds: [fn(u64) -> u64; 3] = [increment, fail, |x| {
        sleep_for_ever(x);
        x
    }];
    let give = |pool: &Pool, kinds: &[fn(u64) -> u64]| {
        let calls = called(kinds.len() * 5);
        for number in 0..calls.len() {
            let task = pool.spawn(kinds[number % kinds.len()], number as u64);
            let calls = Arc::clone(&calls);
            task.unwrap().on_done(move |result| {
                calls[number][usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
                result.unwrap();
            });
        }
        calls
    };
    let quiet = || Pool::builder().workers(2).stderr(Stderr::Keep).build();
    for join in JOINS.into_iter().cycle().take(10) {
        let pool = quiet().unwrap();
        let calls = give(&pool, &kinds[..2]);
        join(pool);
        for (number, [results, failures]) in calls.iter().enumerate() {
            let counts = [results, failures].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(counts, [[1, 0], [0, 1]][number % 2], "{number}");
        }
    }
    for end in ENDS.into_iter().cycle().take(10) {
        let pool = quiet().unwrap();
        let calls = give(&pool, &kinds);
        end(pool);
        for [results, failures] in calls.iter() {
            let sum = results.load(Ordering::Relaxed) + failures.load(Ordering::Relaxed);
            assert_eq!(sum, 1);
        }
    }
}

pub(crate) fn a_callback_may_end_its_pool() {
    let ends: [fn(Pool); 4] = [
        |pool| drop(pool.join()),
        |pool| drop(pool.join_deadline(Deadline::NEVER)),
        |pool| drop(pool.terminate()),
        drop,
    ];
    for end in ends {
        let shared = Arc::new(Mutex::new(None));
        let (sender, receiver) = mpsc::channel();
        let pool = pool();
        for number in 0..4 {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            pool.spawn(increment, number)
                .unwrap()
                .on_done(move |result| {
                    // The first one waits until the pool is there.
                    let pool: Option<Pool> = match number {
                        0 => loop {
                            if let Some(pool) = shared.lock().unwrap().take() {
                                break Some(pool);
                            }
                            std::thread::yield_now();
                        },
                        _ => None,
                    };
                    if let Some(pool) = pool {
                        end(pool);
                    }
                    sender.send((number, result)).unwrap();
                });
        }
        *shared.lock().unwrap() = Some(pool);
        drop(sender);
        let mut called: Vec<u64> = receiver.iter().map(|(number, _)| number).collect();
        called.sort_unstable();
        assert_eq!(called, [0, 1, 2, 3]);
    }
}

pub(crate) fn a_callback_after_the_end_is_called_at_once() {
    let pool = pool();
    let task = pool.spawn(increment, 1).unwrap();
    pool.join();
    let (sender, receiver) = mpsc::channel();
    task.on_done(move |result| sender.send(result.unwrap()).unwrap());
    assert_eq!(receiver.try_recv(), Ok(2));
}

pub(crate) fn any_number_of_callbacks_are_called_after_one_has_ended_the_pool() {
    let owner = Arc::new(Mutex::new(Some(pool())));
    let spawn = |x| {
        let pool = owner.lock().unwrap();
        pool.as_ref().unwrap().spawn(increment, x).unwrap()
    };
    let tasks: Vec<_> = (0..200).map(spawn).collect();
    let (sender, receiver) = mpsc::channel();
    let (ended, owner) = (sender.clone(), Arc::clone(&owner));
    let last = owner.lock().unwrap().as_ref().unwrap().spawn(increment, 0);
    last.unwrap().on_done(move |_| {
        drop(owner.lock().unwrap().take().map(Pool::join));
        ended.send(0).unwrap();
    });
    assert_eq!(receiver.recv(), Ok(0));
    for (x, task) in (0..).zip(tasks) {
        let sender = sender.clone();
        task.on_done(move |result| sender.send(result.unwrap()).unwrap());
        let result = receiver.recv_timeout(Duration::from_secs(10));
        assert_eq!(result, Ok(x + 1), "it is called");
    }
}

pub(crate) fn joining_does_not_wait_for_what_only_the_joiner_could_take() {
    for join in JOINS {
        let pool = pool();
        let mut results = pool.imap(increment, 0..);
        assert_eq!(results.next().unwrap().unwrap(), 1);
        join(pool);
        let mut next = 1;
        let error = loop {
            match results.next().unwrap() {
                Ok(value) => next = value.max(next + 1),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("closed"), "{error}");
        assert!(results.next().is_none());
        assert!(next >= 1);
    }
}

pub(crate) fn joining_waits_for_what_others_take() {
    // With ten, what the other thread takes first is here already.
    for size in [1, 10] {
        let pool = pool();
        let mut results = pool.calls(increment).chunk_size(size).imap(0..2000);
        assert_eq!(results.next().unwrap().unwrap(), 1);
        let (sender, receiver) = mpsc::channel();
        let taking = std::thread::spawn(move || {
            assert_eq!(results.next().unwrap().unwrap(), 2);
            sender.send(()).unwrap();
            results.map(Result::unwrap).eq(3..=2000)
        });
        receiver.recv().unwrap();
        pool.join();
        assert!(taking.join().unwrap());
    }
}

/// Its worker was killed, and the next one is being made meanwhile.
pub(crate) fn a_pool_whose_worker_is_being_replaced_is_joined() {
    for _ in 0..20 {
        let pool = Pool::new(1).unwrap();
        let task = pool.spawn(crate::sleep_for_ever::<u64>, 1).unwrap();
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        pool.join();
    }
}
