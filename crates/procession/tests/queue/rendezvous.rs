//! Queues of capacity 0: a message goes from a sender that waits to a receiver that waits.

use crate::{LONG, start};
use procession::process::{self, Child, Fork, ProcessState, StartMethod};
use procession::queue::{
    self, Options, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use procession::shared::Counter;
use procession::signal::Signal;
use procession::sync::Event;
use procession::{Deadline, ErrorKind, Select};
use std::future::Future;
use std::io::{PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testkit::eventually;
use testkit::fault::armed;
use testkit::random::Random;
use testkit::step::{Points, Stepper, count_instructions, kill_at, share_processor};

const COUNT: u64 = 500;
const SHORT: Duration = Duration::from_millis(2);

/// Instructions that are tried of each operation, by chance.
const POINTS: usize = 60;

fn has_offer<T>(receiver: &Receiver<T>) -> bool {
    let mut select = Select::new();
    select.recv(receiver);
    select.try_ready().is_ok()
}

fn has_request<T>(sender: &Sender<T>) -> bool {
    let mut select = Select::new();
    select.send(sender);
    select.try_ready().is_ok()
}

pub(crate) fn who_gives_up_has_neither_sent_nor_received() {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    for number in 0..600 {
        assert_eq!(sender.try_send(number), Err(TrySendError::Full(number)));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let short = Duration::from_micros(u64::from(number));
        let late = sender.send_timeout(number, short);
        assert!(matches!(late, Err(SendTimeoutError::Timeout(sent, ..)) if sent == number));
        let late = receiver.recv_timeout(short);
        assert!(matches!(late, Err(RecvTimeoutError::Timeout(..))));
        assert!(!has_offer(&receiver) && !has_request(&sender));
    }
    assert_eq!((sender.capacity(), sender.len()), (0, 0));
    assert!(sender.is_full() && receiver.is_empty());
    sender.join().unwrap();
}

fn send_numbers((who, sender): (u64, Sender<(u64, u64)>)) {
    for number in 0..COUNT {
        sender.send((who, number)).unwrap();
    }
}

fn add_up(receiver: Receiver<(u64, u64)>) -> (u64, u64) {
    let mut last = [None; 2];
    receiver.iter().fold((0, 0), |(count, sum), (who, number)| {
        let before = last[who as usize].replace(number);
        assert!(before < Some(number), "out of its order");
        (count + 1, sum + number)
    })
}

pub(crate) fn each_message_is_handed_to_one_receiver(method: StartMethod) {
    let (sender, receiver) = queue::bounded(0).unwrap();
    let mut receivers: Vec<_> = (0..2)
        .map(|_| start(method, add_up, receiver.clone()))
        .collect();
    drop(receiver);
    let mut senders: Vec<_> = (0..2)
        .map(|who| start(method, send_numbers, (who, sender.clone())))
        .collect();
    drop(sender);
    for task in &mut senders {
        task.join().unwrap();
    }
    let (mut count, mut sum) = (0, 0);
    for task in &mut receivers {
        let (received, numbers) = task.join().unwrap();
        count += received;
        sum += numbers;
    }
    assert_eq!((count, sum), (2 * COUNT, COUNT * (COUNT - 1)));
}

pub(crate) fn sending_returns_when_a_receiver_has_the_message(method: StartMethod) {
    let (sender, receiver) = queue::bounded(0).unwrap();
    let returned = Event::new().unwrap();
    let mut task = start(
        method,
        |(sender, returned): (Sender<u32>, Event)| {
            sender.send(7).unwrap();
            returned.set().unwrap();
        },
        (sender.clone(), returned.clone()),
    );
    eventually("it offers", || has_offer(&receiver));
    assert!(!returned.is_set());
    assert_eq!(receiver.try_recv(), Ok(7), "a sender waits");
    returned.wait_timeout(LONG).unwrap();
    task.join().unwrap();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

pub(crate) fn who_does_not_wait_sends_to_a_receiver_that_does(method: StartMethod) {
    let (sender, receiver) = queue::bounded(0).unwrap();
    let mut task = start(
        method,
        |receiver: Receiver<u32>| receiver.recv().unwrap(),
        receiver.clone(),
    );
    eventually("it waits", || has_request(&sender));
    sender.try_send(7).unwrap();
    assert_eq!(sender.try_send(8), Err(TrySendError::Full(8)));
    assert_eq!(task.join().unwrap(), 7);
}

pub(crate) fn what_the_dead_offered_or_requested_is_gone(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    for round in 0..5 {
        let mut task = start(
            method,
            |sender: Sender<u32>| sender.send(7).unwrap(),
            sender.clone(),
        );
        eventually("it offers", || has_offer(&receiver));
        task.kill().unwrap();
        let _ = task.join();
        eventually("its death is proved", || !has_offer(&receiver));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "{round}");
        let mut task = start(
            method,
            |receiver: Receiver<u32>| receiver.recv().unwrap(),
            receiver.clone(),
        );
        eventually("it waits", || has_request(&sender));
        task.kill().unwrap();
        let _ = task.join();
        eventually("its death is proved", || !has_request(&sender));
        assert_eq!(sender.try_send(8), Err(TrySendError::Full(8)), "{round}");
    }
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
    for at_most_once in [false, true] {
        let options = match at_most_once {
            true => Options::new().at_most_once(),
            false => Options::new(),
        };
        let (sender, receiver) = options.capacity(0).anonymous::<String>().unwrap();
        let held = Event::new().unwrap();
        let mut task = start(method, hold, (receiver.clone(), held.clone()));
        sender.send("first".to_owned()).unwrap();
        held.wait_timeout(LONG).unwrap();
        task.kill().unwrap();
        let _ = task.join();
        if at_most_once {
            sender.join_timeout(LONG).unwrap();
            assert_eq!(receiver.lost(), 1);
            continue;
        }
        let again = receiver.recv_delivery_timeout(LONG).unwrap();
        assert!(again.is_redelivered() && *again == "first");
        assert!(sender.try_join().unwrap_err().is_would_block());
        again.ack();
        sender.try_join().unwrap();
    }
}

pub(crate) fn the_end_of_the_other_side_ends_the_wait(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    let mut task = start(
        method,
        |sender: Sender<u32>| sender.send(7).unwrap_err().into_inner(),
        sender,
    );
    eventually("it offers", || has_offer(&receiver));
    drop(receiver);
    assert_eq!(task.join().unwrap(), 7);
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    let mut task = start(
        method,
        |receiver: Receiver<u32>| matches!(receiver.recv(), Err(RecvError::Disconnected(..))),
        receiver,
    );
    eventually("it waits", || has_request(&sender));
    drop(sender);
    assert!(task.join().unwrap());
}

pub(crate) fn closing_wakes_all_who_wait() {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    std::thread::scope(|threads| {
        let all: Vec<_> = (0..3).map(|_| threads.spawn(|| sender.send(7))).collect();
        eventually("they offer", || has_offer(&receiver));
        receiver.close().unwrap();
        for outcome in all {
            let outcome = outcome.join().unwrap();
            assert!(matches!(outcome, Err(SendError::Disconnected(7, ..))));
        }
    });
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    std::thread::scope(|threads| {
        let all: Vec<_> = (0..3).map(|_| threads.spawn(|| receiver.recv())).collect();
        eventually("they wait", || has_request(&sender));
        sender.close().unwrap();
        for outcome in all {
            assert!(matches!(
                outcome.join().unwrap(),
                Err(RecvError::Disconnected(..))
            ));
        }
    });
}

pub(crate) fn more_wait_than_there_is_room_for() {
    const MANY: u32 = 300;
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    std::thread::scope(|threads| {
        for number in 0..MANY {
            let sender = &sender;
            threads.spawn(move || sender.send(number).unwrap());
        }
        let mut all: Vec<u32> = (0..MANY)
            .map(|_| receiver.recv_timeout(LONG).unwrap())
            .collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..MANY));
    });
    std::thread::scope(|threads| {
        let waiting: Vec<_> = (0..MANY)
            .map(|_| threads.spawn(|| receiver.recv_timeout(LONG).unwrap()))
            .collect();
        for number in 0..MANY {
            sender.send_timeout(number, LONG).unwrap();
        }
        let mut all: Vec<u32> = waiting.into_iter().map(|it| it.join().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..MANY));
    });
}

