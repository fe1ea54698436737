//! What the types of the library have of std's traits: who may send them, copy them, await
//! them, loop over them and print them.

use procession::process::{self, Signal};
use procession::{Bytes, Deadline, Failure, Handle, Name, Select};
use procession::{channel, pool, queue, shared, shm, signal, sync};
use std::fmt::Debug;

fn travels<T: Send + 'static>() {}
fn is_shared<T: Send + Sync + 'static>() {}
fn is_cloned<T: Clone>() {}
fn is_printed<T: Debug>() {}
fn parses<T: std::str::FromStr<Err = procession::Error> + std::fmt::Display>() {}
fn loops<R: IntoIterator>()
where
    for<'a> &'a R: IntoIterator,
{
}

/// Each line says of some types what holds for all of them.
macro_rules! all {
    ($($check:ident: $($type:ty),*;)*) => { $($($check::<$type>();)*)* };
}

pub(crate) fn types_have_the_traits_of_std() {
    all! {
        is_shared: procession::Error, Failure, Name, Deadline, Handle<std::fs::File>, Bytes,
            sync::Mutex<u8>, sync::RwLock<u8>, sync::ReentrantMutex<u8>, sync::Semaphore,
            sync::BoundedSemaphore, sync::Condvar, sync::Event, sync::Barrier, sync::Once,
            shared::Value<u8>, shared::Array<u8>, shared::Counter, shared::Counters, shm::Segment,
            queue::Sender<u8>, queue::Receiver<u8>, queue::Sender<[u8]>, queue::Receiver<[u8]>,
            pool::Pool, pool::TaskHandle<u8>, pool::JoinError, pool::Stats,
            process::JoinHandle<u8>, process::Child, process::PidFd, process::Command,
            process::CommandChild, process::PipelineChild, Signal;
        travels: channel::Endpoint<u8, u8>, channel::Reader<u8>, channel::Writer<u8>,
            channel::Listener<u8, u8>, queue::IntoIter<queue::Receiver<u8>>, signal::Signals,
            process::Lines, process::Supervisor;
        is_cloned: procession::Error, Failure, Name, Deadline,
            sync::Mutex<u8>, sync::RwLock<u8>, sync::ReentrantMutex<u8>, sync::Semaphore,
            sync::BoundedSemaphore, sync::Condvar, sync::Event, sync::Barrier, sync::Once,
            shared::Value<u8>, shared::Array<u8>, shared::Counter, shared::Counters,
            queue::Sender<u8>, queue::Receiver<u8>, channel::Address, Signal;
        is_printed: sync::MutexGuard<'_, u8>, sync::RecoveryGuard<'_, u8>,
            sync::RwLockReadGuard<'_, u8>, sync::RwLockWriteGuard<'_, u8>,
            sync::ReentrantMutexGuard<'_, u8>, shared::ArrayGuard<'_, u8>,
            queue::Delivery<u8>, channel::Endpoint<u8, u8>, Select<'_>;
        parses: Name, Signal, process::StartMethod, procession::os::sysv::Key;
        loops: queue::Receiver<u8>, queue::PriorityReceiver<u8>, channel::Reader<u8>,
            channel::Endpoint<u8, u8>;
    }
}

pub(crate) fn futures_are_send() {
    fn is_send<F: Future + Send>(_: F) {}
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    is_send(receiver.recv_async());
    is_send(sender.send_async(1));
    let event = sync::Event::new().unwrap();
    is_send(event.wait_async());
    let (mut end, _other) = channel::duplex::<u8, u8>().unwrap();
    is_send(end.recv_async());
    let pool = pool::Pool::new(1).unwrap();
    is_send(pool.spawn(|x: u8| x, 1).unwrap());
    #[cfg(feature = "tokio")]
    is_send(process::spawn(|x: u8| x, 1).unwrap());
}

pub(crate) fn receivers_are_loops() {
    let (sender, receiver) = queue::bounded::<u8>(4).unwrap();
    sender.send_many([1, 2, 3]).unwrap();
    drop(sender);
    assert_eq!((&receiver).into_iter().next(), Some(1));
    let mut rest = Vec::new();
    for message in receiver {
        rest.push(message);
    }
    assert_eq!(rest, [2, 3]);

    let (one, other) = channel::duplex::<u8, u8>().unwrap();
    one.send(1).unwrap();
    one.send(2).unwrap();
    drop(one);
    assert_eq!((&other).into_iter().next(), Some(1));
    assert!(other.into_iter().eq([2]));
}

pub(crate) fn what_is_printed_is_parsed() {
    for number in 1..=64 {
        let signal = Signal::from_raw(number).unwrap();
        assert_eq!(signal.to_string().parse(), Ok(signal));
        assert_eq!(number.to_string().parse(), Ok(signal));
    }
    for text in [
        "",
        "SIG",
        "SIGSIGINT",
        "0",
        "65",
        "-1",
        "signal 0",
        "signal SIGINT",
    ] {
        assert!(text.parse::<Signal>().is_err(), "{text}");
    }
    let name = Name::random("forms").unwrap();
    assert_eq!(name.to_string().parse(), Ok(name));
    use procession::os::sysv::Key;
    for key in [Key::PRIVATE, Key::from_raw(-2), Key::from_raw(77)] {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    assert!("0x1ffffffff".parse::<Key>().is_err());
}

pub(crate) fn guards_print_their_values() {
    let mutex = sync::Mutex::new(7_u8).unwrap();
    assert_eq!(format!("{:?}", mutex.lock().unwrap()), "7");
    let lock = sync::RwLock::new([1_u8, 2]).unwrap();
    assert_eq!(format!("{:?}", lock.read().unwrap()), "[1, 2]");
    assert_eq!(format!("{:?}", lock.write().unwrap()), "[1, 2]");
    let again = sync::ReentrantMutex::new(8_u8).unwrap();
    assert_eq!(format!("{:?}", again.lock().unwrap()), "8");
    let array = shared::Array::new([3_u8, 4]).unwrap();
    assert_eq!(format!("{:?}", array.lock().unwrap()), "[3, 4]");
    // While somebody else has it as well.
    let _guard = mutex.lock().unwrap();
    assert_eq!(format!("{mutex:?}"), "Mutex { name: None, .. }");
    let value = shared::Value::new(1_u8).unwrap();
    assert_eq!(format!("{value:?}"), "Value { name: None, .. }");
    assert_eq!(format!("{array:?}"), "Array { name: None, len: 2, .. }");
}
