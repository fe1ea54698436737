//! Memory that is taken as it is needed: for many blocks, for unacknowledged messages, and for
//! queues without a bound.

use crate::long::mount_one_mebibyte;
use crate::{LONG, start};
use procession::process::{self, Fork, StartMethod};
use procession::queue::{self, Options, Receiver, SendError, Sender, TrySendError};
use procession::sync::Event;
use procession::{Deadline, ErrorKind};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use testkit::fault::armed;
use testkit::random::Random;
use testkit::step::{Stepper, count_instructions, share_processor};

fn path_of(name: &str) -> String {
    let user = rustix::process::getuid().as_raw();
    format!("/dev/shm/procession-{user}/o{name}")
}

/// Bytes that the queue with this name has taken.
pub(crate) fn taken(name: &str) -> u64 {
    std::fs::metadata(path_of(name)).unwrap().blocks() * 512
}

pub(crate) fn what_is_there_stays_when_somebody_else_has_no_space() {
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            mount_one_mebibyte();
            let (sender, receiver) = queue::create::<u64>("stays", 100_000).unwrap();
            let file = File::options().write(true).open(path_of("stays")).unwrap();
            let mut sent = 0;
            // Before and after it has grown.
            for _ in 0..2 {
                let before = taken("stays");
                // As one who adds memory where others have just added the same.
                let more = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 1 << 20);
                assert_eq!(more, Err(Errno::NOSPC));
                assert_eq!(taken("stays"), before);
                for _ in 0..2000 {
                    sender.try_send(sent).unwrap();
                    sent += 1;
                }
            }
            assert!(receiver.try_iter().eq(0..sent));
            drop((sender, receiver));
            process::exit(0)
        }
    };
    assert!(child.wait().unwrap().success());
}

pub(crate) fn places_are_as_small_as_the_type_and_taken_as_they_are_used() {
    const BLOCKS: u64 = 100_000;
    let (sender, receiver) = queue::create::<u64>("blocks", BLOCKS as usize).unwrap();
    assert!(taken("blocks") < 1 << 18, "{} bytes", taken("blocks"));
    sender.send(0).unwrap();
    assert!(taken("blocks") < 1 << 18, "{} bytes", taken("blocks"));
    for number in 1..BLOCKS {
        sender.try_send(number).unwrap();
    }
    assert!(matches!(sender.try_send(0), Err(TrySendError::Full(_))));
    let bytes = taken("blocks");
    assert!(bytes <= 128 * BLOCKS, "{bytes} bytes of {BLOCKS} blocks");
    for number in 0..BLOCKS {
        assert_eq!(receiver.try_recv().unwrap(), number);
    }
    // Laps later it is as large as it was.
    for number in 0..3 * BLOCKS {
        sender.try_send(number).unwrap();
        assert_eq!(receiver.try_recv().unwrap(), number);
    }
    assert_eq!(taken("blocks"), bytes);
}

/// Types whose messages are of any length keep their blocks, and others theirs.
pub(crate) fn long_messages_of_small_places_come_whole() {
    #[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
    enum Small {
        Nothing,
        Some(i64, i64, [u64; 4]),
    }
    let (sender, receiver) = queue::bounded(4).unwrap();
    for sent in [
        Small::Nothing,
        Small::Some(i64::MIN, i64::MAX, [u64::MAX; 4]),
    ] {
        sender.send(sent).unwrap();
        assert_eq!(receiver.recv().unwrap(), sent);
    }
    let (sender, receiver) = queue::bounded(4).unwrap();
    for length in [0, 10, 1000, 5000] {
        let sent = "x".repeat(length);
        sender.send(sent.clone()).unwrap();
        assert_eq!(receiver.recv().unwrap(), sent);
    }
}

pub(crate) fn unacknowledged_messages_keep_nobody_from_sending() {
    let (sender, receiver) = queue::bounded(4).unwrap();
    let mut unacked = Vec::new();
    for number in 0..2000_u64 {
        sender.send_timeout(number, LONG).unwrap();
        unacked.push(
            receiver
                .recv_delivery_deadline(Deadline::after(LONG))
                .unwrap(),
        );
    }
    // None of them takes a block of the capacity.
    for number in 0..4 {
        sender.try_send(number).unwrap();
    }
    assert!(matches!(sender.try_send(4), Err(TrySendError::Full(4))));
    let numbers = unacked.iter().map(|delivery| **delivery);
    assert!(numbers.eq(0..2000));
    unacked.into_iter().for_each(queue::Delivery::ack);
    assert_eq!(receiver.try_iter().count(), 4);
}

fn hold((receiver, held): (Receiver<u64>, Event)) {
    let _delivery = receiver.recv_delivery().unwrap();
    held.set().unwrap();
    loop {
        std::thread::park();
    }
}

/// And what those had is delivered once more when they are killed.
pub(crate) fn slow_processes_keep_nobody_from_sending(method: StartMethod) {
    let (sender, receiver) = Options::new()
        .max_unacked(6)
        .capacity(2)
        .anonymous()
        .unwrap();
    let mut tasks = Vec::new();
    for number in 0..6 {
        let held = Event::new().unwrap();
        tasks.push(start(method, hold, (receiver.clone(), held.clone())));
        sender.send_timeout(number, LONG).unwrap();
        held.wait_timeout(LONG).unwrap();
    }
    for number in 6..20 {
        sender.send_timeout(number, LONG).unwrap();
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), number);
    }
    for task in &mut tasks {
        task.kill().unwrap();
        let _ = task.join();
    }
    let mut again: Vec<u64> = (0..6)
        .map(|_| receiver.recv_timeout(LONG).unwrap())
        .collect();
    again.sort_unstable();
    assert_eq!(again, [0, 1, 2, 3, 4, 5]);
}