fn send_all((sender, bytes): (Sender<u64>, Sender<[u8]>)) {
    assert_eq!(sender.send_many(0..COUNT).unwrap(), COUNT as usize);
    let words = [&b"one"[..], &[7; 5000], b"three"];
    assert_eq!(bytes.send_many_bytes(words).unwrap(), 3);
    let mut message = bytes.reserve(4).unwrap();
    message.copy_from_slice(b"last");
    message.commit().unwrap();
}

pub(crate) fn batches_and_borrowed_messages_are_handed_over(method: StartMethod) {
    let (sender, receiver) = queue::bounded(0).unwrap();
    let (bytes, their_bytes) = queue::bytes(0).unwrap();
    let mut task = start(method, send_all, (sender.clone(), bytes.clone()));
    let mut all = Vec::new();
    while all.len() < COUNT as usize {
        receiver.recv_many(&mut all, 8).unwrap();
    }
    assert!(all.into_iter().eq(0..COUNT));
    assert_eq!(*their_bytes.recv_borrowed().unwrap(), *b"one");
    assert_eq!(*their_bytes.recv_borrowed().unwrap(), [7; 5000]);
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let show = |bytes: &[u8]| rest.push(bytes.to_vec());
        their_bytes.recv_many_bytes(8, show).unwrap();
    }
    assert_eq!(rest, [b"three".to_vec(), b"last".to_vec()]);
    task.join().unwrap();
    let none = sender.try_send_many([1, 2]);
    assert_eq!(none, Err(TrySendError::Full(1)));
    let none = bytes.try_send_many_bytes([&b"one"[..]]);
    assert_eq!(none, Err(TrySendError::Full(0)));
    assert!(bytes.reserve(1).unwrap().try_commit().is_err());
    let late = bytes.reserve(1).unwrap().commit_timeout(SHORT);
    assert!(matches!(late, Err(SendTimeoutError::Timeout((), ..))));
    assert!(their_bytes.try_recv_borrowed().is_err());
}

