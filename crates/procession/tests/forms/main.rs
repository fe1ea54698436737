//! Whatever waits has four forms: it waits for ever, does not wait at all, waits for
//! some time, or until a deadline. Those that give up say so in one manner.

mod errors;
mod messages;
mod traits;

use procession::channel::{self, Address, Listener};
use procession::os::eventfd::{EventFd, Mode};
use procession::os::pipe;
use procession::os::socket::{SeqPacket, SeqPacketListener};
use procession::os::sysv::{Key, SemaphoreSet};
use procession::pool::{JoinError, Pool};
use procession::process::{self, Command, PidFd, Stdio};
use procession::queue::{self, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
use procession::shared::{Array, Value};
use procession::sync::LockError;
use procession::{Deadline, Error, ErrorKind};
use std::cell::RefCell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Long enough to be told from none, and short for a test.
const SHORT: Duration = Duration::from_millis(3);

/// Far beyond any bound that is promised.
const LONG: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    procession::init();
    testkit::run(testkit::tests![
        messages_that_are_not_there,
        messages_that_are_there,
        room_that_is_not_there,
        room_that_is_there,
        a_message_is_sent_whole_or_not_at_all,
        a_queue_is_joined,
        channels_of_bytes,
        locks_of_values,
        ends_of_processes,
        counters_and_pipes,
        connections,
        semaphores_of_system_v,
        pipelines,
        results_of_a_pool,
        results_of_tasks,
        the_end_of_a_pool,
        errors::errors_convert_with_a_question_mark,
        errors::what_a_lock_says_converts_and_unlocks,
        errors::what_a_lock_says_names_it,
        errors::what_a_queue_says_has_a_kind,
        errors::what_a_queue_or_a_channel_says_names_it,
        errors::a_task_fails_alike_alone_and_in_a_pool,
        errors::a_task_error_is_told_whole_as_an_error,
        errors::causes_are_said_once,
        messages::errors_read_operation_object_cause,
        traits::types_have_the_traits_of_std,
        traits::futures_are_send,
        traits::receivers_are_loops,
        traits::what_is_printed_is_parsed,
        traits::guards_print_their_values,
    ])
}

/// What an operation says that has given up.
trait GaveUp {
    /// It has not waited.
    fn at_once(&self) -> bool;
    /// It has waited, and the time has passed.
    fn in_time(&self) -> bool;
}

impl GaveUp for Error {
    fn at_once(&self) -> bool {
        self.is_would_block()
    }
    fn in_time(&self) -> bool {
        self.is_timeout()
    }
}

impl<G, R> GaveUp for LockError<G, R> {
    fn at_once(&self) -> bool {
        matches!(self, LockError::Failed(error) if error.is_would_block())
    }
    fn in_time(&self) -> bool {
        matches!(self, LockError::Failed(error) if error.is_timeout())
    }
}

impl GaveUp for JoinError {
    fn at_once(&self) -> bool {
        self.kind() == ErrorKind::WouldBlock
    }
    fn in_time(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }
}

/// An error that has the other form's answer nowhere.
macro_rules! one_form {
    ($type:ty, $at_once:expr, $pattern:pat $(, $generic:ident)?) => {
        impl$(<$generic>)? GaveUp for $type {
            fn at_once(&self) -> bool {
                $at_once && matches!(self, $pattern)
            }
            fn in_time(&self) -> bool {
                !$at_once && matches!(self, $pattern)
            }
        }
    };
}

one_form!(TryRecvError, true, TryRecvError::Empty);
one_form!(RecvTimeoutError, false, RecvTimeoutError::Timeout(..));
one_form!(TrySendError<T>, true, TrySendError::Full(_), T);
one_form!(SendTimeoutError<T>, false, SendTimeoutError::Timeout(..), T);

/// The three forms that give up do so, and wait as long as they are to.
#[track_caller]
fn not_yet<V, N: GaveUp, L: GaveUp>(
    now: impl FnOnce() -> Result<V, N>,
    timeout: impl FnOnce(Duration) -> Result<V, L>,
    deadline: impl FnOnce(Deadline) -> Result<V, L>,
) {
    assert!(now().is_err_and(|error| error.at_once()));
    let begin = Instant::now();
    assert!(timeout(SHORT).is_err_and(|error| error.in_time()));
    assert!(begin.elapsed() >= SHORT);
    let begin = Instant::now();
    assert!(deadline(Deadline::after(SHORT)).is_err_and(|error| error.in_time()));
    assert!(begin.elapsed() >= SHORT);
}

