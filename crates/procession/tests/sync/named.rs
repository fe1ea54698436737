//! Objects with a name: who has it, who removes it, who makes it anew.

use procession::os::sysv::{Key, SharedMemory};
use procession::process::{self, Child, Fork};
use procession::shared::{Array, Counter, Value};
use procession::shm::{self, Segment};
use procession::sync::{Event, Mutex, ReentrantMutex, RwLock, Semaphore};
use procession::{ErrorKind, Result};
use std::time::Duration;
use testkit::fault::{Action, Fault, armed};

fn names() -> Vec<String> {
    shm::list()
        .unwrap()
        .into_iter()
        .map(|object| object.name)
        .collect()
}

pub(crate) fn names_are_checked() {
    for bad in ["", "/", ".", "..", "a/b", "a\0b", &"x".repeat(300)] {
        let error = Mutex::create(bad, 0_u8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert_eq!(
            Event::open(bad).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    // With the slash or without it, it is the same.
    let one = Event::create("/slashed").unwrap();
    let two = Event::open("slashed").unwrap();
    one.set().unwrap();
    assert!(two.is_set());
    assert_eq!(one.name(), Some("slashed"));
}

pub(crate) fn creating_twice_is_an_error_and_opening_nothing_too() {
    let error = Mutex::<u64>::open("nothing").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nothing"), "{error}");
    let first = Mutex::create("twice", 1_u64).unwrap();
    let error = Mutex::create("twice", 2_u64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = Event::create("twice").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let other = Mutex::open_or_create("twice", 3_u64).unwrap();
    *first.lock().unwrap() = 7;
    assert_eq!(*other.lock().unwrap(), 7);
}

pub(crate) fn the_last_user_removes_the_name() {
    let value = Value::create("counted", 5_u64).unwrap();
    let other = Value::<u64>::open("counted").unwrap();
    let child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let mine = Value::<u64>::open("counted").unwrap();
            mine.set(6).unwrap();
            drop(mine);
            process::exit(0)
        }
    };
    assert!(child.wait().unwrap().success());
    drop(value);
    assert_eq!(names(), ["counted"], "somebody still has it");
    assert_eq!(other.get().unwrap(), 6);
    drop(other);
    assert!(names().is_empty());
    assert_eq!(
        Value::<u64>::open("counted").unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

pub(crate) fn who_exits_without_dropping_leaves_the_name_to_the_next() {
    let exits_with = |name: &str| {
        let child = match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                let _value = Value::create(name, 5_u64).unwrap();
                process::exit(0)
            }
        };
        assert!(child.wait().unwrap().success());
    };
    exits_with("asked-for");
    assert_eq!(names(), ["asked-for"], "nobody has removed it");
    let error = Value::<u64>::open("asked-for").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(names().is_empty(), "who asks removes it");
    exits_with("collected");
    let removed = shm::collect_garbage(false).unwrap();
    assert!(removed.iter().any(|object| object.name == "collected"));
    assert!(names().is_empty());
}

/// Forks a child that makes something and is killed while it has it.
pub(crate) fn killed_with<T>(make: impl FnOnce() -> Result<T>) {
    let ready = Event::new().unwrap();
    let child: Child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let _object = make().unwrap();
            ready.set().unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    ready.wait_timeout(Duration::from_secs(30)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

pub(crate) fn d21_what_killed_users_left_is_made_anew() {
    let make = || {
        let mutex = Mutex::create("left", 1_u64)?;
        std::mem::forget(mutex.clone().lock());
        Ok(mutex)
    };
    killed_with(make);
    assert_eq!(names(), ["left"]);
    // Nobody who lives has it: it is not there.
    assert_eq!(
        Mutex::<u64>::open("left").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(names().is_empty());
    killed_with(make);
    let mutex = Mutex::open_or_create("left", 2_u64).unwrap();
    assert_eq!(*mutex.lock().unwrap(), 2);
    drop(mutex);
    killed_with(make);
    drop(Mutex::create("left", 3_u64).unwrap());
    assert!(names().is_empty());
}

pub(crate) fn garbage_is_collected_and_what_is_used_is_not() {
    let used = Semaphore::create("used", 1).unwrap();
    killed_with(|| RwLock::create("garbage", 0_u64));
    let found = shm::collect_garbage(true).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.as_str(), found[0].kind),
        ("garbage", "rwlock")
    );
    assert!(found[0].size > 0 && !found[0].is_in_use());
    assert_eq!(names(), ["garbage", "used"], "that was a question");
    assert_eq!(shm::collect_garbage(false).unwrap().len(), 1);
    assert_eq!(names(), ["used"]);
    assert!(shm::collect_garbage(false).unwrap().is_empty());
    let listed = &shm::list().unwrap()[0];
    assert_eq!(listed.users.len(), 1);
    assert_eq!(listed.users[0].pid, std::process::id());
    assert!(listed.users[0].alive && listed.users[0].in_our_namespace);
    drop(used);
}

pub(crate) fn a_list_omits_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let _mutex = Mutex::create("whole", 0_u64).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let directory = std::path::PathBuf::from(format!("/dev/shm/procession-{uid}"));
    let path = |name: &[u8]| directory.join(std::ffi::OsStr::from_bytes(name));
    std::fs::write(path(b"oshort"), "x").unwrap();
    std::fs::write(path(b"o\xff"), "").unwrap();
    std::fs::create_dir(path(b"odirectory")).unwrap();
    std::os::unix::fs::symlink("/dev/null", path(b"olink")).unwrap();
    std::os::unix::fs::symlink("/nowhere", path(b"odangling")).unwrap();
    // One of ours in System V memory that was cut off, and one that is nobody's.
    let (of_ours, of_others) = (Key::random().unwrap(), Key::random().unwrap());
    let cut = SharedMemory::create(of_ours, 4096).unwrap();
    let other = SharedMemory::create(of_others, 4096).unwrap();
    let mut first = [0; 8];
    let mut whole = std::fs::File::open(path(b"owhole")).unwrap();
    std::io::Read::read_exact(&mut whole, &mut first).unwrap();
    cut.attach().unwrap().bytes().write(0, &first);
    let listed = shm::list().unwrap();
    let found: Vec<_> = listed
        .iter()
        .map(|it| (&*it.name, it.damage.is_some()))
        .collect();
    let cut_name = format!("sysv:{:#010x}", of_ours.as_raw());
    let expected = [
        ("dangling", true),
        ("directory", true),
        ("link", true),
        ("short", true),
        ("whole", false),
        ("\u{fffd}", true),
        (&cut_name, true),
    ];
    assert_eq!(found, expected);
    // Nor where there is no descriptor left to look with.
    let poor: Child = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let mut kept = Vec::new();
            let limit = Rlimit {
                current: Some(40),
                ..getrlimit(Resource::Nofile)
            };
            setrlimit(Resource::Nofile, limit).unwrap();
            while let Ok(file) = std::fs::File::open("/dev/null") {
                kept.push(file);
            }
            // Fewer and fewer: the list is whole, or an error.
            let mut whole_ones = 0;
            while kept.pop().is_some() {
                whole_ones += match shm::list() {
                    Ok(list) => {
                        assert_eq!(list.len(), expected.len());
                        1
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
                        0
                    }
                };
            }
            process::exit(i32::from(whole_ones == 0))
        }
    };
    assert!(poor.wait().unwrap().success());
    assert!(shm::collect_garbage(true).unwrap().is_empty());
    for name in [&b"oshort"[..], b"o\xff", b"olink", b"odangling"] {
        std::fs::remove_file(path(name)).unwrap();
    }
    std::fs::remove_dir(path(b"odirectory")).unwrap();
    cut.remove().unwrap();
    other.remove().unwrap();
}

