//! Models of what a pool and its workers share.

use crate::kernel::{Actor, Protected, loom_three, model, two};
use procession_core::atomics::{AtomicU64, Ordering};
use procession_core::doorbell::{Eagerness, RawDoorbell};
use procession_core::worker_ring::{Entry, Memory, Part, PoolSide, Word, WorkerSide, has_news};

/// The words of a doorbell, and a result, which is there or not.
#[derive(Default)]
struct Bell {
    words: [AtomicU64; 4],
    result: AtomicU64,
}

impl Bell {
    fn raw(&self) -> RawDoorbell<'_> {
        let [rung, eager, lazy, forced] = &self.words;
        RawDoorbell {
            rung,
            eager,
            lazy,
            forced,
        }
    }

    fn wait_for_result(&self, eagerness: Eagerness, actor: &Actor<'_>) {
        let is_there = || self.result.load(Ordering::Relaxed) == 1;
        loop {
            let rung = self.raw().rung();
            if is_there() {
                return;
            }
            self.raw().wait(rung, eagerness, is_there, actor);
        }
    }
}

#[test]
fn a_doorbell_loses_no_wake_up() {
    for (eagerness, is_idle) in [
        (Eagerness::Eager, false),
        (Eagerness::Eager, true),
        (Eagerness::Lazy, true),
    ] {
        model(move || {
            two(
                Bell::default(),
                move |bell, actor| bell.wait_for_result(eagerness, actor),
                move |bell, actor| {
                    bell.result.store(1, Ordering::Relaxed);
                    bell.raw().ring_after_batch(is_idle, actor);
                },
                |bell, _| {
                    let counts = bell.words[1..].iter();
                    assert!(
                        counts
                            .map(|it| it.load(Ordering::Relaxed))
                            .all(|it| it == 0)
                    );
                },
            );
        });
    }
}

#[test]
fn who_rings_for_everybody_wakes_everybody() {
    model(|| {
        two(
            Bell::default(),
            |bell, actor| {
                // Looks for nothing that would tell it before the doorbell does.
                let rung = bell.raw().rung();
                if bell.result.load(Ordering::Relaxed) == 0 {
                    bell.raw().wait(rung, Eagerness::Forced, || false, actor);
                }
                assert_eq!(bell.result.load(Ordering::Relaxed), 1);
            },
            |bell, actor| {
                bell.result.store(1, Ordering::Relaxed);
                bell.raw().ring(actor);
            },
            |_, _| {},
        );
    });
}

/// A ring of some slots and two bytes of each kind; loom watches each byte.
struct Ring<const SLOTS: usize> {
    words: [AtomicU64; 13],
    slots: [AtomicU64; 12],
    arguments: [Protected; 2],
    results: [Protected; 2],
}

impl<const SLOTS: usize> Ring<SLOTS> {
    fn new() -> Ring<SLOTS> {
        Ring {
            words: Default::default(),
            slots: Default::default(),
            arguments: std::array::from_fn(|_| Protected::new()),
            results: std::array::from_fn(|_| Protected::new()),
        }
    }
}

impl<const SLOTS: usize> Memory for Ring<SLOTS> {
    const SLOTS: u64 = SLOTS as u64;
    const ROOM: u64 = 2;

    fn word(&self, word: Word) -> &AtomicU64 {
        &self.words[word as usize]
    }

    fn slot(&self, index: u64, part: Part) -> &AtomicU64 {
        &self.slots[index as usize % SLOTS * 4 + part as usize]
    }
}

/// The last post.
const END: u64 = 99;

fn entry(order: u64) -> Entry {
    Entry {
        order,
        count: 1,
        length: 1,
    }
}

/// Posts a number, if there is room.
fn post<M: Memory + AsRings>(pool: &mut PoolSide<&M>, number: u64) -> Option<u64> {
    pool.post(entry(number), |ring, at| {
        ring.arguments(at).set(number);
    })
    .expect("an honest worker")
}

