//! The memory that a pool shares with its workers, with other words in it than either
//! side wrote: results, or errors, and always an end.

use crate::increment;
use procession::pool::{Pool, Stderr, TaskHandle};
use std::fs::{File, read_dir};
use std::os::unix::fs::FileExt;
use std::time::Duration;
use testkit::random::Random;

/// Bytes of words in front of the rings, and those of the doorbell.
const WORDS: u64 = 1056 * 8;
const DOORBELL: u64 = 16 * 8;

/// As long as nobody waits who will ever be answered.
const FOREVER: Duration = Duration::from_secs(60);

/// The memory of a name that a process shares with its pool.
fn memory_of(pid: u32, name: &str) -> Option<File> {
    let descriptors = read_dir(format!("/proc/{pid}/fd")).ok()?;
    let name = format!("/memfd:{name} (deleted)");
    let has_name = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|target| target.as_os_str() == &*name)
    };
    let mut paths = descriptors.filter_map(|entry| Some(entry.ok()?.path()));
    let path = paths.find(has_name)?;
    File::options().read(true).write(true).open(path).ok()
}

/// Changes one word of a worker's. Whether the worker was there.
fn change_a_word(pool: &Pool, random: &mut Random) -> bool {
    let pids = pool.pids();
    let (name, length) = match random.below(8) {
        0 => ("procession-pool-doorbell", DOORBELL),
        _ => ("procession-pool", WORDS),
    };
    let Some(pid) = pids
        .first()
        .map(|_| pids[random.below(pids.len() as u64) as usize])
    else {
        return false;
    };
    let Some(memory) = memory_of(pid, name) else {
        return false;
    };
    // Most slots are not in use.
    let place = match random.below(4) {
        0 => random.below(length / 8),
        1 => random.below(length.min(48 * 8) / 8),
        _ => random.below(length.min(28 * 8) / 8),
    } * 8;
    let mut bytes = [0; 8];
    if memory.read_exact_at(&mut bytes, place).is_err() {
        return false;
    }
    let old = u64::from_ne_bytes(bytes);
    let new = match random.below(7) {
        0 => 0,
        1 => u64::MAX,
        2 => old.wrapping_add(1),
        3 => old.wrapping_sub(1),
        4 => old.wrapping_add(8 * random.below(16)),
        5 => old ^ 1 << random.below(64),
        _ => random.below(u64::MAX),
    };
    memory.write_all_at(&new.to_ne_bytes(), place).is_ok()
}

/// A result is the right one; a failure says something.
fn answered(pool: &Pool, mut task: TaskHandle<u64>, argument: u64) -> bool {
    match task.join_timeout(FOREVER) {
        Ok(Ok(value)) => assert_eq!(value, argument + 1),
        Ok(Err(error)) => assert!(!error.to_string().is_empty()),
        Err(error) => panic!("{error}: {:?}", pool.stats()),
    }
    true
}

fn doze(x: u64) -> u64 {
    std::thread::sleep(Duration::from_micros(300));
    x + 1
}

pub(crate) fn whatever_a_word_becomes_there_is_an_answer() {
    let new = || {
        let pool = Pool::builder().workers(2).stderr(Stderr::Keep);
        pool.build().unwrap()
    };
    let (mut pool, mut random) = (new(), Random::new());
    let mut changed = 0;
    while changed < 300 {
        let quick: Vec<_> = (0..6).map(|n| pool.spawn(increment, n)).collect();
        let slow: Vec<_> = (0..6).map(|n| pool.spawn(doze, n)).collect();
        let timed = (0..2).map(|n| pool.calls(increment).timeout(FOREVER).spawn(n));
        let timed: Vec<_> = timed.collect();
        std::thread::sleep(random.moment(Duration::from_millis(1)));
        changed += u32::from(change_a_word(&pool, &mut random));
        let mut is_over = false;
        for tasks in [quick, slow, timed] {
            for (argument, task) in (0..).zip(tasks) {
                is_over |= !task.is_ok_and(|task| answered(&pool, task, argument));
            }
        }
        // Many, of which each has its own result.
        let calls = pool.calls(increment).chunk_size(16).retries(20);
        let mut results = calls.imap(0..100);
        changed += u32::from(change_a_word(&pool, &mut random));
        let mut next = 1;
        while let Some(result) = results.next_timeout(FOREVER).unwrap() {
            match result {
                Ok(value) => assert_eq!(value, next),
                Err(_) => is_over |= pool.call(increment, 1).is_err(),
            }
            next += 1;
        }
        drop(results);
        if is_over {
            // Too many workers have died before they had begun.
            std::mem::replace(&mut pool, new()).terminate();
        }
    }
    // Another pool, or this one without what was changed: it works.
    pool.pids().into_iter().for_each(|pid| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    });
    let results = pool.calls(increment).retries(5).map(0..100).unwrap();
    assert!(results.into_iter().eq(1..=100));
    pool.join();
}

pub(crate) fn a_word_that_hides_a_result_is_written_again() {
    // Those that say how far a worker has come, and whether it is ready.
    for word in [8, 9, 10, 11, 14] {
        for value in [0, 1, u64::MAX, u64::MAX / 2] {
            let pool = Pool::builder().workers(1).stderr(Stderr::Keep).build();
            let pool = pool.unwrap();
            for _ in 0..5 {
                assert_eq!(pool.call(increment, 1).unwrap(), 2);
            }
            let memory = memory_of(pool.pids()[0], "procession-pool").unwrap();
            let task = pool.spawn(doze, 1).unwrap();
            let bytes = u64::to_ne_bytes(value);
            memory.write_all_at(&bytes, word * 8).unwrap();
            answered(&pool, task, 1);
            memory.write_all_at(&bytes, word * 8).unwrap();
            answered(&pool, pool.spawn(increment, 7).unwrap(), 7);
            pool.join();
        }
    }
}
