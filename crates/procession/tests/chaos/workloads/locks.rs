//! Locks, and what they protect.

use super::{locked, received, repair, settled};
use crate::operations::{PATIENCE, Pair};
use crate::random::{CURES, DONE, Ends, Journal, PANICS, REPAIRS, Work, Worker, workers};
use procession::ErrorKind;
use procession::shared::Value;
use procession::sync::{LockError, Mutex, ReentrantMutex, RwLock, Semaphore};
use std::cell::Cell;

/// Nobody was said to have died, or to have panicked, who has not: a lock is never
/// taken from one who lives.
fn check_causes(journal: &Journal, ends: Ends) {
    let (repairs, cures) = (journal.sum(REPAIRS), journal.sum(CURES));
    assert!(
        repairs <= ends.deaths,
        "{repairs} repairs after {} deaths",
        ends.deaths
    );
    let panics = journal.sum(PANICS);
    assert!(cures <= panics, "poisoned {cures} times by {panics} panics");
}

/// Two numbers that are changed together.
pub(super) struct Locked {
    pair: Pair,
}

impl Locked {
    pub(super) fn new() -> Locked {
        let pair = Mutex::new([0, 0]).unwrap();
        Locked { pair }
    }
}

impl Work for Locked {
    fn step(&self, worker: &Worker<'_>) {
        let mut held = locked(&self.pair, worker);
        held[0] += 1;
        worker.may_panic();
        held[1] += 1;
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let pair = received(self.pair.clone());
        Box::new(Locked { pair })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        let value = settled(&self.pair);
        // What was counted was done; what was done was counted, but for one of each
        // that has ended.
        let done = journal.sum(DONE);
        assert!(value + ends.all >= done, "{done} done, {value} there");
        assert!(value <= done + ends.all, "{value} of {done}");
        check_causes(journal, ends);
    }
}

pub(super) struct Reentrant {
    pair: ReentrantMutex<[Cell<u64>; 2]>,
}

impl Reentrant {
    pub(super) fn new() -> Reentrant {
        let pair = ReentrantMutex::new([Cell::new(0), Cell::new(0)]).unwrap();
        Reentrant { pair }
    }

    /// Puts what a dead or panicked holder left in order.
    fn repair(left: &[Cell<u64>; 2]) {
        let mut pair = [left[0].get(), left[1].get()];
        repair(&mut pair);
        left[1].set(pair[1]);
    }
}

impl Work for Reentrant {
    fn step(&self, worker: &Worker<'_>) {
        match self.pair.lock_timeout(PATIENCE) {
            Ok(outer) => {
                assert_eq!(outer[0], outer[1]);
                let inner = self.pair.lock().unwrap();
                inner[0].set(inner[0].get() + 1);
                worker.may_panic();
                drop(inner);
                worker.may_panic();
                outer[1].set(outer[1].get() + 1);
            }
            Err(LockError::Poisoned(left)) => {
                Reentrant::repair(&left);
                self.pair.clear_poison();
                worker.count(CURES);
            }
            Err(LockError::OwnerDied(left)) => {
                Reentrant::repair(&left);
                left.mark_consistent();
                worker.count(REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let pair = received(self.pair.clone());
        Box::new(Reentrant { pair })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        let value = loop {
            match self.pair.lock_timeout(PATIENCE) {
                Ok(held) => break held[0].get(),
                Err(LockError::Poisoned(left)) => {
                    Reentrant::repair(&left);
                    self.pair.clear_poison();
                }
                Err(LockError::OwnerDied(left)) => {
                    Reentrant::repair(&left);
                    left.mark_consistent();
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert!(value <= journal.sum(DONE) + ends.all);
        check_causes(journal, ends);
    }
}

pub(super) struct ReadWrite {
    pair: RwLock<[u64; 2]>,
}

impl ReadWrite {
    pub(super) fn new() -> ReadWrite {
        let pair = RwLock::new([0, 0]).unwrap();
        ReadWrite { pair }
    }
}

impl Work for ReadWrite {
    fn step(&self, worker: &Worker<'_>) {
        for _ in 0..3 {
            match self.pair.read_timeout(PATIENCE) {
                Ok(held) => {
                    assert_eq!(held[0], held[1]);
                    // Nobody hears of this one: who reads changes nothing.
                    worker.may_panic();
                }
                Err(LockError::OwnerDied(_) | LockError::Poisoned(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        match self.pair.write_timeout(PATIENCE) {
            Ok(mut held) => {
                assert_eq!(held[0], held[1]);
                held[0] += 1;
                worker.may_panic();
                held[1] += 1;
            }
            Err(LockError::Poisoned(mut left)) => {
                repair(&mut left);
                worker.may_panic();
                self.pair.clear_poison();
                worker.count(CURES);
            }
            Err(LockError::OwnerDied(mut left)) => {
                repair(&mut left);
                worker.may_panic();
                left.mark_consistent();
                worker.count(REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let pair = received(self.pair.clone());
        Box::new(ReadWrite { pair })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        let value = loop {
            match self.pair.write_timeout(PATIENCE) {
                Ok(held) => break held[0],
                Err(LockError::Poisoned(mut left)) => {
                    repair(&mut left);
                    self.pair.clear_poison();
                }
                Err(LockError::OwnerDied(mut left)) => {
                    repair(&mut left);
                    left.mark_consistent();
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert!(value <= journal.sum(DONE) + ends.all);
        check_causes(journal, ends);
    }
}

/// A permit less than processes.
pub(super) struct Permits {
    permits: Semaphore,
    single: Semaphore,
    inside: Value<u64>,
}

impl Permits {
    pub(super) fn new() -> Permits {
        Permits {
            permits: Semaphore::new(workers() - 1).unwrap(),
            single: Semaphore::new(1).unwrap(),
            inside: Value::new(0).unwrap(),
        }
    }
}

impl Work for Permits {
    fn step(&self, worker: &Worker<'_>) {
        let permit = self.permits.acquire_timeout(PATIENCE).unwrap();
        worker.may_panic();
        {
            let single = self.single.acquire_timeout(PATIENCE).unwrap();
            // With one permit, only one is here: nobody changes it meanwhile.
            let me = worker.place as u64 + 1;
            self.inside.set(me).unwrap();
            assert_eq!(self.inside.get().unwrap_or(me), me, "two with one permit");
            worker.may_panic();
            drop(single);
        }
        drop(permit);
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let (permits, single, inside) = received((
            self.permits.clone(),
            self.single.clone(),
            self.inside.clone(),
        ));
        Box::new(Permits {
            permits,
            single,
            inside,
        })
    }

    fn audit(&self, _: &Journal, _: Ends) {
        for (semaphore, permits) in [(&self.permits, workers() - 1), (&self.single, 1)] {
            let held: Vec<_> = (0..permits)
                .map(|_| semaphore.acquire_timeout(PATIENCE).unwrap())
                .collect();
            let error = semaphore.try_acquire().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            drop(held);
            assert_eq!(semaphore.available().unwrap(), permits);
        }
    }
}
