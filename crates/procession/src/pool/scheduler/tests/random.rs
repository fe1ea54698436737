//! Random sequences of all that may happen.

use super::{House, How};
use crate::pool::scheduler::Limits;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Event {
    Spawn {
        retries: u32,
        priority: i32,
    },
    Add {
        count: u32,
        retries: u32,
        priority: i32,
    },
    SpawnMap {
        count: u32,
        retries: u32,
        priority: i32,
    },
    CancelMap(usize),
    DetachMap(usize),
    Start,
    Ready(usize),
    Work(usize, How),
    Die(usize),
    Lose {
        worker: usize,
        goes_on: bool,
    },
    WorkLost(usize, How),
    Take,
    Balance,
    Cancel(usize),
    Dismiss(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let how = prop_oneof![
        3 => Just(How::Well),
        1 => (0..8u32).prop_map(How::Panics),
        1 => (0..8u32).prop_map(How::Dies),
    ];
    let event = prop_oneof![
        (0..3u32, -1..2i32).prop_map(|(retries, priority)| Event::Spawn { retries, priority }),
        (1..9u32, 0..3u32, -1..2i32).prop_map(|(count, retries, priority)| Event::Add {
            count,
            retries,
            priority
        }),
        (0..12u32, 0..2u32, -1..2i32).prop_map(|(count, retries, priority)| {
            Event::SpawnMap {
                count,
                retries,
                priority,
            }
        }),
        (0..4usize).prop_map(Event::CancelMap),
        (0..4usize).prop_map(Event::DetachMap),
        Just(Event::Start),
        (0..3usize).prop_map(Event::Ready),
        (0..3usize, how.clone()).prop_map(|(worker, how)| Event::Work(worker, how)),
        (0..3usize, how.clone()).prop_map(|(worker, how)| Event::Work(worker, how)),
        (0..3usize).prop_map(Event::Die),
        (0..3usize, any::<bool>()).prop_map(|(worker, goes_on)| Event::Lose { worker, goes_on }),
        (0..3usize, how).prop_map(|(at, how)| Event::WorkLost(at, how)),
        Just(Event::Take),
        Just(Event::Balance),
        (0..16usize).prop_map(Event::Cancel),
        (0..3usize).prop_map(Event::Dismiss),
    ];
    prop::collection::vec(event, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_argument_is_answered_once(
        events in events(),
        most_tasks in prop::option::of(1..9u64),
    ) {
        let limits = Limits { tasks_per_worker: most_tasks, ..Limits::default() };
        let mut house = House::new(3, limits);
        for event in events {
            match event {
                Event::Spawn { retries, priority } => {
                    house.spawn(retries, priority);
                }
                Event::Add { count, retries, priority } => {
                    house.add_to_run(count, retries, priority);
                }
                Event::SpawnMap { count, retries, priority } => {
                    house.spawn_map(count, retries, priority);
                }
                Event::CancelMap(at) => house.cancel_map(at),
                Event::DetachMap(at) => house.detach_map(at),
                Event::Start => house.start(),
                Event::Ready(worker) => house.become_ready(worker),
                // Starts that fail would end the pool.
                Event::Work(worker, how) => {
                    house.become_ready(worker);
                    house.work(worker, how);
                }
                Event::Die(worker) => {
                    house.become_ready(worker);
                    house.die(worker);
                }
                Event::Lose { worker, goes_on } => {
                    house.become_ready(worker);
                    house.lose(worker, goes_on);
                }
                Event::WorkLost(at, how) => house.work_lost(at, how),
                Event::Take => house.take(),
                Event::Balance => house.scheduler.balance(),
                Event::Cancel(at) => {
                    if let Some((chunk, _)) = house.handles.get(at) {
                        house.scheduler.cancel_task(*chunk, Duration::ZERO);
                    }
                }
                Event::Dismiss(worker) => house.scheduler.workers[worker].dismiss(),
            }
            house.check();
        }
        house.finish();
    }
}
