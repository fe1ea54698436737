//! Descriptors and handles in messages.

use crate::{LONG, start};
use procession::channel::{self, Reader, Writer};
use procession::process::{self, Fork, StartMethod};
use procession::queue::{self, Options, Receiver, SendError, Sender, TrySendError};
use procession::sync::Event;
use procession::{ErrorKind, Handle};
use rustix::process::{Resource, Rlimit};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::time::Duration;

type Files = (u32, Vec<Handle<File>>);

/// A file in which a number stands.
fn file(number: u32) -> Handle<File> {
    let mut file = tempfile::tempfile().unwrap();
    write!(file, "{number}").unwrap();
    Handle::new(file)
}

fn files(number: u32, count: usize) -> Files {
    (
        number,
        (0..count as u32).map(|at| file(number + at)).collect(),
    )
}

#[track_caller]
fn check((number, files): Files) -> (u32, usize) {
    let count = files.len();
    for (at, mut file) in files.into_iter().enumerate() {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, (number + at as u32).to_string());
    }
    (number, count)
}

fn send_files((who, sender): (u32, Sender<Files>)) {
    for number in 0..60 {
        // Some with, some without.
        sender
            .send(files(who * 1000 + number, number as usize % 4))
            .unwrap();
    }
}

fn receive_files(receiver: Receiver<Files>) -> u32 {
    receiver.iter().map(check).count() as u32
}

pub(crate) fn each_message_brings_its_own(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<Files>(7).unwrap();
    let mut receivers = [(); 3].map(|()| start(method, receive_files, receiver.clone()));
    drop(receiver);
    let mut senders: Vec<_> = (0..3)
        .map(|who| start(method, send_files, (who, sender.clone())))
        .collect();
    drop(sender);
    for task in &mut senders {
        task.join().unwrap();
    }
    let counts = receivers.iter_mut().map(|task| task.join().unwrap());
    assert_eq!(counts.sum::<u32>(), 180);
}

/// A job, and where to send the answer.
type Job = (u64, Writer<u64>, Sender<u64>);

fn serve(jobs: Receiver<Job>) {
    for (number, answer, count) in jobs.iter() {
        answer.send(number * number).unwrap();
        count.send(1).unwrap();
    }
}

pub(crate) fn a_message_says_where_to_answer(method: StartMethod) {
    let (jobs, to_do) = queue::bounded::<Job>(3).unwrap();
    let (count, counts) = queue::bounded(30).unwrap();
    let mut servers = [(); 2].map(|()| start(method, serve, to_do.clone()));
    drop(to_do);
    let ask = |number| -> Reader<u64> {
        let (writer, reader) = channel::pipe().unwrap();
        jobs.send((number, writer, count.clone())).unwrap();
        reader
    };
    let answers: Vec<_> = (0..20).map(ask).collect();
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.recv_timeout(LONG).unwrap(), (number * number) as u64);
        assert!(
            answer.recv().is_err(),
            "the message was the last to have it"
        );
    }
    drop((jobs, count));
    assert_eq!(counts.iter().sum::<u64>(), 20);
    for server in &mut servers {
        server.join().unwrap();
    }
}