pub(crate) fn descriptors_are_handed_over(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<procession::Handle<OwnedFd>>(0).unwrap();
    let file =
        || procession::Handle::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    for _ in 0..20 {
        assert!(sender.try_send(file()).is_err());
        assert!(sender.send_timeout(file(), SHORT).is_err());
    }
    let mut task = start(
        method,
        |receiver: Receiver<procession::Handle<OwnedFd>>| receiver.iter().take(20).count(),
        receiver,
    );
    for _ in 0..20 {
        sender.send(file()).unwrap();
    }
    assert_eq!(task.join().unwrap(), 20);
}

/// Returns `true` if nobody has the other end of a pipe open.
fn is_at_end(reader: &PipeReader) -> bool {
    let mut select = Select::new();
    select.readable(reader);
    select.try_ready().is_ok()
}

pub(crate) fn descriptors_of_what_is_given_up_are_closed() {
    let (sender, receiver) = queue::bounded::<procession::Handle<OwnedFd>>(0).unwrap();
    let end = || {
        let (reader, writer) = pipe().unwrap();
        (reader, procession::Handle::from(OwnedFd::from(writer)))
    };
    for _ in 0..3 {
        let (reader, writer) = end();
        assert!(sender.send_timeout(writer, SHORT).is_err());
        assert!(receiver.try_recv().is_err());
        assert!(is_at_end(&reader), "the time was over");
        let (reader, writer) = end();
        let mut context = Context::from_waker(Waker::noop());
        let mut sent = Box::pin(sender.send_async(writer));
        assert!(sent.as_mut().poll(&mut context).is_pending());
        drop(sent);
        // Receivers that wait for several things close them, too.
        assert!(!has_offer(&receiver));
        assert!(is_at_end(&reader), "the future was dropped");
        let (reader, writer) = end();
        let killed = other(|| sender.send(writer).unwrap());
        eventually("it offers", || has_offer(&receiver));
        killed.kill().unwrap();
        let _ = killed.wait();
        eventually("its descriptors are closed", || {
            assert!(receiver.try_recv().is_err());
            is_at_end(&reader)
        });
    }
}

