//! Waiting for a notification, and for nothing else.
//!
//! ```text
//!  63              32 31                     1  0
//! ┌──────────────────┬────────────────────────┬───┐
//! │ missed           │ sequence               │ S │  S: somebody may sleep
//! └──────────────────┴────────────────────────┴───┘
//! ```
//!
//! A notification that finds as many asleep as it is for is theirs: the kernel
//! ends exactly their sleeps, and they know it by that. It changes the sequence,
//! so that nobody falls asleep on an old one, and no more. A notification that
//! finds fewer is also for threads on their way to sleep: it changes
//! `missed`, which each of them compares with what it was when its wait began.
//! So a sleep that ends for another reason, such as that it is time to look
//! whether others live, ends no wait, and one notification does not end the
//! waits of all. Only where it comes while several are on their way to sleep, it
//! may end the waits of more than it is for.
//!
//! A wait begins with [`begin`](RawCondvar::begin), while the caller has the lock
//! under which it looked at its condition. If a process changes the condition after that
//! and is killed before it notifies, its death ends all waits. So does the death of a
//! process that was woken and did not act yet.
//!
//! # References
//! futex(2): the kernel compares the sequence when a thread falls asleep, and says how many
//! threads it woke.

use crate::atomics::{AtomicU64, Ordering, low};
use crate::platform::{Losses, Slept};
use crate::{Failure, Platform};

const SLEEPERS: u64 = 1;
const STEP: u64 = 2;
const MISSED: u64 = 1 << 32;

/// The word of a condition variable. All zero is one that nobody waits at.
#[derive(Clone, Copy, Debug)]
pub struct RawCondvar<'a>(pub &'a AtomicU64);

/// What had happened when a wait began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    missed: u32,
    deaths: u32,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody notified.
    Notified,
    /// A process died that perhaps was about to notify, or had been notified.
    SomebodyDied,
}

fn missed(word: u64) -> u32 {
    (word / MISSED) as u32
}

/// The word after a notification: another sequence, which does not carry into
/// what is above it.
fn step(word: u64) -> u64 {
    word & !u64::from(u32::MAX) | u64::from(low(word.wrapping_add(STEP)))
}

impl RawCondvar<'_> {
    /// Begins a wait. The caller has the lock of its condition, and gives it back
    /// after this.
    pub fn begin(&self, platform: &impl Platform) -> Begun {
        Begun {
            missed: missed(self.0.load(Ordering::SeqCst)),
            deaths: platform.deaths(),
        }
    }

    /// Waits for a notification since the wait began, or for a death.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut).
    pub fn wait(&self, begun: Begun, platform: &impl Platform) -> Result<Ended, Failure> {
        // SYNC(condvar): what came before the notification is visible.
        let is_missed = || missed(self.0.load(Ordering::Acquire)) != begun.missed;
        if platform.spin(is_missed) {
            return Ok(Ended::Notified);
        }
        let mut losses = Losses::default();
        loop {
            let word = self.0.load(Ordering::Acquire);
            if missed(word) != begun.missed {
                return Ok(Ended::Notified);
            }
            if platform.deaths() != begun.deaths {
                return Ok(Ended::SomebodyDied);
            }
            let announced = word | SLEEPERS;
            let said = word == announced
                || self
                    .0
                    .compare_exchange(word, announced, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if !said {
                if losses.are_over_time(platform) {
                    return Err(Failure::TimedOut);
                }
                continue;
            }
            match platform.sleep(self.0, low(announced), begun.deaths) {
                Slept::Woken if platform.deaths() == begun.deaths => return Ok(Ended::Notified),
                // By the death, or by a notification at the same time.
                Slept::Woken => return Ok(Ended::SomebodyDied),
                Slept::Again => {}
                Slept::TimedOut => return Err(Failure::TimedOut),
            }
        }
    }

    /// Ends up to `count` waits that have begun.
    #[inline]
    pub fn notify(&self, count: u32, platform: &impl Platform) {
        if count == 0 {
            return;
        }
        let mut word = self.0.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        loop {
            let asleep = word & SLEEPERS != 0;
            let all = count == u32::MAX;
            // Whoever is on its way to sleep has said so, or will find this.
            let next = match asleep {
                true if !all => step(word),
                _ => (step(word) & !SLEEPERS).wrapping_add(MISSED),
            };
            // SYNC(condvar): see `wait`.
            match self
                .0
                .compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if !asleep => return,
                Ok(_) if all => {
                    platform.wake(self.0, u32::MAX);
                    return;
                }
                Ok(_) => break,
                Err(_) if losses.are_too_many() => break,
                Err(now) => word = now,
            }
        }
        if platform.wake(self.0, count) < count {
            self.notify_the_rest(platform);
        }
    }

    /// There were fewer sleepers than a notification was for: the rest is on its
    /// way to sleep, or has fallen asleep since.
    #[cold]
    fn notify_the_rest(&self, platform: &impl Platform) {
        let missed = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                Some((step(word) & !SLEEPERS).wrapping_add(MISSED))
            });
        if missed.is_ok_and(|word| word & SLEEPERS != 0) {
            platform.wake(self.0, u32::MAX);
        }
    }
}
