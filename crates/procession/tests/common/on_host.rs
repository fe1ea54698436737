//! Processes on the hosts of a test.

use procession::process::{self, Child, Fork};
use std::panic::{AssertUnwindSafe, catch_unwind};
use testkit::hosts::Hosts;

/// A process on a host, which ends with an error if what it does panics.
pub(crate) fn start(hosts: &Hosts, host: u8, work: impl FnOnce()) -> Child {
    hosts.on(host, || match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            process::exit(i32::from(outcome.is_err()))
        }
    })
}

/// Blocks until the process has ended, and panics if it did.
pub(crate) fn join(child: Child) {
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}
