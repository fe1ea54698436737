use procession::process::{self, Child, Fork, ProcessState, Signal};
use procession::{Deadline, ErrorKind, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

fn child(body: impl FnOnce() -> i32) -> Child {
    match process::fork().unwrap() {
        Fork::Child => process::exit(body()),
        Fork::Parent(child) => child,
    }
}

fn sleeper() -> Child {
    child(|| {
        loop {
            std::thread::park();
        }
    })
}

pub(crate) fn raw_status_holds_code_signal_and_core_flag() {
    let status = child(|| 3).wait().unwrap();
    assert_eq!(
        (status.raw(), status.code(), status.signal()),
        (3 << 8, Some(3), None)
    );
    let killed = sleeper();
    killed.terminate().unwrap();
    let status = killed.wait().unwrap();
    // What `os.waitpid` shows as `(13191, 15)`.
    assert_eq!(
        (status.raw(), status.code(), status.signal()),
        (15, None, Some(Signal::TERM))
    );
    assert!(!status.core_dumped());
    let aborted = child(|| {
        let limit = rustix::process::Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, limit);
        std::process::abort()
    });
    let status = aborted.wait().unwrap();
    assert_eq!(
        (status.raw() & 0x7f, status.signal()),
        (6, Some(Signal::ABRT))
    );
}

pub(crate) fn waiting_again_gives_the_same_status() {
    let child = child(|| 9);
    let first = child.wait().unwrap();
    assert_eq!(child.wait().unwrap(), first);
    assert_eq!(child.try_wait().unwrap(), Some(first));
    assert_eq!(child.state().unwrap(), None);
}

pub(crate) fn waiting_with_a_deadline_leaves_the_child_running() {
    let child = sleeper();
    assert_eq!(child.try_wait().unwrap(), None);
    let start = Instant::now();
    let error = child.wait_timeout(Duration::from_millis(20)).unwrap_err();
    assert!(error.is_timeout());
    assert!(start.elapsed() >= Duration::from_millis(20));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL));
}

pub(crate) fn a_stopped_child_is_not_an_ended_one() {
    let child = sleeper();
    child.signal(Signal::STOP).unwrap();
    testkit::eventually("the child stops", || {
        child.state().unwrap() == Some(ProcessState::Stopped)
    });
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(Signal::CONT).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

pub(crate) fn a_zombie_is_seen_and_reaped() {
    let child = child(|| 0);
    poll::readable(child.as_fd(), Deadline::NEVER).unwrap();
    assert_eq!(child.state().unwrap(), Some(ProcessState::Zombie));
    let listed = process::children().unwrap();
    assert_eq!(
        (listed[0].pid, listed[0].state),
        (child.id(), ProcessState::Zombie)
    );
    child.wait().unwrap();
    assert!(process::children().unwrap().is_empty());
}

pub(crate) fn a_signal_never_reaches_a_process_with_the_same_number() {
    let gone = child(|| 0);
    gone.wait().unwrap();
    let error = gone.kill().unwrap_err();
    assert_eq!(
        (error.kind(), error.errno_name()),
        (ErrorKind::NotFound, Some("ESRCH"))
    );
}

pub(crate) fn a_status_that_was_reaped_elsewhere_is_the_kernels_or_an_error() {
    let child = child(|| 5);
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    match child.wait() {
        Ok(status) => assert_eq!(status.code(), Some(5)),
        // Before Linux 6.15.
        Err(error) => {
            let named = (error.kind(), error.errno_name());
            assert_eq!(named, (ErrorKind::NotFound, Some("ECHILD")));
            assert!(error.to_string().contains("reaped elsewhere"), "{error}");
        }
    }
}

pub(crate) fn a_copy_in_a_forked_child_neither_waits_nor_reaps() {
    let first = sleeper();
    let status = match process::fork().unwrap() {
        Fork::Child => {
            let lost = first.try_wait().unwrap_err().kind() == ErrorKind::NotFound;
            drop(first);
            process::exit(i32::from(!lost))
        }
        Fork::Parent(second) => second.wait().unwrap(),
    };
    assert!(status.success());
    assert_eq!(first.try_wait().unwrap(), None, "still running");
    first.kill().unwrap();
    first.wait().unwrap();
}

pub(crate) fn dropped_children_are_reaped() {
    let ended = child(|| 0);
    poll::readable(ended.as_fd(), Deadline::NEVER).unwrap();
    drop(ended);
    assert!(
        process::children().unwrap().is_empty(),
        "reaped by the drop itself"
    );
    let running = sleeper();
    let pid = running.id();
    drop(running);
    let listed = process::children().unwrap();
    assert_eq!(listed[0].pid, pid, "goes on running");
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    testkit::eventually("the reaper reaps", || {
        process::children().unwrap().is_empty()
    });
}

pub(crate) fn a_thousand_dropped_children_leave_no_zombie() {
    for _ in 0..1000 {
        drop(child(|| 0));
    }
    testkit::eventually("all are reaped", || process::children().unwrap().is_empty());
}

pub(crate) fn waiting_survives_a_storm_of_signals() {
    let signals = procession::signal::Signals::new(&[Signal::USR1]).unwrap();
    let parent = rustix::process::getpid();
    let storm = child(|| {
        for _ in 0..2000 {
            let _ = rustix::process::kill_process(parent, rustix::process::Signal::USR1);
        }
        0
    });
    assert!(
        storm
            .wait_timeout(Duration::from_secs(30))
            .unwrap()
            .success()
    );
    drop(signals);
}

pub(crate) fn other_code_with_children_is_not_disturbed() {
    use procession::signal::{Disposition, disposition};
    let mut foreign = std::process::Command::new("sh")
        .args(["-c", "exit 5"])
        .spawn()
        .unwrap();
    drop(sleeper_ended());
    drop(child(|| 0));
    child(|| 1).wait().unwrap();
    assert_eq!(
        disposition(Signal::CHLD).unwrap(),
        Some(Disposition::Default)
    );
    // Nobody reaped it for us.
    assert_eq!(foreign.wait().unwrap().code(), Some(5));
    testkit::eventually("ours are reaped", || {
        process::children().unwrap().is_empty()
    });
}

fn sleeper_ended() -> Child {
    let child = sleeper();
    child.kill().unwrap();
    child
}
