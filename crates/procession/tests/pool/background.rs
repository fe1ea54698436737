//! Maps in the background: results, progress, cancelling, and every end that they may have.

use crate::results::block_on;
use crate::storms::in_a_storm;
use crate::{increment, pool, sleep_for_ever};
use procession::pool::{self, Pool, Stderr};
use procession::process::{self, Task};
use procession::queue;
use procession::shared::Counter;
use procession::{Deadline, Error, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::Duration;

/// Waits until something holds that happens in another process.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

pub(crate) fn results_come_in_order() {
    let pool = pool();
    for count in [0, 1, 2, 10, 1000, 100_000] {
        let map = pool.calls(increment).spawn_map(0..count).unwrap();
        assert_eq!(map.total(), count);
        assert!(map.join().unwrap().into_iter().eq(1..=count));
    }
    // Several at once, and arguments that travel by themselves, between others.
    let long = |number: usize| "x".repeat(if number % 9 == 4 { 100_000 } else { number });
    let length = |word: String| word.len();
    let maps = [1, 3, 100].map(|size| {
        let calls = pool.calls(length).chunk_size(size);
        calls.spawn_map((0..300).map(long)).unwrap()
    });
    for map in maps {
        let lengths = map.join().unwrap();
        assert!(
            lengths
                .into_iter()
                .eq((0..300).map(|number| long(number).len()))
        );
    }
}

pub(crate) fn progress_is_told_while_nobody_waits() {
    let pool = pool();
    let (sender, receiver) = queue::bounded::<()>(10).unwrap();
    let wait = Task::lend(receiver, |receiver: &queue::Receiver<()>, x: u64| {
        receiver.recv().unwrap();
        x
    });
    let wait = wait.unwrap();
    let mut map = pool.task(&wait).chunk_size(2).spawn_map(0..10).unwrap();
    for sent in 0..10 {
        assert_eq!((map.done(), map.is_finished()), (sent, false));
        assert!(map.try_join().unwrap_err().is_would_block());
        let timeout = map.join_timeout(Duration::from_millis(1));
        let timeout = timeout.unwrap_err();
        assert_eq!(timeout.kind(), ErrorKind::TimedOut);
        let told = format!("{sent} of 10 calls have ended");
        assert!(timeout.to_string().contains(&told), "{timeout}");
        sender.send(()).unwrap();
        until(|| map.done() == sent + 1);
    }
    assert!(map.is_finished() && map.first_failure().is_none());
    assert!(map.try_join().unwrap().unwrap().into_iter().eq(0..10));
    let again = map.try_join().unwrap().unwrap_err();
    assert!(again.to_string().contains("joined before"), "{again}");
}

/// 0 hangs, odd numbers fail.
fn is_even(x: u64) -> u64 {
    if x == 0 {
        sleep_for_ever(x);
    }
    assert!(x.is_multiple_of(2), "{x} is odd");
    x
}

pub(crate) fn the_first_failure_ends_the_wait() {
    let pool = Pool::builder()
        .workers(2)
        .stderr(Stderr::Keep)
        .build()
        .unwrap();
    let calls = || pool.calls(is_even).chunk_size(1);
    let map = calls().spawn_map([0, 2, 3]).unwrap();
    until(|| map.is_finished());
    let known = map.first_failure().unwrap();
    let failed = map.join().unwrap_err();
    assert_eq!(failed, known);
    assert_eq!((failed.index(), failed.attempts()), (Some(2), 1));
    assert!(failed.to_string().contains("3 is odd"), "{failed}");
    // Retries come first.
    let map = calls().retries(2).spawn_map([3]).unwrap();
    assert_eq!(map.join().unwrap_err().attempts(), 3);
    // As with `map`, the call that hangs is nobody's any more, and goes with the pool.
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn an_argument_that_cannot_be_encoded_is_a_failure() {
    struct Refused(u64);
    impl serde::Serialize for Refused {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                3 => Err(serde::ser::Error::custom("three is refused")),
                number => serializer.serialize_u64(number),
            }
        }
    }
    impl<'de> serde::Deserialize<'de> for Refused {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Refused, D::Error> {
            u64::deserialize(from).map(Refused)
        }
    }
    let pool = pool();
    let map = pool
        .calls(|refused: Refused| refused.0)
        .spawn_map((0..9).map(Refused));
    let failed = map.unwrap().join().unwrap_err();
    assert_eq!(failed.index(), Some(3));
    assert!(failed.to_string().contains("three is refused"), "{failed}");
}

