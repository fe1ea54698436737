//! What ends a wait, and what does not; locks that are had several times; what a
//! party of a barrier hears.

use procession::ErrorKind;
use procession::process::{self, Child, Fork, Signal};
use procession::shared::Counter;
use procession::sync::{Barrier, Condvar, Event, LockError, Mutex, ReentrantMutex, WaitOutcome};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Far beyond any bound that is promised.
const LONG: Duration = Duration::from_secs(30);

/// Some sleeps after which everybody looks again, and one at whose end all are
/// asked whether they live.
const SLICES: Duration = Duration::from_millis(1300);

fn child_that(work: impl FnOnce() -> i32) -> Child {
    // SAFETY: one thread; no child touches its copy of a guard.
    match unsafe { process::fork_unchecked() }.unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => process::exit(work()),
    }
}

fn sleeps(child: &Child) -> bool {
    let place = std::fs::read_to_string(format!("/proc/{}/wchan", child.id()));
    place.is_ok_and(|place| place.contains("futex"))
}

pub(crate) fn a_wait_ends_for_a_reason_and_says_which() {
    let (lock, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let start = Instant::now();
    let (held, outcome) = changed.wait_timeout(lock.lock().unwrap(), SLICES).unwrap();
    assert!(outcome.timed_out());
    assert!(start.elapsed() >= SLICES);
    drop(held);
    // Nobody was waiting, so nobody is told of these.
    changed.notify_one();
    changed.notify_all();
    let moment = Duration::from_millis(1);
    let (held, outcome) = changed.wait_timeout(lock.lock().unwrap(), moment).unwrap();
    assert_eq!(outcome, WaitOutcome::TimedOut);
    // A duration that is no point in time is no limit.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(lock.lock().unwrap());
            changed.notify_one();
        });
        let (held, outcome) = changed.wait_timeout(held, Duration::MAX).unwrap();
        assert_eq!(outcome, WaitOutcome::Notified);
        drop(held);
    });
}

