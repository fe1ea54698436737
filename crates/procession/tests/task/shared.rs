//! Handles that several threads share: some wait, another kills.

use procession::process::{self, Command, Signal, Stdio};
use procession::{Deadline, ErrorKind, poll};
use std::io::{Read, Write};
use std::sync::Barrier;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(5);

fn sleeper() -> Command {
    Command::new("sleep").arg("3600")
}

pub(crate) fn several_wait_while_another_kills() {
    for _ in 0..30 {
        let child = sleeper().spawn().unwrap();
        let all = Barrier::new(5);
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|number| {
                    let (child, all) = (&child, &all);
                    scope.spawn(move || {
                        all.wait();
                        match number {
                            0 => child.wait(),
                            1 => child.wait_timeout(Duration::from_secs(3600)),
                            2 => loop {
                                if let Some(status) = child.try_wait().unwrap() {
                                    break Ok(status);
                                }
                                poll::readable(child, Deadline::NEVER).unwrap();
                            },
                            _ => loop {
                                match child.wait_timeout(Duration::from_micros(50)) {
                                    Err(error) if error.is_timeout() => {}
                                    outcome => break outcome,
                                }
                            },
                        }
                    })
                })
                .collect();
            all.wait();
            child.kill().unwrap();
            for waiter in waiters {
                let status = waiter.join().unwrap().unwrap();
                assert_eq!(status.signal(), Some(Signal::KILL));
            }
        });
        // It has ended for good, and its number may be another's.
        assert_eq!(child.kill().unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL));
    }
}

pub(crate) fn a_forked_child_and_a_task_are_shared_as_well() {
    let child = match process::fork().unwrap() {
        process::Fork::Parent(child) => child,
        process::Fork::Child => loop {
            std::thread::park();
        },
    };
    std::thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| child.wait().unwrap()));
        child.kill().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().signal(), Some(Signal::KILL));
        }
    });
    let mut task = process::spawn(
        |()| -> () {
            loop {
                std::thread::park();
            }
        },
        (),
    )
    .unwrap();
    std::thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| task.wait().unwrap()));
        task.kill().unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
    assert_eq!(task.join().unwrap_err().signal(), Some(Signal::KILL));
}

/// A process that waits while nobody else does hears of the end, though the server is gone.
pub(crate) fn the_end_of_the_server_is_the_end_for_all_who_wait() {
    let child = sleeper().spawn().unwrap();
    let server = process::children().unwrap();
    let mut server = server.iter().filter(|it| it.name == "procession-srv");
    let server = process::PidFd::open(server.next().unwrap().pid).unwrap();
    std::thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| child.wait().unwrap()));
        server.signal(Signal::KILL).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().signal(), Some(Signal::KILL));
        }
    });
    // The next start has another server.
    assert!(Command::new("true").status().unwrap().success());
}

pub(crate) fn input_is_fed_while_somebody_waits() {
    let input = vec![b'x'; 1_000_000];
    let counts = Command::new("wc").arg("-c").input(input.clone());
    let mut child = counts.stdout(Stdio::Piped).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let mut text = String::new();
    let mut stdout = child.take_stdout().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), "1000000");
    // One gives up in the middle; the other goes on.
    let (begin, mut begins) = std::io::pipe().unwrap();
    let late = Command::shell("read line <&7; cat >/dev/null; exit 5");
    let child = late.fd(7, begin).input(input.clone()).spawn().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| child.wait().unwrap());
        assert!(child.wait_timeout(SHORT).unwrap_err().is_timeout());
        begins.write_all(b"\n").unwrap();
        assert_eq!(other.join().unwrap().code(), Some(5));
    });
    // One that never reads is waited for no longer than it lives.
    let child = sleeper().input(input.clone()).spawn().unwrap();
    assert!(child.wait_timeout(SHORT).unwrap_err().is_timeout());
    assert_eq!(child.try_wait().unwrap(), None);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| child.wait().unwrap());
        child.kill().unwrap();
        assert_eq!(waiter.join().unwrap().signal(), Some(Signal::KILL));
    });
    // What is left of a pipe that is taken comes from whoever has it.
    let cat = Command::new("cat").stdin(Stdio::Piped).stdout(Stdio::Null);
    let mut child = cat.spawn().unwrap();
    let stdin = child.take_stdin().unwrap();
    assert!(child.wait_timeout(SHORT).unwrap_err().is_timeout());
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
