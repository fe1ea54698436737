//! Sleepers and wake-ups for conditions that are elsewhere.
//!
//! A thread that waits announces itself, looks at its condition once more, and sleeps. A
//! thread that makes a condition true notifies, which costs no system call while no thread
//! is announced. The word's lower half is a sequence number and one flag:
//!
//! ```text
//!  31                     1  0
//! ┌────────────────────────┬───┐
//! │ sequence               │ S │  S: somebody may sleep
//! └────────────────────────┴───┘
//! ```
//!
//! A flag and not a count, so that a sleeper that is killed leaves nothing to
//! correct: it costs the next wake-up a system call, which finds nobody and
//! takes the flag away.
//!
//! A notifier killed between making the condition true and waking, and a
//! sleeper killed between waking and acting, are made up for by their death,
//! which ends every sleep.
//!
//! # References
//! D. Vyukov, "Eventcounts" (1024cores.net): announce, look once more, sleep; a flag stands here for the
//! count of waiting threads. futex(2) compares the word when a thread falls asleep.

use crate::Platform;
use crate::atomics::{AtomicU64, Ordering, fence, fence_after_swap, low};
use crate::platform::{Losses, Slept};

const SLEEPERS: u64 = 1;
const STEP: u64 = 2;

/// The word of an event count. All zero is one that nobody waits at.
#[derive(Clone, Copy, Debug)]
pub struct EventCount<'a>(pub &'a AtomicU64);

/// The word as it was when a thread announced itself.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    seen: u32,
    deaths: u32,
}

impl Key {
    /// Returns the lower half of the word and the count of deaths: while both stay the same,
    /// nothing has happened.
    #[must_use]
    pub fn seen(&self) -> (u32, u32) {
        (self.seen, self.deaths)
    }
}

impl EventCount<'_> {
    /// Announces that the caller will sleep. It must look at its condition after this.
    pub fn announce(&self, platform: &impl Platform) -> Key {
        let deaths = platform.deaths();
        let word = self.0.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS;
        // SYNC(event_count): either the notifier sees the flag, or the caller's look
        // after this sees the condition.
        fence(Ordering::SeqCst);
        Key {
            seen: low(word),
            deaths,
        }
    }

    /// Sleeps until notified after the announcement, or until somebody dies.
    pub fn sleep(&self, key: Key, platform: &impl Platform) -> Slept {
        platform.sleep(self.0, key.seen, key.deaths)
    }

    /// Wakes up to `count` sleepers after the caller made something true.
    #[inline]
    pub fn notify(&self, count: u32, platform: &impl Platform) {
        // SYNC(event_count): see `announce`.
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) & SLEEPERS != 0 {
            self.notify_slow(count, platform);
        }
    }

    /// Wakes sleepers as [`notify`](EventCount::notify) does, after the condition was made
    /// true by a sequentially consistent read-modify-write: that saves the fence.
    #[inline]
    pub fn notify_after_swap(&self, count: u32, platform: &impl Platform) {
        if self.has_sleepers_after_swap() {
            self.notify_slow(count, platform);
        }
    }

    /// Returns `true` if a thread must be notified, after such an operation.
    #[inline]
    #[must_use]
    pub fn has_sleepers_after_swap(&self) -> bool {
        // SYNC(event_count): see `announce`; the fence there and the caller's operation
        // here are ordered with each other.
        fence_after_swap();
        self.0.load(Ordering::SeqCst) & SLEEPERS != 0
    }

    #[cold]
    fn notify_slow(&self, count: u32, platform: &impl Platform) {
        let all = count == u32::MAX;
        let mut word = self.0.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        let next = loop {
            if losses.are_too_many() {
                platform.wake(self.0, count);
                return;
            }
            if word & SLEEPERS == 0 {
                return;
            }
            // Whoever is announced and not asleep yet sees another number and
            // looks again. The upper half is not ours to carry into.
            let next = u64::from(low(word.wrapping_add(STEP)));
            let next = if all { next & !SLEEPERS } else { next };
            match self
                .0
                .compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => break next,
                Err(now) => word = now,
            }
        };
        let woken = platform.wake(self.0, count);
        if all || woken >= count {
            return;
        }
        // There were fewer sleepers than wake-ups, so nobody is left. Whoever
        // fell asleep since then did so before the flag goes, and is woken to
        // announce itself again.
        let quiet = next & !SLEEPERS;
        if self
            .0
            .compare_exchange(next, quiet, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            platform.wake(self.0, u32::MAX);
        }
    }

    /// Waits until `ready` returns something.
    ///
    /// # Errors
    /// What `ready` says, and [`TimedOut`](crate::Failure::TimedOut).
    pub fn wait_until<T>(
        &self,
        platform: &impl Platform,
        mut ready: impl FnMut() -> Result<Option<T>, crate::Failure>,
    ) -> Result<T, crate::Failure> {
        loop {
            let mut outcome = Ok(None);
            platform.spin(|| {
                outcome = ready();
                !matches!(outcome, Ok(None))
            });
            if let Some(value) = outcome? {
                return Ok(value);
            }
            let key = self.announce(platform);
            if let Some(value) = ready()? {
                return Ok(value);
            }
            self.sleep(key, platform).or_timed_out()?;
        }
    }
}
