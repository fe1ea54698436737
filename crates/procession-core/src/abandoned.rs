//! Every algorithm with an actor that is gone after its first atomic operation,
//! after its second, and so on; then another actor has to get on.

use crate::atomics::{AtomicU64, Ordering, low};
use crate::barrier::RawBarrier;
use crate::condvar::{Ended, RawCondvar};
use crate::event::RawEvent;
use crate::event_count::EventCount;
use crate::mutex::{Acquired, RawMutex};
use crate::permits::{PERMIT, Permits};
use crate::queue::{Blocks, Orphans, RawQueue, Received, Sent};
use crate::registry::{self, Standing};
use crate::rwlock::RawRwLock;
use crate::stepping::run_for;
use crate::{Failure, Owner, Platform, Slept};
use std::cell::Cell;

/// Two actors, one of whom may be dead; nobody can sleep.
pub(crate) struct Actor<'a> {
    pub(crate) me: Owner,
    pub(crate) dead: &'a Cell<Option<Owner>>,
}

impl Platform for Actor<'_> {
    fn me(&self) -> Owner {
        self.me
    }

    fn is_alive(&self, owner: Owner) -> bool {
        self.dead.get() != Some(owner.process())
    }

    fn lives(&self, place: usize, generation: u32) -> bool {
        self.is_alive(Owner::new(place, generation))
    }

    fn deaths(&self) -> u32 {
        u32::from(self.dead.get().is_some())
    }

    fn sleep(&self, word: &AtomicU64, expected: u32, _: u32) -> Slept {
        if low(word.load(Ordering::Relaxed)) == expected {
            // Nobody would wake us: the other one is dead or has done all.
            Slept::TimedOut
        } else {
            Slept::Again
        }
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

/// How many operations an algorithm may have; more is an endless loop.
const BOUND: usize = 1000;

/// Has the first actor abandoned after every number of its operations, and then
/// the second one look. Returns how many there are.
pub(crate) fn abandon_everywhere<S>(
    state: impl Fn() -> S,
    first: impl Fn(&S, &Actor<'_>),
    second: impl Fn(&S, &Actor<'_>, bool),
) -> usize {
    for operations in 0..BOUND {
        let state = state();
        let dead = Cell::new(None);
        let (one, other) = (Owner::new(0, 1), Owner::new(1, 1));
        let actor = |me: Owner| Actor {
            me: me.with_thread(1),
            dead: &dead,
        };
        let finished = run_for(operations, || first(&state, &actor(one)));
        dead.set(Some(one));
        second(&state, &actor(other), finished);
        if finished {
            return operations;
        }
    }
    panic!("more than {BOUND} operations");
}

fn word(value: u64) -> AtomicU64 {
    AtomicU64::new(value)
}

#[test]
fn a_mutex_is_never_busy_for_ever() {
    let operations = abandon_everywhere(
        || (word(0), word(0), word(0)),
        |(lock, one, two), actor| {
            let lock = RawMutex(lock);
            lock.lock(actor).unwrap();
            one.store(1, Ordering::Relaxed);
            two.store(1, Ordering::Relaxed);
            assert!(lock.unlock(actor));
        },
        |(lock, one, two), actor, _| {
            let lock = RawMutex(lock);
            let found = lock.lock(actor).unwrap();
            let (one, two) = (one.load(Ordering::Relaxed), two.load(Ordering::Relaxed));
            assert!(
                found.inconsistent || one == two,
                "half a change, found {found:?}"
            );
            lock.mark_consistent();
            assert!(lock.unlock(actor));
            assert_eq!(lock.lock(actor), Ok(Acquired::CLEAN));
        },
    );
    assert!(operations > 3);
}

#[test]
fn a_repairer_may_die_and_the_next_one_repairs() {
    abandon_everywhere(
        || (word(Owner::new(7, 9).word()), word(0)),
        |(lock, repaired), actor| {
            let lock = RawMutex(lock);
            // The owner in the word is nobody that the actors know.
            let found = lock.lock(&Mortal(actor)).unwrap();
            assert!(found.inconsistent);
            repaired.store(1, Ordering::Relaxed);
            lock.mark_consistent();
            lock.unlock(actor);
        },
        |(lock, repaired), actor, finished| {
            let found = RawMutex(lock).lock(&Mortal(actor)).unwrap();
            let repaired = repaired.load(Ordering::Relaxed) == 1;
            assert!(found.inconsistent || repaired, "not told of the death");
            assert!(!(found.inconsistent && finished), "told after the repair");
        },
    );
}

/// Takes the owner at place 7 for dead as well.
struct Mortal<'a>(&'a Actor<'a>);

/// A queue of two slots and three blocks, with a number in each.
#[derive(Default)]
struct Small {
    words: [AtomicU64; 3],
    slots: [AtomicU64; 2],
    blocks: [AtomicU64; 12],
}

impl Blocks for &Small {
    fn count(&self) -> usize {
        3
    }
    fn state(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 4]
    }
    fn lost(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 4 + 1]
    }
    fn to_be_lost(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 4 + 2]
    }
}

