//! Segments of every kind: where they lie, who finds them, how they grow.

use crate::named::killed_with;
use procession::ErrorKind;
use procession::os::sysv::{Key, SharedMemory};
use procession::process::{self, Builder, Fork, StartMethod, TaskError};
use procession::shm::{self, Segment};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use testkit::fault::{Action, Fault, armed};

const KEY: i32 = 0x5eed;

fn key() -> Key {
    Key::from_raw(KEY)
}

fn say(segment: &Segment, text: &[u8]) {
    // One look at the length: others may make it grow.
    let bytes = segment.bytes();
    bytes.write(bytes.len() - text.len(), text);
}

fn end_of(segment: &Segment, length: usize) -> Vec<u8> {
    let bytes = segment.bytes();
    bytes.to_vec(bytes.len() - length, length)
}

pub(crate) fn segments_of_every_kind_travel_by_every_method() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let grows = Segment::options().longest(1 << 30);
    let segments = [
        Segment::new(5000).unwrap(),
        grows.anonymous(5000).unwrap(),
        Segment::create("travelling", 5000).unwrap(),
        grows.create("travelling and growing", 5000).unwrap(),
        Segment::create_file(&path, 5000).unwrap(),
        Segment::create_system_v(Key::PRIVATE, 5000).unwrap(),
        Segment::create_system_v(key(), 5000).unwrap(),
    ];
    for method in [
        StartMethod::Fork,
        StartMethod::Spawn,
        StartMethod::ForkServer,
    ] {
        for segment in &segments {
            say(segment, b"there");
            let answer = |segment: Segment| {
                assert_eq!(end_of(&segment, 5), b"there");
                say(&segment, b"again");
                segment
            };
            let by = Builder::new().start_method(method);
            let back = by.spawn(answer, segment.clone()).unwrap().join().unwrap();
            assert_eq!(end_of(segment, 5), b"again");
            say(&back, b"here!");
            assert_eq!(end_of(segment, 5), b"here!");
        }
    }
}

pub(crate) fn what_was_let_go_on_the_way_is_an_error_that_says_so() {
    let segment = Segment::create_system_v(Key::PRIVATE, 100).unwrap();
    // Nothing keeps it while it travels.
    let task = process::spawn(|segment: Segment| segment.len(), segment);
    match task.unwrap().join().unwrap_err() {
        TaskError::Codec(error, ..) => {
            assert_eq!(error.kind(), ErrorKind::Removed, "{error}");
            assert!(error.to_string().contains("System V"), "{error}");
        }
        other => panic!("{other}"),
    }
}

pub(crate) fn a_segment_in_a_file_is_found_by_its_path_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table");
    let error = Segment::open_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let segment = Segment::create_file(&path, 9000).unwrap();
    let error = Segment::create_file(&path, 9000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("table"), "{error}");
    say(&segment, b"kept");
    drop(segment);
    killed_with(|| Segment::open_file(&path));
    let segment = Segment::open_file(&path).unwrap();
    assert_eq!((segment.len(), end_of(&segment, 4)), (9000, b"kept".into()));
    assert_eq!(segment.name(), path.to_str());
    drop(segment);
    // What others may write is not trusted.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660)).unwrap();
    let error = Segment::open_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    for (content, kind) in [
        (&b""[..], ErrorKind::Corrupt),
        (&[7; 9000], ErrorKind::Corrupt),
    ] {
        let other = directory.path().join("other");
        std::fs::write(&other, content).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Segment::open_file(&other).unwrap_err().kind(), kind);
    }
    let error = Segment::open_file(directory.path()).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(Segment::create_file("/", 1).is_err());
}

/// Makes it look as if the machine had been started since.
fn start_machine_anew(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0x55; 8], 96).unwrap();
    // A user of then, who never left: the life of its place.
    file.write_all_at(&[0xff; 64], 128 + 64).unwrap();
}

pub(crate) fn a_segment_in_a_file_outlives_the_machines_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table");
    say(&Segment::create_file(&path, 100).unwrap(), b"kept");
    for nth in 0.. {
        start_machine_anew(&path);
        // Whoever opens it first may be killed, and another one takes over.
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let outcome = testkit::fault::run(fault, || {
            armed(|| drop(Segment::open_file(&path).unwrap()));
        });
        let segment = Segment::open_file(&path).unwrap();
        assert_eq!(end_of(&segment, 4), b"kept");
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            break;
        }
    }
    // One that has a name is gone with the machine's memory.
    let named = Segment::create("of-then", 100).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    start_machine_anew(format!("/dev/shm/procession-{uid}/oof-then").as_ref());
    let listed = shm::list().unwrap();
    assert!(listed[0].damage.is_some());
    assert_eq!(shm::collect_garbage(false).unwrap().len(), 1);
    drop(named);
}

