use crate::by;
use procession::os::pipe;
use procession::process::{self, OnDrop, Signal, StartMethod, Stop, TaskError};
use procession::{Deadline, ErrorKind, poll, signal};
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// Parks, after saying so.
fn park(ready: pipe::Writer) {
    ready.write_all(b"!").unwrap();
    loop {
        std::thread::park();
    }
}

/// A pair whose writer the task takes, and a wait for its word.
fn ready() -> (impl FnOnce(), pipe::Writer) {
    let (reader, writer) = pipe::pipe().unwrap();
    let wait = move || assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    (wait, writer)
}

pub(crate) fn a_request_comes_first(method: StartMethod) {
    let mut child = by(method)
        .spawn(
            |()| {
                let me = process::current().unwrap();
                poll::readable(&me, Deadline::NEVER).unwrap();
                me.stop_requested()
            },
            (),
        )
        .unwrap();
    let stop = Stop::new().request(LONG).terminate(LONG);
    assert!(child.stop(stop).unwrap());
}

pub(crate) fn terminate_comes_second(method: StartMethod) {
    let (wait, ready) = ready();
    let mut child = by(method)
        .spawn(
            |ready: pipe::Writer| {
                let mut signals = signal::Signals::new(&[Signal::TERM]).unwrap();
                ready.write_all(b"!").unwrap();
                let signal = signals.wait().unwrap();
                (
                    signal == Signal::TERM,
                    process::current().unwrap().stop_requested(),
                )
            },
            ready,
        )
        .unwrap();
    wait();
    let stop = Stop::new()
        .request(Duration::from_millis(5))
        .terminate(LONG);
    assert_eq!(child.stop(stop).unwrap(), (true, true));
    let mut obedient = by(method).spawn(|()| std::thread::park(), ()).unwrap();
    let stop = Stop::new().terminate(LONG);
    assert!(matches!(obedient.stop(stop), Err(TaskError::Cancelled(..))));
}

pub(crate) fn kill_comes_last(method: StartMethod) {
    let (wait, ready) = ready();
    let mut child = by(method)
        .spawn(
            |ready: pipe::Writer| {
                signal::ignore(Signal::TERM).unwrap();
                park(ready);
            },
            ready,
        )
        .unwrap();
    wait();
    let stop = Stop::new()
        .request(Duration::from_millis(2))
        .terminate(Duration::from_millis(2));
    assert!(matches!(child.stop(stop), Err(TaskError::Cancelled(..))));
    // A task that has failed by itself is not one that was stopped.
    let mut failed = by(method)
        .spawn(|()| -> () { panic!("first") }, ())
        .unwrap();
    failed.wait_deadline(Deadline::NEVER).unwrap();
    let stop = Stop::new().request(LONG);
    assert!(matches!(failed.stop(stop), Err(TaskError::Panicked(..))));
}

/// Starts a program that stays, and then stays too.
fn with_a_program(ready: pipe::Writer) {
    let descriptor = ready.into_blocking().unwrap();
    let mut program = std::process::Command::new("sh")
        .args(["-c", "trap '' TERM; echo !; exec sleep 3600"])
        .stdout(std::process::Stdio::from(descriptor))
        .spawn()
        .unwrap();
    program.wait().unwrap();
}

pub(crate) fn the_whole_group_is_stopped(method: StartMethod) {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let mut child = by(method)
        .process_group()
        .spawn(with_a_program, writer)
        .unwrap();
    reader.read_exact(&mut [0; 2]).unwrap();
    let stop = Stop::new().terminate(Duration::from_millis(5)).group();
    assert!(matches!(child.stop(stop), Err(TaskError::Cancelled(..))));
    // The program held the writing end: it is gone.
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    let mut plain = by(method).spawn(|()| std::thread::park(), ()).unwrap();
    let error = plain.signal_group(Signal::TERM).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    plain.kill().unwrap();
    let _ = plain.join();
}

pub(crate) fn a_group_does_not_outlive_its_leader(method: StartMethod) {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let mut child = by(method)
        .process_group()
        .spawn(
            |ready: pipe::Writer| {
                std::thread::spawn(move || with_a_program(ready));
                // The program says when it is there; this task ends then.
                poll::readable(process::current().unwrap(), Deadline::NEVER).unwrap();
            },
            writer,
        )
        .unwrap();
    reader.read_exact(&mut [0; 2]).unwrap();
    child.stop(Stop::new().request(LONG)).unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
}

