//! One memory is one object of a process, by whatever way its handles come.

use crate::bodies::LONG;
use procession::Deadline;
use procession::pool::Pool;
use procession::process;
use procession::queue::{self, Receiver, RecvTimeoutError, Sender};
use procession::shared::{Array, Counter, Value};
use procession::shm::Segment;
use procession::sync::{Barrier, Condvar, Event, Mutex, Once, ReentrantMutex, RwLock, Semaphore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A second handle, as it comes in a message.
pub(crate) fn again<T: Clone + Serialize + DeserializeOwned>(object: &T) -> T {
    let (sender, receiver) = queue::bounded::<T>(1).unwrap();
    assert!(sender.send(object.clone()).is_ok());
    receiver.recv().unwrap()
}

/// Whether something is so for another thread.
fn elsewhere(is_so: impl FnOnce() -> bool + Send) -> bool {
    std::thread::scope(|threads| threads.spawn(is_so).join().unwrap())
}

pub(crate) fn a_handle_that_comes_back_is_of_the_same_object() {
    for name in [None, Some("comes-back")] {
        let mutex = match name {
            None => Mutex::new(1_u64),
            Some(name) => Mutex::create(name, 1),
        };
        let mutex = mutex.unwrap();
        let guard = mutex.lock().unwrap();
        drop(again(&mutex));
        drop(process::spawn(give_back, mutex.clone()).unwrap().join());
        assert!(elsewhere(|| mutex.try_lock().is_err()));
        // The handle that came knows that this thread has it.
        assert!(again(&mutex).lock().is_err());
        drop(guard);
        drop(again(&mutex).lock().unwrap());
    }
    let lock = RwLock::new(1_u64).unwrap();
    let reader = lock.read().unwrap();
    drop(again(&lock));
    assert!(elsewhere(|| lock.try_write().is_err()));
    drop(reader);
    let nested = ReentrantMutex::new(Cell::new(1_u64)).unwrap();
    let outer = nested.lock().unwrap();
    let other = again(&nested);
    drop(other.lock().unwrap());
    drop(other);
    assert!(elsewhere(|| nested.try_lock().is_err()));
    drop(outer);
    let permits = Semaphore::new(1).unwrap();
    let permit = permits.acquire().unwrap();
    drop(again(&permits));
    assert!(permits.try_acquire().is_err());
    drop(permit);
    let value = Value::new(1_u64).unwrap();
    let guard = value.lock().unwrap();
    drop(again(&value));
    assert!(elsewhere(|| value.lock_deadline(Deadline::NOW).is_err()));
    drop(guard);
    let array = Array::new([1_u64; 3]).unwrap();
    let guard = array.lock().unwrap();
    drop(again(&array));
    assert!(elsewhere(|| array.lock_deadline(Deadline::NOW).is_err()));
    drop(guard);
    let once = Once::new().unwrap();
    once.call_once(|| {
        drop(again(&once));
        assert!(elsewhere(|| {
            let soon = Deadline::after(Duration::from_millis(5));
            once.call_once_deadline(soon, || ()).is_err()
        }));
    })
    .unwrap();
    // Whoever waits at a barrier is a party, whatever other handles go.
    let barrier = Barrier::new(2).unwrap();
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| barrier.wait_timeout(LONG).map(drop));
        testkit::eventually("it waits", || barrier.waiting() == 1);
        drop(again(&barrier));
        barrier.wait_timeout(LONG).unwrap();
        waits.join().unwrap().unwrap();
    });
    let (event, count) = (Event::new().unwrap(), Counter::new(0).unwrap());
    again(&event).set().unwrap();
    again(&count).add(3);
    assert!(event.is_set());
    assert_eq!(count.get(), 3);
    drop(again(&Condvar::new().unwrap()));
    let segment = Segment::new(10).unwrap();
    again(&segment).bytes().write(0, b"same");
    assert_eq!(segment.bytes().to_vec(0, 4), b"same");
}