pub(crate) fn two_futures_meet_and_one_that_is_dropped_sends_nothing() {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut received = Box::pin(receiver.recv_async());
    assert!(received.as_mut().poll(&mut context).is_pending());
    let mut dropped = Box::pin(sender.send_async(6));
    assert!(dropped.as_mut().poll(&mut context).is_pending());
    drop(dropped);
    assert!(received.as_mut().poll(&mut context).is_pending());
    let mut sent = Box::pin(sender.send_async(7));
    assert!(sent.as_mut().poll(&mut context).is_pending());
    assert_eq!(received.as_mut().poll(&mut context), Poll::Ready(Ok(7)));
    assert_eq!(sent.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    drop(received);
    drop(receiver);
    let mut refused = Box::pin(sender.send_async(8));
    let outcome = refused.as_mut().poll(&mut context);
    assert!(matches!(
        outcome,
        Poll::Ready(Err(SendError::Disconnected(8, ..)))
    ));
}

pub(crate) fn a_forked_future_sends_a_message_of_its_own() {
    let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
    let (polled, dropped) = (Event::new().unwrap(), Event::new().unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let mut sent = Box::pin(sender.send_async(7));
    assert!(sent.as_mut().poll(&mut context).is_pending());
    let child = other(|| {
        let mut context = Context::from_waker(Waker::noop());
        assert!(sent.as_mut().poll(&mut context).is_pending());
        polled.set().unwrap();
        dropped.wait_timeout(LONG).unwrap();
        // What the parent does with its message is nothing that the child has done.
        assert!(sent.as_mut().poll(&mut context).is_pending());
        polled.set().unwrap();
        eventually("it is received", || {
            sent.as_mut().poll(&mut context) == Poll::Ready(Ok(()))
        });
    });
    polled.wait_timeout(LONG).unwrap();
    assert!(polled.clear());
    drop(sent);
    dropped.set().unwrap();
    polled.wait_timeout(LONG).unwrap();
    assert_eq!(receiver.try_recv(), Ok(7));
    let status = child.wait_timeout(LONG).unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

pub(crate) fn priorities_do_not_meet() {
    let error = queue::prioritized::<u32>(2, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.hint().is_some(), "{error}");
}

/// Forks a process that runs until it is killed.
fn other(body: impl FnOnce()) -> Child {
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            process::exit(i32::from(outcome.is_err()))
        }
    }
}

pub(crate) fn a_sender_killed_at_any_instruction_has_handed_over_or_not() {
    let _ = share_processor();
    let (sender, receiver) = queue::bounded::<u64>(0).unwrap();
    let (sevens, others) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let peer = other(|| {
        for number in receiver.iter() {
            let counter = if number == 7 { &sevens } else { &others };
            counter.add(1);
        }
    });
    let mut random = Random::new();
    let body = || {
        sender.send(1).unwrap();
        armed(|| sender.send(7).unwrap());
    };
    let mut expected = 0;
    let instructions = kill_at(Points::Some(POINTS, &mut random), body, |instruction| {
        // The peer goes on.
        sender.send_timeout(2, LONG).unwrap();
        sender.send_timeout(3, LONG).unwrap();
        expected += 3;
        let seen = sevens.get();
        assert!(seen <= 1, "{seen} after {instruction}");
        sevens.set(0);
        eventually("all others came", || others.get() == expected);
    });
    println!("{instructions} instructions");
    peer.kill().unwrap();
    let _ = peer.wait();
}

pub(crate) fn a_receiver_killed_at_any_instruction_leaves_the_message_to_another() {
    let _ = share_processor();
    let (sender, receiver) = queue::bounded::<u64>(0).unwrap();
    let seen = Counter::new(0).unwrap();
    let peer = other(|| (1..10_000).for_each(|number| sender.send(number).unwrap()));
    let mut random = Random::new();
    // Joining is not part of it.
    let elsewhere = queue::bounded::<u64>(1).unwrap();
    let body = || {
        let _ = elsewhere.1.try_recv();
        armed(|| {
            let delivery = receiver.recv_delivery().unwrap();
            seen.set(*delivery as i64);
            delivery.ack();
        });
    };
    let mut all = Vec::new();
    let mut by_the_dead = Vec::new();
    kill_at(Points::Some(POINTS, &mut random), body, |instruction| {
        if seen.get() != 0 {
            by_the_dead.push(seen.get() as u64);
            seen.set(0);
        }
        for _ in 0..2 {
            let delivery = receiver.recv_delivery_timeout(LONG).unwrap();
            let number = *delivery;
            assert!(!all.contains(&number), "{number} twice after {instruction}");
            let again = by_the_dead.contains(&number);
            assert!(!again || delivery.is_redelivered(), "{number}");
            delivery.ack();
            all.push(number);
        }
    });
    peer.kill().unwrap();
    let _ = peer.wait();
    // What the dead of the last time had may be left.
    while let Ok(number) = receiver.recv_timeout(SHORT) {
        all.push(number);
    }
    for number in 1..all.iter().copied().max().unwrap() {
        let is_there = all.contains(&number) || by_the_dead.contains(&number);
        assert!(is_there, "{number} was lost");
    }
}

type Both = (Sender<u64>, Receiver<u64>);

/// Messages go from one thread to another of another process.
fn others_get_on((sender, receiver): &Both, what: &str) {
    let other = other(|| {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                (0..10).for_each(|number| sender.send_timeout(1000 + number, LONG).unwrap());
            });
            let mut received = 0;
            while received < 10 {
                let number = receiver.recv_timeout(LONG).unwrap();
                // What was stopped may have offered something.
                received += u64::from(number >= 1000);
            }
        });
    });
    let status = other
        .wait_timeout(LONG)
        .unwrap_or_else(|_| panic!("{what}: others wait"));
    assert!(status.success(), "{what}: {status}");
}

