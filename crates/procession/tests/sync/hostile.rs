//! What others may do to files and memory.

use procession::process::{self, Fork};
use procession::shm;
use procession::sync::{Barrier, Condvar, Event, Mutex, RwLock, Semaphore};
use procession::{Deadline, ErrorKind};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::random::Random;

fn directory() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/dev/shm/procession-{uid}"))
}

pub(crate) fn file_of(name: &str) -> PathBuf {
    directory().join(format!("o{name}"))
}

fn file_of_user(uid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/procession-{uid}/o{name}"))
}

/// Becomes another user, for good.
fn become_user(id: u32) {
    // SAFETY: these calls take numbers; this process has one thread of its own.
    assert_eq!(unsafe { libc::setgid(id) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setuid(id) }, 0);
}

/// Makes a private file by hand.
pub(crate) fn plant(name: &str, bytes: &[u8]) {
    let path = file_of(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn h1_random_headers_are_refused() {
    let mut random = Random::new();
    let keep = Mutex::create("whole", 0_u64).unwrap();
    let whole = std::fs::read(file_of("whole")).unwrap();
    let mut refused = 0;
    for round in 0..400 {
        let mut bytes = if round % 4 == 0 {
            let length = random.below(9000) as usize;
            random.bytes(length)
        } else {
            whole.clone()
        };
        // Some bytes of the header and of the head of the registry.
        for _ in 0..1 + random.below(4) {
            let place = random.below(bytes.len().clamp(1, 200) as u64) as usize;
            if let Some(byte) = bytes.get_mut(place) {
                *byte = random.number() as u8;
            }
        }
        plant("broken", &bytes);
        match Mutex::<u64>::open("broken") {
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Corrupt
                            | ErrorKind::Incompatible
                            | ErrorKind::NotFound
                            | ErrorKind::LimitReached
                            // One that could grow to more than can be mapped.
                            | ErrorKind::NoSpace
                    ),
                    "{error}"
                );
            }
            // Garbage in the data is not for us to see.
            Ok(mutex) => drop(mutex.lock_timeout(Duration::ZERO).map(drop)),
        }
        let _ = shm::list().unwrap();
        let _ = std::fs::remove_file(file_of("broken"));
    }
    assert!(refused > 100, "only {refused} were refused");
    drop(keep);
}

pub(crate) fn h2_truncated_files_are_refused() {
    let keep = Mutex::create("whole", 0_u64).unwrap();
    let whole = std::fs::read(file_of("whole")).unwrap();
    for length in [0, 1, 8, 127, 128, 129, 200, 4096, whole.len() - 1] {
        plant("short", &whole[..length]);
        let error = Mutex::<u64>::open("short").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes: {error}");
        let listed = shm::list().unwrap();
        let short = listed.iter().find(|object| object.name == "short").unwrap();
        assert!(short.damage.is_some());
        std::fs::remove_file(file_of("short")).unwrap();
    }
    drop(keep);
}

