//! Models of senders and receivers that meet.

use crate::kernel::{Actor, Kernel, Protected, model, owner, two};
use loom::sync::Arc;
use loom::thread;
use procession_core::atomics::AtomicU64;
use procession_core::event_count::EventCount;
use procession_core::queue::rendezvous::{Handed, Met, Offer, Request};
use procession_core::queue::{Blocks, RawQueue};

/// A queue of two slots, and what loom watches in each of four blocks.
struct Queue {
    words: [AtomicU64; 5],
    slots: [AtomicU64; 2],
    states: [AtomicU64; 4],
    lost: AtomicU64,
    contents: [Protected; 4],
}

impl Blocks for &Queue {
    fn is_rendezvous(&self) -> bool {
        true
    }
    fn count(&self) -> usize {
        4
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

impl Queue {
    fn new() -> Queue {
        Queue {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            states: std::array::from_fn(|_| AtomicU64::new(0)),
            lost: AtomicU64::new(0),
            contents: std::array::from_fn(|_| Protected::new()),
        }
    }

    fn raw(&self) -> RawQueue<'_, &Queue> {
        RawQueue {
            head: &self.words[0],
            tail: &self.words[1],
            closed: &self.words[2],
            slots: &self.slots,
            blocks: self,
            capacity: 2,
        }
    }

    fn messages(&self) -> EventCount<'_> {
        EventCount(&self.words[3])
    }

    fn room(&self) -> EventCount<'_> {
        EventCount(&self.words[4])
    }

    fn fill(&self, number: u64, actor: &Actor<'_>) -> usize {
        let block = self.raw().take_block(0, actor).expect("there are enough");
        self.contents[block].set(number);
        block
    }

    /// Sends, and waits until the message is taken.
    fn send(&self, number: u64, actor: &Actor<'_>) {
        let raw = self.raw();
        let block = self.fill(number, actor);
        let mut offer: Option<Offer> = None;
        self.room()
            .wait_until(actor, || {
                if let Some(offer) = &offer {
                    return Ok(raw.is_taken(offer).then_some(()));
                }
                let handed = raw.hand_over(block, true, actor)?;
                self.messages().notify_after_swap(u32::MAX, actor);
                match handed {
                    Handed::Over => return Ok(Some(())),
                    Handed::Offered(it) => offer = Some(it),
                    Handed::NoReceiver => {}
                    Handed::Closed => panic!("nobody closes it"),
                }
                Ok(None)
            })
            .unwrap();
    }

    /// Whether a receiver waited for it.
    fn try_send(&self, number: u64, actor: &Actor<'_>) -> bool {
        let raw = self.raw();
        let block = self.fill(number, actor);
        let handed = raw.hand_over(block, false, actor).unwrap();
        match handed {
            Handed::Over => self.messages().notify_after_swap(u32::MAX, actor),
            _ => raw.give_back(block),
        }
        handed == Handed::Over
    }

    fn finish(&self, block: usize, index: u64, actor: &Actor<'_>) -> u64 {
        let raw = self.raw();
        let number = self.contents[block].get();
        raw.empty_slot(index, block);
        raw.give_back(block);
        raw.settle(actor);
        self.room().notify(u32::MAX, actor);
        number
    }

    fn try_receive(&self, actor: &Actor<'_>) -> Option<u64> {
        match self.raw().meet(None, actor).unwrap() {
            Met::Message(held, index) => Some(self.finish(held.block, index, actor)),
            _ => None,
        }
    }

    /// What was received, or the request that waits.
    fn request(&self, block: usize, actor: &Actor<'_>) -> Result<u64, Option<Request>> {
        match self.raw().meet(Some(block), actor).unwrap() {
            Met::Message(held, index) => Ok(self.finish(held.block, index, actor)),
            Met::Requested(request) => {
                self.room().notify_after_swap(u32::MAX, actor);
                Err(Some(request))
            }
            Met::NoSender => Err(None),
            Met::Closed => panic!("nobody closes it"),
        }
    }

    /// Receives, and waits for that.
    fn receive(&self, actor: &Actor<'_>) -> u64 {
        let raw = self.raw();
        let block = raw.take_block(0, actor).expect("there are enough");
        let mut request = None;
        let received = self.messages().wait_until(actor, || {
            if request.as_ref().is_some_and(|it| raw.is_waiting(it)) {
                return Ok(None);
            }
            match self.request(block, actor) {
                Ok(number) => Ok(Some(number)),
                Err(made) => {
                    request = made;
                    Ok(None)
                }
            }
        });
        raw.give_back(block);
        received.unwrap()
    }
}

