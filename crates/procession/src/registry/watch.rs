//! What the watcher sleeps on for others, and how to tell them.

use super::wakers;
use crate::os::eventfd::EventFd;
use procession_sys::futex;
use procession_sys::memory::Word;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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

/// A thread or a future that wants to be told, once, that one of some words is no more
/// what it was.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) number: u64,
    pub(super) words: Vec<(Word, u32)>,
    pub(super) notify: Notify,
}

impl Watch {
    pub(super) fn is_over(&self) -> bool {
        let differs = |(word, seen): &(Word, u32)| word.load(Ordering::SeqCst) as u32 != *seen;
        self.words.iter().any(differs)
    }
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
