//! Any value in any word of a lock, an event, a barrier or a value: the others get an
//! error or a wrong answer, within their own time.

use super::hostile::file_of;
use procession::Deadline;
use procession::os::mmap::MappedFile;
use procession::process::{self, Child, Fork};
use procession::shared::{Array, Counter, Counters, Value};
use procession::sync::{
    Barrier, BoundedSemaphore, Condvar, Event, LockError, Mutex, Once, ReentrantMutex, RwLock,
    Semaphore,
};
use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::random::Random;

/// An object with this name, and everything that can be done with it.
type Subject = (&'static str, Box<dyn Fn()>);

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(2))
}

/// Gives back what was had, as it was found or in order.
fn let_go<G, R>(outcome: Result<G, LockError<G, R>>) {
    drop(outcome.map_err(|error| error.kind()));
}

fn locks() -> Vec<Subject> {
    let mutex = Mutex::create("mutex", [0_u64; 2]).unwrap();
    let reentrant = ReentrantMutex::create("reentrant", Cell::new(0_u64)).unwrap();
    let rwlock = RwLock::create("rwlock", 0_u64).unwrap();
    let once = Once::create("once").unwrap();
    vec![
        (
            "mutex",
            Box::new(move || {
                match mutex.lock_deadline(soon()) {
                    Ok(mut held) => held[0] = held[0].wrapping_add(1),
                    Err(LockError::OwnerDied(left)) => drop(left.repaired()),
                    Err(LockError::Poisoned(held)) => drop(held),
                    Err(LockError::Failed(_)) => drop(mutex.reset()),
                }
                let_go(mutex.try_lock());
                let _ = (mutex.is_locked(), mutex.is_poisoned());
                mutex.clear_poison();
            }),
        ),
        (
            "reentrant",
            Box::new(move || {
                let outer = reentrant.lock_deadline(soon());
                let_go(reentrant.try_lock());
                if let Err(LockError::OwnerDied(held)) = &outer {
                    held.mark_consistent();
                }
                let_go(outer);
                reentrant.clear_poison();
            }),
        ),
        (
            "rwlock",
            Box::new(move || {
                let_go(rwlock.read_deadline(soon()));
                let_go(rwlock.try_read());
                let_go(rwlock.try_write());
                match rwlock.write_deadline(soon()) {
                    Err(LockError::OwnerDied(held)) => held.mark_consistent(),
                    outcome => let_go(outcome),
                }
                rwlock.clear_poison();
            }),
        ),
        (
            "once",
            Box::new(move || {
                let _ = once.call_once_deadline(soon(), || ());
                let _ = (once.try_call_once(|| ()), once.is_completed());
            }),
        ),
    ]
}

fn meeting_points() -> Vec<Subject> {
    let semaphore = Semaphore::create("semaphore", 3).unwrap();
    let bounded = BoundedSemaphore::create("bounded", 3).unwrap();
    let event = Event::create("event").unwrap();
    let reset = Event::create_auto_reset("reset").unwrap();
    let barrier = Barrier::create("barrier", 2).unwrap();
    let (own, condvar) = (
        Mutex::new(0_u64).unwrap(),
        Condvar::create("condvar").unwrap(),
    );
    vec![
        (
            "semaphore",
            Box::new(move || {
                drop(semaphore.acquire_deadline(soon()));
                drop(semaphore.try_acquire());
                let _ = (semaphore.add_permits(1), semaphore.available());
                if let Ok(permit) = semaphore.try_acquire() {
                    permit.forget();
                }
            }),
        ),
        (
            "bounded",
            Box::new(move || {
                drop(bounded.acquire_deadline(soon()));
                let _ = (bounded.add_permits(1), bounded.available());
            }),
        ),
        (
            "event",
            Box::new(move || {
                let _ = (event.set(), event.wait_deadline(soon()), event.clear());
                let _ = (event.wait_deadline(soon()), event.is_set());
            }),
        ),
        (
            "reset",
            Box::new(move || {
                let _ = (reset.set(), reset.wait_deadline(soon()));
                let _ = (reset.wait_deadline(soon()), reset.try_wait());
            }),
        ),
        (
            "barrier",
            Box::new(move || {
                let _ = barrier.wait_deadline(soon());
                let _ = barrier.wait_then_deadline(soon(), || ());
                let _ = (barrier.abort(), barrier.is_broken(), barrier.waiting());
                let _ = (barrier.reset(), barrier.parties());
            }),
        ),
        (
            "condvar",
            Box::new(move || {
                let held = own.lock().unwrap();
                drop(condvar.wait_deadline(held, soon()).unwrap());
                condvar.notify_one();
                condvar.notify(2);
                condvar.notify_all();
            }),
        ),
    ]
}

