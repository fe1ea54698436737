//! Times and numbers up to what their types can hold, wherever one is taken.

use procession::channel::{self, Flavor};
use procession::os::memory::Region;
use procession::os::sysv::{Key, Operation, SemaphoreSet};
use procession::os::{eventfd, fifo, memfd, mmap, pipe, posix, socket, sysv};
use procession::process::{self, Builder, Command, StartMethod, Stop};
use procession::queue;
use procession::shared::{Array, Counters, Value};
use procession::shm::Segment;
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, Mutex, Once, ReentrantMutex, RwLock, Semaphore,
};
use procession::{Deadline, Select};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is too long to be a point in time, or only just not, in one of the units
/// that somebody may count in.
fn long() -> Vec<Duration> {
    vec![
        Duration::MAX,
        Duration::MAX - Duration::from_nanos(1),
        Duration::from_secs(u64::MAX),
        Duration::from_secs(i64::MAX as u64),
        // The last points in time that there are.
        Duration::from_secs(i64::MAX as u64 - 1_000_000_000),
        Duration::from_secs(u64::MAX / 1000),
        Duration::from_millis(u64::MAX),
        Duration::from_nanos(u64::MAX),
        Duration::from_nanos(i64::MAX as u64 + 1),
        Duration::from_secs(u32::MAX.into()),
        Duration::from_millis(u32::MAX.into()),
        Duration::from_millis(i32::MAX as u64 + 1),
    ]
}

/// Whether a thread of this process sleeps.
fn sleeps(thread: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    stat.is_ok_and(|stat| stat.contains(") S "))
}

/// Has a wait of each length end because what it waits for comes, once it sleeps.
fn each_long_wait_ends<W>(what: &str, wait: W, come: impl Fn())
where
    W: Fn(Duration) -> bool + Sync,
{
    for time in long() {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                tell.send(rustix::thread::gettid().as_raw_nonzero().get())
                    .unwrap();
                wait(time)
            });
            let thread = told.recv().unwrap();
            testkit::eventually(what, || sleeps(thread) || waiter.is_finished());
            come();
            assert!(waiter.join().unwrap(), "{what}, {time:?}");
        });
    }
}

pub(crate) fn a_time_that_is_no_point_in_time_is_no_limit_to_shared_objects() {
    let mutex = Mutex::new(0_u32).unwrap();
    let held = std::cell::RefCell::new(Some(mutex.lock().unwrap()));
    for time in long() {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| mutex.lock_timeout(time).map(drop).is_ok());
            drop(held.take());
            assert!(waiter.join().unwrap(), "{time:?}");
        });
        held.replace(Some(mutex.lock().unwrap()));
    }
    drop(held);
    let event = Event::auto_reset().unwrap();
    let set = || event.set().unwrap();
    each_long_wait_ends("event", |time| event.wait_timeout(time).is_ok(), set);
    let permits = Semaphore::new(0).unwrap();
    let take = |time| permits.acquire_timeout(time).map(|it| it.forget()).is_ok();
    each_long_wait_ends("semaphore", take, || permits.add_permits(1).unwrap());
    let barrier = Barrier::new(2).unwrap();
    let pass = |time| barrier.wait_timeout(time).is_ok();
    each_long_wait_ends("barrier", pass, || assert!(barrier.wait().is_ok()));
    let (own, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let wait = |time| {
        let (_, outcome) = changed.wait_timeout(own.lock().unwrap(), time).unwrap();
        !outcome.timed_out()
    };
    each_long_wait_ends("condvar", wait, || {
        drop(own.lock().unwrap());
        changed.notify_all();
    });
    for time in long() {
        assert!(
            Value::new(1_u8)
                .unwrap()
                .lock_deadline(Deadline::after(time))
                .is_ok()
        );
        assert!(
            ReentrantMutex::new(1_u8)
                .unwrap()
                .lock_timeout(time)
                .is_ok()
        );
        assert!(RwLock::new(1_u8).unwrap().read_timeout(time).is_ok());
        assert!(RwLock::new(1_u8).unwrap().write_timeout(time).is_ok());
        assert!(Once::new().unwrap().call_once_timeout(time, || ()).is_ok());
        let array = Array::new([1_u8]).unwrap();
        assert!(array.lock_deadline(Deadline::after(time)).is_ok());
    }
}

