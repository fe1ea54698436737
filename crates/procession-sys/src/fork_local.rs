//! State of one process that a forked copy does not take over.
//!
//! Fork copies memory, but for pages that were advised to be wiped
//! (`MADV_WIPEONFORK`). Such a page holds a word for each value here.
//!
//! # References
//! madvise(2) "MADV_WIPEONFORK"

use crate::Result;
use crate::memory::words_wiped_by_fork;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A value that every process makes for itself, also one that was forked, by
/// whatever means: the copy of its parent's is not touched again, so it does
/// not matter who was changing it at the instant of the fork.
///
/// Meant for statics: a value is never dropped.
#[derive(Debug)]
pub struct ForkLocal<T: 'static> {
    new: fn() -> T,
    /// Address of the value, in memory that a fork wipes.
    place: OnceLock<&'static AtomicU64>,
    value: std::marker::PhantomData<&'static T>,
}

impl<T: Sync> ForkLocal<T> {
    /// Makes a value that `new` initialises when it is first used in a process.
    #[must_use]
    pub const fn new(new: fn() -> T) -> ForkLocal<T> {
        // Values are told apart by their addresses, which those without a size share.
        const { assert!(size_of::<T>() > 0, "a value without a size") };
        ForkLocal {
            new,
            place: OnceLock::new(),
            value: std::marker::PhantomData,
        }
    }

    /// Returns the value of this process.
    ///
    /// # Errors
    /// As [`words_wiped_by_fork`].
    #[inline]
    pub fn get(&self) -> Result<&'static T> {
        let place = match self.place.get() {
            Some(place) => place,
            None => {
                let place = WipedWord::new()?;
                // One more, if two threads are here, is lost.
                self.place.get_or_init(|| place.0);
                std::mem::forget(place);
                return self.get();
            }
        };
        let mut address = place.load(Ordering::Acquire);
        if address == 0 {
            address = self.make(place);
        }
        let pointer = std::ptr::with_exposed_provenance::<T>(address as usize);
        // SAFETY: `make` put it there in this process: it is a leaked box of a
        // `T`, which only shared references are given to.
        Ok(unsafe { &*pointer })
    }

    #[cold]
    fn make(&self, place: &AtomicU64) -> u64 {
        let value = Box::into_raw(Box::new((self.new)()));
        let address = value.expose_provenance() as u64;
        match place.compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => address,
            Err(theirs) => {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(value) });
                theirs
            }
        }
    }

    /// Returns a number that tells this process from all that it was forked from; 0 if the
    /// value has not been used in it.
    #[inline]
    #[must_use]
    pub fn token(&self) -> u64 {
        // The parents' values are never freed, so each has another address.
        self.place
            .get()
            .map_or(0, |place| place.load(Ordering::Relaxed))
    }
}

/// A word that is zero again in a forked copy of the process. It is given back
/// for other uses when dropped.
#[derive(Debug)]
pub struct WipedWord(&'static AtomicU64);

/// Words that nobody uses.
static UNUSED: Mutex<Vec<&'static AtomicU64>> = Mutex::new(Vec::new());

impl WipedWord {
    /// Makes a word that is zero.
    ///
    /// # Errors
    /// As [`words_wiped_by_fork`].
    pub fn new() -> Result<WipedWord> {
        let mut unused = UNUSED.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.is_empty() {
            unused.extend(words_wiped_by_fork()?);
        }
        let word = unused.pop().ok_or(crate::Errno::NOMEM)?;
        word.store(0, Ordering::Relaxed);
        Ok(WipedWord(word))
    }
}

impl std::ops::Deref for WipedWord {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        self.0
    }
}

impl Drop for WipedWord {
    fn drop(&mut self) {
        UNUSED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.0);
    }
}