pub(crate) fn a_dropped_handle_detaches_kills_or_joins(method: StartMethod) {
    // Detached, it goes on.
    let (reader, writer) = pipe::pipe().unwrap();
    let (go, told) = pipe::pipe().unwrap();
    let work = |(go, writer): (pipe::Reader, pipe::Writer)| {
        go.read(&mut [0]).unwrap();
        writer.write_all(b"done").unwrap();
    };
    drop(by(method).spawn(work, (go, writer)).unwrap());
    told.write_all(b"!").unwrap();
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 4);
    // Killed, it is gone when the drop returns.
    let (wait, ready) = ready();
    let child = by(method).on_drop(OnDrop::Kill).spawn(park, ready).unwrap();
    wait();
    let pidfd = child.as_fd().try_clone_to_owned().unwrap();
    drop(child);
    poll::readable(&pidfd, Deadline::NOW).unwrap();
    // Joined, the drop has waited.
    let (reader, writer) = pipe::pipe().unwrap();
    let (go, told) = pipe::pipe().unwrap();
    let child = by(method)
        .on_drop(OnDrop::Join)
        .spawn(work, (go, writer))
        .unwrap();
    let pidfd = child.as_fd().try_clone_to_owned().unwrap();
    told.write_all(b"!").unwrap();
    drop(child);
    poll::readable(&pidfd, Deadline::NOW).unwrap();
    assert_eq!(reader.try_read(&mut [0; 9]).unwrap(), 4);
}

pub(crate) fn any_and_all_of_several_are_waited_for(method: StartMethod) {
    let (go, told) = pipe::pipe().unwrap();
    let sleepers = (0..2).map(|_| by(method).spawn(|()| std::thread::park(), ()).unwrap());
    let mut children: Vec<_> = sleepers.collect();
    let second = by(method)
        .spawn(|go: pipe::Reader| drop(go.read(&mut [0])), go)
        .unwrap();
    children.insert(1, second);
    let soon = || Deadline::after(Duration::from_millis(3));
    assert!(
        process::wait_any(&children, soon())
            .unwrap_err()
            .is_timeout()
    );
    let error = process::wait_any(&children, Deadline::NOW).unwrap_err();
    assert!(error.is_would_block());
    told.write_all(b"!").unwrap();
    assert_eq!(process::wait_any(&children, Deadline::NEVER).unwrap(), 1);
    assert!(
        process::wait_all(&children, soon())
            .unwrap_err()
            .is_timeout()
    );
    children[0].kill().unwrap();
    children[2].kill().unwrap();
    process::wait_all(&children, Deadline::NEVER).unwrap();
    assert_eq!(children[2].join().unwrap_err().signal(), Some(Signal::KILL));
    let none: [std::os::fd::BorrowedFd<'_>; 0] = [];
    let error = process::wait_any(&none, Deadline::NEVER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for child in &mut children {
        let _ = child.join();
    }
}

pub(crate) fn a_signal_never_reaches_a_stranger(method: StartMethod) {
    let mut child = by(method).process_group().spawn(|()| (), ()).unwrap();
    child.wait_deadline(Deadline::NEVER).unwrap();
    let pid = child.pid();
    // The number is given away again: the next process gets it, if nobody
    // else starts one meanwhile.
    let stranger = with_number(pid);
    assert_eq!(child.kill().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(child.signal_group(Signal::KILL).is_err());
    if let Some(stranger) = stranger {
        assert_eq!(stranger.id(), pid);
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    } else {
        println!("note: the number could not be had again");
    }
    child.join().unwrap();
}

/// A child with this very number, where the kernel lets us choose.
fn with_number(pid: u32) -> Option<process::Child> {
    for _ in 0..100 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        match process::fork().unwrap() {
            process::Fork::Child => loop {
                std::thread::park();
            },
            process::Fork::Parent(child) if child.id() == pid => return Some(child),
            process::Fork::Parent(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    None
}

pub(crate) fn a_storm_of_signals_disturbs_nothing(method: StartMethod) {
    let _caught = signal::Signals::new(&[Signal::USR1]).unwrap();
    let me = std::process::id();
    // Interrupts the parent in whatever it does.
    let mut storm = by(StartMethod::Fork)
        .spawn(
            |pid: u32| {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                while rustix::process::kill_process(pid, rustix::process::Signal::USR1).is_ok() {
                    std::thread::yield_now();
                }
            },
            me,
        )
        .unwrap();
    for number in 0..50 {
        let mut child = by(method).spawn(|number: u32| number, number).unwrap();
        assert_eq!(child.join().unwrap(), number);
    }
    storm.kill().unwrap();
    let _ = storm.join();
}
