//! Messages that do not fit into their blocks, and such as are not copied.

use crate::growing::taken;
use crate::{LONG, start};
use procession::process::{self, Fork, StartMethod};
use procession::queue::{self, Receiver, RecvError, SendError, Sender};
use procession::sync::Event;
use procession::{Deadline, ErrorKind};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::UnshareFlags;
use testkit::random::Random;

/// Bytes that their length says.
fn bytes(length: usize) -> Vec<u8> {
    let part = (0..256).map(|at| (at * 31 + length) as u8);
    // Which costs less, without optimisation, than as many numbers.
    let mut bytes = part.collect::<Vec<_>>().repeat(length / 256 + 1);
    bytes.truncate(length);
    bytes
}

fn echo((comes, goes): (Receiver<serde_bytes::ByteBuf>, Sender<serde_bytes::ByteBuf>)) {
    for message in comes.iter() {
        goes.send(message).unwrap();
    }
}

pub(crate) fn long_messages_come_whole(method: StartMethod) {
    let (there, comes) = queue::bounded(3).unwrap();
    let (goes, back) = queue::bounded(3).unwrap();
    let mut task = start(method, echo, (comes, goes));
    for boundary in [1072, 1 << 16, 2 << 20, 64 << 20] {
        for length in [boundary - 6, boundary - 1, boundary, boundary + 1] {
            there
                .send(serde_bytes::ByteBuf::from(bytes(length)))
                .unwrap();
            let message = back.recv_timeout(LONG).unwrap();
            assert!(*message == bytes(length), "{length} bytes");
        }
    }
    drop(there);
    task.join().unwrap();
}

/// Bytes of the machine's memory that shared memory takes.
fn shared_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("Shmem:"))
        .unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}

pub(crate) fn the_memory_of_the_longest_is_given_back() {
    let (sender, receiver) = queue::bytes(1).unwrap();
    let message = vec![1; 200 << 20];
    let before = shared_memory();
    sender.send_bytes(&message).unwrap();
    assert!(shared_memory() > before + (150 << 20));
    let borrowed = receiver.recv_borrowed().unwrap();
    assert_eq!((borrowed.len(), borrowed[200 << 19]), (message.len(), 1));
    drop(borrowed);
    // Others may take some meanwhile.
    testkit::eventually("it is given back", || {
        shared_memory() < before + (100 << 20)
    });
}

pub(crate) fn what_was_not_sent_keeps_no_memory() {
    let (sender, _receiver) = queue::create_bytes("unsent", 1).unwrap();
    sender.send_bytes(b"it is full").unwrap();
    let long = || vec![1; 100 << 20];
    let before = taken("unsent");
    let late = sender.send_bytes_deadline(&long(), Deadline::NOW);
    assert!(late.is_err() && taken("unsent") <= before);
    let late = sender.reserve(100 << 20).unwrap();
    assert!(late.commit_deadline(Deadline::NOW).is_err() && taken("unsent") <= before);
    // Of one who dies while it sends.
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let _reservation = sender.reserve(100 << 20).unwrap();
            rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
            process::exit(1)
        }
    };
    assert!(!child.wait().unwrap().success());
    testkit::eventually("it is given back", || {
        let _ = sender.send_bytes_deadline(b"looks", Deadline::NOW);
        taken("unsent") <= before
    });
}

pub(crate) fn more_than_four_gibibytes_go_through_one_queue() {
    const LENGTH: usize = 8 << 20;
    const COUNT: u64 = 520;
    let (sender, receiver) = queue::bytes(2).unwrap();
    let mut task = process::spawn(
        |sender: Sender<[u8]>| {
            for number in 0..COUNT {
                let mut message = sender.reserve(LENGTH).unwrap();
                for at in (0..LENGTH).step_by(4096) {
                    message[at..at + 8].copy_from_slice(&(number + at as u64).to_le_bytes());
                }
                message.commit().unwrap();
            }
        },
        sender.clone(),
    )
    .unwrap();
    drop(sender);
    for number in 0..COUNT {
        let message = receiver.recv_borrowed().unwrap();
        assert_eq!(message.len(), LENGTH);
        for at in (0..LENGTH).step_by(4096) {
            assert_eq!(message[at..at + 8], (number + at as u64).to_le_bytes());
        }
    }
    assert!(matches!(
        receiver.recv_borrowed(),
        Err(RecvError::Disconnected(..))
    ));
    task.join().unwrap();
}

pub(crate) fn a_reservation_that_is_dropped_sends_nothing() {
    let (sender, receiver) = queue::bytes(1).unwrap();
    let mut random = Random::new();
    for _ in 0..300 {
        let length = random.below(3000) as usize;
        let mut message = sender.reserve(length).unwrap();
        message.fill(1);
        drop(message);
        assert!(receiver.recv_borrowed_deadline(Deadline::NOW).is_err());
        let mut message = sender.reserve(length).unwrap();
        message.copy_from_slice(&bytes(length));
        let first = random.below(length as u64 + 1) as usize;
        message.commit_first(first).unwrap();
        // There is no room for another one.
        let other = sender.reserve(5).unwrap();
        assert!(other.commit_deadline(Deadline::NOW).is_err());
        assert_eq!(*receiver.recv_borrowed().unwrap(), bytes(length)[..first]);
    }
}

