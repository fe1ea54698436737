//! Locks and meeting points of managers: order, deaths, and waits that give up.

use crate::death::killed;
use crate::{LONG, manager};
use procession::manager::{RwLock, Semaphore};
use procession::process::{self, Fork};
use procession::sync::LockError;
use procession::{ErrorKind, process::exit};
use std::time::Duration;

/// Long enough for a wait to begin.
const SOON: Duration = Duration::from_millis(2);

pub(crate) fn permits_of_a_killed_client_come_back() {
    let manager = manager();
    let semaphore = manager.semaphore(2).unwrap();
    killed(|| {
        std::mem::forget(semaphore.acquire().unwrap());
        std::mem::forget(semaphore.acquire().unwrap());
    });
    let permits = [(); 2].map(|()| semaphore.acquire_timeout(LONG).unwrap());
    assert!(permits[1].token() > permits[0].token() && permits[0].token() > 2);
    // A killed one that waited takes nothing, and one that gave up neither.
    killed(|| assert!(semaphore.acquire_timeout(SOON).unwrap_err().is_timeout()));
    let error = semaphore.try_acquire().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(permits);
    assert_eq!(semaphore.available().unwrap(), 2);
    // What a forked child drops or forgets is not its own.
    let permit = semaphore.acquire().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            permit.forget().unwrap();
            assert_eq!(semaphore.available().unwrap(), 1);
            exit(0);
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    assert_eq!(semaphore.available().unwrap(), 1);
    drop(permit);
    assert_eq!(semaphore.available().unwrap(), 2);
    // With its last proxy, a process gives its permits back.
    let same = manager.semaphore(1).unwrap();
    manager.register("same", &same).unwrap();
    std::mem::forget(same.acquire().unwrap());
    drop(same);
    let same: Semaphore = manager.get("same").unwrap();
    assert_eq!(same.available().unwrap(), 1);
}

pub(crate) fn a_wait_for_a_permit_that_gave_up_has_taken_none() {
    let manager = manager();
    let semaphore = manager.semaphore(0).unwrap();
    const COUNT: usize = 300;
    std::thread::scope(|threads| {
        threads.spawn(|| (0..COUNT).for_each(|_| semaphore.add_permits(1).unwrap()));
        let mut acquired = 0;
        while acquired < COUNT {
            match semaphore.acquire_timeout(Duration::from_micros(50)) {
                Ok(permit) => {
                    permit.forget().unwrap();
                    acquired += 1;
                }
                Err(error) => assert!(error.is_timeout(), "{error}"),
            }
        }
    });
    assert_eq!(semaphore.available().unwrap(), 0);
}

pub(crate) fn guards_outlive_their_manager_without_harm() {
    let manager = manager();
    let semaphore = manager.semaphore(2).unwrap();
    let (one, other) = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
    let lock = manager.rwlock(&1u32).unwrap();
    let read = lock.read().unwrap();
    let second = manager.rwlock(&1u32).unwrap();
    let mut write = second.write().unwrap();
    *write = 2;
    manager.shutdown().unwrap();
    drop((one, read, write));
    assert!(lock.read().is_err() && second.try_write().is_err());
    assert!(other.forget().is_err());
    assert!(semaphore.acquire().is_err());
}

pub(crate) fn readers_and_writers_that_are_killed_leave_the_lock() {
    let manager = manager();
    let lock: RwLock<u32> = manager.rwlock(&1).unwrap();
    // Readers leave nothing behind.
    killed(|| {
        std::mem::forget(lock.read().unwrap());
        std::mem::forget(lock.read().unwrap());
    });
    *lock.write_timeout(LONG).unwrap() = 2;
    // A writer that dies has changed nothing, and all are told until a writer has repaired it.
    killed(|| {
        let mut guard = lock.write().unwrap();
        *guard = 99;
        std::mem::forget(guard);
    });
    for _ in 0..2 {
        let Err(LockError::OwnerDied(guard)) = lock.read_timeout(LONG) else {
            panic!("a reader is not told");
        };
        assert_eq!(*guard, 2);
    }
    let Err(LockError::OwnerDied(mut guard)) = lock.write_timeout(LONG) else {
        panic!("a writer is not told");
    };
    guard.mark_consistent().unwrap();
    *guard = 3;
    drop(guard);
    assert_eq!(*lock.read().unwrap(), 3);
    // A killed one that waited stands in nobody's way, nor does one that gave up.
    let reader = lock.read().unwrap();
    killed(|| assert!(lock.write_timeout(SOON).is_err()));
    let waits = std::thread::scope(|threads| {
        let waits = threads.spawn(|| lock.write_timeout(SOON).unwrap_err().kind());
        waits.join().unwrap()
    });
    assert_eq!(waits, ErrorKind::TimedOut);
    std::thread::scope(|threads| {
        threads.spawn(|| assert_eq!(*lock.read_timeout(LONG).unwrap(), 3));
    });
    // A forked child has no lock, and gives none back.
    match process::fork().unwrap() {
        Fork::Child => {
            drop(reader);
            assert_eq!(lock.try_write().unwrap_err().kind(), ErrorKind::WouldBlock);
            exit(0);
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    drop(reader);
    drop(lock.try_write().unwrap());
}

pub(crate) fn a_thread_that_waits_for_itself_is_told() {
    let manager = manager();
    let lock = manager.rwlock(&1u32).unwrap();
    let mutex = manager.mutex(&1u32).unwrap();
    let deadlock = |kind| assert_eq!(kind, ErrorKind::Deadlock);
    let reader = lock.read().unwrap();
    deadlock(lock.write().unwrap_err().kind());
    deadlock(lock.try_write().unwrap_err().kind());
    // Another thread waits for it, and a further guard of the same thread does not wait for that one.
    std::thread::scope(|threads| {
        let writes = threads.spawn(|| *lock.write_timeout(LONG).unwrap() += 1);
        testkit::eventually("the writer waits", || {
            std::thread::scope(|threads| {
                let tries = threads.spawn(|| lock.try_read().is_err());
                tries.join().unwrap()
            })
        });
        drop(lock.read().unwrap());
        drop(reader);
        writes.join().unwrap();
    });
    let writer = lock.write().unwrap();
    assert_eq!(*writer, 2);
    deadlock(lock.read().unwrap_err().kind());
    deadlock(lock.write_timeout(SOON).unwrap_err().kind());
    let guard = mutex.lock().unwrap();
    deadlock(mutex.try_lock().unwrap_err().kind());
    drop((writer, guard));
}

pub(crate) fn a_writer_that_panics_poisons_and_a_reader_does_not() {
    let manager = manager();
    let lock = manager.rwlock(&1u32).unwrap();
    let panics = |code: &(dyn Fn() + Sync)| {
        std::thread::scope(|threads| {
            let panics = threads.spawn(|| {
                code();
            });
            panics.join().unwrap_err();
        });
    };
    panics(&|| {
        let _guard = lock.read().unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(!lock.is_poisoned().unwrap());
    panics(&|| {
        *lock.write().unwrap() = 5;
        let mut guard = lock.write().unwrap();
        *guard = 6;
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(lock.is_poisoned().unwrap());
    assert!(matches!(lock.read(), Err(LockError::Poisoned(guard)) if *guard == 6));
    assert!(matches!(lock.write(), Err(LockError::Poisoned(_))));
    lock.clear_poison().unwrap();
    assert_eq!(*lock.read().unwrap(), 6);
}
