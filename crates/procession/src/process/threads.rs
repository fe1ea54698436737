//! How many threads the process has, and how many of them are the library's own.

use super::reaper;
use crate::error::Context;
use crate::{Error, ErrorKind, Result, registry};
use procession_sys::process as sys;
use std::time::Instant;

/// Refuses unless the calling thread is the only one, but for our own, as long as
/// they have nothing to do.
pub(super) fn require_single_thread(deadline: Instant) -> Result<()> {
    let ours = own_threads();
    if ours == 0 && sys::is_single_threaded() == Ok(true) {
        return Ok(());
    }
    // A thread that was just joined is still in the kernel's list for a
    // moment: look again before refusing.
    loop {
        let (threads, ours) = (count_threads()?, own_threads());
        if threads <= 1 + ours {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::new(ErrorKind::MultiThreaded, "forking", "")
                .because(format!(
                    "the process has {} threads{}",
                    threads.saturating_sub(ours),
                    match registry::wakers::lock() {
                        Some(wakers) if wakers.busy() > 0 => ", one of which calls a waker",
                        _ => "",
                    }
                ))
                .with_hint("fork before starting threads"));
        }
        std::thread::yield_now();
    }
}

fn count_threads() -> Result<usize> {
    let path = "/proc/self/task";
    // The kernel gives this directory a link for each thread, beside the two
    // that every directory has: one call instead of reading it.
    let status = rustix::fs::stat(path).during("counting threads", path)?;
    if let Some(threads @ 1..) = usize::try_from(status.st_nlink)
        .ok()
        .and_then(|links| links.checked_sub(2))
    {
        return Ok(threads);
    }
    Ok(std::fs::read_dir(path)
        .during("counting threads", path)?
        .count())
}

/// Returns `true` if there is no other thread but our own, which have nothing to do.
pub(super) fn is_alone() -> bool {
    sys::is_single_threaded() == Ok(true)
        || count_threads().is_ok_and(|threads| threads <= 1 + own_threads())
}

/// The reaper, the watcher and those that wait to call wakers, as far as they run.
fn own_threads() -> usize {
    let reaper = usize::from(reaper::lock().has_thread());
    let watcher = registry::watcher::lock().map_or(0, |watcher| watcher.count());
    let wakers = registry::wakers::lock().map_or(0, |wakers| wakers.count());
    reaper + watcher + wakers
}
