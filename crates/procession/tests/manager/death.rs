//! Killed clients and managers.

use crate::{LONG, manager};
use procession::manager::{Manager, Mutex, Queue, Value};
use procession::process::{self, Fork};
use procession::queue::TryRecvError;
use procession::sync::LockError;
use procession::{ErrorKind, process::exit};
use std::time::Duration;
use testkit::fault::{Action, Fault, armed};

/// Runs in a forked child, which is killed when it has said that it is there.
pub(crate) fn killed(work: impl FnOnce()) {
    let (mut says, mut heard) = std::io::pipe()
        .map(|(reads, writes)| (writes, reads))
        .unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            work();
            std::io::Write::write_all(&mut says, b"!").unwrap();
            loop {
                std::thread::park();
            }
        }
        Fork::Parent(child) => {
            drop(says);
            std::io::Read::read_exact(&mut heard, &mut [0]).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

pub(crate) fn a_killed_holder_leaves_the_lock_to_the_next() {
    let manager = manager();
    let mutex: Mutex<u32> = manager.mutex(&1).unwrap();
    killed(|| {
        let mut guard = mutex.lock().unwrap();
        *guard = 99;
        std::mem::forget(guard);
    });
    let Err(LockError::OwnerDied(mut guard)) = mutex.lock_timeout(LONG) else {
        panic!("nobody has said that the owner died");
    };
    // What the dead one had in hand is not there.
    assert_eq!(*guard, 1);
    *guard = 2;
    drop(guard);
    let guard = mutex.lock().unwrap();
    assert_eq!((*guard, guard.token()), (2, 3));
    // Not twice by one thread.
    let Err(LockError::Failed(error)) = mutex.lock() else {
        panic!("it waits for itself");
    };
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    drop(guard);
    // One that waits has it when its holder dies.
    std::thread::scope(|threads| {
        killed(|| std::mem::forget(mutex.lock().unwrap()));
        threads.spawn(|| assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_)))));
    });
}

pub(crate) fn a_killed_receiver_leaves_its_message_to_the_next() {
    let manager = manager();
    let queue: Queue<u32> = manager.queue().unwrap();
    queue.send_many(0..5).unwrap();
    killed(|| {
        std::mem::forget(queue.recv_delivery().unwrap());
        std::mem::forget(queue.recv_delivery().unwrap());
        assert_eq!(queue.recv().unwrap(), 2);
    });
    let received: Vec<_> = (0..4)
        .map(|_| {
            let delivery = queue.recv_delivery_timeout(LONG).unwrap();
            let message = (*delivery, delivery.is_redelivered());
            delivery.ack().unwrap();
            message
        })
        .collect();
    assert_eq!(received, [(0, true), (1, true), (3, false), (4, false)]);
    queue.join_timeout(LONG).unwrap();
    // A killed one that waited takes nothing.
    killed(|| assert!(queue.recv_timeout(Duration::from_millis(1)).is_err()));
    queue.send(6).unwrap();
    assert_eq!(queue.recv_timeout(LONG).unwrap(), 6);
}

pub(crate) fn a_forked_copy_of_a_dead_client_keeps_nothing() {
    let manager = manager();
    let mutex: Mutex<u32> = manager.mutex(&1).unwrap();
    let (end, mut ends) = std::io::pipe().unwrap();
    killed(|| {
        std::mem::forget(mutex.lock().unwrap());
        // It has the socket of the one that is killed, and outlives it.
        if let Fork::Child = process::fork().unwrap() {
            drop(std::io::Read::read(&mut &end, &mut [0]));
            exit(0);
        }
    });
    assert!(matches!(
        mutex.lock_timeout(LONG),
        Err(LockError::OwnerDied(_))
    ));
    std::io::Write::write_all(&mut ends, b"!").unwrap();
}