impl Small {
    fn raw(&self) -> RawQueue<'_, &Small> {
        RawQueue {
            head: &self.words[0],
            tail: &self.words[1],
            closed: &self.words[2],
            slots: &self.slots,
            blocks: self,
            capacity: 2,
        }
    }

    fn number(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 4 + 3]
    }

    fn send(&self, number: u64, actor: &impl Platform) -> bool {
        let raw = self.raw();
        let Some(block) = raw.take_block(0, actor) else {
            return false;
        };
        self.number(block).store(number, Ordering::Relaxed);
        match raw.publish(block, &mut 0, actor).unwrap() {
            Sent::At(index) => raw.follow_tail(index),
            Sent::Full | Sent::Closed => {
                raw.give_back(block);
                return false;
            }
        }
        true
    }

    /// The next number, and whether it comes once more.
    fn receive(&self, actor: &impl Platform) -> Option<(u64, bool)> {
        let raw = self.raw();
        if let Some(held) = raw.recover(Orphans::Redeliver, actor).message {
            let number = self.number(held.block).load(Ordering::Relaxed);
            raw.give_back(held.block);
            return Some((number, held.redelivered));
        }
        let from = self.words[0].load(Ordering::Relaxed);
        match raw.take(from, actor).unwrap() {
            (Received::Message(held), index) => {
                let number = self.number(held.block).load(Ordering::Relaxed);
                raw.give_back_first(held.block);
                raw.empty_slot(index, held.block);
                raw.follow_head(index);
                Some((number, false))
            }
            _ => None,
        }
    }
}

#[test]
fn counters_that_are_full_begin_again() {
    let alive = Cell::new(None);
    let actor = Actor {
        me: Owner::new(1, 1).with_thread(1),
        dead: &alive,
    };
    // Where tickets (25 bits) and laps (32 bits, two slots each) begin again.
    for limit in [1_u64 << 25, 1 << 33] {
        for start in limit - 7..limit {
            let queue = Small::default();
            for index in [start, start + 1] {
                let slot = &queue.slots[index as usize % 2];
                slot.store((index / 2).rotate_left(32), Ordering::Relaxed);
            }
            for index in &queue.words[..2] {
                index.store(start, Ordering::Relaxed);
            }
            assert_eq!(queue.receive(&actor), None);
            for number in 0..20 {
                assert!(queue.send(number, &actor));
                assert!(queue.send(number + 100, &actor));
                assert!(!queue.send(9, &actor), "more than there is room for");
                assert_eq!(queue.raw().len(), 2);
                assert_eq!(queue.receive(&actor), Some((number, false)));
                assert_eq!(queue.receive(&actor), Some((number + 100, false)));
                assert_eq!(queue.receive(&actor), None);
            }
        }
    }
}

