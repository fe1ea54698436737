//! Locks and meeting points of managers: order, deaths, and waits that give up.

use crate::death::killed;
use crate::{LONG, manager};
use procession::manager::{Condvar, Manager, Mutex, RwLock, Semaphore};
use procession::process::{self, Child, Fork};
use procession::sync::{LockError, WaitOutcome};
use procession::{Deadline, ErrorKind, process::exit};
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

/// Starts a process that waits at a condition for ever; its mutex counts the threads that wait.
fn waiting_process(mutex: &Mutex<u32>, changed: &Condvar) -> Child {
    let before = *mutex.lock().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            let mut guard = mutex.lock().unwrap();
            *guard += 1;
            loop {
                guard = changed.wait(guard).unwrap();
            }
        }
        Fork::Parent(child) => {
            testkit::eventually("it waits", || *mutex.lock().unwrap() == before + 1);
            child
        }
    }
}

/// Waits once, and is counted.
fn wait_once(mutex: &Mutex<u32>, changed: &Condvar) -> WaitOutcome {
    let mut guard = mutex.lock().unwrap();
    *guard += 1;
    changed.wait_timeout(guard, LONG).unwrap().1
}

fn killed_child(manager: &Manager, child: &Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    testkit::eventually("the session has ended", || {
        manager.statistics().unwrap().clients == 1
    });
}

pub(crate) fn a_killed_process_that_waits_receives_no_notification() {
    let manager = manager();
    let (mutex, changed) = (manager.mutex(&0).unwrap(), manager.condvar().unwrap());
    let child = waiting_process(&mutex, &changed);
    killed_child(&manager, &child);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| wait_once(&mutex, &changed));
        testkit::eventually("it waits", || *mutex.lock().unwrap() == 2);
        changed.notify_one().unwrap();
        assert_eq!(waits.join().unwrap(), WaitOutcome::Notified);
    });
}

pub(crate) fn a_death_ends_the_waits_of_all() {
    let manager = manager();
    let (mutex, changed) = (manager.mutex(&0).unwrap(), manager.condvar().unwrap());
    // One that was notified, and is killed before it has the lock.
    let child = waiting_process(&mutex, &changed);
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| wait_once(&mutex, &changed));
        testkit::eventually("it waits", || *mutex.lock().unwrap() == 2);
        let guard = mutex.lock().unwrap();
        changed.notify_one().unwrap();
        killed_child(&manager, &child);
        drop(guard);
        assert_eq!(waits.join().unwrap(), WaitOutcome::SomebodyDied);
    });
    // One that owed a notification.
    *mutex.lock().unwrap() = 0;
    let (mut go, mut goes) = std::io::pipe()
        .map(|(reads, writes)| (writes, reads))
        .unwrap();
    let child = match process::fork().unwrap() {
        Fork::Child => {
            std::io::Read::read_exact(&mut goes, &mut [0]).unwrap();
            *mutex.lock().unwrap() = 10;
            changed.notify(0).unwrap();
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => child,
    };
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| wait_once(&mutex, &changed));
        testkit::eventually("it waits", || *mutex.lock().unwrap() == 1);
        std::io::Write::write_all(&mut go, b"!").unwrap();
        testkit::eventually("it has changed the value", || *mutex.lock().unwrap() == 10);
        killed_child(&manager, &child);
        assert_eq!(waits.join().unwrap(), WaitOutcome::SomebodyDied);
    });
    // A process that has dropped its proxies ends no wait.
    fn leave((mutex, changed): (Mutex<u32>, Condvar)) {
        changed.notify_all().unwrap();
        drop(mutex.lock().unwrap());
    }
    *mutex.lock().unwrap() = 0;
    std::thread::scope(|threads| {
        let mut task = process::spawn(leave, (mutex.clone(), changed.clone())).unwrap();
        task.join().unwrap();
        let waits = threads.spawn(|| wait_once(&mutex, &changed));
        testkit::eventually("it waits", || *mutex.lock().unwrap() == 1);
        testkit::eventually("the session has ended", || {
            manager.statistics().unwrap().clients == 1
        });
        changed.notify_one().unwrap();
        assert_eq!(waits.join().unwrap(), WaitOutcome::Notified);
    });
}

