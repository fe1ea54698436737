//! Reaping children whose handles were dropped.
//!
//! One thread, started when the first running child is dropped, waits for all
//! of them. Two rules keep it out of the way of [`fork`](super::fork), which
//! otherwise refuses a process with several threads:
//!
//! - Whatever the thread does beyond waiting in the kernel, it does while
//!   holding the lock of [`Orphans`], and `fork` holds that lock across the
//!   fork: at that instant the thread holds nothing else, libc's allocator
//!   locks included.
//! - The child forgets the orphans: they are not its children.

use super::wait::reap;
use crate::{Deadline, poll};
use procession_sys::Errno;
use rustix::event::epoll;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the thread, as `ps -L` shows it.
pub(crate) const THREAD_NAME: &str = "procession-reap";

static ORPHANS: Mutex<Orphans> = Mutex::new(Orphans {
    waiting: Vec::new(),
    expected: Vec::new(),
    epoll: None,
});

/// Children to reap, and the epoll instance that the thread waits on; it is
/// there exactly when the thread is.
#[derive(Debug)]
pub(super) struct Orphans {
    waiting: Vec<OwnedFd>,
    /// Children of a server, which are ours to reap if that is killed.
    expected: Vec<OwnedFd>,
    epoll: Option<OwnedFd>,
}

pub(super) fn lock() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orphans {
    /// Returns `true` if the thread runs, so that it can be left out of the count.
    pub(super) fn has_thread(&self) -> bool {
        self.epoll.is_some()
    }

    /// Reaps those of the children that have ended and are `wanted`.
    fn reap_ended(&mut self, wanted: impl Fn(u64) -> bool) {
        let Orphans {
            waiting,
            expected,
            epoll,
        } = self;
        let keep = |pidfd: &OwnedFd, running: bool| {
            if let (false, Some(epoll)) = (running, epoll.as_ref()) {
                // A forked child may hold a copy of the descriptor, so that
                // closing ours would not end the registration.
                let _ = epoll::delete(epoll, pidfd);
            }
            running
        };
        waiting.retain(|pidfd| {
            let running = !wanted(key(pidfd)) || reap(pidfd.as_fd()) == Ok(None);
            keep(pidfd, running)
        });
        expected.retain(|pidfd| {
            // It has not ended; or it has, and is its server's to reap, which may be
            // killed before it does: that, too, wakes us.
            let is_running = !has_ended(pidfd);
            keep(pidfd, is_running);
            is_running || !is_reaped(pidfd)
        });
    }

    /// Has the thread, which is started if need be, look at a process when it ends.
    fn watch(&mut self, pidfd: &OwnedFd) {
        if self.epoll.is_none() {
            self.epoll = start();
        }
        if let Some(epoll) = &self.epoll {
            let data = epoll::EventData::new_u64(key(pidfd));
            let _ = epoll::add(epoll, pidfd, data, epoll::EventFlags::IN);
        }
    }

    /// In a forked child, where neither thread nor children exist.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.expected.clear();
        self.epoll = None;
    }
}

/// Takes over a running child. If no thread can be had, the child is reaped
/// when the next one is adopted.
pub(super) fn adopt(pidfd: OwnedFd) {
    let mut orphans = lock();
    orphans
        .waiting
        .retain(|orphan| reap(orphan.as_fd()) == Ok(None));
    orphans.watch(&pidfd);
    orphans.waiting.push(pidfd);
}

/// Reaps a child of a server when it has ended, if it has become ours by then.
pub(super) fn expect(pidfd: OwnedFd) {
    let mut orphans = lock();
    orphans
        .expected
        .retain(|pidfd| !has_ended(pidfd) || !is_reaped(pidfd));
    orphans.watch(&pidfd);
    orphans.expected.push(pidfd);
}

/// Returns `true` if a process that has ended is gone altogether; it is reaped if it is
/// ours.
fn is_reaped(pidfd: &OwnedFd) -> bool {
    matches!(reap(pidfd.as_fd()), Ok(Some(_)))
        || procession_sys::signal::send(pidfd.as_fd(), 0) == Err(Errno::SRCH)
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    poll::readable(pidfd, Deadline::NOW).is_ok()
}

/// What an epoll event calls the child.
fn key(pidfd: &OwnedFd) -> u64 {
    u64::from(pidfd.as_raw_fd().unsigned_abs())
}

fn start() -> Option<OwnedFd> {
    let ours = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
    let theirs = ours.try_clone().ok()?;
    // Signals are for the program's own threads.
    let mask = procession_sys::signal::Mask::all().block().ok()?;
    READY.store(false, Ordering::Relaxed);
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            READY.store(true, Ordering::Release);
            wait_and_reap(&theirs);
        });
    let _ = mask.install();
    thread.ok()?;
    // Starting a thread allocates and locks in the thread itself, which must
    // not coincide with a fork: our lock is held until that is over.
    while !READY.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    Some(ours)
}

/// The thread has come as far as its loop.
static READY: AtomicBool = AtomicBool::new(false);

fn wait_and_reap(epoll: &OwnedFd) {
    let mut events = [epoll::Event {
        flags: epoll::EventFlags::empty(),
        data: epoll::EventData::new_u64(0),
    }; 16];
    loop {
        let Ok(count) = epoll::wait(epoll, &mut events, None) else {
            continue;
        };
        let mut orphans = lock();
        // An event may be older than the lock: its number may belong to
        // another child by now, which is then asked and goes on waiting.
        let events = &events[..count];
        orphans.reap_ended(|key| events.iter().any(|event| event.data.u64() == key));
    }
}
