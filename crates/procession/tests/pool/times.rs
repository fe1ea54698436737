use crate::{increment, pool, sleep_for_ever};
use procession::pool::{self, Pool};
use procession::process::{self, Signal};
use procession::{Deadline, queue, shared::Counter};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(3600);

fn sleep_if(x: u64) -> u64 {
    if x == 42 {
        sleep_for_ever(());
    }
    x + 1
}

pub(crate) fn a_task_that_takes_too_long_is_killed_alone() {
    let pool = pool();
    let results: Vec<_> = pool
        .calls(sleep_if)
        .chunk_size(10)
        .timeout(SHORT)
        .imap(0..100)
        .collect();
    for (index, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, index + 1),
            Err(error) => assert!(error.is_timeout() && index == 42, "{error}"),
        }
    }
    let error = pool.calls(sleep_if).timeout(SHORT).call(42).unwrap_err();
    assert!(error.is_timeout() && error.pid().is_some());
    assert_eq!(pool.calls(sleep_if).timeout(LONG).call(1).unwrap(), 2);
}

pub(crate) fn whoever_ignores_sigterm_is_killed_too() {
    let stubborn = |()| {
        procession::signal::ignore(Signal::TERM).unwrap();
        sleep_for_ever(());
    };
    let error = pool().calls(stubborn).timeout(SHORT).call(()).unwrap_err();
    assert!(error.is_timeout());
}

