use procession::process::{self, Fork};
use procession::{Deadline, ErrorKind, os::pipe, poll};
use std::io::Read;
use std::os::fd::AsFd;

pub(crate) fn parent_and_child_know_each_other() {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let me = std::process::id();
    match process::fork().unwrap() {
        Fork::Child => {
            let told = format!(
                "{} {}",
                std::process::id(),
                std::os::unix::process::parent_id()
            );
            writer.write_all(told.as_bytes()).unwrap();
            process::exit(0)
        }
        Fork::Parent(child) => {
            drop(writer);
            let mut told = String::new();
            reader.read_to_string(&mut told).unwrap();
            assert_eq!(told, format!("{} {me}", child.id()));
            assert!(child.wait().unwrap().success());
        }
    }
}

pub(crate) fn ten_children_run_and_are_reaped() {
    let children: Vec<_> = (0..10)
        .map(|number| match process::fork().unwrap() {
            Fork::Child => process::exit(number),
            Fork::Parent(child) => child,
        })
        .collect();
    assert_eq!(process::children().unwrap().len(), 10);
    for (number, child) in (0..).zip(children) {
        assert_eq!(child.wait().unwrap().code(), Some(number));
    }
    assert!(process::children().unwrap().is_empty());
}

pub(crate) fn a_process_with_another_thread_is_refused() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let error = process::fork().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MultiThreaded);
    assert_eq!(error.to_string(), "forking: the process has 2 threads");
    assert!(error.hint().is_some());
    drop(go);
    let _ = thread.join();
}

pub(crate) fn a_thread_that_was_joined_does_not_count() {
    for _ in 0..200 {
        std::thread::spawn(|| {}).join().unwrap();
        match process::fork().unwrap() {
            Fork::Child => process::exit(0),
            Fork::Parent(child) => assert!(child.wait().unwrap().success()),
        }
    }
}

pub(crate) fn the_reaper_thread_does_not_count() {
    let (_held, held) = pipe::pipe().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            drop(held);
            let _ = poll::readable(&_held, Deadline::NEVER);
            process::exit(0)
        }
        // Dropped while it runs: the reaper thread starts.
        Fork::Parent(child) => drop(child),
    }
    let grandchild = match process::fork().unwrap() {
        // The thread does not exist in the child, which may fork as well.
        Fork::Child => match process::fork().unwrap() {
            Fork::Child => process::exit(0),
            Fork::Parent(child) => process::exit(i32::from(!child.wait().unwrap().success())),
        },
        Fork::Parent(child) => child.wait().unwrap(),
    };
    assert!(grandchild.success());
    drop(held);
    testkit::eventually("the dropped child is reaped", || {
        process::children().unwrap().is_empty()
    });
}

pub(crate) fn buffered_output_is_not_printed_twice() {
    let file = tempfile::tempfile().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            rustix::stdio::dup2_stdout(&file).unwrap();
            print!("no line end");
            match process::fork().unwrap() {
                Fork::Child => process::exit(0),
                Fork::Parent(child) => child.wait().unwrap(),
            };
            process::exit(0)
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    let mut text = vec![0; 100];
    let length = rustix::io::pread(&file, &mut text, 0).unwrap();
    assert_eq!(&text[..length], b"no line end");
}

