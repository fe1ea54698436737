use crate::by;
use procession::process::{self, Fork, Signal, StartMethod, TaskError};
use procession::{Bytes, ErrorKind, task};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::time::Duration;

pub(crate) fn a_value_returns(method: StartMethod) {
    fn twice(text: String) -> Vec<String> {
        vec![text.clone(), text]
    }
    let mut child = by(method).spawn(twice, "so".to_owned()).unwrap();
    assert_eq!(child.join().unwrap(), ["so", "so"]);
    assert!(child.is_finished());
    let mut nothing = by(method).spawn(|()| (), ()).unwrap();
    nothing.join().unwrap();
}

pub(crate) fn a_panic_returns_as_data(method: StartMethod) {
    let mut child = by(method)
        .env_remove("RUST_BACKTRACE")
        .spawn(|number: u32| -> u32 { panic!("no {number}") }, 5)
        .unwrap();
    match child.join().unwrap_err() {
        TaskError::Panicked(panic, ..) => {
            assert_eq!(panic.message, "no 5");
            let location = panic.location.unwrap();
            assert!(location.contains("results.rs:"), "{location}");
            assert_eq!(panic.backtrace, None);
        }
        other => panic!("{other}"),
    }
}

pub(crate) fn a_panic_payload_may_be_anything(method: StartMethod) {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropping the payload");
        }
    }
    let mut child = by(method)
        .spawn(|()| -> () { std::panic::panic_any(Bomb) }, ())
        .unwrap();
    let panic = |error| match error {
        TaskError::Panicked(panic, ..) => panic,
        other => panic!("{other}"),
    };
    let told = panic(child.join().unwrap_err());
    assert_eq!(told.message, "a value that is no text");
    let mut child = by(method)
        .spawn(
            |()| -> () { std::panic::resume_unwind(Box::new("unannounced")) },
            (),
        )
        .unwrap();
    let told = panic(child.join().unwrap_err());
    assert_eq!(
        (told.message.as_str(), told.location),
        ("unannounced", None)
    );
}

pub(crate) fn a_backtrace_comes_if_asked_for(method: StartMethod) {
    let mut child = by(method)
        .env("RUST_BACKTRACE", "1")
        .spawn(|()| -> () { panic!("look") }, ())
        .unwrap();
    match child.join().unwrap_err() {
        // A forked process has asked std before whether it is wanted.
        TaskError::Panicked(panic, ..) if method == StartMethod::Fork => drop(panic),
        TaskError::Panicked(panic, ..) => assert!(panic.backtrace.unwrap().contains("results.rs")),
        other => panic!("{other}"),
    }
}

pub(crate) fn an_exit_code_is_told(method: StartMethod) {
    for code in [0, 3, 255] {
        let mut child = by(method)
            .spawn(|code| -> u8 { std::process::exit(code) }, code)
            .unwrap();
        match child.join().unwrap_err() {
            TaskError::Exited(told, ..) => assert_eq!(i32::from(told), code),
            other => panic!("{other}"),
        }
    }
}

pub(crate) fn an_abort_is_a_signal(method: StartMethod) {
    let mut child = by(method)
        .limit(process::LimitedResource::CoreDump, Some(0))
        .spawn(|()| -> u8 { std::process::abort() }, ())
        .unwrap();
    match child.join().unwrap_err() {
        TaskError::Signaled {
            signal,
            core_dumped,
            ..
        } => assert_eq!((signal, core_dumped), (Signal::ABRT, false)),
        other => panic!("{other}"),
    }
}

pub(crate) fn a_signal_is_told(method: StartMethod) {
    for signal in [Signal::KILL, Signal::TERM, Signal::USR1] {
        let mut child = by(method).spawn(kill_self, signal.as_raw()).unwrap();
        let error = child.join().unwrap_err();
        assert_eq!(error.signal(), Some(signal), "{error}");
    }
}

