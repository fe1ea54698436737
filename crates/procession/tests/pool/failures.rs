use crate::{increment, pool};
use procession::pool::{Pool, Stderr, TaskError};
use procession::process::{self, Signal, Task};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One call fails in the midst of others, which do not.
fn fails_alone(bad: fn(u64) -> u64) -> TaskError {
    let pool = pool();
    let mut failed = None;
    let results: Vec<_> = pool.calls(bad).chunk_size(10).imap(0..100).collect();
    assert_eq!(results.len(), 100);
    for (index, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, index + 1),
            Err(error) => {
                assert_eq!(error.index(), Some(index));
                assert_eq!(index, 42, "{error}");
                failed = Some(error);
            }
        }
    }
    let single = pool.call(bad, 42).unwrap_err();
    let failed = failed.unwrap();
    assert_eq!(single.index(), None);
    assert_eq!(
        std::mem::discriminant(&single),
        std::mem::discriminant(&failed)
    );
    assert_eq!(pool.map(increment, 0..10).unwrap().len(), 10);
    assert!(failed.pid().is_some() && failed.attempts() == 1);
    failed
}

pub(crate) fn a_panic_fails_one_call() {
    let failed = fails_alone(|x| {
        assert_ne!(x, 42, "not this one");
        x + 1
    });
    let panic = failed.panic().unwrap();
    assert!(panic.message.contains("not this one"));
    assert!(panic.location.as_ref().unwrap().contains("failures.rs"));
}

pub(crate) fn the_text_of_a_panic_arrives_whole() {
    let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build();
    let pool = pool.unwrap();
    let fail = |length: usize| -> () { panic!("{}", "x".repeat(length)) };
    let refuse = |length: usize| -> Refusing { Refusing("y".repeat(length)) };
    for length in [0, 10, 32 * 1024, 100_000, 1_000_000, 30_000_000] {
        let error = pool.call(fail, length).unwrap_err();
        assert_eq!(error.panic().unwrap().message.len(), length);
        // Beside others of its chunk.
        let calls = pool.calls(fail).chunk_size(3);
        for result in calls.imap([length, 1, length]) {
            let error = result.unwrap_err();
            let expected = [length, 1, length][error.index().unwrap() as usize];
            assert_eq!(error.panic().unwrap().message.len(), expected);
        }
        let error = pool.call(refuse, length).map(drop).unwrap_err();
        assert!(matches!(error, TaskError::Codec(..)));
    }
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

/// Says something long when it is encoded.
struct Refusing(String);

impl Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(&self.0))
    }
}

impl<'de> Deserialize<'de> for Refusing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Refusing)
    }
}

pub(crate) fn whoever_holds_standard_error_may_wait_for_the_pool() {
    let pool = pool();
    let held = std::io::stderr().lock();
    for _ in 0..3 {
        let say_and_die = |()| -> u32 {
            eprintln!("not a failure of the test");
            std::process::abort()
        };
        assert!(pool.call(say_and_die, ()).is_err());
    }
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    pool.join();
    drop(held);
}

pub(crate) fn an_exit_fails_one_call() {
    let failed = fails_alone(|x| {
        if x == 42 {
            std::process::exit(3)
        } else {
            x + 1
        }
    });
    assert!(matches!(failed, TaskError::Exited(3, ..)));
    let failed = fails_alone(|x| if x == 42 { process::exit(0) } else { x + 1 });
    assert!(matches!(failed, TaskError::Exited(0, ..)));
}

pub(crate) fn signals_fail_one_call() {
    let failed = fails_alone(|x| {
        if x == 42 {
            std::process::abort()
        } else {
            x + 1
        }
    });
    assert_eq!(failed.signal(), Some(Signal::ABRT));
    for signal in [Signal::KILL, Signal::SEGV, Signal::TERM] {
        let pool = pool();
        let kill = |number: i32| {
            let signal = Signal::from_raw(number).unwrap();
            process::send_signal_to_self(signal).unwrap();
        };
        let failed = pool.call(kill, signal.as_raw()).unwrap_err();
        assert_eq!(failed.signal(), Some(signal));
        assert_eq!(pool.call(increment, 1).unwrap(), 2);
    }
}

