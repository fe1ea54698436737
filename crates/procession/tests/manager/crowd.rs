//! Many threads of one process at one connection, more than there is room for.

use crate::manager;
use procession::manager::{Event, Manager, Value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const THREADS: usize = 8;
const ROUNDS: usize = 60;
/// More than a socket or a ring takes at once.
const LENGTH: usize = 300_000;

/// A manager whose sessions stay with their sockets: it may not create files of this length.
fn without_rings() -> Manager {
    let limits = getrlimit(Resource::Fsize);
    let few = Rlimit {
        current: Some(16 << 10),
        maximum: limits.maximum,
    };
    setrlimit(Resource::Fsize, few).unwrap();
    let manager = manager();
    setrlimit(Resource::Fsize, limits).unwrap();
    manager
}

/// In each round threads send much, and receive much, at once; when they are done, nothing comes any more that could wake one that
/// was forgotten. With `waits`, another thread waits all the time, and reads for all.
fn crowd(manager: &Manager, waits: bool) {
    let end: Event = manager.event().unwrap();
    let large: Vec<Value<String>> = (0..THREADS)
        .map(|_| manager.value(&"-".repeat(LENGTH)).unwrap())
        .collect();
    std::thread::scope(|scope| {
        let end = &end;
        let waiting = waits.then(|| scope.spawn(|| end.wait().unwrap()));
        for round in 0..ROUNDS {
            std::thread::scope(|scope| {
                for (number, value) in large.iter().enumerate() {
                    scope.spawn(move || {
                        if (number + round) % 3 > 0 {
                            value.set(&"-".repeat(LENGTH - round)).unwrap();
                        }
                        assert!(value.get().unwrap().len() > LENGTH - ROUNDS);
                    });
                }
            });
        }
        end.set().unwrap();
        if let Some(waiting) = waiting {
            waiting.join().unwrap();
        }
    });
}

pub(crate) fn a_crowd_at_a_socket_loses_no_wake_up() {
    let manager = without_rings();
    crowd(&manager, false);
    crowd(&manager, true);
}

pub(crate) fn a_crowd_at_a_ring_loses_no_wake_up() {
    let manager = manager();
    crowd(&manager, false);
    crowd(&manager, true);
}
