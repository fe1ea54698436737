//! Models of the algorithms: loom goes through the orders in which the
//! operations of two or three actors can happen, with what each may see.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p procession-core --release --test loom`
//!
//! Sleeping is modelled as the kernel does it: the comparison and the falling
//! asleep are one step, and only a wake-up on that word, or a death, ends it. A
//! lost wake-up is a deadlock, which loom reports. Death is an actor that stops
//! and is then said to be dead.
#![cfg(loom)]

mod byte_ring;
mod kernel;
mod pool;
mod rendezvous;

use kernel::{Actor, Kernel, Protected, loom_three, model, owner, two};
use loom::sync::Arc;
use loom::thread;
use procession_core::atomics::{AtomicU64, Ordering, low};
use procession_core::barrier::RawBarrier;
use procession_core::condvar::RawCondvar;
use procession_core::event::RawEvent;
use procession_core::event_count::EventCount;
use procession_core::mutex::RawMutex;
use procession_core::permits::{PERMIT, Permits};
use procession_core::queue::ranges::Ranges;
use procession_core::queue::{Blocks, Orphans, RawQueue, Received, Sent};
use procession_core::registry;
use procession_core::rwlock::RawRwLock;
use procession_core::{Failure, Platform};

#[test]
fn mutex_excludes_and_loses_no_wake_up() {
    model(|| {
        let work = |(word, protected): &(AtomicU64, Protected), actor: &Actor<'_>| {
            let lock = RawMutex(word);
            lock.lock(actor).unwrap();
            protected.add();
            assert!(lock.unlock(actor));
        };
        two(
            (AtomicU64::new(0), Protected::new()),
            work,
            work,
            |(_, protected), _| {
                assert_eq!(protected.get(), 2);
            },
        );
    });
}

#[test]
fn mutex_of_a_dead_holder_is_taken_over_by_a_sleeper() {
    model(|| {
        two(
            (AtomicU64::new(0), Protected::new()),
            |(word, protected), actor| {
                let found = RawMutex(word).lock(actor).unwrap();
                protected.add();
                assert_eq!(found.inconsistent, protected.get() == 2);
                RawMutex(word).unlock(actor);
            },
            |(word, protected), actor| {
                RawMutex(word).lock(actor).unwrap();
                protected.add();
                actor.kernel.die(actor.me);
            },
            |_, _| {},
        );
    });
}

#[test]
fn mutex_waiter_that_dies_when_woken_takes_no_wake_up_with_it() {
    model(|| {
        let shared = Arc::new((AtomicU64::new(0), Kernel::new()));
        let holder = Actor {
            kernel: &shared.1,
            me: owner(0),
        };
        RawMutex(&shared.0).lock(&holder).unwrap();
        let threads = [1, 2].map(|place| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, kernel) = &*shared;
                let actor = Actor {
                    kernel,
                    me: owner(place),
                };
                if place == 1 {
                    // Waits once, and dies whatever wakes it.
                    let seen = RawMutex(word).word();
                    if seen & 1 == 1 {
                        actor.sleep(word, low(seen), actor.deaths());
                    }
                    kernel.die(actor.me);
                } else {
                    RawMutex(word).lock(&actor).unwrap();
                    RawMutex(word).unlock(&actor);
                }
            })
        });
        RawMutex(&shared.0).unlock(&holder);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn event_count_loses_no_condition() {
    model(|| {
        two(
            (AtomicU64::new(0), AtomicU64::new(0)),
            |(word, ready), actor| {
                EventCount(word)
                    .wait_until(actor, || {
                        Ok((ready.load(Ordering::Acquire) == 1).then_some(()))
                    })
                    .unwrap();
            },
            |(word, ready), actor| {
                ready.store(1, Ordering::Release);
                EventCount(word).notify(1, actor);
            },
            |_, _| {},
        );
    });
}

/// The word of a condition variable, the lock, and what it protects.
type Condition = (AtomicU64, AtomicU64, AtomicU64);

