//! Queues whose numbers come round after some messages, and parties that stand still
//! anywhere while any number of them pass: nobody is told that the queue is corrupt,
//! nothing is lost or taken twice.

use super::{Blocks, FILLED, RawQueue, Received, Sent, TICKETS, holder};
use crate::atomics::{AtomicU64, Ordering};
use crate::stepping::run_watched;
use crate::{Owner, Platform, Slept};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Messages after which a ticket comes round, and after which a lap does.
const TICKETS_COME_ROUND: usize = 4;
const LAPS: usize = 8;

/// Operations of a send or a receive that waits for nobody, at most.
const OPERATIONS: usize = 24;

struct Words {
    ends: [AtomicU64; 3],
    slots: [AtomicU64; 2],
    states: [AtomicU64; 5],
    lost: AtomicU64,
}

impl Blocks for &Words {
    const TICKET_BITS: u32 = 2;
    const LAP_BITS: u32 = 2;

    fn count(&self) -> usize {
        self.states.len()
    }
    fn state(&self, block: usize) -> &AtomicU64 {
        &self.states[block]
    }
    fn lost(&self, _: usize) -> &AtomicU64 {
        &self.lost
    }
    fn to_be_lost(&self, _: usize) -> &AtomicU64 {
        &self.lost
    }
}

/// A party that lives for ever.
struct Party(usize);

impl Platform for Party {
    fn me(&self) -> Owner {
        Owner::new(self.0, 1).with_thread(1)
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
        Slept::Again
    }
    fn wake(&self, _: &AtomicU64, _: u32) -> u32 {
        0
    }
    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        ready()
    }
}

/// A queue of two, and a journal.
struct World {
    words: Words,
    contents: [Cell<usize>; 5],
    next: Cell<usize>,
    sent: RefCell<Vec<usize>>,
    /// By whom, and the number, whose last octal digit is its sender.
    received: RefCell<Vec<(usize, usize)>>,
}

impl World {
    fn new() -> Rc<World> {
        Rc::new(World {
            words: Words {
                ends: Default::default(),
                slots: Default::default(),
                states: Default::default(),
                lost: AtomicU64::new(0),
            },
            contents: Default::default(),
            next: Cell::new(0),
            sent: RefCell::default(),
            received: RefCell::default(),
        })
    }

