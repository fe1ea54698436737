//! What every transport does while everybody lives.

use crate::is_available;
use procession::{ErrorKind, os::pipe, process};
use procession_transport::{
    Delivery, Event, FanIn, Options, Transport, WorkerFailure, WorkerGroup,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) type Body = (&'static str, fn(Transport));

pub(crate) const BODIES: &[Body] = &[
    ("messages_of_any_size_arrive_whole", any_size),
    ("sixty_four_senders_keep_their_order", sixty_four_senders),
    ("a_slow_receiver_loses_nothing", slow_receiver),
    ("an_error_of_a_worker_arrives_as_text", reported_error),
    ("a_panic_of_a_worker_arrives_as_text", reported_panic),
    (
        "a_message_beyond_the_limit_cuts_off_its_sender_alone",
        beyond_the_limit,
    ),
    ("a_receiver_alone_hears_of_the_end", receiver_alone),
    (
        "a_receiver_alone_hears_when_all_senders_are_gone",
        senders_gone,
    ),
    ("a_sender_hears_that_the_receiver_is_gone", receiver_gone),
    ("no_sender_and_too_many_are_refused", wrong_counts),
];

/// Those that carry messages through rings in shared memory.
pub(crate) const RINGS: [Transport; 3] = [Transport::PosixShm, Transport::SysvShm, Transport::Mmap];

/// What only rings do.
pub(crate) const RING_BODIES: &[Body] = &[("a_small_ring_carries_large_messages", small_ring)];

/// Bytes that tell whose they are and where they belong.
pub(crate) fn pattern(worker: usize, number: usize, length: usize) -> Vec<u8> {
    let seed = worker * 31 + number * 7;
    (0..length)
        .map(|at| (seed + at + (at >> 8) * 3) as u8)
        .collect()
}

pub(crate) fn open(transport: Transport, senders: usize) -> FanIn {
    FanIn::open(transport, senders, &Options::default()).unwrap()
}

/// All messages of a group in which nobody fails.
fn gather(group: &mut WorkerGroup) -> BTreeMap<usize, Vec<Vec<u8>>> {
    let mut messages = BTreeMap::<usize, Vec<Vec<u8>>>::new();
    let mut finished = 0;
    while let Some(event) = group.next().unwrap() {
        match event {
            Event::Message { worker, bytes } => messages.entry(worker).or_default().push(bytes),
            Event::Finished { .. } => finished += 1,
            Event::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(finished, group.workers().len());
    messages
}

fn any_size(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut sizes = vec![0, 1, 7, 8, 1 << 20, (1 << 20) + 1, 16 << 20];
    for edge in [24, 4096, 8192, 16 << 10, 64 << 10, 256 << 10] {
        sizes.extend(
            [edge - 25, edge - 24, edge - 23, edge - 1, edge, edge + 1]
                .into_iter()
                .filter(|size: &i32| *size >= 0)
                .map(|size| size as usize),
        );
    }
    let expected = sizes.clone();
    let mut group = WorkerGroup::start(open(transport, 1), |worker, sender| {
        sizes
            .iter()
            .enumerate()
            .try_for_each(|(number, size)| sender.send(&pattern(worker, number, *size)))
    })
    .unwrap();
    let messages = gather(&mut group).remove(&0).unwrap();
    assert_eq!(messages.len(), expected.len());
    for (number, (message, size)) in messages.iter().zip(expected).enumerate() {
        assert_eq!(message.len(), size);
        assert!(
            *message == pattern(0, number, size),
            "message {number} of {size} bytes"
        );
    }
}

fn sixty_four_senders(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let size = |number: usize| number * number * 97 % 20_000;
    let mut group = WorkerGroup::start(open(transport, 64), |worker, sender| {
        (0..10).try_for_each(|number| sender.send(&pattern(worker, number, size(number))))
    })
    .unwrap();
    let messages = gather(&mut group);
    assert_eq!(messages.len(), 64);
    for (worker, messages) in messages {
        let expected: Vec<_> = (0..10)
            .map(|number| pattern(worker, number, size(number)))
            .collect();
        assert!(messages == expected, "worker {worker}");
    }
}

fn slow_receiver(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    // All senders are blocked on full buffers, or done, before the first
    // receive: each is seen to make no progress for a while.
    let mut group = WorkerGroup::start(open(transport, 4), |worker, sender| {
        (0..3).try_for_each(|number| sender.send(&pattern(worker, number, 700_000)))
    })
    .unwrap();
    let sleeping = |group: &WorkerGroup| {
        group.workers().iter().all(|worker| {
            use process::ProcessState::{Sleeping, Zombie};
            matches!(
                process::inspect(worker.id())
                    .unwrap()
                    .map(|info| info.state),
                Some(Sleeping | Zombie) | None
            )
        })
    };
    testkit::eventually("all senders sleep", || (0..20).all(|_| sleeping(&group)));
    for (worker, messages) in gather(&mut group) {
        let expected: Vec<_> = (0..3)
            .map(|number| pattern(worker, number, 700_000))
            .collect();
        assert!(messages == expected, "worker {worker}");
    }
}

fn reported_error(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 2), |worker, sender| {
        sender.send(b"so far").map_err(|error| error.to_string())?;
        if worker == 1 {
            Err("the numbers do not add up".to_owned())
        } else {
            Ok(())
        }
    })
    .unwrap();
    let (mut messages, mut finished, mut failed) = (0, 0, Vec::new());
    while let Some(event) = group.next().unwrap() {
        match event {
            Event::Message { .. } => messages += 1,
            Event::Finished { worker } => finished += worker + 1,
            Event::Failed(error) => failed.push(error),
        }
    }
    assert_eq!((messages, finished, failed.len()), (2, 1, 1));
    let error = &failed[0];
    assert_eq!(
        (error.worker, error.transport, error.messages),
        (1, transport, 1)
    );
    assert!(
        matches!(&error.failure, WorkerFailure::Reported(text) if text == "the numbers do not add up")
    );
}

fn reported_panic(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut group = WorkerGroup::start(open(transport, 1), |_, _| -> Result<(), String> {
        panic!("out of {}", "luck")
    })
    .unwrap();
    let Some(Event::Failed(error)) = group.next().unwrap() else {
        panic!("no failure")
    };
    assert!(
        error.to_string().contains("panicked: out of luck"),
        "{error}"
    );
    assert!(group.next().unwrap().is_none());
}

fn beyond_the_limit(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let mut options = Options::default();
    options.max_message_bytes = 1000;
    let fan_in = FanIn::open(transport, 2, &options).unwrap();
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        sender.send(&vec![1; 1000 + worker])
    })
    .unwrap();
    let (mut messages, mut failed) = (Vec::new(), Vec::new());
    while let Some(event) = group.next().unwrap() {
        match event {
            Event::Message { worker, bytes } => messages.push((worker, bytes.len())),
            Event::Finished { worker } => assert_eq!(worker, 0),
            Event::Failed(error) => failed.push(error),
        }
    }
    assert_eq!(messages, [(0, 1000)]);
    assert_eq!((failed.len(), failed[0].worker), (1, 1));
    assert!(
        matches!(&failed[0].failure, WorkerFailure::Protocol(error) if error.kind() == ErrorKind::Corrupt)
    );
}