/// Takes a message and is never done with it.
fn hold((receiver, held): (Receiver<Files>, Event)) {
    let delivery = receiver.recv_delivery().unwrap();
    assert_eq!(delivery.1.len(), 3);
    held.set().unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn what_the_dead_held_comes_again_whole(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<Files>(4).unwrap();
    let held = Event::new().unwrap();
    let mut task = start(method, hold, (receiver.clone(), held.clone()));
    sender.send(files(5, 3)).unwrap();
    held.wait_timeout(LONG).unwrap();
    // Others go past it.
    for number in 0..50 {
        sender.send(files(number, 2)).unwrap();
        assert_eq!(check(receiver.recv_timeout(LONG).unwrap()), (number, 2));
    }
    task.kill().unwrap();
    let _: Result<(), _> = task.join();
    let again = receiver.recv_delivery().unwrap();
    assert!(again.is_redelivered());
    assert_eq!(check(again.into_inner()), (5, 3));
}

pub(crate) fn three_hundred_descriptors_come_at_once() {
    let (sender, receiver) = queue::bounded::<Files>(2).unwrap();
    for count in [1, 252, 253, 254, 300] {
        sender.send(files(7, count)).unwrap();
        assert_eq!(check(receiver.recv().unwrap()), (7, count));
        // By a receiver that gives them up, too.
        sender.send(files(7, count)).unwrap();
        receiver.recv_delivery().unwrap().ack();
    }
}

pub(crate) fn many_descriptors_wait_for_room() {
    let (sender, receiver) = queue::bounded::<Files>(2000).unwrap();
    let null = File::open("/dev/null").unwrap();
    let one = || (1, vec![Handle::new(null.try_clone().unwrap())]);
    // As many as the kernel keeps, whatever the queue has room for.
    let mut sent = 0;
    while sent < 2000 {
        match sender.try_send(one()) {
            Ok(()) => sent += 1,
            Err(TrySendError::Full((1, files))) => {
                assert_eq!(files.len(), 1);
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(sent >= 10, "{sent}");
    // Others without go on.
    sender.try_send((2, Vec::new())).unwrap();
    std::thread::scope(|threads| {
        let more = threads.spawn(|| sender.send_timeout(one(), LONG).unwrap());
        for _ in 0..sent {
            assert_eq!(receiver.recv_timeout(LONG).unwrap().1.len(), 1);
        }
        assert_eq!(receiver.recv_timeout(LONG).unwrap().1.len(), 0);
        assert_eq!(receiver.recv_timeout(LONG).unwrap().1.len(), 1);
        more.join().unwrap();
    });
}

pub(crate) fn a_queue_with_a_name_refuses_descriptors_and_goes_on() {
    let (sender, receiver) = queue::create::<Files>("no-handles", 2).unwrap();
    match sender.send(files(1, 1)) {
        Err(SendError::Failed((1, files), error)) => {
            assert_eq!(files.len(), 1);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.hint().is_some());
        }
        other => panic!("{other:?}"),
    }
    sender.send((2, Vec::new())).unwrap();
    assert_eq!(receiver.recv().unwrap().0, 2);
}

pub(crate) fn no_room_for_descriptors_leaves_the_message_to_another() {
    let (sender, receiver) = queue::bounded::<Files>(2).unwrap();
    sender.send(files(1, 20)).unwrap();
    let poor = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            // Join before there is nothing left to join with.
            assert_eq!(receiver.len(), 1);
            let _ = Options::new().capacity(1).anonymous::<u8>().unwrap();
            sender.send_timeout((2, Vec::new()), LONG).unwrap();
            let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
            let limit = Rlimit {
                current: Some(open + 8),
                ..rustix::process::getrlimit(Resource::Nofile)
            };
            rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
            let error = receiver.recv_timeout(LONG).unwrap_err();
            let right = match error {
                queue::RecvTimeoutError::Failed(error) => {
                    error.kind() == ErrorKind::LimitReached && error.hint().is_some()
                }
                _ => false,
            };
            process::exit(i32::from(!right))
        }
    };
    assert!(poor.wait().unwrap().success());
    let again = receiver.recv_delivery_deadline(procession::Deadline::after(LONG));
    let again = again.unwrap();
    // The one behind it may come first: it is nobody's turn that is waited for.
    let (first, second) = match again.0 {
        1 => (again.into_inner(), receiver.recv_timeout(LONG).unwrap()),
        _ => (receiver.recv_timeout(LONG).unwrap(), again.into_inner()),
    };
    assert_eq!((check(first), check(second)), ((1, 20), (2, 0)));
}

pub(crate) fn what_was_not_sent_in_time_is_closed() {
    let (sender, receiver) = queue::bounded::<Files>(1).unwrap();
    sender.send(files(1, 1)).unwrap();
    for _ in 0..20 {
        assert!(
            sender
                .send_timeout(files(2, 3), Duration::from_millis(1))
                .is_err()
        );
    }
    assert_eq!(check(receiver.recv().unwrap()), (1, 1));
    sender.send(files(3, 2)).unwrap();
    assert_eq!(check(receiver.recv().unwrap()), (3, 2));
    // What was never received is closed with the queue: the audit would see it.
    sender.send(files(4, 5)).unwrap();
}
