use crate::{child, succeeds};
use procession::os::eventfd::{EventFd, Mode};
use procession::os::posix::{MessageQueue, Semaphore, SharedMemory};
use procession::os::sysv::{self, Key, Operation, SemaphoreSet};
use procession::os::{pipe, socket::SeqPacket};
use procession::signal::{Signal, Signals};
use procession::{ErrorKind, Name};
use std::time::{Duration, Instant};

/// Every kind of wait, under a signal every few microseconds whose handler
/// runs: each must last its whole time and then succeed when it is fed.
pub(crate) fn waits_survive_a_storm_of_signals() {
    let _caught = Signals::new(&[Signal::USR1]).unwrap();
    let (reader, writer) = pipe::pipe().unwrap();
    let bell = EventFd::new(0, Mode::Counter).unwrap();
    let (a, b) = SeqPacket::pair().unwrap();
    let name = Name::random("procession-test").unwrap().to_string();
    let queue = MessageQueue::create(&name, 1, 8).unwrap();
    MessageQueue::unlink(&name).unwrap();
    let semaphore = Semaphore::unnamed(0).unwrap();
    let sysv_queue = sysv::MessageQueue::create(Key::PRIVATE).unwrap();
    let set = SemaphoreSet::create(Key::PRIVATE, &[0]).unwrap();
    let me = rustix::process::getpid();
    let storm = child(|| {
        loop {
            let _ = rustix::process::kill_process(me, rustix::process::Signal::USR1);
        }
    });
    let pause = Duration::from_millis(20);
    let lasts = |what: &str, wait: &dyn Fn() -> procession::Result<()>| {
        let start = Instant::now();
        let error = wait().unwrap_err();
        assert!(error.is_timeout(), "{what}: {error}");
        assert!(start.elapsed() >= pause, "{what} came back early");
    };
    lasts("pipe", &|| reader.read_timeout(&mut [0], pause).map(drop));
    lasts("event counter", &|| bell.take_timeout(pause).map(drop));
    lasts("socket", &|| b.receive_timeout(&mut [0], pause).map(drop));
    lasts("message queue", &|| queue.receive_timeout(pause).map(drop));
    lasts("semaphore", &|| semaphore.wait_timeout(pause));
    lasts("System V queue", &|| {
        sysv_queue
            .receive_timeout(sysv::Select::First, pause)
            .map(drop)
    });
    lasts("System V set", &|| {
        set.operate_timeout(&[Operation::take(0, 1)], pause)
    });
    let feeder = child(|| {
        writer.write_all(b"x").unwrap();
        bell.add(1).unwrap();
        a.send(b"x").unwrap();
        queue.send(b"x", 0).unwrap();
        semaphore.post().unwrap();
        sysv_queue.send(1, b"x").unwrap();
        set.post(0).unwrap();
    });
    reader.read(&mut [0]).unwrap();
    bell.take().unwrap();
    b.receive(&mut [0]).unwrap();
    queue.receive().unwrap();
    semaphore.wait().unwrap();
    sysv_queue.receive(sysv::Select::First).unwrap();
    set.wait(0).unwrap();
    storm.kill().unwrap();
    storm.wait().unwrap();
    succeeds(feeder);
    sysv_queue.remove().unwrap();
    set.remove().unwrap();
}

pub(crate) fn names_that_make_no_sense_never_reach_the_kernel() {
    for name in ["", "/", "a/b", "..", "nul\0", &"x".repeat(300)] {
        let kinds = [
            MessageQueue::create(name, 1, 1).unwrap_err().kind(),
            Semaphore::create(name, 1).unwrap_err().kind(),
            SharedMemory::create(name, 1).unwrap_err().kind(),
            MessageQueue::unlink(name).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::InvalidInput; 4], "{name:?}");
    }
}
