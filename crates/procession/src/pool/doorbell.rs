//! The doorbell that workers ring when they have written results: its memory, and
//! sleeping. How its words are changed is [`procession_core::doorbell`]'s.

use super::sleep::Sleeper;
use crate::os::memfd::{MemFd, Seals};
use crate::{Error, ErrorKind, Result};
use procession_core::doorbell::RawDoorbell;
use procession_sys::memory::{Region, Words};
use std::sync::Arc;
use std::time::Duration;

pub(super) use procession_core::doorbell::Eagerness;

const RUNG: usize = 0;
const EAGER: usize = 8;
const LAZY: usize = 9;
const FORCED: usize = 10;
const WORDS: usize = 16;

/// Wakes the threads of a pool's process that wait for results.
#[derive(Clone, Debug)]
pub(super) struct Doorbell(Words);

impl Doorbell {
    /// Makes one, and the file to give to workers.
    pub(super) fn create() -> Result<(Doorbell, MemFd)> {
        let file = MemFd::create("procession-pool-doorbell", WORDS * 8)?;
        file.seal(Seals::FIXED_SIZE)?;
        Ok((Doorbell::open(&file)?, file))
    }

    /// The same one, in a worker.
    pub(super) fn open(file: &MemFd) -> Result<Doorbell> {
        let region: Arc<Region> = Arc::new(file.map()?);
        let words = Words::at(&region, 0, WORDS);
        let words =
            words.ok_or_else(|| Error::new(ErrorKind::Corrupt, "opening doorbell of pool", ""))?;
        Ok(Doorbell(words))
    }

    #[inline]
    fn raw(&self) -> RawDoorbell<'_> {
        RawDoorbell {
            rung: &self.0[RUNG],
            eager: &self.0[EAGER],
            lazy: &self.0[LAZY],
            forced: &self.0[FORCED],
        }
    }

    /// Wakes all waiters.
    pub(super) fn ring(&self) {
        self.raw().ring(&Sleeper::SHORT);
    }

    /// Wakes the waiters that want to be woken after a batch, or when its worker has
    /// nothing left to do; to be called after results were written.
    #[inline]
    pub(super) fn ring_after_batch(&self, is_idle: bool) {
        self.raw().ring_after_batch(is_idle, &Sleeper::SHORT);
    }

    /// Returns how often it was rung; to be called before the waiter looks for what it
    /// waits for.
    pub(super) fn rung(&self) -> u64 {
        self.raw().rung()
    }

    /// Waits until `ready`, or until the doorbell is rung once more than `seen`, at most
    /// `timeout`; it may return before for no reason.
    pub(super) fn wait(
        &self,
        seen: u64,
        eagerness: Eagerness,
        ready: impl Fn() -> bool,
        timeout: Duration,
    ) {
        let sleeper = Sleeper {
            timeout,
            // Who wants to be woken late has nothing to learn from how long it slept.
            learns: eagerness == Eagerness::Eager,
        };
        self.raw().wait(seen, eagerness, ready, &sleeper);
    }
}