pub(crate) fn another_kind_or_type_is_refused() {
    let _mutex = Mutex::create("typed", 0_u64).unwrap();
    let refused = [
        Event::open("typed").map(drop),
        Mutex::<u32>::open("typed").map(drop),
        Mutex::<[u32; 2]>::open("typed").map(drop),
        Mutex::<f64>::open("typed").map(drop),
        Value::<u64>::open("typed").map(drop),
        Array::<u64>::open("typed").map(drop),
        Segment::open("typed").map(drop),
        RwLock::open_or_create("typed", 0_u64).map(drop),
        Counter::open_or_create("typed", 0).map(drop),
    ];
    for outcome in refused {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
        assert!(error.to_string().contains("typed"), "{error}");
    }
    Mutex::<u64>::open("typed").unwrap();
}

/// Layouts of one name, which differ in something that moves the bytes, or says
/// what they are.
mod layouts {
    use procession::shm::ShmSafe;

    #[derive(ShmSafe, Debug, Clone, Copy)]
    #[repr(C)]
    pub(super) struct State {
        pub(super) x: [u64; 4],
    }

    pub(super) mod elsewhere {
        #[derive(procession::shm::ShmSafe, Debug)]
        #[repr(C)]
        pub(in super::super) struct State {
            pub(in super::super) x: [u64; 4],
        }
    }