fn condition() -> Condition {
    (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0))
}

/// Waits until there is something, and takes one.
fn take_one((word, lock, ready): &Condition, actor: &Actor<'_>) {
    let (condvar, mutex) = (RawCondvar(word), RawMutex(lock));
    mutex.lock(actor).unwrap();
    while ready.load(Ordering::Relaxed) == 0 {
        let begun = condvar.begin(actor);
        mutex.unlock(actor);
        condvar.wait(begun, actor).unwrap();
        mutex.lock(actor).unwrap();
    }
    ready.fetch_sub(1, Ordering::Relaxed);
    mutex.unlock(actor);
}

fn put((_, lock, ready): &Condition, count: u64, actor: &Actor<'_>) {
    let mutex = RawMutex(lock);
    mutex.lock(actor).unwrap();
    ready.fetch_add(count, Ordering::Relaxed);
    mutex.unlock(actor);
}

#[test]
fn condvar_loses_no_notification() {
    for count in [1, 2, u32::MAX] {
        model(move || {
            two(
                condition(),
                take_one,
                move |condition, actor| {
                    put(condition, 1, actor);
                    RawCondvar(&condition.0).notify(count, actor);
                },
                |_, _| {},
            );
        });
    }
}

#[test]
fn condvar_of_two_waiters_each_has_its_notification() {
    loom_three(|| {
        let shared = Arc::new((condition(), Kernel::new()));
        let threads: Vec<_> = [1, 2]
            .map(|place| {
                let other = Arc::clone(&shared);
                thread::spawn(move || {
                    let (condition, kernel) = &*other;
                    let me = owner(place);
                    take_one(condition, &Actor { kernel, me });
                })
            })
            .into();
        let (condition, kernel) = &*shared;
        let me = owner(0);
        let actor = Actor { kernel, me };
        for _ in 0..2 {
            put(condition, 1, &actor);
            RawCondvar(&condition.0).notify(1, &actor);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn condvar_waiter_hears_of_the_death_of_who_was_to_notify() {
    model(|| {
        two(
            condition(),
            take_one,
            |condition, actor| {
                put(condition, 1, actor);
                actor.kernel.die(actor.me.process());
            },
            |_, _| {},
        );
    });
}

#[test]
fn permit_is_had_by_one_and_given_to_the_next() {
    model(|| {
        type Words = (AtomicU64, AtomicU64, [AtomicU64; 1], Protected);
        let work = |(waiters, used, cells, protected): &Words, actor: &Actor<'_>| {
            let permits = Permits {
                waiters: EventCount(waiters),
                used,
                cells,
            };
            let place = permits.acquire(actor).unwrap();
            protected.add();
            assert!(permits.release(place, actor.me, actor));
        };
        let words = (
            AtomicU64::new(0),
            AtomicU64::new(1),
            [AtomicU64::new(PERMIT)],
            Protected::new(),
        );
        two(words, work, work, |(_, _, _, protected), _| {
            assert_eq!(protected.get(), 2)
        });
    });
}

#[test]
fn permit_of_the_dead_is_found_by_a_sleeper() {
    model(|| {
        type Words = (AtomicU64, AtomicU64, [AtomicU64; 1]);
        let words: Words = (
            AtomicU64::new(0),
            AtomicU64::new(1),
            [AtomicU64::new(PERMIT)],
        );
        two(
            words,
            |(waiters, used, cells), actor| {
                let permits = Permits {
                    waiters: EventCount(waiters),
                    used,
                    cells,
                };
                permits.acquire(actor).unwrap();
            },
            |(waiters, used, cells), actor| {
                let permits = Permits {
                    waiters: EventCount(waiters),
                    used,
                    cells,
                };
                if permits.try_acquire(actor).is_some() {
                    actor.kernel.die(actor.me);
                }
            },
            |(waiters, used, cells), actor| {
                let permits = Permits {
                    waiters: EventCount(waiters),
                    used,
                    cells,
                };
                assert_eq!(permits.total(), 1);
                assert_eq!(permits.try_acquire(actor), None);
            },
        );
    });
}

type RwLockWords = ([AtomicU64; 3], [AtomicU64; 1], Protected);

fn rwlock((words, readers, _): &RwLockWords) -> RawRwLock<'_> {
    RawRwLock {
        writer: RawMutex(&words[0]),
        entry: EventCount(&words[1]),
        drained: EventCount(&words[2]),
        readers,
    }
}

fn rwlock_words() -> RwLockWords {
    (
        [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)],
        [AtomicU64::new(0)],
        Protected::new(),
    )
}

#[test]
fn rwlock_keeps_readers_and_writers_apart() {
    model(|| {
        two(
            rwlock_words(),
            |words, actor| {
                let (place, _) = rwlock(words).read(actor).unwrap();
                words.2.get();
                assert!(rwlock(words).leave(place, actor.me, actor));
            },
            |words, actor| {
                rwlock(words).write(actor).unwrap();
                words.2.add();
                rwlock(words).unlock(false, actor);
            },
            |words, _| assert_eq!(words.2.get(), 1),
        );
    });
}

#[test]
fn rwlock_reader_that_dies_lets_the_writer_in() {
    model(|| {
        two(
            rwlock_words(),
            |words, actor| {
                rwlock(words).write(actor).unwrap();
                words.2.add();
                rwlock(words).unlock(false, actor);
            },
            |words, actor| {
                if rwlock(words).try_read(actor).unwrap().is_some() {
                    words.2.get();
                    actor.kernel.die(actor.me);
                }
            },
            |_, _| {},
        );
    });
}

#[test]
fn event_that_is_set_is_seen() {
    model(|| {
        two(
            (AtomicU64::new(0), Protected::new()),
            |(event, protected), actor| {
                RawEvent(event).wait(actor).unwrap();
                assert_eq!(protected.get(), 1);
            },
            |(event, protected), actor| {
                protected.add();
                RawEvent(event).set(actor);
            },
            |_, _| {},
        );
    });
}

fn set_for_one(event: RawEvent<'_>, actor: &Actor<'_>) {
    if !event.set_for_one() {
        event.wake_one(actor);
    }
}

#[test]
fn event_that_resets_itself_lets_one_through_for_each_setting() {
    model(|| {
        let shared = Arc::new((AtomicU64::new(0), Kernel::new()));
        let threads = [1, 2].map(|place| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, kernel) = &*shared;
                let actor = Actor {
                    kernel,
                    me: owner(place),
                };
                RawEvent(event).take(&actor).unwrap();
                // The next one's turn.
                set_for_one(RawEvent(event), &actor);
            })
        });
        let actor = Actor {
            kernel: &shared.1,
            me: owner(0),
        };
        set_for_one(RawEvent(&shared.0), &actor);
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(RawEvent(&shared.0).is_set());
    });
}

