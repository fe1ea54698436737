//! Senders and receivers that meet, one of them gone after each of its operations.

use super::rendezvous::{Handed, Met, Offer};
use super::{Blocks, Orphans, RawQueue};
use crate::abandoned::{Actor, abandon_everywhere};
use crate::atomics::{AtomicU64, Ordering};
use crate::{Owner, Platform};
use std::cell::Cell;

/// A queue of two slots, and five blocks with a number in each.
#[derive(Default)]
struct Words {
    ends: [AtomicU64; 3],
    slots: [AtomicU64; 2],
    states: [AtomicU64; 5],
    lost: [AtomicU64; 5],
    numbers: [AtomicU64; 5],
}

impl Blocks for &Words {
    fn is_rendezvous(&self) -> bool {
        true
    }
    fn count(&self) -> usize {
        self.states.len()
    }
    fn state(&self, block: usize) -> &AtomicU64 {
        &self.states[block]
    }
    fn lost(&self, block: usize) -> &AtomicU64 {
        &self.lost[block]
    }
    fn to_be_lost(&self, block: usize) -> &AtomicU64 {
        &self.lost[block]
    }
}

impl Words {
    fn raw(&self) -> RawQueue<'_, &Words> {
        RawQueue {
            head: &self.ends[0],
            tail: &self.ends[1],
            closed: &self.ends[2],
            slots: &self.slots,
            blocks: self,
            capacity: 2,
        }
    }

    /// Hands a number over, or offers it.
    fn send(&self, number: u64, stays: bool, actor: &impl Platform) -> (usize, Handed) {
        let raw = self.raw();
        let block = raw.take_block(0, actor).expect("there are enough");
        self.numbers[block].store(number, Ordering::Relaxed);
        (block, raw.hand_over(block, stays, actor).unwrap())
    }

    fn offer(&self, number: u64, actor: &impl Platform) -> Offer {
        match self.send(number, true, actor) {
            (_, Handed::Offered(offer)) => offer,
            other => panic!("{other:?}"),
        }
    }

    /// Hands a number over at once, if that is possible; returns `true` if it was.
    fn try_send(&self, number: u64, actor: &impl Platform) -> bool {
        let (block, handed) = self.send(number, false, actor);
        if handed != Handed::Over {
            self.raw().give_back(block);
        }
        handed == Handed::Over
    }

    fn finish(&self, block: usize, index: u64, actor: &impl Platform) -> u64 {
        let raw = self.raw();
        let number = self.numbers[block].load(Ordering::Relaxed);
        raw.empty_slot(index, block);
        raw.give_back(block);
        raw.settle(actor);
        number
    }

    /// What the dead had, or what is offered.
    fn try_receive(&self, actor: &impl Platform) -> Option<u64> {
        let raw = self.raw();
        if let Some(held) = raw.recover(Orphans::Redeliver, actor).message {
            let number = self.numbers[held.block].load(Ordering::Relaxed);
            raw.give_back(held.block);
            return Some(number);
        }
        match raw.meet(None, actor).unwrap() {
            Met::Message(held, index) => Some(self.finish(held.block, index, actor)),
            Met::NoSender => None,
            other => panic!("{other:?}"),
        }
    }

    /// Requests a message, and withdraws that at once.
    fn request(&self, actor: &impl Platform) -> Option<u64> {
        let raw = self.raw();
        let block = raw.take_block(0, actor).expect("there are enough");
        let received = match raw.meet(Some(block), actor).unwrap() {
            Met::Requested(request) => {
                assert!(raw.withdraw_request(&request), "nobody answers");
                None
            }
            Met::Message(held, index) => Some(self.finish(held.block, index, actor)),
            other => panic!("{other:?}"),
        };
        raw.give_back(block);
        raw.settle(actor);
        received
    }

    /// Nobody waits, and all goes on as if nothing had been.
    fn goes_on(&self, actor: &impl Platform) {
        let raw = self.raw();
        raw.recover(Orphans::Redeliver, actor);
        for number in 100..104 {
            assert!(!self.try_send(number, actor), "nobody waits");
            assert_eq!(self.try_receive(actor), None);
            let offers = [number, number + 10].map(|number| self.offer(number, actor));
            assert!(raw.has_offer(actor) && !raw.has_request(actor));
            assert_eq!(self.try_receive(actor), Some(number));
            assert!(raw.is_taken(&offers[0]) && !raw.is_taken(&offers[1]));
            assert!(raw.withdraw(offers[1], actor));
            raw.settle(actor);
            assert_eq!(self.try_receive(actor), None);
            let block = raw.take_block(0, actor).unwrap();
            let Met::Requested(request) = raw.meet(Some(block), actor).unwrap() else {
                panic!("there is room");
            };
            assert!(raw.has_request(actor) && !raw.has_offer(actor));
            assert!(raw.is_waiting(&request));
            assert!(self.try_send(number, actor) && !self.try_send(number, actor));
            assert!(!raw.is_waiting(&request) && !raw.withdraw_request(&request));
            assert_eq!(self.try_receive(actor), Some(number));
            raw.give_back(block);
            let in_use = (0..5).filter(|&block| raw.is_in_use(block)).count();
            // That of the offer that was withdrawn is ours.
            assert_eq!(in_use, 1);
            raw.recover(Orphans::Redeliver, actor);
            (0..5).for_each(|block| raw.give_back(block));
            raw.check().unwrap();
        }
    }
}