pub(crate) fn messages_that_are_not_there() {
    let (_sender, receiver) = queue::bounded::<u32>(2).unwrap();
    let r = &receiver;
    let mut some = Vec::new();
    not_yet(
        || r.try_recv(),
        |t| r.recv_timeout(t),
        |d| r.recv_deadline(d),
    );
    not_yet(
        || r.try_recv_delivery(),
        |t| r.recv_delivery_timeout(t),
        |d| r.recv_delivery_deadline(d),
    );
    assert!(
        r.try_recv_many(&mut some, 2)
            .is_err_and(|error| error.at_once())
    );
    assert!(
        r.recv_many_timeout(&mut some, 2, SHORT)
            .is_err_and(|error| error.in_time())
    );
    let late = r.recv_many_deadline(&mut some, 2, Deadline::after(SHORT));
    assert!(late.is_err_and(|error| error.in_time()));
    assert!(some.is_empty());

    let (_sender, receiver) = queue::bytes(2).unwrap();
    let r = &receiver;
    let into = &mut b"kept".to_vec();
    assert!(r.try_recv_bytes(into).is_err_and(|error| error.at_once()));
    assert!(
        r.recv_bytes_timeout(into, SHORT)
            .is_err_and(|error| error.in_time())
    );
    not_yet(
        || r.try_recv_borrowed(),
        |t| r.recv_borrowed_timeout(t),
        |d| r.recv_borrowed_deadline(d),
    );
    not_yet(
        || r.try_recv_many_bytes(2, |_| unreachable!("nothing is there")),
        |t| r.recv_many_bytes_timeout(2, |_| unreachable!("nothing is there"), t),
        |d| r.recv_many_bytes_deadline(2, |_| unreachable!("nothing is there"), d),
    );
}

pub(crate) fn messages_that_are_there() {
    let (sender, receiver) = queue::bounded::<u32>(16).unwrap();
    sender.send_many(1..=6).unwrap();
    assert_eq!(receiver.try_recv_delivery().unwrap().into_inner(), 1);
    let delivery = receiver.recv_delivery_timeout(LONG).unwrap();
    assert_eq!(delivery.into_inner(), 2);
    let mut some = Vec::new();
    assert_eq!(receiver.try_recv_many(&mut some, 2).unwrap(), 2);
    assert_eq!(receiver.recv_many_timeout(&mut some, 9, LONG).unwrap(), 2);
    assert_eq!(some, [3, 4, 5, 6]);

    let (sender, receiver) = queue::bytes(16).unwrap();
    let messages = [&b"1"[..], b"2", b"3", b"4", b"5", b"6"];
    sender.send_many_bytes(messages).unwrap();
    let mut into = Vec::new();
    assert!(!receiver.try_recv_bytes(&mut into).unwrap());
    assert_eq!(into, b"1");
    assert!(!receiver.recv_bytes_timeout(&mut into, LONG).unwrap());
    assert_eq!(into, b"2");
    assert_eq!(&*receiver.try_recv_borrowed().unwrap(), b"3");
    assert_eq!(&*receiver.recv_borrowed_timeout(LONG).unwrap(), b"4");
    let mut shown = Vec::new();
    let show = |bytes: &[u8]| shown.extend_from_slice(bytes);
    assert_eq!(receiver.try_recv_many_bytes(9, show).unwrap(), 2);
    sender.send_bytes(b"7").unwrap();
    let show = |bytes: &[u8]| shown.extend_from_slice(bytes);
    assert_eq!(receiver.recv_many_bytes_timeout(9, show, LONG).unwrap(), 1);
    assert_eq!(shown, b"567");
}

pub(crate) fn room_that_is_not_there() {
    let (sender, _receiver) = queue::bounded::<u32>(1).unwrap();
    sender.send(0).unwrap();
    let s = &sender;
    not_yet(
        || s.try_send(1),
        |t| s.send_timeout(1, t),
        |d| s.send_deadline(1, d),
    );
    not_yet(
        || s.try_send_many([1, 2]),
        |t| s.send_many_timeout([1, 2], t),
        |d| s.send_many_deadline([1, 2], d),
    );

    let (sender, _receiver) = queue::bytes(1).unwrap();
    sender.send_bytes(b"0").unwrap();
    let s = &sender;
    not_yet(
        || s.try_send_bytes(b"1"),
        |t| s.send_bytes_timeout(b"1", t),
        |d| s.send_bytes_deadline(b"1", d),
    );
    let two = [&b"1"[..], b"2"];
    not_yet(
        || s.try_send_many_bytes(two),
        |t| s.send_many_bytes_timeout(two, t),
        |d| s.send_many_bytes_deadline(two, d),
    );

    let (sender, _receiver) = queue::prioritized::<u32>(1, 2).unwrap();
    let fill = |priority| while sender.try_send(priority, 0).is_ok() {};
    (0..sender.priorities()).for_each(fill);
    let s = &sender;
    not_yet(
        || s.try_send(0, 1),
        |t| s.send_timeout(0, 1, t),
        |d| s.send_deadline(0, 1, d),
    );
}