pub(crate) fn a_time_that_is_no_point_in_time_is_no_limit_to_messages() {
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    let receive = |time| receiver.recv_timeout(time).is_ok();
    each_long_wait_ends("queue", receive, || sender.send(1).unwrap());
    sender.send(1).unwrap();
    let send = |time| sender.send_timeout(2, time).is_ok();
    each_long_wait_ends("queue with room", send, || assert!(receiver.recv().is_ok()));
    assert!(receiver.recv().is_ok());
    let join = |time| sender.join_timeout(time).is_ok();
    let job = |receiver: &queue::Receiver<u8>| receiver.recv().unwrap();
    for time in long() {
        sender.send(1).unwrap();
        job(&receiver);
        assert!(join(time), "{time:?}");
    }
    for flavor in [Flavor::Shared, Flavor::Packets, Flavor::Pipe] {
        let options = channel::Options::new().flavor(flavor);
        let (here, there) = options.duplex::<u8, u8>().unwrap();
        let receive = |time| here.recv_timeout(time).is_ok();
        for time in long() {
            there.send(1).unwrap();
            assert!(here.poll_timeout(time).unwrap());
            assert!(receive(time), "{flavor:?}, {time:?}");
        }
    }
    let select = |time| {
        let mut select = Select::new();
        let message = select.recv(&receiver);
        select.after(time);
        let found = select
            .ready_timeout(time)
            .is_ok_and(|found| found == message);
        found && receiver.try_recv().is_ok()
    };
    each_long_wait_ends("selection", select, || sender.send(1).unwrap());
    let (reader, writer) = pipe::pipe().unwrap();
    let select = |time| {
        let mut select = Select::new();
        let bytes = select.readable(&reader);
        select.recv(&receiver);
        select.after(time);
        let found = select.ready_timeout(time).is_ok_and(|found| found == bytes);
        found && reader.try_read(&mut [0; 8]).is_ok()
    };
    let write = || writer.write_all(b"x").unwrap();
    each_long_wait_ends("selection with a descriptor", select, write);
}

pub(crate) fn a_time_that_is_no_point_in_time_is_no_limit_to_kernel_objects() {
    let (reader, writer) = pipe::pipe().unwrap();
    let read = |time| reader.read_timeout(&mut [0; 8], time).is_ok();
    each_long_wait_ends("pipe", read, || writer.write_all(b"x").unwrap());
    let poll = |time| {
        let ready = procession::poll::readable(&reader, Deadline::after(time)).is_ok();
        ready && reader.try_read(&mut [0; 8]).is_ok()
    };
    each_long_wait_ends("descriptor", poll, || writer.write_all(b"x").unwrap());
    let counter = eventfd::EventFd::new(0, eventfd::Mode::Counter).unwrap();
    let take = |time| counter.take_timeout(time).is_ok();
    each_long_wait_ends("event counter", take, || counter.add(1).unwrap());
    let (here, there) = socket::SeqPacket::pair().unwrap();
    let receive = |time| here.receive_timeout(&mut [0; 8], time).is_ok();
    each_long_wait_ends("socket", receive, || there.send(b"x").unwrap());
    let semaphore = posix::Semaphore::unnamed(0).unwrap();
    let take = |time| semaphore.wait_timeout(time).is_ok();
    each_long_wait_ends("POSIX semaphore", take, || semaphore.post().unwrap());
    let set = SemaphoreSet::create(Key::PRIVATE, &[0]).unwrap();
    let take = |time| set.operate_timeout(&[Operation::take(0, 1)], time).is_ok();
    each_long_wait_ends("System V semaphore", take, || set.post(0).unwrap());
    set.remove().unwrap();
    let messages = sysv::MessageQueue::create(Key::PRIVATE).unwrap();
    let receive = |time| {
        let first = sysv::Select::First;
        messages.receive_timeout(first, time).is_ok()
    };
    let send = || messages.send(1, b"x").unwrap();
    each_long_wait_ends("System V messages", receive, send);
    messages.remove().unwrap();
    let name = "/procession-test-extremes";
    if let Ok(messages) = posix::MessageQueue::create(name, 1, 8) {
        let receive = |time| messages.receive_timeout(time).is_ok();
        let send = || messages.send(b"x", 0).unwrap();
        each_long_wait_ends("POSIX messages", receive, send);
        posix::MessageQueue::unlink(name).unwrap();
    }
}

