//! Hosts on one machine: each is a network namespace, and between them is one more, which
//! forwards packets.
//!
//! ```text
//!  host 1 ── in1 ═══ to1 ──┐
//!  host 2 ── in2 ═══ to2 ──┼── between them
//!  host 3 ── in3 ═══ to3 ──┘
//! ```
//!
//! Nothing of it is to be seen outside of the test, and it goes with the last descriptor
//! of the namespaces.
//!
//! # Safety
//! `unsafe` is unshare(2) of the network and of the mounts of the calling thread, which nothing of ours relies on.

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fmt::Write;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Command;

/// Hosts `1..=count` of a network of the test's own.
///
/// They have names as well, `host1`, `host2`, …, for IPv4, and `host1-ipv6`, … for IPv6, which the calling thread and those
/// that it starts afterwards know.
#[derive(Debug)]
pub struct Hosts {
    /// Where the test was started.
    home: OwnedFd,
    between: OwnedFd,
    hosts: Vec<OwnedFd>,
}

impl Hosts {
    /// Makes a network of `count` hosts, up to 250, all of which reach each other. Says that the test cannot be
    /// made, and returns `None`, if this is not root or `ip` of iproute2 is not there.
    ///
    /// # Panics
    /// If the kernel refuses the rest of it.
    #[must_use]
    pub fn new(count: u8) -> Option<Hosts> {
        let home = current();
        let Some(between) = can_be_had().then(new_network).flatten() else {
            println!("NOT TESTED: several hosts, which need root, and `ip` of iproute2");
            return None;
        };
        enter(home.as_fd());
        let mut made = Hosts {
            home,
            between,
            hosts: Vec::new(),
        };
        made.forward();
        for number in 1..=count {
            made.add(number);
        }
        made.give_names();
        Some(made)
    }

    /// The address of a host.
    #[must_use]
    pub fn ipv4(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, host, 2)
    }

    /// The other address of a host.
    #[must_use]
    pub fn ipv6(&self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, host.into(), 0, 0, 0, 0, 0, 2)
    }

    /// Calls `work` on a host: sockets that it opens, threads and processes that it starts are there, and stay
    /// there.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn on<R>(&self, host: u8, work: impl FnOnce() -> R) -> R {
        let host = &self.hosts[usize::from(host) - 1];
        self.within(host.as_fd(), work)
    }

    /// Cuts a host off from all others: what is sent to it and by it is lost, and nobody is told that connections
    /// have ended.
    pub fn cut(&self, host: u8) {
        self.link(host, "down");
    }

    /// Makes a host reachable again.
    pub fn mend(&self, host: u8) {
        self.link(host, "up");
    }

    fn link(&self, host: u8, state: &str) {
        self.within(self.between.as_fd(), || {
            ip(&format!("link set to{host} {state}"));
        });
    }

    fn within<R>(&self, network: BorrowedFd<'_>, work: impl FnOnce() -> R) -> R {
        struct Return<'a>(&'a OwnedFd);
        impl Drop for Return<'_> {
            fn drop(&mut self) {
                enter(self.0.as_fd());
            }
        }
        // Not the home of the test: `within` may be called within another one.
        let before = current();
        let _return = Return(&before);
        enter(network);
        work()
    }

    fn forward(&self) {
        self.within(self.between.as_fd(), || {
            set("ipv4/ip_forward", "1");
            set("ipv6/conf/all/forwarding", "1");
            // A link that is down keeps its addresses, and has them at once when it is up.
            set("ipv6/conf/default/keep_addr_on_down", "1");
            set("ipv6/conf/default/accept_dad", "0");
            ip("link set lo up");
        });
    }

    fn add(&mut self, number: u8) {
        let host = new_network().expect("a network for a host");
        enter(self.home.as_fd());
        let pid = std::process::id();
        self.within(self.between.as_fd(), || {
            ip(&format!(
                "link add to{number} type veth peer name in{number}"
            ));
            ip(&format!("address add 10.0.{number}.1/24 dev to{number}"));
            ip(&format!(
                "address add fd00:{number:x}::1/64 dev to{number} nodad"
            ));
            ip(&format!("link set to{number} up"));
            let path = format!("/proc/{pid}/fd/{}", host.as_raw_fd());
            ip(&format!("link set in{number} netns {path}"));
        });
        self.within(host.as_fd(), || {
            ip("link set lo up");
            ip(&format!("address add 10.0.{number}.2/24 dev in{number}"));
            ip(&format!(
                "address add fd00:{number:x}::2/64 dev in{number} nodad"
            ));
            ip(&format!("link set in{number} up"));
            ip(&format!("route add default via 10.0.{number}.1"));
            ip(&format!("-6 route add default via fd00:{number:x}::1"));
        });
        self.hosts.push(host);
    }

    /// Puts a file of names in the place of the machine's, for this thread and its children.
    fn give_names(&self) {
        // SAFETY: the files that the thread uses are where they were.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("mounts of our own");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("mounts of our own");
        let mut names = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        for number in (1..).take(self.hosts.len()) {
            let (ipv4, ipv6) = (self.ipv4(number), self.ipv6(number));
            writeln!(names, "{ipv4} host{number}\n{ipv6} host{number}-ipv6").expect("a string");
        }
        let file = tempfile::NamedTempFile::new().expect("a file of names");
        std::fs::write(file.path(), names).expect("a file of names");
        mount_bind(file.path(), "/etc/hosts").expect("names of hosts");
    }
}

fn can_be_had() -> bool {
    Command::new("ip").arg("-V").output().is_ok()
}

/// The network of the calling thread.
fn current() -> OwnedFd {
    File::open("/proc/thread-self/ns/net")
        .expect("the network of this thread")
        .into()
}

/// A new network, in which the calling thread is from now on, if it may.
fn new_network() -> Option<OwnedFd> {
    // SAFETY: sockets stay in the network in which they were opened.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.ok()?;
    Some(current())
}

fn enter(network: BorrowedFd<'_>) {
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).expect("another network");
}

fn set(what: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{what}"), value).expect(what);
}

/// Runs `ip`, of iproute2.
fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("ip");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}