/// Takes a post, which is whole. Its number, and whether it was not revoked.
fn take<M: Memory + AsRings>(worker: &mut WorkerSide<&M>) -> Option<(u64, bool)> {
    let mut number = None;
    let taken = worker.take(|ring, at, length| {
        assert_eq!(length, 1);
        number = Some(ring.arguments(at).get());
    });
    let taken = taken.expect("an honest pool")?;
    assert_eq!(number, taken.is_claimed.then_some(taken.entry.order));
    Some((taken.entry.order, taken.is_claimed))
}

fn answer<M: Memory + AsRings>(worker: &mut WorkerSide<&M>, number: u64, actor: &Actor<'_>) {
    let copy = |ring: &M, at| ring.results(at).set(number);
    worker.write(1, copy, || {}, actor).expect("an honest pool");
}

/// The results that there are.
fn collect<M: Memory + AsRings>(pool: &mut PoolSide<&M>, actor: &Actor<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    let any = pool.collect(
        |ring, at, length| {
            found.extend((at..at + length as u64).map(|at| ring.results(at).get()));
        },
        actor,
    );
    assert_eq!(any, Ok(!found.is_empty()));
    found
}

trait AsRings {
    fn arguments(&self, at: u64) -> &Protected;
    fn results(&self, at: u64) -> &Protected;
}

impl<const SLOTS: usize> AsRings for Ring<SLOTS> {
    fn arguments(&self, at: u64) -> &Protected {
        &self.arguments[at as usize % 2]
    }
    fn results(&self, at: u64) -> &Protected {
        &self.results[at as usize % 2]
    }
}

/// More posts than there is room for, as far as there is.
fn post_and_take<const SLOTS: usize>() {
    model(|| {
        let taken = std::sync::Mutex::new(Vec::new());
        two(
            (Ring::<SLOTS>::new(), taken),
            |(ring, _), _| {
                let mut pool = PoolSide::new(ring);
                let _ = (1..=3).all(|number| post(&mut pool, number).is_some());
            },
            |(ring, taken), _| {
                let mut worker = WorkerSide::new(ring);
                for _ in 0..2 {
                    taken.lock().unwrap().extend(take(&mut worker));
                }
            },
            |(_, taken), _| {
                let taken = taken.lock().unwrap();
                assert!([(1, true), (2, true)].starts_with(&taken), "{taken:?}");
            },
        );
    });
}

#[test]
fn posts_come_whole_and_in_order_and_their_slots_are_used_again() {
    post_and_take::<1>();
}

#[test]
fn the_room_of_arguments_is_used_again_when_they_were_read() {
    post_and_take::<3>();
}

#[test]
fn a_worker_that_sleeps_is_woken_by_a_post() {
    model(|| {
        two(
            Ring::<2>::new(),
            |ring, actor| {
                let mut pool = PoolSide::new(ring);
                for number in [1, END] {
                    post(&mut pool, number).expect("there is room");
                    pool.announce(actor);
                }
            },
            |ring, actor| {
                let mut worker = WorkerSide::new(ring);
                let mut numbers = Vec::new();
                while numbers.last() != Some(&END) {
                    match take(&mut worker) {
                        Some((number, _)) => numbers.push(number),
                        None => worker.wait(|| {}, actor),
                    }
                }
                assert_eq!(numbers, [1, END]);
            },
            |_, _| {},
        );
    });
}

#[test]
fn a_post_is_taken_or_revoked() {
    model(|| {
        let taken = std::sync::Mutex::new(Vec::new());
        two(
            (Ring::<2>::new(), taken, AtomicU64::new(0)),
            |(ring, _, revoked), _| {
                let mut pool = PoolSide::new(ring);
                let index = post(&mut pool, 1).expect("there is room");
                revoked.store(u64::from(pool.revoke(index)), Ordering::SeqCst);
            },
            |(ring, taken, _), _| {
                let mut worker = WorkerSide::new(ring);
                taken.lock().unwrap().extend(take(&mut worker));
            },
            |(_, taken, revoked), _| {
                let is_revoked = revoked.load(Ordering::SeqCst) == 1;
                for (_, is_claimed) in &*taken.lock().unwrap() {
                    assert_ne!(*is_claimed, is_revoked, "had by both, or by nobody");
                }
            },
        );
    });
}

