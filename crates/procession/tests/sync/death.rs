//! Death, and what is none.

use procession::process::{self, Child, Fork, Signal};
use procession::shared::Counter;
use procession::sync::{Barrier, Condvar, Event, LockError, Mutex, Once, RwLock, Semaphore};
use procession::{ErrorKind, task};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far beyond any bound that is promised.
const LONG: Duration = Duration::from_secs(30);

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

pub(crate) fn d1_a_blocked_waiter_hears_of_the_holders_death() {
    let mutex = Mutex::new(0_u64).unwrap();
    let (held, waits) = (Event::new().unwrap(), Event::new().unwrap());
    for _ in 0..20 {
        held.clear();
        waits.clear();
        let holder = child_that(|| {
            std::mem::forget(mutex.lock().unwrap());
            held.set().unwrap();
        });
        held.wait_timeout(LONG).unwrap();
        let waiter = match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                waits.set().unwrap();
                let outcome = mutex.lock();
                process::exit(match outcome {
                    Err(LockError::OwnerDied(left)) => {
                        drop(left.repaired());
                        0
                    }
                    _ => 1,
                })
            }
        };
        waits.wait_timeout(LONG).unwrap();
        testkit::eventually("the waiter sleeps", || {
            let path = format!("/proc/{}/wchan", waiter.id());
            std::fs::read_to_string(path).is_ok_and(|place| place.contains("futex"))
        });
        kill(holder);
        assert!(waiter.wait().unwrap().success());
        drop(mutex.lock_timeout(LONG).unwrap());
    }
}

