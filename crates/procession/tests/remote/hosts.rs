//! Managers whose clients are on other hosts.

use crate::{LONG, on_host};
use procession::ErrorKind;
use procession::channel::{Address, Key};
use procession::manager::{Dict, Manager, Mutex, Queue};
use procession::process::Child;
use procession::sync::LockError;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use testkit::hosts::Hosts;

const PORT: u16 = 7100;

/// The shortest time that can be set.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// One host with a manager, and others.
struct Scene {
    hosts: Hosts,
    key: Key,
    lost_after: Duration,
}

impl Scene {
    fn new(lost_after: Duration) -> Option<Scene> {
        let key = Key::generate().unwrap();
        let hosts = Hosts::new(3)?;
        Some(Scene {
            hosts,
            key,
            lost_after,
        })
    }

    /// Starts the manager on host 1.
    fn serve(&self) -> Child {
        let here = Address::tcp((Ipv6Addr::UNSPECIFIED, PORT).into(), self.key.clone());
        let here = here.lost_after(self.lost_after);
        on_host::start(&self.hosts, 1, || Manager::serve(here).unwrap())
    }

    /// Connects by a name or an address of host 1.
    fn connect(&self, name: &str) -> Manager {
        let key = self.key.clone();
        let there = match name.parse::<IpAddr>() {
            Ok(address) => Address::tcp((address, PORT).into(), key),
            Err(_) => Address::tcp_host(name, PORT, key),
        };
        let there = there.lost_after(self.lost_after);
        loop {
            match Manager::connect(there.clone()) {
                Ok(manager) => return manager,
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            }
        }
    }

    fn start(&self, host: u8, work: impl FnOnce()) -> Child {
        on_host::start(&self.hosts, host, work)
    }
}

pub(crate) fn objects_are_used_from_every_host() {
    let Some(scene) = Scene::new(LONG) else {
        return;
    };
    let server = scene.serve();
    let worker = scene.start(3, || {
        let manager = scene.connect("host1-ipv6");
        let jobs: Queue<u64> = manager.get_or_register("jobs", || manager.queue()).unwrap();
        let done: Dict<u64, u64> = manager.get_or_register("done", || manager.dict()).unwrap();
        for _ in 0..100 {
            let job = jobs.recv_delivery().unwrap();
            done.insert(*job, *job * *job).unwrap();
            job.ack().unwrap();
        }
    });
    let client = scene.start(2, || {
        for name in ["host1", "10.0.1.2", "fd00:1::2"] {
            scene.connect(name).names().unwrap();
        }
        let manager = scene.connect("host1");
        let jobs: Queue<u64> = manager.get_or_register("jobs", || manager.queue()).unwrap();
        let done: Dict<u64, u64> = manager.get_or_register("done", || manager.dict()).unwrap();
        jobs.send_many(0..100).unwrap();
        jobs.join_timeout(LONG).unwrap();
        assert_eq!(done.len().unwrap(), 100);
        assert_eq!(done.get(&9).unwrap(), Some(81));
        manager.shutdown().unwrap();
    });
    for child in [worker, client, server] {
        on_host::join(child);
    }
}

/// From host 2 to 3, from there to 1, and back to 2.
pub(crate) fn a_proxy_travels_from_host_to_host() {
    let Some(scene) = Scene::new(LONG) else {
        return;
    };
    let server = scene.serve();
    let way = |manager: &Manager, hop: u8| -> Queue<Queue<u64>> {
        manager
            .get_or_register(&format!("to {hop}"), || manager.queue())
            .unwrap()
    };
    let passing_on = [(3, "host1", 3, 1), (1, "127.0.0.1", 1, 2)].map(|(host, name, from, to)| {
        let scene = &scene;
        scene.start(host, move || {
            let manager = scene.connect(name);
            let queue = way(&manager, from).recv_timeout(LONG).unwrap();
            queue.send(host.into()).unwrap();
            way(&manager, to).send(queue).unwrap();
        })
    });
    let client = scene.start(2, || {
        let manager = scene.connect("host1");
        way(&manager, 3).send(manager.queue().unwrap()).unwrap();
        let queue = way(&manager, 2).recv_timeout(LONG).unwrap();
        assert_eq!((queue.recv().unwrap(), queue.recv().unwrap()), (3, 1));
        manager.shutdown().unwrap();
    });
    on_host::join(client);
    for child in passing_on {
        on_host::join(child);
    }
    on_host::join(server);
}