fn kill_self(number: i32) {
    process::send_signal_to_self(Signal::from_raw(number).unwrap()).unwrap();
    loop {
        std::thread::park();
    }
}

fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    if depth == u64::MAX {
        return room[0];
    }
    deeper(depth + 1) + room[1]
}

pub(crate) fn a_stack_overflow_of_a_copy_is_not_the_tasks(method: StartMethod) {
    let task = |()| {
        // SAFETY: the child calls nothing but `deeper`, and dies.
        match unsafe { process::fork_unchecked() }.unwrap() {
            Fork::Parent(child) => assert!(child.wait().unwrap().signal().is_some()),
            Fork::Child => process::exit(deeper(0) as i32),
        }
        process::send_signal_to_self(Signal::SEGV).unwrap();
    };
    let mut child = by(method)
        .limit(process::LimitedResource::CoreDump, Some(0))
        .limit(process::LimitedResource::Stack, Some(1 << 20))
        .spawn(task, ())
        .unwrap();
    let error = child.join().unwrap_err();
    assert_eq!(error.signal(), Some(Signal::SEGV), "{error}");
    assert!(!error.to_string().contains("overflowed"), "{error}");
}

pub(crate) fn a_stack_overflow_is_a_signal(method: StartMethod) {
    let mut child = by(method)
        .limit(process::LimitedResource::CoreDump, Some(0))
        .limit(process::LimitedResource::Stack, Some(1 << 20))
        .spawn(deeper, 0)
        .unwrap();
    let error = child.join().unwrap_err();
    if method == StartMethod::Fork && error.signal() == Some(Signal::ABRT) {
        // Rust's runtime watches the stack of `main`, and says it in its own words.
        return;
    }
    assert!(
        matches!(
            error,
            TaskError::Signaled {
                signal: Signal::SEGV,
                stack_overflowed: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("overflowed"), "{error}");
    assert!(error.hint().unwrap().contains("ulimit -s"));
    // And nothing else is taken for one.
    let wild = |()| {
        let nowhere = std::ptr::without_provenance::<u8>(64);
        // SAFETY: it kills the process, which is the purpose.
        unsafe { nowhere.read_volatile() }
    };
    let sent = |()| {
        process::send_signal_to_self(Signal::SEGV).unwrap();
        0
    };
    for task in [wild as fn(()) -> u8, sent] {
        let child = by(method).limit(process::LimitedResource::CoreDump, Some(0));
        let error = child.spawn(task, ()).unwrap().join().unwrap_err();
        assert_eq!(error.signal(), Some(Signal::SEGV));
        assert!(!error.to_string().contains("overflowed"), "{error}");
    }
}

pub(crate) fn a_stopped_task_is_running(method: StartMethod) {
    let mut child = by(method)
        .spawn(
            |number| {
                process::send_signal_to_self(Signal::STOP).unwrap();
                number + 1
            },
            1,
        )
        .unwrap();
    testkit::eventually("the task stops itself", || {
        process::inspect(child.pid()).unwrap().unwrap().state == process::ProcessState::Stopped
    });
    assert!(child.join_timeout(Duration::from_millis(20)).is_err());
    assert!(!child.is_finished());
    child.signal(Signal::CONT).unwrap();
    assert_eq!(child.join().unwrap(), 2);
}

pub(crate) fn a_task_that_never_returns_can_be_killed(method: StartMethod) {
    let mut child = by(method)
        .spawn(
            |()| -> () {
                loop {
                    std::hint::spin_loop();
                }
            },
            (),
        )
        .unwrap();
    assert!(child.try_join().is_err());
    child.kill().unwrap();
    match child.join().unwrap_err() {
        TaskError::Signaled {
            signal,
            out_of_memory,
            ..
        } => {
            assert_eq!(signal, Signal::KILL);
            assert_ne!(out_of_memory, Some(true));
        }
        other => panic!("{other}"),
    }
    let error = child.kill().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// Encodes as a number, and decodes only if that is even.
#[derive(Debug)]
struct Even(u32);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number % 2 == 0 {
            Ok(Even(number))
        } else {
            Err(serde::de::Error::custom("odd"))
        }
    }
}

pub(crate) fn an_argument_that_does_not_decode_is_an_error(method: StartMethod) {
    let task = task!([] |number: Even| number.0);
    let mut child = by(method).spawn_task(&task, Even(3)).unwrap();
    match child.join().unwrap_err() {
        TaskError::Codec(error, ..) => {
            assert!(error.object().contains("Even"), "{error}");
            assert!(error.to_string().ends_with("odd"), "{error}");
        }
        other => panic!("{other}"),
    }
    let mut child = by(method).spawn_task(&task, Even(4)).unwrap();
    assert_eq!(child.join().unwrap(), 4);
}

pub(crate) fn a_result_that_does_not_decode_is_an_error(method: StartMethod) {
    let mut child = by(method).spawn(Even, 7).unwrap();
    match child.join() {
        Err(TaskError::Codec(error, ..)) => {
            assert!(error.to_string().ends_with("odd"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let mut child = by(method).spawn(Even, 8).unwrap();
    assert_eq!(child.join().unwrap().0, 8);
}

pub(crate) fn a_result_that_does_not_encode_is_an_error(method: StartMethod) {
    #[derive(Debug, Deserialize)]
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this"))
        }
    }
    let mut child = by(method).spawn(|()| Never, ()).unwrap();
    match child.join() {
        Err(TaskError::Codec(error, ..)) => {
            assert!(error.to_string().ends_with("not this"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // As an argument it is told at once.
    if method != StartMethod::Fork {
        let error = by(method).spawn(|_: Never| (), Never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().ends_with("not this"), "{error}");
    }
}

/// What its own causes are, some of which are themselves caused.
#[derive(Debug)]
struct Deep(u32);

impl std::fmt::Display for Deep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "deep {}", self.0)
    }
}

impl std::error::Error for Deep {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        static DEEPER: [Deep; 2] = [Deep(0), Deep(1)];
        let next = self.0.checked_sub(1)?;
        Some(&DEEPER[next as usize])
    }
}

pub(crate) fn errors_of_any_kind_return_as_failures(method: StartMethod) {
    fn fail(how: u32) -> Result<u32, procession::Failure> {
        let boxed = |text: &str| -> Result<u32, Box<dyn std::error::Error>> { Err(text.into()) };
        match how {
            0 => Ok(std::fs::read("/no/such/file")?.len() as u32),
            1 => Ok("seven".parse::<u32>()?),
            2 => boxed("boxed"),
            3 => Err(Deep(2))?,
            4 => Err("text")?,
            5 => Err(String::from("owned"))?,
            _ => return Ok(how),
        }
        .map_err(Into::into)
    }
    let run = |how| by(method).spawn(fail, how).unwrap().join().unwrap();
    assert_eq!(run(7).unwrap(), 7);
    for (how, text) in [
        (0, "No such file or directory (os error 2)"),
        (1, "invalid digit found in string"),
        (2, "boxed"),
        (3, "deep 2"),
        (4, "text"),
        (5, "owned"),
    ] {
        assert_eq!(run(how).unwrap_err().to_string(), text);
    }
    let deep = run(3).unwrap_err();
    assert_eq!(deep.causes().collect::<Vec<_>>(), ["deep 1", "deep 0"]);
    assert_eq!(format!("{deep:#}"), "deep 2: deep 1: deep 0");
    let error: Box<dyn std::error::Error + Send + Sync> = deep.into_error().into();
    let cause = error.source().unwrap();
    assert_eq!(cause.to_string(), "deep 1");
    assert_eq!(cause.source().unwrap().to_string(), "deep 0");
    // Where the task has the variable set, it says where it happened.
    let mut traced = by(method)
        .env("RUST_BACKTRACE", "1")
        .spawn(fail, 1)
        .unwrap();
    let traced = traced.join().unwrap().unwrap_err();
    assert!(traced.backtrace().unwrap().contains("fail"), "{traced:?}");
    assert!(format!("{traced:?}").contains("Stack backtrace"));
}

pub(crate) fn joining_twice_is_an_error(method: StartMethod) {
    let mut child = by(method).spawn(|()| 1, ()).unwrap();
    assert_eq!(child.join().unwrap(), 1);
    assert!(matches!(child.join(), Err(TaskError::Io(..))));
    assert!(matches!(child.try_join(), Ok(Err(TaskError::Io(..)))));
}

pub(crate) fn trying_and_timing_do_not_disturb(method: StartMethod) {
    let (reader, writer) = procession::os::pipe::pipe().unwrap();
    let mut child = by(method)
        .spawn(
            |reader: procession::os::pipe::Reader| reader.read(&mut [0; 9]).unwrap(),
            reader,
        )
        .unwrap();
    for _ in 0..20 {
        assert!(child.try_join().is_err());
        assert!(child.join_timeout(Duration::from_millis(1)).is_err());
    }
    writer.write_all(b"now").unwrap();
    assert_eq!(child.join().unwrap(), 3);
}

pub(crate) fn errors_of_this_library_are_results(method: StartMethod) {
    fn open(name: String) -> procession::Result<()> {
        procession::os::posix::MessageQueue::open(&name).map(drop)
    }
    let here = open("/not-there".to_owned()).unwrap_err();
    let there = by(method).spawn(open, "/not-there".to_owned());
    let there = there.unwrap().join().unwrap().unwrap_err();
    assert_eq!(there.to_string(), here.to_string());
    assert_eq!(there.kind(), ErrorKind::NotFound);
    assert_eq!(there.errno_name(), Some("ENOENT"));
}

pub(crate) fn lengths_around_every_boundary_travel(method: StartMethod) {
    for boundary in [0, 4000, 1 << 20] {
        for length in [boundary - boundary.min(30), boundary, boundary + 1] {
            let bytes = ByteBuf::from(vec![7; length]);
            let back = by(method).spawn(|bytes: ByteBuf| bytes, bytes.clone());
            assert_eq!(back.unwrap().join().unwrap(), bytes, "{length} bytes");
        }
    }
}

pub(crate) fn many_megabytes_travel_while_nobody_joins(method: StartMethod) {
    let make = |length| ByteBuf::from(vec![1; length]);
    let mut children: Vec<_> = (0..3)
        .map(|_| by(method).spawn(make, 30_000_000).unwrap())
        .collect();
    // All of them end, with nobody reading.
    process::wait_all(&children, procession::Deadline::NEVER).unwrap();
    for child in &mut children {
        assert_eq!(child.join().unwrap().len(), 30_000_000);
    }
}

pub(crate) fn a_gibibyte_travels_there_and_back() {
    let length = 1 << 30;
    let bytes = ByteBuf::from(vec![5; length]);
    let mut child = process::spawn(
        |mut bytes: ByteBuf| {
            bytes.push(6);
            bytes
        },
        bytes,
    )
    .unwrap();
    let back = child.join().unwrap();
    assert_eq!(
        (back.len(), back[length - 1], back[length]),
        (length + 1, 5, 6)
    );
}

pub(crate) fn shared_bytes_travel_and_are_sent_on(method: StartMethod) {
    for length in [0, 1, 4000, 4001, 5_000_000] {
        let bytes = Bytes::from(vec![9; length]);
        let mut child = by(method)
            .spawn(
                |bytes: Bytes| {
                    // Sent on by one who has only mapped them.
                    let mut nested = process::spawn(|bytes: Bytes| bytes, bytes).unwrap();
                    nested.join().unwrap()
                },
                bytes.clone(),
            )
            .unwrap();
        assert!(child.join().unwrap() == bytes, "{length} bytes");
    }
}

pub(crate) fn a_forked_argument_is_not_encoded() {
    #[derive(Deserialize)]
    struct Unencodable(u32);
    impl Serialize for Unencodable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let mut child = by(StartMethod::Fork)
        .spawn(|it: Unencodable| it.0, Unencodable(9))
        .unwrap();
    assert_eq!(child.join().unwrap(), 9);
}

pub(crate) fn captured_values_travel(method: StartMethod) {
    let (name, numbers) = ("sum".to_owned(), vec![1, 2, 3]);
    let mut count = 10;
    count += 0;
    let sum = task!([name, mut numbers, mut count] |more: Vec<i32>| {
        numbers.extend(more);
        count += numbers.len();
        (name, numbers.iter().sum::<i32>(), count)
    });
    let mut first = by(method).spawn_task(&sum, vec![4]).unwrap();
    let mut second = by(method).spawn_task(&sum.clone(), Vec::new()).unwrap();
    // Each run begins with the captured values as they were.
    assert_eq!(first.join().unwrap(), ("sum".to_owned(), 10, 14));
    assert_eq!(second.join().unwrap(), ("sum".to_owned(), 6, 13));
    let (low, high) = (3, 4);
    let none = task!([low, high] || low * high);
    assert_eq!(
        by(method).spawn_task(&none, ()).unwrap().join().unwrap(),
        12
    );
    let pair = task!([] |(a, b): (u8, u8)| a + b);
    assert_eq!(
        by(method)
            .spawn_task(&pair, (1, 2))
            .unwrap()
            .join()
            .unwrap(),
        3
    );
}

pub(crate) fn a_task_is_a_value(method: StartMethod) {
    let step = 5;
    let add = task!([step] |number: u32| number + step);
    // Run by a task that gets it as its argument.
    let mut child = by(method)
        .spawn(
            |add: process::Task<u32, u32>| {
                let mut nested = process::spawn_task(&add, 1).unwrap();
                (nested.join().unwrap(), add)
            },
            add,
        )
        .unwrap();
    let (sum, add) = child.join().unwrap();
    assert_eq!(sum, 6);
    assert_eq!(by(method).spawn_task(&add, 2).unwrap().join().unwrap(), 7);
}

fn depth(left: (u32, String)) -> Vec<u32> {
    let (left, method) = left;
    let mut pids = vec![std::process::id()];
    if left > 0 {
        let next = by(method.parse().unwrap());
        let mut child = next.spawn(depth, (left - 1, method)).unwrap();
        pids.extend(child.join().unwrap());
    }
    pids
}

pub(crate) fn a_task_may_start_tasks(method: StartMethod) {
    let mut child = by(method).spawn(depth, (3, method.to_string())).unwrap();
    let mut pids = child.join().unwrap();
    assert_eq!(pids.len(), 4);
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4);
}

pub(crate) fn parent_and_name_are_known(method: StartMethod) {
    assert!(process::current().is_none() && process::parent().is_none());
    let mut child = by(method)
        .name("known")
        .spawn(
            |()| {
                let me = process::current().unwrap();
                let parent = process::parent().unwrap();
                assert!(parent.is_alive());
                assert!(!me.stop_requested());
                (
                    me.name().to_owned(),
                    me.id(),
                    parent.id(),
                    me.start_method().to_string(),
                )
            },
            (),
        )
        .unwrap();
    let pid = child.pid();
    let told = child.join().unwrap();
    let expected = (
        "known".to_owned(),
        pid,
        std::process::id(),
        method.to_string(),
    );
    assert_eq!(told, expected);
}

pub(crate) fn the_end_of_the_parent_can_be_waited_for(method: StartMethod) {
    let mut child = by(method)
        .spawn(
            |()| {
                let parent = process::parent().unwrap();
                let error = parent.wait_timeout(Duration::from_millis(3)).unwrap_err();
                error.is_timeout()
            },
            (),
        )
        .unwrap();
    assert!(child.join().unwrap());
}
