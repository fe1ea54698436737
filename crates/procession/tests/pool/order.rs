//! Priorities, and what can be seen of a task that hangs.

use crate::{increment, sleep_for_ever};
use procession::pool::{self, Pool, Stderr};
use procession::queue::{self, Sender};
use procession::shared::Counter;
use std::time::Duration;

/// Says that it runs, and waits until it may go on.
fn hold((running, go): (Sender<()>, queue::Receiver<()>)) {
    running.send(()).unwrap();
    go.recv().unwrap();
}

pub(crate) fn priorities_hold_for_all_that_was_not_begun() {
    let pool = Pool::new(1).unwrap();
    let (order, ordered) = queue::bounded::<i32>(100).unwrap();
    let note = |(order, priority): (Sender<i32>, i32)| order.send(priority).unwrap();
    for round in 0..5 {
        let (running, runs) = queue::bounded(1).unwrap();
        let (go, gone) = queue::bounded(1).unwrap();
        let held = pool.spawn(hold, (running, gone)).unwrap();
        runs.recv().unwrap();
        // Some are with the worker already when the others come.
        let priorities = [0, 0, 0, 0, -3, 5, 0, 7, i32::MAX, 5, i32::MIN, 0];
        let tasks: Vec<_> = priorities
            .iter()
            .map(|&priority| {
                let calls = pool.calls(note).priority(priority);
                calls.spawn((order.clone(), priority)).unwrap()
            })
            .collect();
        go.send(()).unwrap();
        held.join().unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        let order: Vec<i32> = priorities.iter().map(|_| ordered.recv().unwrap()).collect();
        let mut sorted = priorities;
        sorted.sort_by_key(|priority| std::cmp::Reverse(*priority));
        assert_eq!(order, sorted, "round {round}");
    }
    pool.join();
}

pub(crate) fn a_chunk_of_low_priority_is_given_back() {
    let pool = Pool::new(1).unwrap();
    let (running, runs) = queue::bounded::<u64>(1000).unwrap();
    let slowly = |(running, x): (Sender<u64>, u64)| {
        running.send(x).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        x
    };
    std::thread::scope(|scope| {
        let many = scope.spawn(|| {
            let arguments = (0..200).map(|x| (running.clone(), x));
            let calls = pool.calls(slowly).chunk_size(200).priority(-1);
            calls.map(arguments).unwrap()
        });
        runs.recv().unwrap();
        // It does not wait for the whole chunk, nor do many.
        assert_eq!(pool.calls(increment).call(1).unwrap(), 2);
        assert_eq!(pool.map(increment, 0..50).unwrap().len(), 50);
        assert!(runs.len() < 190, "after {}", runs.len());
        assert!(many.join().unwrap().into_iter().eq(0..200));
    });
    pool.join();
}

pub(crate) fn what_is_given_back_takes_nobodys_place() {
    type Tools = (Counter, Sender<()>, queue::Receiver<()>);
    const LONG: Duration = Duration::from_secs(10);
    for round in 0..3 {
        let calls = Counter::new(0).unwrap();
        let (running, runs) = queue::bounded::<()>(1).unwrap();
        let (go, gone) = queue::bounded::<()>(1).unwrap();
        let builder = Pool::builder().workers(1);
        let builder = builder.initializer(|tools: Tools| tools, (calls.clone(), running, gone));
        let pool = builder.build().unwrap();
        let count = |x: u64| {
            pool::with_state(|(calls, running, gone): &mut Tools| {
                calls.add(1);
                if x == 0 {
                    running.send(()).unwrap();
                    gone.recv().unwrap();
                }
            });
            x
        };
        std::thread::scope(|scope| {
            let many = scope.spawn(|| pool.calls(count).chunk_size(50).map(0..50).unwrap());
            runs.recv().unwrap();
            // More than the worker takes: some of them wait in the queue when the rest of
            // the chunk comes back to it.
            let urgent = |x| pool.calls(increment).priority(5).spawn(x).unwrap();
            let tasks: Vec<_> = (0..6).map(urgent).collect();
            go.send(()).unwrap();
            for (x, mut task) in (0..).zip(tasks) {
                let result = task.join_timeout(LONG);
                let result = result.unwrap_or_else(|_| panic!("{x} is lost in round {round}"));
                assert_eq!(result.unwrap(), x + 1);
            }
            assert!(many.join().unwrap().into_iter().eq(0..50));
        });
        assert_eq!(calls.get(), 50, "each runs once");
        assert_eq!(pool.join().deaths, 0);
    }
}

pub(crate) fn a_hang_is_work_and_slow() {
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    let time = Duration::from_millis(300);
    let task = pool.calls(sleep_for_ever::<()>).timeout(time).spawn(());
    let task = task.unwrap();
    testkit::eventually("it is seen while it hangs", || {
        let stats = pool.stats();
        let is_slow = stats
            .slowest
            .first()
            .is_some_and(|slow| slow.time > time / 3);
        is_slow && stats.workers[0].working() > time / 3
    });
    assert!(task.join().unwrap_err().is_timeout());
    let stats = pool.stats();
    let slowest = &stats.slowest[0];
    assert!(slowest.time >= time, "{stats}");
    assert_eq!((slowest.index, stats.deaths), (None, 1));
    assert!(stats.workers[0].working() >= time, "{stats}");
    // The second of a chunk, by its place.
    let fail = |x: u64| {
        if x == 3 {
            std::thread::sleep(Duration::from_millis(50));
            std::process::abort()
        }
        x
    };
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    assert_eq!(pool.calls(fail).chunk_size(2).imap(2..6).count(), 4);
    let stats = pool.stats();
    assert_eq!(stats.slowest[0].index, Some(1), "{stats}");
    assert!(
        stats.workers[0].working() >= Duration::from_millis(50),
        "{stats}"
    );
}
