//! A flag, and the threads that wait for it.
//!
//! ```text
//!  31                      2   1   0
//! ┌─────────────────────────┬───┬─────┐
//! │ times it was set        │ S │ set │  S: somebody may sleep
//! └─────────────────────────┴───┴─────┘
//! ```
//!
//! By the count, waiting threads see that it was set even if it was cleared again before
//! they looked. Each change is one compare-and-swap: a process that is killed has set it
//! or has not.
//!
//! # References
//! futex(2): the kernel compares the word when a thread falls asleep.

use crate::atomics::{AtomicU64, Ordering, low};
use crate::platform::Losses;
use crate::{Failure, Platform};

const SET: u64 = 1;
const SLEEPERS: u64 = 2;
const ONCE: u64 = 4;

/// The word of an event. All zero is not set.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a>(pub &'a AtomicU64);

impl RawEvent<'_> {
    /// Returns `true` if it is set now.
    #[must_use]
    pub fn is_set(&self) -> bool {
        // SYNC(event): what came before the setting is visible.
        self.0.load(Ordering::Acquire) & SET != 0
    }

    /// Sets it and wakes all waiting threads.
    pub fn set(&self, platform: &impl Platform) {
        let mut word = self.0.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        loop {
            let counted = u64::from(low(word.wrapping_add(ONCE)));
            // SYNC(event): see `is_set`.
            match self.0.compare_exchange_weak(
                word,
                counted & !SLEEPERS | SET,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(_) if losses.are_too_many() => {
                    word = SLEEPERS;
                    break;
                }
                Err(now) => word = now,
            }
        }
        if word & SLEEPERS != 0 {
            platform.wake(self.0, u32::MAX);
        }
    }

    /// Sets it for one thread that takes the setting back. Returns `true` if that is all;
    /// otherwise a thread waits, and the caller must call
    /// [`wake_one`](RawEvent::wake_one).
    #[inline]
    pub fn set_for_one(&self) -> bool {
        // SYNC(event): see `is_set`.
        self.0.fetch_or(SET, Ordering::Release) & SLEEPERS == 0
    }

    /// Wakes one of the waiting threads. The others stay asleep, and announced.
    pub fn wake_one(&self, platform: &impl Platform) {
        let word = self.0.load(Ordering::Relaxed);
        if word & SLEEPERS == 0 || platform.wake(self.0, 1) > 0 {
            return;
        }
        // Nobody is left. Whoever fell asleep since then did so before the flag
        // goes, and is woken to announce itself again.
        let gone =
            self.0
                .compare_exchange(word, word & !SLEEPERS, Ordering::Release, Ordering::Relaxed);
        if gone.is_ok() {
            platform.wake(self.0, u32::MAX);
        }
    }

    /// Takes the setting back. Returns `true` if it was set.
    pub fn clear(&self) -> bool {
        // SYNC(event): who takes it sees what came before the setting.
        self.0.fetch_and(!SET, Ordering::Acquire) & SET != 0
    }

    /// Waits until it is set, or was set since this began.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut).
    #[inline]
    pub fn wait(&self, platform: &impl Platform) -> Result<(), Failure> {
        let first = self.0.load(Ordering::Acquire);
        if first & SET != 0 {
            return Ok(());
        }
        self.wait_slow(platform, |word| {
            word & SET != 0 || low(word) / ONCE as u32 != low(first) / ONCE as u32
        })
    }

    /// Announces that the caller will sleep, unless it is set. Returns the lower half of
    /// the word and the count of deaths: while both stay the same, nothing has happened.
    pub fn announce(&self, platform: &impl Platform) -> Option<(u32, u32)> {
        let deaths = platform.deaths();
        // SYNC(event): see `is_set`.
        let word = self.0.fetch_or(SLEEPERS, Ordering::Acquire) | SLEEPERS;
        (word & SET == 0).then_some((low(word), deaths))
    }

    /// Takes the setting back if it is set: each setting lets one through.
    #[inline]
    pub fn try_take(&self) -> bool {
        // A look first: whoever changes the word keeps others from it.
        self.0.load(Ordering::Relaxed) & SET != 0 && self.clear()
    }

    /// Waits until it is set, and takes the setting back.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut).
    pub fn take(&self, platform: &impl Platform) -> Result<(), Failure> {
        let mut losses = Losses::default();
        while !self.try_take() {
            if losses.are_over_time(platform) {
                return Err(Failure::TimedOut);
            }
            self.wait_slow(platform, |word| word & SET != 0)?;
        }
        Ok(())
    }

    #[cold]
    fn wait_slow(
        &self,
        platform: &impl Platform,
        is_over: impl Fn(u64) -> bool,
    ) -> Result<(), Failure> {
        let mut losses = Losses::default();
        loop {
            if losses.are_over_time(platform) {
                return Err(Failure::TimedOut);
            }
            let deaths = platform.deaths();
            let mut word = 0;
            let look = || {
                // SYNC(event): see `is_set`.
                word = self.0.load(Ordering::Acquire);
                is_over(word)
            };
            if platform.spin(look) {
                return Ok(());
            }
            let announced = word | SLEEPERS;
            if word != announced
                && self
                    .0
                    .compare_exchange(word, announced, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            platform
                .sleep(self.0, low(announced), deaths)
                .or_timed_out()?;
        }
    }
}
