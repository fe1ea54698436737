//! How queues end: for every sender and every receiver, each time, and never so that
//! something else looks like it.

use crate::{LONG, start};
use procession::process::{self, StartMethod};
use procession::queue::{
    self, Options, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use procession::sync::Event;
use procession::{Deadline, Handle};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The outcome of a future that need not wait.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Whether every form of sending is refused.
fn is_refused(sender: &Sender<u32>) -> bool {
    let clone = sender.clone();
    let soon = Deadline::after(LONG);
    (0..2).all(|_| {
        matches!(sender.send(1), Err(SendError::Disconnected(1, ..)))
            && matches!(clone.try_send(2), Err(TrySendError::Disconnected(2, ..)))
            && matches!(
                clone.send_timeout(3, LONG),
                Err(SendTimeoutError::Disconnected(3, ..))
            )
            && matches!(
                sender.send_deadline(4, soon),
                Err(SendTimeoutError::Disconnected(4, ..))
            )
            && matches!(sender.send_many(5..9), Err(SendError::Disconnected(5, ..)))
            && matches!(
                at_once(sender.send_async(6)),
                Err(SendError::Disconnected(6, ..))
            )
    })
}

/// Whether it is refused, and not because it is full.
fn is_over(sender: &Sender<u32>) -> bool {
    matches!(sender.try_send(7), Err(TrySendError::Disconnected(7, ..)))
}

fn hold_and_wait(receiver: Receiver<u32>) {
    receiver.recv().unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn after_the_last_receiver_every_sender_is_refused(method: StartMethod) {
    for killed in [false, true] {
        for capacity in [1, 100] {
            let (sender, receiver) = queue::bounded::<u32>(capacity).unwrap();
            let started = Event::new().unwrap();
            let mut before = start(
                method,
                |(sender, started): (Sender<u32>, Event)| {
                    // It has sent before, and does so after.
                    let _ = sender.try_send(0);
                    started.set().unwrap();
                    testkit::eventually("the receiver is gone", || is_over(&sender));
                    is_refused(&sender)
                },
                (sender.clone(), started.clone()),
            );
            // A forked process has copies of everything before it begins.
            started.wait_timeout(LONG).unwrap();
            if killed {
                let mut task: process::JoinHandle<()> =
                    start(method, hold_and_wait, receiver.clone());
                drop(receiver);
                task.kill().unwrap();
                let _ = task.join();
                testkit::eventually("the death is noticed", || is_over(&sender));
            } else {
                drop(receiver);
            }
            assert!(is_refused(&sender), "killed: {killed}, {capacity}");
            assert!(before.join().unwrap(), "one that was there before");
            let later = start(
                method,
                |sender: Sender<u32>| is_refused(&sender),
                sender.clone(),
            );
            assert!({ later }.join().unwrap(), "one that comes later");
        }
    }
}

pub(crate) fn bytes_are_refused_as_values_are() {
    let (sender, receiver) = queue::bytes(10).unwrap();
    let before = sender.reserve(3).unwrap();
    drop(receiver);
    let soon = || Deadline::after(LONG);
    for _ in 0..2 {
        assert!(matches!(
            sender.send_bytes(b"a"),
            Err(SendError::Disconnected((), ..))
        ));
        assert!(matches!(
            sender.send_bytes_deadline(b"a", soon()),
            Err(SendTimeoutError::Disconnected((), ..))
        ));
        assert!(matches!(
            sender.send_many_bytes([&b"a"[..], b"b"]),
            Err(SendError::Disconnected(0, ..))
        ));
        assert!(matches!(
            sender.reserve(3),
            Err(SendError::Disconnected((), ..))
        ));
        assert!(matches!(
            sender.reserve_deadline(5000, soon()),
            Err(SendTimeoutError::Disconnected((), ..))
        ));
    }
    assert!(matches!(
        before.commit(),
        Err(SendError::Disconnected((), ..))
    ));
}

pub(crate) fn a_batch_hears_of_the_end_in_its_middle() {
    let (sender, receiver) = queue::bounded::<u32>(1000).unwrap();
    let mut receiver = Some(receiver);
    let mut taken = 0;
    let numbers = (0..1000).inspect(|&number| {
        taken = number;
        if number == 100 {
            receiver = None;
        }
        // So that it is time to look.
        if number > 100 {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(matches!(
        sender.send_many(numbers),
        Err(SendError::Disconnected(..))
    ));
    assert!(taken < 900, "{taken}");
}

pub(crate) fn what_waits_in_a_closed_queue_that_is_full_is_refused() {
    type Files = (u32, Option<Handle<File>>);
    let (sender, receiver) = queue::bounded::<Files>(1).unwrap();
    sender.send((1, None)).unwrap();
    let file = || Some(Handle::new(File::open("/dev/null").unwrap()));
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| sender.send((2, file())));
        let more = threads.spawn(|| sender.send((3, None)));
        while !waits.is_finished() && sender.is_full() && !more.is_finished() {
            receiver.close().unwrap();
            std::thread::yield_now();
        }
        assert!(matches!(
            waits.join().unwrap(),
            Err(SendError::Disconnected(..))
        ));
        assert!(matches!(
            more.join().unwrap(),
            Err(SendError::Disconnected(..))
        ));
    });
    assert_eq!(receiver.recv().unwrap().0, 1);
    assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
}

pub(crate) fn a_receiver_that_is_lost_on_the_way_is_gone(method: StartMethod) {
    for _ in 0..5 {
        let (sender, receiver) = queue::bounded::<u32>(1_000_000 / 64).unwrap();
        let mut task: process::JoinHandle<()> = start(
            method,
            |_: Receiver<u32>| loop {
                std::thread::park();
            },
            receiver,
        );
        // It may have received the receiver by now, or not.
        task.kill().unwrap();
        let _ = task.join();
        testkit::eventually("nobody has it", || is_over(&sender));
        assert!(is_refused(&sender));
    }
}

pub(crate) fn a_receiver_in_a_message_is_still_one() {
    let (sender, receiver) = queue::bounded::<u32>(10).unwrap();
    let (letters, mailbox) = queue::bounded::<Receiver<u32>>(2).unwrap();
    letters.send(receiver).unwrap();
    sender.send(1).unwrap();
    // Longer than it takes to look again.
    std::thread::sleep(Duration::from_millis(60));
    sender.send(2).unwrap();
    let receiver = mailbox.recv().unwrap();
    assert_eq!((receiver.recv().unwrap(), receiver.recv().unwrap()), (1, 2));
    letters.send(receiver).unwrap();
    drop((letters, mailbox));
    testkit::eventually("it went with the message", || is_over(&sender));
    assert!(is_refused(&sender));
}

pub(crate) fn receivers_get_what_is_there_and_are_then_refused(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u32>(10).unwrap();
    let mut task = start(
        method,
        |sender: Sender<u32>| {
            for number in 0..3 {
                sender.send(number).unwrap();
            }
        },
        sender,
    );
    task.join().unwrap();
    let other = receiver.clone();
    for number in 0..3 {
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), number);
    }
    for receiver in [&receiver, &other, &receiver] {
        assert!(matches!(receiver.recv(), Err(RecvError::Disconnected(..))));
        assert!(matches!(
            receiver.try_recv(),
            Err(TryRecvError::Disconnected(..))
        ));
        assert!(matches!(
            receiver.recv_timeout(LONG),
            Err(RecvTimeoutError::Disconnected(..))
        ));
        assert!(matches!(
            receiver.recv_delivery(),
            Err(RecvError::Disconnected(..))
        ));
        assert!(matches!(
            receiver.recv_many(&mut Vec::new(), 3),
            Err(RecvError::Disconnected(..))
        ));
        assert!(matches!(
            at_once(receiver.recv_async()),
            Err(RecvError::Disconnected(..))
        ));
        assert_eq!(receiver.iter().count(), 0);
        assert_eq!(receiver.results().count(), 0);
    }
}

