//! Sessions by shared memory: clients that are killed, stopped, forked or hostile.

use crate::{LONG, manager};
use procession::manager::{Dict, Mutex, Value};
use procession::process::{self, Fork, exit};
use procession::sync::LockError;
use std::time::Duration;
use testkit::random::Random;

/// Enough calls that a connection uses shared memory.
fn warm_up(value: &Value<u64>) {
    (0..200).for_each(|_| assert!(value.get().is_ok()));
}

/// The memory of rings that this process has mapped.
fn mapped() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rings = maps
        .lines()
        .filter(|line| line.contains("memfd:procession-manager"));
    let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
    rings
        .map(|line| {
            let (start, rest) = line.split_once('-').unwrap();
            let (end, _) = rest.split_once(' ').unwrap();
            (number(start), number(end))
        })
        .collect()
}

pub(crate) fn a_client_that_calls_often_uses_shared_memory() {
    let manager = manager();
    let value: Value<u64> = manager.value(&7).unwrap();
    value.get().unwrap();
    assert!(mapped().is_empty(), "one that hardly calls does without");
    warm_up(&value);
    assert_eq!(mapped().len(), 1);
    // Longer than a ring, both ways.
    let long: Value<Vec<u32>> = manager.value(&(0..300_000).collect()).unwrap();
    assert!(long.get().unwrap().into_iter().eq(0..300_000));
    manager.shutdown().unwrap();
    assert_eq!(
        value.get().unwrap_err().kind(),
        procession::ErrorKind::Disconnected
    );
}

pub(crate) fn without_memory_files_calls_go_by_the_socket() {
    // A manager that may not create files of this length.
    let limits = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    let few = rustix::process::Rlimit {
        current: Some(16 << 10),
        maximum: limits.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, few).unwrap();
    let manager = manager();
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limits).unwrap();
    let value: Value<u64> = manager.value(&7).unwrap();
    warm_up(&value);
    assert!(mapped().is_empty());
    assert_eq!(value.get().unwrap(), 7);
}

fn forked(work: impl FnOnce()) -> process::Child {
    match process::fork().unwrap() {
        Fork::Child => {
            work();
            exit(0)
        }
        Fork::Parent(child) => child,
    }
}

pub(crate) fn clients_killed_at_random_harm_no_other() {
    const ROUNDS: u64 = 1000;
    let manager = manager();
    let counter: Value<u64> = manager.value(&0).unwrap();
    let lock: Mutex<(u64, u64)> = manager.mutex(&(0, 0)).unwrap();
    let work = |rounds: u64| {
        for _ in 0..rounds {
            counter.update(|count| *count += 1).unwrap();
            let mut guard = match lock.lock() {
                Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
                Err(error) => panic!("{error}"),
            };
            // The value goes back as a whole or not at all.
            assert_eq!(guard.0, guard.1);
            guard.0 += 1;
            guard.1 += 1;
        }
    };
    let honest = [forked(|| work(ROUNDS)), forked(|| work(ROUNDS))];
    let mut random = Random::new();
    for _ in 0..40 {
        let child = forked(|| work(u64::MAX));
        std::thread::sleep(random.moment(Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for child in honest {
        assert!(child.wait().unwrap().success());
    }
    assert!(counter.get().unwrap() >= 2 * ROUNDS);
    let guard = match lock.lock_timeout(LONG) {
        Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
        Err(error) => panic!("{error}"),
    };
    assert!(guard.0 == guard.1 && guard.0 >= 2 * ROUNDS, "{guard:?}");
    drop(guard);
    testkit::eventually("they have gone", || {
        manager.statistics().unwrap().clients == 1
    });
}

pub(crate) fn a_client_that_scribbles_over_its_rings_harms_itself_only() {
    let manager = manager();
    let value: Value<u64> = manager.value(&7).unwrap();
    let mut random = Random::new();
    for round in 0..60u64 {
        let (mut says, mut heard) = std::io::pipe()
            .map(|(reads, writes)| (writes, reads))
            .unwrap();
        let seed = random.number();
        let child = forked(|| {
            let mut random = Random::seeded(seed);
            // Those of the parent are in this process as well, and not to be touched.
            let of_parent = mapped();
            warm_up(&value);
            let mut own = mapped();
            own.retain(|ring| !of_parent.contains(ring));
            let [(start, end)] = own[..] else {
                panic!("{own:?}: one session uses rings");
            };
            assert!(end - start > 4096);
            let memory = std::fs::File::options().write(true).open("/proc/self/mem");
            let memory = memory.unwrap();
            // The caller may find out, and wait for ever.
            std::io::Write::write_all(&mut says, b"!").unwrap();
            loop {
                let (place, word) = match round % 3 {
                    // Any word of the two rings, of any value.
                    0 => (random.below(512), random.number().to_le_bytes()),
                    // A plausible one.
                    1 => (random.below(8) * 64, random.below(70_000).to_le_bytes()),
                    // The bytes themselves.
                    _ => (4096 + random.below(1000), random.number().to_le_bytes()),
                };
                let place = start as u64 + place;
                std::os::unix::fs::FileExt::write_all_at(&memory, &word, place).unwrap();
                if value.get().is_err() {
                    exit(0);
                }
            }
        });
        drop(says);
        std::io::Read::read_exact(&mut heard, &mut [0]).unwrap();
        for _ in 0..50 {
            assert_eq!(value.get().unwrap(), 7);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    testkit::eventually("they have gone", || {
        manager.statistics().unwrap().clients == 1
    });
}

pub(crate) fn a_child_that_is_forked_amid_calls_has_rings_of_its_own() {
    let manager = manager();
    let counter: Value<u64> = manager.value(&0).unwrap();
    let dict: Dict<u64, u64> = manager.dict().unwrap();
    warm_up(&counter);
    let count = |who: u64| {
        for number in 0..500 {
            counter.update(|count| *count += 1).unwrap();
            dict.insert(who, number).unwrap();
            assert_eq!(dict.get(&who).unwrap(), Some(number));
        }
    };
    let children: Vec<_> = (1..4).map(|who| forked(|| count(who))).collect();
    count(0);
    for child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(counter.get().unwrap(), 4 * 500);
}

pub(crate) fn a_stopped_client_slows_nobody() {
    use rustix::process::{Signal, kill_process};
    let manager = manager();
    let value: Value<u64> = manager.value(&7).unwrap();
    let mut random = Random::new();
    let child = forked(|| {
        loop {
            assert_eq!(value.get().unwrap(), 7);
        }
    });
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    for _ in 0..20 {
        std::thread::sleep(random.moment(Duration::from_millis(10)));
        kill_process(pid, Signal::STOP).unwrap();
        for _ in 0..200 {
            assert_eq!(value.get().unwrap(), 7);
        }
        kill_process(pid, Signal::CONT).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

pub(crate) fn many_calls_need_no_more_memory() {
    let manager = manager();
    let value: Value<u64> = manager.value(&7).unwrap();
    let pages = || -> u64 {
        let family = testkit::watchdog::family(std::process::id());
        let statm = family.into_iter().filter_map(|pid| {
            let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
            statm.split(' ').nth(1)?.parse::<u64>().ok()
        });
        statm.sum()
    };
    warm_up(&value);
    let before = pages();
    for _ in 0..100_000 {
        value.update(|value| *value += 1).unwrap();
    }
    let after = pages();
    assert!(after < before + 256, "{before} pages, then {after}");
}
