use crate::mapped::mount_small;
use crate::{child, is_asleep, succeeds};
use procession::os::memory::Region;
use procession::os::posix::{MAX_PRIORITY, MessageQueue, Notification, Semaphore, SharedMemory};
use procession::signal::{Signal, Signals};
use procession::{Deadline, ErrorKind, Name, poll};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn name() -> String {
    Name::random("procession-test").unwrap().to_string()
}

fn queue(messages: usize, bytes: usize) -> MessageQueue {
    let name = name();
    let queue = MessageQueue::create(&name, messages, bytes).unwrap();
    MessageQueue::unlink(&name).unwrap();
    queue
}

pub(crate) fn messages_come_by_priority() {
    let queue = queue(8, 64);
    for (text, priority) in [("c", 0), ("a", MAX_PRIORITY), ("b1", 5), ("b2", 5)] {
        queue.send(text.as_bytes(), priority).unwrap();
    }
    let order: Vec<_> = (0..4).map(|_| queue.receive().unwrap()).collect();
    let expected = [("a", MAX_PRIORITY), ("b1", 5), ("b2", 5), ("c", 0)];
    assert_eq!(
        order,
        expected.map(|(text, priority)| (text.as_bytes().to_vec(), priority))
    );
    let error = queue.send(b"x", MAX_PRIORITY + 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    queue.send(b"", 1).unwrap();
    assert_eq!(queue.receive().unwrap(), (Vec::new(), 1));
}

pub(crate) fn a_full_queue_and_an_empty_one_say_so() {
    let queue = queue(2, 16);
    assert!(queue.try_receive().unwrap_err().is_would_block());
    let (start, pause) = (Instant::now(), Duration::from_millis(15));
    assert!(queue.receive_timeout(pause).unwrap_err().is_timeout());
    assert!(start.elapsed() >= pause);
    queue.send(b"1", 0).unwrap();
    queue.send(b"2", 0).unwrap();
    assert!(queue.try_send(b"3", 0).unwrap_err().is_would_block());
    assert!(queue.send_timeout(b"3", 0, pause).unwrap_err().is_timeout());
    let sender = child(|| queue.send(b"3", 0).unwrap());
    testkit::eventually("the sender waits", || is_asleep(&sender));
    assert_eq!(queue.receive().unwrap().0, b"1");
    succeeds(sender);
    assert_eq!(queue.attributes().unwrap().messages, 2);
    let error = queue.send(&[0; 17], 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a message of 17 bytes, and the queue takes 16"),
        "{error}"
    );
}

pub(crate) fn a_queue_lives_after_unlink_and_its_name_is_free() {
    let name = name();
    let first = MessageQueue::create(&name, 1, 8).unwrap();
    assert!(
        MessageQueue::create(&name, 1, 8)
            .unwrap_err()
            .is_already_exists()
    );
    let same = MessageQueue::open(&name).unwrap();
    MessageQueue::unlink(&name).unwrap();
    assert!(MessageQueue::open(&name).unwrap_err().is_not_found());
    assert!(MessageQueue::unlink(&name).unwrap_err().is_not_found());
    let second = MessageQueue::create(&name, 1, 8).unwrap();
    first.send(b"first", 0).unwrap();
    second.send(b"second", 0).unwrap();
    assert_eq!(same.receive().unwrap().0, b"first");
    assert_eq!(second.receive().unwrap().0, b"second");
    MessageQueue::unlink(&name).unwrap();
}

pub(crate) fn a_queue_outlives_its_processes() {
    let name = name();
    succeeds(child(|| {
        let queue = MessageQueue::open_or_create(&name, 4, 32).unwrap();
        queue.send(b"from the dead", 3).unwrap();
    }));
    let queue = MessageQueue::open_or_create(&name, 9, 99).unwrap();
    assert_eq!(
        queue.attributes().unwrap().max_messages,
        4,
        "the size it was made with"
    );
    assert_eq!(queue.try_receive().unwrap(), (b"from the dead".to_vec(), 3));
    MessageQueue::unlink(&name).unwrap();
}

pub(crate) fn one_process_at_a_time_is_notified() {
    let queue = queue(4, 16);
    let mut signals = Signals::new(&[Signal::USR1]).unwrap();
    queue.notify(Notification::Signal(Signal::USR1)).unwrap();
    succeeds(child(|| {
        assert_eq!(
            queue.notify(Notification::Silent).unwrap_err().kind(),
            ErrorKind::Busy
        );
        queue.send(b"ring", 0).unwrap();
    }));
    assert_eq!(
        signals.wait_timeout(Duration::from_secs(10)).unwrap(),
        Signal::USR1
    );
    // Once: the registration is used up.
    queue.receive().unwrap();
    queue.send(b"again", 0).unwrap();
    assert!(signals.try_wait().unwrap_err().is_would_block());
    queue.notify(Notification::Silent).unwrap();
    queue.cancel_notify().unwrap();
    queue.cancel_notify().unwrap();
}

pub(crate) fn directions_are_kept() {
    let name = name();
    let _both = MessageQueue::create(&name, 1, 8).unwrap();
    let (sender, receiver) = (
        MessageQueue::open_sender(&name).unwrap(),
        MessageQueue::open_receiver(&name).unwrap(),
    );
    MessageQueue::unlink(&name).unwrap();
    sender.send(b"x", 0).unwrap();
    assert_eq!(
        sender.receive().unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(
        receiver.send(b"y", 0).unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    assert_eq!(receiver.receive().unwrap().0, b"x");
}

pub(crate) fn limits_are_named() {
    let name = name();
    let hint = |messages, bytes| {
        let error = MessageQueue::create(&name, messages, bytes).unwrap_err();
        assert!(error.is_limit_reached(), "{error:?}");
        error.hint().unwrap().to_owned()
    };
    assert!(hint(1 << 24, 8).contains("fs.mqueue.msg_max is "));
    assert!(hint(1, 1 << 30).contains("fs.mqueue.msgsize_max is "));
    let error = MessageQueue::create(&name, 0, 8).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let resource = rustix::process::Resource::Msgqueue;
    let limit = rustix::process::Rlimit {
        current: Some(1000),
        maximum: Some(1000),
    };
    rustix::process::setrlimit(resource, limit).unwrap();
    assert!(hint(10, 8192).contains("RLIMIT_MSGQUEUE is 1000"));
}

pub(crate) fn a_queue_is_polled() {
    let queue = queue(1, 8);
    assert!(
        poll::readable(&queue, Deadline::NOW)
            .unwrap_err()
            .is_would_block()
    );
    poll::writable(&queue, Deadline::NOW).unwrap();
    let sender = child(|| queue.send(b"x", 0).unwrap());
    poll::readable(&queue, Deadline::NEVER).unwrap();
    assert!(
        poll::writable(&queue, Deadline::NOW)
            .unwrap_err()
            .is_would_block()
    );
    succeeds(sender);
}

pub(crate) fn a_named_semaphore_joins_unrelated_processes() {
    let name = name();
    let semaphore = Semaphore::create(&name, 0).unwrap();
    assert!(Semaphore::create(&name, 0).unwrap_err().is_already_exists());
    let poster = child(|| {
        let same = Semaphore::open_or_create(&name, 99).unwrap();
        assert_eq!(same.value().unwrap(), 0, "the value it was made with");
        same.post().unwrap();
    });
    semaphore.wait().unwrap();
    succeeds(poster);
    Semaphore::unlink(&name).unwrap();
    assert!(Semaphore::open(&name).unwrap_err().is_not_found());
    semaphore.post().unwrap();
    assert_eq!(semaphore.value().unwrap(), 1, "lives on while it is open");
    let error = Semaphore::create(&name, u32::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

pub(crate) fn a_semaphore_times_out_and_counts() {
    let semaphore = Semaphore::unnamed(2).unwrap();
    semaphore.wait().unwrap();
    semaphore.try_wait().unwrap();
    assert!(semaphore.try_wait().unwrap_err().is_would_block());
    let (start, pause) = (Instant::now(), Duration::from_millis(15));
    assert!(semaphore.wait_timeout(pause).unwrap_err().is_timeout());
    assert!(start.elapsed() >= pause);
    // A fraction of a second that carries into the next.
    assert!(
        semaphore
            .wait_timeout(Duration::from_nanos(999_999))
            .unwrap_err()
            .is_timeout()
    );
    let full = Semaphore::unnamed(i32::MAX as u32).unwrap();
    assert!(full.post().unwrap_err().is_limit_reached());
}

pub(crate) fn a_permit_of_a_killed_holder_stays_taken() {
    let semaphore = Semaphore::unnamed(1).unwrap();
    let holder = child(|| {
        semaphore.wait().unwrap();
        loop {
            std::thread::park();
        }
    });
    testkit::eventually("the permit is taken", || semaphore.value().unwrap() == 0);
    holder.kill().unwrap();
    holder.wait().unwrap();
    // As the documentation warns.
    assert!(
        semaphore
            .wait_timeout(Duration::from_millis(5))
            .unwrap_err()
            .is_timeout()
    );
}

pub(crate) fn semaphores_live_in_shared_memory() {
    let region = Arc::new(Region::anonymous(4096).unwrap());
    let first = Semaphore::init_in(Arc::clone(&region), 64, 0).unwrap();
    let poster = child(|| {
        Semaphore::attach_in(Arc::clone(&region), 64)
            .unwrap()
            .post()
            .unwrap();
    });
    first.wait().unwrap();
    succeeds(poster);
    for offset in [1, 4096, 4096 - Semaphore::BYTES + 8, usize::MAX] {
        let error = Semaphore::init_in(Arc::clone(&region), offset, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
    }
    let mut read_only = Region::anonymous(4096).unwrap();
    read_only.make_read_only().unwrap();
    assert!(Semaphore::attach_in(Arc::new(read_only), 0).is_err());
}

pub(crate) fn shared_memory_is_found_by_name_and_resized() {
    let name = name();
    let memory = SharedMemory::create(&name, 100).unwrap();
    assert!(
        SharedMemory::create(&name, 100)
            .unwrap_err()
            .is_already_exists()
    );
    memory.map().unwrap().bytes().write(50, b"here");
    succeeds(child(|| {
        let other = SharedMemory::open(&name).unwrap();
        assert_eq!(other.len().unwrap(), 100);
        let region = other.map().unwrap();
        assert_eq!(region.bytes().to_vec(50, 4), b"here");
        region.bytes().write(50, b"back");
        other.resize(100_000).unwrap();
        other.map().unwrap().bytes().write(99_999, b"!");
    }));
    let region = memory.map().unwrap();
    assert_eq!(
        (memory.len().unwrap(), region.bytes().to_vec(50, 4)),
        (100_000, b"back".to_vec())
    );
    memory.resize(10).unwrap();
    assert_eq!(memory.len().unwrap(), 10);
    SharedMemory::unlink(&name).unwrap();
    assert!(SharedMemory::open(&name).unwrap_err().is_not_found());
}

pub(crate) fn shared_memory_for_reading_only_cannot_be_written() {
    let name = name();
    SharedMemory::create(&name, 10).unwrap();
    let reader = SharedMemory::open_read_only(&name).unwrap();
    SharedMemory::unlink(&name).unwrap();
    assert_eq!(
        reader.map().unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    let region = reader.map_read_only().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        region.bytes().write(0, b"x");
    }));
    assert!(outcome.is_err(), "a mistake of the program is a panic");
    let outcome =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| region.bytes().to_vec(9, 2)));
    assert!(outcome.is_err(), "so is leaving the memory");
}

pub(crate) fn a_full_dev_shm_is_found_at_creation() {
    if !mount_small(std::path::Path::new("/dev/shm")) {
        return;
    }
    let name = name();
    let error = SharedMemory::create(&name, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(
        SharedMemory::open(&name).unwrap_err().is_not_found(),
        "nothing half made is left"
    );
    let fits = SharedMemory::create(&name, 4096).unwrap();
    assert_eq!(fits.resize(1 << 20).unwrap_err().kind(), ErrorKind::NoSpace);
    fits.map().unwrap().bytes().write(0, b"fine");
    SharedMemory::unlink(&name).unwrap();
}

pub(crate) fn opening_or_creating_agrees_on_one_object() {
    let name = name();
    let racers: Vec<_> = (0..8)
        .map(|number| {
            let name = &name;
            child(move || {
                let memory = SharedMemory::open_or_create(name, 8 * 8).unwrap();
                memory
                    .map()
                    .unwrap()
                    .bytes()
                    .atomic_u64(number * 8)
                    .store(1, std::sync::atomic::Ordering::SeqCst);
            })
        })
        .collect();
    racers.into_iter().for_each(succeeds);
    let region = SharedMemory::open(&name).unwrap().map().unwrap();
    SharedMemory::unlink(&name).unwrap();
    let marks = (0..8).map(|number| {
        region
            .bytes()
            .atomic_u64(number * 8)
            .load(std::sync::atomic::Ordering::SeqCst)
    });
    assert_eq!(
        marks.sum::<u64>(),
        8,
        "all of them wrote to the same object"
    );
}

pub(crate) fn owners_permissions_and_times_are_told() {
    let me = rustix::process::geteuid().as_raw();
    let before = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec;
    let name = name();
    let queue = MessageQueue::create(&name, 1, 8).unwrap();
    let memory = SharedMemory::create(&name, 8).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let fifo = procession::os::fifo::Fifo::create(directory.path().join("fifo")).unwrap();
    let file = procession::os::mmap::MappedFile::create(directory.path().join("file"), 8).unwrap();
    MessageQueue::unlink(&name).unwrap();
    SharedMemory::unlink(&name).unwrap();
    for status in [
        queue.status(),
        memory.status(),
        fifo.status(),
        file.status(),
    ] {
        let status = status.unwrap();
        assert_eq!((status.uid, status.mode), (me, 0o600));
        assert!(
            status.changed >= before && status.modified >= before,
            "{status:?}"
        );
    }
}