    fn raw(&self) -> RawQueue<'_, &Words> {
        RawQueue {
            head: &self.words.ends[0],
            tail: &self.words.ends[1],
            closed: &self.words.ends[2],
            slots: &self.words.slots,
            blocks: &self.words,
            capacity: 2,
        }
    }

    fn send(&self, party: usize) {
        let raw = self.raw();
        let number = self.next.replace(self.next.get() + 8) + party;
        let Some(block) = raw.take_block(0, &Party(party)) else {
            return;
        };
        self.contents[block].set(number);
        match raw.publish(block, &mut 0, &Party(party)).unwrap() {
            Sent::At(index) => {
                self.sent.borrow_mut().push(number);
                raw.follow_tail(index);
            }
            Sent::Full => raw.give_back(block),
            Sent::Closed => panic!("nobody closes it"),
        }
        raw.check().unwrap();
    }

    fn receive(&self, party: usize) -> bool {
        let raw = self.raw();
        let from = raw.head.load(Ordering::Acquire);
        let (received, index) = raw.take(from, &Party(party)).unwrap();
        let Received::Message(held) = received else {
            raw.check().unwrap();
            return false;
        };
        let number = self.contents[held.block].get();
        self.received.borrow_mut().push((party, number));
        raw.empty_slot(index, held.block);
        raw.give_back(held.block);
        raw.follow_head(index);
        true
    }

    /// So many messages pass.
    fn pass(&self, party: usize, messages: usize) {
        for _ in 0..messages {
            self.send(party);
            self.receive(party);
        }
    }

    /// Takes what is left, and looks at the journal. `passed` is how many messages passed
    /// while somebody stood still.
    fn check(&self, passed: usize, schedule: &str) {
        while self.receive(7) {}
        assert_eq!(self.raw().len(), 0, "{schedule}");
        let received = self.received.borrow();
        let mut numbers: Vec<usize> = received.iter().map(|it| it.1).collect();
        numbers.sort_unstable();
        let mut sent = self.sent.borrow().clone();
        sent.sort_unstable();
        let mut once = numbers.clone();
        once.dedup();
        assert_eq!(once, numbers, "taken twice: {schedule}");
        if passed < LAPS {
            assert_eq!(numbers, sent, "lost: {schedule}");
        }
        if passed < TICKETS_COME_ROUND {
            for party in 0..8 {
                for sender in 0..8 {
                    let in_order = received
                        .iter()
                        .filter(|it| it.0 == party && it.1 % 8 == sender)
                        .is_sorted();
                    assert!(in_order, "{received:?}: {schedule}");
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Send,
    Receive,
}

impl Does {
    fn run(self, world: &World, party: usize) {
        match self {
            Does::Send => world.send(party),
            Does::Receive => drop(world.receive(party)),
        }
    }
}

/// One stands still before an operation; meanwhile others do something, of whom one may
/// stand still as well.
fn explore(first: Does, second: Does, messages: &[usize], before: usize) -> usize {
    let mut schedules = 0;
    for at in 0..OPERATIONS {
        for inner_at in 0..OPERATIONS {
            for &passing in messages {
                for &inner in messages {
                    let world = World::new();
                    world.pass(2, before);
                    // So that there is something to take.
                    world.send(2);
                    let of_second = Rc::clone(&world);
                    let second_runs = move |number| {
                        if number != at {
                            return;
                        }
                        of_second.pass(3, passing);
                        let of_third = Rc::clone(&of_second);
                        let third_runs = move |number| {
                            if number == inner_at {
                                of_third.pass(4, inner);
                            }
                        };
                        run_watched(Box::new(third_runs), || second.run(&of_second, 1));
                    };
                    run_watched(Box::new(second_runs), || {
                        first.run(&world, 0);
                        first.run(&world, 0);
                    });
                    let schedule = format!(
                        "{first:?} stands still at {at} for {passing}, {second:?} at {inner_at} for {inner}, after {before}"
                    );
                    world.check(passing + inner + 2, &schedule);
                    schedules += 1;
                }
            }
        }
    }
    schedules
}

#[test]
fn who_stands_still_while_numbers_come_round_is_told_no_lie_and_tells_none() {
    let mut schedules = 0;
    for first in [Does::Send, Does::Receive] {
        for second in [Does::Send, Does::Receive] {
            for before in [0, 3] {
                schedules += explore(first, second, &[0, 1, 4, 8, 9], before);
            }
        }
    }
    assert!(schedules > 100_000, "{schedules}");
}

/// One that stands still twice within one operation.
#[test]
fn who_stands_still_twice_is_told_no_lie_either() {
    for does in [Does::Send, Does::Receive] {
        for before in [0, 3] {
            for (one, other) in
                (0..OPERATIONS).flat_map(|it| (it + 1..OPERATIONS).map(move |to| (it, to)))
            {
                for passing in 0..=LAPS {
                    for again in 0..=LAPS {
                        let world = World::new();
                        world.pass(2, before);
                        world.send(2);
                        let others = Rc::clone(&world);
                        let run = move |number| match number {
                            _ if number == one => others.pass(3, passing),
                            _ if number == other => others.pass(3, again),
                            _ => {}
                        };
                        let schedule = format!(
                            "{does:?} at {one} for {passing}, at {other} for {again}, after {before}"
                        );

                        run_watched(Box::new(run), || does.run(&world, 0));
                        world.check(passing + again + 1, &schedule);
                    }
                }
            }
        }
    }
}

/// A receiver that looked at a block when it had the same ticket, and goes on when
/// its sender has filled it for an index that somebody else comes to have.
#[test]
fn what_is_received_by_an_old_ticket_is_sent_once() {
    let taken: Rc<Cell<usize>> = Rc::default();
    for at in 0..OPERATIONS {
        for others_send in 0..3 {
            let world = World::new();
            let (others, claimed) = (Rc::clone(&world), Rc::clone(&taken));
            let run = move |number| {
                if number != at {
                    return;
                }
                let raw = others.raw();
                let block = (0..5).find(|&block| {
                    let word = others.words.states[block].load(Ordering::Relaxed);
                    let seen = holder(Party(0).me()) | word & TICKETS | FILLED;
                    seen == word && raw.claim(block, seen, &Party(5))
                });
                (0..others_send).for_each(|_| others.send(3));
                if let Some(block) = block {
                    let number = others.contents[block].get();
                    others.received.borrow_mut().push((5, number));
                    raw.give_back(block);
                    claimed.set(claimed.get() + 1);
                }
            };
            run_watched(Box::new(run), || world.send(0));
            world.check(0, &format!("at {at}, others send {others_send}"));
        }
    }
    assert!(taken.get() > 5, "{taken:?}");
}

/// One that looked at the ends, and stood still for longer than any walk.
#[test]
fn how_far_others_have_come_is_no_fault() {
    for followed in [true, false] {
        let world = World::new();
        world.pass(1, 300_003);
        let raw = world.raw();
        if !followed {
            // Another one is about to move the head.
            world.send(1);
            let head = raw.head.load(Ordering::Acquire);
            let (taken, index) = raw.take(head, &Party(2)).unwrap();
            let Received::Message(held) = taken else {
                panic!("{taken:?}");
            };
            raw.empty_slot(index, held.block);
            raw.give_back(held.block);
        }
        world.send(1);
        assert!(raw.is_ready(0));
        let (taken, index) = raw.take(0, &Party(2)).unwrap();
        assert!(matches!(taken, Received::Message(_)), "{taken:?}");
        assert_eq!(index, 300_003 + u64::from(!followed));
    }
}
