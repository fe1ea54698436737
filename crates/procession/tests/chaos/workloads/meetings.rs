//! Who waits for others: turns, tokens, meetings.

use super::{in_order, locked, received, settled};
use crate::operations::{PATIENCE, Pair};
use crate::random::{DONE, Ends, Journal, REPAIRS, Work, Worker, workers};
use procession::ErrorKind;
use procession::sync::{Barrier, Condvar, Event, LockError, Mutex};
use std::time::{Duration, Instant};

/// A turn that goes round: who has it gives it to the next.
pub(super) struct Turns {
    turn: Pair,
    changed: Condvar,
}

/// Notifies when it is dropped, also by a panic: those who sleep hear of a death, and
/// not of a panic.
struct Notifies<'a>(&'a Condvar);

impl Drop for Notifies<'_> {
    fn drop(&mut self) {
        self.0.notify_all();
    }
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns {
            turn: Mutex::new([0, 0]).unwrap(),
            changed: Condvar::new().unwrap(),
        }
    }
}

impl Work for Turns {
    fn step(&self, worker: &Worker<'_>) {
        let deadline = Instant::now() + PATIENCE;
        let me = worker.place % workers();
        let mut held = locked(&self.turn, worker);
        loop {
            if held[0] % workers() as u64 == me as u64 {
                // Dropped after the lock is given back.
                let _notifies = Notifies(&self.changed);
                let mut held = held;
                held[0] += 1;
                worker.may_panic();
                held[1] += 1;
                return;
            }
            assert!(Instant::now() < deadline, "the turn does not come");
            let outcome = match self.changed.wait_timeout(held, PATIENCE) {
                Ok((held, _)) => Ok(held),
                Err(LockError::Poisoned((left, _))) => Err(LockError::Poisoned(left)),
                Err(LockError::OwnerDied((left, _))) => Err(LockError::OwnerDied(left)),
                Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
            };
            held = match in_order(&self.turn, worker, outcome) {
                Some(held) => held,
                None => locked(&self.turn, worker),
            };
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let (turn, changed) = received((self.turn.clone(), self.changed.clone()));
        Box::new(Turns { turn, changed })
    }

    fn audit(&self, journal: &Journal, ends: Ends) {
        let turn = settled(&self.turn);
        assert!(turn >= journal.sum(DONE) && turn <= journal.sum(DONE) + ends.all);
    }
}

/// A token that goes round as an event that resets itself.
pub(super) struct Events {
    token: Event,
    begun: Event,
}

impl Events {
    pub(super) fn new() -> Events {
        let (token, begun) = (Event::auto_reset().unwrap(), Event::new().unwrap());
        token.set().unwrap();
        Events { token, begun }
    }
}

impl Work for Events {
    fn step(&self, worker: &Worker<'_>) {
        self.begun.set().unwrap();
        self.begun.wait_timeout(PATIENCE).unwrap();
        // The token dies with whoever has it; after a while another one is made.
        match self.token.wait_timeout(Duration::from_millis(2)) {
            Ok(()) => worker.may_panic(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
        self.token.set().unwrap();
        self.begun.clear();
        self.begun.set().unwrap();
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let (token, begun) = received((self.token.clone(), self.begun.clone()));
        Box::new(Events { token, begun })
    }

    fn audit(&self, _: &Journal, _: Ends) {
        self.token.set().unwrap();
        self.token.wait_timeout(PATIENCE).unwrap();
        assert!(!self.token.is_set());
        self.token.set().unwrap();
    }
}

/// A barrier for two, whom death breaks, and the panic of who comes last; the next one
/// resets it.
pub(super) struct Meeting {
    barrier: Barrier,
}

impl Meeting {
    pub(super) fn new() -> Meeting {
        Meeting {
            barrier: Barrier::new(2).unwrap(),
        }
    }
}

impl Work for Meeting {
    fn step(&self, worker: &Worker<'_>) {
        let waited = self
            .barrier
            .wait_then_timeout(PATIENCE, || worker.may_panic());
        match waited {
            Ok(wait) => assert!(wait.index() < 2),
            Err(error) if error.kind() == ErrorKind::Broken => {
                self.barrier.reset().unwrap();
                worker.count(REPAIRS);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn through_a_message(&self) -> Box<dyn Work> {
        let barrier = received(self.barrier.clone());
        Box::new(Meeting { barrier })
    }

    fn audit(&self, _: &Journal, _: Ends) {
        self.barrier.reset().unwrap();
        assert!(!self.barrier.is_broken());
        assert_eq!(self.barrier.waiting(), 0);
    }
}