    macro_rules! state {
        ($name:ident: $representation:meta $fields:tt) => {
            pub(super) mod $name {
                #[derive(procession::shm::ShmSafe, Debug)]
                #[$representation]
                #[allow(dead_code)]
                pub(in super::super) struct State $fields
            }
        };
    }
    state!(aligned: repr(C, align(32)) { x: [u64; 4] });
    state!(swapped: repr(C) { y: [u64; 0], x: [u64; 4] });
    state!(renamed: repr(C) { y: [u64; 4] });
    state!(signed: repr(C) { x: [i64; 4] });
    state!(inside: repr(C) { x: super::aligned::State });
}

pub(crate) fn another_layout_of_the_same_name_is_refused() {
    use layouts::{State, aligned, elsewhere, inside, renamed, signed, swapped};
    let written = [1, 2, 3, 4];
    let mutex = Mutex::create("layouts", State { x: written }).unwrap();
    let value = Value::create("layouts-value", State { x: written }).unwrap();
    let array = Array::create("layouts-array", [State { x: written }]).unwrap();
    let lock = RwLock::create("layouts-lock", State { x: written }).unwrap();
    macro_rules! refused {
        ($($other:ident),*) => {$(
            for outcome in [
                Mutex::<$other::State>::open("layouts").map(drop),
                Value::<$other::State>::open("layouts-value").map(drop),
                Array::<$other::State>::open("layouts-array").map(drop),
                RwLock::<$other::State>::open("layouts-lock").map(drop),
            ] {
                let error = outcome.expect_err(stringify!($other));
                assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
            }
        )*};
    }
    refused!(aligned, swapped, renamed, signed, inside);
    let same = Mutex::<elsewhere::State>::open("layouts").unwrap();
    assert_eq!(same.lock().unwrap().x, written);
    drop((mutex, value, array, lock));
}

pub(crate) fn d30_a_creator_killed_at_any_call_leaves_no_half_object() {
    for nth in 0.. {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let outcome = testkit::fault::run(fault, || {
            armed(|| {
                let mutex = Mutex::create("half", [7_u64, 7]).unwrap();
                assert_eq!(*mutex.lock().unwrap(), [7, 7]);
                drop(mutex);
            });
        });
        // It is whole, or not there.
        for object in shm::list().unwrap() {
            assert!(object.damage.is_none(), "{:?}", object.damage);
            assert_eq!((object.name.as_str(), object.kind), ("half", "mutex"));
        }
        let mutex = Mutex::open_or_create("half", [8_u64, 8]).unwrap();
        let pair = *mutex.lock().expect("nobody dead had it");
        assert_eq!(pair, [8, 8]);
        drop(mutex);
        assert!(names().is_empty());
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            return;
        }
    }
}

pub(crate) fn d31_a_collector_killed_at_any_call_harms_nothing() {
    let used = Event::create("used").unwrap();
    for nth in 0.. {
        for name in ["garbage-1", "garbage-2"] {
            if !names().iter().any(|listed| listed == name) {
                killed_with(|| Event::create(name));
            }
        }
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let outcome = testkit::fault::run(fault, || {
            armed(|| assert_eq!(shm::collect_garbage(false).unwrap().len(), 2));
        });
        let left = shm::collect_garbage(false).unwrap().len();
        assert!(left <= 2);
        assert_eq!(names(), ["used"]);
        used.set().unwrap();
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            break;
        }
    }
}

