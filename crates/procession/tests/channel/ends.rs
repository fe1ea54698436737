//! How channels end, in every flavor: each time, and never so that something else
//! looks like it; and what is left by a panic.

use crate::{FLAVORS, LONG, start};
use procession::channel::{
    Endpoint, Options, Reader, RecvError, RecvTimeoutError, SendError, SendTimeoutError,
    TryRecvError, TrySendError, Writer,
};
use procession::process::{JoinHandle, StartMethod};
use procession::{Deadline, ErrorKind};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

#[track_caller]
fn refuses(writer: &Writer<u32>, what: &str) {
    for _ in 0..3 {
        let refused = matches!(writer.send(1), Err(SendError::Disconnected(1, ..)))
            && matches!(writer.try_send(2), Err(TrySendError::Disconnected(2, ..)))
            && matches!(
                writer.send_timeout(3, LONG),
                Err(SendTimeoutError::Disconnected(3, ..))
            )
            && matches!(
                writer.send_deadline(4, Deadline::after(LONG)),
                Err(SendTimeoutError::Disconnected(4, ..))
            );
        assert!(refused, "{what}: {:?}", writer.send(5));
    }
}

#[track_caller]
fn is_at_its_end(reader: &Reader<u32>, what: &str) {
    for _ in 0..3 {
        let ended = matches!(reader.recv(), Err(RecvError::Disconnected(..)))
            && matches!(reader.try_recv(), Err(TryRecvError::Disconnected(..)))
            && matches!(
                reader.recv_timeout(LONG),
                Err(RecvTimeoutError::Disconnected(..))
            )
            && reader.poll().unwrap()
            && reader.iter().next().is_none()
            && reader.results().next().is_none();
        assert!(ended, "{what}: {:?}", reader.recv());
    }
}

/// Sends a little, and waits to be killed.
fn be_there((peer, few): (Endpoint<u32, u32>, u32)) {
    for number in 0..few {
        peer.send(number).unwrap();
    }
    peer.send(u32::MAX).unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn both_ways_end_each_time(options: Options, method: StartMethod) {
    for unread in [0, 3] {
        let (ours, theirs) = options.duplex::<u32, u32>().unwrap();
        let mut task: JoinHandle<()> = start(method, be_there, (theirs, 2));
        for number in [0, 1, u32::MAX] {
            assert_eq!(ours.recv_timeout(LONG).unwrap(), number);
        }
        // What the other side never reads.
        for number in 0..unread {
            ours.send(number).unwrap();
        }
        let (writer, reader) = ours.split();
        task.kill().unwrap();
        let _ = task.join();
        let what = format!("{unread} unread");
        testkit::eventually("the end is known", || {
            matches!(writer.try_send(7), Err(TrySendError::Disconnected(7, ..)))
        });
        refuses(&writer, &what);
        is_at_its_end(&reader, &what);
    }
}

pub(crate) fn one_way_ends_each_time() {
    for flavor in FLAVORS {
        let options = Options::new().flavor(flavor);
        let what = format!("{flavor:?}");
        let (writer, reader) = options.pipe::<u32>().unwrap();
        writer.send(1).unwrap();
        drop(reader);
        refuses(&writer, &what);
        let (writer, reader) = options.pipe::<u32>().unwrap();
        writer.send(1).unwrap();
        drop(writer);
        assert_eq!(reader.recv().unwrap(), 1);
        is_at_its_end(&reader, &what);
    }
}

/// Panics while it is encoded or decoded, or is an error.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bomb {
    Quiet,
    Decoding,
    Wrong,
    Encoding,
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
            1 => panic!("as meant"),
            _ => Err(serde::de::Error::custom("wrong")),
        }
    }
}

#[track_caller]
fn panics<T>(code: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(code)).is_err(), "no panic");
}