fn deep(x: u64) -> u64 {
    let room = std::hint::black_box([x; 1000]);
    if x == 0 {
        0
    } else {
        1 + deep(x - 1) + room[999] % 2
    }
}

pub(crate) fn a_stack_overflow_fails_one_call() {
    let failed = fails_alone(|x| if x == 42 { deep(u64::MAX) } else { x + 1 });
    assert_eq!(failed.signal(), Some(Signal::SEGV), "{failed}");
    assert!(failed.to_string().contains("overflowed"), "{failed}");
}

pub(crate) fn memory_beyond_the_limit_fails_one_call() {
    let pool = Pool::builder()
        .workers(2)
        .memory_limit(200 << 20)
        .build()
        .unwrap();
    let fill = |megabytes: usize| std::hint::black_box(vec![1_u8; megabytes << 20]).len();
    let results: Vec<_> = pool.calls(fill).imap([1, 1000, 1]).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    let failed = results[1].as_ref().unwrap_err();
    assert_eq!(failed.signal(), Some(Signal::ABRT));
    assert!(failed.stderr().contains("memory allocation of"), "{failed}");
    assert!(failed.hint().unwrap().contains("memory_limit"));
}

/// Encodes as a number, and does something when it is decoded or encoded.
struct Tricky<const ENCODED: u8, const DECODED: u8>(u64);

const FAIL: u8 = 1;
const PANIC: u8 = 2;
const ABORT: u8 = 3;

fn act(what: u8) -> Result<(), &'static str> {
    match what {
        FAIL => Err("it does not like to travel"),
        PANIC => panic!("it does not like to travel"),
        ABORT => std::process::abort(),
        _ => Ok(()),
    }
}

impl<const ENCODED: u8, const DECODED: u8> Serialize for Tricky<ENCODED, DECODED> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 42 {
            act(ENCODED).map_err(serde::ser::Error::custom)?;
        }
        serializer.serialize_u64(self.0)
    }
}

impl<'de, const ENCODED: u8, const DECODED: u8> Deserialize<'de> for Tricky<ENCODED, DECODED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number == 42 {
            act(DECODED).map_err(serde::de::Error::custom)?;
        }
        Ok(Tricky(number))
    }
}

fn arguments_fail_alone<const E: u8, const D: u8>() -> TaskError {
    let pool = pool();
    let arguments = (0..100).map(Tricky::<E, D>);
    let results: Vec<_> = pool
        .calls(|x: Tricky<E, D>| x.0)
        .chunk_size(10)
        .imap(arguments)
        .collect();
    only_one_failed(results)
}

fn results_fail_alone<const E: u8, const D: u8>() -> TaskError {
    let pool = pool();
    let results: Vec<_> = pool
        .calls(Tricky::<E, D>)
        .chunk_size(10)
        .imap(0..100)
        .collect();
    only_one_failed(
        results
            .into_iter()
            .map(|result| result.map(|x| x.0))
            .collect(),
    )
}

fn only_one_failed(results: Vec<Result<u64, TaskError>>) -> TaskError {
    let mut failed = None;
    for (index, result) in (0..).zip(results) {
        match result {
            Ok(value) => assert_eq!(value, index),
            Err(error) => {
                assert_eq!(index, 42, "{error}");
                assert_eq!(error.index(), Some(42));
                failed = Some(error);
            }
        }
    }
    failed.unwrap()
}

fn says_why(failed: &procession::pool::TaskError) {
    match failed {
        TaskError::Codec(error, ..) => {
            let text = error.to_string();
            assert!(text.ends_with("it does not like to travel"), "{text}");
        }
        other => panic!("{other}"),
    }
}

pub(crate) fn an_undecodable_argument_fails_one_call() {
    says_why(&arguments_fail_alone::<0, FAIL>());
    assert!(arguments_fail_alone::<0, PANIC>().panic().is_some());
}