#[test]
fn indices_that_many_left_behind_are_moved_on() {
    let alive = Cell::new(None);
    let actor = Actor {
        me: Owner::new(1, 1).with_thread(1),
        dead: &alive,
    };
    let queue = Small::default();
    // As if everybody had stopped between publishing or taking and moving the index.
    let raw = queue.raw();
    for number in 0..500 {
        let block = raw.take_block(0, &actor).unwrap();
        queue.number(block).store(number, Ordering::Relaxed);
        let sent = raw.publish(block, &mut 0, &actor).unwrap();
        assert_eq!(sent, Sent::At(number));
        let from = queue.words[0].load(Ordering::Relaxed);
        let (received, index) = raw.take(from, &actor).unwrap();
        let Received::Message(held) = received else {
            panic!("{received:?} of {number}");
        };
        assert_eq!((index, held.block), (number, block));
        raw.give_back(held.block);
    }
    assert!(queue.send(7, &actor));
    assert_eq!(queue.receive(&actor), Some((7, false)));
}

#[test]
fn a_message_of_a_dead_sender_is_there_or_not_and_others_go_on() {
    for before in 0..5 {
        let operations = abandon_everywhere(
            || {
                let queue = Small::default();
                // Another lap, another block.
                let early = Cell::new(None);
                let other = Actor {
                    me: Owner::new(1, 1).with_thread(1),
                    dead: &early,
                };
                for number in 0..before {
                    assert!(queue.send(number, &other));
                    assert_eq!(queue.receive(&other), Some((number, false)));
                }
                assert!(queue.send(7, &other));
                queue
            },
            |queue, actor| assert!(queue.send(8, actor)),
            |queue, actor, finished| {
                assert_eq!(queue.receive(actor), Some((7, false)));
                let second = queue.receive(actor);
                assert!(second == Some((8, false)) || !finished && second.is_none());
                // All room is there again.
                for number in 10..20 {
                    assert!(queue.send(number, actor));
                    assert!(queue.send(number + 100, actor));
                    assert!(!queue.send(9, actor), "more than there is room for");
                    assert_eq!(queue.receive(actor), Some((number, false)));
                    assert_eq!(queue.receive(actor), Some((number + 100, false)));
                    assert_eq!(queue.receive(actor), None);
                }
            },
        );
        assert!(operations > 8, "{operations}");
    }
}

#[test]
fn a_message_of_a_dead_receiver_comes_again_and_says_so() {
    let operations = abandon_everywhere(
        || {
            let queue = Small::default();
            let nobody = Cell::new(None);
            let other = Actor {
                me: Owner::new(1, 1).with_thread(1),
                dead: &nobody,
            };
            assert!(queue.send(7, &other) && queue.send(8, &other));
            queue
        },
        |queue, actor| assert_eq!(queue.receive(actor), Some((7, false))),
        |queue, actor, finished| {
            // What the dead have taken does not wait, wherever they have left the head.
            let waiting = queue.raw().len();
            let first = queue.receive(actor);
            let fresh = if first == Some((7, false)) { 2 } else { 1 };
            assert_eq!(waiting, fresh, "{first:?}");
            match first {
                Some((7, redelivered)) => assert!(!finished, "{redelivered}"),
                // Its receiver had done with it.
                Some((8, false)) => {}
                other => panic!("{other:?}"),
            }
            if first != Some((8, false)) {
                assert_eq!(queue.receive(actor), Some((8, false)));
            }
            assert_eq!(queue.receive(actor), None);
            assert!(queue.send(9, actor) && queue.send(10, actor));
            assert_eq!(queue.receive(actor), Some((9, false)));
        },
    );
    assert!(operations > 5);
}

#[test]
fn what_is_lost_with_its_receivers_is_counted_once() {
    // Whoever counts it may die, too.
    let operations = abandon_everywhere(
        || {
            let queue = Small::default();
            let dead = Cell::new(None);
            let actor = |place| Actor {
                me: Owner::new(place, 1).with_thread(1),
                dead: &dead,
            };
            assert!(queue.send(7, &actor(1)));
            let from = queue.words[0].load(Ordering::Relaxed);
            // Somebody at another place takes it and is never seen again.
            let taken = queue.raw().take(from, &actor(7)).unwrap();
            assert!(matches!(taken, (Received::Message(_), 0)));
            queue
        },
        |queue, actor| {
            let recovered = queue.raw().recover(Orphans::Lose, &Mortal(actor));
            assert_eq!(recovered.message, None);
        },
        |queue, actor, _| {
            let recovered = queue.raw().recover(Orphans::Lose, &Mortal(actor));
            assert_eq!(recovered.message, None);
            assert_eq!(queue.raw().lost(), 1);
            assert_eq!(queue.receive(actor), None);
            assert!(queue.send(8, actor) && queue.send(9, actor));
        },
    );
    assert!(operations > 4);
}