pub(crate) fn workers_killed_meanwhile_lose_nothing() {
    let pool = pool();
    let count = 20_000;
    let (results, kills) = in_a_storm(&pool, Duration::from_millis(5), || {
        let map = pool.calls(increment).retries(u32::MAX).spawn_map(0..count);
        map.unwrap().join()
    });
    assert!(results.unwrap().into_iter().eq(1..=count), "{kills} kills");
    // Without retries, a worker's death is the failure of the whole.
    let map = pool
        .calls(|_: u64| std::process::abort())
        .spawn_map(0..10)
        .unwrap();
    let _: &pool::MapHandle<()> = &map;
    assert!(map.join().unwrap_err().signal().is_some());
}

/// Counts itself, and hangs from the tenth on.
fn count_and_hang(counter: &Counter, _: u64) {
    if counter.add(1) >= 10 {
        sleep_for_ever(());
    }
}

pub(crate) fn what_is_cancelled_ends() {
    let pool = pool();
    for size in [1, 3, 1000] {
        let counter = Counter::new(0).unwrap();
        let task = Task::lend(counter.clone(), count_and_hang).unwrap();
        let calls = pool.task(&task).chunk_size(size);
        let map = calls.spawn_map(0..10_000).unwrap();
        until(|| counter.get() > 10);
        map.cancel();
        let failed = map.join().unwrap_err();
        assert!(failed.is_cancelled(), "{failed}");
        // Nobody is in a call, and none is left to be made.
        assert_eq!(pool.map(increment, 0..1000).unwrap().len(), 1000);
        // How the last batch went is told after its results.
        until(|| {
            let stats = pool.stats();
            (stats.queued, stats.running) == (0, 0)
        });
    }
    // Results that are here stay.
    let mut map = pool.calls(increment).spawn_map(0..100).unwrap();
    until(|| map.is_finished());
    map.cancel();
    assert_eq!(
        map.join_deadline(Deadline::NOW).unwrap().unwrap().len(),
        100
    );
}

pub(crate) fn what_is_given_notice_ends_by_itself() {
    let pool = pool();
    let (sender, begun) = queue::bounded::<u32>(100).unwrap();
    let task = Task::lend(sender, |sender: &queue::Sender<u32>, _: u64| {
        sender.send(std::process::id()).unwrap();
        until(pool::stop_requested);
    });
    let task = task.unwrap();
    for size in [1, 10].into_iter().cycle().take(40) {
        let map = pool.task(&task).chunk_size(size).spawn_map(0..100).unwrap();
        let mut pids = vec![begun.recv().unwrap(), begun.recv().unwrap()];
        map.cancel_after(Duration::from_secs(3600));
        until(|| map.done() == 100);
        assert!(map.join().unwrap_err().is_cancelled());
        let mut alive = pool.pids();
        alive.sort_unstable();
        pids.sort_unstable();
        assert_eq!(alive, pids, "nobody was killed");
        let further = begun.try_recv();
        assert!(further.is_err(), "no call has begun after the notice");
    }
}