/// Borrows a message and never gives it back.
fn borrow((receiver, held): (Receiver<[u8]>, Event)) {
    let _borrowed = receiver.recv_borrowed().unwrap();
    held.set().unwrap();
    loop {
        std::thread::park();
    }
}

pub(crate) fn what_the_dead_had_borrowed_comes_again(method: StartMethod) {
    let (sender, receiver) = queue::bytes(2).unwrap();
    for length in [5, 5000] {
        let held = Event::new().unwrap();
        sender.send_bytes(&bytes(length)).unwrap();
        let mut task = start(method, borrow, (receiver.clone(), held.clone()));
        held.wait_timeout(LONG).unwrap();
        task.kill().unwrap();
        let again = receiver.recv_borrowed().unwrap();
        assert!(again.is_redelivered());
        assert_eq!(*again, bytes(length));
        let _: Result<(), _> = task.join();
    }
}

pub(crate) fn a_forked_copy_has_no_borrowed_message() {
    let (sender, receiver) = queue::bytes(1).unwrap();
    sender.send_bytes(b"mine").unwrap();
    let borrowed = receiver.recv_borrowed().unwrap();
    // SAFETY: one thread; the child looks at its copy only to see that it shows nothing.
    let other = match unsafe { process::fork_unchecked() }.unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let looks = std::panic::AssertUnwindSafe(|| borrowed.len());
            let refused = std::panic::catch_unwind(looks).is_err();
            drop(borrowed);
            process::exit(i32::from(!refused))
        }
    };
    assert!(other.wait().unwrap().success());
    assert_eq!(&*borrowed, b"mine");
    drop(borrowed);
    assert!(receiver.recv_borrowed_deadline(Deadline::NOW).is_err());
}

/// Gives this process, which is forked and has one thread, little shared memory of its
/// own.
pub(crate) fn mount_one_mebibyte() {
    // SAFETY: the process has one thread of its own.
    let alone = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    let mounted = alone.is_ok()
        && rustix::mount::mount_change("/", private).is_ok()
        && rustix::mount::mount(
            "none",
            "/dev/shm",
            "tmpfs",
            MountFlags::empty(),
            Some(c"size=1m"),
        )
        .is_ok();
    if !mounted {
        println!("NOT TESTED: no right to mount");
        process::exit(0);
    }
}

/// Runs something in a forked process.
pub(crate) fn in_child(code: impl FnOnce()) {
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(code));
            process::exit(i32::from(outcome.is_err()))
        }
    };
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

pub(crate) fn no_room_to_borrow_a_message_leaves_it_to_another() {
    /// More than there are addresses for.
    const LONGER: usize = 10 << 20;
    let (sender, receiver) = queue::bytes(1).unwrap();
    // Nothing of it is mapped here.
    in_child(|| sender.send_bytes(&bytes(LONGER)).unwrap());
    in_child(|| {
        assert_eq!(receiver.len(), 1);
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
        let limit = Rlimit {
            current: Some(pages * rustix::param::page_size() as u64 + (8 << 20)),
            ..rustix::process::getrlimit(Resource::As)
        };
        rustix::process::setrlimit(Resource::As, limit).unwrap();
        match receiver.recv_borrowed() {
            Err(RecvError::Failed(error)) => assert_eq!(error.kind(), ErrorKind::NoSpace),
            other => panic!("{other:?}"),
        }
    });
    let again = receiver.recv_borrowed_deadline(Deadline::after(LONG));
    let again = again.unwrap();
    assert!(again.is_redelivered() && *again == bytes(LONGER));
}

pub(crate) fn no_space_for_a_long_message_is_an_error_that_has_it() {
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            mount_one_mebibyte();
            let (sender, receiver) = queue::create::<String>("small", 2).unwrap();
            let long = "x".repeat(3 << 20);
            match sender.send(long.clone()) {
                Err(SendError::Failed(message, error)) => {
                    assert_eq!(message, long);
                    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
                    assert!(error.to_string().contains("small"), "{error}");
                    assert!(error.hint().is_some());
                }
                other => panic!("{other:?}"),
            }
            sender.send("short".to_owned()).unwrap();
            assert_eq!(receiver.recv().unwrap(), "short");
            sender.send("x".repeat(1 << 18)).unwrap();
            assert_eq!(receiver.recv().unwrap().len(), 1 << 18);
            drop((sender, receiver));
            process::exit(0)
        }
    };
    assert!(child.wait().unwrap().success());
}