pub(crate) fn an_argument_that_kills_when_decoded_fails_one_call() {
    let failed = arguments_fail_alone::<0, ABORT>();
    assert_eq!(failed.signal(), Some(Signal::ABRT));
}

pub(crate) fn a_result_that_does_not_encode_fails_one_call() {
    says_why(&results_fail_alone::<FAIL, 0>());
    assert!(results_fail_alone::<PANIC, 0>().panic().is_some());
}

pub(crate) fn a_result_that_kills_when_encoded_fails_one_call() {
    let failed = results_fail_alone::<ABORT, 0>();
    assert_eq!(failed.signal(), Some(Signal::ABRT));
}

pub(crate) fn a_result_that_does_not_decode_here_fails_one_call() {
    says_why(&results_fail_alone::<0, FAIL>());
}

pub(crate) fn a_panic_while_unwinding_fails_one_call() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let failed = fails_alone(|x| {
        let bomb = (x == 42).then(|| Bomb);
        assert!(bomb.is_none(), "once");
        x + 1
    });
    // Rust aborts then.
    assert_eq!(failed.signal(), Some(Signal::ABRT));
    assert!(failed.stderr().contains("panic"));
}

pub(crate) fn an_argument_that_does_not_encode_fails_one_call() {
    let failed = arguments_fail_alone::<FAIL, 0>();
    says_why(&failed);
    assert_eq!(failed.pid(), None);
    let single = pool().spawn(|x: Tricky<FAIL, 0>| x.0, Tricky(42));
    assert!(matches!(single.unwrap_err(), TaskError::Codec(..)));
}

pub(crate) fn a_captured_value_that_kills_when_decoded_fails_its_calls() {
    let pool = pool();
    let task = Task::lend(Tricky::<0, ABORT>(42), |_: &Tricky<0, ABORT>, x: u64| x).unwrap();
    let results: Vec<_> = pool.task(&task).imap(0..4).collect();
    assert!(results.iter().all(Result::is_err));
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn last_words_are_kept() {
    let pool = Pool::builder()
        .workers(1)
        .stderr(Stderr::Keep)
        .build()
        .unwrap();
    let talk = |lines: u32| {
        for line in 0..lines {
            eprintln!("line {line}");
        }
        process::send_signal_to_self(Signal::KILL).unwrap();
    };
    let failed = pool.call(talk, 3).unwrap_err();
    assert_eq!(failed.stderr(), "line 0\nline 1\nline 2\n");
    let failed = pool.call(talk, 5000).unwrap_err();
    assert!(failed.stderr().ends_with("line 4999\n"));
    assert!(failed.stderr().starts_with("line "));
    let pool = Pool::builder()
        .workers(1)
        .stderr(Stderr::Inherit)
        .build()
        .unwrap();
    assert_eq!(pool.call(talk, 1).unwrap_err().stderr(), "");
}

pub(crate) fn a_gigabyte_of_words_disturbs_nobody() {
    let pool = Pool::builder()
        .workers(2)
        .stderr(Stderr::Keep)
        .build()
        .unwrap();
    let talk = |megabytes: u32| {
        use std::io::Write;
        let text = vec![b'x'; 1 << 20];
        for _ in 0..megabytes {
            std::io::stderr().write_all(&text).unwrap();
        }
    };
    let talking = pool.spawn(talk, 1024).unwrap();
    assert_eq!(pool.map(increment, 0..1000).unwrap().len(), 1000);
    talking.join().unwrap();
}

pub(crate) fn closed_descriptors_disturb_nobody() {
    let pool = Pool::new(1).unwrap();
    let close = |()| {
        let limit = 200;
        for number in 0..limit {
            // SAFETY: whatever owned it finds out that it is closed; to see what that
            // does is the purpose.
            unsafe { libc::close(number) };
        }
    };
    pool.call(close, ()).unwrap();
    assert!(
        pool.map(increment, 0..1000)
            .unwrap()
            .into_iter()
            .eq(1..=1000)
    );
    // What does not fit into the ring needs one.
    let long = pool.call(|length: usize| "x".repeat(length), 1 << 20);
    assert!(long.is_err());
    let end = |()| process::send_signal_to_self(Signal::KILL).unwrap();
    assert_eq!(pool.call(end, ()).unwrap_err().signal(), Some(Signal::KILL));
    let long = pool.call(|length: usize| "x".repeat(length), 1 << 20);
    assert_eq!(long.unwrap().len(), 1 << 20);
}

pub(crate) fn a_daemon_of_a_task_is_gone_with_the_family() {
    let mut family = process::spawn(
        |()| {
            let pool = Pool::new(1).unwrap();
            let daemon = pool.call(
                |()| {
                    let mut daemon = std::process::Command::new("setsid");
                    let child = daemon.args(["--fork", "sleep", "3600"]).spawn();
                    child.unwrap().wait().unwrap().success()
                },
                (),
            );
            assert!(daemon.unwrap());
        },
        (),
    )
    .unwrap();
    // The audit after the test finds whoever is left.
    family.join().unwrap();
}

pub(crate) fn an_iterator_that_panics_panics_here() {
    let pool = pool();
    let arguments = (0..).inspect(|x| assert!(*x < 1000, "the input ends badly"));
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.map(increment, arguments)
    }));
    let _ = std::panic::take_hook();
    assert!(outcome.is_err());
    assert!(pool.map(increment, 0..100).unwrap().into_iter().eq(1..=100));
    assert_eq!(pool.stats().queued, 0);
}