#[test]
fn after_closing_the_rest_is_received_and_nothing_sent() {
    let queue = Small::default();
    let nobody = Cell::new(None);
    let actor = Actor {
        me: Owner::new(1, 1).with_thread(1),
        dead: &nobody,
    };
    assert!(queue.send(1, &actor) && queue.send(2, &actor));
    queue.raw().close();
    assert!(!queue.send(3, &actor));
    assert_eq!(queue.receive(&actor), Some((1, false)));
    assert_eq!(queue.receive(&actor), Some((2, false)));
    for _ in 0..3 {
        let (outcome, _) = queue.raw().take(2, &actor).unwrap();
        assert_eq!(outcome, Received::Closed);
    }
    assert_eq!(queue.raw().lost(), 0);
    assert!(queue.raw().is_empty());
}

impl Platform for Mortal<'_> {
    fn me(&self) -> Owner {
        self.0.me()
    }
    fn is_alive(&self, owner: Owner) -> bool {
        owner.place() != 7 && self.0.is_alive(owner)
    }
    fn lives(&self, place: usize, generation: u32) -> bool {
        self.is_alive(Owner::new(place, generation))
    }
    fn deaths(&self) -> u32 {
        self.0.deaths()
    }
    fn sleep(&self, word: &AtomicU64, expected: u32, deaths: u32) -> Slept {
        self.0.sleep(word, expected, deaths)
    }
    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        self.0.wake(word, count)
    }
    fn spin(&self, ready: impl FnMut() -> bool) -> bool {
        self.0.spin(ready)
    }
}

#[test]
fn who_gives_up_leaves_a_lock_that_can_be_reset() {
    abandon_everywhere(
        || word(0),
        |lock, actor| {
            let lock = RawMutex(lock);
            lock.lock(actor).unwrap();
            lock.give_up(actor);
        },
        |lock, actor, _| {
            let lock = RawMutex(lock);
            match lock.lock(actor) {
                Ok(_) => {}
                Err(failure) => {
                    assert_eq!(failure, Failure::NotRecoverable);
                    assert!(lock.reset(actor));
                    assert!(lock.lock(actor).unwrap().inconsistent);
                }
            }
        },
    );
}

struct PermitWords {
    waiters: AtomicU64,
    used: AtomicU64,
    cells: Vec<AtomicU64>,
}

impl PermitWords {
    fn new(permits: usize, room: usize) -> PermitWords {
        PermitWords {
            waiters: word(0),
            used: word(permits as u64),
            cells: (0..room)
                .map(|place| word(if place < permits { PERMIT } else { 0 }))
                .collect(),
        }
    }

    fn permits(&self) -> Permits<'_> {
        Permits {
            waiters: EventCount(&self.waiters),
            used: &self.used,
            cells: &self.cells,
        }
    }
}

#[test]
fn permits_of_the_dead_are_all_there_again() {
    abandon_everywhere(
        || PermitWords::new(2, 2),
        |words, actor| {
            let permits = words.permits();
            let one = permits.acquire(actor).unwrap();
            let two = permits.acquire(actor).unwrap();
            assert!(permits.release(one, actor.me(), actor));
            assert!(permits.release(two, actor.me(), actor));
        },
        |words, actor, _| {
            let permits = words.permits();
            assert_eq!(permits.available(actor), 2);
            let (one, two) = (permits.acquire(actor), permits.acquire(actor));
            assert_ne!(one.unwrap(), two.unwrap());
            assert_eq!(permits.acquire(actor), Err(Failure::TimedOut));
        },
    );
}

