//! One holder at a time, which may die.
//!
//! The word is free when its owner bits are zero. A holder that died stays in
//! the word until somebody else needs it, asks the registry, and puts itself
//! there instead, with [`INCONSISTENT`] set: what the lock protects may be half
//! changed. That flag outlives any number of further deaths; only a repair
//! takes it away, and giving up without one sets [`LOST`].
//!
//! | word | owner | meaning |
//! |---|---|---|
//! | `0` | – | free |
//! | `me` | me | held |
//! | `me` \| [`SLEEPERS`] | me | held; unlocking wakes one |
//! | `me` \| [`TENTATIVE`] | me | held, nothing changed yet: my death harms nothing |
//! | `me` \| [`INCONSISTENT`] | me | held by a repairer |
//! | [`LOST`] | – | not recoverable until reset |
//! | … \| [`POISONED`] | any | somebody panicked while holding it |
//!
//! # References
//! U. Drepper, "Futexes Are Tricky" (2011), mutex 3; the owner in the word is
//! from the robust futexes of Linux (robust-futexes.rst).

use crate::atomics::{AtomicU64, Ordering, fence, low};
use crate::platform::Losses;
use crate::{Failure, Owner, Platform};

/// Somebody may be asleep on the word.
pub const SLEEPERS: u64 = 1;
/// A holder died, and nobody has repaired what it left.
pub const INCONSISTENT: u64 = 2;
/// A repairer gave up.
pub const LOST: u64 = 4;
/// A holder panicked.
pub const POISONED: u64 = 8;
/// The holder has not touched what the lock protects.
pub const TENTATIVE: u64 = 16;

/// Flags that stay when the lock changes hands.
const STICKY: u64 = INCONSISTENT | POISONED;

/// How the lock was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// A holder died, and nobody has repaired what it left.
    pub inconsistent: bool,
    /// A holder panicked.
    pub poisoned: bool,
}

impl Acquired {
    /// As it should be.
    pub const CLEAN: Acquired = Acquired {
        inconsistent: false,
        poisoned: false,
    };

    #[inline]
    fn of(word: u64) -> Acquired {
        Acquired {
            inconsistent: word & INCONSISTENT != 0,
            poisoned: word & POISONED != 0,
        }
    }
}

/// The word of a lock. All zero is free.
#[derive(Clone, Copy, Debug)]
pub struct RawMutex<'a>(pub &'a AtomicU64);

