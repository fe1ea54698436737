//! What is done while others are killed.

mod locks;
mod meetings;
mod queue;
mod values;

use crate::operations::{PATIENCE, Pair};
use crate::random::{CURES, Worker, Workload};
use procession::ErrorKind;
use procession::channel::{Flavor, Options};
use procession::sync::{LockError, MutexGuard};
use queue::{Bytes, Queue, Typed};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "mutex",
        make: || Box::new(locks::Locked::new()),
    },
    Workload {
        name: "reentrant mutex",
        make: || Box::new(locks::Reentrant::new()),
    },
    Workload {
        name: "rwlock",
        make: || Box::new(locks::ReadWrite::new()),
    },
    Workload {
        name: "semaphore",
        make: || Box::new(locks::Permits::new()),
    },
    Workload {
        name: "condvar",
        make: || Box::new(meetings::Turns::new()),
    },
    Workload {
        name: "events",
        make: || Box::new(meetings::Events::new()),
    },
    Workload {
        name: "barrier",
        make: || Box::new(meetings::Meeting::new()),
    },
    Workload {
        name: "once",
        make: || Box::new(values::OnceOnly::new()),
    },
    Workload {
        name: "value",
        make: || Box::new(values::Shared::new()),
    },
    Workload {
        name: "queue",
        make: || Box::new(Queue::<Typed>::new(false)),
    },
    Workload {
        name: "queue, at most once",
        make: || Box::new(Queue::<Typed>::new(true)),
    },
    Workload {
        name: "queue, borrowed",
        make: || Box::new(Queue::<Bytes>::new(false)),
    },
    Workload {
        name: "queue, borrowed at most once",
        make: || Box::new(Queue::<Bytes>::new(true)),
    },
];

/// Other handles of the same objects: they go through a channel and come back.
pub(crate) fn received<T: Serialize + DeserializeOwned>(objects: T) -> T {
    let (writer, reader) = Options::new().flavor(Flavor::Packets).pipe::<T>().unwrap();
    assert!(writer.send(objects).is_ok());
    reader.recv().unwrap()
}

/// Locks a pair that is in order then.
fn locked<'a>(pair: &'a Pair, worker: &Worker<'_>) -> MutexGuard<'a, [u64; 2]> {
    loop {
        if let Some(held) = in_order(pair, worker, pair.lock_timeout(PATIENCE)) {
            return held;
        }
    }
}

/// What locking a pair gave, once it is in order: a holder that panicked, or died, may
/// have left half a change, of one change. `None` if it cannot be had, because whoever
/// was to repair it panicked.
fn in_order<'a>(
    pair: &'a Pair,
    worker: &Worker<'_>,
    outcome: procession::sync::LockResult<'a, [u64; 2]>,
) -> Option<MutexGuard<'a, [u64; 2]>> {
    match outcome {
        Ok(held) => {
            assert_eq!(held[0], held[1], "half a change, and nobody said so");
            Some(held)
        }
        Err(LockError::Poisoned(mut held)) => {
            repair(&mut held);
            worker.may_panic();
            pair.clear_poison();
            worker.count(CURES);
            Some(held)
        }
        Err(LockError::OwnerDied(mut left)) => {
            repair(&mut left);
            worker.may_panic();
            let held = left.repaired();
            worker.count(crate::random::REPAIRS);
            Some(held)
        }
        Err(LockError::Failed(error)) => {
            assert_eq!(error.kind(), ErrorKind::NotRecoverable, "{error}");
            pair.reset().unwrap();
            None
        }
    }
}

/// Undoes the half of a change.
fn repair(left: &mut [u64; 2]) {
    assert!(left[0] - left[1] <= 1, "more than one change at once");
    left[1] = left[0];
}

/// The first of two numbers that are changed together, when nobody works.
fn settled(pair: &Pair) -> u64 {
    loop {
        match pair.lock_timeout(PATIENCE) {
            Ok(held) => {
                assert_eq!(held[0], held[1]);
                return held[0];
            }
            Err(LockError::Poisoned(mut held)) => {
                repair(&mut held);
                pair.clear_poison();
            }
            Err(LockError::OwnerDied(mut left)) => {
                repair(&mut left);
                drop(left.repaired());
            }
            Err(LockError::Failed(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotRecoverable, "{error}");
                pair.reset().unwrap();
            }
        }
    }
}