pub(crate) fn a_wait_that_gave_up_has_lost_no_notification() {
    const COUNT: u32 = 300;
    let manager = manager();
    let (mutex, filled) = (manager.mutex(&0u32).unwrap(), manager.condvar().unwrap());
    let emptied = manager.condvar().unwrap();
    // Each change is told to one thread only: were one lost, both would wait for ever.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..COUNT {
                let guard = mutex.lock().unwrap();
                let mut guard = emptied.wait_while(guard, |value| *value == 1).unwrap();
                *guard = 1;
                drop(guard);
                filled.notify_one().unwrap();
            }
        });
        let mut received = 0;
        let mut guard = mutex.lock().unwrap();
        while received < COUNT {
            let limit = Duration::from_micros(50 + u64::from(received % 10) * 20);
            let outcome;
            (guard, outcome) = filled.wait_timeout(guard, limit).unwrap();
            assert!(outcome.timed_out() || outcome == WaitOutcome::Notified);
            if *guard == 1 {
                *guard = 0;
                received += 1;
                emptied.notify_one().unwrap();
            }
        }
    });
    // With a time limit that has passed, the lock is given back and taken again.
    *mutex.lock().unwrap() = 7;
    let mut guard = mutex.lock().unwrap();
    *guard = 8;
    let before = guard.token();
    let (guard, outcome) = filled.wait_deadline(guard, Deadline::NOW).unwrap();
    assert!(outcome.timed_out() && *guard == 8 && guard.token() > before);
}

pub(crate) fn a_buffer_of_many_processes_loses_nothing() {
    const EACH: u32 = 50;
    type Buffer = (Mutex<Vec<u32>>, Condvar, Condvar);
    fn produce((buffer, filled, emptied): Buffer) {
        for number in 0..EACH {
            let guard = buffer.lock().unwrap();
            let full = |items: &mut Vec<u32>| items.len() >= 3;
            let mut guard = emptied.wait_while(guard, full).unwrap();
            guard.push(number);
            drop(guard);
            filled.notify_one().unwrap();
        }
    }
    fn consume((buffer, filled, emptied): Buffer) -> u32 {
        let mut sum = 0;
        for _ in 0..EACH {
            let guard = buffer.lock().unwrap();
            let mut guard = filled.wait_while(guard, |items| items.is_empty()).unwrap();
            sum += guard.remove(0);
            drop(guard);
            emptied.notify_one().unwrap();
        }
        sum
    }
    let manager = manager();
    let buffer: Buffer = (
        manager.mutex(&Vec::new()).unwrap(),
        manager.condvar().unwrap(),
        manager.condvar().unwrap(),
    );
    let mut producers = [(); 3].map(|()| process::spawn(produce, buffer.clone()).unwrap());
    let mut consumers = [(); 3].map(|()| process::spawn(consume, buffer.clone()).unwrap());
    producers.iter_mut().for_each(|task| task.join().unwrap());
    let sum: u32 = consumers.iter_mut().map(|task| task.join().unwrap()).sum();
    assert_eq!(sum, 3 * EACH * (EACH - 1) / 2);
}

pub(crate) fn a_wait_with_a_strange_guard_is_refused() {
    let (one, other) = (manager(), manager());
    let (mutex, changed) = (one.mutex(&1u32).unwrap(), other.condvar().unwrap());
    let error = changed.wait(mutex.lock().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let changed = one.condvar().unwrap();
    let guard = mutex.try_lock().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            let error = changed.wait(guard).unwrap_err();
            exit(i32::from(error.kind() != ErrorKind::InvalidInput));
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    // Its parent has it all the same.
    let outcome = changed.wait_timeout(guard, SOON).unwrap().1;
    assert!(outcome.timed_out());
    // A panic while the wait holds nothing poisons nothing; one of the condition does.
    std::thread::scope(|threads| {
        let panics = threads.spawn(|| {
            let guard = mutex.lock().unwrap();
            let _ = changed.wait_while(guard, |_| std::panic::resume_unwind(Box::new(())));
        });
        panics.join().unwrap_err();
    });
    assert!(matches!(mutex.lock(), Err(LockError::Poisoned(_))));
}
