use crate::by;
use procession::os::pipe;
use procession::process::{self, LimitedResource, Signal, StartMethod, Stdio, TaskError};
use procession::{ErrorKind, signal};
use std::io::{Read, Seek};
use std::os::fd::FromRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn a_name_is_shown_by_ps(method: StartMethod) {
    let mut child = by(method)
        .name("a-rather-long-name-for-it")
        .spawn(
            |()| (read("/proc/self/comm"), read("/proc/self/cmdline")),
            (),
        )
        .unwrap();
    assert_eq!(child.name(), "a-rather-long-name-for-it");
    let (comm, words) = child.join().unwrap();
    assert_eq!(comm, "a-rather-long-n\n");
    if method != StartMethod::Fork {
        assert!(words.starts_with("a-rather-long-name-for-it"), "{words:?}");
    }
    let unnamed = by(method).spawn(|()| (), ()).unwrap();
    assert!(unnamed.name().starts_with("task-"));
}

pub(crate) fn variables_are_set_removed_and_cleared(method: StartMethod) {
    let get = |(): ()| -> Vec<Option<String>> {
        ["PROCESSION_A", "PROCESSION_B", "PATH"]
            .map(|key| std::env::var(key).ok())
            .into()
    };
    let mut child = by(method)
        .env("PROCESSION_A", "1")
        .env("PROCESSION_B", "2")
        .env_remove("PROCESSION_B")
        .spawn(get, ())
        .unwrap();
    let path = std::env::var("PATH").ok();
    assert_eq!(child.join().unwrap(), [Some("1".into()), None, path]);
    let mut child = by(method)
        .env("PROCESSION_A", "1")
        .env_clear()
        .env("PROCESSION_B", "2")
        .spawn(get, ())
        .unwrap();
    assert_eq!(child.join().unwrap(), [None, Some("2".into()), None]);
    // Not in this process.
    assert!(std::env::var("PROCESSION_B").is_err());
}

pub(crate) fn the_environment_is_the_callers_of_now(method: StartMethod) {
    let get = |(): ()| std::env::var("PROCESSION_LATE").ok();
    assert_eq!(by(method).spawn(get, ()).unwrap().join().unwrap(), None);
    // SAFETY: the tests of this binary run on the only thread but the reaper,
    // which makes system calls and nothing else.
    unsafe { std::env::set_var("PROCESSION_LATE", "set") };
    let now = by(method).spawn(get, ()).unwrap().join().unwrap();
    assert_eq!(now.as_deref(), Some("set"));
}

pub(crate) fn the_directory_is_the_callers_of_now_or_the_given(method: StartMethod) {
    let get = |(): ()| std::env::current_dir().unwrap();
    let before = std::env::current_dir().unwrap();
    assert_eq!(by(method).spawn(get, ()).unwrap().join().unwrap(), before);
    std::env::set_current_dir("/proc").unwrap();
    let now = by(method).spawn(get, ()).unwrap().join().unwrap();
    assert_eq!(now, PathBuf::from("/proc"));
    let mut given = by(method).current_dir("sys").spawn(get, ()).unwrap();
    assert_eq!(given.join().unwrap(), PathBuf::from("/proc/sys"));
    std::env::set_current_dir(before).unwrap();
}

pub(crate) fn a_directory_that_is_not_there_is_an_error(method: StartMethod) {
    let mut child = by(method)
        .current_dir("/not/there")
        .spawn(|()| (), ())
        .unwrap();
    match child.join().unwrap_err() {
        TaskError::NeverStarted(error, ..) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains("/not/there"), "{error}");
        }
        other => panic!("{other}"),
    }
}

