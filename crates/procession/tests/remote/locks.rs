//! What holds for locks, permits and events in shared memory and at a manager, by one text: a macro, as there is no trait
//! over both (docs/design.md says why).

use crate::LONG;
use crate::random::started;
use procession::process::Child;
use procession::sync::LockError;
use procession::{ErrorKind, process};
use std::time::Duration;
use testkit::Test;

const TIMES: u64 = 200;

/// How long something is tried that must not succeed.
const SHORT: Duration = Duration::from_millis(20);

fn join(child: Child) {
    assert!(child.wait().unwrap().success());
}

/// Runs in a forked child, which is killed by itself when it has done it.
fn killed(work: impl FnOnce()) {
    let child = started(|| {
        work();
        process::send_signal_to_self(process::Signal::KILL).unwrap();
    });
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(process::Signal::KILL), "{status}");
}

/// Bodies over a `Scene`, which makes objects.
macro_rules! bodies {
    () => {
        use super::*;

        pub(crate) fn a_mutex_lets_one_in_at_a_time() {
            let scene = Scene::new();
            let total = scene.mutex();
            let add_up = || (0..TIMES).for_each(|_| *total.lock_timeout(LONG).unwrap() += 1);
            let others = [(); 3].map(|()| started(add_up));
            add_up();
            others.into_iter().for_each(join);
            assert_eq!(*total.lock().unwrap(), 4 * TIMES);
        }

        pub(crate) fn a_lock_that_is_held_times_out() {
            let scene = Scene::new();
            let (mutex, held, free) = (scene.mutex(), scene.event(), scene.event());
            let other = started(|| {
                let guard = mutex.lock().unwrap();
                held.set().unwrap();
                free.wait_timeout(LONG).unwrap();
                drop(guard);
            });
            held.wait_timeout(LONG).unwrap();
            assert_eq!(
                mutex.try_lock().map(drop).map_err(|error| error.kind()),
                Err(ErrorKind::WouldBlock)
            );
            let late = mutex
                .lock_timeout(SHORT)
                .map(drop)
                .map_err(|error| error.kind());
            assert_eq!(late, Err(ErrorKind::TimedOut));
            free.set().unwrap();
            let guard = mutex.lock_timeout(LONG).unwrap();
            let again = mutex.lock().map(drop).map_err(|error| error.kind());
            assert_eq!(again, Err(ErrorKind::Deadlock));
            drop(guard);
            join(other);
        }

        pub(crate) fn the_lock_of_a_dead_holder_is_handed_over_for_repair() {
            let scene = Scene::new();
            let mutex = scene.mutex();
            killed(|| {
                let mut guard = mutex.lock().unwrap();
                *guard = 1;
                std::mem::forget(guard);
            });
            let Err(LockError::OwnerDied(left)) = mutex.lock_timeout(LONG) else {
                panic!("nobody said that the holder died");
            };
            assert_eq!(*left, LEFT_BY_THE_DEAD);
            repair(left);
            assert_eq!(*mutex.lock().unwrap(), LEFT_BY_THE_DEAD);
        }

        pub(crate) fn a_panic_poisons_and_is_no_death() {
            let scene = Scene::new();
            let mutex = scene.mutex();
            let panics = std::panic::AssertUnwindSafe(|| {
                *mutex.lock().unwrap() = 5;
                let _guard = mutex.lock().unwrap();
                std::panic::resume_unwind(Box::new(()));
            });
            std::panic::catch_unwind(panics).unwrap_err();
            for _ in 0..2 {
                let Err(LockError::Poisoned(guard)) = mutex.lock_timeout(LONG) else {
                    panic!("nobody said that there was a panic");
                };
                assert_eq!(*guard, 5);
            }
        }

        pub(crate) fn readers_share_and_writers_do_not() {
            let scene = Scene::new();
            let (lock, reads, free) = (scene.rwlock(), scene.event(), scene.event());
            let reader = started(|| {
                let guard = lock.read().unwrap();
                reads.set().unwrap();
                free.wait_timeout(LONG).unwrap();
                drop(guard);
            });
            reads.wait_timeout(LONG).unwrap();
            drop(lock.read_timeout(LONG).unwrap());
            let late = lock
                .write_timeout(SHORT)
                .map(drop)
                .map_err(|error| error.kind());
            assert_eq!(late, Err(ErrorKind::TimedOut));
            free.set().unwrap();
            *lock.write_timeout(LONG).unwrap() += 1;
            assert_eq!(*lock.read().unwrap(), 1);
            join(reader);
        }

        pub(crate) fn a_dead_reader_leaves_nothing_and_a_dead_writer_is_told_of() {
            let scene = Scene::new();
            let lock = scene.rwlock();
            killed(|| std::mem::forget(lock.read().unwrap()));
            drop(lock.write_timeout(LONG).unwrap());
            killed(|| {
                let mut guard = lock.write().unwrap();
                *guard = 1;
                std::mem::forget(guard);
            });
            let Err(LockError::OwnerDied(left)) = lock.read_timeout(LONG) else {
                panic!("nobody said that the writer died");
            };
            assert_eq!(*left, LEFT_BY_THE_DEAD);
            drop(left);
            let Err(LockError::OwnerDied(left)) = lock.write_timeout(LONG) else {
                panic!("nobody said that the writer died");
            };
            mark_consistent(left);
            assert_eq!(*lock.read().unwrap(), LEFT_BY_THE_DEAD);
        }

        pub(crate) fn a_semaphore_lets_so_many_in() {
            let scene = Scene::new();
            let (permits, inside) = (scene.semaphore(2), scene.semaphore(2));
            let take_turns = || {
                for _ in 0..TIMES {
                    let permit = permits.acquire_timeout(LONG).unwrap();
                    // There is room for each that may be there.
                    let is_inside = inside.try_acquire().unwrap();
                    drop((is_inside, permit));
                }
            };
            let others = [(); 3].map(|()| started(take_turns));
            take_turns();
            others.into_iter().for_each(join);
            // The manager may not have heard of the last one yet.
            let all = [(); 2].map(|()| permits.acquire_timeout(LONG).unwrap());
            assert_eq!(permits.available().unwrap(), 0);
            drop(all);
        }

        pub(crate) fn permits_of_the_dead_return() {
            let scene = Scene::new();
            let semaphore = scene.semaphore(3);
            killed(|| {
                std::mem::forget(semaphore.acquire().unwrap());
                std::mem::forget(semaphore.acquire().unwrap());
            });
            let all = [(); 3].map(|()| semaphore.acquire_timeout(LONG).unwrap());
            let none = semaphore.try_acquire().map(drop);
            assert_eq!(none.unwrap_err().kind(), ErrorKind::WouldBlock);
            drop(all);
        }

        pub(crate) fn permits_can_be_added_and_used_up() {
            let scene = Scene::new();
            let semaphore = scene.semaphore(0);
            let other = started(|| semaphore.add_permits(5).unwrap());
            for _ in 0..5 {
                use_up(semaphore.acquire_timeout(LONG).unwrap());
            }
            join(other);
            let none = semaphore.try_acquire().map(drop);
            assert_eq!(none.unwrap_err().kind(), ErrorKind::WouldBlock);
        }

        pub(crate) fn an_event_lets_all_through_once_it_is_set() {
            let scene = Scene::new();
            let (go, waits) = (scene.event(), scene.semaphore(0));
            let others = [(); 3].map(|()| {
                started(|| {
                    waits.add_permits(1).unwrap();
                    go.wait_timeout(LONG).unwrap();
                })
            });
            (0..3).for_each(|_| use_up(waits.acquire_timeout(LONG).unwrap()));
            let late = go.wait_timeout(SHORT).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::TimedOut);
            go.set().unwrap();
            others.into_iter().for_each(join);
            go.try_wait().unwrap();
            clear(&go);
            assert_eq!(go.try_wait().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    };
}

mod local {
    use procession::sync::{
        Event, Mutex, Permit, RecoveryGuard, RwLock, RwLockWriteGuard, Semaphore,
    };

    bodies!();

    /// What the holder had written is there.
    const LEFT_BY_THE_DEAD: u64 = 1;

    struct Scene;

    impl Scene {
        fn new() -> Scene {
            Scene
        }

        fn mutex(&self) -> Mutex<u64> {
            Mutex::new(0).unwrap()
        }

        fn rwlock(&self) -> RwLock<u64> {
            RwLock::new(0).unwrap()
        }

        fn semaphore(&self, permits: usize) -> Semaphore {
            Semaphore::new(permits).unwrap()
        }

        fn event(&self) -> Event {
            Event::new().unwrap()
        }
    }

    fn repair(guard: RecoveryGuard<'_, u64>) {
        drop(guard.repaired());
    }

    fn mark_consistent(guard: RwLockWriteGuard<'_, u64>) {
        guard.mark_consistent();
    }

    fn use_up(permit: Permit<'_>) {
        permit.forget();
    }

    fn clear(event: &Event) {
        assert!(event.clear());
    }
}

mod remote {
    use procession::manager::{
        Event, Manager, Mutex, MutexGuard, Permit, RwLock, RwLockWriteGuard, Semaphore,
    };

    bodies!();

    /// The value travels with the lock: what the holder had written went with it.
    const LEFT_BY_THE_DEAD: u64 = 0;

    struct Scene(Manager);

    impl Scene {
        fn new() -> Scene {
            Scene(Manager::start().unwrap())
        }

        fn mutex(&self) -> Mutex<u64> {
            self.0.mutex(&0).unwrap()
        }

        fn rwlock(&self) -> RwLock<u64> {
            self.0.rwlock(&0).unwrap()
        }

        fn semaphore(&self, permits: usize) -> Semaphore {
            self.0.semaphore(permits).unwrap()
        }

        fn event(&self) -> Event {
            self.0.event().unwrap()
        }
    }

    fn repair(guard: MutexGuard<'_, u64>) {
        drop(guard);
    }

    fn mark_consistent(guard: RwLockWriteGuard<'_, u64>) {
        guard.mark_consistent().unwrap();
    }

    fn use_up(permit: Permit<'_>) {
        permit.forget().unwrap();
    }

    fn clear(event: &Event) {
        event.clear().unwrap();
    }
}

/// Each body, for both.
pub(crate) fn tests() -> (Vec<&'static str>, Vec<Test>) {
    let (mut names, mut tests) = (Vec::new(), Vec::new());
    macro_rules! list {
        ($($body:ident),* $(,)?) => {$(
            names.push(stringify!($body));
            let name = concat!("locks::", stringify!($body));
            tests.push(Test::new(format!("{name}::local"), local::$body));
            tests.push(Test::new(format!("{name}::remote"), remote::$body));
        )*};
    }
    list![
        a_mutex_lets_one_in_at_a_time,
        a_lock_that_is_held_times_out,
        the_lock_of_a_dead_holder_is_handed_over_for_repair,
        a_panic_poisons_and_is_no_death,
        readers_share_and_writers_do_not,
        a_dead_reader_leaves_nothing_and_a_dead_writer_is_told_of,
        a_semaphore_lets_so_many_in,
        permits_of_the_dead_return,
        permits_can_be_added_and_used_up,
        an_event_lets_all_through_once_it_is_set,
    ];
    (names, tests)
}
