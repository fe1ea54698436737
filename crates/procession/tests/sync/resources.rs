//! What happens where there is no more of something.

use procession::os::memfd::MemFd;
use procession::os::mmap::MappedFile;
use procession::os::posix;
use procession::os::sysv::Key;
use procession::process::{self, Fork};
use procession::queue;
use procession::shared::{Array, Counters};
use procession::shm::Segment;
use procession::sync::{Event, LockError, Mutex, Semaphore};
use procession::{ErrorKind, Result};
use rustix::mount::MountFlags;
use rustix::process::{Resource, Rlimit};
use rustix::thread::UnshareFlags;
use std::time::Duration;
use testkit::fault::{Action, DESCRIPTOR_CALLS, Fault, armed};

/// Everything that makes something.
fn make_everything() -> Result<()> {
    let mutex = Mutex::new(1_u64)?;
    drop(mutex.lock()?);
    let named = Event::create("resources")?;
    named.set()?;
    drop(named);
    let array = Array::new([1_u8; 100])?;
    assert_eq!(array.to_vec()?.len(), 100);
    Ok(())
}

fn fail_each(calls: &[i64], errno: i32, kinds: &[ErrorKind]) -> usize {
    for nth in 0.. {
        let fault = Fault {
            calls,
            nth,
            action: Action::Fail(errno),
        };
        let outcome = testkit::fault::run(fault, || {
            match armed(make_everything) {
                Ok(()) => {}
                Err(error) => assert!(kinds.contains(&error.kind()), "{error}"),
            }
            // And with what there is again, it works.
            make_everything().unwrap();
        });
        assert_eq!(outcome.code, 0, "call {nth}");
        if !outcome.hit {
            return nth;
        }
    }
    unreachable!("an endless loop")
}

pub(crate) fn r1_no_descriptor_is_an_error() {
    let points = fail_each(DESCRIPTOR_CALLS, libc::EMFILE, &[ErrorKind::LimitReached]);
    assert!(points > 5, "{points} points");
}

/// Runs this in a forked child, which ends with 0 unless it panics.
fn in_child(work: impl FnOnce()) {
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            process::exit(i32::from(outcome.is_err()))
        }
    };
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

fn set_limit(resource: Resource, limit: u64) {
    let now = Rlimit {
        current: Some(limit),
        ..rustix::process::getrlimit(resource)
    };
    rustix::process::setrlimit(resource, now).unwrap();
}

pub(crate) fn r1_any_limit_of_descriptors_is_an_error_or_enough() {
    let event = Event::new().unwrap();
    let mut enough = 0;
    for limit in 0..40 {
        in_child(|| {
            set_limit(Resource::Nofile, limit);
            if let Err(error) = make_everything() {
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{limit}: {error}");
                assert!(error.hint().is_some(), "{error}");
                // What there was before still serves, if it has been used.
                let _ = event.set();
                process::exit(0);
            }
            event.set().unwrap();
            process::exit(0)
        });
        enough += u32::from(event.clear());
    }
    assert!(enough > 10, "only {enough} of 40 limits were enough");
}

pub(crate) fn r5_no_thread_is_an_error() {
    let calls = [libc::SYS_clone, libc::SYS_clone3];
    let kinds = [ErrorKind::LimitReached, ErrorKind::WouldBlock];
    let points = fail_each(&calls, libc::EAGAIN, &kinds);
    assert!(points > 0, "no thread was started");
}

/// A long argument lies in a memory file.
fn long_argument() -> Result<()> {
    process::spawn(|bytes: Vec<u8>| drop(bytes), vec![0; 200_000]).map(drop)
}

/// Writes far behind in a file that was made before.
fn write_behind(file: &MappedFile) -> Result<()> {
    file.write(150_000, b"a mapping may")?;
    file.checked_write(150_000, b"and a file may not")
}

pub(crate) fn a_limit_of_file_sizes_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let before = MappedFile::create(directory.path().join("before"), 200_000).unwrap();
    in_child(|| {
        set_limit(Resource::Fsize, 100_000);
        for outcome in [
            Array::new(vec![0_u8; 200_000]).map(drop),
            Array::create("large", vec![0_u8; 200_000]).map(drop),
            procession::os::memfd::MemFd::create("large", 200_000).map(drop),
            Segment::options()
                .longest(200_000)
                .anonymous(100)
                .and_then(|segment| segment.grow(200_000)),
            queue::bounded::<u64>(1_000_000).map(drop),
            // What is written instead, into memory files and others.
            long_argument(),
            write_behind(&before),
        ] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
            assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
        }
        make_everything().unwrap();
    });
}

