use crate::by;
use procession::ErrorKind;
use procession::process::{self, StartMethod};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::fault::{self, Action, Fault};

pub(crate) fn a_thousand_in_a_row(method: StartMethod) {
    for number in 0..1000_u32 {
        let mut child = by(method).spawn(|x: u32| x + 1, number).unwrap();
        assert_eq!(child.join().unwrap(), number + 1);
    }
}

pub(crate) fn two_hundred_at_once(method: StartMethod) {
    let mut children: Vec<_> = (0..200_u32)
        .map(|number| by(method).spawn(|x: u32| x * 2, number).unwrap())
        .collect();
    for (number, child) in (0..).zip(&mut children) {
        assert_eq!(child.join().unwrap(), number * 2);
    }
}

pub(crate) fn other_code_that_reaps_everything_changes_nothing(method: StartMethod) {
    for _ in 0..20 {
        let mut child = by(method).spawn(|x: u32| x + 1, 1).unwrap();
        procession::poll::readable(&child, procession::Deadline::NEVER).unwrap();
        while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
        assert_eq!(child.join().unwrap(), 2);
    }
}

pub(crate) fn sixteen_busy_threads_do_not_matter() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let busy = || {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        while !STOP.load(Ordering::Relaxed) {
            // Locks of the allocator, the environment and of output.
            kept.push(vec![1; 1000 + kept.len() % 5000]);
            if kept.len() > 200 {
                kept.clear();
            }
            let _ = std::env::var("PATH");
            use std::io::Write;
            let _ = write!(std::io::stderr(), "");
        }
    };
    let threads: Vec<_> = (0..16).map(|_| std::thread::spawn(busy)).collect();
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        for number in 0..50_u32 {
            let text = by(method).spawn(|x: u32| format!("{x}"), number);
            assert_eq!(text.unwrap().join().unwrap(), number.to_string());
        }
    }
    let refused = by(StartMethod::Fork).spawn(|()| (), ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::MultiThreaded);
    STOP.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
}

pub(crate) fn starting_from_many_threads() {
    let start = |thread: u32| {
        std::thread::spawn(move || {
            for number in 0..50 {
                let mut child = process::spawn(|(a, b)| a * 1000 + b, (thread, number)).unwrap();
                assert_eq!(child.join().unwrap(), thread * 1000 + number);
            }
        })
    };
    let threads: Vec<_> = (0..8).map(start).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Calls that the start of a task makes and that may fail, with an error they
/// may have.
const FAULTS: [(&str, &[i64], i32); 4] = [
    ("EMFILE", fault::DESCRIPTOR_CALLS, libc::EMFILE),
    (
        "ENOMEM",
        &[
            libc::SYS_memfd_create,
            libc::SYS_socketpair,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_pidfd_open,
        ],
        libc::ENOMEM,
    ),
    ("EAGAIN", &[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN),
    (
        "ENOBUFS",
        &[libc::SYS_sendmsg, libc::SYS_sendto],
        libc::ENOBUFS,
    ),
];

/// Names a file that `main` writes, if it is run where it should not be.
pub(crate) const GUARD: &str = "PROCESSION_TEST_GUARD";

/// Runs the code, in which no process may come to `main`.
fn without_main(code: impl FnOnce()) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("guard");
    // SAFETY: tests of this binary run on the only thread.
    unsafe { std::env::set_var(GUARD, &path) };
    code();
    // SAFETY: as above; the reaper's thread only makes system calls.
    unsafe { std::env::remove_var(GUARD) };
    assert!(
        !path.exists(),
        "a process that was executed anew came to main"
    );
}

pub(crate) fn a_failing_system_call_starts_nothing_or_works(method: StartMethod) {
    without_main(|| fail_each_call(method));
}

fn fail_each_call(method: StartMethod) {
    for (name, calls, errno) in FAULTS {
        // The first task of a family starts its server too.
        for warm in [false, true] {
            let mut nth = 0;
            loop {
                let fault = Fault {
                    calls,
                    nth,
                    action: Action::Fail(errno),
                };
                let outcome = fault::run_family(fault, || {
                    if warm {
                        by(method).spawn(|()| (), ()).unwrap().join().unwrap();
                    }
                    let result = fault::armed(|| {
                        let mut child = by(method).spawn(|x: u32| x + 1, 4)?;
                        procession::Result::Ok(child.join())
                    });
                    match result {
                        Ok(Ok(sum)) => assert_eq!(sum, 5),
                        Ok(Err(error)) => assert!(!error.to_string().is_empty()),
                        Err(error) => assert!(!error.to_string().is_empty()),
                    }
                    // Afterwards everything works.
                    let mut child = by(method).spawn(|x: u32| x + 1, 4).unwrap();
                    assert_eq!(child.join().unwrap(), 5, "after {name} {nth}");
                });
                assert_eq!(
                    outcome.code, 0,
                    "{method}, {name} at call {nth}, warm {warm}"
                );
                if !outcome.hit {
                    break;
                }
                nth += 1;
            }
            println!("{method}: {nth} calls failed with {name}, warm: {warm}");
        }
    }
}

pub(crate) fn whoever_is_killed_at_whatever_call_nobody_hangs(method: StartMethod) {
    without_main(|| kill_at_each_call(method));
}

fn kill_at_each_call(method: StartMethod) {
    let mut nth = 0;
    loop {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        // The program, its server or the task, at each call that any of
        // them makes from the start of the task to its end.
        let outcome = fault::run_family(fault, || {
            by(method).spawn(|()| (), ()).unwrap().join().unwrap();
            let result = fault::armed(|| {
                let mut child = by(method).spawn(|x: u32| x + 1, 4)?;
                procession::Result::Ok(child.join())
            });
            if let Ok(Ok(sum)) = result {
                assert_eq!(sum, 5);
            }
            // Afterwards everything works; but for a start that a dying
            // server had taken already.
            let again = || {
                by(method)
                    .spawn(|x: u32| x + 1, 4)?
                    .join()
                    .map_err(Into::into)
            };
            let sum: procession::Result<u32> = again().or_else(|_| again());
            assert_eq!(sum.unwrap(), 5, "after {nth}");
        });
        let expected = [0, 128 + libc::SIGKILL];
        assert!(
            expected.contains(&outcome.code),
            "{method} at {nth}: {outcome:?}"
        );
        if !outcome.hit {
            break;
        }
        nth += 1;
    }
    println!("{method}: killed at {nth} calls");
}

pub(crate) fn a_server_without_descriptors_refuses() {
    use rustix::process::{Pid, Resource, Rlimit};
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        by(method).spawn(|()| (), ()).unwrap().join().unwrap();
        let children = process::children().unwrap();
        let server = children.iter().find(|child| child.name == "procession-srv");
        let server = Pid::from_raw(server.unwrap().pid.cast_signed());
        let before = rustix::process::getrlimit(Resource::Nofile);
        for limit in (0..20).chain([0, 1, 2, 3]) {
            let current = Some(limit);
            let now = Rlimit { current, ..before };
            rustix::process::prlimit(server, Resource::Nofile, now).unwrap();
            // One of the two, and soon.
            match by(method).spawn(|()| 5, ()) {
                Err(error) => println!("{limit}: {error}"),
                Ok(mut child) => match child.join() {
                    Ok(value) => assert_eq!(value, 5),
                    Err(error) => println!("{limit}: {error}"),
                },
            }
        }
        rustix::process::prlimit(server, Resource::Nofile, before).unwrap();
        by(method).spawn(|()| (), ()).unwrap().join().unwrap();
    }
}