pub(crate) fn d4_poison_and_death_are_different_things() {
    let mutex = Mutex::new(0_u64).unwrap();
    let panics = task!([&mutex] |_: ()| {
        let _held = mutex.lock().unwrap();
        panic!("on purpose");
    });
    let panics: procession::process::Task<(), ()> = panics;
    // The panic ends the task's process, after the guard was dropped.
    process::spawn_task(&panics, ())
        .unwrap()
        .join()
        .unwrap_err();
    assert_eq!(
        mutex.lock().map(drop).unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    let held = Event::new().unwrap();
    let holder = child_that(|| {
        if let Err(LockError::Poisoned(guard)) = mutex.lock() {
            std::mem::forget(guard);
            held.set().unwrap();
        }
    });
    held.wait_timeout(LONG).unwrap();
    kill(holder);
    testkit::eventually("both are said", || {
        let died = match mutex.try_lock() {
            Err(LockError::OwnerDied(left)) => {
                left.leave();
                true
            }
            _ => false,
        };
        died && mutex.is_poisoned()
    });
    let Err(LockError::OwnerDied(left)) = mutex.lock() else {
        panic!("it was so a moment ago");
    };
    drop(left.repaired());
    assert_eq!(
        mutex.lock().map(drop).unwrap_err().kind(),
        ErrorKind::Poisoned
    );
    mutex.clear_poison();
    drop(mutex.lock().unwrap());
}

pub(crate) fn d6_a_holder_that_execs_is_dead_for_its_locks() {
    let mutex = Mutex::new(0_u64).unwrap();
    let other = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            std::mem::forget(mutex.lock().unwrap());
            let error = std::process::Command::new("sleep").arg("1000").exec();
            panic!("{error}");
        }
    };
    let start = Instant::now();
    let left = loop {
        match mutex.lock_timeout(LONG) {
            Err(LockError::OwnerDied(left)) => break left,
            // The child has not come so far.
            Ok(held) => drop(held),
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < LONG);
    };
    drop(left.repaired());
    assert!(
        other.try_wait().unwrap().is_none(),
        "it lives, as another program"
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

pub(crate) fn d7_two_thousand_locks_are_all_released() {
    // More than the kernel's robust list would honour.
    let locks: Vec<_> = (0..500).map(|_| Mutex::new(0_u8).unwrap()).collect();
    let permits = Semaphore::new(2000).unwrap();
    let done = Event::new().unwrap();
    let holder = child_that(|| {
        for lock in &locks {
            std::mem::forget(lock.lock().unwrap());
        }
        for _ in 0..2000 {
            std::mem::forget(permits.acquire().unwrap());
        }
        done.set().unwrap();
    });
    done.wait_timeout(LONG).unwrap();
    assert_eq!(permits.available().unwrap(), 0);
    kill(holder);
    for lock in &locks {
        let Err(LockError::OwnerDied(left)) = lock.lock_timeout(LONG) else {
            panic!("a lock of the dead was not told of");
        };
        drop(left.repaired());
    }
    assert_eq!(permits.available().unwrap(), 2000);
}

pub(crate) fn d8_a_holder_killed_for_want_of_memory_is_dead() {
    let Some(group) = testkit::small_memory_group() else {
        println!("NOT TESTED: no control group for memory can be made here");
        return;
    };
    let mutex = Mutex::new(0_u64).unwrap();
    let holder = child_that(|| {
        std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
        std::mem::forget(mutex.lock().unwrap());
        let memory = vec![1_u8; 500_000_000];
        std::hint::black_box(&memory);
    });
    let start = Instant::now();
    let left = loop {
        match mutex.lock_timeout(LONG) {
            Err(LockError::OwnerDied(left)) => break left,
            // The child has not come so far.
            Ok(held) => drop(held),
            Err(error) => panic!("{error}"),
        }
        assert!(start.elapsed() < LONG);
    };
    drop(left.repaired());
    assert_eq!(holder.wait().unwrap().signal(), Some(Signal::KILL));
    testkit::eventually("the group is empty", || std::fs::remove_dir(&group).is_ok());
}

pub(crate) fn d10_killed_sleepers_disturb_no_condvar() {
    let (turn, changed) = (Mutex::new(0_u64).unwrap(), Condvar::new().unwrap());
    let asleep = Counter::new(0).unwrap();
    let sleepers: Vec<_> = (0..4)
        .map(|_| {
            child_that(|| {
                let mut held = turn.lock().unwrap();
                asleep.add(1);
                loop {
                    held = changed.wait(held).unwrap();
                }
            })
        })
        .collect();
    testkit::eventually("all sleep", || asleep.get() == 4 && !turn.is_locked());
    let mut sleepers = sleepers.into_iter();
    kill(sleepers.next().unwrap());
    kill(sleepers.next().unwrap());
    for _ in 0..10_000 {
        changed.notify_one();
        changed.notify_all();
    }
    // Somebody new is woken.
    let other = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let held = changed
                .wait_while_timeout(turn.lock().unwrap(), LONG, |turn| *turn == 0)
                .unwrap();
            drop(held);
            process::exit(0)
        }
    };
    loop {
        match turn.lock_timeout(LONG) {
            Ok(mut turn) => {
                *turn = 1;
                break;
            }
            Err(LockError::OwnerDied(left)) => drop(left.repaired()),
            Err(error) => panic!("{error}"),
        }
    }
    changed.notify_all();
    assert!(other.wait().unwrap().success());
    sleepers.for_each(kill);
}

pub(crate) fn d11_a_wake_up_that_dies_with_the_woken_is_made_up_for() {
    let permits = Semaphore::new(1).unwrap();
    for _ in 0..30 {
        let held = permits.acquire_timeout(LONG).unwrap();
        let doomed = child_that(|| std::mem::forget(permits.acquire().unwrap()));
        let other = match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                let outcome = permits.acquire_timeout(LONG);
                process::exit(i32::from(outcome.is_err()))
            }
        };
        // The wake-up goes to either; one of them is killed at once.
        drop(held);
        kill(doomed);
        assert!(
            other.wait().unwrap().success(),
            "the other one was not woken"
        );
    }
}