pub(crate) fn running_out_of_descriptors_starts_no_child() {
    let mut held = Vec::new();
    let error = loop {
        match process::fork() {
            Ok(Fork::Child) => process::exit(0),
            Ok(Fork::Parent(child)) => {
                // The pidfd is kept, the process is not.
                child.wait().unwrap();
                held.push(child);
            }
            Err(error) => break error,
        }
        if held.len() == 1 {
            let limit = rustix::process::Rlimit {
                current: Some(24),
                maximum: Some(24),
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        }
    };
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert!(
        error.hint().unwrap().contains("RLIMIT_NOFILE is 24"),
        "{error:?}"
    );
    drop(held);
    assert!(process::children().unwrap().is_empty());
}

pub(crate) fn a_failing_system_call_leaks_nothing() {
    #[cfg(target_arch = "x86_64")]
    {
        use testkit::audit::OfProcess;
        use testkit::fault::{Action, Fault, armed, run};
        let calls = &[
            libc::SYS_socketpair,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_pidfd_open,
            libc::SYS_rt_sigprocmask,
        ];
        let (mut nth, mut hits) = (0, 0);
        loop {
            let outcome = run(
                Fault {
                    calls,
                    nth,
                    action: Action::Fail(libc::EAGAIN),
                },
                || {
                    let before = OfProcess::take();
                    match armed(process::fork) {
                        Ok(Fork::Child) => process::exit(0),
                        Ok(Fork::Parent(child)) => {
                            child.wait().unwrap();
                        }
                        Err(error) => assert!(!error.to_string().is_empty()),
                    }
                    let leaks = OfProcess::take().leaks_since(&before);
                    assert!(leaks.is_empty(), "{leaks:?}");
                },
            );
            assert_eq!(outcome.code, 0, "call {nth}");
            if !outcome.hit {
                break;
            }
            (nth, hits) = (nth + 1, hits + 1);
        }
        assert!(hits >= 4, "only {hits} calls were found");
    }
}

pub(crate) fn a_child_tied_to_its_parent_dies_with_it() {
    let (reader, writer) = pipe::pipe().unwrap();
    let parent = match process::fork().unwrap() {
        Fork::Child => {
            let me = std::process::id();
            match process::fork().unwrap() {
                Fork::Child => {
                    process::die_with(me).unwrap();
                    writer.write_all(b"!").unwrap();
                    loop {
                        std::thread::park();
                    }
                }
                Fork::Parent(_child) => loop {
                    std::thread::park();
                },
            }
        }
        Fork::Parent(parent) => parent,
    };
    drop(writer);
    let mut byte = [0];
    assert_eq!(reader.read(&mut byte).unwrap(), 1);
    parent.kill().unwrap();
    parent.wait().unwrap();
    // End of file: the grandchild, which held the other writer, is gone.
    assert_eq!(reader.read(&mut byte).unwrap(), 0);
}

pub(crate) fn a_child_whose_parent_is_gone_already_ends_at_once() {
    match process::fork().unwrap() {
        Fork::Child => {
            // Not the parent: the process that forks is always another.
            process::die_with(std::process::id()).unwrap();
            process::exit(0)
        }
        Fork::Parent(child) => {
            poll::readable(child.as_fd(), Deadline::NEVER).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(137));
        }
    }
}

extern "C" fn reap_everything(_: libc::c_int) {
    // SAFETY: asks for no status; waitpid is async-signal-safe.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// Forks children that end at once, and hears of each end.
fn fork_and_wait() {
    for number in 0..200 {
        match process::fork().unwrap() {
            Fork::Child => process::exit(number & 0x7f),
            Fork::Parent(child) => {
                poll::readable(child.as_fd(), Deadline::NEVER).unwrap();
                match child.wait() {
                    Ok(status) => assert_eq!(status.code(), Some((number & 0x7f) as u8)),
                    // Kernels that keep no status.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
                }
            }
        }
    }
}

pub(crate) fn code_that_reaps_every_child_changes_nothing() {
    // SAFETY: the handler makes async-signal-safe calls only.
    unsafe { libc::signal(libc::SIGCHLD, reap_everything as *const () as usize) };
    fork_and_wait();
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

pub(crate) fn children_whose_ends_are_ignored_are_held_all_the_same() {
    procession::signal::ignore(procession::process::Signal::CHLD).unwrap();
    fork_and_wait();
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Whoever kills it before its parent has hold of it must not have SIGPIPE sent to the
/// parent, which ends programs that have not Rust's runtime.
pub(crate) fn a_child_that_is_killed_at_birth_does_not_hurt_its_parent() {
    extern "C" fn in_child() {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
    extern "C" fn in_parent() {
        let flags = libc::WEXITED | libc::WNOWAIT;
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
        // SAFETY: there is room for the answer; the one child stays a zombie.
        let waited = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags) };
        assert_eq!(waited, 0);
    }
    // SAFETY: the kernel's own disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    // SAFETY: the handlers make system calls only.
    let set = unsafe { libc::pthread_atfork(None, Some(in_parent), Some(in_child)) };
    assert_eq!(set, 0);
    let Fork::Parent(child) = process::fork().unwrap() else {
        unreachable!("it was killed")
    };
    assert_eq!(child.wait().unwrap().signal(), Some(process::Signal::KILL));
}