pub(crate) fn standard_streams_are_pipes_files_or_nothing(method: StartMethod) {
    let mut file = tempfile::tempfile().unwrap();
    let mut child = by(method)
        .stdin(Stdio::Piped)
        .stdout(Stdio::Piped)
        .stderr(file.try_clone().unwrap())
        .spawn(
            |()| {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).unwrap();
                println!("{}", text.to_uppercase());
                eprint!("to the file");
            },
            (),
        )
        .unwrap();
    let stdin = child.take_stdin().unwrap();
    stdin.write_all(b"loud").unwrap();
    drop(stdin);
    let mut text = String::new();
    let mut stdout = child.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    child.join().unwrap();
    assert_eq!(text, "LOUD\n");
    assert!(child.take_stdin().is_none() && child.take_stderr().is_none());
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "to the file");
    let mut nothing = by(method)
        .stdin(Stdio::Null)
        .stdout(Stdio::Null)
        .spawn(
            |()| std::io::stdin().read_to_string(&mut String::new()).unwrap(),
            (),
        )
        .unwrap();
    assert_eq!(nothing.join().unwrap(), 0);
    // A pipe that nobody takes does not keep the task waiting for its end.
    let mut waiting = by(method)
        .stdin(Stdio::Piped)
        .spawn(
            |()| std::io::stdin().read_to_string(&mut String::new()).unwrap(),
            (),
        )
        .unwrap();
    assert_eq!(waiting.join().unwrap(), 0);
}

pub(crate) fn a_thread_that_holds_the_output_keeps_no_task_from_ending(method: StartMethod) {
    let hold = |()| {
        let (holds, is_held) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _held = std::io::stdout().lock();
            holds.send(()).unwrap();
            loop {
                std::thread::park();
            }
        });
        is_held.recv().unwrap();
        7
    };
    let mut child = by(method).spawn(hold, ()).unwrap();
    assert_eq!(child.join().unwrap(), 7);
}

pub(crate) fn what_c_code_prints_arrives_once(method: StartMethod) {
    /// Leaves text in the buffer of C's standard output.
    fn print(text: &std::ffi::CStr) {
        // SAFETY: both are text that ends with zero, and the first has one
        // place for the second.
        unsafe { libc::printf(c"%s".as_ptr(), text.as_ptr()) };
    }
    fn outer(method: String) {
        print(c"outer ");
        let mut inner = by(method.parse().unwrap())
            .spawn(|()| print(c"inner "), ())
            .unwrap();
        inner.join().unwrap();
    }
    let mut child = by(StartMethod::Fork)
        .stdout(Stdio::Piped)
        .spawn(outer, method.to_string())
        .unwrap();
    let mut text = String::new();
    let mut stdout = child.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    child.join().unwrap();
    let mut words: Vec<_> = text.split_whitespace().collect();
    words.sort_unstable();
    assert_eq!(words, ["inner", "outer"]);
}

pub(crate) fn standard_streams_may_be_closed(method: StartMethod) {
    // In a process of its own, because it goes without standard streams.
    let (reader, writer) = pipe::pipe().unwrap();
    let mut child = by(StartMethod::Fork)
        .spawn(
            |(method, writer): (String, pipe::Writer)| {
                for number in 0..3 {
                    // SAFETY: nothing else in this process uses the standard
                    // streams by their numbers from here on.
                    drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) });
                }
                let mut child = by(method.parse().unwrap()).spawn(|x: u8| x + 1, 1).unwrap();
                let sum = child.join();
                writer.write_all(&[sum.unwrap_or(0)]).unwrap();
                // The audit of standard streams is over.
                process::exit(0)
            },
            (method.to_string(), writer),
        )
        .unwrap();
    let mut byte = [0];
    reader.read(&mut byte).unwrap();
    let _: Result<(), _> = child.join();
    assert_eq!(byte, [2]);
}