#[test]
fn a_permit_is_added_or_not_and_used_up_or_not() {
    abandon_everywhere(
        || PermitWords::new(0, 2),
        |words, actor| {
            let permits = words.permits();
            permits.add(1, actor).unwrap();
            let place = permits.acquire(actor).unwrap();
            assert!(permits.forget(place, actor.me()));
        },
        |words, actor, finished| {
            let permits = words.permits();
            let there = permits.available(actor);
            assert!(there <= usize::from(!finished));
            for _ in 0..there {
                permits.acquire(actor).unwrap();
            }
            assert_eq!(permits.acquire(actor), Err(Failure::TimedOut));
            for _ in there..2 {
                permits.add(1, actor).unwrap();
                permits.acquire(actor).unwrap();
            }
            assert_eq!(permits.add(1, actor), Err(Failure::Full));
        },
    );
}

struct RwLockWords {
    words: [AtomicU64; 3],
    cells: [AtomicU64; 2],
}

impl RwLockWords {
    fn new() -> RwLockWords {
        RwLockWords {
            words: [word(0), word(0), word(0)],
            cells: [word(0), word(0)],
        }
    }

    fn lock(&self) -> RawRwLock<'_> {
        RawRwLock {
            writer: RawMutex(&self.words[0]),
            entry: EventCount(&self.words[1]),
            drained: EventCount(&self.words[2]),
            readers: &self.cells,
        }
    }
}

#[test]
fn a_dead_reader_leaves_nothing() {
    abandon_everywhere(
        RwLockWords::new,
        |words, actor| {
            let (place, found) = words.lock().read(actor).unwrap();
            assert_eq!(found, Acquired::CLEAN);
            assert!(words.lock().leave(place, actor.me(), actor));
        },
        |words, actor, _| {
            let lock = words.lock();
            assert_eq!(lock.write(actor), Ok(Acquired::CLEAN));
            assert!(lock.unlock(false, actor));
            assert_eq!(lock.read(actor).unwrap().1, Acquired::CLEAN);
        },
    );
}

#[test]
fn a_dead_writer_is_told_of_only_if_it_may_have_written() {
    abandon_everywhere(
        || (RwLockWords::new(), word(0), word(0)),
        |(words, one, two), actor| {
            words.lock().write(actor).unwrap();
            one.store(1, Ordering::Relaxed);
            two.store(1, Ordering::Relaxed);
            words.lock().unlock(false, actor);
        },
        |(words, one, two), actor, _| {
            let lock = words.lock();
            let halves = one.load(Ordering::Relaxed) != two.load(Ordering::Relaxed);
            let (place, found) = lock.read(actor).unwrap();
            assert!(found.inconsistent || !halves);
            lock.leave(place, actor.me(), actor);
            let found = lock.write(actor).unwrap();
            assert!(found.inconsistent || !halves);
            lock.writer.mark_consistent();
            lock.unlock(false, actor);
            assert_eq!(lock.read(actor).unwrap().1, Acquired::CLEAN);
        },
    );
}

fn set(event: RawEvent<'_>, one: bool, actor: &Actor<'_>) {
    if !one {
        event.set(actor);
    } else if !event.set_for_one() {
        event.wake_one(actor);
    }
}

#[test]
fn an_event_is_set_or_not() {
    for one in [false, true] {
        abandon_everywhere(
            || word(0),
            |event, actor| {
                set(RawEvent(event), one, actor);
                RawEvent(event).clear();
            },
            |event, actor, _| {
                let event = RawEvent(event);
                set(event, one, actor);
                assert!(event.is_set());
                let wait = if one {
                    event.take(actor)
                } else {
                    event.wait(actor)
                };
                assert_eq!(wait, Ok(()));
                assert_eq!(event.is_set(), !one);
                event.clear();
                assert_eq!(event.wait(actor), Err(Failure::TimedOut));
            },
        );
    }
}

struct BarrierWords {
    state: AtomicU64,
    members: [AtomicU64; 8],
}

impl BarrierWords {
    fn new() -> BarrierWords {
        BarrierWords {
            state: word(0),
            members: Default::default(),
        }
    }

    fn barrier(&self, parties: usize) -> RawBarrier<'_> {
        RawBarrier {
            parties,
            state: &self.state,
            members: &self.members,
        }
    }
}

