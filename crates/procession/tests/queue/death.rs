use crate::{LONG, start};
use procession::process::{self, Child, Fork, StartMethod};
use procession::queue::{self, Options, Receiver, RecvError, Sender};
use procession::sync::Event;
use std::time::Duration;
use testkit::fault::armed;
use testkit::random::Random;
use testkit::step::{Points, Stepper, count_instructions, kill_at, share_processor};

/// Instructions that are tried of each operation, by chance.
const POINTS: usize = 60;

pub(crate) fn a_killed_sender_is_no_sender_any_more(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u8>(2).unwrap();
    let mut task = start(
        method,
        |sender: Sender<u8>| {
            sender.send(1).unwrap();
            loop {
                std::thread::park();
            }
        },
        sender.clone(),
    );
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    task.kill().unwrap();
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
    let _: Result<(), _> = task.join();
}

/// Takes a message and is never done with it.
fn hold((receiver, held): (Receiver<String>, Event)) {
    let _delivery = receiver.recv_delivery().unwrap();
    held.set().unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn a_message_held_by_the_dead_comes_again(method: StartMethod) {
    let (sender, receiver) = queue::bounded(4).unwrap();
    let held = Event::new().unwrap();
    sender.send("first".to_owned()).unwrap();
    sender.send("second".to_owned()).unwrap();
    let mut task = start(method, hold, (receiver.clone(), held.clone()));
    held.wait_timeout(LONG).unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), "second");
    let received = std::thread::scope(|threads| {
        let waits = threads.spawn(|| receiver.recv_delivery().unwrap());
        task.kill().unwrap();
        waits.join().unwrap()
    });
    assert_eq!(
        (received.as_str(), received.is_redelivered()),
        ("first", true)
    );
    received.ack();
    assert!(receiver.try_recv().is_err());
    assert_eq!(receiver.lost(), 0);
    let _ = task.join();
}

pub(crate) fn what_the_dead_held_is_counted_where_it_is_lost(method: StartMethod) {
    let (sender, receiver) = Options::new()
        .at_most_once()
        .capacity(1)
        .anonymous()
        .unwrap();
    for round in 1..=5 {
        let held = Event::new().unwrap();
        sender.send("lost".to_owned()).unwrap();
        let mut task = start(method, hold, (receiver.clone(), held.clone()));
        held.wait_timeout(LONG).unwrap();
        task.kill().unwrap();
        let _ = task.join();
        match round {
            // Nothing is received that would look for it.
            1 | 2 => sender.join_timeout(LONG).unwrap(),
            _ => testkit::eventually("its death is noticed", || {
                assert!(receiver.try_recv().is_err());
                receiver.lost() == round
            }),
        }
        assert_eq!(receiver.lost(), round);
    }
    sender.send("whole".to_owned()).unwrap();
    assert_eq!(receiver.recv().unwrap(), "whole");
}

pub(crate) fn a_handle_on_the_way_to_the_dead_keeps_nobody_waiting() {
    for _ in 0..5 {
        let (sender, receiver) = queue::bounded::<u8>(2).unwrap();
        let task = process::spawn(
            |_: Sender<u8>| loop {
                std::thread::park();
            },
            sender,
        );
        // It may have received the sender by now, or not.
        let mut task: process::JoinHandle<()> = task.unwrap();
        task.kill().unwrap();
        assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
        let _ = task.join();
    }
}

/// More messages than there is room for go through, by another process.
fn others_get_on((sender, receiver): &(Sender<u64>, Receiver<u64>), what: &str) {
    let other: Child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // What others have sent may be among them.
                let mut received = 0;
                for number in 0..20 {
                    sender.send_timeout(1000 + number, LONG).unwrap();
                    while received <= number {
                        let next = receiver.recv_timeout(LONG).unwrap();
                        received += u64::from(next >= 1000);
                    }
                }
            }));
            process::exit(i32::from(outcome.is_err()))
        }
    };
    let status = other
        .wait_timeout(LONG)
        .unwrap_or_else(|_| panic!("{what}: others wait"));
    assert!(status.success(), "{what}: {status}");
}

fn stopped_anywhere(operate: fn(&(Sender<u64>, Receiver<u64>))) {
    let _ = share_processor();
    let queue = queue::bounded(3).unwrap();
    let body = || {
        operate(&queue);
        armed(|| operate(&queue));
    };
    let instructions = count_instructions(body);
    let mut random = Random::new();
    for _ in 0..POINTS {
        let instruction = random.below(instructions as u64 + 1) as usize;
        let mut stopped = Stepper::start(body);
        stopped.step(instruction);
        others_get_on(&queue, &format!("stopped at instruction {instruction}"));
        stopped.kill();
        others_get_on(&queue, &format!("killed at instruction {instruction}"));
    }
}

pub(crate) fn a_stopped_sender_stands_in_nobodys_way() {
    stopped_anywhere(|(sender, receiver)| {
        sender.send(1).unwrap();
        // So that there is room for it the next time.
        let _ = receiver.try_recv();
    });
}

pub(crate) fn a_stopped_receiver_stands_in_nobodys_way() {
    stopped_anywhere(|(sender, receiver)| {
        sender.try_send(1).unwrap();
        receiver.recv_delivery().unwrap().ack();
    });
}

pub(crate) fn a_sender_killed_at_any_instruction_has_sent_or_not() {
    let _ = share_processor();
    let (sender, receiver) = queue::bounded(3).unwrap();
    let mut random = Random::new();
    let body = || {
        // Joining is not part of it.
        sender.send(1_u64).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
        armed(|| sender.send(7).unwrap());
    };
    let instructions = kill_at(Points::Some(POINTS, &mut random), body, |instruction| {
        let found: Vec<u64> = drained(&receiver);
        assert!(
            found.is_empty() || found == [7],
            "{found:?} after {instruction}"
        );
        // All room is there, and nothing that was not sent.
        for number in 10..13 {
            sender.send_timeout(number, LONG).unwrap();
        }
        assert!(sender.try_send(13).is_err());
        assert_eq!(drained(&receiver), [10, 11, 12]);
    });
    println!("{instructions} instructions");
}

/// What is there, when the dead have been noticed.
fn drained(receiver: &Receiver<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    while let Ok(number) = receiver.recv_timeout(Duration::from_millis(2)) {
        found.push(number);
    }
    found
}

pub(crate) fn a_receiver_killed_at_any_instruction_loses_nothing() {
    let _ = share_processor();
    let (sender, receiver) = queue::bounded(3).unwrap();
    let seen = procession::shared::Counter::new(0).unwrap();
    let mut random = Random::new();
    let body = || {
        sender.send(1_u64).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
        sender.send(7).unwrap();
        armed(|| {
            let delivery = receiver.recv_delivery().unwrap();
            assert_eq!(*delivery, 7);
            seen.set(1);
            delivery.ack();
        });
    };
    kill_at(Points::Some(POINTS, &mut random), body, |instruction| {
        let seen_before = seen.get() == 1;
        seen.set(0);
        let soon = procession::Deadline::after(Duration::from_millis(5));
        match receiver.recv_delivery_deadline(soon) {
            Ok(delivery) => {
                assert_eq!(*delivery, 7);
                assert!(
                    delivery.is_redelivered() || !seen_before,
                    "a duplicate that does not say so, after {instruction}"
                );
                delivery.ack();
            }
            Err(_) => assert!(seen_before, "lost after {instruction}"),
        }
        assert!(drained(&receiver).is_empty());
        for number in 10..13 {
            sender.send_timeout(number, LONG).unwrap();
        }
        assert_eq!(drained(&receiver), [10, 11, 12]);
    });
}
