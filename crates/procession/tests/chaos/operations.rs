//! Every public operation on a shared object, with what must hold after a
//! process was killed anywhere in it.

use crate::workloads;
use procession::Handle;
use procession::process::{self, Fork};
use procession::queue::{self, Receiver, RecvTimeoutError, Sender};
use procession::shared::{Array, Counter, Counters, Value};
use procession::shm::Segment;
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, LockError, Mutex, Once, ReentrantMutex, RwLock,
    Semaphore,
};
use procession::{Deadline, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a survivor may have to wait: far beyond any bound that is promised,
/// so that a busy machine fails nothing; a hang fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An operation: what is killed, and what is asked afterwards, many times, on
/// the same object.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> Bodies,
}

impl Operation {
    /// At a barrier, one who is stopped has arrived, and the others do wait.
    pub(crate) fn lets_others_wait(&self) -> bool {
        self.name.starts_with("barrier")
    }

    /// Several threads may do it at once: the others expect the object to be free.
    pub(crate) fn goes_with_others(&self) -> bool {
        const GO: [&str; 17] = [
            "mutex_lock_and_unlock",
            "reentrant_mutex_lock_twice",
            "rwlock_read",
            "rwlock_write",
            "semaphore_acquire_and_release",
            "bounded_semaphore_acquire_and_release",
            "condvar_notify_one",
            "condvar_notify_all",
            "condvar_wait_timeout",
            "value_update",
            "array_lock",
            "queue_send",
            "queue_recv",
            "queue_receive",
            "queue_recv_at_most_once",
            "queue_send_and_recv_long",
            "queue_reserve_and_borrow",
        ];
        GO.contains(&self.name)
    }
}

/// A body that any thread may run.
pub(crate) type Body = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Bodies {
    /// The operation, in which somebody is killed.
    pub(crate) operate: Body,
    /// What is asked afterwards, many times, on the same object.
    pub(crate) check: Body,
    /// Makes the operation by another handle, which came in a message.
    pub(crate) by_another_handle: Box<dyn Fn() -> Body>,
}

/// `operation` on `object`, killed; then `check` on it.
fn on<T>(object: T, operation: fn(&T), check: fn(&T)) -> Bodies
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let (copy, original) = (object.clone(), object.clone());
    Bodies {
        operate: Box::new(move || operation(&copy)),
        check: Box::new(move || check(&object)),
        by_another_handle: Box::new(move || {
            let object = workloads::received(original.clone());
            Box::new(move || operation(&object))
        }),
    }
}

pub(crate) type Pair = Mutex<[u64; 2]>;

/// Both numbers are the same, or the holder is known to have died.
pub(crate) fn check_pair(pair: &Pair) {
    match pair.lock_timeout(PATIENCE) {
        Ok(held) => assert_eq!(held[0], held[1], "half a change, and nobody said so"),
        Err(LockError::OwnerDied(mut left)) => {
            assert!(
                left[0] - left[1] <= 1,
                "more than one change at once: {:?}",
                *left
            );
            left[1] = left[0];
            drop(left.repaired());
        }
        Err(error) => panic!("{error}"),
    }
    // And it is an ordinary lock again.
    drop(pair.lock_timeout(PATIENCE).unwrap());
}

pub(crate) fn change_pair(pair: &Pair) {
    let mut held = pair.lock_timeout(PATIENCE).unwrap();
    held[0] += 1;
    held[1] += 1;
}

fn new_pair() -> Pair {
    Mutex::new([0, 0]).unwrap()
}

/// Leaves a lock that was held by somebody who died, and given up by who found
/// that.
fn lose(pair: &Pair) {
    let dies = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            std::mem::forget(pair.lock());
            process::exit(0)
        }
    };
    dies.wait().unwrap();
    let found = pair.lock_timeout(PATIENCE);
    assert!(matches!(found, Err(LockError::OwnerDied(_))), "{found:?}");
    drop(found);
}

fn lost_pair() -> Pair {
    let pair = new_pair();
    lose(&pair);
    pair
}

fn all_permits(semaphore: &Semaphore, permits: usize) {
    let held: Vec<_> = (0..permits)
        .map(|_| semaphore.acquire_timeout(PATIENCE).unwrap())
        .collect();
    let error = semaphore.try_acquire().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "a permit too many");
    drop(held);
}