#[test]
fn results_come_whole_and_no_honest_worker_is_found_out() {
    model(|| {
        two(
            Ring::<2>::new(),
            |ring, actor| {
                let mut pool = PoolSide::new(ring);
                let index = post(&mut pool, 1).expect("there is room");
                pool.announce(actor);
                let mut found = collect(&mut pool, actor);
                if found.is_empty() {
                    assert!(!pool.is_denied(index), "it has it, or will");
                    found = collect(&mut pool, actor);
                }
                if !found.is_empty() {
                    assert_eq!(found, [1]);
                    assert_eq!(pool.standing().begun, 1, "done and not begun");
                }
                post(&mut pool, END).expect("there is room");
                pool.announce(actor);
            },
            |ring, actor| {
                let mut worker = WorkerSide::new(ring);
                loop {
                    match take(&mut worker) {
                        Some((END, _)) => break,
                        Some((number, _)) => {
                            worker.begin();
                            answer(&mut worker, number, actor);
                        }
                        None => worker.wait(|| {}, actor),
                    }
                }
            },
            |_, _| {},
        );
    });
}

#[test]
fn a_full_ring_of_results_has_room_when_they_were_collected() {
    loom_three(|| {
        two(
            (Ring::<2>::new(), Bell::default()),
            |(ring, bell), actor| {
                let mut pool = PoolSide::new(ring);
                let mut found = Vec::new();
                while found.len() < 3 {
                    let rung = bell.raw().rung();
                    let more = collect(&mut pool, actor);
                    if more.is_empty() {
                        let ready = || has_news(ring);
                        bell.raw().wait(rung, Eagerness::Eager, ready, actor);
                    }
                    found.extend(more);
                }
                assert_eq!(found, [1, 2, 3]);
            },
            |(ring, bell), actor| {
                let mut worker = WorkerSide::new(ring);
                for number in 1..=3 {
                    let copy = |ring: &Ring<2>, at| ring.results(at).set(number);
                    let written = worker.write(1, copy, || bell.raw().ring(actor), actor);
                    assert_eq!(written, Ok(()));
                }
                bell.raw().ring_after_batch(true, actor);
            },
            |_, _| {},
        );
    });
}

#[test]
fn a_call_is_condemned_or_over_and_no_other_one_is_hit() {
    model(|| {
        type Shared = (Ring<2>, [AtomicU64; 3]);
        let shared: Shared = (Ring::new(), Default::default());
        two(
            shared,
            |(ring, [condemned, ..]), _| {
                let pool = PoolSide::new(ring);
                let standing = pool.standing();
                assert!(standing.begun_at >= standing.begun * 10);
                if standing.begun > 0 && pool.condemn(standing.begun) {
                    condemned.store(standing.begun, Ordering::SeqCst);
                }
            },
            |(ring, [_, ended, hit]), _| {
                let mut worker = WorkerSide::new(ring);
                for call in 1..=2 {
                    worker.begin_exact(call * 10);
                    match worker.end_exact().expect("an honest pool") {
                        true => ended.store(call, Ordering::SeqCst),
                        false => {
                            hit.store(call, Ordering::SeqCst);
                            break;
                        }
                    }
                }
            },
            |(_, [condemned, ended, hit]), _| {
                let load = |it: &AtomicU64| it.load(Ordering::SeqCst);
                assert_eq!(load(condemned), load(hit), "one was meant, one was hit");
                let begun = if load(hit) == 0 { 2 } else { load(hit) - 1 };
                assert_eq!(load(ended), begun);
            },
        );
    });
}