pub(crate) fn limits_niceness_and_cpus_are_applied(method: StartMethod) {
    let mut child = by(method)
        .limit(LimitedResource::OpenFiles, Some(77))
        .limit(LimitedResource::CoreDump, Some(0))
        .niceness(7)
        .cpus([1])
        .spawn(
            |()| {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                let nice = rustix::process::getpriority_process(None).unwrap();
                let cpus = rustix::thread::sched_getaffinity(None).unwrap();
                (
                    limit.current,
                    limit.maximum,
                    nice,
                    cpus.count(),
                    cpus.is_set(1),
                )
            },
            (),
        )
        .unwrap();
    if rustix::thread::sched_getaffinity(None).unwrap().is_set(1) {
        assert_eq!(child.join().unwrap(), (Some(77), Some(77), 7, 1, true));
    } else {
        assert!(matches!(child.join(), Err(TaskError::NeverStarted(..))));
    }
}

pub(crate) fn a_cpu_that_is_not_there_is_an_error(method: StartMethod) {
    for cpu in [1000, 1_000_000] {
        let mut child = by(method).cpus([cpu]).spawn(|()| (), ()).unwrap();
        match child.join().unwrap_err() {
            TaskError::NeverStarted(error, ..) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
            other => panic!("{other}"),
        }
    }
}

pub(crate) fn a_group_or_session_is_led(method: StartMethod) {
    let groups = |(): ()| {
        // The session may have been made outside of our namespace of pids, and then is 0, which rustix cannot hold:
        // stat(5) says group and session as they are.
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let me = std::process::id().to_string();
        (fields[2] == me, fields[3] == me)
    };
    let mut plain = by(method).spawn(groups, ()).unwrap();
    assert_eq!(plain.join().unwrap(), (false, false));
    let mut group = by(method).process_group().spawn(groups, ()).unwrap();
    assert_eq!(group.join().unwrap(), (true, false));
    let mut session = by(method).session().spawn(groups, ()).unwrap();
    assert_eq!(session.join().unwrap(), (true, true));
}

pub(crate) fn another_user_is_become(method: StartMethod) {
    let who = |(): ()| {
        let uid = rustix::process::getuid().as_raw();
        let groups = rustix::process::getgroups().unwrap().len();
        (uid, rustix::process::getgid().as_raw(), groups)
    };
    let mut child = by(method).uid(65534).gid(65533).spawn(who, ()).unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!(child.join().unwrap(), (65534, 65533, 0));
    } else {
        match child.join().unwrap_err() {
            TaskError::NeverStarted(error, ..) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            }
            other => panic!("{other}"),
        }
    }
}

static HOOKED: OnceLock<u32> = OnceLock::new();

pub(crate) fn a_hook_runs_before_the_task(method: StartMethod) {
    fn hook() {
        HOOKED.set(std::process::id()).unwrap();
    }
    // SAFETY: it sets a variable that nothing else looks at.
    let builder = unsafe { by(method).pre_start(hook) }.unwrap();
    let mut child = builder.spawn(|()| HOOKED.get().copied(), ()).unwrap();
    let pid = child.pid();
    assert_eq!(child.join().unwrap(), Some(pid));
    assert_eq!(HOOKED.get(), None);
}

pub(crate) fn a_deadline_is_kept(method: StartMethod) {
    let start = Instant::now();
    let mut child = by(method)
        .timeout(Duration::from_millis(50))
        .spawn(
            |()| -> () {
                signal::ignore(Signal::TERM).unwrap();
                loop {
                    std::thread::park();
                }
            },
            (),
        )
        .unwrap();
    let error = child.join().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(50));
    // One that was killed before is not one that was late.
    let mut child = by(method)
        .timeout(Duration::from_secs(3600))
        .spawn(|()| std::thread::park(), ())
        .unwrap();
    child.kill().unwrap();
    assert_eq!(child.join().unwrap_err().signal(), Some(Signal::KILL));
    // One that is in time is not touched.
    let mut child = by(method)
        .timeout(Duration::from_secs(3600))
        .spawn(|()| 5, ())
        .unwrap();
    assert_eq!(child.join().unwrap(), 5);
}