#[test]
fn a_dead_party_breaks_a_barrier_and_a_reset_mends_it() {
    abandon_everywhere(
        BarrierWords::new,
        |words, actor| {
            let barrier = words.barrier(2);
            barrier.enter(actor);
            let _ = barrier.wait(actor, None::<fn()>);
        },
        |words, actor, _| {
            let barrier = words.barrier(2);
            barrier.enter(actor);
            let outcome = barrier.wait(actor, None::<fn()>);
            // It had arrived, or it is missed, or it was never there.
            assert!(matches!(
                outcome,
                Ok(_) | Err(Failure::Broken | Failure::TimedOut)
            ));
            barrier.reset(actor);
            assert!(!barrier.is_broken());
            assert_eq!(barrier.waiting(), 0);
            // With one party it is complete at once.
            assert!(words.barrier(1).wait(actor, None::<fn()>).is_ok());
        },
    );
}

#[test]
fn a_reset_that_is_abandoned_leaves_it_broken_or_done() {
    abandon_everywhere(
        || {
            let words = BarrierWords::new();
            let dead = Cell::new(None);
            let me = Owner::new(2, 1).with_thread(1);
            // One has arrived, and waits no longer than it takes to sleep.
            let waited = words
                .barrier(2)
                .wait(&Actor { me, dead: &dead }, None::<fn()>);
            assert_eq!(waited, Err(Failure::TimedOut));
            words
        },
        |words, actor| words.barrier(2).reset(actor),
        |words, actor, finished| {
            let barrier = words.barrier(2);
            assert!(!finished || !barrier.is_broken());
            barrier.reset(actor);
            assert!(!barrier.is_broken());
            assert!(words.barrier(1).wait(actor, None::<fn()>).is_ok());
        },
    );
}

/// A party that does something else while it sleeps, once.
struct Sleeper<'a> {
    meanwhile: Cell<Option<&'a dyn Fn()>>,
}

impl Platform for Sleeper<'_> {
    fn me(&self) -> Owner {
        Owner::new(0, 1).with_thread(1)
    }

    fn is_alive(&self, _: Owner) -> bool {
        true
    }

    fn lives(&self, _: usize, _: u32) -> bool {
        true
    }

    fn deaths(&self) -> u32 {
        0
    }

    fn sleep(&self, _: &AtomicU64, _: u32, _: u32) -> Slept {
        match self.meanwhile.take() {
            Some(meanwhile) => {
                meanwhile();
                Slept::Again
            }
            None => Slept::TimedOut,
        }
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

#[test]
fn who_slept_through_any_number_of_generations_hears_what_became_of_its_own() {
    // Two others pass, or one of them is left alone and somebody resets.
    let pass = |words: &BarrierWords| {
        let barrier = words.barrier(2);
        let second = || assert!(barrier.wait(&asleep(None), None::<fn()>).is_ok());
        assert!(barrier.wait(&asleep(Some(&second)), None::<fn()>).is_ok());
    };
    let is_reset = |words: &BarrierWords| {
        let barrier = words.barrier(2);
        let reset = || barrier.reset(&asleep(None));
        let outcome = barrier.wait(&asleep(Some(&reset)), None::<fn()>);
        assert_eq!(outcome, Err(Failure::Broken));
    };
    for start in [0, 5, (1 << 30) - 10, (1_u64 << 50) - 10] {
        for generations in (0..130).chain([1000]) {
            let words = BarrierWords::new();
            words.state.store(start * 4, Ordering::Relaxed);
            let others = || {
                words.barrier(2).reset(&asleep(None));
                (0..generations).for_each(|_| pass(&words));
            };
            let outcome = words.barrier(2).wait(&asleep(Some(&others)), None::<fn()>);
            assert_eq!(outcome, Err(Failure::Broken), "{start} + {generations}");
            let others = || {
                let second = words.barrier(2).wait(&asleep(None), None::<fn()>);
                assert!(second.is_ok());
                (0..generations).for_each(|_| pass(&words));
                is_reset(&words);
                (0..generations).for_each(|_| pass(&words));
            };
            let outcome = words.barrier(2).wait(&asleep(Some(&others)), None::<fn()>);
            assert!(outcome.is_ok(), "{start} + {generations}: {outcome:?}");
        }
    }
}

fn asleep(meanwhile: Option<&dyn Fn()>) -> Sleeper<'_> {
    Sleeper {
        meanwhile: Cell::new(meanwhile),
    }
}