type BarrierWords = (AtomicU64, [AtomicU64; 4], Protected);

fn barrier((state, members, _): &BarrierWords) -> RawBarrier<'_> {
    RawBarrier {
        parties: 2,
        state,
        members,
    }
}

fn barrier_words() -> BarrierWords {
    (
        AtomicU64::new(0),
        std::array::from_fn(|_| AtomicU64::new(0)),
        Protected::new(),
    )
}

#[test]
fn barrier_lets_nobody_pass_before_all_have_arrived() {
    model(|| {
        two(
            barrier_words(),
            |words, actor| {
                words.2.add();
                barrier(words).wait(actor, None::<fn()>).unwrap();
            },
            |words, actor| {
                barrier(words).wait(actor, None::<fn()>).unwrap();
                assert_eq!(words.2.get(), 1);
            },
            |_, _| {},
        );
    });
}

#[test]
fn barrier_is_broken_by_a_party_that_died() {
    model(|| {
        let words = barrier_words();
        words.1[1].store(owner(1).process().word(), Ordering::SeqCst);
        two(
            words,
            |words, actor| {
                barrier(words).enter(actor);
                let outcome = barrier(words).wait(actor, None::<fn()>);
                assert_eq!(outcome, Err(Failure::Broken));
            },
            |_, actor| actor.kernel.die(actor.me.process()),
            |_, _| {},
        );
    });
}