pub(crate) fn what_cannot_be_received_does_not_look_like_the_end() {
    std::panic::set_hook(Box::new(|_| {}));
    for flavor in FLAVORS {
        let options = Options::new().flavor(flavor);
        let (writer, reader) = options.pipe::<Bomb>().unwrap();
        for _ in 0..2 {
            for bomb in [Bomb::Quiet, Bomb::Wrong] {
                writer.send(bomb).unwrap();
            }
        }
        let mut count = 0;
        panics(|| reader.iter().for_each(|_| count += 1));
        assert_eq!(count, 1);
        let mut results = reader.results();
        assert_eq!(results.next().unwrap().unwrap(), Bomb::Quiet);
        let error = results.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(results.next().is_none());
        drop(writer);
        assert!(reader.results().next().is_none());
    }
}

pub(crate) fn a_panic_leaves_a_channel_as_it_was() {
    std::panic::set_hook(Box::new(|_| {}));
    for flavor in FLAVORS {
        let options = Options::new().flavor(flavor).capacity(2);
        let (writer, reader) = options.pipe::<Bomb>().unwrap();
        // More than there is room for.
        for _ in 0..100 {
            panics(|| writer.send(Bomb::Encoding));
            writer.send(Bomb::Decoding).unwrap();
            writer.send(Bomb::Quiet).unwrap();
            panics(|| reader.recv_timeout(LONG));
            assert_eq!(reader.recv_timeout(LONG).unwrap(), Bomb::Quiet);
        }
    }
}

thread_local! {
    /// What a message says while it is encoded, and hears while it is decoded.
    static AGAIN: RefCell<Option<(Reader<Nested>, Writer<Nested>)>> = const { RefCell::new(None) };
}

/// Sends another one while it is sent, and receives it while it is received.
#[derive(Debug, PartialEq)]
struct Nested(u8);

impl Serialize for Nested {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 > 0 {
            AGAIN.with_borrow(|again| {
                let (_, writer) = again.as_ref().unwrap();
                writer.send(Nested(self.0 - 1)).unwrap();
            });
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Nested, D::Error> {
        let number = u8::deserialize(deserializer)?;
        if number < 2 {
            let next = AGAIN.with_borrow(|again| again.as_ref().unwrap().0.recv());
            assert_eq!(next.unwrap(), Nested(number + 1));
        }
        Ok(Nested(number))
    }
}

pub(crate) fn a_message_may_use_its_own_channel() {
    for flavor in FLAVORS {
        let (writer, reader) = Options::new().flavor(flavor).pipe().unwrap();
        AGAIN.set(Some((reader, writer)));
        AGAIN.with_borrow(|again| {
            let (reader, writer) = again.as_ref().unwrap();
            writer.send(Nested(2)).unwrap();
            assert_eq!(reader.recv_timeout(LONG).unwrap(), Nested(0));
            assert!(reader.try_recv().is_err());
        });
        AGAIN.set(None);
    }
}

/// Uses a channel when its thread ends.
struct AtTheEnd(Reader<String>, Writer<String>, mpsc::Sender<String>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        self.1.send("still".to_owned()).unwrap();
        self.2.send(self.0.recv().unwrap()).unwrap();
        assert!(matches!(self.0.try_recv(), Err(TryRecvError::Empty)));
    }
}

thread_local! {
    static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

pub(crate) fn channels_work_in_destructors_of_threads() {
    let (done, found) = mpsc::channel();
    for flavor in FLAVORS {
        let done = done.clone();
        let thread = std::thread::spawn(move || {
            let (writer, reader) = Options::new().flavor(flavor).pipe().unwrap();
            LAST.set(Some(AtTheEnd(reader, writer, done)));
            LAST.with_borrow(|last| {
                let AtTheEnd(reader, writer, _) = last.as_ref().unwrap();
                writer.send("one".to_owned()).unwrap();
                assert_eq!(reader.recv().unwrap(), "one");
            });
        });
        thread.join().unwrap();
    }
    assert_eq!(found.try_iter().count(), FLAVORS.len());
}