pub(crate) fn memory_beyond_the_limit_ends_the_task(method: StartMethod) {
    let take = |bytes: usize| {
        let mut memory = vec![0_u8; bytes];
        memory.fill(1);
        std::hint::black_box(&memory).len()
    };
    let limited = || {
        by(method)
            .memory_limit(256 << 20)
            .limit(LimitedResource::CoreDump, Some(0))
    };
    assert_eq!(
        limited().spawn(take, 1 << 20).unwrap().join().unwrap(),
        1 << 20
    );
    let error = limited().spawn(take, 1 << 30).unwrap().join().unwrap_err();
    assert_eq!(error.signal(), Some(Signal::ABRT), "{error}");
}

pub(crate) fn a_kill_for_want_of_memory_is_told() {
    let Some(group) = testkit::small_memory_group() else {
        println!("note: no control group for memory can be made here");
        return;
    };
    let take = |group: PathBuf| {
        let me = std::process::id().to_string();
        std::fs::write(group.join("cgroup.procs"), me).unwrap();
        let memory = vec![1_u8; 500_000_000];
        std::hint::black_box(&memory).len()
    };
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut child = by(method).spawn(take, group.clone()).unwrap();
        let error = child.join().unwrap_err();
        let text = error.to_string();
        assert_eq!(text, "killed by SIGKILL (the kernel was out of memory)");
    }
    testkit::eventually("the group is empty", || std::fs::remove_dir(&group).is_ok());
}

pub(crate) fn signals_are_as_documented(method: StartMethod) {
    let held = signal::block(&[Signal::USR2]).unwrap();
    let _caught = signal::Signals::new(&[Signal::USR1]).unwrap();
    signal::ignore(Signal::HUP).unwrap();
    let mut child = by(method)
        .spawn(
            |()| {
                let status = read("/proc/self/status");
                let line = |name: &str| {
                    let line = status.lines().find_map(|line| line.strip_prefix(name));
                    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
                };
                // Synchronous signals are the runtime's.
                let runtimes = 1 << (11 - 1) | 1 << (7 - 1);
                (
                    line("SigBlk:"),
                    line("SigIgn:"),
                    line("SigCgt:") & !runtimes,
                )
            },
            (),
        )
        .unwrap();
    let bit = |signal: Signal| 1_u64 << (signal.as_raw() - 1);
    let ignored = bit(Signal::INT) | bit(Signal::PIPE);
    let (blocked, has_ignored, caught) = child.join().unwrap();
    // Two belong to libc, which lets nobody change them.
    let has_ignored = has_ignored & !(0b11 << 31);
    signal::default(Signal::HUP).unwrap();
    drop(held);
    assert_eq!((blocked, has_ignored, caught), (0, ignored, 0));
}

static PRELOADED: OnceLock<Vec<u32>> = OnceLock::new();

pub(crate) fn a_preloaded_value_is_there_in_every_task() {
    process::preload(|| PRELOADED.set((0..100).collect()).unwrap()).unwrap();
    let sum = |(): ()| PRELOADED.get().map(|numbers| numbers.iter().sum::<u32>());
    for _ in 0..3 {
        let mut child = by(StartMethod::ForkServer).spawn(sum, ()).unwrap();
        assert_eq!(child.join().unwrap(), Some(4950));
    }
    let mut anew = by(StartMethod::Spawn).spawn(sum, ()).unwrap();
    assert_eq!(anew.join().unwrap(), None);
    assert_eq!(PRELOADED.get(), None);
    let error = process::preload(|| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
}

pub(crate) fn a_preload_that_panics_is_told() {
    process::preload(|| panic!("cannot load")).unwrap();
    for _ in 0..2 {
        let error = process::spawn(|()| (), ()).unwrap_err();
        assert!(error.to_string().contains("cannot load"), "{error}");
    }
}

pub(crate) fn variables_that_cannot_be_are_refused_at_once(method: StartMethod) {
    for (key, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
        let refused = by(method).env(key, value).spawn(|()| (), ()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{key:?}={value:?}");
        let program = process::Command::new("true").env(key, value).spawn();
        assert_eq!(program.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
