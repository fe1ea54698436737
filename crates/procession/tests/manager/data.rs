//! Objects of managers that hold data, beside what std has of the kind.

use crate::{LONG, manager};
use procession::ErrorKind;
use procession::manager::{Array, Counter, Dict, List, Namespace, PriorityQueue, Set};
use procession::process::{self, Fork};
use procession::queue::TrySendError;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::random::Random;

fn some(random: &mut Random) -> BTreeSet<u64> {
    (0..random.below(6)).map(|_| random.below(12)).collect()
}

fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

pub(crate) fn a_set_is_what_std_has() {
    let manager = manager();
    let set: Set<u64> = manager.set().unwrap();
    let mut oracle = BTreeSet::new();
    let mut random = Random::new();
    for _ in 0..500 {
        let value = random.below(12);
        let others = some(&mut random);
        match random.below(12) {
            0 | 1 => assert_eq!(set.insert(value).unwrap(), oracle.insert(value)),
            2 => assert_eq!(set.remove(&value).unwrap(), oracle.remove(&value)),
            3 | 4 => {
                let new = others.difference(&oracle).count();
                assert_eq!(set.extend(&others).unwrap(), new);
                oracle.extend(others);
            }
            5 => {
                let removed = others.intersection(&oracle).count();
                assert_eq!(set.remove_many(&others).unwrap(), removed);
                oracle = &oracle - &others;
            }
            6 => {
                let removed = oracle.difference(&others).count();
                assert_eq!(set.retain_many(&others).unwrap(), removed);
                oracle = &oracle & &others;
            }
            7 => match set.pop().unwrap() {
                Some(value) => assert!(oracle.remove(&value)),
                None => assert!(oracle.is_empty()),
            },
            8 => {
                // The same with another set as with a collection.
                let other: Set<u64> = manager.set().unwrap();
                other.extend(&others).unwrap();
                let union = (&oracle | &others).into_iter().collect::<Vec<_>>();
                assert_eq!(sorted(set.union(&other).unwrap()), union);
                assert_eq!(sorted(set.union(&others).unwrap()), union);
                let both = (&oracle & &others).into_iter().collect::<Vec<_>>();
                assert_eq!(sorted(set.intersection(&other).unwrap()), both);
                let rest = (&oracle - &others).into_iter().collect::<Vec<_>>();
                assert_eq!(sorted(set.difference(&other).unwrap()), rest);
                let either = (&oracle ^ &others).into_iter().collect::<Vec<_>>();
                assert_eq!(sorted(set.symmetric_difference(&other).unwrap()), either);
            }
            9 => {
                assert_eq!(
                    set.is_superset(&others).unwrap(),
                    oracle.is_superset(&others)
                );
                assert_eq!(
                    set.is_disjoint(&others).unwrap(),
                    oracle.is_disjoint(&others)
                );
                // Values that are there twice count once.
                let twice = others.iter().chain(&others);
                assert_eq!(set.is_superset(twice).unwrap(), oracle.is_superset(&others));
            }
            10 if random.below(10) == 0 => {
                set.clear().unwrap();
                oracle.clear();
            }
            _ => assert_eq!(set.contains(&value).unwrap(), oracle.contains(&value)),
        }
        assert_eq!(set.len().unwrap(), oracle.len());
        let members = sorted(set.snapshot().unwrap());
        assert!(members.iter().eq(&oracle), "{members:?} {oracle:?}");
    }
    // More than an iterator has at once, in the order of their insertion.
    set.clear().unwrap();
    set.extend((0..50_000).rev()).unwrap();
    let members = set.iter().map(Result::unwrap);
    assert!(members.eq((0..50_000).rev()));
}

pub(crate) fn members_of_a_set_are_popped_once() {
    fn take(set: Set<u64>) -> Vec<u64> {
        std::iter::from_fn(|| set.pop().unwrap()).collect()
    }
    let manager = manager();
    let set: Set<u64> = manager.set().unwrap();
    set.extend(0..500).unwrap();
    let mut workers: Vec<_> = (0..4)
        .map(|_| process::spawn(take, set.clone()).unwrap())
        .collect();
    let mut taken: Vec<u64> = Vec::new();
    for worker in &mut workers {
        taken.extend(worker.join().unwrap());
    }
    assert!(sorted(taken).into_iter().eq(0..500));
}