fn obey((): ()) {
    let current = process::current().unwrap();
    while !current.stop_requested() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn a_time_that_is_no_point_in_time_is_no_limit_to_processes() {
    for time in long() {
        let mut child = process::spawn(|x: u8| x, 7).unwrap();
        assert_eq!(child.join_timeout(time).unwrap().unwrap(), 7, "{time:?}");
        let stop = Stop::new().request(time).terminate(time);
        let mut obeys = process::spawn(obey, ()).unwrap();
        let _ = obeys.stop(stop);
        let output = Command::new("true").timeout(time).output().unwrap();
        assert!(output.status.success());
        let sleeper = Command::new("sleep").arg("0.01").spawn().unwrap();
        assert!(sleeper.wait_timeout(time).unwrap().success());
        let copy = match process::fork().unwrap() {
            process::Fork::Parent(child) => child,
            process::Fork::Child => process::exit(0),
        };
        assert!(copy.wait_timeout(time).unwrap().success());
        for method in [
            StartMethod::Fork,
            StartMethod::ForkServer,
            StartMethod::Spawn,
        ] {
            let builder = Builder::new().start_method(method);
            let builder = builder.timeout(time).start_timeout(time);
            let mut task = builder.spawn(|x: u8| x + 1, 7).unwrap();
            assert_eq!(task.join().unwrap(), 8, "{method:?}, {time:?}");
        }
    }
    // The shortest of all is a timeout, and nothing else.
    let sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    for time in [Duration::ZERO, Duration::from_nanos(1)] {
        let error = sleeper.wait_timeout(time).unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
    let stop = Stop::new().terminate(Duration::from_nanos(1));
    let _ = sleeper.stop(stop).unwrap();
}

/// Calls something with each number; it may refuse, and has to at once.
fn each(what: &str, numbers: &[u64], call: impl Fn(u64) -> Option<String>) {
    for &number in numbers {
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| call(number)));
        let refused = outcome.unwrap_or_else(|_| panic!("{what}({number}) panicked"));
        if let Some(error) = refused {
            assert!(!error.is_empty(), "{what}({number})");
        }
        // As good as a hang.
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{what}({number})"
        );
    }
}

fn error_of<T, E: ToString>(outcome: Result<T, E>) -> Option<String> {
    outcome.err().map(|error| error.to_string())
}