pub(crate) fn a_system_v_segment_is_found_by_its_key_while_somebody_has_it() {
    let error = Segment::open_system_v(key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let segment = Segment::create_system_v(key(), 700).unwrap();
    let error = Segment::create_system_v(key(), 700).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let mine = Segment::open_system_v(key()).unwrap();
            say(&mine, b"child");
            drop(mine);
            process::exit(0)
        }
    };
    assert!(child.wait().unwrap().success());
    assert_eq!(end_of(&segment, 5), b"child");
    let listed = shm::list().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (
            listed[0].name.as_str(),
            listed[0].kind,
            listed[0].is_in_use()
        ),
        ("sysv:0x00005eed", "segment", true)
    );
    assert!(shm::collect_garbage(false).unwrap().is_empty());
    drop(segment);
    assert!(SharedMemory::open(key()).unwrap_err().is_not_found());
    // Its users were killed: it is not there, and gone when that is found out.
    killed_with(|| Segment::create_system_v(key(), 700));
    assert!(SharedMemory::open(key()).is_ok());
    let error = Segment::open_system_v(key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(SharedMemory::open(key()).unwrap_err().is_not_found());
    killed_with(|| Segment::create_system_v(key(), 700));
    assert_eq!(shm::collect_garbage(true).unwrap().len(), 1);
    assert_eq!(shm::collect_garbage(false).unwrap().len(), 1);
    assert!(SharedMemory::open(key()).unwrap_err().is_not_found());
    killed_with(|| Segment::create_system_v(key(), 700));
    drop(Segment::create_system_v(key(), 900).unwrap());
}