/// An actor against whom somebody changes a word whenever it has looked at it, and
/// whose time is over from the start.
struct Opposed<'a> {
    word: &'a AtomicU64,
    change: fn(u64) -> u64,
    operations: Cell<usize>,
}

impl Opposed<'_> {
    fn against(word: &AtomicU64, change: fn(u64) -> u64) -> Opposed<'_> {
        Opposed {
            word,
            change,
            operations: Cell::new(0),
        }
    }

    fn change(&self) {
        self.operations.set(self.operations.get() + 1);
        assert!(self.operations.get() < 100 * BOUND, "an endless loop");
        let now = self.word.load(Ordering::Relaxed);
        self.word.store((self.change)(now), Ordering::Relaxed);
    }
}

impl Platform for Opposed<'_> {
    fn me(&self) -> Owner {
        self.change();
        Owner::new(0, 1).with_thread(1)
    }

    fn is_alive(&self, _: Owner) -> bool {
        self.change();
        false
    }

    fn lives(&self, _: usize, _: u32) -> bool {
        false
    }

    fn deaths(&self) -> u32 {
        self.change();
        0
    }

    fn is_over(&self) -> bool {
        true
    }

    fn sleep(&self, _: &AtomicU64, _: u32, _: u32) -> Slept {
        // The word is something else by now.
        Slept::Again
    }

    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }

    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        let outcome = ready();
        self.change();
        outcome
    }
}

#[test]
fn a_word_that_changes_all_the_time_keeps_nobody_beyond_its_time() {
    let state = word(7 << 32);
    let other_generation = |word: u64| word.wrapping_add(1 << 33);
    // Nobody holds it, each time somebody who is another one.
    let opposed = || Opposed::against(&state, other_generation);
    let lock = RawMutex(&state);
    assert_eq!(lock.lock(&opposed()), Err(Failure::TimedOut));
    assert_eq!(lock.try_lock(&opposed()), Err(Failure::TimedOut));
    state.store(Owner::new(5, 3).word(), Ordering::Relaxed);
    assert_eq!(lock.lock(&opposed()), Err(Failure::TimedOut));
    assert_eq!(lock.try_lock(&opposed()), Err(Failure::TimedOut));
    state.store(0, Ordering::Relaxed);
    let event = RawEvent(&state);
    assert_eq!(event.wait(&opposed()), Err(Failure::TimedOut));
    // Set whenever one looks, and not when one takes it.
    let mut setting = Opposed::against(&state, |word| word ^ 1);
    state.store(1, Ordering::Relaxed);
    let _ = event.take(&setting);
    setting.change = |word| word & !1;
    assert_eq!(event.take(&setting), Err(Failure::TimedOut));
    // The last party of a barrier has arrived, and never completes it.
    let words = BarrierWords::new();
    words.state.store(2 << 52, Ordering::Relaxed);
    let opposed = Opposed::against(&words.state, |word| word ^ 1 << 40);
    let outcome = words.barrier(2).wait(&opposed, None::<fn()>);
    assert_eq!(outcome, Err(Failure::TimedOut));
    let condvar = word(0);
    let opposed = Opposed::against(&condvar, |word| word ^ 2);
    let begun = RawCondvar(&condvar).begin(&opposed);
    let outcome = RawCondvar(&condvar).wait(begun, &opposed);
    assert_eq!(outcome, Err(Failure::TimedOut));
}

