//! Who is dead, and who is not: what a process can look like that lives, or is about
//! to be dead, and where those stand who ask.

use procession::process::{self, Child, Fork};
use procession::shared::Array;
use procession::shm;
use procession::sync::{Event, LockError, Mutex};
use procession::{Deadline, ErrorKind, Name};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use testkit::random::Random;

/// Far beyond any bound that is promised.
const LONG: Duration = Duration::from_secs(30);

/// Longer than anybody waits before asking again.
const DOUBTFUL: Duration = Duration::from_millis(1500);

/// Forks a child that runs `work` and then waits to be killed.
fn child_that(work: impl FnOnce()) -> Child {
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            work();
            loop {
                std::thread::park();
            }
        }
    }
}

fn kill(child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn name(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

fn is_held<T, G, R>(outcome: &Result<T, LockError<G, R>>) -> bool {
    let held = [ErrorKind::TimedOut, ErrorKind::WouldBlock];
    matches!(outcome, Err(error) if held.contains(&error.kind()))
}

/// Shares the memory of the process that forked it, and nothing else.
fn clone_that_shares_memory(work: extern "C" fn(*mut libc::c_void) -> libc::c_int) -> i32 {
    const STACK: usize = 64 * 1024;
    let stack = Box::leak(vec![0_u8; STACK].into_boxed_slice());
    let top = stack.as_mut_ptr().wrapping_add(STACK - 64).cast();
    // SAFETY: the stack is never given back; the function makes system calls only.
    let pid = unsafe { libc::clone(work, top, libc::CLONE_VM, std::ptr::null_mut()) };
    assert!(pid > 0);
    pid
}

/// Kills and reaps a process whose parent is dead, and which is ours by now.
fn end_orphan(pid: i32) {
    // SAFETY: it is our child, which nobody else reaps.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    // SAFETY: as above.
    let reaped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    assert_eq!(reaped, pid);
}

extern "C" fn pause_for_ever(_: *mut libc::c_void) -> libc::c_int {
    loop {
        // SAFETY: a call without arguments.
        unsafe { libc::pause() };
    }
}

pub(crate) fn a_dead_holder_is_waited_for_while_its_memory_is_in_use() {
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).unwrap();
    let array = Mutex::new([0_u64; 16]).unwrap();
    let (held, other) = (Event::new().unwrap(), Array::new([0_i32]).unwrap());
    let holder = child_that(|| {
        std::mem::forget(array.lock().unwrap());
        // Whatever it did would be done to the array.
        other.lock().unwrap()[0] = clone_that_shares_memory(pause_for_ever);
        held.set().unwrap();
    });
    held.wait_timeout(LONG).unwrap();
    kill(holder);
    let outcome = array.try_lock().map(drop);
    assert!(is_held(&outcome), "its memory is in use: {outcome:?}");
    assert!(is_held(&array.lock_timeout(DOUBTFUL)));
    let pid = other.lock().unwrap()[0];
    end_orphan(pid);
    match array.lock_timeout(LONG) {
        Err(LockError::OwnerDied(left)) => drop(left.repaired()),
        other => panic!("{:?}", other.map(drop)),
    }
}

pub(crate) fn a_process_lives_whose_first_thread_has_ended() {
    let mutex = Mutex::create(&name("leader"), 0_u64).unwrap();
    let held = Event::new().unwrap();
    let holder = child_that(|| {
        let (mutex, held) = (mutex.clone(), held.clone());
        std::thread::spawn(move || {
            std::mem::forget(mutex.lock().unwrap());
            held.set().unwrap();
            loop {
                std::thread::park();
            }
        });
        // SAFETY: ends the calling thread alone.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    held.wait_timeout(LONG).unwrap();
    testkit::eventually("the first thread has ended", || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", holder.id()));
        status.is_ok_and(|status| status.contains(") Z "))
    });
    assert!(is_held(&mutex.lock_timeout(DOUBTFUL)));
    kill(holder);
    let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
}

pub(crate) fn a_forked_copy_is_not_the_one_who_holds() {
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).unwrap();
    let mutex = Mutex::new(0_u64).unwrap();
    let (held, copy) = (Event::new().unwrap(), Array::new([0_u32]).unwrap());
    let holder = child_that(|| {
        // Both have used it before there is a copy.
        drop(mutex.lock().unwrap());
        let copied = child_that(|| {});
        copy.lock().unwrap()[0] = copied.id();
        std::mem::forget(copied);
        std::mem::forget(mutex.lock().unwrap());
        held.set().unwrap();
    });
    held.wait_timeout(LONG).unwrap();
    kill(holder);
    // Though the copy has all of its descriptors.
    let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
    let pid = copy.lock().unwrap()[0];
    end_orphan(pid.cast_signed());
}

pub(crate) fn more_objects_than_the_kernel_marks_for_one_thread() {
    const OBJECTS: usize = 2100;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    if limit
        .maximum
        .is_some_and(|most| most < OBJECTS as u64 + 100)
    {
        println!("NOT TESTED: too few descriptors");
        return;
    }
    let prefix = name("many");
    let name = |index: usize| format!("{prefix}-{index}");
    let (oldest, newest) = (
        Mutex::create(&name(0), 0_u64).unwrap(),
        Mutex::create(&name(1), 0_u64).unwrap(),
    );
    let done = Event::new().unwrap();
    let child = child_that(|| {
        let oldest = Mutex::<u64>::open(&name(0)).unwrap();
        drop(oldest.lock().unwrap());
        for index in 2..OBJECTS {
            std::mem::forget(Mutex::create(&name(index), 0_u64).unwrap());
        }
        drop(newest.lock().unwrap());
        // Its threads are the library's, so that it still forks.
        match process::fork().unwrap() {
            Fork::Parent(copy) => assert!(copy.wait().unwrap().success()),
            Fork::Child => process::exit(0),
        }
        std::mem::forget(oldest.lock().unwrap());
        std::mem::forget(newest.lock().unwrap());
        std::mem::forget(oldest);
        done.set().unwrap();
    });
    done.wait_timeout(LONG).unwrap();
    kill(child);
    for mutex in [&oldest, &newest] {
        // Without waiting, so that no second opinion is asked for.
        testkit::eventually("the death is known", || match mutex.try_lock() {
            Err(LockError::OwnerDied(left)) => {
                drop(left.repaired());
                true
            }
            _ => false,
        });
    }
    drop((oldest, newest));
    testkit::eventually("all names are garbage", || {
        shm::collect_garbage(false).unwrap();
        shm::list().unwrap().is_empty()
    });
}

pub(crate) fn another_time_namespace_does_not_end_the_living() {
    let name = name("times");
    let mutex = Mutex::create(&name, 0_u64).unwrap();
    let held = Event::new().unwrap();
    let holder = child_that(|| {
        std::mem::forget(mutex.lock().unwrap());
        held.set().unwrap();
    });
    held.wait_timeout(LONG).unwrap();
    in_namespaces(rustix::thread::UnshareFlags::NEWTIME, || {
        let listed = shm::list().unwrap();
        assert!(listed.iter().all(shm::NamedObject::is_in_use));
        assert!(shm::collect_garbage(false).unwrap().is_empty());
        let theirs = Mutex::<u64>::open(&name).unwrap();
        assert!(is_held(&theirs.lock_timeout(DOUBTFUL)));
    });
    assert!(is_held(&mutex.try_lock()));
    kill(holder);
    let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
}

/// Runs something in a process that is the first one in its namespaces; false if that
/// is not allowed here.
fn in_namespaces(flags: rustix::thread::UnshareFlags, work: impl FnOnce()) -> bool {
    let outer = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            // SAFETY: the process has one thread of its own.
            if unsafe { rustix::thread::unshare_unsafe(flags) }.is_err() {
                println!("NOT TESTED: no right to make namespaces");
                process::exit(3);
            }
            if flags.contains(rustix::thread::UnshareFlags::NEWUSER) {
                std::fs::write("/proc/self/uid_map", "0 0 1").unwrap();
            }
            if flags.contains(rustix::thread::UnshareFlags::NEWTIME) {
                std::fs::write("/proc/self/timens_offsets", "boottime 100000 0").unwrap();
            }
            let inner = match process::fork().unwrap() {
                Fork::Parent(inner) => inner.wait().unwrap(),
                Fork::Child => {
                    let work = std::panic::AssertUnwindSafe(work);
                    process::exit(i32::from(std::panic::catch_unwind(work).is_err()))
                }
            };
            process::exit(i32::from(!inner.success()))
        }
    };
    let status = outer.wait().unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}");
    status.success()
}

