//! What happens once, and a value.

use super::received;
use crate::operations::PATIENCE;
use crate::random::{Ends, Journal, REPAIRS, Work, Worker};
use procession::shared::{Counter, Value};
use procession::sync::{LockError, Once};
use procession::{Deadline, ErrorKind};

/// How many things are to be done once.
const MANY: usize = 24;

/// Something that is done once, by whoever lives to do it.
pub(super) struct OnceOnly {
    once: Vec<Once>,
    done: Counter,
    next: Counter,
}

impl OnceOnly {
    pub(super) fn new() -> OnceOnly {
        OnceOnly {
            once: (0..MANY).map(|_| Once::new().unwrap()).collect(),
            done: Counter::new(0).unwrap(),
            next: Counter::new(0).unwrap(),
        }
    }
}

impl Work for OnceOnly {
    fn step(&self, worker: &Worker<'_>) {
        let next = self.next.add(1) as usize;
        for once in [worker.place, next].map(|index| &self.once[index % MANY]) {
            once.call_once_timeout(PATIENCE, || {
                self.done.add(1);
                worker.may_panic();
            })
            .unwrap();
            assert!(once.is_completed());
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let (once, done, next) =
            received((self.once.clone(), self.done.clone(), self.next.clone()));
        Box::new(OnceOnly { once, done, next })
    }

    fn audit(&self, _: &Journal, ends: Ends) {
        for once in &self.once {
            once.call_once_deadline(Deadline::after(PATIENCE), || {
                self.done.add(1);
            })
            .unwrap();
        }
        // Each once, and again only where its doer ended in between.
        let (done, many) = (self.done.get() as u64, MANY as u64);
        assert!((many..=many + ends.all).contains(&done), "{done} times");
    }
}

/// A value that only grows.
pub(super) struct Shared {
    value: Value<u64>,
    counter: Counter,
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared {
            value: Value::new(0).unwrap(),
            counter: Counter::new(0).unwrap(),
        }
    }
}

impl Work for Shared {
    fn step(&self, worker: &Worker<'_>) {
        let updated = self.value.update(|value| {
            *value += 1;
            worker.may_panic();
        });
        match updated {
            Ok(()) => {
                self.counter.add(1);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OwnerDead);
                if let Err(LockError::OwnerDied(left)) = self.value.lock() {
                    drop(left.repaired());
                    worker.count(REPAIRS);
                }
            }
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let (value, counter) = received((self.value.clone(), self.counter.clone()));
        Box::new(Shared { value, counter })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        if let Err(LockError::OwnerDied(left)) = self.value.lock() {
            drop(left.repaired());
        }
        let (value, counted) = (self.value.get().unwrap(), self.counter.get() as u64);
        assert!(value >= counted, "{counted} counted, {value} there");
        assert!(value <= counted + ends.all);
        assert!(journal.sum(REPAIRS) <= ends.deaths);
    }
}
