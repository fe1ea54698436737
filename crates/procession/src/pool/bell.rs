//! How a pool's workers wake those who wait for results.

use crate::os::memfd::{MemFd, Seals};
use crate::registry::patience;
use crate::{Error, ErrorKind, Result};
use procession_sys::futex;
use procession_sys::memory::{Region, Words};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

const RUNG: usize = 0;
const EAGER: usize = 8;
const LAZY: usize = 9;
const FORCED: usize = 10;
const WORDS: usize = 16;

/// A word on which the threads of the pool's process sleep, with counts of those
/// who want to be woken.
#[derive(Clone, Debug)]
pub(super) struct Bell(Words);

/// When to wake somebody who waits; the sooner, the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Eagerness {
    /// After each batch.
    Eager,
    /// When a worker has nothing left to do.
    Lazy,
    /// When somebody rings for everybody.
    Forced,
}

impl Bell {
    /// Makes one, and the file to give to workers.
    pub(super) fn create() -> Result<(Bell, MemFd)> {
        let file = MemFd::create("procession-pool-bell", WORDS * 8)?;
        file.seal(Seals::FIXED_SIZE)?;
        Ok((Bell::open(&file)?, file))
    }

    pub(super) fn open(file: &MemFd) -> Result<Bell> {
        let region: Arc<Region> = Arc::new(file.map()?);
        let words = Words::at(&region, 0, WORDS);
        let words = words.ok_or_else(|| Error::new(ErrorKind::Corrupt, "opening bell", ""))?;
        Ok(Bell(words))
    }

    /// Wakes everybody.
    pub(super) fn ring(&self) {
        self.0[RUNG].fetch_add(1, Ordering::SeqCst);
        futex::wake(&self.0[RUNG], u32::MAX);
    }

    /// Wakes those who want to be woken after a batch, or when its worker has
    /// nothing left to do; to be called after results were written.
    #[inline]
    pub(super) fn ring_after_batch(&self, is_idle: bool) {
        // SYNC(bell): they count themselves, then look for results; we write
        // results, then look whether they are counted.
        fence(Ordering::SeqCst);
        let wanted = self.0[EAGER].load(Ordering::Relaxed) != 0
            || is_idle && self.0[LAZY].load(Ordering::Relaxed) != 0;
        if wanted {
            self.ring();
        }
    }

    /// How often it was rung; to be asked for before what is to be waited for is
    /// looked for.
    pub(super) fn rung(&self) -> u64 {
        self.0[RUNG].load(Ordering::SeqCst)
    }

    /// Waits until `ready`, until the bell is rung once more than was seen, at most for
    /// a while, or for no reason at all.
    pub(super) fn wait(
        &self,
        seen: u64,
        eagerness: Eagerness,
        ready: impl Fn() -> bool,
        timeout: Duration,
    ) {
        if ready() || eagerness == Eagerness::Eager && patience::look(&ready) {
            return;
        }
        let count = match eagerness {
            Eagerness::Eager => &self.0[EAGER],
            Eagerness::Lazy => &self.0[LAZY],
            Eagerness::Forced => &self.0[FORCED],
        };
        count.fetch_add(1, Ordering::SeqCst);
        // SYNC(bell): see `ring_after_batch`.
        fence(Ordering::SeqCst);
        if !ready() {
            let start = Instant::now();
            let outcome = futex::wait(&[(&self.0[RUNG], seen as u32)], timeout);
            if eagerness == Eagerness::Eager {
                patience::slept(start.elapsed(), outcome.is_ok());
            }
        }
        count.fetch_sub(1, Ordering::SeqCst);
    }
}
