//! Memory for long messages where a process may have short files only.

use crate::long::in_child;
use crate::{LONG, start};
use procession::process::{self, Fork, StartMethod};
use procession::queue::{self, Options, Receiver, RecvTimeoutError, SendError, Sender};
use procession::{Deadline, ErrorKind};
use rustix::process::{Resource, Rlimit, Signal};
use std::collections::VecDeque;
use testkit::random::Random;

/// Bytes that differ between messages, and mostly between places.
fn bytes(length: usize, number: u64) -> Vec<u8> {
    // The sender is in the upper half.
    let number = number ^ number >> 32;
    let part = (0..509).map(|at| (at * 31 + at / 251 + number * 7) as u8);
    let mut bytes = part.collect::<Vec<_>>().repeat(length / 509 + 1);
    bytes.truncate(length);
    bytes
}

/// From here on, this process may have no longer files.
fn limit_files(bytes: u64) {
    let limit = Rlimit {
        current: Some(bytes),
        ..rustix::process::getrlimit(Resource::Fsize)
    };
    rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
}

pub(crate) fn long_messages_go_where_files_are_limited() {
    for (limit, name) in [(16 << 20, "some"), (1 << 40, "many")] {
        in_child(|| {
            limit_files(limit);
            let (sender, receiver) = Options::new()
                .max_unacked(16)
                .capacity(100)
                .create::<[u8]>(name)
                .unwrap();
            for number in 0..100 {
                sender.send_bytes(&bytes(9000, number)).unwrap();
            }
            for number in 0..100 {
                assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(9000, number));
            }
            // Together these are longer than what is left behind those.
            for number in 0..4 {
                sender.send_bytes(&bytes(10 << 20, number)).unwrap();
                assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(10 << 20, number));
            }
            drop((sender, receiver));
        });
    }
}

pub(crate) fn what_does_not_fit_below_the_limit_is_an_error() {
    in_child(|| {
        limit_files(4 << 20);
        let (sender, receiver) = Options::new()
            .max_unacked(16)
            .capacity(8)
            .create::<[u8]>("short")
            .unwrap();
        let refused = |length| match sender.send_bytes(&bytes(length, 0)) {
            Err(SendError::Failed((), error)) => {
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
                let text = error.to_string();
                assert!(
                    text.contains("short") && text.contains("RLIMIT_FSIZE"),
                    "{text}"
                );
                assert!(error.hint().is_some_and(|hint| hint.contains("ulimit -f")));
            }
            other => panic!("{other:?}"),
        };
        refused(4 << 20);
        sender.send_bytes(&bytes(2 << 20, 1)).unwrap();
        refused(3 << 20);
        // Others still go, and this one does when there is room for it.
        sender.send_bytes(b"short").unwrap();
        assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(2 << 20, 1));
        assert_eq!(&*receiver.recv_borrowed().unwrap(), b"short");
        sender.send_bytes(&bytes(3 << 20, 2)).unwrap();
        assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(3 << 20, 2));
        drop((sender, receiver));
    });
}

pub(crate) fn a_sender_with_a_lower_limit_sends_long_messages() {
    let (bounded, from_bounded) = queue::bytes(3).unwrap();
    let (unbounded, from_unbounded) = queue::unbounded_bytes().unwrap();
    for (sender, receiver) in [(bounded, from_bounded), (unbounded, from_unbounded)] {
        in_child(|| {
            limit_files(0);
            for length in [10, 9000, 3 << 20] {
                sender.send_bytes(&bytes(length, 0)).unwrap();
            }
        });
        for length in [10, 9000, 3 << 20] {
            let message = receiver.recv_borrowed_deadline(Deadline::after(LONG));
            assert_eq!(*message.unwrap(), bytes(length, 0));
        }
    }
}

/// Sends messages of any length, each of which begins with its number.
fn send_any(sender: Sender<[u8]>) {
    let mut random = Random::new();
    for number in 0..300 {
        // Nobody else's bytes are the same.
        let number = number | u64::from(std::process::id()) << 32;
        let most = 1 << random.below(19);
        let length = 8 + random.below(most) as usize;
        let mut message = bytes(length, number);
        message[..8].copy_from_slice(&number.to_le_bytes());
        // Until there is room together for this one.
        while let Err(error) = sender.send_bytes(&message) {
            match error {
                SendError::Failed((), error) if error.kind() == ErrorKind::LimitReached => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn ranges_of_messages_are_apart(method: StartMethod) {
    // All that waits does not fit at once, and ranges have to be used again.
    let (sender, receiver): (Sender<[u8]>, Receiver<[u8]>) = {
        let before = rustix::process::getrlimit(Resource::Fsize);
        limit_files(2 << 20);
        let made = Options::new()
            .max_unacked(16)
            .capacity(6)
            .anonymous::<[u8]>()
            .unwrap();
        rustix::process::setrlimit(Resource::Fsize, before).unwrap();
        made
    };
    let tasks: Vec<_> = (0..3)
        .map(|_| start(method, send_any, sender.clone()))
        .collect();
    drop(sender);
    let mut unacked = VecDeque::new();
    let mut count = 0;
    loop {
        match receiver.recv_borrowed_deadline(Deadline::after(LONG)) {
            Ok(message) => unacked.push_back(message),
            Err(RecvTimeoutError::Disconnected(..)) if unacked.is_empty() => break,
            Err(RecvTimeoutError::Disconnected(..)) => {}
            Err(error) => panic!("{error}"),
        }
        // What was received first was written before the others, and stays as it was.
        if unacked.len() > 3 || receiver.is_empty() {
            while let Some(message) = unacked.pop_front() {
                let number = u64::from_le_bytes(message[..8].try_into().unwrap());
                assert!(
                    message[8..] == bytes(message.len(), number)[8..],
                    "{number}"
                );
                count += 1;
            }
        }
    }
    assert_eq!(count, 900);
    for mut task in tasks {
        task.join().unwrap();
    }
}

pub(crate) fn ranges_of_killed_senders_are_used_again() {
    in_child(|| {
        limit_files(4 << 20);
        let (sender, receiver) = Options::new()
            .max_unacked(16)
            .capacity(4)
            .create::<[u8]>("killed")
            .unwrap();
        // Of one range there is room.
        for number in 0..20 {
            let child = match process::fork().unwrap() {
                Fork::Parent(child) => child,
                Fork::Child => {
                    let _reservation = sender.reserve(3 << 20).unwrap();
                    rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
                    process::exit(1)
                }
            };
            assert!(!child.wait().unwrap().success());
            testkit::eventually("its range is free", || {
                sender.send_bytes(&bytes(2 << 20, number)).is_ok()
            });
            assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(2 << 20, number));
        }
        drop((sender, receiver));
    });
}
