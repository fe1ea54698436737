//! Being told that a word in shared memory has changed: for threads and futures that
//! cannot sleep on it themselves, because they wait for other things, too.
//!
//! The watcher sleeps on the words for them. It rings doorbells itself; wakers, which are
//! other people's code, are called by [`wakers`](super::wakers).

use super::wakers;
use super::watch::Watch;
use super::watcher::{announce_change, started};
use crate::Result;
use procession_sys::memory::Word;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use super::watch::Notify;

/// A watch, as its owner has it.
#[derive(Debug)]
pub(crate) struct Watching(u64);

impl Watching {
    /// Ends it. Returns `true` if it was told before.
    pub(crate) fn end(self) -> bool {
        let number = self.0;
        std::mem::forget(self);
        end_watch(number)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        end_watch(self.0);
    }
}

fn end_watch(number: u64) -> bool {
    let Ok(mut watcher) = started() else {
        return false;
    };
    // What the thread sleeps on, it finds to be too much when it wakes.
    let watches = &mut watcher.watches;
    let place = watches.iter().position(|watch| watch.number == number);
    let ended = place.map(|place| watches.swap_remove(place));
    // A waker that goes is other people's code, and may end others.
    drop(watcher);
    ended.is_none()
}

/// Has somebody told, once, when one of the words, in its lower half, is not as it
/// was seen, or from time to time.
pub(crate) fn watch(words: Vec<(Word, u32)>, notify: Notify) -> Result<Watching> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if let Notify::Waker(_) = notify {
        wakers::start()?;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut watcher = started()?;
    watcher.watches.push(Watch {
        number,
        words,
        notify,
    });
    drop(watcher);
    announce_change();
    Ok(Watching(number))
}