pub(crate) fn d32_openers_and_killed_users_never_split_an_object() {
    let mut random = testkit::random::Random::new();
    let inside = Counter::new(0).unwrap();
    let start = || match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            loop {
                let turn = Semaphore::open_or_create("contested", 1).unwrap();
                let permit = turn.acquire().unwrap();
                // Two objects of one name would let two in.
                if inside.add(1) > 0 {
                    process::exit(7);
                }
                std::thread::yield_now();
                inside.add(-1);
                drop(permit);
            }
        }
    };
    for _ in 0..3 {
        let mut openers: Vec<Child> = (0..4).map(|_| start()).collect();
        // A moment that chance chooses, for them to open and leave.
        std::thread::sleep(random.moment(Duration::from_millis(40)));
        // All stand still before the first is killed: one that is killed inside
        // would be counted for ever by those who go on.
        for opener in &openers {
            opener.signal(process::Signal::STOP).unwrap();
        }
        for opener in &openers {
            let stat = format!("/proc/{}/stat", opener.id());
            testkit::eventually("it stands still", || {
                std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
                    || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
            });
        }
        for opener in &mut openers {
            opener.kill().unwrap();
            let status = opener.wait().unwrap();
            assert_eq!(
                status.signal(),
                Some(process::Signal::KILL),
                "it met another one"
            );
        }
        inside.set(0);
    }
    shm::collect_garbage(false).unwrap();
    assert!(names().is_empty());
}

pub(crate) fn r16_a_removed_name_harms_nobody_who_has_the_object() {
    let old = Mutex::create("renewed", 1_u64).unwrap();
    let other = Mutex::<u64>::open("renewed").unwrap();
    Mutex::<u64>::unlink("renewed").unwrap();
    let error = Mutex::<u64>::unlink("renewed").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    *old.lock().unwrap() = 5;
    assert_eq!(*other.lock().unwrap(), 5);
    let new = Mutex::create("renewed", 9_u64).unwrap();
    // Leaving the old one does not remove the new one's name.
    drop(old);
    drop(other);
    assert_eq!(names(), ["renewed"]);
    assert_eq!(*Mutex::<u64>::open("renewed").unwrap().lock().unwrap(), 9);
    drop(new);
}

pub(crate) fn one_name_is_one_object_of_a_process() {
    let first = Mutex::create("same", 1_u64).unwrap();
    let second = Mutex::<u64>::open("same").unwrap();
    let held = first.lock().unwrap();
    // It knows its holder, whichever handle it is asked through.
    assert_eq!(second.lock().unwrap_err().kind(), ErrorKind::Deadlock);
    drop(held);
    let listed = &shm::list().unwrap()[0];
    assert_eq!(listed.users.len(), 1, "one process is one user");
    drop(first);
    assert_eq!(names(), ["same"], "the other handle is in use");
    // Sent away and back it is the same, too.
    let third = process::spawn(|mutex: Mutex<u64>| mutex, second.clone());
    let third = third.unwrap().join().unwrap();
    let held = third.lock().unwrap();
    assert_eq!(second.lock().unwrap_err().kind(), ErrorKind::Deadlock);
    drop(held);
    drop((second, third));
    assert!(names().is_empty());
    let outer = ReentrantMutex::create("twice", 5_u64).unwrap();
    let inner = ReentrantMutex::<u64>::open("twice").unwrap();
    let held = outer.lock().unwrap();
    assert_eq!(*inner.lock().unwrap(), 5);
    drop(held);
    // Many threads that open and leave at once.
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..50 {
                    let counter = Counter::open_or_create("busy", 0).unwrap();
                    counter.add(1);
                    let other = Counter::create("busy", 0);
                    assert_eq!(other.unwrap_err().kind(), ErrorKind::AlreadyExists);
                }
            });
        }
    });
    drop((outer, inner));
    assert!(names().is_empty());
}

/// Says that it has two values.
struct Miscounted(u32);

impl Iterator for Miscounted {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0 = self.0.checked_sub(1)?;
        Some(self.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (2, Some(2))
    }
}

impl ExactSizeIterator for Miscounted {}

pub(crate) fn values_are_taken_before_anything_is_locked() {
    let values = || {
        (0..3_u32).inspect(|_| {
            let inner = Counter::open_or_create("inner", 0).unwrap();
            inner.add(1);
        })
    };
    let array = Array::create("outer", values()).unwrap();
    assert_eq!(array.to_vec().unwrap(), [0, 1, 2]);
    let none = std::iter::once_with(|| -> u32 { panic!("not wanted") });
    assert_eq!(Array::open_or_create("outer", none).unwrap().len(), 3);
    drop(array);
    let array = Array::open_or_create("outer", values()).unwrap();
    assert_eq!(array.len(), 3);
    drop(array);
    for count in [1, 3, u32::MAX] {
        for outcome in [
            Array::new(Miscounted(count)),
            Array::create("outer", Miscounted(count)),
            Array::open_or_create("outer", Miscounted(count)),
        ] {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
    assert!(names().is_empty());
}