pub(crate) fn joining_says_that_nobody_will_do_the_rest() {
    let (sender, receiver) = queue::bounded::<u32>(10).unwrap();
    sender.send(1).unwrap();
    drop(receiver);
    for _ in 0..2 {
        let error = sender.join().unwrap_err();
        assert_eq!(error.kind(), procession::ErrorKind::Disconnected);
        assert!(is_over(&sender));
    }
}

/// Decodes only if it is even.
#[derive(Debug, PartialEq, Serialize)]
struct Even(u32);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        let number = u32::deserialize(deserializer)?;
        match number % 2 {
            0 => Ok(Even(number)),
            _ => Err(serde::de::Error::custom("odd")),
        }
    }
}

pub(crate) fn what_cannot_be_received_does_not_look_like_the_end() {
    std::panic::set_hook(Box::new(|_| {}));
    let text_of = |payload: Box<dyn std::any::Any + Send>| *payload.downcast::<String>().unwrap();
    let (sender, receiver) = queue::bounded::<Even>(10).unwrap();
    let numbers = || [2, 3, 4].map(Even);
    sender.send_many(numbers()).unwrap();
    let mut got = Vec::new();
    let all = AssertUnwindSafe(|| got.extend(receiver.iter()));
    let text = text_of(std::panic::catch_unwind(all).unwrap_err());
    assert!(text.contains("Even") && text.contains("results"), "{text}");
    assert_eq!(got, [Even(2)]);
    assert_eq!(receiver.recv().unwrap(), Even(4));

    sender.send_many(numbers()).unwrap();
    let all = AssertUnwindSafe(|| receiver.try_iter().count());
    text_of(std::panic::catch_unwind(all).unwrap_err());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Even(4)]);

    sender.send_many(numbers()).unwrap();
    let mut results = receiver.results();
    assert_eq!(results.next().unwrap().unwrap(), Even(2));
    assert_eq!(
        results.next().unwrap().unwrap_err().kind(),
        procession::ErrorKind::Corrupt
    );
    assert!(results.next().is_none(), "an error is the last one");
    drop(results);
    assert_eq!(receiver.results().next().unwrap().unwrap(), Even(4));

    let (sender, receiver) = queue::prioritized::<Even>(2, 4).unwrap();
    sender.send(1, Even(3)).unwrap();
    let all = AssertUnwindSafe(|| receiver.iter().count());
    text_of(std::panic::catch_unwind(all).unwrap_err());
    sender.send(0, Even(3)).unwrap();
    assert!(receiver.results().next().unwrap().is_err());
    drop(sender);
    assert_eq!(receiver.iter().count(), 0);
}

/// A worker that takes the messages it gets for all that there are fails.
pub(crate) fn a_loop_over_messages_fails_with_their_error(method: StartMethod) {
    let (sender, receiver) = Options::new().capacity(10).anonymous::<Even>().unwrap();
    let mut task = start(
        method,
        |receiver: Receiver<Even>| receiver.iter().count() as u64,
        receiver,
    );
    sender.send(Even(2)).unwrap();
    sender.send(Even(3)).unwrap();
    let error = task.join().unwrap_err();
    assert!(error.to_string().contains("Even"), "{error}");
}
