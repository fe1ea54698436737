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

use super::child::reap;
use rustix::event::epoll;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Name of the thread, as `ps -L` shows it.
pub(crate) const THREAD_NAME: &str = "procession-reap";

static ORPHANS: Mutex<Orphans> = Mutex::new(Orphans {
    waiting: Vec::new(),
    epoll: None,
});

/// Children to reap, and the epoll instance that the thread waits on; it is
/// there exactly when the thread is.
#[derive(Debug)]
pub(super) struct Orphans {
    waiting: Vec<OwnedFd>,
    epoll: Option<OwnedFd>,
}

pub(super) fn lock() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orphans {
    /// Whether the thread runs, so that it can be left out of the count.
    pub(super) fn has_thread(&self) -> bool {
        self.epoll.is_some()
    }

    /// In a forked child, where neither thread nor children exist.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
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
    if orphans.epoll.is_none() {
        orphans.epoll = start();
    }
    if let Some(epoll) = &orphans.epoll {
        let key = epoll::EventData::new_u64(pidfd.as_raw_fd().unsigned_abs().into());
        let _ = epoll::add(epoll, &pidfd, key, epoll::EventFlags::IN);
    }
    orphans.waiting.push(pidfd);
}

fn start() -> Option<OwnedFd> {
    let ours = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
    let theirs = ours.try_clone().ok()?;
    // Signals are for the program's own threads.
    let mask = procession_sys::signal::Mask::all().block().ok()?;
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .stack_size(64 * 1024)
        .spawn(move || wait_and_reap(&theirs));
    let _ = mask.install();
    thread.ok().map(|_| ours)
}

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
        for event in &events[..count] {
            let key = event.data.u64();
            let place = orphans
                .waiting
                .iter()
                .position(|pidfd| u64::from(pidfd.as_raw_fd().unsigned_abs()) == key);
            if let Some(place) = place {
                let pidfd = orphans.waiting.swap_remove(place);
                // A forked child may hold a copy of the descriptor, so
                // closing ours would not end the registration.
                let _ = epoll::delete(epoll, &pidfd);
                let _ = reap(pidfd.as_fd());
            }
        }
    }
}