fn give_back(mutex: Mutex<u64>) -> Mutex<u64> {
    mutex
}

pub(crate) fn handles_that_come_to_many_threads_at_once_are_of_one_object() {
    let (sender, receiver) = queue::bounded::<Mutex<u64>>(4).unwrap();
    let inside = AtomicBool::new(false);
    for _ in 0..300 {
        let mutex = Mutex::new(0_u64).unwrap();
        for _ in 0..3 {
            sender.send(mutex.clone()).unwrap();
        }
        // What was made here, nobody here has any more, until it comes.
        drop(mutex);
        let work = || {
            let mutex = receiver.recv().unwrap();
            for _ in 0..20 {
                let mut held = mutex.lock_timeout(LONG).unwrap();
                assert!(!inside.swap(true, Ordering::SeqCst), "two with one lock");
                *held += 1;
                inside.store(false, Ordering::SeqCst);
            }
        };
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(work);
            }
        });
    }
}

pub(crate) fn the_last_handle_takes_nothing_from_one_that_comes() {
    for name in [None, Some("comes-and-goes")] {
        let (sender, receiver) = queue::bounded::<Mutex<u64>>(2).unwrap();
        let mutex = match name {
            None => Mutex::new(0_u64),
            Some(name) => Mutex::create(name, 0),
        };
        sender.send(mutex.unwrap()).unwrap();
        // Each has a handle at times, and often nobody has one but the queue.
        let turns = || {
            for _ in 0..1000 {
                let mutex = receiver.recv().unwrap();
                sender.send(mutex.clone()).unwrap();
                let held = mutex.lock_timeout(LONG);
                *held.expect("nobody died who had it") += 1;
            }
        };
        std::thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(turns);
            }
        });
        let mutex = receiver.recv().unwrap();
        assert_eq!(*mutex.lock_timeout(LONG).unwrap(), 3000);
    }
}

pub(crate) fn locks_among_the_arguments_of_a_pool_hold() {
    fn add((pair, count): (Mutex<[u64; 2]>, Counter)) -> Mutex<[u64; 2]> {
        let mut held = pair.lock_timeout(LONG).unwrap();
        assert_eq!(held[0], held[1], "somebody else is in the middle");
        held[0] += 1;
        count.add(1);
        held[1] += 1;
        drop(held);
        pair
    }
    let (pair, count) = (Mutex::new([0_u64; 2]).unwrap(), Counter::new(0).unwrap());
    let pool = Pool::new(2).unwrap();
    let arguments = (0..600).map(|_| (pair.clone(), count.clone()));
    std::thread::scope(|threads| {
        // Results come back to a process that uses the lock as well.
        let here = threads.spawn(|| {
            for _ in 0..600 {
                drop(add((pair.clone(), count.clone())));
            }
        });
        assert_eq!(pool.map(add, arguments).unwrap().len(), 600);
        here.join().unwrap();
    });
    assert_eq!(count.get(), 1200);
    assert_eq!(*pair.lock_timeout(LONG).unwrap(), [1200, 1200]);
}

type Ends = (Sender<u32>, Receiver<u32>);

pub(crate) fn a_handle_that_comes_back_counts_for_its_queue() {
    let (sender, receiver) = queue::bounded::<u32>(4).unwrap();
    let (one, other): Ends = again(&(sender.clone(), receiver.clone()));
    drop((sender, receiver));
    // Those that came are all there are.
    one.send(1).unwrap();
    assert_eq!(other.recv_timeout(LONG).unwrap(), 1);
    let copy = again(&one);
    drop(one);
    let soon = Duration::from_millis(5);
    let outcome = other.recv_timeout(soon);
    assert!(matches!(outcome, Err(RecvTimeoutError::Timeout(..))));
    drop(copy);
    let outcome = other.recv_timeout(LONG);
    assert!(matches!(outcome, Err(RecvTimeoutError::Disconnected(..))));
}