pub(crate) fn a_client_killed_at_any_system_call_takes_nothing_along() {
    let manager = manager();
    let mutex: Mutex<u64> = manager.mutex(&0).unwrap();
    let queue: Queue<u64> = manager.queue().unwrap();
    let body = || {
        armed(|| {
            let mut guard = match mutex.lock() {
                Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
                Err(error) => panic!("{error}"),
            };
            *guard += 1;
            drop(guard);
            let message = queue.recv_delivery().unwrap();
            queue.send(*message + 1).unwrap();
            message.ack().unwrap();
        });
    };
    queue.send(0).unwrap();
    let mut latest = 0;
    for nth in 0.. {
        let fault = Fault {
            calls: &[],
            nth,
            action: Action::Kill,
        };
        let outcome = testkit::fault::run(fault, body);
        let guard = match mutex.lock_timeout(LONG) {
            Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
            Err(error) => panic!("at call {nth}: {error}"),
        };
        assert!([latest, latest + 1].contains(&*guard), "at call {nth}");
        latest = *guard;
        drop(guard);
        // The message is there, or the next one, or both, if it was not acknowledged.
        testkit::eventually("the session has ended", || {
            manager.statistics().unwrap().clients == 1
        });
        let first = queue.recv_timeout(LONG).unwrap();
        let second = queue.try_recv();
        if let Ok(second) = second {
            assert_eq!(second, first + 1, "at call {nth}");
        }
        assert_eq!(queue.try_recv(), Err(TryRecvError::Empty), "at call {nth}");
        queue.send(first).unwrap();
        if !outcome.hit {
            assert_eq!(outcome.code, 0);
            assert!(nth > 10, "{nth} calls only");
            break;
        }
    }
}

fn pid_of_manager(manager: &Manager) -> rustix::process::Pid {
    let children = testkit::watchdog::family(std::process::id());
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let found = children
        .into_iter()
        .find(|pid| name(pid).trim() == "manager");
    let _ = manager;
    rustix::process::Pid::from_raw(found.expect("its process") as i32).unwrap()
}

pub(crate) fn a_manager_that_dies_fails_all_that_wait() {
    let manager = manager();
    let queue: Queue<u32> = manager.queue().unwrap();
    let value: Value<u32> = manager.value(&1).unwrap();
    std::thread::scope(|threads| {
        let waits: Vec<_> = (0..20).map(|_| threads.spawn(|| queue.recv())).collect();
        testkit::eventually("they wait", || value.get().is_ok());
        let pid = pid_of_manager(&manager);
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        for wait in waits {
            let error = wait.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProcessDied, "{error}");
        }
    });
    assert_eq!(value.get().unwrap_err().kind(), ErrorKind::ProcessDied);
    assert!(manager.list::<u32>().is_err());
}

pub(crate) fn a_manager_that_is_shut_down_says_so() {
    let manager = manager();
    let queue: Queue<u32> = manager.queue().unwrap();
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| queue.recv());
        manager.statistics().unwrap();
        manager.shutdown().unwrap();
        let error = waits.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        assert!(error.to_string().contains("shut down"), "{error}");
    });
    assert_eq!(queue.send(1).unwrap_err().kind(), ErrorKind::Disconnected);
    // One that goes out of scope is as good.
    let value = {
        let manager = Manager::start().unwrap();
        manager.value(&1u32).unwrap()
    };
    testkit::eventually("it has ended", || value.get().is_err());
}

pub(crate) fn a_manager_that_is_stopped_gives_up_nobody() {
    let manager = manager();
    let value: Value<u32> = manager.value(&1).unwrap();
    let pid = pid_of_manager(&manager);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| value.get());
        testkit::eventually("it is stopped", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
            stat.unwrap().contains(") T ")
        });
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), 1);
    });
}