pub(crate) fn numbers_up_to_the_largest_are_done_or_refused() {
    let large = [
        u64::MAX,
        u64::MAX - 1,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        1 << 62,
        1 << 47,
        1 << 40,
        u64::from(u32::MAX) * 16,
    ];
    let few = [
        0,
        1,
        u64::MAX,
        u64::MAX - 1,
        i64::MAX as u64,
        u32::MAX.into(),
        1 << 31,
    ];
    let size = |number: u64| number as usize;
    // Those of which the largest would take what the machine has.
    each("Segment::new", &large, |n| error_of(Segment::new(size(n))));
    each("Segment::create", &large, |n| {
        error_of(Segment::create("x", size(n)))
    });
    each("Segment longest", &large, |n| {
        error_of(Segment::options().longest(size(n)).anonymous(4096))
    });
    each("Segment huge", &large, |n| {
        error_of(Segment::options().huge_pages().anonymous(size(n)))
    });
    each("System V segment", &large, |n| {
        error_of(Segment::create_system_v(Key::PRIVATE, size(n)))
    });
    each("Counters", &large, |n| error_of(Counters::new(size(n))));
    each("Array", &large, |n| {
        error_of(Array::new(
            (0..n.min(1 << 40) as usize).map(|_| 0_u64).take(0),
        ))
    });
    each("MemFd", &large, |n| {
        error_of(memfd::MemFd::create("x", size(n)))
    });
    each("MemFd huge", &large, |n| {
        error_of(memfd::MemFd::create_huge("x", size(n)))
    });
    each("MemFd resize", &large, |n| {
        error_of(memfd::MemFd::create("x", 1).unwrap().resize(size(n)))
    });
    each("Region", &large, |n| match n {
        // Fewer are addresses only.
        n if n > 1 << 47 => error_of(Region::anonymous(size(n))),
        _ => None,
    });
    let directory = tempfile::tempdir().unwrap();
    each("MappedFile", &large[..7], |n| {
        error_of(mmap::MappedFile::create(
            directory.path().join("x"),
            size(n),
        ))
    });
    each("queue", &large, |n| {
        error_of(queue::bounded::<u64>(size(n)))
    });
    each("queue of bytes", &large, |n| {
        error_of(queue::bytes(size(n)))
    });
    let (bytes, _taker) = queue::bytes(4).unwrap();
    each("reserve", &large, |n| error_of(bytes.reserve(size(n))));
    each("inline_bytes", &few, |n| {
        let options = queue::Options::new().inline_bytes(size(n));
        error_of(options.capacity(4).anonymous::<[u8]>())
    });
    each("max_unacked", &few, |n| {
        let options = queue::Options::new().max_unacked(size(n));
        error_of(options.capacity(4).anonymous::<u8>())
    });
    each("ceiling", &few, |n| {
        let options = queue::Options::new().max_memory(size(n));
        error_of(options.capacity(4).anonymous::<[u8]>())
    });
    each("channel", &large, |n| {
        let options = channel::Options::new().capacity(size(n));
        error_of(options.duplex::<u8, u8>())
    });
    // Those that take little or nothing.
    each("Semaphore::new", &few, |n| {
        error_of(Semaphore::new(size(n)))
    });
    each("BoundedSemaphore::new", &few, |n| {
        error_of(BoundedSemaphore::new(size(n)))
    });
    each("with_capacity", &few, |n| {
        error_of(Semaphore::with_capacity(0, size(n)))
    });
    let permits = Semaphore::with_capacity(0, 1 << 20).unwrap();
    each("add_permits", &few[2..], |n| {
        error_of(permits.add_permits(size(n)))
    });
    each("all permits", &[1 << 20], |n| {
        error_of(permits.add_permits(size(n)))
    });
    assert_eq!(permits.available().unwrap(), 1 << 20);
    each("Barrier", &few, |n| error_of(Barrier::new(size(n))));
    each("notify", &few, |n| {
        Condvar::new().unwrap().notify(n as u32);
        None
    });
    each("EventFd", &few, |n| {
        let counter = eventfd::EventFd::new(n as u32, eventfd::Mode::Counter).unwrap();
        error_of(counter.try_add(n))
    });
    let (_reader, writer) = pipe::pipe().unwrap();
    each("pipe", &few, |n| error_of(writer.set_capacity(size(n))));
    let (here, _there) = socket::SeqPacket::pair().unwrap();
    each("socket", &few, |n| error_of(here.set_send_buffer(size(n))));
    each("POSIX semaphore", &few, |n| {
        error_of(posix::Semaphore::unnamed(n as u32))
    });
    let region = Arc::new(Region::anonymous(4096).unwrap());
    each("POSIX semaphore at", &few[1..], |n| {
        error_of(posix::Semaphore::init_in(Arc::clone(&region), size(n), 0))
    });
    each("POSIX messages", &few, |n| {
        let name = "/procession-test-extremes";
        let queue = posix::MessageQueue::create(name, size(n), size(n));
        let _ = posix::MessageQueue::unlink(name);
        error_of(queue)
    });
    let set = SemaphoreSet::create(Key::PRIVATE, &[0]).unwrap();
    for amount in [0, 1, 32_767, 32_768, u16::MAX] {
        let operations = [Operation::add(0, amount), Operation::take(0, amount)];
        let error = set.try_operate(&operations).err();
        assert_eq!(error.is_some(), amount > 32_767, "{amount}: {error:?}");
        let error = set.set_value(0, amount).err();
        assert_eq!(error.is_some(), amount > 32_767, "{amount}: {error:?}");
        set.set_value(0, 0).unwrap();
        let error = set.try_operate(&[Operation::add(amount, 1)]).err();
        assert_eq!(error.is_some(), amount > 0, "{amount}: {error:?}");
        set.set_value(0, 0).unwrap();
    }
    set.remove().unwrap();
    let messages = sysv::MessageQueue::create(Key::PRIVATE).unwrap();
    each("System V peek", &few, |n| error_of(messages.peek(size(n))));
    each("System V send", &few, |n| {
        error_of(messages.try_send(n as i64, b"x"))
    });
    each("System V room", &few, |n| {
        error_of(messages.set_max_bytes(n))
    });
    messages.remove().unwrap();
    let file = mmap::MappedFile::create(directory.path().join("y"), 4096).unwrap();
    each("mapped file", &few[2..], |n| {
        error_of(file.read(size(n), &mut [0; 8]))
    });
    each("mapped file", &few[2..], |n| {
        error_of(file.checked_write(size(n), &[0; 8]))
    });
    each("mapped file", &few[2..], |n| {
        error_of(file.flush_range(size(n), size(n)))
    });
    let array = Array::new([1_u8]).unwrap();
    each("array", &few[1..], |n| {
        let outcome = catch_unwind(AssertUnwindSafe(|| error_of(array.get(size(n)))));
        // An index is the caller's own mistake, as that of a slice is.
        outcome.unwrap_or(None)
    });
    each("output_limit", &few, |n| {
        error_of(Command::new("true").output_limit(size(n)).output())
    });
    each("memory_limit", &[u64::MAX, u64::MAX - 1, 1 << 62], |n| {
        let task = Builder::new().memory_limit(n).spawn(|x: u8| x, 1);
        error_of(task.map(|mut task| task.join().unwrap()))
    });
    let _ = fifo::Fifo::create(directory.path().join("z")).unwrap();
}