fn alive(place: usize, dead: &Cell<Option<Owner>>) -> Actor<'_> {
    Actor {
        me: Owner::new(place, 1).with_thread(1),
        dead,
    }
}

#[test]
fn an_offer_of_the_dead_is_no_offer() {
    let operations = abandon_everywhere(
        Words::default,
        |words, actor| {
            let _ = words.offer(7, actor);
        },
        |words, actor, _| {
            // Whether or not anybody has looked into the death.
            assert_eq!(words.raw().meet(None, actor), Ok(Met::NoSender));
            words.goes_on(actor);
        },
    );
    assert!(operations > 5, "{operations}");
}

#[test]
fn a_request_of_the_dead_is_no_request() {
    let operations = abandon_everywhere(
        Words::default,
        |words, actor| {
            let raw = words.raw();
            let block = raw.take_block(0, actor).unwrap();
            let met = raw.meet(Some(block), actor).unwrap();
            assert!(matches!(met, Met::Requested(_)));
        },
        |words, actor, _| {
            // Whether or not anybody has looked into the death.
            assert!(!words.try_send(7, actor));
            words.goes_on(actor);
        },
    );
    assert!(operations > 5, "{operations}");
}

#[test]
fn a_sender_that_dies_has_answered_a_request_or_not() {
    let living = Cell::new(None);
    let receiver = alive(2, &living);
    let operations = abandon_everywhere(
        || {
            let words = Words::default();
            let raw = words.raw();
            let block = raw.take_block(0, &receiver).unwrap();
            let Met::Requested(request) = raw.meet(Some(block), &receiver).unwrap() else {
                panic!("nobody sends");
            };
            (words, request)
        },
        |(words, _), actor| assert!(words.try_send(7, actor)),
        |(words, request), actor, finished| {
            let raw = words.raw();
            raw.recover(Orphans::Redeliver, actor);
            match raw.withdraw_request(request) {
                true => assert!(!finished),
                false => assert_eq!(words.try_receive(actor), Some(7)),
            }
            raw.give_back(request.block);
            raw.settle(actor);
            words.goes_on(actor);
        },
    );
    assert!(operations > 4, "{operations}");
}

#[test]
fn a_receiver_that_dies_has_taken_an_offer_or_not_and_another_gets_it() {
    let living = Cell::new(None);
    let sender = alive(2, &living);
    let operations = abandon_everywhere(
        || {
            let words = Words::default();
            let offer = words.offer(7, &sender);
            (words, offer)
        },
        |(words, _), actor| assert_eq!(words.request(actor), Some(7)),
        |(words, offer), actor, finished| {
            let raw = words.raw();
            let was_taken = raw.is_taken(offer);
            match words.try_receive(actor) {
                Some(number) => assert!(number == 7 && !finished),
                // It was done with it.
                None => assert!(was_taken),
            }
            assert!(raw.is_taken(offer) && !raw.withdraw(*offer, &sender));
            words.goes_on(actor);
        },
    );
    assert!(operations > 8, "{operations}");
}

#[test]
fn what_answered_a_request_of_the_dead_goes_to_another() {
    let living = Cell::new(None);
    let sender = alive(2, &living);
    let operations = abandon_everywhere(
        Words::default,
        |words, actor| {
            let raw = words.raw();
            let block = raw.take_block(0, actor).unwrap();
            let Met::Requested(request) = raw.meet(Some(block), actor).unwrap() else {
                panic!("nobody sends");
            };
            assert!(words.try_send(7, &sender));
            assert!(!raw.withdraw_request(&request));
            assert_eq!(words.try_receive(actor), Some(7));
            raw.give_back(block);
        },
        |words, actor, _| {
            // The sender's own operations are counted, too, and it lives: what it was
            // about is given up first.
            words.raw().recover(Orphans::Leave, actor);
            if let Some(number) = words.try_receive(actor) {
                assert_eq!(number, 7);
            }
            assert_eq!(words.try_receive(actor), None);
        },
    );
    assert!(operations > 12, "{operations}");
}

#[test]
fn who_dies_in_withdrawing_leaves_nothing() {
    let operations = abandon_everywhere(
        Words::default,
        |words, actor| {
            let raw = words.raw();
            let offer = words.offer(7, actor);
            assert!(raw.withdraw(offer, actor));
            raw.settle(actor);
            assert_eq!(words.request(actor), None);
        },
        |words, actor, _| {
            assert_eq!(words.try_receive(actor), None);
            words.goes_on(actor);
        },
    );
    assert!(operations > 12, "{operations}");
}

#[test]
fn those_for_whom_there_is_no_room_are_told() {
    let living = Cell::new(None);
    let (one, other) = (alive(1, &living), alive(2, &living));
    let words = Words::default();
    let raw = words.raw();
    let offers = [7, 8].map(|number| words.offer(number, &one));
    let (block, handed) = words.send(9, true, &one);
    assert_eq!(handed, Handed::NoReceiver);
    assert_eq!(words.try_receive(&other), Some(7));
    assert!(matches!(
        raw.hand_over(block, true, &one),
        Ok(Handed::Offered(_))
    ));
    assert!(raw.withdraw(offers[1], &one));
    raw.settle(&one);
    assert_eq!(words.try_receive(&other), Some(9));
    raw.close();
    assert_eq!(words.send(10, true, &one).1, Handed::Closed);
    assert_eq!(raw.meet(None, &other), Ok(Met::Closed));
    assert!(raw.has_offer(&other) && raw.has_request(&one), "the end");
}