pub(crate) fn what_a_host_had_that_vanishes_goes_to_another() {
    let Some(scene) = Scene::new(LOST_AFTER) else {
        return;
    };
    let server = scene.serve();
    let (mut holds, says) = std::io::pipe().unwrap();
    let (has_ended, mut ends) = std::io::pipe().unwrap();
    let holder = scene.start(2, || {
        let manager = scene.connect("host1");
        let jobs: Queue<u32> = manager.get_or_register("jobs", || manager.queue()).unwrap();
        let lock: Mutex<u32> = manager
            .get_or_register("lock", || manager.mutex(&1))
            .unwrap();
        jobs.send_many([7, 8]).unwrap();
        let job = jobs.recv_delivery().unwrap();
        let guard = lock.lock().unwrap();
        (&says).write_all(b"!").unwrap();
        (&has_ended).read_exact(&mut [0]).unwrap();
        std::mem::forget((job, guard));
    });
    holds.read_exact(&mut [0]).unwrap();
    scene.hosts.cut(2);
    let heir = scene.start(3, || {
        let manager = scene.connect("host1");
        let lock: Mutex<u32> = manager.get("lock").unwrap();
        let jobs: Queue<u32> = manager.get("jobs").unwrap();
        let guard = match lock.lock_timeout(LONG) {
            Err(LockError::OwnerDied(guard)) => guard,
            other => panic!("{other:?}"),
        };
        assert_eq!((*guard, guard.token()), (1, 2));
        for expected in [(7, true), (8, false)] {
            let job = jobs.recv_delivery_timeout(LONG).unwrap();
            assert_eq!((*job, job.is_redelivered()), expected);
            job.ack().unwrap();
        }
        drop(guard);
        manager.shutdown().unwrap();
    });
    on_host::join(heir);
    on_host::join(server);
    ends.write_all(b"!").unwrap();
    on_host::join(holder);
}

/// What is called meanwhile is done once.
pub(crate) fn a_short_cut_costs_nothing() {
    let Some(scene) = Scene::new(LONG) else {
        return;
    };
    let server = scene.serve();
    let (mut begins, says) = std::io::pipe().unwrap();
    let (is_cut, mut tell) = std::io::pipe().unwrap();
    let client = scene.start(2, || {
        let manager = scene.connect("host1");
        let jobs: Queue<u64> = manager.queue().unwrap();
        let lock: Mutex<u64> = manager.mutex(&0).unwrap();
        for round in 0..5 {
            let mut guard = lock.lock().unwrap();
            (&says).write_all(b"!").unwrap();
            (&is_cut).read_exact(&mut [0]).unwrap();
            // It arrives when the link is there again, which it may be already.
            jobs.send(round).unwrap();
            *guard += 1;
        }
        for round in 0..5 {
            assert_eq!(jobs.recv_timeout(LONG), Ok(round));
        }
        assert!(jobs.try_recv().is_err());
        assert_eq!(*lock.lock().unwrap(), 5);
        manager.shutdown().unwrap();
    });
    for _ in 0..5 {
        begins.read_exact(&mut [0]).unwrap();
        scene.hosts.cut(2);
        tell.write_all(b"!").unwrap();
        scene.hosts.mend(2);
    }
    on_host::join(client);
    on_host::join(server);
}

pub(crate) fn a_manager_that_was_restarted_is_another_one() {
    let Some(scene) = Scene::new(LONG) else {
        return;
    };
    let server = scene.serve();
    let (mut begins, says) = std::io::pipe().unwrap();
    let (is_killed, mut tell) = std::io::pipe().unwrap();
    let client = scene.start(2, || {
        let manager = scene.connect("host1");
        let jobs: Queue<u32> = manager.queue().unwrap();
        (&says).write_all(b"!").unwrap();
        (&is_killed).read_exact(&mut [0]).unwrap();
        assert!(jobs.send(1).is_err());
        let manager = scene.connect("host1");
        // What the killed one had is gone, and no other object is taken for it.
        let other: Queue<u32> = manager.queue().unwrap();
        assert!(jobs.send(1).is_err());
        assert!(other.is_empty().unwrap());
        manager.shutdown().unwrap();
    });
    begins.read_exact(&mut [0]).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let server = scene.serve();
    tell.write_all(b"!").unwrap();
    on_host::join(client);
    on_host::join(server);
}
