//! Guards that outlive what they were made for: leaked, kept, copied by a fork.

use crate::bodies::LONG;
use procession::process::{self, Fork};
use procession::queue::{self, Receiver, Sender};
use procession::shared::{Array, Value};
use procession::sync::{LockError, Mutex, ReentrantMutex, RwLock, Semaphore};
use procession::{Deadline, Error, ErrorKind};
use std::cell::{Cell, RefCell};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(20);

#[track_caller]
fn refuses<G, R>(outcome: Result<G, LockError<G, R>>, kind: ErrorKind) {
    match outcome {
        Err(LockError::Failed(error)) => assert_eq!(error.kind(), kind, "{error}"),
        _ => panic!("the lock was had"),
    }
}

pub(crate) fn a_leaked_guard_keeps_its_lock_while_the_process_lives() {
    let mutex = Mutex::new(1_u64).unwrap();
    let written = RwLock::new(1_u64).unwrap();
    let read = RwLock::new(1_u64).unwrap();
    let nested = ReentrantMutex::new(Cell::new(1_u64)).unwrap();
    let value = Value::new(1_u64).unwrap();
    let array = Array::new([1_u64, 1]).unwrap();
    let kept: &mut u64 = std::thread::scope(|threads| {
        let leak = || {
            std::mem::forget(written.write().unwrap());
            std::mem::forget(read.read().unwrap());
            std::mem::forget(nested.lock().unwrap());
            std::mem::forget(value.lock().unwrap());
            std::mem::forget(array.lock().unwrap());
            &mut **Box::leak(Box::new(mutex.lock().unwrap()))
        };
        threads.spawn(leak).join().unwrap()
    });
    // Others would pass for the holder with its number.
    for _ in 0..300 {
        let attempt = || {
            refuses(mutex.try_lock(), ErrorKind::WouldBlock);
            refuses(written.try_write(), ErrorKind::WouldBlock);
            refuses(written.try_read(), ErrorKind::WouldBlock);
            refuses(read.try_write(), ErrorKind::WouldBlock);
            refuses(nested.try_lock(), ErrorKind::WouldBlock);
            refuses(value.lock_deadline(Deadline::NOW), ErrorKind::WouldBlock);
            refuses(array.lock_deadline(Deadline::NOW), ErrorKind::WouldBlock);
        };
        std::thread::scope(|threads| threads.spawn(attempt).join().unwrap());
    }
    drop(read.try_read().unwrap());
    refuses(mutex.lock_timeout(SHORT), ErrorKind::TimedOut);
    // Who waits for it without a limit hears that it is in vain.
    refuses(mutex.lock(), ErrorKind::Deadlock);
    refuses(written.read(), ErrorKind::Deadlock);
    refuses(written.write(), ErrorKind::Deadlock);
    refuses(read.write(), ErrorKind::Deadlock);
    refuses(nested.lock(), ErrorKind::Deadlock);
    *kept += 1;
    assert_eq!(*kept, 2);
}

fn leak_in_a_thread((mutex, lock): (Mutex<u64>, RwLock<u64>)) -> (bool, bool) {
    let leak = || {
        std::mem::forget(mutex.lock().unwrap());
        std::mem::forget(lock.read().unwrap());
    };
    std::thread::scope(|threads| threads.spawn(leak).join().unwrap());
    let held = (mutex.is_locked(), lock.try_write().is_err());
    std::mem::forget((mutex, lock));
    held
}

pub(crate) fn what_a_dead_process_leaked_is_free() {
    let (mutex, lock) = (Mutex::new(1_u64).unwrap(), RwLock::new(1_u64).unwrap());
    let given = (mutex.clone(), lock.clone());
    let mut task = process::spawn(leak_in_a_thread, given).unwrap();
    assert_eq!(task.join().unwrap(), (true, true));
    let Err(LockError::OwnerDied(left)) = mutex.lock_timeout(LONG) else {
        panic!("nobody said that the holder's process ended");
    };
    drop(left.repaired());
    drop(lock.write_timeout(LONG).unwrap());
}

pub(crate) fn the_last_handle_gives_back_what_was_leaked() {
    let mutex = Mutex::new(1_u64).unwrap();
    let (keep, kept) = queue::bounded(1).unwrap();
    let lend = mutex.clone();
    std::thread::spawn(move || std::mem::forget(lend.lock().unwrap()))
        .join()
        .unwrap();
    refuses(mutex.try_lock(), ErrorKind::WouldBlock);
    // On its way, nobody here has it any more.
    keep.send(mutex).unwrap();
    let mutex: Mutex<u64> = kept.recv().unwrap();
    let Err(LockError::OwnerDied(left)) = mutex.try_lock() else {
        panic!("nobody said that the holder's handles have gone");
    };
    drop(left.repaired());
}

struct Late<'a> {
    _guard: procession::sync::MutexGuard<'a, u64>,
}

