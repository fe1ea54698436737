//! A panic is a death: what was at work is for another one, and nothing is kept.

use crate::{LONG, start};
use procession::process::StartMethod;
use procession::queue::{self, Options, Receiver, RecvTimeoutError, Sender};
use procession::{Deadline, Handle};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Waker};

/// More than a queue has blocks, whatever its capacity here.
const ROUNDS: usize = 200;

/// Runs something that panics.
#[track_caller]
fn panics<T>(code: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(code)).is_err(), "no panic");
}

fn quietly() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Works on one job, in whatever form, and fails.
fn fails_at_it((jobs, borrows): (Receiver<[u8]>, bool)) {
    if borrows {
        let job = jobs.recv_borrowed().unwrap();
        panic!("cannot do {:?}", &*job);
    }
    let mut job = Vec::new();
    jobs.recv_bytes(&mut job).unwrap();
    panic!("cannot do {job:?}");
}

fn fails_at_a_delivery(jobs: Receiver<String>) {
    let job = jobs.recv_delivery().unwrap();
    panic!("cannot do {}", *job);
}

pub(crate) fn what_a_panic_drops_comes_again(method: StartMethod) {
    let (sender, jobs) = queue::bounded::<String>(4).unwrap();
    sender.send("one".to_owned()).unwrap();
    for _ in 0..3 {
        let mut task = start(method, fails_at_a_delivery, jobs.clone());
        assert!(task.join().unwrap_err().to_string().contains("cannot do"));
        assert!(
            sender
                .join_timeout(std::time::Duration::from_millis(1))
                .is_err()
        );
    }
    let again = jobs.recv_delivery_deadline(Deadline::after(LONG)).unwrap();
    assert!(again.is_redelivered() && *again == "one");
    again.ack();
    sender.join_timeout(LONG).unwrap();

    let (sender, jobs) = queue::bytes(4).unwrap();
    sender.send_bytes(b"one").unwrap();
    let mut task = start(method, fails_at_it, (jobs.clone(), true));
    assert!(task.join().is_err());
    let again = jobs.recv_borrowed_deadline(Deadline::after(LONG)).unwrap();
    assert!(again.is_redelivered() && *again == *b"one");
    drop(again);
    // What was received by value was done with.
    sender.send_bytes(b"two").unwrap();
    let mut task = start(method, fails_at_it, (jobs.clone(), false));
    assert!(task.join().is_err());
    sender.join_timeout(LONG).unwrap();
}

pub(crate) fn what_a_panic_drops_is_counted_where_it_is_lost(method: StartMethod) {
    let (sender, jobs) = Options::new()
        .at_most_once()
        .capacity(1)
        .anonymous()
        .unwrap();
    for round in 1..=3 {
        sender.send("one".to_owned()).unwrap();
        let mut task = start(method, fails_at_a_delivery, jobs.clone());
        assert!(task.join().is_err());
        testkit::eventually("it is counted", || {
            assert!(jobs.try_recv().is_err());
            jobs.lost() == round
        });
        sender.join_timeout(LONG).unwrap();
    }
}

pub(crate) fn a_thread_that_panics_leaves_its_message_to_one_that_waits() {
    quietly();
    let (sender, jobs) = queue::bounded::<Vec<Handle<File>>>(4).unwrap();
    let files = (0..3).map(|_| Handle::new(File::open("/dev/null").unwrap()));
    sender.send(files.collect()).unwrap();
    let taken = jobs.recv_delivery().unwrap();
    let other = jobs.clone();
    std::thread::scope(|threads| {
        let waits =
            threads.spawn(move || other.recv_delivery_deadline(Deadline::after(LONG)).unwrap());
        let fails = threads.spawn(move || {
            let _taken = taken;
            panic!("as meant");
        });
        assert!(fails.join().is_err());
        let again = waits.join().unwrap();
        assert!(again.is_redelivered());
        assert_eq!(again.len(), 3, "with its descriptors");
        again.ack();
    });
    // One that was received by a destructor during a panic, and acknowledged there, is
    // done with.
    sender.send(Vec::new()).unwrap();
    struct Receives<'a>(&'a Receiver<Vec<Handle<File>>>);
    impl Drop for Receives<'_> {
        fn drop(&mut self) {
            self.0.recv_delivery().unwrap().ack();
        }
    }
    panics(|| {
        let _receives = Receives(&jobs);
        panic!("as meant");
    });
    sender.join_timeout(LONG).unwrap();
}