/// Nothing at `/proc` is about this process: no sign of life can be put up, and nothing
/// without a name can get one.
pub(crate) fn without_proc_what_has_no_name_works_and_names_are_refused() {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    use rustix::thread::UnshareFlags;
    let body = || {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).unwrap();
        mount("none", "/proc", "tmpfs", MountFlags::empty(), None).unwrap();
        let name = name("without-proc");
        assert!(Mutex::create(&name, 0_u64).is_err());
        let mutex = Mutex::new(1_u64).unwrap();
        let held = Event::new().unwrap();
        // Without `/proc` nobody can tell our own thread from others.
        // SAFETY: the process has no thread but the library's, which fork knows.
        let holder = match unsafe { process::fork_unchecked() }.unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                let _held = mutex.lock().unwrap();
                held.set().unwrap();
                loop {
                    std::thread::park();
                }
            }
        };
        held.wait_timeout(LONG).unwrap();
        holder.kill().unwrap();
        holder.wait().unwrap();
        let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OwnerDead);
    };
    in_namespaces(UnshareFlags::NEWUSER | UnshareFlags::NEWNS, body);
}

/// Changes a pair under a lock that others in another container have, too, and holds
/// against it what it finds.
fn work_on(pair: &Mutex<[u64; 2]>) {
    loop {
        let mut held = match pair.lock_timeout(LONG) {
            Ok(held) => {
                assert_eq!(held[0], held[1], "two were in at once");
                held
            }
            Err(LockError::OwnerDied(mut left)) => {
                left[1] = left[0];
                left.repaired()
            }
            Err(error) => panic!("{error}"),
        };
        held[0] += 1;
        for _ in 0..50 {
            std::hint::spin_loop();
        }
        held[1] += 1;
        assert_eq!(held[0], held[1], "somebody else is in");
    }
}