#[test]
fn barrier_party_hears_of_a_reset_and_of_what_comes_after_it() {
    model(|| {
        two(
            barrier_words(),
            |words, actor| {
                let outcome = barrier(words).wait(actor, None::<fn()>);
                assert_eq!(outcome, Err(Failure::Broken));
            },
            |words, actor| {
                barrier(words).reset(actor);
                // For one that came after that.
                barrier(words).abort(actor);
            },
            |words, _| assert!(barrier(words).is_broken()),
        );
    });
}

#[test]
fn registry_of_two_who_come_at_once_one_sees_the_other() {
    model(|| {
        let lives = || [AtomicU64::new(0), AtomicU64::new(0)];
        let saw = || (AtomicU64::new(0), AtomicU64::new(0));
        let claim = |place: usize| {
            move |(lives, saw): &([AtomicU64; 2], (AtomicU64, AtomicU64)), _: &Actor<'_>| {
                registry::claim(&lives[place], 7).unwrap();
                let other = lives[1 - place].load(Ordering::Acquire);
                let seen = u64::from(registry::Life::of(other) != registry::Life::Free);
                let saw = if place == 0 { &saw.0 } else { &saw.1 };
                saw.store(seen, Ordering::SeqCst);
            }
        };
        two((lives(), saw()), claim(0), claim(1), |(_, saw), _| {
            let seen = saw.0.load(Ordering::SeqCst) + saw.1.load(Ordering::SeqCst);
            assert!(seen >= 1, "neither would watch over the other");
        });
    });
}

#[test]
fn registry_place_is_had_by_one() {
    model(|| {
        type Words = (AtomicU64, AtomicU64);
        let claim = |(life, had): &Words, _: &Actor<'_>| {
            if registry::claim(life, 7).is_some() {
                had.fetch_add(1, Ordering::SeqCst);
            }
        };
        two(
            (AtomicU64::new(0), AtomicU64::new(0)),
            claim,
            claim,
            |(_, had), _| {
                assert_eq!(had.load(Ordering::SeqCst), 1);
            },
        );
    });
}

/// A queue with two slots and three blocks, and what loom watches in each block.
struct Queue {
    words: [AtomicU64; 4],
    slots: [AtomicU64; 2],
    blocks: [AtomicU64; 9],
    contents: [Protected; 3],
}

impl Blocks for &Queue {
    fn count(&self) -> usize {
        3
    }
    fn state(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 3]
    }
    fn lost(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 3 + 1]
    }
    fn to_be_lost(&self, block: usize) -> &AtomicU64 {
        &self.blocks[block * 3 + 2]
    }
}

impl Queue {
    fn new() -> Queue {
        Queue {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            blocks: std::array::from_fn(|_| AtomicU64::new(0)),
            contents: std::array::from_fn(|_| Protected::new()),
        }
    }

    fn raw(&self, capacity: u64) -> RawQueue<'_, &Queue> {
        RawQueue {
            head: &self.words[0],
            tail: &self.words[1],
            closed: &self.words[2],
            slots: &self.slots,
            blocks: self,
            capacity,
        }
    }

    fn event_count(&self) -> EventCount<'_> {
        EventCount(&self.words[3])
    }

    fn send(&self, number: u64, actor: &Actor<'_>) {
        let raw = self.raw(2);
        let block = raw.take_block(0, actor).expect("there are enough");
        self.contents[block].set(number);
        match raw.publish(block, &mut 0, actor).unwrap() {
            Sent::At(index) => raw.follow_tail(index),
            other => panic!("{other:?}"),
        }
        self.event_count().notify_after_swap(1, actor);
    }

    fn try_receive(&self, actor: &Actor<'_>) -> Option<u64> {
        let raw = self.raw(2);
        let from = self.words[0].load(Ordering::Acquire);
        match raw.take(from, actor).unwrap() {
            (Received::Message(held), index) => {
                let number = self.contents[held.block].get();
                raw.give_back_first(held.block);
                raw.empty_slot(index, held.block);
                raw.follow_head(index);
                Some(number)
            }
            _ => None,
        }
    }

    fn receive(&self, actor: &Actor<'_>) -> u64 {
        self.event_count()
            .wait_until(actor, || Ok(self.try_receive(actor)))
            .unwrap()
    }
}

