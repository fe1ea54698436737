//! Processes in namespaces of their own, as in a container that shares `/dev/shm`: of
//! users, processes, mounts, networks, IPC, times. `/proc` is still that of the others.

use procession::process::{self, Child, Fork};
use rustix::thread::UnshareFlags;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether this process may make namespaces.
pub(crate) fn can_be_had() -> bool {
    let can = start(|| ()).wait().unwrap().success();
    if !can {
        println!("NOT TESTED: no right to make namespaces");
    }
    can
}

/// Runs something in a process that is the first one in its namespaces. Whoever started
/// that ends as badly, and it ends with this process.
pub(crate) fn start(work: impl FnOnce()) -> Child {
    let end = |is_well: bool| process::exit(i32::from(!is_well));
    let end_with_parent =
        || rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            end_with_parent().unwrap();
            let flags = UnshareFlags::NEWUSER
                | UnshareFlags::NEWPID
                | UnshareFlags::NEWNS
                | UnshareFlags::NEWNET
                | UnshareFlags::NEWIPC
                | UnshareFlags::NEWTIME;
            let user = rustix::process::geteuid().as_raw();
            // SAFETY: the process has one thread.
            if unsafe { rustix::thread::unshare_unsafe(flags) }.is_err() {
                end(false);
            }
            std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")).unwrap();
            std::fs::write("/proc/self/timens_offsets", "boottime 100000 0").unwrap();
            match process::fork().unwrap() {
                Fork::Parent(inner) => {
                    // It has what the others are to have.
                    drop(work);
                    end(inner.wait().unwrap().success())
                }
                Fork::Child => {
                    end_with_parent().unwrap();
                    assert_eq!(std::process::id(), 1);
                    end(catch_unwind(AssertUnwindSafe(work)).is_ok())
                }
            }
        }
    }
}