pub(crate) fn a_key_of_another_program_is_left_alone() {
    let theirs = SharedMemory::create(key(), 4096).unwrap();
    for length in [1, 4096] {
        let error = Segment::create_system_v(key(), length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    }
    let error = Segment::open_system_v(key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(shm::list().unwrap().is_empty());
    assert!(shm::collect_garbage(false).unwrap().is_empty());
    // Nor if a maker of ours was killed before it had one.
    let keep = Segment::create("keeps the directory", 1).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let mark = format!("/dev/shm/procession-{uid}/k{KEY:08x}");
    for maker in [&[][..], &1_u32.to_ne_bytes()] {
        std::fs::write(&mark, maker).unwrap();
        shm::collect_garbage(false).unwrap();
        assert!(!Path::new(&mark).exists());
        assert!(SharedMemory::open(key()).is_ok(), "it was somebody else's");
    }
    drop(keep);
    theirs.set_mode(0o666).unwrap();
    let error = Segment::open_system_v(key()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
    theirs.remove().unwrap();
}

pub(crate) fn d30_a_maker_of_a_system_v_segment_killed_at_any_call_leaves_no_half_segment() {
    for nth in 0.. {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let outcome = testkit::fault::run(fault, || {
            armed(|| drop(Segment::create_system_v(key(), 700).unwrap()));
        });
        if nth % 2 == 0 {
            shm::collect_garbage(false).unwrap();
            assert!(SharedMemory::open(key()).is_err(), "killed at call {nth}");
        }
        let segment = Segment::create_system_v(key(), 800).unwrap();
        assert_eq!(segment.len(), 800);
        drop(segment);
        assert!(shm::list().unwrap().is_empty());
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            break;
        }
    }
    // One without a key, of whoever is killed, cannot be left at all, but for
    // the instant between its making and its marking.
    killed_with(|| Segment::create_system_v(Key::PRIVATE, 700));
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    assert_eq!(table.lines().count(), 1, "{table}");
}

pub(crate) fn a_segment_grows_for_all_who_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let grows = Segment::options().longest(1 << 20);
    for segment in [
        grows.anonymous(10).unwrap(),
        grows.create("growing", 10).unwrap(),
        grows
            .create_file(directory.path().join("growing"), 10)
            .unwrap(),
    ] {
        let window = segment.bytes();
        window.write(0, b"first");
        let mut child = process::spawn(
            |segment: Segment| {
                assert_eq!(segment.len(), 10);
                segment.grow(300_000).unwrap();
                say(&segment, b"last");
            },
            segment.clone(),
        )
        .unwrap();
        child.join().unwrap();
        assert_eq!(
            (segment.len(), end_of(&segment, 4)),
            (300_000, b"last".into())
        );
        // What was had before is where it was.
        assert_eq!((window.len(), window.to_vec(0, 5)), (10, b"first".into()));
        segment.grow(1000).unwrap();
        assert_eq!(segment.len(), 300_000, "it never becomes shorter");
        segment.grow(1 << 20).unwrap();
        assert_eq!(end_of(&segment, 9), [0; 9]);
        let error = segment.grow((1 << 20) + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        // Whoever receives it now has all of it.
        let length = process::spawn(|segment: Segment| segment.len(), segment.clone());
        assert_eq!(length.unwrap().join().unwrap(), 1 << 20);
    }
    let fixed = Segment::new(10).unwrap();
    let error = fixed.grow(11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("longest"));
    assert!(fixed.grow(10).is_ok());
    for (longest, length) in [(10, 11), (usize::MAX, 10)] {
        assert!(
            Segment::options()
                .longest(longest)
                .anonymous(length)
                .is_err()
        );
    }
}

pub(crate) fn growing_may_be_killed_at_any_call_and_compete() {
    let segment = Segment::options().longest(1 << 24).anonymous(1).unwrap();
    for nth in 0.. {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let length = segment.len();
        let outcome = testkit::fault::run(fault, || {
            armed(|| segment.grow(length + 5000).unwrap());
        });
        assert!([length, length + 5000].contains(&segment.len()));
        segment.grow(length + 6000).unwrap();
        assert_eq!(end_of(&segment, 6000), vec![0; 6000]);
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            break;
        }
    }
    let start = segment.len();
    let grow = |segment: Segment| {
        for step in 1..=50 {
            segment.grow(1_000_000 + step * 1000).unwrap();
            say(&segment, b"x");
        }
    };
    let mut tasks: Vec<_> = (0..4)
        .map(|_| process::spawn(grow, segment.clone()).unwrap())
        .collect();
    for task in &mut tasks {
        task.join().unwrap();
    }
    assert!(start < 1_050_000 && segment.len() == 1_050_000);
}

pub(crate) fn h2_a_length_that_is_not_there_is_not_believed() {
    let segment = Segment::options()
        .longest(1 << 30)
        .create("lying", 100)
        .unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let path = format!("/dev/shm/procession-{uid}/olying");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    for lie in [101_u64, 5000, 1 << 29, 1 << 30, 1 << 31, u64::MAX, 0, 7] {
        file.write_all_at(&lie.to_ne_bytes(), 80).unwrap();
        // No more than the file has, and no less than was there.
        let length = segment.len();
        assert!((100..10_000).contains(&length), "{length} after {lie}");
        assert_eq!(segment.bytes().len(), length);
        let _ = segment.bytes().to_vec(0, length);
        let first = segment.bytes().atomic_u64(0);
        first.store(lie, Ordering::Relaxed);
    }
}

pub(crate) fn huge_pages_are_used_where_there_are_some() {
    let pool = "/proc/sys/vm/nr_hugepages";
    let before = std::fs::read_to_string(pool).unwrap_or_default();
    if before.trim() == "0" {
        let error = Segment::options().huge_pages().anonymous(100).unwrap_err();
        assert!(
            [ErrorKind::NoSpace, ErrorKind::Unsupported].contains(&error.kind()),
            "{error}"
        );
    }
    if std::fs::write(pool, "4").is_err()
        || !std::fs::read_to_string(pool).unwrap().starts_with('4')
    {
        println!("NOT TESTED: this machine keeps no huge pages ready, and may not be told to");
        let _ = std::fs::write(pool, before);
        return;
    }
    let options = Segment::options().huge_pages().longest(5 << 20);
    let segment = options.anonymous(3 << 20).unwrap();
    say(&segment, b"huge");
    let task = process::spawn(
        |segment: Segment| {
            assert_eq!(end_of(&segment, 4), b"huge");
            segment.grow(5 << 20).unwrap();
            say(&segment, b"more");
        },
        segment.clone(),
    );
    task.unwrap().join().unwrap();
    assert_eq!(
        (segment.len(), end_of(&segment, 4)),
        (5 << 20, b"more".into())
    );
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut of_ours = maps.split("memfd:procession-segment").skip(1);
    assert!(
        of_ours
            .next()
            .unwrap()
            .contains("KernelPageSize:     2048 kB")
    );
    let error = options.create("huge", 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    drop(segment);
    std::fs::write(pool, before).unwrap();
}

pub(crate) fn segments_of_two_namespaces_are_told_apart() {
    use procession::sync::Event;
    let unshare = || {
        let flags = rustix::thread::UnshareFlags::NEWIPC;
        // SAFETY: the process has one thread of its own.
        unsafe { rustix::thread::unshare_unsafe(flags) }
    };
    let (made, done) = (Event::new().unwrap(), Event::new().unwrap());
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            if unshare().is_err() {
                println!("NOT TESTED: no right to make a namespace");
                process::exit(3);
            }
            let ours = Segment::create_system_v(Key::PRIVATE, 64).unwrap();
            say(&ours, b"ours");
            // The next one is number 0, too.
            unshare().unwrap();
            let maker = match process::fork().unwrap() {
                Fork::Parent(maker) => maker,
                Fork::Child => {
                    let theirs = Segment::create_system_v(key(), 64).unwrap();
                    say(&theirs, b"theirs");
                    made.set().unwrap();
                    done.wait().unwrap();
                    drop(theirs);
                    process::exit(0)
                }
            };
            made.wait().unwrap();
            let theirs = Segment::open_system_v(key()).unwrap();
            assert_eq!(end_of(&theirs, 6), b"theirs");
            assert_eq!(end_of(&ours, 4), b"ours");
            drop(theirs);
            done.set().unwrap();
            assert!(maker.wait().unwrap().success());
            process::exit(0)
        }
    };
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
}