#[test]
fn a_queue_keeps_the_order_of_a_sender_and_the_bytes_of_a_message() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let sender = {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(0),
                };
                queue.send(1, &actor);
                queue.send(2, &actor);
            })
        };
        let actor = Actor {
            kernel: &kernel,
            me: owner(1),
        };
        assert_eq!(queue.receive(&actor), 1);
        assert_eq!(queue.receive(&actor), 2);
        assert_eq!(queue.try_receive(&actor), None);
        sender.join().unwrap();
    });
}

#[test]
fn two_senders_of_a_queue_lose_nothing() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let sender = |place: usize| {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(place),
                };
                queue.send(place as u64 + 1, &actor);
            })
        };
        let (one, two) = (sender(0), sender(1));
        let actor = Actor {
            kernel: &kernel,
            me: owner(2),
        };
        assert_eq!(queue.receive(&actor) + queue.receive(&actor), 3);
        assert_eq!(queue.try_receive(&actor), None);
        one.join().unwrap();
        two.join().unwrap();
    });
}

#[test]
fn two_receivers_of_a_queue_share_its_messages() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let actor = Actor {
            kernel: &kernel,
            me: owner(0),
        };
        queue.send(1, &actor);
        queue.send(2, &actor);
        let receiver = |place: usize| {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(place),
                };
                queue.receive(&actor)
            })
        };
        let (one, two) = (receiver(1), receiver(2));
        assert_eq!(one.join().unwrap() + two.join().unwrap(), 3);
        assert_eq!(queue.try_receive(&actor), None);
    });
}

#[test]
fn a_full_queue_has_room_when_something_was_received() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let actor = Actor {
            kernel: &kernel,
            me: owner(0),
        };
        queue.send(1, &actor);
        queue.send(2, &actor);
        let receiver = {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(1),
                };
                assert_eq!(queue.try_receive(&actor), Some(1));
                // Who waits for room is woken.
                queue.event_count().notify_after_swap(1, &actor);
            })
        };
        let raw = queue.raw(2);
        let block = raw.take_block(0, &actor).expect("there is a third");
        queue.contents[block].set(3);
        let mut known = 0;
        queue
            .event_count()
            .wait_until(&actor, || match raw.publish(block, &mut known, &actor)? {
                Sent::At(index) => {
                    raw.follow_tail(index);
                    Ok(Some(()))
                }
                Sent::Full => Ok(None),
                Sent::Closed => panic!("nobody closes it"),
            })
            .unwrap();
        receiver.join().unwrap();
        assert_eq!(queue.try_receive(&actor), Some(2));
        assert_eq!(queue.try_receive(&actor), Some(3));
    });
}

#[test]
fn two_who_recover_a_message_do_not_both_get_it() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let dead = Actor {
            kernel: &kernel,
            me: owner(0),
        };
        queue.send(7, &dead);
        let taken = queue.raw(2).take(0, &dead).unwrap();
        assert!(matches!(taken, (Received::Message(_), 0)));
        kernel.die(owner(0));
        let recover = |place: usize| {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(place),
                };
                let held = queue.raw(2).recover(Orphans::Redeliver, &actor).message;
                // What another one does with it meanwhile is his affair.
                held.map_or(0, |held| {
                    assert!(held.redelivered);
                    let number = queue.contents[held.block].get();
                    queue.raw(2).give_back(held.block);
                    number
                })
            })
        };
        let (one, two) = (recover(1), recover(2));
        assert_eq!(one.join().unwrap() + two.join().unwrap(), 7);
    });
}