pub(crate) fn d14_a_party_killed_before_it_arrives_breaks_the_barrier() {
    let barrier = Barrier::new(3).unwrap();
    let here = Event::new().unwrap();
    let doomed = task!([&barrier, &here] |_: ()| {
        let _ = &barrier;
        here.set().unwrap();
        loop {
            std::thread::park();
        }
    });
    let doomed: process::Task<(), ()> = doomed;
    let wait = task!([&barrier] |_: ()| barrier.wait_timeout(LONG).map(drop).unwrap_err().kind());
    let mut doomed = process::spawn_task(&doomed, ()).unwrap();
    here.wait_timeout(LONG).unwrap();
    let mut other = process::spawn_task(&wait, ()).unwrap();
    testkit::eventually("the other one waits", || barrier.waiting() == 1);
    doomed.kill().unwrap();
    doomed.join().unwrap_err();
    assert_eq!(other.join().unwrap(), ErrorKind::Broken);
    assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::Broken);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken());
}

pub(crate) fn d15_who_comes_in_place_of_the_dead_completes_the_barrier() {
    let barrier = Barrier::new(2).unwrap();
    let meet = task!([&barrier] |times: usize| {
        for _ in 0..times {
            barrier.wait_timeout(LONG).unwrap();
        }
    });
    let mut other = process::spawn_task(&meet, 1).unwrap();
    barrier.wait_timeout(LONG).unwrap();
    other.join().unwrap();
    // It left in order, and is not missed.
    let mut other = process::spawn_task(&meet, 2).unwrap();
    barrier.wait_timeout(LONG).unwrap();
    barrier.wait_timeout(LONG).unwrap();
    other.join().unwrap();
    assert!(!barrier.is_broken());
}

pub(crate) fn d17_the_next_one_does_what_a_dead_one_began() {
    let once = Once::new().unwrap();
    let begun = Event::new().unwrap();
    let doomed = child_that(|| {
        once.call_once(|| {
            begun.set().unwrap();
            loop {
                std::thread::park();
            }
        })
        .unwrap();
    });
    begun.wait_timeout(LONG).unwrap();
    assert!(!once.is_completed());
    kill(doomed);
    let mut times = 0;
    once.call_once(|| times += 1).unwrap();
    once.call_once(|| times += 1).unwrap();
    assert_eq!(times, 1);
}

pub(crate) fn s3_a_stopped_holder_is_not_dead() {
    let mutex = Mutex::new(0_u64).unwrap();
    let permits = Semaphore::new(1).unwrap();
    let held = Event::new().unwrap();
    let holder = child_that(|| {
        std::mem::forget(mutex.lock().unwrap());
        std::mem::forget(permits.acquire().unwrap());
        held.set().unwrap();
    });
    held.wait_timeout(LONG).unwrap();
    holder.signal(Signal::STOP).unwrap();
    // Longer than what a sleeper looks again after, and than it doubts after.
    let timeout = Duration::from_millis(1300);
    let error = mutex.lock_timeout(timeout).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(
        permits.try_acquire().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let error = mutex.lock_timeout(LONG).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OwnerDead);
    drop(permits.acquire_timeout(LONG).unwrap());
}

pub(crate) fn s11_a_forked_copy_gives_nothing_back() {
    let mutex = Mutex::new(0_u64).unwrap();
    let permits = Semaphore::new(1).unwrap();
    let guard = mutex.lock().unwrap();
    let permit = permits.acquire().unwrap();
    // SAFETY: this process has one thread, and the child drops its copy of the guard.
    let child = match unsafe { process::fork_unchecked() }.unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            // Copies of the parent's guards.
            drop(guard);
            drop(permit);
            let busy = mutex.try_lock().map(drop).unwrap_err().kind() == ErrorKind::WouldBlock
                && permits.try_acquire().is_err();
            process::exit(i32::from(!busy))
        }
    };
    assert!(
        child.wait().unwrap().success(),
        "the copy gave back what is ours"
    );
    drop(guard);
    drop(permit);
    drop(mutex.try_lock().unwrap());
    drop(permits.try_acquire().unwrap());
}