pub(crate) fn room_that_is_there() {
    let (sender, receiver) = queue::bounded::<u32>(3).unwrap();
    // As many as there is room for; the first that there was none for comes back.
    let error = sender.try_send_many(1..=9).unwrap_err();
    assert_eq!(error.into_inner(), 4);
    assert_eq!(receiver.try_iter().collect::<Vec<u32>>(), [1, 2, 3]);
    assert_eq!(sender.send_many_timeout([4, 5], LONG).unwrap(), 2);
    assert_eq!(receiver.try_iter().collect::<Vec<u32>>(), [4, 5]);

    let (sender, receiver) = queue::bytes(3).unwrap();
    let four = [&b"1"[..], b"2", b"3", b"4"];
    assert_eq!(
        sender.try_send_many_bytes(four).unwrap_err().into_inner(),
        3
    );
    receiver.recv_many_bytes(9, |_| ()).unwrap();
    sender.try_send_bytes(b"5").unwrap();
    sender.send_bytes_timeout(b"6", LONG).unwrap();
    assert_eq!(
        sender.send_many_bytes_timeout([&b"7"[..]], LONG).unwrap(),
        1
    );
    let mut shown = Vec::new();
    let show = |bytes: &[u8]| shown.extend_from_slice(bytes);
    receiver.recv_many_bytes(9, show).unwrap();
    assert_eq!(shown, b"567");
}

pub(crate) fn a_message_is_sent_whole_or_not_at_all() {
    let (sender, receiver) = queue::bytes(1).unwrap();
    let mut first = sender.try_reserve(5).unwrap();
    first.copy_from_slice(b"first");
    first.try_commit().unwrap();
    // One is there, so there is no place for another.
    let mut into = Vec::new();
    for wait in [None, Some(SHORT)] {
        let Ok(late) = sender.try_reserve(4) else {
            continue;
        };
        match wait {
            None => assert!(late.try_commit().is_err_and(|error| error.at_once())),
            Some(time) => assert!(
                late.commit_timeout(time)
                    .is_err_and(|error| error.in_time())
            ),
        }
    }
    receiver.recv_bytes(&mut into).unwrap();
    assert_eq!(into, b"first");
    let mut second = sender.reserve_timeout(6, LONG).unwrap();
    second.copy_from_slice(b"second");
    second.commit_timeout(LONG).unwrap();
    receiver.recv_bytes(&mut into).unwrap();
    assert_eq!(into, b"second");
    assert!(
        receiver
            .try_recv_bytes(&mut into)
            .is_err_and(|error| error.at_once())
    );
}

pub(crate) fn a_queue_is_joined() {
    let (sender, receiver) = queue::bounded::<u32>(2).unwrap();
    sender.send(1).unwrap();
    let s = &sender;
    not_yet(
        || s.try_join(),
        |t| s.join_timeout(t),
        |d| s.join_deadline(d),
    );
    let held = receiver.recv_delivery().unwrap();
    not_yet(
        || s.try_join(),
        |t| s.join_timeout(t),
        |d| s.join_deadline(d),
    );
    held.ack();
    sender.try_join().unwrap();
    sender.join().unwrap();
}

pub(crate) fn channels_of_bytes() {
    for flavor in [
        channel::Flavor::Shared,
        channel::Flavor::Packets,
        channel::Flavor::Pipe,
    ] {
        let options = channel::Options::new().flavor(flavor);
        let (one, other) = options.duplex::<[u8], [u8]>().unwrap();
        let into = &mut Vec::new();
        assert!(one.try_recv_bytes(into).is_err_and(|error| error.at_once()));
        assert!(
            one.recv_bytes_timeout(into, SHORT)
                .is_err_and(|error| error.in_time())
        );
        assert!(!one.poll_deadline(Deadline::after(SHORT)).unwrap());
        other.try_send_bytes(b"1").unwrap();
        other.send_bytes_timeout(b"2", LONG).unwrap();
        assert!(one.poll_deadline(Deadline::after(LONG)).unwrap());
        one.recv_bytes_timeout(into, LONG).unwrap();
        assert_eq!(into, b"1");
        one.recv_bytes(into).unwrap();
        assert_eq!(into, b"2");

        let (writer, reader) = other.split();
        // Until it is full, whatever the flavor keeps. A pipe takes so short a message
        // whole or not at all.
        let message = [7; 1000];
        while writer.try_send_bytes(&message).is_ok() {}
        let w = &writer;
        not_yet(
            || w.try_send_bytes(&message),
            |t| w.send_bytes_timeout(&message, t),
            |d| w.send_bytes_deadline(&message, d),
        );
        drop((writer, reader));
    }
}