#[test]
fn a_receiver_that_looked_long_ago_takes_nothing_out_of_its_turn() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let actor = Actor {
            kernel: &kernel,
            me: owner(0),
        };
        queue.send(1, &actor);
        let receiver = {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(1),
                };
                let first = queue.receive(&actor);
                assert!(first < queue.receive(&actor));
            })
        };
        // The block of the first message comes to have the third one, while the
        // second waits in another.
        let raw = queue.raw(2);
        let taken = raw.take(0, &actor).unwrap();
        queue.send(2, &actor);
        if let (Received::Message(held), index) = taken {
            raw.give_back_first(held.block);
            raw.empty_slot(index, held.block);
            raw.follow_head(index);
        }
        queue.send(3, &actor);
        receiver.join().unwrap();
    });
}

#[test]
fn who_waits_until_all_is_done_is_told_by_the_last() {
    model(|| {
        let kernel = Arc::new(Kernel::new());
        let queue = Arc::new(Queue::new());
        let actor = Actor {
            kernel: &kernel,
            me: owner(0),
        };
        queue.send(1, &actor);
        queue.send(2, &actor);
        let receive = |place: usize| {
            let (kernel, queue) = (Arc::clone(&kernel), Arc::clone(&queue));
            thread::spawn(move || {
                let actor = Actor {
                    kernel: &kernel,
                    me: owner(place),
                };
                assert!(queue.try_receive(&actor).is_some());
                if queue.event_count().has_sleepers_after_swap() && queue.raw(2).is_empty() {
                    queue.event_count().notify(u32::MAX, &actor);
                }
            })
        };
        let receivers = [receive(1), receive(2)];
        queue
            .event_count()
            .wait_until(&actor, || {
                queue.raw(2).is_done().map(|done| done.then_some(()))
            })
            .unwrap();
        for receiver in receivers {
            receiver.join().unwrap();
        }
    });
}

type RangeWords = (AtomicU64, [AtomicU64; 3]);

fn ranges<'a>(
    (end, words): &'a RangeWords,
) -> Ranges<'a, impl Fn(usize) -> &'a AtomicU64, impl Fn() -> usize> {
    Ranges {
        end,
        word: |block| &words[block],
        blocks: || words.len(),
        pages: 4,
    }
}

fn range_words() -> RangeWords {
    (
        AtomicU64::new(0),
        std::array::from_fn(|_| AtomicU64::new(0)),
    )
}

fn are_apart(words: &RangeWords) {
    let ranges = ranges(words);
    let mut taken: Vec<_> = (0..3).filter_map(|block| ranges.of(block)).collect();
    taken.sort_unstable();
    for two in taken.windows(2) {
        assert!(two[0].first + two[0].pages <= two[1].first, "{two:?}");
    }
}

#[test]
fn ranges_of_two_who_claim_at_once_are_apart() {
    model(|| {
        two(
            range_words(),
            // The first one's gap and the other one's, or the end.
            |words, _| {
                ranges(words).claim(0, 1).unwrap();
                ranges(words).release(0);
                ranges(words).claim(0, 2).unwrap();
            },
            |words, _| {
                ranges(words).claim(1, 2).unwrap();
            },
            |words, _| are_apart(words),
        );
    });
}

#[test]
fn gaps_that_two_fill_at_once_are_apart() {
    model(|| {
        let words = range_words();
        ranges(&words).claim(2, 4).unwrap();
        ranges(&words).release(2);
        two(
            words,
            |words, _| assert!(ranges(words).claim(0, 2).unwrap().is_some()),
            |words, _| assert!(ranges(words).claim(1, 2).unwrap().is_some()),
            |words, _| are_apart(words),
        );
    });
}