pub(crate) fn the_end_of_the_pool_is_the_end_of_the_map() {
    for end in [|pool: Pool| drop(pool), |pool: Pool| drop(pool.terminate())] {
        let pool = pool();
        let map = pool
            .calls(sleep_for_ever::<u64>)
            .spawn_map(0..1000)
            .unwrap();
        end(pool);
        assert_eq!(map.done(), 1000);
        assert!(map.join().unwrap_err().is_cancelled());
    }
    // Joining has all of it done, whoever holds the handle.
    let pool = pool();
    let map = pool.calls(increment).spawn_map(0..100_000).unwrap();
    let (sender, maps) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        sender.send(()).unwrap();
        std::thread::park();
        map.join()
    });
    maps.recv().unwrap();
    pool.join();
    holder.thread().unpark();
    assert!(holder.join().unwrap().unwrap().into_iter().eq(1..=100_000));
}

pub(crate) fn a_closed_pool_takes_none() {
    let pool = pool();
    pool.close();
    let refused = pool.calls(increment).spawn_map([1]).unwrap_err();
    assert!(refused.to_string().contains("closed"), "{refused}");
}

pub(crate) fn a_panicking_iterator_begins_nothing() {
    let pool = pool();
    let counter = Counter::new(0).unwrap();
    let task = Task::lend(counter.clone(), |counter: &Counter, _: u64| {
        counter.add(1);
    });
    let task = task.unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let spawn = AssertUnwindSafe(|| {
        let arguments = (0..1000).inspect(|number| assert!(*number < 999));
        pool.task(&task).spawn_map(arguments).map(drop)
    });
    assert!(std::panic::catch_unwind(spawn).is_err());
    let _ = std::panic::take_hook();
    pool.task(&task).spawn_map(0..10).unwrap().join().unwrap();
    assert_eq!(counter.get(), 10);
    assert_eq!(pool.stats().queued, 0);
}

pub(crate) fn a_dropped_handle_lets_the_calls_go_on() {
    let pool = pool();
    let (sender, receiver) = queue::bounded::<u64>(1000).unwrap();
    let send = Task::lend(sender, |sender: &queue::Sender<u64>, x: u64| {
        sender.send(x).unwrap();
    });
    let send = send.unwrap();
    pool.task(&send).spawn_map(0..500).unwrap().detach();
    // Its number is another's now.
    let map = pool.calls(increment).spawn_map(0..500).unwrap();
    let mut all: Vec<u64> = (0..500).map(|_| receiver.recv().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..500));
    assert!(map.join().unwrap().into_iter().eq(1..=500));
}

pub(crate) fn a_deadline_ends_it_though_nobody_waits() {
    let pool = pool();
    let deadline = Deadline::after(Duration::from_millis(20));
    let calls = pool.calls(sleep_for_ever::<u64>).deadline(deadline);
    let map = calls.spawn_map(0..100).unwrap();
    // Those who look do not end it: the pool does.
    until(|| pool.stats().queued == 0);
    until(|| map.done() == 100);
    let failed = map.join().unwrap_err();
    assert!(failed.is_timeout(), "{failed}");
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn it_is_a_future() {
    let pool = pool();
    for count in [0, 1, 1000] {
        let map = pool.calls(increment).spawn_map(0..count).unwrap();
        assert!(block_on(map).unwrap().into_iter().eq(1..=count));
    }
    let hang = pool.calls(sleep_for_ever::<u64>).spawn_map(0..10).unwrap();
    let ender = std::thread::spawn(move || drop(pool));
    assert!(block_on(hang).unwrap_err().is_cancelled());
    ender.join().unwrap();
}

pub(crate) fn a_forked_copy_of_the_handle_is_refused() {
    let pool = pool();
    let map = pool.calls(increment).spawn_map(0..10).unwrap();
    // SAFETY: the child uses nothing that other threads may have locked, and exits.
    match unsafe { process::fork_unchecked() }.unwrap() {
        process::Fork::Child => {
            let refused: Error = map.join().unwrap_err().into();
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
            process::exit(0)
        }
        process::Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    assert!(map.join().unwrap().into_iter().eq(1..=10));
}
