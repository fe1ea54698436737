//! Barriers of managers, and locks that a thread takes several times.

use crate::death::killed;
use crate::{LONG, manager};
use procession::manager::{Barrier, Manager, ReentrantMutex};
use procession::process::{self, Fork};
use procession::sync::LockError;
use procession::{ErrorKind, process::exit};
use std::cell::{Cell, RefCell};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);

fn only_client(manager: &Manager) {
    testkit::eventually("the session has ended", || {
        manager.statistics().unwrap().clients == 1
    });
}

pub(crate) fn all_parties_pass_a_barrier_or_none() {
    fn meet((barrier, times): (Barrier, u32)) -> Vec<usize> {
        (0..times)
            .map(|_| barrier.wait_timeout(LONG).unwrap().index())
            .collect()
    }
    let manager = manager();
    let barrier = manager.barrier(4).unwrap();
    let mut tasks = [(); 3].map(|()| process::spawn(meet, (barrier.clone(), 50)).unwrap());
    let mut indexes = vec![meet((barrier.clone(), 50))];
    indexes.extend(tasks.iter_mut().map(|task| task.join().unwrap()));
    for round in 0..50 {
        let mut round: Vec<usize> = indexes.iter().map(|all| all[round]).collect();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3]);
    }
    // Those that have dropped it end without breaking it.
    only_client(&manager);
    assert!(!barrier.is_broken().unwrap());
    // One that gives up breaks it for all, until it is reset.
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| barrier.wait_timeout(LONG).unwrap_err().kind());
        testkit::eventually("it waits", || barrier.waiting().unwrap() == 1);
        let late = barrier.wait_timeout(SOON).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert_eq!(waits.join().unwrap(), ErrorKind::Broken);
    });
    assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::Broken);
    barrier.reset().unwrap();
    assert_eq!(barrier.waiting().unwrap(), 0);
}

pub(crate) fn a_party_that_is_killed_breaks_a_barrier() {
    fn arrive(barrier: Barrier) {
        drop(barrier.wait());
    }
    fn meet_and_park(barrier: Barrier) {
        barrier.wait_timeout(LONG).unwrap();
        loop {
            std::thread::park();
        }
    }
    let manager = manager();
    let barrier = manager.barrier(2).unwrap();
    // While it waits, before it waits again, and before it has waited, once it has received it.
    let waits =
        || std::thread::scope(|threads| threads.spawn(|| drop(barrier.wait_timeout(SOON))).join());
    killed(|| drop(waits()));
    only_client(&manager);
    assert!(barrier.is_broken().unwrap());
    barrier.reset().unwrap();
    let task = process::spawn(meet_and_park, barrier.clone()).unwrap();
    barrier.wait_timeout(LONG).unwrap();
    task.kill().unwrap();
    let error = barrier.wait_timeout(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
    barrier.reset().unwrap();
    let task = process::spawn(arrive, barrier.clone()).unwrap();
    testkit::eventually("it waits", || barrier.waiting().unwrap() == 1);
    task.kill().unwrap();
    // It has arrived: a party that comes before its death is known passes with it.
    only_client(&manager);
    let error = barrier.wait_timeout(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
    // One that was forked and has not waited has not taken part.
    only_client(&manager);
    barrier.reset().unwrap();
    killed(|| assert_eq!(barrier.parties().unwrap(), 2));
    only_client(&manager);
    assert!(!barrier.is_broken().unwrap());
}

pub(crate) fn the_last_party_acts_before_the_others_pass() {
    let manager = manager();
    let barrier = manager.barrier(3).unwrap();
    let acted = std::sync::atomic::AtomicU32::new(0);
    let count = || {
        acted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    };
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                for round in 1..=50 {
                    barrier.wait_then_timeout(LONG, count).unwrap();
                    assert!(acted.load(std::sync::atomic::Ordering::SeqCst) >= round);
                }
            });
        }
    });
    assert_eq!(acted.into_inner(), 50);
    // An action that panics breaks it, and so does the death of the one that acts.
    let meet = |leader: &(dyn Fn() + Sync)| {
        std::thread::scope(|threads| {
            let waits = [(); 2].map(|()| threads.spawn(|| barrier.wait_timeout(LONG)));
            testkit::eventually("they wait", || barrier.waiting().unwrap() == 2);
            leader();
            for wait in waits {
                let error = wait.join().unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Broken);
            }
        });
        barrier.reset().unwrap();
    };
    meet(&|| {
        std::thread::scope(|threads| {
            let panics =
                threads.spawn(|| barrier.wait_then(|| std::panic::resume_unwind(Box::new(()))));
            drop(panics.join());
        });
    });
    fn die(barrier: Barrier) {
        let _ = barrier.wait_then(|| std::process::abort());
    }
    meet(&|| {
        drop(
            process::spawn(die, barrier.clone())
                .unwrap()
                .join()
                .unwrap_err(),
        )
    });
}