pub(crate) fn an_initializer_that_fails_ends_the_pool() {
    let fail = |()| -> u8 { panic!("no database") };
    let pool = Pool::builder()
        .workers(2)
        .initializer(fail, ())
        .build()
        .unwrap();
    let error = pool.call(increment, 1).unwrap_err();
    assert!(error.to_string().contains("no database"), "{error}");
    assert!(matches!(error, TaskError::NeverStarted(..)));
    let error = pool.map(increment, 0..10).unwrap_err();
    assert!(error.to_string().contains("no database"), "{error}");
    assert!(pool.spawn(increment, 1).is_err());
    testkit::eventually("the others are gone", || pool.pids().is_empty());
}

pub(crate) fn starts_that_fail_do_not_end_a_pool_that_has_a_worker() {
    use procession::{shared::Counter, sync::Event};
    let begin = |(starts, go): (Counter, Event)| -> u8 {
        if starts.add(1) > 0 {
            go.wait().unwrap();
            panic!("one is enough");
        }
        0
    };
    let (starts, go) = (Counter::new(0).unwrap(), Event::new().unwrap());
    let pool = Pool::builder()
        .workers(2)
        .initializer(begin, (starts.clone(), go.clone()))
        .build()
        .unwrap();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    go.set().unwrap();
    let enough = || starts.get() > 6;
    testkit::eventually("more starts fail than would end it", enough);
    assert_eq!(pool.call(increment, 2).unwrap(), 3);
}

/// A worker that was told to end before it was ready keeps no call, and no pool from ending.
pub(crate) fn a_worker_that_is_to_end_before_it_is_ready_keeps_nobody_waiting() {
    use procession::shared::Counter;
    let hangs_second = |starts: Counter| {
        if starts.add(1) == 1 {
            crate::sleep_for_ever(());
        }
    };
    // Each is told to end with its first call.
    let pool = Pool::builder()
        .workers(2)
        .max_tasks_per_worker(1)
        .initializer(hangs_second, Counter::new(0).unwrap())
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..10).map(|x| pool.spawn(increment, x).unwrap()).collect();
    for (x, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.join().unwrap(), x as u64 + 1);
    }
    drop(pool);
    // All are told to end.
    let starts = Counter::new(0).unwrap();
    let pool = Pool::builder()
        .workers(2)
        .start_timeout(std::time::Duration::from_millis(500))
        .initializer(hangs_second, starts.clone())
        .build()
        .unwrap();
    testkit::eventually("both initializers run", || starts.get() >= 2);
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    pool.join();
}