pub(crate) fn a_notification_ends_as_many_waits_as_it_is_for() {
    const WAITERS: usize = 5;
    let (lock, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    let notified = Counter::new(0).unwrap();
    let over = Event::new().unwrap();
    let mut waiters = [(); WAITERS].map(|()| {
        child_that(|| {
            let held = lock.lock().unwrap();
            drop(changed.wait(held).unwrap());
            notified.add(1);
            // Its death would end the waits of the others.
            over.wait().unwrap();
            0
        })
    });
    testkit::eventually("all sleep", || {
        waiters.iter().all(sleeps) && !lock.is_locked()
    });
    let mut ended = 0;
    for count in [1, 2] {
        changed.notify(count);
        ended += u64::from(count);
        testkit::eventually("they have it", || notified.get() as u64 == ended);
        // Those who sleep on do so after their slices, too.
        let own = Mutex::new(()).unwrap();
        let other = Condvar::new().unwrap();
        let (_, outcome) = other.wait_timeout(own.lock().unwrap(), SLICES).unwrap();
        assert!(outcome.timed_out());
        assert_eq!(notified.get() as u64, ended);
    }
    changed.notify_all();
    testkit::eventually("all have it", || notified.get() as usize == WAITERS);
    over.set().unwrap();
    for waiter in &mut waiters {
        assert!(waiter.wait().unwrap().success());
    }
}

pub(crate) fn who_dies_before_it_notifies_ends_the_waits() {
    let (lock, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
    for _ in 0..20 {
        let held = lock.lock().unwrap();
        // It has none of its parent's guards.
        let child = child_that(|| {
            *lock.lock().unwrap() += 1;
            std::process::abort()
        });
        let before = *held;
        let (held, outcome) = changed.wait_timeout(held, LONG).unwrap();
        assert_eq!(outcome, WaitOutcome::SomebodyDied);
        assert_eq!(*held, before + 1);
        drop(held);
        child.wait().unwrap();
    }
}

fn change_and_die((lock, _changed): (Mutex<u32>, Condvar)) {
    *lock.lock().unwrap() += 1;
    std::process::abort()
}

pub(crate) fn who_dies_before_it_ever_used_the_condvar_ends_the_waits() {
    // Users of the one are not known as those of the other by that.
    let (lock, changed) = (
        Mutex::create("lock", 0_u32).unwrap(),
        Condvar::new().unwrap(),
    );
    let held = lock.lock().unwrap();
    let argument = (lock.clone(), changed.clone());
    let mut task = process::spawn(change_and_die, argument).unwrap();
    let (held, outcome) = changed.wait_timeout(held, LONG).unwrap();
    assert_eq!((*held, outcome), (1, WaitOutcome::SomebodyDied));
    drop(held);
    task.join().unwrap_err();
}

pub(crate) fn a_wait_gives_back_all_levels_of_a_reentrant_lock() {
    let lock = ReentrantMutex::new(Cell::new(0_u32)).unwrap();
    let changed = Condvar::new().unwrap();
    for depth in [1, 2, 5] {
        lock.lock().unwrap().set(0);
        let other = child_that(|| {
            let held = lock.lock_timeout(LONG).unwrap();
            let again = lock.lock().unwrap();
            again.set(again.get() + 1);
            changed.notify_one();
            drop(again);
            drop(held);
            0
        });
        let mut guards: Vec<_> = (0..depth).map(|_| lock.lock().unwrap()).collect();
        let held = guards.pop().unwrap();
        let held = changed
            .wait_while_timeout(held, LONG, |number| number.get() == 0)
            .unwrap();
        guards.push(held);
        assert!(other.wait().unwrap().success());
        assert!(guards.iter().all(|held| held.get() == 1));
        // It is had as often as before, and by nobody else until the last one goes.
        while let Some(held) = guards.pop() {
            let stranger = child_that(|| match lock.try_lock() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                _ => 1,
            });
            assert!(stranger.wait().unwrap().success());
            drop(held);
        }
        drop(lock.try_lock().unwrap());
    }
    let (held, outcome) = changed
        .wait_timeout(lock.lock().unwrap(), Duration::ZERO)
        .unwrap();
    // A child that has ended meanwhile ends a wait as well.
    assert_ne!(outcome, WaitOutcome::Notified);
    drop(held);
}

pub(crate) fn who_waits_hears_that_the_next_holder_died_at_every_level() {
    let lock = ReentrantMutex::new(Cell::new(0_u32)).unwrap();
    let changed = Condvar::new().unwrap();
    let outer = lock.lock().unwrap();
    let inner = lock.lock().unwrap();
    let other = child_that(|| {
        let held = lock.lock_timeout(LONG).unwrap();
        held.set(7);
        std::process::abort()
    });
    let inner = match changed.wait_timeout(inner, LONG) {
        Err(LockError::OwnerDied((inner, outcome))) => {
            assert_eq!(outcome, WaitOutcome::SomebodyDied);
            inner
        }
        other => panic!("{:?}", other.map(|(_, outcome)| outcome)),
    };
    other.wait().unwrap();
    inner.mark_consistent();
    assert_eq!((outer.get(), inner.get()), (7, 7));
    drop(inner);
    let stranger = child_that(|| i32::from(lock.try_lock().is_ok()));
    assert!(stranger.wait().unwrap().success());
    drop(outer);
}

pub(crate) fn a_party_that_was_reset_hears_so_however_late_it_looks() {
    for generations in [0, 1, 19, 20, 21, 64, 200] {
        let barrier = Barrier::new(2).unwrap();
        let party = child_that(|| match barrier.wait_timeout(LONG) {
            Err(error) if error.kind() == ErrorKind::Broken => 0,
            _ => 1,
        });
        testkit::eventually("it waits", || barrier.waiting() == 1 && sleeps(&party));
        party.signal(Signal::STOP).unwrap();
        testkit::eventually("it is stopped", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", party.id()));
            stat.is_ok_and(|stat| stat.contains(") T "))
        });
        barrier.reset().unwrap();
        std::thread::scope(|scope| {
            let pass = || {
                for _ in 0..generations {
                    barrier.wait_timeout(LONG).unwrap();
                }
            };
            scope.spawn(pass);
            pass();
        });
        party.signal(Signal::CONT).unwrap();
        assert!(party.wait().unwrap().success(), "after {generations}");
    }
}