pub(crate) fn h4_a_scribbler_crashes_and_hangs_nobody() {
    let mut random = Random::new();
    let mutex = Mutex::create("a", [0_u64; 4]).unwrap();
    let rwlock = RwLock::create("b", [0_u64; 4]).unwrap();
    let semaphore = Semaphore::create("c", 3).unwrap();
    let event = Event::create("d").unwrap();
    let barrier = Barrier::create("e", 2).unwrap();
    let condvar = Condvar::create("f").unwrap();
    let scribbler = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let files = ["a", "b", "c", "d", "e", "f"].map(|name| {
                let file = std::fs::File::options()
                    .write(true)
                    .open(file_of(name))
                    .unwrap();
                let length = file.metadata().unwrap().len();
                (file, length)
            });
            loop {
                let (file, length) = &files[random.below(6) as usize];
                // Header, registry and object alike.
                let place = random.below(*length);
                let count = 1 + random.below(8) as usize;
                let bytes = random.bytes(count);
                let _ = file.write_at(&bytes[..bytes.len().min((length - place) as usize)], place);
            }
        }
    };
    let until = Instant::now() + Duration::from_secs(2);
    let mut rounds = 0;
    while Instant::now() < until {
        let soon = || Deadline::after(Duration::from_millis(2));
        let start = Instant::now();
        let _ = mutex.lock_deadline(soon()).map(|mut held| held[1] += 1);
        let _ = mutex.reset();
        let _ = rwlock.read_deadline(soon()).map(|held| held[2]);
        let _ = rwlock.write_deadline(soon()).map(|mut held| held[2] += 1);
        let _ = semaphore.acquire_deadline(soon()).map(drop);
        let _ = semaphore.add_permits(1);
        let _ = semaphore.available();
        let _ = event.set();
        let _ = event.wait_deadline(soon());
        event.clear();
        let _ = barrier.wait_deadline(soon());
        let _ = barrier.reset();
        let _ = mutex.lock_deadline(soon()).map(|held| {
            drop(
                condvar
                    .wait_timeout(held, Duration::from_millis(1))
                    .map(drop),
            )
        });
        condvar.notify_all();
        let _ = shm::list();
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "as good as a hang"
        );
        rounds += 1;
    }
    let scribbler = scribbler;
    scribbler.kill().unwrap();
    scribbler.wait().unwrap();
    assert!(rounds > 5);
    drop((mutex, rwlock, semaphore, event, barrier, condvar));
    for name in ["a", "b", "c", "d", "e", "f"] {
        let _ = std::fs::remove_file(file_of(name));
    }
    let left = shm::list().unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub(crate) fn h7_a_parked_word_delays_and_hangs_nobody() {
    /// Where the body of an object with a name begins, whose first word is what
    /// others sleep on.
    fn word_of(name: &str) -> (std::fs::File, u64) {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(file_of(name));
        let file = file.unwrap();
        let mut at = [0; 8];
        file.read_exact_at(&mut at, 72).unwrap();
        (file, u64::from_ne_bytes(at))
    }
    let mutex = Mutex::create("parked mutex", 0_u64).unwrap();
    let event = Event::create("parked event").unwrap();
    let sleeping = Event::new().unwrap();
    for parked in ["parked mutex", "parked event"] {
        sleeping.clear();
        let held = (parked == "parked mutex").then(|| mutex.lock().unwrap());
        // SAFETY: one thread; the child does not touch its copy of the guard.
        let sleeper = match unsafe { process::fork_unchecked() }.unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                sleeping.set().unwrap();
                match parked {
                    "parked mutex" => drop(mutex.lock_timeout(Duration::from_secs(30)).unwrap()),
                    _ => event.wait_timeout(Duration::from_secs(30)).unwrap(),
                }
                process::exit(0)
            }
        };
        sleeping.wait().unwrap();
        let wchan = format!("/proc/{}/wchan", sleeper.id());
        testkit::eventually("it sleeps", || {
            std::fs::read_to_string(&wchan).is_ok_and(|place| place.contains("futex"))
        });
        // The mark that somebody sleeps is taken away: nobody will be woken.
        let (file, at) = word_of(parked);
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at).unwrap();
        let quiet = u64::from_ne_bytes(word) & if held.is_some() { !1 } else { !2 };
        assert_ne!(u64::from_ne_bytes(word), quiet, "nobody was announced");
        file.write_all_at(&quiet.to_ne_bytes(), at).unwrap();
        match held {
            Some(held) => drop(held),
            None => event.set().unwrap(),
        }
        assert!(sleeper.wait().unwrap().success());
    }
}

pub(crate) fn h13_another_user_cannot_squat_or_look_in() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    const OTHER: u32 = 65534;
    let as_other = |work: &dyn Fn()| {
        let child = match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                become_user(OTHER);
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                process::exit(i32::from(outcome.is_err()))
            }
        };
        assert!(child.wait().unwrap().success());
    };
    let own = directory();
    // Squatting, before we have a directory: our names are refused there.
    assert!(!own.exists());
    as_other(&|| std::fs::create_dir(&own).unwrap());
    let error = Event::create("mine").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    assert!(error.hint().is_some());
    assert_eq!(shm::list().unwrap_err().kind(), ErrorKind::Untrusted);
    std::fs::remove_dir(&own).unwrap();
    // And ours is closed to others, who have a directory of their own.
    let mine = Event::create("mine").unwrap();
    as_other(&|| {
        let error = std::fs::File::open(file_of_user(0, "mine")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        let error = Event::open("mine").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let theirs = Event::create("mine").unwrap();
        theirs.set().unwrap();
        assert_eq!(shm::list().unwrap().len(), 1);
    });
    assert!(!mine.is_set());
}