fn check_rwlock(lock: &RwLock<[u64; 2]>) {
    match lock.read_timeout(PATIENCE) {
        Ok(held) => assert_eq!(held[0], held[1]),
        Err(LockError::OwnerDied(_)) => {}
        Err(error) => panic!("{error}"),
    }
    match lock.write_timeout(PATIENCE) {
        Ok(held) => assert_eq!(held[0], held[1]),
        Err(LockError::OwnerDied(mut left)) => {
            assert!(left[0] - left[1] <= 1);
            left[1] = left[0];
            left.mark_consistent();
        }
        Err(error) => panic!("{error}"),
    }
    drop(lock.read_timeout(PATIENCE).unwrap());
}

fn check_barrier(barrier: &Barrier) {
    let one = barrier.clone();
    let met = std::thread::scope(|threads| {
        let other = threads.spawn(move || one.wait_timeout(PATIENCE).map(drop));
        let met = barrier.wait_timeout(PATIENCE).map(drop);
        let other = other.join().unwrap();
        if let Err(error) = &other {
            assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
        }
        met.and(other)
    });
    if let Err(error) = met {
        assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
    }
}

fn check_event(event: &Event) {
    // Set or not set; and it can be set and waited for.
    event.set().unwrap();
    event.wait_timeout(PATIENCE).unwrap();
    event.clear();
    assert!(!event.is_set());
    event.set().unwrap();
    event.wait_timeout(PATIENCE).unwrap();
    event.clear();
}

fn check_condvar((pair, condvar): &(Pair, Condvar)) {
    check_pair(pair);
    // A sleeper is woken.
    let start = pair.lock().unwrap()[0];
    std::thread::scope(|threads| {
        let sleeper = threads.spawn(|| {
            let held = pair.lock().unwrap();
            let held = condvar.wait_while_timeout(held, PATIENCE, |pair| pair[0] == start);
            drop(held.unwrap());
        });
        change_pair(pair);
        condvar.notify_one();
        sleeper.join().unwrap();
    });
}

/// What has come in time, if anything. No other failure is one that deaths may cause.
pub(crate) fn came<T>(outcome: Result<T, RecvTimeoutError>) -> Option<T> {
    match outcome {
        Err(RecvTimeoutError::Failed(error)) => panic!("{error}"),
        outcome => outcome.ok(),
    }
}

fn check_queue((sender, receiver): &(Sender<u64>, Receiver<u64>)) {
    // Whole messages and nothing else, until none is left; then all room is there.
    let soon = || Deadline::after(Duration::from_millis(1));
    while let Some(message) = came(receiver.recv_deadline(soon())) {
        assert!([7, 8, 9].contains(&message), "{message}");
    }
    for number in [8, 9] {
        sender.send_timeout(number, PATIENCE).unwrap();
    }
    assert!(sender.try_send(7).is_err(), "more than there is room for");
    let mut found = [0, 0].map(|_| receiver.recv_timeout(PATIENCE).unwrap());
    // Somebody who died may have held one of ours, from the check before.
    found.sort_unstable();
    assert!(
        found.iter().all(|number| [7, 8, 9].contains(number)),
        "{found:?}"
    );
}

type Files = (Sender<Option<Handle<File>>>, Receiver<Option<Handle<File>>>);

fn check_files((sender, receiver): &Files) {
    let soon = || Deadline::after(Duration::from_millis(1));
    while let Some(message) = came(receiver.recv_deadline(soon())) {
        assert!(message.is_some_and(|file| file.metadata().is_ok()));
    }
    for _ in 0..2 {
        let file = File::open("/dev/null").unwrap();
        sender.send_timeout(Some(file.into()), PATIENCE).unwrap();
    }
    assert!(
        sender.try_send(None).is_err(),
        "more than there is room for"
    );
    for _ in 0..2 {
        let message = receiver.recv_timeout(PATIENCE).unwrap();
        assert!(message.is_some_and(|file| file.metadata().is_ok()));
    }
}

fn check_bytes((sender, receiver): &(Sender<[u8]>, Receiver<[u8]>)) {
    let soon = || Deadline::after(Duration::from_millis(1));
    while let Some(message) = came(receiver.recv_borrowed_deadline(soon())) {
        assert!([b"\x07", b"\x08"].contains(&&[message[0]]), "{message:?}");
    }
    for _ in 0..2 {
        let message = sender.reserve_deadline(1, Deadline::after(PATIENCE));
        let mut message = message.unwrap();
        message[0] = 8;
        message.commit_deadline(Deadline::after(PATIENCE)).unwrap();
    }
    let full = sender.send_bytes_deadline(b"\x08", Deadline::NOW);
    assert!(full.is_err(), "more than there is room for");
}

macro_rules! operations {
    ($($name:literal: $make:expr;)*) => {
        vec![$(Operation { name: $name, make: || $make }),*]
    };
}

