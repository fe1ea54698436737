use crate::{increment, pool};
use procession::pool::Pool;
use procession::{Bytes, process::Signal};

pub(crate) fn large_arguments_and_results_travel() {
    let pool = pool();
    for length in [
        0,
        1,
        1000,
        32_000,
        32_760,
        32_768,
        32_769,
        40_000,
        131_072,
        1 << 20,
        20 << 20,
    ] {
        let reverse = |text: Vec<u8>| text.into_iter().rev().collect::<Vec<u8>>();
        let text: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let back = pool.call(reverse, text.clone()).unwrap();
        assert!(back.iter().rev().eq(&text), "{length} bytes");
        let several = pool.map(reverse, vec![text.clone(); 5]).unwrap();
        assert!(several.iter().all(|back| back.iter().rev().eq(&text)));
    }
    let mixed: Vec<String> = (0..300).map(|n| "y".repeat(n * n)).collect();
    let lengths = pool.map(|text: String| text.len(), mixed).unwrap();
    assert!(lengths.into_iter().eq((0..300).map(|n| n * n)));
}

pub(crate) fn five_gigabytes_travel() {
    let pool = Pool::new(1).unwrap();
    let length = 5 << 30;
    let make = |length: usize| {
        let mut bytes = vec![0; length];
        bytes[length - 1] = 9;
        Bytes::from(bytes)
    };
    let bytes = pool.call(make, length).unwrap();
    assert_eq!((bytes.len(), bytes[length - 1]), (length, 9));
    let look = |bytes: Bytes| (bytes.len(), bytes[bytes.len() - 1]);
    assert_eq!(pool.call(look, bytes).unwrap(), (length, 9));
}

pub(crate) fn many_large_ones_wait() {
    let pool = pool();
    // More than the socket between them takes, and nobody asks.
    let make = |number: u64| vec![number; 10_000];
    let tasks: Vec<_> = (0..700)
        .map(|number| pool.spawn(make, number).unwrap())
        .collect();
    for (number, task) in (0..).zip(tasks) {
        let result = task.join().unwrap();
        assert!(result.len() == 10_000 && result.iter().all(|value| *value == number));
    }
    let take = |values: Vec<u64>| values.iter().sum::<u64>();
    let tasks: Vec<_> = (0..700)
        .map(|number| pool.spawn(take, vec![number; 10_000]).unwrap())
        .collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.join().unwrap(), number * 10_000);
    }
}

pub(crate) fn results_beyond_the_memory_of_a_worker_fail() {
    let pool = Pool::builder()
        .workers(1)
        .memory_limit(300 << 20)
        .build()
        .unwrap();
    let make = |megabytes: usize| vec![1_u8; megabytes << 20];
    assert_eq!(pool.call(make, 10).unwrap().len(), 10 << 20);
    let error = pool.call(make, 500).unwrap_err();
    assert_eq!(error.signal(), Some(Signal::ABRT));
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn thousands_that_wait_need_few_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let pool = pool();
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
    let few = Rlimit {
        current: Some(100),
        maximum: Some(100),
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let sum = |values: Vec<u8>| values.iter().map(|value| u64::from(*value)).sum::<u64>();
    let tasks: Vec<_> = (0..3000)
        .map(|number| pool.spawn(sum, vec![(number % 200) as u8; 40_000]).unwrap())
        .collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.join().unwrap(), number % 200 * 40_000);
    }
    // Results wait in the memory of this process.
    let make = |number: u8| vec![number; 40_000];
    let tasks: Vec<_> = (0..200)
        .map(|number| pool.spawn(make, number).unwrap())
        .collect();
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.join().unwrap(), vec![number; 40_000]);
    }
}