pub(crate) fn h13_h14_files_of_others_links_and_directories_are_no_objects() {
    let keep = Event::create("real").unwrap();
    let link = file_of("link");
    std::os::unix::fs::symlink(file_of("real"), &link).unwrap();
    assert!(Event::open("link").is_err());
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir(&link).unwrap();
    assert!(Event::open("link").is_err());
    assert!(Event::open_or_create("link").is_err());
    std::fs::remove_dir(&link).unwrap();
    plant("link", b"");
    std::fs::set_permissions(&link, std::fs::Permissions::from_mode(0o666)).unwrap();
    let error = Event::open("link").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    std::fs::remove_file(&link).unwrap();
    // One of somebody else's, made for us to open.
    plant("link", b"");
    if std::os::unix::fs::chown(&link, Some(65534), None).is_ok() {
        let error = Event::open("link").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
    }
    std::fs::remove_file(&link).unwrap();
    // A directory that others may write is not ours to trust.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory(), open).unwrap();
    let error = Event::open("real").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory(), private).unwrap();
    Event::open("real").unwrap();
    drop(keep);
}

pub(crate) fn h29_another_pid_namespace_is_no_obstacle() {
    let mutex = Mutex::new([0_u64, 0]).unwrap();
    drop(mutex.lock().unwrap());
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let flags = rustix::thread::UnshareFlags::NEWPID;
            // SAFETY: the process has one thread of its own.
            if unsafe { rustix::thread::unshare_unsafe(flags) }.is_err() {
                println!("NOT TESTED: no right to make a namespace");
                process::exit(3);
            }
            // The next one is number 1 there.
            match process::fork().unwrap() {
                Fork::Parent(inner) => {
                    let status = inner.wait().unwrap();
                    process::exit(i32::from(status.signal().is_none()))
                }
                Fork::Child => {
                    assert_eq!(std::process::id(), 1);
                    for _ in 0..1000 {
                        let mut held = mutex.lock().unwrap();
                        held[0] += 1;
                        held[1] += 1;
                    }
                    std::mem::forget(mutex.lock().unwrap());
                    // Number 1 of a namespace ignores what it sends itself.
                    process::exit(0)
                }
            }
        }
    };
    let status = child.wait().unwrap();
    if status.code() == Some(3) {
        return;
    }
    let error = mutex
        .lock_timeout(Duration::from_secs(30))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
}

pub(crate) fn h13_a_process_that_became_another_user_asks_nobody() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    const OTHER: u32 = 65534;
    let mutex = Mutex::create("mine", 41_u64).unwrap();
    // What a third one makes first, open to all, and keeps locked.
    let squatted = PathBuf::from(format!("/dev/shm/procession-{OTHER}"));
    std::fs::create_dir(&squatted).unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&squatted, open.clone()).unwrap();
    let tickets = std::fs::File::create(squatted.join("tickets")).unwrap();
    tickets.set_permissions(open).unwrap();
    let alone = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::fcntl_lock(&tickets, alone).unwrap();
    std::os::unix::fs::chown(&squatted, Some(OTHER - 1), None).unwrap();
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            become_user(OTHER);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                *crate::handles::again(&mutex).lock().unwrap() += 1;
                match process::fork().unwrap() {
                    Fork::Child => process::exit(0),
                    Fork::Parent(other) => assert!(other.wait().unwrap().success()),
                }
            }));
            process::exit(i32::from(outcome.is_err()))
        }
    };
    let status = child.wait().unwrap();
    std::fs::remove_dir_all(&squatted).unwrap();
    assert!(status.success());
    assert_eq!(*mutex.lock().unwrap(), 42);
}