pub(crate) fn locks_of_values() {
    let value = Value::new(1_u32).unwrap();
    let array = Array::new([0_u32; 3]).unwrap();
    let ready = std::sync::Barrier::new(2);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let held = (value.try_lock().unwrap(), array.try_lock().unwrap());
            ready.wait();
            ready.wait();
            drop(held);
        });
        ready.wait();
        let v = &value;
        not_yet(
            || v.try_lock(),
            |t| v.lock_timeout(t),
            |d| v.lock_deadline(d),
        );
        let a = &array;
        not_yet(
            || a.try_lock(),
            |t| a.lock_timeout(t),
            |d| a.lock_deadline(d),
        );
        ready.wait();
    });
    assert_eq!(*value.lock_timeout(LONG).unwrap(), 1);
    assert_eq!(array.lock_timeout(LONG).unwrap().len(), 3);
}

pub(crate) fn ends_of_processes() {
    let (end, receiver) = queue::bounded(1).unwrap();
    let mut task = process::spawn(
        |stay: queue::Receiver<()>| {
            let parent = process::parent().unwrap();
            let p = &parent;
            not_yet(
                || p.try_wait(),
                |t| p.wait_timeout(t),
                |d| p.wait_deadline(d),
            );
            let _ = stay.recv();
            7
        },
        receiver,
    )
    .unwrap();
    let descriptor = PidFd::open(task.pid()).unwrap();
    let d = &descriptor;
    not_yet(
        || d.try_wait(),
        |t| d.wait_timeout(t),
        |until| d.wait_deadline(until),
    );
    assert!(task.try_wait().is_err_and(|error| error.at_once()));
    assert!(task.wait_timeout(SHORT).is_err_and(|error| error.in_time()));
    assert!(
        task.wait_deadline(Deadline::after(SHORT))
            .is_err_and(|error| error.in_time())
    );
    end.send(()).unwrap();
    task.wait().unwrap();
    task.try_wait().unwrap();
    assert_eq!(task.join().unwrap(), 7);
    descriptor.wait().unwrap();
    descriptor.try_wait().unwrap();
}

pub(crate) fn counters_and_pipes() {
    let counter = EventFd::new(0, Mode::Counter).unwrap();
    counter.add(u64::MAX - 1).unwrap();
    let c = &counter;
    not_yet(
        || c.try_add(1),
        |t| c.add_timeout(1, t),
        |d| c.add_deadline(1, d),
    );
    assert_eq!(counter.take().unwrap(), u64::MAX - 1);
    counter.add_timeout(1, LONG).unwrap();

    let (reader, writer) = pipe::pipe().unwrap();
    let bytes = vec![7; writer.capacity().unwrap() + 1];
    let late = writer.write_all_timeout(&bytes, SHORT);
    assert!(late.is_err_and(|error| error.in_time()));
    let mut some = [0; 16];
    assert_eq!(reader.read(&mut some).unwrap(), 16);
    drop(reader);
}

pub(crate) fn connections() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("packets");
    let listener = SeqPacketListener::bind(&path).unwrap();
    let l = &listener;
    not_yet(
        || l.try_accept(),
        |t| l.accept_timeout(t),
        |d| l.accept_deadline(d),
    );
    let one = SeqPacket::connect(&path).unwrap();
    let _other = listener.try_accept().unwrap();
    let two = SeqPacket::connect(&path).unwrap();
    let _other = listener.accept_timeout(LONG).unwrap();
    drop((one, two));

    let address = Address::unix(directory.path().join("channel"));
    let mut listener = Listener::<u32, u32>::bind(&address).unwrap();
    assert!(listener.try_accept().is_err_and(|error| error.at_once()));
    assert!(
        listener
            .accept_timeout(SHORT)
            .is_err_and(|error| error.in_time())
    );
    let peer = std::thread::spawn(move || channel::connect::<u32, u32>(&address).unwrap());
    let end = listener.accept_timeout(LONG).unwrap();
    end.send(1).unwrap();
    assert_eq!(peer.join().unwrap().recv().unwrap(), 1);
}