pub(crate) fn more_unacknowledged_than_allowed_is_an_error_that_says_so() {
    let options = Options::new().max_unacked(3);
    let (sender, receiver) = options.capacity(2).anonymous().unwrap();
    let mut unacked = Vec::new();
    let error = loop {
        match sender.send_timeout(7_u8, LONG) {
            Ok(()) => unacked.push(receiver.recv_delivery().unwrap()),
            Err(queue::SendTimeoutError::Failed(7, error)) => break error,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(unacked.len(), 5, "three, and both that wait");
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    let text = format!("{error} {:?}", error.hint());
    assert!(
        text.contains("unacknowledged") && text.contains("max_unacked"),
        "{text}"
    );
    unacked.pop().unwrap().ack();
    sender.send_timeout(8, LONG).unwrap();
}

pub(crate) fn an_unbounded_queue_takes_all_and_keeps_the_order() {
    let (sender, receiver) = queue::unbounded().unwrap();
    for round in 0..3_u64 {
        for number in 0..50_000 {
            sender.try_send((round, number)).unwrap();
        }
        assert_eq!(receiver.len(), 50_000);
        for number in 0..50_000 {
            assert_eq!(receiver.try_recv().unwrap(), (round, number));
        }
    }
    let (sender, receiver) = queue::unbounded_bytes().unwrap();
    for length in 0..3000 {
        sender.send_bytes(&vec![7; length]).unwrap();
    }
    drop(sender);
    let mut bytes = Vec::new();
    for length in 0..3000 {
        receiver.recv_bytes(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; length]);
    }
}

fn ceiling_of<T>(error: Result<(), SendError<T>>) -> bool {
    match error {
        Ok(()) => false,
        Err(SendError::Failed(_, error)) => {
            assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
            assert!(error.hint().unwrap().contains("max_memory"), "{error}");
            true
        }
        Err(_) => panic!("it is connected"),
    }
}

pub(crate) fn at_the_memory_limit_sending_fails_and_then_goes_on() {
    let options = || Options::new().max_memory(1 << 20);
    let (sender, receiver) = options().create::<u64>("max_memory").unwrap();
    let mut sent = 0;
    for _ in 0..3 {
        while !ceiling_of(sender.send(sent)) {
            sent += 1;
        }
        assert!(receiver.len() > 5000, "{}", receiver.len());
        assert!(taken("max_memory") <= 1 << 20);
        let first = sent - receiver.len() as u64;
        assert!(receiver.try_iter().eq(first..sent));
    }
    // Long ones have memory of their own, which is given back.
    let (sender, receiver) = options().anonymous::<String>().unwrap();
    for _ in 0..3 {
        while !ceiling_of(sender.send("x".repeat(9000))) {}
        let count = receiver.try_iter().count();
        assert!((10..=120).contains(&count), "{count} messages");
    }
    // What failed keeps none of it, nor what is kept for others of their length.
    let (sender, receiver) = options().anonymous::<String>().unwrap();
    while !ceiling_of(sender.send("x".repeat(9000))) {}
    assert!(receiver.try_iter().count() >= 10);
    assert!(!ceiling_of(sender.send("x".repeat(500_000))));
    for max_memory in [0, 1, 100] {
        let error = options()
            .max_memory(max_memory)
            .anonymous::<u64>()
            .unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidInput,
            "{max_memory}: {error}"
        );
    }
}

fn send_many(sender: Sender<u64>) {
    for number in 0..20_000 {
        sender.send(number).unwrap();
    }
}

pub(crate) fn unbounded_queues_lose_nothing_between_processes(method: StartMethod) {
    let (sender, receiver) = queue::unbounded().unwrap();
    let mut tasks: Vec<_> = (0..3)
        .map(|_| start(method, send_many, sender.clone()))
        .collect();
    drop(sender);
    for task in &mut tasks {
        task.join().unwrap();
    }
    // All of it waits by now, and those who sent it are gone.
    assert_eq!(receiver.len(), 60_000);
    let sum: u64 = receiver.iter().sum();
    assert_eq!(sum, 3 * (0..20_000).sum::<u64>());
}

/// Places that are there at first, of such a length.
const AT_FIRST: u64 = 15;

pub(crate) fn who_is_killed_while_memory_is_added_leaves_a_whole_queue() {
    let _ = share_processor();
    let mut random = Random::new();
    let mut instructions = None;
    for _ in 0..30 {
        let options = Options::new().inline_bytes(4096);
        let (sender, receiver) = options.capacity(100).anonymous::<u64>().unwrap();
        (0..AT_FIRST).for_each(|number| sender.send(number).unwrap());
        let body = || {
            // Joining is not part of it.
            assert_eq!(receiver.recv().unwrap(), 0);
            sender.send(AT_FIRST).unwrap();
            armed(|| sender.send(AT_FIRST + 1).unwrap());
        };
        let Some(most) = instructions else {
            instructions = Some(count_instructions(body) as u64);
            continue;
        };
        let instruction = random.below(most + 1) as usize;
        let mut stepper = Stepper::start(body);
        stepper.step(instruction);
        stepper.kill();
        for number in 100..140 {
            sender.send_timeout(number, LONG).unwrap();
        }
        for number in 1..=AT_FIRST {
            assert_eq!(receiver.recv_timeout(LONG).unwrap(), number);
        }
        let next = receiver.recv_timeout(LONG).unwrap();
        if next == AT_FIRST + 1 {
            assert_eq!(receiver.recv_timeout(LONG).unwrap(), 100);
        } else {
            assert_eq!(next, 100, "after {instruction}");
        }
        let rest: Vec<u64> = receiver.try_iter().collect();
        assert!(rest.iter().copied().eq(101..140), "{rest:?}");
    }
    println!("{instructions:?} instructions");
}
