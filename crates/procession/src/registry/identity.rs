//! Which process has a place: for people, and as a second opinion where the
//! kernel could not mark the place.

use super::PID;
use crate::Result;
use crate::error::Context;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};
use std::sync::atomic::{AtomicU64, Ordering};

const NAMESPACE: usize = 32;
const PIDFS: usize = 40;
const STARTED: usize = 48;

/// A process that uses a shared object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its number, in its own namespace of pids.
    pub pid: u32,
    /// Whether that is also our namespace.
    pub in_our_namespace: bool,
    /// Whether it lives.
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
    /// another one is proof of another process.
    started: u64,
}

impl Identity {
    pub(super) fn of_this_process() -> Result<Identity> {
        let operation = "looking at own process";
        let me = rustix::process::getpid();
        Ok(Identity {
            pid: me.as_raw_nonzero().get().cast_unsigned(),
            generation: 0,
            namespace: own_namespace().unwrap_or(0),
            pidfs: match rustix::process::pidfd_open(me, PidfdFlags::empty()) {
                Ok(pidfd) => pidfs_inode(&pidfd),
                Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => 0,
                Err(errno) => return Err(errno).during(operation, ""),
            },
            started: start_time(me).unwrap_or(0),
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

    /// Whether there is proof that it has ended.
    pub(super) fn has_ended(&self) -> bool {
        // What another process wrote there may be no number of a process.
        let pid = i32::try_from(self.pid).ok().filter(|&pid| pid > 0);
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            return false;
        };
        if !self.is_in_our_namespace() {
            return false;
        }
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => true,
            Err(_) => false,
            Ok(pidfd) => {
                let other = pidfs_inode(&pidfd);
                if self.pidfs != 0 && other != 0 && self.pidfs != other {
                    return true;
                }
                if self.started != 0
                    && start_time(pid).is_some_and(|started| started != self.started)
                {
                    return true;
                }
                let mut poll = [rustix::event::PollFd::new(
                    &pidfd,
                    rustix::event::PollFlags::IN,
                )];
                let now = rustix::time::Timespec::default();
                // Readable when it has ended and was not reaped.
                rustix::event::poll(&mut poll, Some(&now)) == Ok(1)
            }
        }
    }

    pub(super) fn participant(&self, alive: bool) -> Participant {
        Participant {
            pid: self.pid,
            in_our_namespace: self.is_in_our_namespace(),
            alive,
        }
    }
}

fn own_namespace() -> Option<u64> {
    let status = rustix::fs::stat("/proc/self/ns/pid").ok()?;
    Some(status.st_ino)
}

/// The inode of a pidfd, where it has one of its own.
fn pidfs_inode(pidfd: &rustix::fd::OwnedFd) -> u64 {
    /// `PID_FS_MAGIC`
    const PIDFS_MAGIC: i64 = 0x5049_4446;
    let is_pidfs = rustix::fs::fstatfs(pidfd).is_ok_and(|system| system.f_type == PIDFS_MAGIC);
    match rustix::fs::fstat(pidfd) {
        Ok(status) if is_pidfs => status.st_ino,
        _ => 0,
    }
}

/// The 22nd field of stat(5).
fn start_time(pid: Pid) -> Option<u64> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 1024];
    let length = rustix::io::read(&file, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    let fields = text.rsplit_once(") ")?.1;
    fields.split(' ').nth(19)?.parse().ok()
}