pub(crate) fn semaphores_of_system_v() {
    let set = SemaphoreSet::create(Key::PRIVATE, &[0, 2]).unwrap();
    let s = &set;
    not_yet(
        || s.try_wait(0),
        |t| s.wait_timeout(0, t),
        |d| s.wait_deadline(0, d),
    );
    set.try_wait(1).unwrap();
    set.wait_timeout(1, LONG).unwrap();
    assert_eq!(set.values().unwrap(), [0, 0]);
    set.remove().unwrap();
}

pub(crate) fn pipelines() {
    let first = Command::new("cat").stdin(Stdio::Piped);
    let mut running = first
        .pipe(Command::new("cat").stdout(Stdio::Null))
        .spawn()
        .unwrap();
    // Waiting would close it.
    let input = running.children()[0].take_stdin();
    assert!(running.try_wait().unwrap().is_none());
    assert!(
        running
            .wait_timeout(SHORT)
            .is_err_and(|error| error.in_time())
    );
    let late = running.wait_deadline(Deadline::after(SHORT));
    assert!(late.is_err_and(|error| error.in_time()));
    drop(input);
    let statuses = running.wait_timeout(LONG).unwrap();
    assert!(statuses.len() == 2 && statuses.iter().all(|status| status.success()));
    assert_eq!(running.try_wait().unwrap().unwrap(), statuses);
}

/// A task that ends when it has received something.
fn wait_for(stay: queue::Receiver<()>) -> u32 {
    let _ = stay.recv();
    7
}

pub(crate) fn results_of_a_pool() {
    let pool = Pool::new(1).unwrap();
    let (end, stay) = queue::bounded(1).unwrap();
    let mut results = pool.imap(wait_for, [stay]);
    assert!(results.try_next().is_err_and(|error| error.at_once()));
    assert!(
        results
            .next_timeout(SHORT)
            .is_err_and(|error| error.in_time())
    );
    let late = results.next_deadline(Deadline::after(SHORT));
    assert!(late.is_err_and(|error| error.in_time()));
    end.send(()).unwrap();
    let result = results.next_deadline(Deadline::after(LONG)).unwrap();
    assert_eq!(result.unwrap().unwrap(), 7);
    assert!(results.try_next().unwrap().is_none());
}

pub(crate) fn results_of_tasks() {
    let (end, stay) = queue::bounded(1).unwrap();
    let task = RefCell::new(process::spawn(wait_for, stay).unwrap());
    not_yet(
        || task.borrow_mut().try_join(),
        |t| task.borrow_mut().join_timeout(t),
        |d| task.borrow_mut().join_deadline(d),
    );
    end.send(()).unwrap();
    let result = task.borrow_mut().join_timeout(LONG).unwrap();
    assert_eq!(result.unwrap(), 7);
    assert!(task.borrow_mut().try_join().unwrap().is_err(), "joined");

    let pool = Pool::new(1).unwrap();
    let (end, stay) = queue::bounded(1).unwrap();
    let task = RefCell::new(pool.spawn(wait_for, stay).unwrap());
    not_yet(
        || task.borrow_mut().try_join(),
        |t| task.borrow_mut().join_timeout(t),
        |d| task.borrow_mut().join_deadline(d),
    );
    end.send(()).unwrap();
    let result = task.borrow_mut().join_timeout(LONG).unwrap();
    assert_eq!(result.unwrap(), 7);
    assert!(task.borrow_mut().try_join().unwrap().is_err(), "joined");
}

pub(crate) fn the_end_of_a_pool() {
    let pool = Pool::new(1).unwrap();
    let (end, stay) = queue::bounded(1).unwrap();
    let task = pool.spawn(wait_for, stay).unwrap();
    let error = pool.try_join().unwrap_err();
    assert!(error.at_once());
    let error = error.into_inner().join_timeout(SHORT).unwrap_err();
    assert!(error.in_time());
    let late = error.into_inner().join_deadline(Deadline::after(SHORT));
    let error = late.unwrap_err();
    assert!(error.in_time());
    let pool = error.into_inner();
    end.send(()).unwrap();
    assert_eq!(pool.join_timeout(LONG).unwrap().tasks(), 1);
    assert_eq!(task.join().unwrap(), 7);
}