#[test]
fn a_sender_and_a_receiver_that_wait_meet() {
    model(|| {
        two(
            Queue::new(),
            |queue, actor| assert_eq!(queue.receive(actor), 7),
            |queue, actor| queue.send(7, actor),
            |queue, actor| {
                assert_eq!(queue.try_receive(actor), None);
                assert!(!queue.try_send(8, actor));
                assert!((0..4).all(|block| !queue.raw().is_in_use(block)));
            },
        );
    });
}

#[test]
fn a_receiver_that_gives_up_has_received_what_somebody_handed_over_and_nothing_else() {
    model(|| {
        two(
            (Queue::new(), AtomicU64::new(0), AtomicU64::new(0)),
            |(queue, received, _), actor| {
                let raw = queue.raw();
                let block = raw.take_block(0, actor).unwrap();
                let request = match queue.request(block, actor) {
                    Err(Some(request)) => request,
                    other => panic!("{other:?}"),
                };
                if !raw.withdraw_request(&request) {
                    let number = queue.try_receive(actor).expect("it was answered");
                    received.store(number, std::sync::atomic::Ordering::Relaxed);
                }
                raw.settle(actor);
                raw.give_back(block);
            },
            |(queue, _, sent), actor| {
                if queue.try_send(7, actor) {
                    sent.store(7, std::sync::atomic::Ordering::Relaxed);
                }
            },
            |(queue, received, sent), actor| {
                let of = |word: &AtomicU64| word.load(std::sync::atomic::Ordering::Relaxed);
                assert_eq!(of(received), of(sent));
                assert_eq!(queue.try_receive(actor), None);
                assert!(!queue.try_send(8, actor));
            },
        );
    });
}

#[test]
fn a_sender_that_gives_up_was_received_from_or_not_and_knows_it() {
    model(|| {
        two(
            (Queue::new(), AtomicU64::new(0), AtomicU64::new(0)),
            |(queue, _, sent), actor| {
                let raw = queue.raw();
                let block = queue.fill(7, actor);
                let Handed::Offered(offer) = raw.hand_over(block, true, actor).unwrap() else {
                    panic!("nobody requests anything");
                };
                if raw.withdraw(offer, actor) {
                    raw.settle(actor);
                    raw.give_back(block);
                } else {
                    sent.store(7, std::sync::atomic::Ordering::Relaxed);
                }
            },
            |(queue, received, _), actor| {
                if let Some(number) = queue.try_receive(actor) {
                    received.store(number, std::sync::atomic::Ordering::Relaxed);
                }
            },
            |(queue, received, sent), actor| {
                let of = |word: &AtomicU64| word.load(std::sync::atomic::Ordering::Relaxed);
                assert_eq!(of(received), of(sent));
                assert_eq!(queue.try_receive(actor), None);
                assert!((0..4).all(|block| !queue.raw().is_in_use(block)));
            },
        );
    });
}

/// Three actors, each with what it does. More than one preemption takes an hour.
fn three(work: [fn(&Queue, &Actor<'_>) -> u64; 3], expected: u64) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(1);
    builder.max_branches = 20_000;
    builder.check(move || {
        let shared = Arc::new((Queue::new(), Kernel::new()));
        let actor = |place: usize| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (queue, kernel) = &*shared;
                let me = owner(place);
                work[place](queue, &Actor { kernel, me })
            })
        };
        let (one, two) = (actor(1), actor(2));
        let (queue, kernel) = &*shared;
        let me = owner(0);
        let actor = Actor { kernel, me };
        let sum = work[0](queue, &actor) + one.join().unwrap() + two.join().unwrap();
        assert_eq!(sum, expected);
        assert_eq!(queue.try_receive(&actor), None);
        assert!(!queue.try_send(9, &actor));
    });
}

fn send_one(queue: &Queue, actor: &Actor<'_>) -> u64 {
    queue.send(1, actor);
    0
}

fn send_two(queue: &Queue, actor: &Actor<'_>) -> u64 {
    queue.send(1, actor);
    queue.send(2, actor);
    0
}

fn receive_one(queue: &Queue, actor: &Actor<'_>) -> u64 {
    queue.receive(actor)
}

fn receive_two(queue: &Queue, actor: &Actor<'_>) -> u64 {
    queue.receive(actor) + queue.receive(actor)
}

#[test]
fn two_receivers_that_wait_are_both_served() {
    three([send_two, receive_one, receive_one], 3);
}

#[test]
fn two_senders_that_wait_are_both_received_from() {
    three([receive_two, send_one, send_one], 2);
}
