//! Cases that random sequences meet too seldom.

use super::{House, How, OF_HANDLES, a_definition, a_record};
use crate::pool::TaskError;
use crate::pool::scheduler::Limits;
use crate::pool::scheduler::dispatch::AHEAD;
use crate::pool::scheduler::ids::{Id, JobId};
use crate::pool::scheduler::live_worker::Sending;
use crate::pool::worker_ring::Order;
use crate::process::task::record::Status;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

#[test]
fn a_record_that_lies_about_its_batch_loses_no_argument() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.add_to_run(4, 0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    let mut bytes = Vec::new();
    // The definition, then the chunk.
    while let Some((post, _)) = fake.taking.take(&mut bytes) {
        if post.order == Order::Run {
            fake.taking.begin();
            let first = 0u32.to_le_bytes();
            fake.taking
                .write(&mut a_record(Status::Value, &first), || {});
            fake.end(post, 3);
        }
    }
    house.take();
    assert!(house.workers[&0].process.is_killed.load(Ordering::Relaxed));
    house.finish();
}

#[test]
fn a_pool_that_is_over_has_answered_all() {
    let mut house = House::new(2, Limits::default());
    house.start();
    house.become_ready(0);
    for _ in 0..5 {
        house.spawn(1, 0);
        house.add_to_run(3, 1, 0);
    }
    let reason = TaskError::cancelled();
    house.scheduler.end(reason);
    for worker in 0..2 {
        house.die(worker);
    }
    assert!(house.scheduler.is_gone());
    house.finish();
}

#[test]
fn a_worker_is_idle_though_nobody_has_read_how_its_last_batch_went() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.take();
    house.spawn(0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    let post = fake.begin_batch();
    assert!(!post.exact || fake.taking.end_exact());
    fake.answer(OF_HANDLES);
    // Somebody takes the result; what comes after it waits until somebody looks.
    house.take();
    assert!(post.slow, "an end follows");
    house.workers.get_mut(&0).unwrap().end(post, 1);
    let (now, timeout) = (Instant::now(), Duration::from_secs(1));
    house.scheduler.dismiss_idle(now, Some(timeout));
    house.scheduler.dismiss_idle(now + timeout, Some(timeout));
    house.work(0, How::Well);
    assert!(house.workers.is_empty(), "it was told to end");
    house.finish();
}

#[test]
fn what_waits_for_a_start_goes_to_an_idle_worker() {
    let mut house = House::new(2, Limits::default());
    house.start();
    for _ in 0..3 {
        house.spawn(0, 0);
    }
    // Nobody else is told of it, so that the helper has to look.
    assert!(house.scheduler.has_something_to_move());
    house.become_ready(1);
    for _ in 0..6 {
        house.take();
        house.scheduler.balance();
        house.work(1, How::Well);
    }
    house.take();
    assert!(house.scheduler.is_idle());
    house.finish();
}

#[test]
fn one_that_starts_gets_nothing_where_another_is_ready() {
    let mut house = House::new(2, Limits::default());
    house.start();
    house.become_ready(1);
    house.take();
    for _ in 0..10 {
        house.spawn(0, 0);
    }
    let has = |house: &House, worker: usize| {
        let live = house.scheduler.workers[worker].live().unwrap();
        live.ledger().len()
    };
    assert_eq!((has(&house, 0), has(&house, 1)), (0, AHEAD));
    house.become_ready(0);
    house.take();
    assert_eq!(has(&house, 0), AHEAD);
    house.finish();
}

/// Tasks that are cancelled before their worker comes to them do not fill its ring, where
/// each stays until then.
fn take_much_back(house: &mut House) {
    for _ in 0..1000 {
        let chunk = house.spawn(0, 0);
        house.scheduler.cancel_task(chunk, Duration::ZERO);
    }
    let encoded = a_definition().encoded;
    let live = house.scheduler.workers[0].live_mut().unwrap();
    for number in 1..200 {
        let defined = live.define(JobId::new(number), &encoded);
        assert!(
            matches!(defined, Sending::Done),
            "there is room for {number}"
        );
    }
}

#[test]
fn what_is_taken_back_from_one_that_starts_does_not_pile_up() {
    let mut house = House::new(1, Limits::default());
    house.start();
    take_much_back(&mut house);
    house.finish();
}

#[test]
fn what_is_taken_back_from_one_that_is_busy_does_not_pile_up() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.spawn(0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    let post = fake.begin_batch();
    take_much_back(&mut house);
    let fake = house.workers.get_mut(&0).unwrap();
    assert!(post.exact && fake.taking.end_exact());
    fake.answer(OF_HANDLES);
    fake.end(post, 1);
    house.finish();
}

#[test]
fn whatever_a_full_ring_holds_the_order_to_stop_has_room() {
    let mut house = House::new(1, Limits::default());
    house.start();
    let encoded = a_definition().encoded;
    let live = house.scheduler.workers[0].live_mut().unwrap();
    let mut numbers = 0..;
    while let Sending::Done = live.define(JobId::new(numbers.next().unwrap()), &encoded) {}
    house.scheduler.workers[0].dismiss();
    house.become_ready(0);
    for _ in 0..numbers.start {
        house.work(0, How::Well);
    }
    assert!(house.workers.is_empty(), "it was told to stop, and has");
    house.finish();
}

#[test]
fn a_lost_worker_may_do_what_it_has_taken_and_nobody_does_it_again() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.add_to_run(4, 0, 0);
    house.add_to_run(4, 0, 0);
    let fake = house.workers.get_mut(&0).unwrap();
    fake.begin_batch();
    house.lose(0, false);
    // Of the first batch it does the rest, of the second nothing.
    let begun = BTreeSet::from([0]);
    assert_eq!(house.begun, begun);
    house.note(vec![1, 2, 3]);
    for _ in 0..10 {
        house.work_lost(0, How::Well);
    }
    assert!(house.lost[0].has_stopped);
    house.finish();
    assert_eq!(house.begun, (0..8).collect());
}

#[test]
fn a_request_for_the_rest_is_for_one_batch() {
    let mut house = House::new(1, Limits::default());
    house.start();
    house.become_ready(0);
    house.take();
    for _ in 0..2 {
        house.add_to_run(4, 0, 0);
    }
    let fake = house.workers.get_mut(&0).unwrap();
    let post = fake.begin_batch();
    assert!(!fake.taking.is_rest_wanted());
    house.scheduler.workers[0]
        .live_mut()
        .unwrap()
        .ask_for_rest();
    let fake = house.workers.get_mut(&0).unwrap();
    assert!(fake.taking.is_rest_wanted());
    fake.answer(0);
    fake.end(post, 1);
    // The pool has not read that yet: what it asks for now is late.
    let post = fake.begin_batch();
    assert!(!fake.taking.is_rest_wanted(), "that was of the last one");
    fake.answer(4);
    fake.end(post, 1);
    house.take();
    house.finish();
}