pub(crate) fn r2_no_memory_is_an_error() {
    let calls = [
        libc::SYS_mmap,
        libc::SYS_fallocate,
        libc::SYS_memfd_create,
        libc::SYS_madvise,
    ];
    let kinds = [ErrorKind::NoSpace, ErrorKind::LimitReached];
    let points = fail_each(&calls, libc::ENOMEM, &kinds);
    assert!(points > 5, "{points} points");
}

pub(crate) fn r3_a_full_file_system_is_an_error() {
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            // SAFETY: the process has one thread of its own.
            let alone = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
            let private = rustix::mount::MountPropagationFlags::PRIVATE
                | rustix::mount::MountPropagationFlags::REC;
            let mounted = alone.is_ok()
                && rustix::mount::mount_change("/", private).is_ok()
                && rustix::mount::mount(
                    "none",
                    "/dev/shm",
                    "tmpfs",
                    MountFlags::empty(),
                    Some(c"size=64k"),
                )
                .is_ok();
            if !mounted {
                println!("NOT TESTED: no right to mount");
                process::exit(0);
            }
            let error = Array::create("large", vec![0_u8; 1 << 20])
                .map(drop)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            assert!(error.hint().is_some());
            assert!(procession::shm::list().unwrap().is_empty());
            // A small one fits, and none of its pages is missing when touched.
            let small = Array::create("small", vec![7_u8; 1 << 10]).unwrap();
            assert_eq!(small.to_vec().unwrap(), vec![7_u8; 1 << 10]);
            drop(small);
            process::exit(0)
        }
    };
    assert!(child.wait().unwrap().success());
}

/// What is asked for, and how.
type Asks = (&'static str, fn(usize) -> procession::Result<()>);

const ASKS: [Asks; 8] = [
    ("segment", |bytes| Segment::new(bytes).map(drop)),
    ("named", |bytes| Segment::create("huge", bytes).map(drop)),
    ("growing", |bytes| {
        let small = Segment::options().longest(bytes).anonymous(4096)?;
        small.grow(bytes)
    }),
    ("System V", |bytes| {
        Segment::create_system_v(Key::PRIVATE, bytes).map(drop)
    }),
    ("counters", |bytes| Counters::new(bytes / 8).map(drop)),
    ("memory file", |bytes| {
        MemFd::create("huge", bytes).map(drop)
    }),
    ("POSIX", |bytes| {
        let memory = posix::SharedMemory::create("/procession-test-huge", bytes);
        let _ = posix::SharedMemory::unlink("/procession-test-huge");
        memory.map(drop)
    }),
    ("mapped file", |bytes| {
        let path = std::path::PathBuf::from("/dev/shm/procession-test-huge");
        let file = MappedFile::create(&path, bytes);
        let _ = std::fs::remove_file(path);
        file.map(drop)
    }),
];

/// Bytes of memory that the machine could give now.
fn available() -> usize {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kibibytes.parse::<usize>().unwrap() * 1024
}

pub(crate) fn memory_that_is_not_there_is_refused_before_any_is_taken() {
    // Whatever is asked of the kernel all the same, it does not get: or else a
    // mistake here would take the machine down.
    let calls = [libc::SYS_fallocate, libc::SYS_ftruncate, libc::SYS_shmget];
    for (what, ask) in ASKS {
        for bytes in [
            available(),
            2 * available(),
            1 << 40,
            1 << 46,
            usize::MAX / 2,
        ] {
            // The segment that grows has some from the start.
            let nth = usize::from(what == "growing");
            let fault = Fault {
                calls: &calls,
                nth,
                action: Action::Kill,
            };
            let outcome = testkit::fault::run(fault, || {
                // What everything shares is there.
                ask(4096).unwrap();
                armed(|| {
                    let error = ask(bytes).unwrap_err();
                    assert!(
                        matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::LimitReached),
                        "{what}, {bytes}: {error}"
                    );
                });
            });
            assert_eq!((outcome.hit, outcome.code), (false, 0), "{what}, {bytes}");
        }
    }
    let error = Segment::new(1 << 40).unwrap_err();
    assert!(error.to_string().contains("1099511627"), "{error}");
    assert!(error.hint().is_some());
}