pub(crate) fn a_thread_takes_a_reentrant_mutex_again() {
    let manager = manager();
    let mutex: ReentrantMutex<RefCell<Vec<u32>>> =
        manager.reentrant_mutex(&RefCell::default()).unwrap();
    manager.register("mutex", &mutex).unwrap();
    // By whichever proxy, with one value.
    let same: ReentrantMutex<RefCell<Vec<u32>>> = manager.get("mutex").unwrap();
    let (once, twice) = (mutex.lock().unwrap(), same.try_lock().unwrap());
    once.borrow_mut().push(1);
    twice.borrow_mut().push(2);
    assert_eq!(
        (&*once.borrow(), once.token()),
        (&vec![1, 2], twice.token())
    );
    // The last guard gives it back, whichever that is.
    drop(once);
    let is_free = || {
        std::thread::scope(|threads| {
            let tries = threads.spawn(|| mutex.try_lock().is_ok());
            tries.join().unwrap()
        })
    };
    assert!(!is_free());
    // A forked child has not its parent's lock.
    match process::fork().unwrap() {
        Fork::Child => {
            assert_eq!(same.try_lock().unwrap_err().kind(), ErrorKind::WouldBlock);
            drop(twice);
            assert!(mutex.try_lock().is_err());
            exit(0);
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    assert!(!is_free());
    drop(twice);
    assert!(is_free());
    assert_eq!(*mutex.lock().unwrap().borrow(), [1, 2]);
}

pub(crate) fn a_reentrant_mutex_tells_of_deaths_and_panics() {
    let manager = manager();
    let mutex = manager.reentrant_mutex(&Cell::new(1u32)).unwrap();
    killed(|| {
        let (once, twice) = (mutex.lock().unwrap(), mutex.lock().unwrap());
        once.set(99);
        std::mem::forget((once, twice));
    });
    for _ in 0..2 {
        let Err(LockError::OwnerDied(guard)) = mutex.lock_timeout(LONG) else {
            panic!("nobody is told");
        };
        assert_eq!(guard.get(), 1);
        assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    }
    let Err(LockError::OwnerDied(guard)) = mutex.lock() else {
        panic!("it was not repaired");
    };
    guard.mark_consistent().unwrap();
    drop(mutex.lock().unwrap());
    drop(guard);
    drop(mutex.lock().unwrap());
    std::thread::scope(|threads| {
        let panics = threads.spawn(|| {
            let guard = mutex.lock().unwrap();
            let _again = mutex.lock().unwrap();
            guard.set(5);
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().unwrap_err();
    });
    assert!(matches!(mutex.lock(), Err(LockError::Poisoned(guard)) if guard.get() == 5));
    mutex.clear_poison().unwrap();
    let guard = mutex.lock().unwrap();
    manager.shutdown().unwrap();
    drop(guard);
    assert!(mutex.lock().is_err());
}