thread_local! {
    /// Panics that are yet to come.
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// Panics while it is encoded, decoded or dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bomb {
    Quiet,
    Encoding,
    Decoding,
}

impl Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(*self, Bomb::Encoding, "as meant");
        (*self as u8).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bomb, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Bomb::Quiet),
            _ if ARMED.get() => panic!("as meant"),
            _ => Ok(Bomb::Decoding),
        }
    }
}

fn poll_once(future: impl Future) {
    let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

type Queue = (Sender<Bomb>, Receiver<Bomb>);

/// A way to use a half of it, and what that is called.
type Form<T> = (&'static str, fn(&T));

/// A queue has all its room, and nothing but what is sent now.
#[track_caller]
fn check((sender, receiver): &Queue, what: &str) {
    ARMED.set(false);
    while receiver.try_recv().is_ok() {}
    for _ in 0..sender.capacity() {
        let sent = sender.send_timeout(Bomb::Quiet, LONG);
        assert!(sent.is_ok(), "{what}: {sent:?}");
    }
    assert!(
        sender.try_send(Bomb::Quiet).is_err(),
        "{what}: too much room"
    );
    for _ in 0..sender.capacity() {
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), Bomb::Quiet, "{what}");
    }
    sender.join_timeout(LONG).unwrap();
}

pub(crate) fn a_message_that_panics_while_it_is_encoded_takes_no_room() {
    quietly();
    let queue: Queue = queue::bounded(2).unwrap();
    let (sender, _) = &queue;
    let forms: [Form<Sender<Bomb>>; 7] = [
        ("send", |sender| sender.send(Bomb::Encoding).unwrap()),
        ("try_send", |sender| {
            sender.try_send(Bomb::Encoding).unwrap()
        }),
        ("send_timeout", |sender| {
            sender.send_timeout(Bomb::Encoding, LONG).unwrap();
        }),
        ("send_many", |sender| {
            let _ = sender.send_many([Bomb::Quiet, Bomb::Encoding]).unwrap();
        }),
        ("send_async", |sender| {
            poll_once(sender.send_async(Bomb::Encoding))
        }),
        ("an iterator", |sender| {
            let bombs = (0..2).map(|number| match number {
                0 => Bomb::Quiet,
                _ => panic!("as meant"),
            });
            let _ = sender.send_many(bombs);
        }),
        ("an iterator at once", |sender| {
            let bombs = std::iter::from_fn(|| panic!("as meant"));
            let _ = sender.send_many_deadline(bombs, Deadline::after(LONG));
        }),
    ];
    for (what, form) in forms {
        for _ in 0..ROUNDS {
            panics(|| form(sender));
            while queue.1.try_recv().is_ok() {}
        }
        check(&queue, what);
    }
}

pub(crate) fn a_message_that_panics_while_it_is_decoded_gives_its_room_back() {
    quietly();
    let queue: Queue = queue::bounded(2).unwrap();
    let (sender, receiver) = &queue;
    let forms: [Form<Receiver<Bomb>>; 7] = [
        ("recv", |receiver| drop(receiver.recv())),
        ("try_recv", |receiver| drop(receiver.try_recv())),
        ("recv_timeout", |receiver| drop(receiver.recv_timeout(LONG))),
        ("recv_many", |receiver| {
            let mut some = Vec::new();
            // The first of two, then the second.
            while receiver.recv_many(&mut some, 2).is_ok() {}
        }),
        ("recv_async", |receiver| poll_once(receiver.recv_async())),
        ("iter", |receiver| {
            receiver.iter().for_each(drop);
        }),
        ("recv_delivery", |receiver| {
            // It comes again, and once more.
            panics(|| receiver.recv_delivery().is_ok());
            let _ = receiver.recv_delivery().map(queue::Delivery::ack);
        }),
    ];
    for (what, form) in forms {
        for round in 0..ROUNDS {
            ARMED.set(true);
            if round % 2 == 0 {
                sender.send(Bomb::Quiet).unwrap();
                receiver.recv().unwrap();
            }
            sender.send(Bomb::Decoding).unwrap();
            panics(|| form(receiver));
            ARMED.set(false);
            while receiver.try_recv().is_ok() {}
        }
        check(&queue, what);
    }
    // The second of a row.
    for _ in 0..ROUNDS {
        ARMED.set(true);
        sender.send_many([Bomb::Quiet, Bomb::Decoding]).unwrap();
        let mut some = Vec::new();
        panics(|| receiver.recv_many(&mut some, 2));
        assert_eq!(some, [Bomb::Quiet]);
    }
    check(&queue, "the second of a row");
}