thread_local! {
    static KEPT: RefCell<Option<Late<'static>>> = const { RefCell::new(None) };
}

/// Runs a test that leaks in a process that goes with it.
fn in_a_child(test: impl FnOnce()) {
    match process::fork().unwrap() {
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
            process::exit(i32::from(outcome.is_err()))
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
}

pub(crate) fn a_guard_in_a_thread_local_is_dropped_with_it() {
    in_a_child(keep_guards);
}

fn keep_guards() {
    let mutex: &'static Mutex<u64> = Box::leak(Box::new(Mutex::new(0).unwrap()));
    for round in 0..100 {
        let keep = move || {
            if round % 2 == 0 {
                // The first thing of the library that the thread does.
                drop(mutex.lock_timeout(LONG).unwrap());
            }
            KEPT.with_borrow_mut(|kept| {
                let mut guard = mutex.lock_timeout(LONG).unwrap();
                *guard += 1;
                *kept = Some(Late { _guard: guard });
            });
        };
        std::thread::spawn(keep).join().unwrap();
    }
    assert_eq!(*mutex.lock_timeout(LONG).unwrap(), 100);
    // Nothing is left that would keep a fork from happening.
    forks();
}

fn forks() {
    match process::fork().unwrap() {
        Fork::Child => process::exit(0),
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
}

#[track_caller]
fn fork_is_refused() -> Error {
    match process::fork() {
        Ok(Fork::Child) => process::exit(1),
        Ok(Fork::Parent(_)) => panic!("the child has what is ours"),
        Err(error) => error,
    }
}

#[track_caller]
fn refuses_while<G>(held: G) {
    let error = fork_is_refused();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    drop(held);
    forks();
}

pub(crate) fn a_fork_is_refused_while_anything_is_lent() {
    let mutex = Mutex::create("lent", 1_u64).unwrap();
    refuses_while(mutex.lock().unwrap());
    let guard = mutex.lock().unwrap();
    let text = fork_is_refused().to_string();
    assert!(text.contains("lent") && text.contains("mutex"), "{text}");
    drop(guard);
    let lock = RwLock::new(1_u64).unwrap();
    refuses_while(lock.read().unwrap());
    refuses_while(lock.write().unwrap());
    let nested = ReentrantMutex::new(1_u64).unwrap();
    refuses_while((nested.lock().unwrap(), nested.lock().unwrap()));
    refuses_while(Value::new(1_u64).unwrap().clone().lock().unwrap());
    let array = Array::new([1_u64, 1]).unwrap();
    refuses_while(array.lock().unwrap());
    let (sender, receiver) = queue::bytes(4).unwrap();
    let mut reservation = sender.reserve(5).unwrap();
    let bytes: &mut [u8] = &mut reservation;
    bytes.copy_from_slice(b"hello");
    assert_eq!(fork_is_refused().kind(), ErrorKind::Busy);
    reservation.commit().unwrap();
    forks();
    refuses_while(receiver.recv_borrowed().unwrap());
    // Copies of these refer to nothing that is shared.
    let (sender, receiver) = queue::bounded(4).unwrap();
    sender.send(7).unwrap();
    let job = receiver.recv_delivery().unwrap();
    let permits = Semaphore::new(1).unwrap();
    let permit = permits.acquire().unwrap();
    forks();
    assert!(permits.try_acquire().is_err());
    assert_eq!(*job, 7);
    drop((job, permit));
    drop(permits.try_acquire().unwrap());
}

pub(crate) fn a_fork_is_refused_for_what_ended_threads_leaked() {
    let (sender, receiver) = queue::bytes(4).unwrap();
    let mutex = Mutex::new(1_u64).unwrap();
    let leak = || std::mem::forget(mutex.lock().unwrap());
    std::thread::scope(|threads| threads.spawn(leak).join().unwrap());
    assert_eq!(fork_is_refused().kind(), ErrorKind::Busy);
    // Nobody can have a reference into what no handle keeps.
    drop(mutex);
    forks();
    // What one thread borrows, another one may give back.
    sender.send_bytes(b"one").unwrap();
    let borrow = || receiver.recv_borrowed().unwrap();
    let borrowed = std::thread::scope(|threads| threads.spawn(borrow).join().unwrap());
    assert_eq!(fork_is_refused().kind(), ErrorKind::Busy);
    std::thread::scope(|threads| threads.spawn(|| drop(borrowed)).join().unwrap());
    in_a_child(|| leak_a_message(&sender, &receiver));
}

fn leak_a_message(sender: &Sender<[u8]>, receiver: &Receiver<[u8]>) {
    sender.send_bytes(b"two").unwrap();
    let borrow = || Box::leak(Box::new(receiver.recv_borrowed().unwrap()));
    let bytes: &[u8] = std::thread::scope(|threads| threads.spawn(borrow).join().unwrap());
    assert_eq!(fork_is_refused().kind(), ErrorKind::Busy);
    assert_eq!(bytes, b"two");
}