fn values() -> Vec<Subject> {
    let value = Value::create("value", 0_u64).unwrap();
    let array = Array::create("array", [0_u64; 3]).unwrap();
    let counter = Counter::create("counter", 0).unwrap();
    let counters = Counters::create("counters", 3).unwrap();
    vec![
        (
            "value",
            Box::new(move || match value.lock_deadline(soon()) {
                Err(LockError::OwnerDied(left)) => drop(left.repaired()),
                outcome => let_go(outcome),
            }),
        ),
        (
            "array",
            Box::new(move || match array.lock_deadline(soon()) {
                Err(LockError::OwnerDied(left)) => drop(left.repaired()),
                outcome => let_go(outcome),
            }),
        ),
        (
            "counter",
            Box::new(move || {
                let _ = (counter.add(1), counter.get());
            }),
        ),
        (
            "counters",
            Box::new(move || {
                let _ = counters.to_vec();
            }),
        ),
    ]
}

/// Two processes that use an object again and again.
struct Users {
    children: [Child; 2],
    rounds: [Counter; 2],
    over: Event,
}

impl Users {
    fn start(round: &dyn Fn()) -> Users {
        let over = Event::new().unwrap();
        let rounds = [Counter::new(0).unwrap(), Counter::new(0).unwrap()];
        let children = [0, 1].map(|number| match process::fork().unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                while !over.is_set() {
                    round();
                    rounds[number].add(1);
                }
                process::exit(0)
            }
        });
        Users {
            children,
            rounds,
            over,
        }
    }

    /// Does something until both have been round that often.
    fn go_round(&self, what: &str, times: i64, mut meanwhile: impl FnMut()) {
        let until = [0, 1].map(|number| self.rounds[number].get() + times);
        let is_done = || (0..2).all(|number| self.rounds[number].get() >= until[number]);
        testkit::eventually(what, || {
            meanwhile();
            is_done()
        });
    }

    fn end(mut self, what: &str) {
        self.over.set().unwrap();
        for child in &mut self.children {
            let status = child.wait().unwrap();
            assert!(status.success(), "{what}: {status}");
        }
    }
}

fn scribble(subjects: Vec<Subject>) {
    let mut random = Random::new();
    for (name, round) in subjects {
        let memory = MappedFile::open(file_of(name)).unwrap();
        let bytes = memory.bytes();
        let said = |at: usize| bytes.atomic_u64(at).load(Ordering::Relaxed) as usize;
        let (body_at, length) = (said(72), said(80));
        let count = length / 8;
        // Of many alike the first, the last and some by chance.
        let mut places: Vec<_> = (0..count.min(12))
            .chain(count.saturating_sub(2)..count)
            .collect();
        places.extend((0..8).map(|_| random.below(count as u64) as usize));
        let users = Users::start(&*round);
        for place in places {
            let word = bytes.atomic_u64(body_at + place * 8);
            let now = word.load(Ordering::Relaxed);
            let one = now ^ 1 << random.below(64);
            // Perhaps one that lives.
            let owner = random.below(8) << 5 | 1 << 32 | random.below(32);
            for value in [0, u64::MAX, one, owner, random.number()] {
                word.store(value, Ordering::SeqCst);
                let what = format!("{name}, word {place}: {value:#x}");
                users.go_round(&what, 2, || ());
            }
        }
        // And again and again, as fast as can be.
        for place in 0..count.min(4) {
            let word = bytes.atomic_u64(body_at + place * 8);
            let what = format!("{name}, word {place} changes all the time");
            users.go_round(&what, 3, || {
                for _ in 0..20_000 {
                    word.store(random.number(), Ordering::SeqCst);
                }
            });
        }
        users.end(name);
        drop(round);
    }
    assert!(procession::shm::list().unwrap().is_empty());
}

pub(crate) fn h4_any_word_of_a_lock_may_be_anything() {
    scribble(locks());
}

pub(crate) fn h4_any_word_of_a_meeting_point_may_be_anything() {
    scribble(meeting_points());
}

pub(crate) fn h4_any_word_of_a_value_may_be_anything() {
    scribble(values());
}