pub(crate) fn an_array_is_what_std_has() {
    const LENGTH: u64 = 9;
    let manager = manager();
    let array: Array<u64> = manager.array(0..LENGTH).unwrap();
    let mut oracle: Vec<u64> = (0..LENGTH).collect();
    let mut random = Random::new();
    for round in 0..500 {
        let (index, other) = (random.below(LENGTH) as usize, random.below(LENGTH) as usize);
        match random.below(6) {
            0 => {
                array.set(index, &round).unwrap();
                oracle[index] = round;
            }
            1 => {
                let before = std::mem::replace(&mut oracle[index], round);
                assert_eq!(array.replace(index, &round).unwrap(), before);
            }
            2 => {
                array.swap(index, other).unwrap();
                oracle.swap(index, other);
            }
            3 => {
                let count = random.below(LENGTH - index as u64 + 1) as usize;
                let values = vec![round; count];
                array.set_range(index, values.clone()).unwrap();
                oracle[index..index + count].copy_from_slice(&values);
                let there = array.get_range(index, count).unwrap();
                assert_eq!(there, values);
            }
            4 => {
                let expected = oracle[other];
                let outcome = array.compare_exchange(index, &expected, &round).unwrap();
                match oracle[index] == expected {
                    true => oracle[index] = round,
                    false => assert_eq!(outcome, Err(oracle[index])),
                }
            }
            _ => {
                oracle[index] += 1;
                let new = array.update(index, |value| *value += 1).unwrap();
                assert_eq!(new, oracle[index]);
            }
        }
        assert_eq!(array.snapshot().unwrap(), oracle);
        assert!(array.iter().map(Result::unwrap).eq(oracle.iter().copied()));
    }
    // What is beyond its end changes nothing.
    let beyond = [
        array.get(9).unwrap_err(),
        array.set(9, &1).unwrap_err(),
        array.swap(0, 9).unwrap_err(),
        array.set_range(8, [1, 2]).unwrap_err(),
        array.get_range(8, 2).unwrap_err(),
        array.get_range(10, usize::MAX).unwrap_err(),
        array.get_range(usize::MAX - 1, 2).unwrap_err(),
        array.compare_exchange(9, &1, &2).unwrap_err(),
        array.update(9, |value| *value += 1).unwrap_err(),
    ];
    for error in beyond {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert_eq!(array.snapshot().unwrap(), oracle);
    assert_eq!(array.get_range(9, 0).unwrap(), [0; 0]);
    assert_eq!(array.len().unwrap(), 9);
}

pub(crate) fn numbers_of_a_counter_are_drawn_once() {
    const TIMES: usize = 100;
    fn draw(counter: Counter) -> Vec<i64> {
        (0..TIMES).map(|_| counter.fetch_add(1).unwrap()).collect()
    }
    let manager = manager();
    let counter = manager.counter(-50).unwrap();
    let mut workers: Vec<_> = (0..4)
        .map(|_| process::spawn(draw, counter.clone()).unwrap())
        .collect();
    let mut drawn: Vec<i64> = Vec::new();
    for worker in &mut workers {
        drawn.extend(worker.join().unwrap());
    }
    drawn.sort_unstable();
    assert!(drawn.into_iter().eq(-50..350));
    assert_eq!(counter.swap(i64::MAX - 1).unwrap(), 350);
    let error = counter.fetch_add(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    assert_eq!(counter.fetch_add(1).unwrap(), i64::MAX - 1);
    assert_eq!(counter.compare_exchange(1, 2).unwrap(), Err(i64::MAX));
}

pub(crate) fn a_counter_wakes_those_whose_number_has_come() {
    let manager = manager();
    let counter = manager.counter(0).unwrap();
    assert!(counter.try_wait_at_least(1).unwrap_err().is_would_block());
    let late = counter.wait_at_least_timeout(1, Duration::from_millis(10));
    assert!(late.unwrap_err().is_timeout());
    // One that was killed while it waits is forgotten.
    match process::fork().unwrap() {
        Fork::Child => {
            let _ = counter.wait_at_least(5);
            process::exit(1);
        }
        Fork::Parent(child) => {
            testkit::eventually("it is there", || manager.statistics().unwrap().clients == 2);
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    std::thread::scope(|threads| {
        let waits: Vec<_> = (1..=10)
            .map(|least| {
                let counter = &counter;
                threads.spawn(move || (least, counter.wait_at_least_timeout(least, LONG).unwrap()))
            })
            .collect();
        (0..10).for_each(|_| assert!(counter.fetch_add(1).unwrap() < 10));
        for wait in waits {
            let (least, seen) = wait.join().unwrap();
            assert!(seen >= least, "{seen} {least}");
        }
        // All ways to change it wake.
        let wait = threads.spawn(|| counter.wait_at_least_timeout(100, LONG).unwrap());
        counter.compare_exchange(10, 100).unwrap().unwrap();
        assert_eq!(wait.join().unwrap(), 100);
        let wait = threads.spawn(|| counter.wait_at_least_timeout(200, LONG).unwrap());
        counter.set(300).unwrap();
        assert_eq!(wait.join().unwrap(), 300);
    });
}

pub(crate) fn a_namespace_keeps_types_apart() {
    let manager = manager();
    let settings = manager.namespace().unwrap();
    settings.set("threads", &4u32).unwrap();
    settings
        .set("words", &["a", "b"].map(str::to_owned)[..])
        .unwrap();
    fn read(settings: Namespace) -> (Option<u32>, Option<Vec<String>>, Option<u8>) {
        (
            settings.get("threads").unwrap(),
            settings.get("words").unwrap(),
            settings.get("none").unwrap(),
        )
    }
    let mut reader = process::spawn(read, settings.clone()).unwrap();
    let words = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(reader.join().unwrap(), (Some(4), words, None));
    let wrong = [
        settings.get::<u64>("threads").unwrap_err(),
        settings
            .update("threads", |_: &mut Option<String>| panic!("it is none"))
            .unwrap_err(),
    ];
    for error in wrong {
        assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
        assert!(
            error.to_string().contains("`threads` is a `u32`"),
            "{error}"
        );
    }
    // Somebody else changes it between the copy and the new one: it is done again.
    let mut calls = 0;
    let new = settings.update("threads", |threads: &mut Option<u32>| {
        calls += 1;
        if calls == 1 {
            settings.set("threads", &7u32).unwrap();
        }
        *threads = threads.map(|threads| threads + 1);
    });
    assert_eq!((new.unwrap(), calls), (Some(8), 2));
    // It becomes of another type between the copy and the new one.
    let outcome = settings.update("threads", |threads: &mut Option<u32>| {
        settings.set("threads", "many").unwrap();
        *threads = None;
    });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Incompatible);
    assert_eq!(settings.get::<String>("threads").unwrap().unwrap(), "many");
    settings
        .update("words", |words: &mut Option<Vec<String>>| *words = None)
        .unwrap();
    assert_eq!(settings.names().unwrap().len(), 1);
    assert!(settings.remove("threads").unwrap());
    assert!(settings.names().unwrap().is_empty());
}

pub(crate) fn a_dictionary_is_what_std_has() {
    let manager = manager();
    let dict: Dict<u64, u64> = manager.dict().unwrap();
    let mut oracle: Vec<(u64, u64)> = Vec::new();
    let mut random = Random::new();
    for round in 0..500 {
        let key = random.below(12);
        let place = oracle.iter().position(|(there, _)| *there == key);
        let there = place.map(|place| oracle[place].1);
        match random.below(7) {
            0 | 1 => {
                assert_eq!(dict.insert(key, round).unwrap(), there);
                match place {
                    Some(place) => oracle[place].1 = round,
                    None => oracle.push((key, round)),
                }
            }
            2 => {
                let now = dict.get_or_insert_with(key, || round).unwrap();
                assert_eq!(now, there.unwrap_or(round));
                if place.is_none() {
                    oracle.push((key, round));
                }
            }
            3 => {
                assert_eq!(dict.remove(&key).unwrap(), there);
                oracle.retain(|(there, _)| *there != key);
            }
            4 => {
                let keys = some(&mut random);
                let before = oracle.len();
                oracle.retain(|(there, _)| !keys.contains(there));
                let removed = dict.remove_many(&keys).unwrap();
                assert_eq!(removed, before - oracle.len());
            }
            5 => {
                let keys = some(&mut random);
                let values = keys.iter().map(|key| {
                    let there = oracle.iter().find(|(there, _)| there == key);
                    there.map(|(_, value)| *value)
                });
                let values: Vec<Option<u64>> = values.collect();
                assert_eq!(dict.get_many(&keys).unwrap(), values);
            }
            _ => {
                // Removes every second one.
                let now = dict.update(key, |value| *value = value.filter(|value| value % 2 == 0));
                assert_eq!(now.unwrap(), there.filter(|there| there % 2 == 0));
                if there.is_some_and(|there| there % 2 == 1) {
                    oracle.retain(|(there, _)| *there != key);
                }
            }
        }
        assert_eq!(dict.snapshot().unwrap(), oracle);
        let entries = dict
            .keys()
            .map(Result::unwrap)
            .zip(dict.values().map(Result::unwrap));
        assert!(entries.eq(oracle.iter().copied()));
    }
}

pub(crate) fn a_list_is_what_std_has() {
    let manager = manager();
    let list: List<u64> = manager.list().unwrap();
    let mut oracle: Vec<u64> = Vec::new();
    let mut random = Random::new();
    for round in 0..500 {
        let index = random.below(oracle.len() as u64 + 1) as usize;
        match random.below(8) {
            0 => {
                list.insert(index, round).unwrap();
                oracle.insert(index, round);
            }
            1 => match list.remove(index) {
                Ok(value) => assert_eq!(value, oracle.remove(index)),
                Err(error) => assert_eq!(
                    (error.kind(), index),
                    (ErrorKind::InvalidInput, oracle.len())
                ),
            },
            2 => {
                let count = random.below((oracle.len() - index) as u64 + 1) as usize;
                let values = vec![round; random.below(5) as usize];
                let removed = oracle.splice(index..index + count, values.clone());
                let removed: Vec<u64> = removed.collect();
                assert_eq!(list.splice(index, count, values).unwrap(), removed);
            }
            3 => {
                let value = random.below(round + 1);
                let place = oracle.iter().position(|there| *there == value);
                assert_eq!(list.position(&value).unwrap(), place);
            }
            4 => {
                list.sort().unwrap();
                oracle.sort_unstable();
            }
            5 => {
                list.reverse().unwrap();
                oracle.reverse();
            }
            6 => assert_eq!(list.pop().unwrap(), oracle.pop()),
            _ => {
                list.extend([round, 0]).unwrap();
                oracle.extend([round, 0]);
            }
        }
        assert_eq!(list.snapshot().unwrap(), oracle);
    }
    let error = list.splice(oracle.len(), 1, [1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(list.splice(usize::MAX, 1, [1]).is_err());
}

pub(crate) fn a_long_list_is_searched_in_parts() {
    const LENGTH: u64 = 200_000;
    let manager = manager();
    let list: List<u64> = manager.list().unwrap();
    list.extend(0..LENGTH).unwrap();
    for value in [0, 65_535, 65_536, 131_072, LENGTH - 1] {
        assert_eq!(list.position(&value).unwrap(), Some(value as usize));
    }
    assert_eq!(list.position(&LENGTH).unwrap(), None);
    list.insert(100_000, 7).unwrap();
    assert_eq!(list.get_range(99_999, 3).unwrap(), [99_999, 7, 100_000]);
    assert_eq!(list.remove(100_000).unwrap(), 7);
    assert!(list.iter().map(Result::unwrap).eq(0..LENGTH));
    // What is dropped by another thread is gone at once.
    list.clear().unwrap();
    assert!(list.is_empty().unwrap());
    list.push(1).unwrap();
    assert_eq!(list.snapshot().unwrap(), [1]);
}

pub(crate) fn the_highest_priority_comes_first() {
    let manager = manager();
    let queue: PriorityQueue<u64> = manager.priority_queue().unwrap();
    let mut oracle: Vec<(usize, u64)> = Vec::new();
    let mut random = Random::new();
    for round in 0..500 {
        match random.below(3) {
            0 => match queue.try_recv() {
                Ok(message) => assert_eq!(message, oracle.remove(0)),
                Err(error) => assert!(error.kind() == ErrorKind::WouldBlock && oracle.is_empty()),
            },
            1 => {
                let priority = random.below(4) as usize;
                queue.send(priority, round).unwrap();
                let behind = oracle.iter().position(|(there, _)| *there < priority);
                oracle.insert(behind.unwrap_or(oracle.len()), (priority, round));
            }
            _ if oracle.is_empty() => {}
            _ => {
                // What is given back is the first of its priority again.
                let delivery = queue.recv_delivery().unwrap();
                assert_eq!((delivery.priority(), *delivery), oracle[0]);
                drop(delivery);
            }
        }
        assert_eq!(queue.len().unwrap(), oracle.len());
    }
    queue.send_many(9, 0..1000).unwrap();
    let first = (0..1000).map(|_| queue.recv().unwrap());
    assert!(first.eq((0..1000).map(|number| (9, number))));
}

pub(crate) fn the_message_of_a_killed_receiver_keeps_its_priority() {
    let manager = manager();
    let queue = manager.bounded_priority_queue::<u64>(1).unwrap();
    queue.send(0, 0).unwrap();
    assert_eq!(queue.try_send(9, 9), Err(TrySendError::Full(9)));
    assert_eq!(queue.recv().unwrap(), (0, 0));
    // The message of a killed receiver comes before all others of its priority.
    queue.send(1, 7).unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            let delivery = queue.recv_delivery().unwrap();
            assert_eq!(*delivery, 7);
            std::mem::forget(delivery);
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
                .unwrap();
        }
        Fork::Parent(child) => {
            child.wait().unwrap();
            let delivery = queue.recv_delivery_timeout(LONG).unwrap();
            assert_eq!((*delivery, delivery.priority()), (7, 1));
            assert!(delivery.is_redelivered());
        }
    }
}
