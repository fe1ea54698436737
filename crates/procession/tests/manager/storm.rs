//! Twenty processes that use the same locks, and are killed at any moment.

use crate::{LONG, manager};
use procession::manager::{Condvar, Mutex, ReentrantMutex, RwLock, Semaphore};
use procession::process;
use procession::sync::LockError;
use std::cell::Cell;
use std::time::Duration;
use testkit::random::Random;

const CLIENTS: usize = 20;
const PERMITS: usize = 3;

type Objects = (
    Mutex<(u64, u64)>,
    RwLock<(u64, u64)>,
    ReentrantMutex<(Cell<u64>, Cell<u64>)>,
    Semaphore,
    Condvar,
    Mutex<i64>,
);

/// The guard, though a holder may have died before. Nobody has panicked.
fn any<G>(outcome: Result<G, LockError<G>>) -> G {
    match outcome {
        Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
        Err(error) => panic!("{error:?}"),
    }
}

/// Adds one to both numbers of each value, one after the other, for ever.
fn work((objects, seed): (Objects, u64)) {
    let (mutex, rwlock, reentrant, semaphore, changed, inside) = objects;
    let mut random = Random::seeded(seed);
    let soon = |number: u64| Duration::from_micros(20 + number);
    loop {
        match random.below(7) {
            0 => {
                let mut guard = any(mutex.lock());
                guard.0 += 1;
                guard.1 += 1;
            }
            1 => {
                let mut guard = any(rwlock.write());
                guard.0 += 1;
                guard.1 += 1;
            }
            2 => {
                let guard = any(rwlock.read());
                assert_eq!(guard.0, guard.1);
            }
            3 => {
                let outer = any(reentrant.lock());
                outer.0.set(outer.0.get() + 1);
                let inner = any(reentrant.lock());
                inner.1.set(inner.1.get() + 1);
            }
            4 => drop(semaphore.acquire_timeout(soon(random.below(2000)))),
            5 => {
                let guard = any(mutex.lock());
                let waited = changed.wait_timeout(guard, soon(random.below(2000)));
                let (guard, _) = match waited {
                    Ok(woken) | Err(LockError::OwnerDied(woken)) => woken,
                    Err(error) => panic!("{error:?}"),
                };
                assert_eq!(guard.0, guard.1);
            }
            _ => {
                changed.notify(random.below(3) as u32).unwrap();
                let _permit = semaphore.acquire().unwrap();
                *any(inside.lock()) += 1;
            }
        }
    }
}

pub(crate) fn clients_that_are_killed_at_any_moment_leave_all_in_order() {
    let manager = manager();
    let objects: Objects = (
        manager.mutex(&(0, 0)).unwrap(),
        manager.rwlock(&(0, 0)).unwrap(),
        manager.reentrant_mutex(&Default::default()).unwrap(),
        manager.semaphore_with_capacity(PERMITS, PERMITS).unwrap(),
        manager.condvar().unwrap(),
        manager.mutex(&0).unwrap(),
    );
    let mut random = Random::new();
    let spawn =
        |random: &mut Random| process::spawn(work, (objects.clone(), random.number())).unwrap();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| spawn(&mut random)).collect();
    let (mutex, rwlock, reentrant, semaphore, _, inside) = &objects;
    for _ in 0..60 {
        // Everything goes on, whoever was killed.
        let before = *any(inside.lock_timeout(LONG));
        testkit::eventually("others go on", || *any(inside.lock()) > before);
        let guard = any(rwlock.read_timeout(LONG));
        assert_eq!(guard.0, guard.1);
        drop(guard);
        assert!(semaphore.available().unwrap() <= PERMITS);
        let place = random.below(CLIENTS as u64) as usize;
        assert!(
            !clients[place].is_finished(),
            "a client has failed by itself"
        );
        clients[place].kill().unwrap();
        clients[place] = spawn(&mut random);
    }
    for client in &clients {
        client.kill().unwrap();
    }
    testkit::eventually("all sessions have ended", || {
        manager.statistics().unwrap().clients == 1
    });
    // Nothing is held, and each value is as a holder has given it back.
    let guard = any(mutex.try_lock());
    assert!(guard.0 == guard.1 && guard.0 > 0);
    let guard = any(rwlock.try_write());
    assert!(guard.0 == guard.1 && guard.0 > 0);
    let guard = any(reentrant.try_lock());
    assert!(guard.0 == guard.1 && guard.0.get() > 0);
    assert_eq!(semaphore.available().unwrap(), PERMITS);
    let permits = [(); PERMITS].map(|()| semaphore.try_acquire().unwrap());
    drop(permits);
}