fn receiver_alone(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let fan_in = open(transport, 1);
    match process::fork().unwrap() {
        process::Fork::Child => {
            let mut sender = fan_in.into_sender(0).unwrap();
            sender.send(b"one").unwrap();
            sender.fail("enough").unwrap();
            process::exit(0)
        }
        process::Fork::Parent(child) => {
            let mut receiver = fan_in.into_receiver().unwrap();
            let first = receiver.receive().unwrap();
            assert!(
                matches!(first, Some(Delivery::Message { sender: 0, bytes }) if bytes == b"one")
            );
            let second = receiver.receive().unwrap();
            let Some(Delivery::Failed { sender: 0, error }) = second else {
                panic!("{second:?}")
            };
            assert!(error.to_string().contains("enough"), "{error}");
            assert!(receiver.receive().unwrap().is_none());
            assert!(child.wait().unwrap().success());
        }
    }
}

fn senders_gone(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let fan_in = std::cell::Cell::new(Some(open(transport, 2)));
    let children: Vec<_> = (0..2)
        .map(|index| match process::fork().unwrap() {
            process::Fork::Child => {
                let mut sender = fan_in.take().unwrap().into_sender(index).unwrap();
                sender.send(&pattern(index, 0, 3000)).unwrap();
                // Killed without a word.
                process::send_signal_to_self(process::Signal::KILL).unwrap();
                unreachable!()
            }
            process::Fork::Parent(child) => child,
        })
        .collect();
    let mut receiver = fan_in.take().unwrap().into_receiver().unwrap();
    let (mut messages, mut failed) = (0, Vec::new());
    while let Some(delivery) = receiver.receive_timeout(Duration::from_secs(30)).unwrap() {
        match delivery {
            Delivery::Message { sender, bytes } => {
                assert!(bytes == pattern(sender, 0, 3000));
                messages += 1;
            }
            Delivery::Failed { sender, error } => {
                assert!(error.is_disconnected(), "{error}");
                failed.push(sender);
            }
            Delivery::Finished { .. } => panic!("nobody finished"),
        }
    }
    assert_eq!((messages, failed), (2, vec![0, 1]));
    for child in children {
        child.wait().unwrap();
    }
}

fn receiver_gone(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    let fan_in = open(transport, 1);
    let (told, tell) = pipe::pipe().unwrap();
    match process::fork().unwrap() {
        process::Fork::Child => {
            drop(told);
            let mut sender = fan_in.into_sender(0).unwrap();
            let outcome = loop {
                if let Err(error) = sender.send(&vec![5; 100_000]) {
                    break error;
                }
                let _ = tell.try_write(b"!");
            };
            // Again: the same answer.
            let again = sender.send(b"x").unwrap_err();
            println!("{outcome:?}");
            let ok = |error: &procession::Error| {
                matches!(error.kind(), ErrorKind::Disconnected | ErrorKind::Removed)
            };
            process::exit(i32::from(!(ok(&outcome) && ok(&again))))
        }
        process::Fork::Parent(child) => {
            drop(tell);
            let mut receiver = fan_in.into_receiver().unwrap();
            while !matches!(receiver.receive().unwrap(), Some(Delivery::Message { .. })) {}
            let _ = told.read(&mut [0]).unwrap();
            drop(receiver);
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
    }
}

fn small_ring(transport: Transport) {
    let mut options = Options::default();
    options.ring_bytes = Some(1);
    let fan_in = FanIn::open(transport, 3, &options).unwrap();
    let mut group = WorkerGroup::start(fan_in, |worker, sender| {
        (0..4).try_for_each(|number| sender.send(&pattern(worker, number, number * 1001)))
    })
    .unwrap();
    for (worker, messages) in gather(&mut group) {
        let expected: Vec<_> = (0..4)
            .map(|number| pattern(worker, number, number * 1001))
            .collect();
        assert!(messages == expected, "worker {worker}");
    }
}

fn wrong_counts(transport: Transport) {
    for senders in [0, procession_transport::MAX_SENDERS + 1, usize::MAX] {
        let error = FanIn::open(transport, senders, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