pub(crate) fn an_initializer_that_fails_once_is_tried_again() {
    let file = procession::shared::Counter::new(0).unwrap();
    let begin = |starts: procession::shared::Counter| {
        assert!(starts.add(1) > 0, "not yet");
    };
    let pool = Pool::builder()
        .workers(1)
        .initializer(begin, file.clone())
        .build()
        .unwrap();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    assert_eq!(file.get(), 2);
}

pub(crate) fn an_initializer_that_never_returns_ends_the_pool() {
    let limit = std::time::Duration::from_millis(20);
    let builder = Pool::builder().workers(1).start_timeout(limit);
    let pool = builder
        .initializer(crate::sleep_for_ever::<()>, ())
        .build()
        .unwrap();
    let error = pool.call(increment, 1).unwrap_err();
    assert!(
        error.to_string().contains("did not return within 20ms"),
        "{error}"
    );
    let quick = Pool::builder()
        .workers(1)
        .start_timeout(limit * 1000)
        .build();
    assert_eq!(quick.unwrap().call(increment, 1).unwrap(), 2);
}

pub(crate) fn the_first_failure_ends_a_map_and_not_the_pool() {
    let pool = pool();
    let fail = |x: u64| {
        assert_ne!(x, 100);
        x
    };
    let error = pool.map(fail, 0..).unwrap_err();
    assert_eq!(error.index(), Some(100));
    assert!(
        pool.map(increment, 0..1000)
            .unwrap()
            .into_iter()
            .eq(1..=1000)
    );
}

pub(crate) fn results_of_the_same_batch_survive() {
    let pool = Pool::new(1).unwrap();
    let counter = procession::shared::Counter::new(0).unwrap();
    type Counter = procession::shared::Counter;
    let count = Task::lend(counter.clone(), |counter: &Counter, x: u64| {
        counter.add(1);
        if x == 700 {
            process::send_signal_to_self(Signal::KILL).unwrap();
        }
        x
    });
    let results: Vec<_> = pool
        .task(&count.unwrap())
        .chunk_size(1000)
        .imap(0..1000)
        .collect();
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    // None was computed twice, and none forgotten.
    assert_eq!(counter.get(), 1000);
}

/// Writes nonsense over what this worker shares with its pool.
fn scribble(seed: u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps
        .lines()
        .find(|line| line.ends_with("procession-pool (deleted)"));
    let range = line.unwrap().split(' ').next().unwrap();
    let (start, end) = range.split_once('-').unwrap();
    let address = |text| usize::from_str_radix(text, 16).unwrap();
    let (start, end) = (address(start), address(end));
    let mut word = seed;
    for place in (start..end).step_by(8) {
        word = word
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let kept = seed.is_multiple_of(3) && !word.is_multiple_of(7);
        if !kept {
            let place = std::ptr::with_exposed_provenance_mut::<u64>(place);
            // SAFETY: writable memory of this process, and aligned; that others do not
            // expect what is there is the purpose.
            unsafe { place.write_volatile(word >> (seed % 60)) };
        }
    }
}

pub(crate) fn spoilt_memory_costs_its_worker() {
    let pool = pool();
    for seed in 0..40 {
        // Whatever comes, it comes to an end, ...
        let spoilt = pool
            .calls(scribble)
            .timeout(std::time::Duration::from_millis(50));
        drop(spoilt.call(seed));
        // ... and other workers, and its successor, know nothing of it.
        pool.pids().into_iter().for_each(|pid| {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        });
        let results: Vec<_> = pool.calls(increment).retries(3).imap(0..50).collect();
        assert_eq!(results.len(), 50);
        for (argument, result) in (0..).zip(results) {
            assert_eq!(result.unwrap(), argument + 1, "after {seed}");
        }
    }
}