/// The first process of a container: starts others, and kills them at random.
fn container(name: &str, own_proc: bool, seed: u64) {
    assert_eq!(std::process::id(), 1);
    if own_proc {
        let private = rustix::mount::MountPropagationFlags::PRIVATE
            | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        // Not in every container that this may run in itself.
        let _ = rustix::mount::mount("proc", "/proc", "proc", flags, None);
    }
    testkit::random::set_seed(seed);
    let mut random = Random::new();
    for _ in 0..60 {
        let mut workers: Vec<_> = (0..2)
            .map(|_| {
                child_that(|| {
                    let pair = Mutex::<[u64; 2]>::open(name).unwrap();
                    let work = std::panic::AssertUnwindSafe(|| work_on(&pair));
                    let _ = std::panic::catch_unwind(work);
                    process::exit(1);
                })
            })
            .collect();
        for worker in &mut workers {
            let pause = Duration::from_micros(random.below(6000));
            if let Ok(status) = worker.wait_timeout(pause) {
                panic!("a worker ended by itself: {status}");
            }
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
    }
}

pub(crate) fn containers_that_share_memory_are_killed_at_random() {
    use rustix::thread::UnshareFlags;
    let name = name("containers");
    Name::new(&name).unwrap();
    let pair = Mutex::create(&name, [0_u64, 0]).unwrap();
    let mut random = Random::new();
    let flags = UnshareFlags::NEWUSER | UnshareFlags::NEWPID | UnshareFlags::NEWNS;
    // The numbers of their processes are the same. One of them sees our `/proc`, in
    // which none of them has the number that it knows.
    let containers: Vec<_> = [true, false]
        .into_iter()
        .map(|own_proc| {
            let seed = random.number();
            let name = &name;
            match process::fork().unwrap() {
                Fork::Parent(child) => child,
                Fork::Child => {
                    let run = || in_namespaces(flags, || container(name, own_proc, seed));
                    let run = std::panic::AssertUnwindSafe(run);
                    process::exit(i32::from(std::panic::catch_unwind(run).is_err()))
                }
            }
        })
        .collect();
    for container in containers {
        assert!(container.wait().unwrap().success());
    }
    let start = Instant::now();
    match pair.lock_timeout(LONG) {
        Ok(held) => assert_eq!(held[0], held[1]),
        Err(LockError::OwnerDied(left)) => drop(left.repaired()),
        Err(error) => panic!("{error} after {:?}", start.elapsed()),
    }
    // None of the dead keeps the name.
    let users = || {
        shm::list().unwrap()[0]
            .users
            .iter()
            .filter(|user| user.alive)
            .count()
    };
    testkit::eventually("all are known to be dead", || users() == 1);
}

pub(crate) fn a_mark_by_mistake_is_taken_back() {
    let name = name("marked");
    let mutex = Mutex::create(&name, 0_u64).unwrap();
    let held = Event::new().unwrap();
    let holder = child_that(|| {
        let mutex = Mutex::<u64>::open(&name).unwrap();
        std::mem::forget(mutex.lock().unwrap());
        held.set().unwrap();
    });
    held.wait_timeout(LONG).unwrap();
    // As the kernel leaves the word of a place, the holder's; see docs/layouts.md.
    let uid = rustix::process::geteuid().as_raw();
    let path = format!("/dev/shm/procession-{uid}/o{name}");
    let file = std::fs::File::options().read(true).write(true).open(path);
    let (file, place) = (file.unwrap(), 128 + 64 + 64 + 8);
    let word = || {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, place).unwrap();
        u32::from_le_bytes(bytes)
    };
    let alive = word();
    for _ in 0..20 {
        file.write_all_at(&0xc000_0000_u32.to_le_bytes(), place)
            .unwrap();
        let outcome = mutex.try_lock().map(drop);
        assert!(is_held(&outcome), "a mark is no proof: {outcome:?}");
    }
    drop(Mutex::<u64>::open(&name).unwrap());
    // Somebody has to look at it: who comes to a place changes the ring.
    let newcomer = child_that(|| {
        let mutex = Mutex::<u64>::open(&name).unwrap();
        assert!(is_held(&mutex.lock_timeout(Duration::from_millis(1))));
        std::mem::forget(mutex);
    });
    testkit::eventually("its owner insists on living", || word() == alive);
    kill(newcomer);
    assert!(is_held(&mutex.lock_timeout(Duration::from_millis(300))));
    kill(holder);
    let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
}

