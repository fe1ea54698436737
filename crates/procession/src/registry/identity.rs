//! Which process has a place: for people, and as proof of its end where it could put
//! up no sign of life.

use crate::Result;
use crate::error::Context;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use std::sync::atomic::{AtomicU64, Ordering};

/// Offsets within a place, behind those of [`table`](super::table).
const PID: usize = 24;
const NAMESPACE: usize = 32;
const PIDFS: usize = 40;
const STARTED: usize = 48;

/// A process that uses a shared object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its number, in its own namespace of pids.
    pub pid: u32,
    /// `true` if that is also our namespace.
    pub in_our_namespace: bool,
    /// `true` if it lives.
    pub alive: bool,
}

/// What tells a process from all others, also from later ones with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pid: u32,
    /// Generation of the place that this was written for.
    pub(super) generation: u32,
    /// Inode of the namespace of pids.
    namespace: u64,
    /// Inode of its pidfd, unique until the next boot; 0 before Linux 6.9.
    pidfs: u64,
    /// When it started, in ticks since boot: proof of nothing by itself, but
    /// another one is proof of another process. 0 where the clock of boots is
    /// another one than the machine's, and where there is an inode to go by.
    started: u64,
}

impl Identity {
    pub(super) fn of_this_process() -> Result<Identity> {
        let operation = "looking at own process";
        let me = rustix::process::getpid();
        let pidfs = match rustix::process::pidfd_open(me, PidfdFlags::empty()) {
            Ok(pidfd) => pidfs_inode(&pidfd),
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => 0,
            Err(errno) => return Err(errno).during(operation, ""),
        };
        let started = (pidfs == 0).then(|| start_time(me)).flatten();
        Ok(Identity {
            pid: me.as_raw_nonzero().get().cast_unsigned(),
            generation: 0,
            namespace: own_namespace().unwrap_or(0),
            pidfs,
            started: started.unwrap_or(0),
        })
    }

    pub(super) fn write<'a>(&self, word: impl Fn(usize) -> &'a AtomicU64, generation: u32) {
        let pid = u64::from(generation) << 32 | u64::from(self.pid);
        word(NAMESPACE).store(self.namespace, Ordering::Relaxed);
        word(PIDFS).store(self.pidfs, Ordering::Relaxed);
        word(STARTED).store(self.started, Ordering::Relaxed);
        // SYNC(identity): the rest is there when the generation is.
        word(PID).store(pid, Ordering::Release);
    }

    pub(super) fn read<'a>(word: impl Fn(usize) -> &'a AtomicU64) -> Identity {
        // SYNC(identity): see `write`.
        let pid = word(PID).load(Ordering::Acquire);
        Identity {
            pid: pid as u32,
            generation: (pid >> 32) as u32,
            namespace: word(NAMESPACE).load(Ordering::Relaxed),
            pidfs: word(PIDFS).load(Ordering::Relaxed),
            started: word(STARTED).load(Ordering::Relaxed),
        }
    }

    fn is_in_our_namespace(&self) -> bool {
        self.namespace != 0 && own_namespace() == Some(self.namespace)
    }

    /// Returns `true` if there is proof that it has ended: that all its threads have. A process
    /// that executed another program has not.
    pub(super) fn has_ended(&self) -> bool {
        // What another process wrote there may be no number of a process.
        let pid = i32::try_from(self.pid).ok().filter(|&pid| pid > 0);
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            return false;
        };
        // A namespace whose inode ours has by now is gone, with all who were in it.
        if !self.is_in_our_namespace() {
            return false;
        }
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => true,
            Err(_) => false,
            Ok(pidfd) => self.is_another(pid, &pidfd) || all_threads_ended(&pidfd),
        }
    }

    /// Returns `true` if what has the number now is another process.
    fn is_another(&self, pid: Pid, pidfd: &OwnedFd) -> bool {
        let other = pidfs_inode(pidfd);
        if self.pidfs != 0 && other != 0 {
            return self.pidfs != other;
        }
        self.started != 0 && start_time(pid).is_some_and(|started| started != self.started)
    }

    pub(super) fn participant(&self, alive: bool) -> Participant {
        Participant {
            pid: self.pid,
            in_our_namespace: self.is_in_our_namespace(),
            alive,
        }
    }
}

/// The inode of our namespace of pids.
fn own_namespace() -> Option<u64> {
    // Without `/proc`, which may be another namespace's (Linux 6.11).
    if let Ok(inode) = procession_sys::process::own_pid_namespace() {
        return Some(inode);
    }
    let status = rustix::fs::stat("/proc/self/ns/pid").ok()?;
    Some(status.st_ino)
}

/// A pidfd can be read when the last thread has ended, reaped or not.
fn all_threads_ended(pidfd: &OwnedFd) -> bool {
    let flags = rustix::event::PollFlags::IN;
    let mut poll = [rustix::event::PollFd::new(pidfd, flags)];
    let now = rustix::time::Timespec::default();
    rustix::event::poll(&mut poll, Some(&now)) == Ok(1)
}

/// The inode of a pidfd, where it has one of its own.
fn pidfs_inode(pidfd: &OwnedFd) -> u64 {
    /// `PID_FS_MAGIC`
    const PIDFS_MAGIC: i64 = 0x5049_4446;
    let is_pidfs = rustix::fs::fstatfs(pidfd).is_ok_and(|system| system.f_type == PIDFS_MAGIC);
    match rustix::fs::fstat(pidfd) {
        Ok(status) if is_pidfs => status.st_ino,
        _ => 0,
    }
}

/// Returns `true` if the clock of boots, as this process sees it, is the machine's: what
/// stat(5) says of starts depends on the process that reads it.
fn has_clock_of_machine() -> bool {
    /// `PROC_TIME_INIT_INO`
    const MACHINE: u64 = 0xeffffffa;
    match rustix::fs::stat("/proc/self/ns/time") {
        Ok(status) => status.st_ino == MACHINE,
        // Before Linux 5.6 there was no other; otherwise we cannot tell.
        Err(_) => rustix::fs::stat("/proc/self/ns/pid").is_ok(),
    }
}

/// The 22nd field of stat(5), where it means the same to all.
fn start_time(pid: Pid) -> Option<u64> {
    if !has_clock_of_machine() {
        return None;
    }
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 1024];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    let fields = text.rsplit_once(") ")?.1;
    fields.split(' ').nth(19)?.parse().ok()
}