pub(crate) fn a_control_group_without_memory_is_an_error_and_kills_nobody() {
    let Some(group) = testkit::small_memory_group() else {
        println!("NOT TESTED: no control group for memory can be made here");
        return;
    };
    in_child(|| {
        std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        for (what, ask) in ASKS {
            for bytes in [60_000_000, 200_000_000] {
                let error = ask(bytes).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LimitReached, "{what}: {error}");
                assert!(error.to_string().contains("control group"), "{error}");
            }
            ask(5_000_000).unwrap();
        }
    });
    testkit::eventually("the group is empty", || std::fs::remove_dir(&group).is_ok());
}

pub(crate) fn signals_do_not_keep_memory_from_being_allocated() {
    in_child(|| {
        extern "C" fn ignored(_: i32) {}
        let handler = ignored as extern "C" fn(i32);
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
        let often = libc::timeval {
            tv_sec: 0,
            tv_usec: 1000,
        };
        let timer = libc::itimerval {
            it_interval: often,
            it_value: often,
        };
        // SAFETY: the timer lives for the call.
        let set =
            unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
        assert_eq!(set, 0);
        // Which takes the kernel far longer than from one signal to the next.
        let segment = Segment::new(100 << 20).unwrap();
        assert_eq!(segment.len(), 100 << 20);
    });
}

pub(crate) fn r15_a_full_registry_is_an_error_until_somebody_dies() {
    let event = Event::create("crowded").unwrap();
    let ready = Semaphore::with_capacity(0, 300).unwrap();
    let member = || match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let mine = Event::open("crowded");
            let code = match &mine {
                Ok(_) => 0,
                Err(error) if error.kind() == ErrorKind::LimitReached => 4,
                Err(_) => 5,
            };
            ready.add_permits(1).unwrap();
            if code != 0 {
                process::exit(code);
            }
            loop {
                std::thread::park();
            }
        }
    };
    // One place is ours.
    let mut members: Vec<_> = (0..255).map(|_| member()).collect();
    for _ in 0..255 {
        ready.acquire().unwrap().forget();
    }
    for member in &mut members {
        assert_eq!(member.try_wait().unwrap(), None, "a member could not join");
    }
    assert_eq!(member().wait().unwrap().code(), Some(4), "there was room");
    ready.acquire().unwrap().forget();
    let last = members.pop().unwrap();
    last.kill().unwrap();
    last.wait().unwrap();
    let other = member();
    ready.acquire().unwrap().forget();
    assert_eq!(other.try_wait().unwrap(), None, "there was no room");
    members.push(other);
    for member in members {
        member.kill().unwrap();
        member.wait().unwrap();
    }
    event.set().unwrap();
}

pub(crate) fn r17_without_futex_waitv_deaths_are_noticed_all_the_same() {
    let mutex = Mutex::new(0_u64).unwrap();
    let held = Event::new().unwrap();
    let holder = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            std::mem::forget(mutex.lock().unwrap());
            held.set().unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    held.wait().unwrap();
    let pid = rustix::process::Pid::from_raw(holder.id().cast_signed()).unwrap();
    // As before Linux 5.16, or behind a filter.
    let fault = Fault {
        calls: &[libc::SYS_futex_waitv],
        nth: 0,
        action: Action::Fail(libc::ENOSYS),
    };
    let outcome = testkit::fault::run(fault, || {
        armed(|| {
            let error = mutex.lock_timeout(Duration::from_millis(60)).map(drop);
            assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
        });
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let Err(LockError::OwnerDied(left)) = mutex.lock_timeout(Duration::from_secs(30)) else {
            panic!("nobody said that the holder died");
        };
        drop(left.repaired());
    });
    assert!(outcome.hit && outcome.code == 0, "{outcome:?}");
    holder.wait().unwrap();
    drop(mutex.lock().unwrap());
}

pub(crate) fn counts_do_not_overflow() {
    let full = Semaphore::with_capacity(3, 5).unwrap();
    let error = full.add_permits(usize::MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert_eq!(full.available().unwrap(), 3);
    full.add_permits(2).unwrap();
    assert!(full.add_permits(1).is_err());
    for permits in [usize::MAX, 1 << 40] {
        let error = Semaphore::new(permits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    for parties in [0, 5000, usize::MAX] {
        let error = procession::sync::Barrier::new(parties).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(procession::shared::Counters::new(usize::MAX).is_err());
    assert!(procession::shm::Segment::new(usize::MAX).is_err());
    assert!(procession::shm::Segment::new(0).is_err());
}