pub(crate) fn grandchildren_are_killed_with_their_task() {
    let (reader, writer) = procession::os::pipe::pipe().unwrap();
    let parent = |writer: procession::os::pipe::Writer| {
        let output = writer.into_blocking().unwrap();
        let mut sleeper = std::process::Command::new("sleep");
        let mut child = sleeper.arg("3600").stdout(output).spawn().unwrap();
        child.wait().unwrap();
    };
    let error = pool()
        .calls(parent)
        .timeout(SHORT)
        .call(writer)
        .unwrap_err();
    assert!(error.is_timeout());
    // The end of the pipe is the end of the grandchild.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

fn until_noticed((): ()) -> u32 {
    while !pool::stop_requested() {
        std::thread::yield_now();
    }
    7
}

pub(crate) fn notice_is_seen() {
    let pool = pool();
    let calls = pool.calls(until_noticed).notice_after(SHORT).timeout(LONG);
    assert_eq!(calls.call(()).unwrap(), 7);
    let calls = pool
        .calls(until_noticed)
        .notice_after(Duration::from_millis(2));
    assert_eq!(calls.map([(); 10]).unwrap(), [7; 10]);
    assert!(!pool.call(|()| pool::stop_requested(), ()).unwrap());
    assert!(!pool::stop_requested());
}

/// Tells that it runs, and goes on.
fn tell(counter: Counter) {
    counter.add(1);
    sleep_for_ever(());
}

fn wait_for(counter: &Counter, count: i64) {
    testkit::eventually("tasks run", || counter.get() >= count);
}

pub(crate) fn a_running_task_is_cancelled() {
    let pool = Pool::new(1).unwrap();
    let counter = Counter::new(0).unwrap();
    for round in 1..20 {
        let task = pool.spawn(tell, counter.clone()).unwrap();
        wait_for(&counter, round);
        task.cancel();
        let error = task.join().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    }
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn a_waiting_task_is_cancelled() {
    let pool = Pool::new(1).unwrap();
    let counter = Counter::new(0).unwrap();
    let first = pool.spawn(tell, counter.clone()).unwrap();
    wait_for(&counter, 1);
    let others: Vec<_> = (0..10)
        .map(|_| pool.spawn(tell, counter.clone()).unwrap())
        .collect();
    for other in others {
        other.cancel();
        let error = other.join().unwrap_err();
        assert!(error.is_cancelled() && error.pid().is_none());
    }
    first.cancel();
    assert!(first.join().unwrap_err().is_cancelled());
    assert_eq!(counter.get(), 1);
}

pub(crate) fn a_task_may_end_by_itself_when_it_is_cancelled() {
    let pool = Pool::new(1).unwrap();
    let counter = Counter::new(0).unwrap();
    let patient = |counter: Counter| {
        counter.add(1);
        until_noticed(())
    };
    let task = pool.spawn(patient, counter.clone()).unwrap();
    wait_for(&counter, 1);
    task.cancel_after(LONG);
    assert_eq!(task.join().unwrap(), 7);
    assert_eq!(pool.stats().deaths, 0);
    let task = pool.spawn(tell, counter.clone()).unwrap();
    wait_for(&counter, 2);
    task.cancel_after(SHORT);
    assert!(task.join().unwrap_err().is_cancelled());
}

pub(crate) fn cancelling_what_is_finished_harms_nobody_else() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    let (running, runs) = queue::bounded::<()>(1).unwrap();
    let (go, gone) = queue::bounded::<()>(1).unwrap();
    let next = |(running, gone): (queue::Sender<()>, queue::Receiver<()>)| {
        running.send(()).unwrap();
        gone.recv().unwrap();
        pool::stop_requested()
    };
    for grace in [Duration::ZERO, LONG].into_iter().cycle().take(10) {
        // Its result is there, and nobody has taken it in.
        let finished = pool.spawn(increment, 1).unwrap();
        let next = pool.spawn(next, (running.clone(), gone.clone())).unwrap();
        runs.recv().unwrap();
        finished.cancel_after(grace);
        assert_eq!(finished.join().unwrap(), 2);
        go.send(()).unwrap();
        assert!(!next.join().unwrap(), "the next one was given notice");
    }
    assert_eq!(pool.stats().deaths, 0);
}

pub(crate) fn retries_come_to_a_result_or_the_last_error() {
    let pool = pool();
    let counter = Counter::new(0).unwrap();
    let moody = |counter: Counter| {
        match counter.add(1) {
            0 => panic!("first"),
            1 => std::process::abort(),
            2 => sleep_for_ever(()),
            _ => {}
        }
        counter.get()
    };
    let task = pool.calls(moody).retries(5).timeout(SHORT);
    let result = task.backoff(Duration::from_millis(1)).call(counter.clone());
    assert_eq!(result.unwrap(), 4);
    let hopeless = pool.calls(|()| -> u8 { panic!("always") }).retries(3);
    let error = hopeless.call(()).unwrap_err();
    assert_eq!(error.attempts(), 4);
    let calls = pool.calls(sleep_if).chunk_size(7).timeout(SHORT).retries(1);
    let results: Vec<_> = calls.imap(0..60).collect();
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    assert_eq!(results[42].as_ref().unwrap_err().attempts(), 2);
}

pub(crate) fn a_deadline_ends_one_call() {
    let pool = pool();
    let calls = pool.calls(sleep_if).deadline(Deadline::after(SHORT));
    let error = calls.call(42).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // It has passed for the next one too, which is not begun.
    assert!(calls.call(1).is_err_and(|error| error.is_timeout()));
    // What ran was killed, and the worker replaced.
    testkit::eventually("its worker is killed", || pool.stats().deaths > 0);
    assert_eq!(pool.map(sleep_if, [1, 2]).unwrap(), [2, 3]);
    let calls = pool.calls(sleep_if).deadline(Deadline::after(LONG));
    assert_eq!(calls.call(1).unwrap(), 2);
    assert_eq!(calls.call(2).unwrap(), 3);
    // A handle has a deadline of its own.
    let calls = pool.calls(sleep_if).deadline(Deadline::NOW);
    assert_eq!(calls.spawn(1).unwrap().join().unwrap(), 2);
}

pub(crate) fn a_deadline_ends_all_calls() {
    let pool = pool();
    let calls = pool.calls(sleep_if).deadline(Deadline::after(SHORT));
    let error = calls.map([1, 42, 42, 42, 42, 3]).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(pool.map(increment, 0..10).unwrap().len(), 10);
    let mut results = pool
        .calls(sleep_if)
        .deadline(Deadline::after(SHORT))
        .imap([1, 42]);
    assert_eq!(results.next().unwrap().unwrap(), 2);
    assert!(results.next().unwrap().unwrap_err().is_timeout());
    assert!(results.next().is_none());
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

/// Takes about as long as it may.
fn nearly(wait: u64) -> u64 {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_micros(wait) {}
    wait
}

pub(crate) fn a_call_after_a_late_one_is_not_hit() {
    let pool = pool();
    let timeout = Duration::from_micros(1000);
    let waits: Vec<u64> = (0..400).map(|n| if n % 2 == 0 { 950 } else { 0 }).collect();
    let results = pool
        .calls(nearly)
        .chunk_size(20)
        .timeout(timeout)
        .imap(waits.clone());
    for (result, wait) in results.zip(waits) {
        match result {
            Ok(value) => assert_eq!(value, wait),
            // A short one may be late too, where the machine is busy; but it says so.
            Err(error) => assert!(error.is_timeout(), "{error}"),
        }
    }
}

pub(crate) fn waiting_for_a_result_has_an_end() {
    let pool = pool();
    let mut task = pool.spawn(sleep_if, 42).unwrap();
    assert!(task.try_join().is_err());
    assert!(task.join_timeout(SHORT).is_err());
    task.cancel();
    assert!(task.join_timeout(LONG).unwrap().is_err());
    assert!(task.try_join().unwrap().is_err(), "joined before");
    let mut results = pool.imap(sleep_if, [1, 42, 2]);
    assert_eq!(results.next_timeout(LONG).unwrap().unwrap().unwrap(), 2);
    assert!(results.next_timeout(SHORT).unwrap_err().is_timeout());
    for pid in pool.pids() {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let killed = results.next_timeout(LONG).unwrap().unwrap().unwrap_err();
    assert_eq!(killed.signal(), Some(process::Signal::KILL));
    assert_eq!(results.next_timeout(LONG).unwrap().unwrap().unwrap(), 3);
    assert!(results.next_timeout(LONG).unwrap().is_none());
}

pub(crate) fn a_stopped_worker_runs_out_of_time() {
    let pool = Pool::new(1).unwrap();
    let stop = |()| process::send_signal_to_self(Signal::STOP).unwrap();
    let error = pool.calls(stop).timeout(SHORT).call(()).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // Ready, and before it has begun anything.
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    for pid in pool.pids() {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    }
    let error = pool.calls(increment).timeout(SHORT).call(1);
    assert!(error.is_err() || error.is_ok_and(|sum| sum == 2));
    assert_eq!(pool.calls(increment).timeout(LONG).call(1).unwrap(), 2);
}