pub(crate) fn a_callback_that_panics_keeps_no_room() {
    quietly();
    let (sender, receiver) = queue::bytes(2).unwrap();
    let two = || sender.send_many_bytes_deadline([&b"one"[..], b"two"], Deadline::after(LONG));
    for round in 0..ROUNDS {
        assert_eq!(two().unwrap(), 2);
        let mut shown = 0;
        panics(|| {
            receiver.recv_many_bytes(2, |_| {
                shown += 1;
                assert!(shown < 1 + round % 2 + 1, "as meant");
                assert!(shown < 2, "as meant");
            })
        });
        while receiver
            .recv_bytes_deadline(&mut Vec::new(), Deadline::NOW)
            .is_ok()
        {}
        // A reservation that a panic drops.
        panics(|| {
            let mut message = sender.reserve(5000 * (round % 2) + 1).unwrap();
            message[0] = 1;
            panic!("as meant");
        });
        assert!(receiver.is_empty());
        // Bytes from an iterator that fails.
        panics(|| {
            let bytes = (0..2).map(|number| match number {
                0 => &b"one"[..],
                _ => panic!("as meant"),
            });
            sender.send_many_bytes(bytes)
        });
        let mut one = Vec::new();
        receiver.recv_bytes(&mut one).unwrap();
        assert_eq!(one, b"one");
    }
    sender.join_timeout(LONG).unwrap();
}

/// Uses a queue when its thread ends.
struct AtTheEnd(Sender<Message>, Receiver<Message>, mpsc::Sender<usize>);

type Message = (u32, Vec<Handle<File>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let AtTheEnd(sender, receiver, done) = self;
        let message = |number: u32| {
            let files = (0..number % 3).map(|_| Handle::new(File::open("/dev/null").unwrap()));
            (number, files.collect())
        };
        let mut count = 0;
        let mut check = |(number, files): &Message| {
            assert_eq!(files.len() as u32, number % 3);
            count += 1;
        };
        for number in 0..10 {
            sender.send(message(number)).unwrap();
            check(&receiver.recv_timeout(LONG).unwrap());
            sender.try_send(message(number)).unwrap();
            let delivery = receiver.recv_delivery().unwrap();
            check(&delivery);
            delivery.ack();
            assert_eq!(sender.send_many((0..3).map(message)).unwrap(), 3);
            let mut some = Vec::new();
            while some.len() < 3 {
                receiver.recv_many(&mut some, 3).unwrap();
            }
            some.iter().for_each(&mut check);
            let short = std::time::Duration::from_millis(1);
            assert!(matches!(
                receiver.recv_timeout(short),
                Err(RecvTimeoutError::Timeout(..))
            ));
            let (other, one) = queue::bounded::<Sender<Message>>(1).unwrap();
            other.send(sender.clone()).unwrap();
            one.recv().unwrap().send(message(1)).unwrap();
            check(&receiver.iter().next().unwrap());
            let (writer, reader) = procession::channel::pipe().unwrap();
            writer.send(message(2)).unwrap();
            check(&reader.recv().unwrap());
        }
        done.send(count).unwrap();
    }
}

thread_local! {
    static FIRST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

pub(crate) fn queues_work_in_destructors_of_threads() {
    let (done, counts) = mpsc::channel();
    for uses_it_before in [false, true] {
        let (sender, receiver) = queue::bounded::<Message>(4).unwrap();
        let done = done.clone();
        let thread = std::thread::spawn(move || {
            // Before the library's own values of the thread, so that they go first.
            FIRST.set(Some(AtTheEnd(sender.clone(), receiver.clone(), done)));
            if uses_it_before {
                sender
                    .send((4, vec![Handle::new(File::open("/dev/null").unwrap())]))
                    .unwrap();
                assert_eq!(receiver.recv().unwrap().0, 4);
            }
        });
        thread.join().unwrap();
    }
    assert_eq!(counts.try_iter().collect::<Vec<_>>(), [70, 70]);
}