pub(crate) fn a_panicking_holder_poisons() {
    let manager = manager();
    let mutex: Mutex<u32> = manager.mutex(&1).unwrap();
    std::thread::scope(|threads| {
        let panics = threads.spawn(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 5;
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().unwrap_err();
    });
    let Err(LockError::Poisoned(guard)) = mutex.lock() else {
        panic!("nobody has said so");
    };
    assert_eq!(*guard, 5);
    drop(guard);
    match mutex.lock() {
        Err(LockError::Poisoned(guard)) => guard.clear_poison().unwrap(),
        other => panic!("{other:?}"),
    }
    drop(mutex.lock().unwrap());
}

pub(crate) fn a_large_value_goes_back_with_its_lock() {
    fn length(mutex: Mutex<Vec<u8>>) -> Option<usize> {
        mutex.lock_timeout(LONG).ok().map(|value| value.len())
    }
    let manager = manager();
    let mutex: Mutex<Vec<u8>> = manager.mutex(&Vec::new()).unwrap();
    let other: Mutex<Vec<u8>> = manager.mutex(&Vec::new()).unwrap();
    for length_of_value in [100_000, 1 << 20, 8 << 20] {
        // Nothing else is said after it by this process.
        let mut guard = mutex.lock().unwrap();
        let mut second = other.lock().unwrap();
        *guard = vec![7; length_of_value];
        second.push(1);
        drop((guard, second));
        for mutex in [&mutex, &other] {
            let mut task = process::spawn(length, mutex.clone()).unwrap();
            assert!(task.join().unwrap().is_some_and(|length| length > 0));
        }
    }
}

pub(crate) fn what_was_unlocked_counts_though_its_process_ends() {
    fn fill((mutex, length): (Mutex<Vec<u8>>, usize)) {
        *mutex.lock().unwrap() = vec![7; length];
    }
    let manager = manager();
    let mutex: Mutex<Vec<u8>> = manager.mutex(&Vec::new()).unwrap();
    for round in 0..10 {
        for length in [60_000, 150_000, 3_000_000] {
            let mut task = process::spawn(fill, (mutex.clone(), length + round)).unwrap();
            task.join().unwrap();
            let guard = mutex.lock_timeout(LONG).unwrap();
            assert_eq!(guard.len(), length + round);
        }
    }
}

pub(crate) fn a_value_that_has_become_too_long_stays_as_it_was() {
    let manager = manager();
    let mutex: Mutex<Vec<u8>> = manager.mutex(&vec![1]).unwrap();
    mutex.lock().unwrap().resize(65 << 20, 0);
    let Err(LockError::Poisoned(guard)) = mutex.lock_timeout(LONG) else {
        panic!("nobody is told");
    };
    assert_eq!(*guard, [1]);
}

/// A value whose decoding panics, once.
#[derive(Debug, serde::Serialize)]
struct Bomb(u32);

static ARMED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

impl<'de> serde::Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bomb, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if ARMED.swap(false, std::sync::atomic::Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new(()));
        }
        Ok(Bomb(number))
    }
}

pub(crate) fn a_value_whose_decoding_panics_holds_nothing() {
    let manager = manager();
    let mutex: Mutex<Bomb> = manager.mutex(&Bomb(7)).unwrap();
    let queue: Queue<Bomb> = manager.queue().unwrap();
    queue.send(Bomb(8)).unwrap();
    let panics = |code: &dyn Fn()| {
        ARMED.store(true, std::sync::atomic::Ordering::Relaxed);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(code)).unwrap_err();
    };
    panics(&|| drop(mutex.lock()));
    assert_eq!(mutex.lock_timeout(LONG).unwrap().0, 7);
    panics(&|| drop(queue.recv()));
    let delivery = queue.recv_delivery_timeout(LONG).unwrap();
    assert_eq!((delivery.0, delivery.is_redelivered()), (8, true));
    delivery.ack().unwrap();
    queue.join_timeout(LONG).unwrap();
}

pub(crate) fn a_death_does_not_hide_a_panic() {
    let manager = manager();
    let mutex: Mutex<u32> = manager.mutex(&1).unwrap();
    std::thread::scope(|threads| {
        let panics = threads.spawn(|| {
            let _guard = mutex.lock().unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().unwrap_err();
    });
    killed(|| match mutex.lock() {
        Err(LockError::Poisoned(guard)) => std::mem::forget(guard),
        other => panic!("{other:?}"),
    });
    assert!(matches!(
        mutex.lock_timeout(LONG),
        Err(LockError::OwnerDied(_))
    ));
    assert!(matches!(
        mutex.lock_timeout(LONG),
        Err(LockError::Poisoned(_))
    ));
}