pub(crate) fn deadlines_hold_in_a_storm_of_signals() {
    let mutex = Mutex::new(0_u64).unwrap();
    let event = Event::new().unwrap();
    let _signals = procession::signal::Signals::new(&[Signal::USR1]).unwrap();
    let over = AtomicBool::new(false);
    let me = rustix::process::getpid();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = rustix::process::kill_process(me, rustix::process::Signal::USR1);
            }
        });
        let (held, free) = (Event::new().unwrap(), Event::new().unwrap());
        threads.spawn({
            let (mutex, held, free) = (&mutex, held.clone(), free.clone());
            move || {
                let guard = mutex.lock().unwrap();
                held.set().unwrap();
                free.wait().unwrap();
                drop(guard);
            }
        });
        held.wait().unwrap();
        for _ in 0..5 {
            let timeout = Duration::from_millis(30);
            let start = Instant::now();
            assert_eq!(
                mutex.lock_timeout(timeout).map(drop).unwrap_err().kind(),
                ErrorKind::TimedOut
            );
            assert!(start.elapsed() >= timeout);
            let start = Instant::now();
            assert_eq!(
                event.wait_timeout(timeout).unwrap_err().kind(),
                ErrorKind::TimedOut
            );
            assert!(start.elapsed() >= timeout);
        }
        free.set().unwrap();
        over.store(true, Ordering::Relaxed);
    });
}

pub(crate) fn s18_no_wait_is_on_the_wall_clock() {
    let ended = |work: &dyn Fn()| {
        // SAFETY: one thread; the child does not touch its copies of guards.
        let child = match unsafe { process::fork_unchecked() }.unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                testkit::wall_clock::forbid();
                work();
                process::exit(0)
            }
        };
        child.wait().unwrap()
    };
    // The filter does find one.
    let sleeps = ended(&|| {
        let (clock, nothing) = (rustix::thread::ClockId::Realtime, Duration::from_nanos(1));
        let nothing = rustix::time::Timespec::try_from(nothing).unwrap();
        let _ = rustix::thread::clock_nanosleep_absolute(clock, &nothing);
    });
    assert_eq!(sleeps.signal(), Some(Signal::SYS));
    let mutex = Mutex::new(0_u64).unwrap();
    let rwlock = RwLock::new(0_u64).unwrap();
    let semaphore = Semaphore::new(0).unwrap();
    let event = Event::new().unwrap();
    let condvar = Condvar::new().unwrap();
    let barrier = Barrier::new(2).unwrap();
    let (held, written) = (mutex.lock().unwrap(), rwlock.write().unwrap());
    let status = ended(&|| {
        // Longer than anybody looks again before he sleeps.
        let short = Duration::from_millis(2);
        let kinds = [
            mutex.lock_timeout(short).map(drop).unwrap_err().kind(),
            rwlock.read_timeout(short).map(drop).unwrap_err().kind(),
            rwlock.write_timeout(short).map(drop).unwrap_err().kind(),
            semaphore
                .acquire_timeout(short)
                .map(drop)
                .unwrap_err()
                .kind(),
            event.wait_timeout(short).unwrap_err().kind(),
            barrier.wait_timeout(short).map(drop).unwrap_err().kind(),
        ];
        assert!(
            kinds.iter().all(|&kind| kind == ErrorKind::TimedOut),
            "{kinds:?}"
        );
        let own = Mutex::new(0_u64).unwrap();
        let woken = condvar.wait_timeout(own.lock().unwrap(), short);
        drop(woken.unwrap());
        let (reader, _writer) = procession::os::pipe::pipe().unwrap();
        assert!(
            reader
                .read_timeout(&mut [0], short)
                .unwrap_err()
                .is_timeout()
        );
        let mut task = process::spawn(|()| std::thread::park(), ()).unwrap();
        assert!(task.join_timeout(short).is_err());
        task.kill().unwrap();
        let _ = task.join();
    });
    drop((held, written));
    assert_eq!(status.code(), Some(0), "{status}");
}
