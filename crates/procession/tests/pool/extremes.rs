//! Durations and numbers up to what their types hold.

use crate::increment;
use procession::ErrorKind;
use procession::pool::{Builder, Pool, Stderr};
use std::time::Duration;

/// The longest, the longest that is a point in time or nearly one, and one beyond.
const LONG: [Duration; 4] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(i64::MAX as u64 / 2),
];

fn fail(x: u64) -> u64 {
    assert_ne!(x, 3, "not this one");
    x + 1
}

pub(crate) fn no_duration_is_too_long() {
    for long in LONG {
        let builders: [Builder; 3] = [
            Pool::builder().idle_timeout(long),
            Pool::builder().start_timeout(long),
            Pool::builder().start_timeout(long).idle_timeout(long),
        ];
        for builder in builders {
            let pool = builder.workers(1).build().unwrap();
            assert_eq!(pool.map(increment, 0..3).unwrap(), [1, 2, 3]);
            pool.join();
        }
        let pool = Pool::builder().workers(1).stderr(Stderr::Keep);
        let pool = pool.build().unwrap();
        let calls = || pool.calls(increment).timeout(long).notice_after(long);
        assert_eq!(calls().map(0..3).unwrap(), [1, 2, 3]);
        assert_eq!(calls().backoff(long).imap(0..3).count(), 3);
        assert_eq!(calls().backoff(long).call(1).unwrap(), 2);
        let mut spawned = calls().spawn(1).unwrap();
        assert_eq!(spawned.join_timeout(long).unwrap().unwrap(), 2);
        let mut results = pool.imap(increment, 0..2);
        assert!(results.next_timeout(long).unwrap().unwrap().is_ok());
        // It waits for ever for its second attempt, and in nobody's way.
        let mut waiting = pool.calls(fail).retries(1).backoff(long).spawn(3).unwrap();
        testkit::eventually("it waits", || pool.stats().queued == 1);
        assert_eq!(pool.map(increment, 0..3).unwrap(), [1, 2, 3]);
        assert!(waiting.try_join().is_err());
        waiting.cancel();
        assert!(waiting.join().unwrap_err().is_cancelled());
        let slow = |()| std::thread::sleep(Duration::from_millis(20));
        let task = pool.spawn(slow, ()).unwrap();
        task.cancel_after(long);
        drop(task.join());
        pool.join();
    }
}

pub(crate) fn no_number_is_too_large() {
    for workers in [usize::MAX, usize::MAX / 2, 1 << 32, (1 << 15) + 1] {
        let error = Pool::builder().workers(workers).lazy().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&workers.to_string()), "{error}");
        let pool = Pool::builder().workers(1).lazy().build().unwrap();
        let error = pool.resize(workers).unwrap_err();
        assert_eq!((error.kind(), pool.workers()), (ErrorKind::InvalidInput, 1));
    }
    let pool = Pool::builder()
        .workers(1)
        .max_tasks_per_worker(u64::MAX)
        .recycle_above(u64::MAX)
        .memory_limit(u64::MAX)
        .max_depth(u32::MAX)
        .stderr(Stderr::Keep)
        .build()
        .unwrap();
    let calls = || {
        let calls = pool.calls(fail).chunk_size(u32::MAX).look_ahead(u64::MAX);
        calls.retries(u32::MAX).retry_if(|_| false)
    };
    for _ in 0..3 {
        let results: Vec<_> = calls().imap(0..5).collect();
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
        assert!(calls().map(10..5000).unwrap().into_iter().eq(11..=5000));
        let largest = calls().map_reduce(u64::max, 10..5000).unwrap();
        assert_eq!(largest, Some(5000));
    }
    for priority in [i32::MIN, i32::MAX] {
        assert_eq!(calls().priority(priority).map(4..6).unwrap(), [5, 6]);
    }
    pool.join();
}
