//! What the objects do, without accidents.

use crate::{LONG, manager};
use procession::ErrorKind;
use procession::manager::{Dict, List, Value};
use procession::process;
use procession::queue::{RecvTimeoutError, SendTimeoutError, TrySendError};
use std::time::Duration;

pub(crate) fn a_dictionary_keeps_order_and_types() {
    let manager = manager();
    let dict: Dict<String, (u32, Vec<u8>)> = manager.dict().unwrap();
    for number in 0..100 {
        let old = dict.insert(format!("key {number}"), (number, vec![7; number as usize]));
        assert_eq!(old.unwrap(), None);
    }
    assert_eq!(
        dict.insert("key 5".to_owned(), (0, vec![])).unwrap(),
        Some((5, vec![7; 5]))
    );
    assert_eq!(dict.get("key 5").unwrap(), Some((0, vec![])));
    assert_eq!(dict.get("key 100").unwrap(), None);
    assert_eq!(dict.remove("key 0").unwrap(), Some((0, vec![])));
    assert!(!dict.contains_key("key 0").unwrap());
    let (one, other) = (Some((1, vec![7])), (2, vec![7, 7]));
    assert_eq!(
        dict.get_or_insert("key 1".to_owned(), (9, vec![])).unwrap(),
        one.clone().unwrap()
    );
    assert_eq!(
        dict.get_many(["key 1", "none", "key 2"]).unwrap(),
        [one, None, Some(other)]
    );
    let keys: Vec<String> = dict.iter().map(|entry| entry.unwrap().0).collect();
    let expected: Vec<String> = (1..100).map(|number| format!("key {number}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(dict.len().unwrap(), 99);
    let refused = dict
        .compare_exchange("key 2".to_owned(), None, None)
        .unwrap();
    assert_eq!(refused, Err(Some((2, vec![7, 7]))));
    dict.compare_exchange("key 2".to_owned(), Some(&(2, vec![7, 7])), None)
        .unwrap()
        .unwrap();
    assert_eq!(dict.len().unwrap(), 98);
    dict.clear().unwrap();
    assert!(dict.is_empty().unwrap());
}

pub(crate) fn a_list_is_changed_as_a_whole_at_one_moment() {
    let manager = manager();
    let list: List<i32> = manager.list().unwrap();
    list.extend([5, 3, 9, 1]).unwrap();
    list.insert(1, 4).unwrap();
    assert_eq!(
        list.insert(6, 0).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(list.snapshot().unwrap(), [5, 4, 3, 9, 1]);
    assert_eq!(list.set(0, &6).unwrap(), 5);
    assert_eq!(list.set(5, &6).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(list.position(&9).unwrap(), Some(3));
    assert_eq!(list.position(&5).unwrap(), None);
    list.reverse().unwrap();
    assert_eq!(list.get_range(1, 3).unwrap(), [9, 3, 4]);
    // Somebody else changes it between the copy and the new one: it is done again.
    let mut calls = 0;
    list.update(|numbers| {
        calls += 1;
        if calls == 1 {
            list.push(7).unwrap();
        }
        numbers.sort_unstable();
    })
    .unwrap();
    assert_eq!(
        (calls, list.snapshot().unwrap()),
        (2, vec![1, 3, 4, 6, 7, 9])
    );
    assert_eq!(list.pop().unwrap(), Some(9));
    assert_eq!(list.remove(0).unwrap(), 1);
    assert_eq!(list.compare_exchange(0, &2, &0).unwrap(), Err(Some(3)));
    list.compare_exchange(0, &3, &0).unwrap().unwrap();
    assert_eq!(list.get(0).unwrap(), Some(0));
    list.truncate(1).unwrap();
    assert_eq!(list.len().unwrap(), 1);
}

pub(crate) fn updates_of_many_processes_are_not_lost() {
    const TIMES: u64 = 200;
    fn work((dict, value): (Dict<u8, u64>, Value<u64>)) {
        for _ in 0..TIMES {
            dict.update(3, |count| *count.get_or_insert(0) += 1)
                .unwrap();
            value.update(|count| *count += 1).unwrap();
        }
    }
    let manager = manager();
    let (dict, value) = (manager.dict().unwrap(), manager.value(&0).unwrap());
    let mut workers: Vec<_> = (0..4)
        .map(|_| process::spawn(work, (dict.clone(), value.clone())).unwrap())
        .collect();
    for worker in &mut workers {
        worker.join().unwrap();
    }
    assert_eq!(dict.get(&3).unwrap(), Some(4 * TIMES));
    assert_eq!(value.get().unwrap(), 4 * TIMES);
}

pub(crate) fn iteration_takes_chunks() {
    let manager = manager();
    let list: List<Vec<u8>> = manager.list().unwrap();
    list.extend((0..300).map(|number| vec![number as u8; 1000]))
        .unwrap();
    // Longer than what an iterator has at once.
    list.push(vec![1; 200_000]).unwrap();
    let lengths: Vec<usize> = list.iter().map(|value| value.unwrap().len()).collect();
    assert_eq!((lengths.len(), lengths[300]), (301, 200_000));
    let dict: Dict<u32, Vec<u8>> = manager.dict().unwrap();
    dict.extend((0..300).map(|number| (number, vec![0; 1000])))
        .unwrap();
    let mut seen = Vec::new();
    for entry in dict.iter() {
        let (key, _) = entry.unwrap();
        // What is removed meanwhile may be left out, and nothing is there twice.
        if key == 10 {
            (11..290).for_each(|key| drop(dict.remove(&key).unwrap()));
            dict.insert(1000, vec![]).unwrap();
        }
        seen.push(key);
    }
    assert!(seen.is_sorted() && seen.len() < 200, "{seen:?}");
    assert_eq!(seen.last(), Some(&1000));
}

pub(crate) fn a_queue_is_bounded_and_joined() {
    let manager = manager();
    let queue = manager.bounded_queue::<u32>(2).unwrap();
    queue.send(1).unwrap();
    queue.send(2).unwrap();
    assert_eq!(queue.try_send(3), Err(TrySendError::Full(3)));
    let late = queue.send_timeout(3, Duration::from_millis(10));
    assert!(matches!(late, Err(SendTimeoutError::Timeout(3, ..))));
    let sender = queue.clone();
    let sends = std::thread::spawn(move || sender.send_many(3..100));
    let mut received = Vec::new();
    let first = queue.recv_delivery().unwrap();
    received.push(*first);
    received.extend((2..100).map(|_| queue.recv().unwrap()));
    assert_eq!(received, (1..100).collect::<Vec<_>>());
    assert_eq!(sends.join().unwrap().unwrap(), 97);
    assert!(queue.try_join().unwrap_err().is_would_block());
    assert!(
        queue
            .join_timeout(Duration::from_millis(10))
            .unwrap_err()
            .is_timeout()
    );
    first.ack().unwrap();
    queue.join().unwrap();
    // What is given back comes first, and says so.
    queue.send(7).unwrap();
    queue.send(8).unwrap();
    queue.recv_delivery().unwrap().requeue().unwrap();
    let again = queue.recv_delivery().unwrap();
    assert_eq!((*again, again.is_redelivered()), (7, true));
    drop(again);
    assert_eq!(queue.recv().unwrap(), 7);
    let other = queue.recv_delivery().unwrap();
    assert_eq!((*other, other.is_redelivered()), (8, false));
    other.ack().unwrap();
}

pub(crate) fn a_wait_that_gave_up_has_taken_nothing() {
    let manager = manager();
    let queue = manager.queue::<u32>().unwrap();
    let sender = queue.clone();
    std::thread::scope(|threads| {
        threads.spawn(|| (0..500).for_each(|number| sender.send(number).unwrap()));
        let mut next = 0;
        while next < 500 {
            match queue.recv_timeout(Duration::from_micros(50)) {
                Ok(number) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                Err(error) => assert!(matches!(error, RecvTimeoutError::Timeout(..))),
            }
        }
    });
    queue.join_timeout(LONG).unwrap();
}

pub(crate) fn events_wake_all() {
    let manager = manager();
    let event = manager.event().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..10 {
            threads.spawn(|| event.wait_timeout(LONG).unwrap());
        }
        event.set().unwrap();
    });
    assert!(event.is_set().unwrap());
    event.clear().unwrap();
    assert!(event.try_wait().unwrap_err().is_would_block());
}

pub(crate) fn values_that_cannot_be_kept_are_refused() {
    let manager = manager();
    let list: List<procession::Handle<std::os::fd::OwnedFd>> = manager.list().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = list.push(procession::Handle::new(file.into())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let long: List<Vec<u8>> = manager.list().unwrap();
    let error = long.push(vec![0; 65 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    // The connection goes on, and a value at the limit is one.
    long.push(vec![1; 8 << 20]).unwrap();
    assert_eq!(long.get(0).unwrap().unwrap().len(), 8 << 20);
}

pub(crate) fn many_threads_share_one_connection() {
    let manager = manager();
    let value = manager.value(&0u64).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| {
                for _ in 0..100 {
                    value.update(|count| *count += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(value.get().unwrap(), 1600);
    assert_eq!(manager.statistics().unwrap().clients, 1);
}

pub(crate) fn threads_with_long_and_short_calls_do_not_block_each_other() {
    let manager = manager();
    let (long, longer) = (vec![1u8; 1 << 20], vec![2u8; 4 << 20]);
    let (set, get) = (
        manager.value(&long).unwrap(),
        manager.value(&longer).unwrap(),
    );
    let short: Value<u32> = manager.value(&1).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| (0..30).for_each(|_| set.set(&long).unwrap()));
        threads.spawn(|| (0..30).for_each(|_| assert_eq!(get.get().unwrap().len(), 4 << 20)));
        threads.spawn(|| (0..2000).for_each(|_| assert_eq!(short.get().unwrap(), 1)));
        // Calls that are too long fail by themselves, and leave no other thread asleep.
        threads.spawn(|| {
            for _ in 0..3 {
                let error = set.set(&vec![0; 65 << 20]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::LimitReached);
            }
        });
    });
}