/// Bytes that a thread reads from a file into what a lock protects, in one call.
const AT_WORK: usize = 16 << 20;

pub(crate) fn a_process_killed_with_threads_at_work_writes_nothing_more() {
    let (theirs, ours) = (vec![0x55_u8; AT_WORK], vec![0xaa_u8; AT_WORK]);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &theirs).unwrap();
    let array = Array::new(std::iter::repeat_n(0_u8, AT_WORK)).unwrap();
    let begun = Event::auto_reset().unwrap();
    let mut random = Random::new();
    let mut died = 0;
    for _ in 0..30 {
        let victim = child_that(|| {
            let (file, array, begun) = (&file, &array, &begun);
            // Its first thread does nothing, and is gone at once.
            let read = |begun: Option<&Event>| loop {
                let mut guard = match array.lock() {
                    Ok(guard) => guard,
                    Err(LockError::OwnerDied(left)) => left.repaired(),
                    Err(error) => panic!("{error}"),
                };
                if let Some(begun) = begun {
                    begun.set().unwrap();
                }
                // The kernel writes through the reference.
                let _ = file.read_at(&mut guard[..], 0);
            };
            std::thread::scope(|scope| {
                scope.spawn(move || read(Some(begun)));
                scope.spawn(move || read(None));
            });
        });
        begun.wait_timeout(LONG).unwrap();
        std::thread::sleep(Duration::from_micros(random.below(4000)));
        victim.kill().unwrap();
        let mut guard = match array.lock_deadline(Deadline::after(LONG)) {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(left)) => {
                died += 1;
                left.repaired()
            }
            Err(error) => panic!("{error}"),
        };
        guard.fill(0xaa);
        // As long as a call of theirs takes, many times.
        std::thread::sleep(Duration::from_millis(20));
        assert!(guard[..] == ours[..], "the dead wrote");
        drop(guard);
        let victim = victim;
        victim.wait().unwrap();
    }
    assert!(died > 0, "nobody was killed while it held the lock");
}

pub(crate) fn a_system_v_segment_is_not_used_by_who_executed_another_program() {
    use std::os::unix::process::CommandExt;
    let key = procession::os::sysv::Key::from_raw(0x7072_6f63);
    let (made, go) = (Event::new().unwrap(), Event::new().unwrap());
    let other = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let segment = shm::Segment::create_system_v(key, 100).unwrap();
            made.set().unwrap();
            go.wait_timeout(LONG).unwrap();
            let error = std::process::Command::new("sleep").arg("1000").exec();
            panic!("{error} {segment:?}");
        }
    };
    made.wait_timeout(LONG).unwrap();
    assert!(shm::list().unwrap()[0].is_in_use());
    go.set().unwrap();
    testkit::eventually("nobody uses it", || !shm::list().unwrap()[0].is_in_use());
    assert!(other.try_wait().unwrap().is_none());
    assert_eq!(shm::collect_garbage(false).unwrap().len(), 1);
    other.kill().unwrap();
    other.wait().unwrap();
}