#[test]
fn a_notification_that_is_abandoned_is_made_up_for_by_the_death() {
    for count in [1, u32::MAX] {
        abandon_everywhere(
            || word(0),
            |state, actor| RawCondvar(state).notify(count, actor),
            |state, actor, _| {
                let condvar = RawCondvar(state);
                // Before the notification, as far as it has come.
                let begun = condvar.begin(actor);
                let outcome = condvar.wait(begun, actor);
                assert_eq!(outcome, Err(Failure::TimedOut));
                let begun = condvar.begin(actor);
                condvar.notify(count, actor);
                assert_eq!(condvar.wait(begun, actor), Ok(Ended::Notified));
            },
        );
        // The other half: it began while the one lived who was to notify.
        for operations in 0.. {
            let state = word(0);
            let dead = Cell::new(None);
            let (one, other) = (Owner::new(0, 1), Owner::new(1, 1));
            let actor = |me: Owner| Actor {
                me: me.with_thread(1),
                dead: &dead,
            };
            let begun = RawCondvar(&state).begin(&actor(other));
            let finished = run_for(operations, || RawCondvar(&state).notify(count, &actor(one)));
            dead.set(Some(one));
            let outcome = RawCondvar(&state).wait(begun, &actor(other));
            assert!(outcome.is_ok(), "after {operations}: {outcome:?}");
            if finished {
                break;
            }
        }
    }
}

#[test]
fn who_dies_in_the_action_breaks_the_barrier() {
    abandon_everywhere(
        || (BarrierWords::new(), word(0)),
        |(words, done), actor| {
            let barrier = words.barrier(1);
            barrier.enter(actor);
            let passed = barrier.wait(actor, Some(|| done.store(1, Ordering::Relaxed)));
            assert_eq!(passed.map(|passed| passed.index), Ok(0));
        },
        |(words, _), actor, _| {
            let barrier = words.barrier(1);
            barrier.enter(actor);
            if let Err(failure) = barrier.wait(actor, None::<fn()>) {
                assert_eq!(failure, Failure::Broken);
                barrier.reset(actor);
                assert!(barrier.wait(actor, None::<fn()>).is_ok());
            }
        },
    );
}

#[test]
fn an_action_that_panics_breaks_the_barrier() {
    let words = BarrierWords::new();
    let dead = Cell::new(None);
    let actor = Actor {
        me: Owner::new(0, 1).with_thread(1),
        dead: &dead,
    };
    let barrier = words.barrier(1);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        barrier.wait(&actor, Some(|| panic!("on purpose")))
    }));
    assert!(outcome.is_err());
    assert!(barrier.is_broken());
}

#[test]
fn a_place_is_free_or_its_owner_is_in_it() {
    abandon_everywhere(
        || word(0),
        |life, _| {
            let generation = registry::claim(life, 77).unwrap();
            let me = Owner::new(0, generation);
            assert_eq!(registry::standing(life, me), Standing::Alive);
            assert!(registry::free(life, life.load(Ordering::Relaxed)));
        },
        |life, _, _| {
            let seen = life.load(Ordering::Relaxed);
            if registry::Life::of(seen) != registry::Life::Free {
                // As the kernel does.
                let marked = seen & !u64::from(registry::THREAD_ID) | u64::from(registry::DIED);
                life.store(marked, Ordering::Relaxed);
                let owner = Owner::new(0, 1);
                assert_eq!(registry::standing(life, owner), Standing::Dying(marked));
                assert_eq!(registry::claim(life, 78), None);
                // By mistake, perhaps.
                assert!(registry::unmark(life, owner, 77));
                assert_eq!(registry::standing(life, owner), Standing::Alive);
                life.store(marked, Ordering::Relaxed);
                assert!(registry::declare_dead(life, marked));
                assert!(!registry::declare_dead(life, marked));
                assert!(!registry::unmark(life, owner, 77));
                assert_eq!(registry::standing(life, owner), Standing::Gone);
                let seen = life.load(Ordering::Relaxed);
                assert_eq!(seen, registry::dead(marked));
                assert!(registry::free(life, seen));
            }
            let generation = registry::claim(life, 78).unwrap();
            assert!(generation >= 1);
            let (me, before) = (Owner::new(0, generation), Owner::new(0, generation - 1));
            assert_eq!(registry::standing(life, me), Standing::Alive);
            assert_eq!(registry::standing(life, before), Standing::Gone);
            assert_eq!(registry::claim(life, 79), None);
        },
    );
}