pub(crate) fn a_message_handed_to_one_that_does_not_come_is_anothers() {
    for is_killed in [false, true] {
        let (sender, receiver) = queue::bounded::<u32>(0).unwrap();
        let (first_got, second_got) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
        let receive = |got: &Counter| got.set(i64::from(receiver.recv_timeout(LONG).unwrap()));
        let first = other(|| receive(&first_got));
        eventually("it waits", || has_request(&sender));
        first.signal(Signal::STOP).unwrap();
        eventually("it is stopped", || {
            first.state().unwrap() == Some(ProcessState::Stopped)
        });
        let second = other(|| receive(&second_got));
        // If it does not wait yet, it finds the message when it comes.
        eventually("it waits behind the first", || {
            second.state().unwrap() == Some(ProcessState::Sleeping)
        });
        sender.send_timeout(7, LONG).unwrap();
        if is_killed {
            first.kill().unwrap();
        }
        assert!(second.wait_timeout(LONG).unwrap().success());
        assert_eq!(second_got.get(), 7);
        if !is_killed {
            first.signal(Signal::CONT).unwrap();
            sender.send_timeout(8, LONG).unwrap();
            assert!(first.wait_timeout(LONG).unwrap().success());
            assert_eq!(first_got.get(), 8);
        }
    }
}

pub(crate) fn who_is_stopped_while_it_waits_stands_in_nobodys_way() {
    let _ = share_processor();
    let operations: [fn(&Both); 2] = [
        |(sender, _)| {
            let _ = sender.send_deadline(7, Deadline::after(SHORT));
        },
        |(_, receiver)| {
            let _ = receiver.recv_deadline(Deadline::after(SHORT));
        },
    ];
    for (name, operate) in ["send", "receive"].into_iter().zip(operations) {
        let queue = queue::bounded(0).unwrap();
        let elsewhere = queue::bounded::<u64>(1).unwrap();
        let body = || {
            let _ = elsewhere.1.try_recv();
            armed(|| operate(&queue));
        };
        let instructions = count_instructions(body);
        let mut random = Random::new();
        for _ in 0..POINTS / 2 {
            let instruction = random.below(instructions as u64 + 1) as usize;
            let mut stopped = Stepper::start(body);
            stopped.step(instruction);
            let what = format!("{name}, stopped at instruction {instruction}");
            if name == "send" {
                // A sender that is stopped while it offers something is received from.
                others_get_on(&queue, &what);
            }
            stopped.kill();
            others_get_on(&queue, &format!("{what}, and killed"));
        }
    }
}