impl RawMutex<'_> {
    /// Returns the word as it is now.
    #[inline]
    #[must_use]
    pub fn word(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the word, in the one order of all sequentially consistent operations.
    #[inline]
    #[must_use]
    pub fn word_in_order(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns the holder, dead or alive.
    #[inline]
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        Owner::of(self.word())
    }

    /// Takes the lock, waiting for it as long as the platform allows.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut), [`WouldDeadlock`](Failure::WouldDeadlock),
    /// [`NotRecoverable`](Failure::NotRecoverable).
    pub fn lock(&self, platform: &impl Platform) -> Result<Acquired, Failure> {
        if self.take_free(platform.me()) {
            return Ok(Acquired::CLEAN);
        }
        self.lock_slow(platform, 0)
    }

    /// Takes the lock if it is free and all is well; the first thing to try.
    #[inline]
    pub fn take_free(&self, me: Owner) -> bool {
        // SYNC(mutex): what the last holder did is visible to this one.
        self.0
            .compare_exchange(0, me.word(), Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Gives the lock back if nobody waits and all is well; the first thing to
    /// try.
    #[inline]
    pub fn release_free(&self, me: Owner) -> bool {
        // SYNC(mutex): what this holder did is visible to the next one.
        self.0
            .compare_exchange(me.word(), 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the lock as [`lock`](RawMutex::lock) does; the caller's death harms nothing until
    /// [`commit`](RawMutex::commit).
    ///
    /// # Errors
    /// As [`lock`](RawMutex::lock).
    pub fn lock_tentatively(&self, platform: &impl Platform) -> Result<Acquired, Failure> {
        self.lock_slow(platform, TENTATIVE)
    }

    /// Declares that from now on the caller's death leaves the protected data inconsistent.
    pub fn commit(&self) {
        // SYNC(mutex): before any change of what is protected, or else our
        // death in the middle of one would be taken for harmless.
        self.0.fetch_and(!TENTATIVE, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Takes the lock unless a living process holds it.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut) if somebody does; and as
    /// [`lock`](RawMutex::lock).
    #[inline]
    pub fn try_lock(&self, platform: &impl Platform) -> Result<Acquired, Failure> {
        let mut word = self.word();
        let mut losses = Losses::default();
        loop {
            match self.attempt(platform, word, 0)? {
                Attempt::Acquired(acquired) => return Ok(acquired),
                Attempt::Changed(_) if losses.are_too_many() => return Err(Failure::TimedOut),
                Attempt::Changed(now) => word = now,
                Attempt::Held => return Err(Failure::TimedOut),
            }
        }
    }

    #[cold]
    fn lock_slow(&self, platform: &impl Platform, extra: u64) -> Result<Acquired, Failure> {
        let mut extra = extra;
        let mut may_spin = true;
        let mut losses = Losses::default();
        loop {
            if losses.are_over_time(platform) {
                return Err(Failure::TimedOut);
            }
            // Before the look at the owner: if it dies after that look, the
            // count changes, and the sleep ends at once.
            let deaths = platform.deaths();
            let word = self.word();
            match self.attempt(platform, word, extra)? {
                Attempt::Acquired(acquired) => return Ok(acquired),
                Attempt::Changed(_) => continue,
                Attempt::Held => {}
            }
            if may_spin {
                may_spin = platform.spin(|| Owner::of(self.word()).is_none());
                if may_spin {
                    continue;
                }
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
            // There may be others asleep, which only we know of if the word
            // was freed meanwhile.
            extra |= SLEEPERS;
            may_spin = true;
        }
    }

    /// One try to take the lock from what was seen in the word.
    fn attempt(&self, platform: &impl Platform, word: u64, extra: u64) -> Result<Attempt, Failure> {
        if word & LOST != 0 {
            return Err(Failure::NotRecoverable);
        }
        let me = platform.me();
        let stays = word & (STICKY | SLEEPERS);
        let (next, acquired) = match Owner::of(word) {
            None => (stays, Acquired::of(word)),
            Some(owner) if owner == me => return Err(Failure::WouldDeadlock),
            Some(owner) if platform.is_alive(owner) => {
                return match platform.waits_in_vain(owner) {
                    true => Err(Failure::WouldDeadlock),
                    false => Ok(Attempt::Held),
                };
            }
            Some(_) => {
                // A holder that had changed nothing leaves nothing to repair.
                let left = if word & TENTATIVE == 0 {
                    INCONSISTENT
                } else {
                    0
                };
                (stays | left, Acquired::of(word | left))
            }
        };
        let next = me.word() | next | extra;
        // SYNC(mutex): as in `lock`; from a dead holder, what it did last.
        match self
            .0
            .compare_exchange(word, next, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(Attempt::Acquired(acquired)),
            Err(now) => Ok(Attempt::Changed(now)),
        }
    }

    /// Gives the lock back. Returns `true` if the caller held it.
    pub fn unlock(&self, platform: &impl Platform) -> bool {
        self.release_free(platform.me())
            || self.release(platform, self.word(), |word| word & STICKY)
    }

    /// Gives the lock back after a panic.
    pub fn unlock_poisoned(&self, platform: &impl Platform) -> bool {
        self.release(platform, self.word(), |word| word & STICKY | POISONED)
    }

    /// Gives the lock back as a holder would leave it that died: for what is
    /// left of a thread or of a handle that ended without unlocking.
    pub fn abandon(&self, platform: &impl Platform) -> bool {
        self.release(platform, self.word(), |word| {
            word & STICKY
                | if word & TENTATIVE == 0 {
                    INCONSISTENT
                } else {
                    0
                }
        })
    }

    /// Gives up a lock that was found inconsistent: nobody can take it any
    /// more until it is [reset](RawMutex::reset).
    pub fn give_up(&self, platform: &impl Platform) -> bool {
        let given = self.release(platform, self.word(), |word| word & STICKY | LOST);
        if given {
            platform.wake(self.0, u32::MAX);
        }
        given
    }

    #[cold]
    fn release(&self, platform: &impl Platform, mut word: u64, left: impl Fn(u64) -> u64) -> bool {
        let me = platform.me();
        let mut losses = Losses::default();
        loop {
            if Owner::of(word) != Some(me) || losses.are_too_many() {
                return false;
            }
            // SYNC(mutex): as in `unlock`.
            match self.0.compare_exchange_weak(
                word,
                left(word),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) if word & SLEEPERS != 0 => {
                    platform.wake(self.0, 1);
                    return true;
                }
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Says that what the lock protects is in order again. The caller holds it.
    pub fn mark_consistent(&self) {
        self.0.fetch_and(!INCONSISTENT, Ordering::Relaxed);
    }

    /// Says that the panic is forgotten. The caller holds it.
    pub fn clear_poison(&self) {
        self.0.fetch_and(!POISONED, Ordering::Relaxed);
    }

    /// Makes a lost lock free and inconsistent. Returns `true` if it was lost.
    pub fn reset(&self, platform: &impl Platform) -> bool {
        let word = self.word();
        let reset = word & LOST != 0
            && self
                .0
                .compare_exchange(
                    word,
                    word & POISONED | INCONSISTENT,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_ok();
        if reset {
            platform.wake(self.0, u32::MAX);
        }
        reset
    }
}

/// The outcome of one try.
enum Attempt {
    Acquired(Acquired),
    /// Another one was faster; the word is this now.
    Changed(u64),
    /// A living process holds it.
    Held,
}
