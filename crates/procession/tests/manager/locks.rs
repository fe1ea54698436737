//! Locks and meeting points of managers: order, deaths, and waits that give up.

use crate::death::killed;
use crate::{LONG, manager};
use procession::manager::Semaphore;
use procession::process::{self, Fork};
use procession::{ErrorKind, process::exit};
use std::time::Duration;

/// Long enough for a wait to begin.
const SOON: Duration = Duration::from_millis(2);

pub(crate) fn permits_of_a_killed_client_come_back() {
    let manager = manager();
    let semaphore = manager.semaphore(2).unwrap();
    killed(|| {
        std::mem::forget(semaphore.acquire().unwrap());
        std::mem::forget(semaphore.acquire().unwrap());
    });
    let permits = [(); 2].map(|()| semaphore.acquire_timeout(LONG).unwrap());
    assert!(permits[1].token() > permits[0].token() && permits[0].token() > 2);
    // A killed one that waited takes nothing, and one that gave up neither.
    killed(|| assert!(semaphore.acquire_timeout(SOON).unwrap_err().is_timeout()));
    let error = semaphore.try_acquire().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(permits);
    assert_eq!(semaphore.available().unwrap(), 2);
    // What a forked child drops or forgets is not its own.
    let permit = semaphore.acquire().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            permit.forget().unwrap();
            assert_eq!(semaphore.available().unwrap(), 1);
            exit(0);
        }
        Fork::Parent(child) => assert!(child.wait().unwrap().success()),
    }
    assert_eq!(semaphore.available().unwrap(), 1);
    drop(permit);
    assert_eq!(semaphore.available().unwrap(), 2);
    // With its last proxy, a process gives its permits back.
    let same = manager.semaphore(1).unwrap();
    manager.register("same", &same).unwrap();
    std::mem::forget(same.acquire().unwrap());
    drop(same);
    let same: Semaphore = manager.get("same").unwrap();
    assert_eq!(same.available().unwrap(), 1);
}

pub(crate) fn a_wait_for_a_permit_that_gave_up_has_taken_none() {
    let manager = manager();
    let semaphore = manager.semaphore(0).unwrap();
    const COUNT: usize = 300;
    std::thread::scope(|threads| {
        threads.spawn(|| (0..COUNT).for_each(|_| semaphore.add_permits(1).unwrap()));
        let mut acquired = 0;
        while acquired < COUNT {
            match semaphore.acquire_timeout(Duration::from_micros(50)) {
                Ok(permit) => {
                    permit.forget().unwrap();
                    acquired += 1;
                }
                Err(error) => assert!(error.is_timeout(), "{error}"),
            }
        }
    });
    assert_eq!(semaphore.available().unwrap(), 0);
}

pub(crate) fn guards_outlive_their_manager_without_harm() {
    let manager = manager();
    let semaphore = manager.semaphore(2).unwrap();
    let (one, other) = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
    manager.shutdown().unwrap();
    drop(one);
    assert!(other.forget().is_err());
    assert!(semaphore.acquire().is_err());
}
