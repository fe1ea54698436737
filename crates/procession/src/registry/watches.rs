//! Being told that a word in shared memory has changed: for threads and futures that
//! cannot sleep on it themselves, because they wait for other things, too.
//!
//! The watcher sleeps on the words for them. It rings doorbells itself; wakers, which are
//! other people's code, are called by [`wakers`](super::wakers).

use super::wakers;
use super::watcher::{announce_change, started};
use crate::Result;
use crate::os::eventfd::EventFd;
use procession_sys::futex;
use procession_sys::memory::Word;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Whom to tell.
#[derive(Debug)]
pub(crate) enum Notify {
    Doorbell(Arc<EventFd>),
    Waker(Waker),
}

impl Notify {
    /// Runs nobody else's code.
    pub(super) fn notify(self) {
        match self {
            Notify::Doorbell(doorbell) => drop(doorbell.try_add(1)),
            Notify::Waker(waker) => wakers::call(waker),
        }
    }
}

/// Somebody who wants to be told, once, that one of some words is no more what it
/// was.
#[derive(Debug)]
pub(super) struct Watch {
    number: u64,
    pub(super) words: Vec<(Word, u32)>,
    pub(super) notify: Notify,
}

impl Watch {
    pub(super) fn is_over(&self) -> bool {
        let differs = |(word, seen): &(Word, u32)| word.load(Ordering::SeqCst) as u32 != *seen;
        self.words.iter().any(differs)
    }
}

/// A watch, as its owner has it.
#[derive(Debug)]
pub(crate) struct Watching(u64);

impl Watching {
    /// Ends it. Whether it was told before.
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

/// Wakes others in place of those whose watches ended while the watcher slept for
/// them, and may have been woken for them.
pub(super) fn pass_on(slept_on: &[(Word, u32)], watches: &[Watch]) {
    for (word, seen) in slept_on {
        let is_same =
            |(other, _): &(Word, u32)| std::ptr::eq(&raw const **other, &raw const **word);
        let is_wanted = || watches.iter().any(|watch| watch.words.iter().any(is_same));
        if word.load(Ordering::Relaxed) as u32 != *seen && !is_wanted() {
            futex::wake(word, 1);
        }
    }
}