pub(crate) fn all() -> Vec<Operation> {
    operations! {
        "mutex_lock_and_unlock": on(new_pair(), change_pair, check_pair);
        "mutex_try_lock": on(new_pair(), |pair| {
            let mut held = pair.try_lock().unwrap();
            held[0] += 1;
            held[1] += 1;
        }, check_pair);
        "mutex_lock_timeout": on(new_pair(), |pair| {
            let mut held = pair.lock_deadline(Deadline::NEVER).unwrap();
            held[0] += 1;
            held[1] += 1;
        }, check_pair);
        "mutex_lock_again_is_an_error": on(new_pair(), |pair| {
            let held = pair.lock().unwrap();
            assert_eq!(pair.lock().unwrap_err().kind(), ErrorKind::Deadlock);
            drop(held);
        }, check_pair);
        "mutex_clear_poison": on(new_pair(), |pair| pair.clear_poison(), check_pair);
        "reentrant_mutex_lock_twice": on(
            ReentrantMutex::new([Cell::new(0_u64), Cell::new(0)]).unwrap(),
            |lock| {
                let outer = lock.lock_timeout(PATIENCE).unwrap();
                outer[0].set(outer[0].get() + 1);
                let inner = lock.lock().unwrap();
                inner[1].set(inner[1].get() + 1);
            },
            |lock| {
                match lock.lock_timeout(PATIENCE) {
                    Ok(held) => assert_eq!(held[0], held[1]),
                    Err(LockError::OwnerDied(left)) => {
                        left[1].set(left[0].get());
                        left.mark_consistent();
                    }
                    Err(error) => panic!("{error}"),
                }
                drop(lock.try_lock().unwrap());
            }
        );
        "rwlock_read": on(
            RwLock::new([0_u64, 0]).unwrap(),
            |lock| {
                let held = lock.read().unwrap();
                assert_eq!(held[0], held[1]);
            },
            check_rwlock
        );
        "rwlock_try_read": on(
            RwLock::new([0_u64, 0]).unwrap(),
            |lock| drop(lock.try_read().unwrap()),
            check_rwlock
        );
        "rwlock_write": on(
            RwLock::new([0_u64, 0]).unwrap(),
            |lock| {
                let mut held = lock.write().unwrap();
                held[0] += 1;
                held[1] += 1;
            },
            check_rwlock
        );
        "rwlock_try_write": on(
            RwLock::new([0_u64, 0]).unwrap(),
            |lock| {
                let mut held = lock.try_write().unwrap();
                held[0] += 1;
                held[1] += 1;
            },
            check_rwlock
        );
        "semaphore_acquire_and_release": on(
            Semaphore::new(3).unwrap(),
            |semaphore| drop(semaphore.acquire().unwrap()),
            |semaphore| all_permits(semaphore, 3)
        );
        "semaphore_try_acquire": on(
            Semaphore::new(3).unwrap(),
            |semaphore| drop(semaphore.try_acquire().unwrap()),
            |semaphore| all_permits(semaphore, 3)
        );
        "semaphore_add_and_forget": on(
            Semaphore::with_capacity(0, 4).unwrap(),
            |semaphore| {
                semaphore.add_permits(1).unwrap();
                semaphore.acquire().unwrap().forget();
            },
            |semaphore| {
                let left = semaphore.available().unwrap();
                assert!(left <= 1, "{left} permits out of none or one");
                all_permits(semaphore, left);
                if left == 1 {
                    semaphore.acquire_timeout(PATIENCE).unwrap().forget();
                }
            }
        );
        "bounded_semaphore_acquire_and_release": on(
            BoundedSemaphore::new(1).unwrap(),
            |semaphore| drop(semaphore.acquire().unwrap()),
            |semaphore| {
                let held = semaphore.acquire_timeout(PATIENCE).unwrap();
                assert!(semaphore.try_acquire().is_err());
                assert!(semaphore.add_permits(1).is_err());
                drop(held);
            }
        );
        "event_set": on(Event::new().unwrap(), |event| event.set().unwrap(), check_event);
        "event_clear": on(Event::new().unwrap(), |event| { event.clear(); }, check_event);
        "event_set_and_wait": on(Event::new().unwrap(), |event| {
            event.set().unwrap();
            event.wait().unwrap();
        }, check_event);
        "auto_event_set_and_take": on(Event::auto_reset().unwrap(), |event| {
            event.set().unwrap();
            event.wait().unwrap();
        }, |event| {
            let _ = event.try_wait();
            check_event(event);
        });
        "condvar_notify_one": on(
            (new_pair(), Condvar::new().unwrap()),
            |(_, condvar)| condvar.notify_one(),
            check_condvar
        );
        "condvar_notify_all": on(
            (new_pair(), Condvar::new().unwrap()),
            |(_, condvar)| condvar.notify_all(),
            check_condvar
        );
        "condvar_wait_timeout": on(
            (new_pair(), Condvar::new().unwrap()),
            |(pair, condvar)| {
                let held = pair.lock_timeout(PATIENCE).unwrap();
                drop(condvar.wait_timeout(held, Duration::ZERO).unwrap());
            },
            check_condvar
        );
        "barrier_wait_of_the_only_party": on(
            Barrier::new(1).unwrap(),
            |barrier| assert_eq!(barrier.wait().unwrap().index(), 0),
            |barrier| {
                if let Err(error) = barrier.wait_timeout(PATIENCE) {
                    assert_eq!(error.kind(), ErrorKind::Broken);
                    barrier.reset().unwrap();
                }
                barrier.wait_timeout(PATIENCE).unwrap();
            }
        );
        "barrier_wait_that_times_out": on(
            Barrier::new(2).unwrap(),
            |barrier| drop(barrier.wait_timeout(Duration::ZERO)),
            check_barrier
        );
        "barrier_action": on(
            Barrier::new(1).unwrap(),
            |barrier| assert!(barrier.wait_then(|| {}).unwrap().is_leader()),
            |barrier| {
                if barrier.wait_timeout(PATIENCE).is_err() {
                    barrier.reset().unwrap();
                }
                barrier.wait_timeout(PATIENCE).unwrap();
            }
        );
        "barrier_abort_and_reset": on(
            Barrier::new(2).unwrap(),
            |barrier| {
                barrier.abort().unwrap();
                barrier.reset().unwrap();
            },
            check_barrier
        );
        "once_call": on(
            (Once::new().unwrap(), Counter::new(0).unwrap()),
            |(once, count)| once.call_once(|| { count.add(1); }).unwrap(),
            |(once, count)| {
                once.call_once_deadline(Deadline::after(PATIENCE), || { count.add(1); }).unwrap();
                assert!(once.is_completed());
                // Each of those who died may have done it and not said so.
                assert!((1..=3).contains(&count.get()), "{} times", count.get());
            }
        );
        "value_update": on(
            Value::new([0_u64, 0]).unwrap(),
            |value| value.update(|pair| { pair[0] += 1; pair[1] += 1; }).unwrap(),
            |value| match value.get() {
                Ok(pair) => assert_eq!(pair[0], pair[1]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::OwnerDead);
                    value.set([7, 7]).unwrap();
                    assert_eq!(value.get().unwrap(), [7, 7]);
                }
            }
        );
        "value_set_and_get": on(
            Value::new(0_u64).unwrap(),
            |value| value.set(value.get().unwrap() + 1).unwrap(),
            |value| if value.get().is_err() { value.set(0).unwrap() }
        );
        "array_set_and_get": on(
            Array::new([0_u64; 4]).unwrap(),
            |array| array.set(2, array.get(2).unwrap() + 1).unwrap(),
            |array| {
                if array.to_vec().is_err() {
                    let Err(LockError::OwnerDied(left)) = array.lock() else {
                        panic!("it was so a moment ago");
                    };
                    drop(left.repaired());
                }
                assert_eq!(array.to_vec().unwrap()[..2], [0, 0]);
            }
        );
        "mutex_reset_and_repair": on(
            lost_pair(),
            |pair| {
                pair.reset().unwrap();
                match pair.lock() {
                    Err(LockError::OwnerDied(mut left)) => {
                        left[1] = left[0];
                        drop(left.repaired());
                    }
                    other => drop(other.unwrap()),
                }
            },
            |pair| {
                // Lost still, or to be repaired, or in order again.
                match pair.lock_timeout(PATIENCE) {
                    Ok(held) => drop(held),
                    Err(LockError::OwnerDied(left)) => left.leave(),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NotRecoverable);
                        pair.reset().unwrap();
                    }
                }
                check_pair(pair);
                lose(pair);
            }
        );
        "reentrant_mutex_try_lock": on(
            ReentrantMutex::new(Cell::new(0_u64)).unwrap(),
            |lock| drop(lock.try_lock().unwrap()),
            |lock| {
                if let Err(LockError::OwnerDied(left)) = lock.lock_timeout(PATIENCE) {
                    left.mark_consistent();
                }
                drop(lock.try_lock().unwrap());
            }
        );
        "semaphore_acquire_that_times_out": on(
            Semaphore::with_capacity(0, 4).unwrap(),
            |semaphore| drop(semaphore.acquire_timeout(Duration::ZERO)),
            |semaphore| {
                // What an earlier check was killed with.
                while let Ok(left) = semaphore.try_acquire() {
                    left.forget();
                }
                semaphore.add_permits(1).unwrap();
                all_permits(semaphore, 1);
                semaphore.acquire_timeout(PATIENCE).unwrap().forget();
            }
        );
        "event_wait_that_times_out": on(
            Event::new().unwrap(),
            |event| drop(event.wait_timeout(Duration::ZERO)),
            check_event
        );
        "condvar_notify_several": on(
            (new_pair(), Condvar::new().unwrap()),
            |(_, condvar)| condvar.notify(3),
            check_condvar
        );
        "array_lock": on(
            Array::new([0_u64; 4]).unwrap(),
            |array| {
                let mut held = array.lock().unwrap();
                held[0] += 1;
                held[3] += 1;
            },
            |array| match array.lock() {
                Ok(held) => assert_eq!(held[0], held[3]),
                Err(LockError::OwnerDied(mut left)) => {
                    left[3] = left[0];
                    drop(left.repaired());
                }
                Err(error) => panic!("{error}"),
            }
        );
        "segment_grow": on(
            Segment::options().longest(1 << 30).anonymous(1).unwrap(),
            |segment| segment.grow(segment.len() + 100).unwrap(),
            |segment| {
                let length = segment.len();
                segment.grow(length + 50).unwrap();
                assert_eq!(segment.len(), length + 50);
                assert_eq!(segment.bytes().to_vec(length, 50), [0; 50]);
            }
        );
        "queue_send": on(
            queue::bounded(2).unwrap(),
            |(sender, _)| drop(sender.try_send(7_u64)),
            check_queue
        );
        "queue_recv": on(
            queue::bounded(2).unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(7_u64);
                let _ = receiver.try_recv();
            },
            check_queue
        );
        "queue_receive": on(
            queue::bounded(2).unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(7_u64);
                let delivery = receiver.recv_delivery_deadline(Deadline::NOW);
                let _ = delivery.map(queue::Delivery::ack);
            },
            check_queue
        );
        "queue_recv_at_most_once": on(
            queue::Options::new().at_most_once().capacity(2).anonymous().unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(7_u64);
                let delivery = receiver.recv_delivery_deadline(Deadline::NOW);
                let _ = delivery.map(queue::Delivery::ack);
            },
            check_queue
        );
        "queue_send_and_recv_long": on(
            queue::Options::new().inline_bytes(0).capacity(2).anonymous().unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(7_u64);
                let _ = receiver.try_recv();
            },
            check_queue
        );
        "queue_send_many_and_recv_many": on(
            queue::bounded(2).unwrap(),
            |(sender, receiver)| {
                let mut some = Vec::new();
                for _ in 0..2 {
                    // No more than there is room for.
                    let room = sender.capacity() - sender.len();
                    let _ = sender.send_many(std::iter::repeat_n(7_u64, room));
                    if !receiver.is_empty() {
                        let _ = receiver.recv_many(&mut some, 2);
                    }
                }
            },
            check_queue
        );
        "queue_descriptors": on(
            queue::bounded(2).unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(Some(Handle::new(File::open("/dev/null").unwrap())));
                let _ = receiver.try_recv();
            },
            check_files
        );
        "queue_join": on(
            queue::bounded(2).unwrap(),
            |(sender, receiver)| {
                let _ = sender.try_send(7_u64);
                let delivery = receiver.recv_delivery_deadline(Deadline::NOW);
                let _ = delivery.map(queue::Delivery::ack);
                let _ = sender.join_deadline(Deadline::NOW);
            },
            check_queue
        );
        "queue_reserve_and_borrow": on(
            queue::bytes(2).unwrap(),
            |(sender, receiver)| {
                if let Ok(mut message) = sender.reserve_deadline(1, Deadline::NOW) {
                    message[0] = 7;
                    let _ = message.commit_deadline(Deadline::NOW);
                }
                drop(receiver.recv_borrowed_deadline(Deadline::NOW));
            },
            check_bytes
        );
        "counter_compare_exchange": on(
            Counter::new(0).unwrap(),
            |counter| {
                let _ = counter.compare_exchange(counter.get(), counter.get() + 1);
            },
            |counter| assert!(counter.get() >= 0)
        );
        "counter_add": on(
            Counter::new(0).unwrap(),
            |counter| { counter.add(1); },
            |counter| assert!(counter.get() >= 0)
        );
        "counters_fetch_add": on(
            Counters::new(2).unwrap(),
            |counters| { counters[1].fetch_add(1, Ordering::Relaxed); },
            |counters| assert_eq!(counters.to_vec()[0], 0)
        );
    }
}
