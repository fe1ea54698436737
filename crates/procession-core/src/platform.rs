//! What the algorithms need from the system around them.

use crate::Owner;
use crate::atomics::AtomicU64;

/// A thread of a process that takes part, for the time of one call.
pub trait Platform {
    /// Returns the owner that stands for the calling thread in words.
    fn me(&self) -> Owner;

    /// Returns `true` if a process lives, `false` if there is proof that it does not.
    fn is_alive(&self, owner: Owner) -> bool;

    /// Returns `true` if a process lives that is known by its place and the lower
    /// [`GENERATION_BITS`](crate::queue::GENERATION_BITS) of its generation, `false` if
    /// there is proof that it does not.
    fn lives(&self, place: usize, generation: u32) -> bool;

    /// Returns `true` if the caller would wait without a limit for an owner that lives and
    /// gives nothing back: a thread of its own process that has ended.
    fn waits_in_vain(&self, _owner: Owner) -> bool {
        false
    }

    /// Returns a count that changes when a process notices that another one died.
    fn deaths(&self) -> u32;

    /// Returns `true` if the caller's time is over. Asked now and then, where others were
    /// faster than the caller.
    fn is_over(&self) -> bool {
        false
    }

    /// Sleeps while the lower half of the word is `expected` and the count of
    /// deaths is `deaths`, until woken, for a limited while, or for no reason.
    fn sleep(&self, word: &AtomicU64, expected: u32, deaths: u32) -> Slept;

    /// Wakes up to `count` threads that sleep on a word. Returns their number.
    fn wake(&self, word: &AtomicU64, count: u32) -> u32;

    /// Calls `ready` again and again, for as long as that is cheaper than sleeping.
    fn spin(&self, ready: impl FnMut() -> bool) -> bool;
}

/// Sleeping on a word, where no death ends the sleep: for processes that learn of each
/// other's end otherwise.
pub trait Futex {
    /// Sleeps while the lower half of the word is `expected`, until woken, for a limited
    /// while, or for no reason.
    fn wait(&self, word: &AtomicU64, expected: u32);

    /// Wakes up to `count` threads that sleep on a word. Returns their number.
    fn wake(&self, word: &AtomicU64, count: u32) -> u32;

    /// Calls `ready` again and again, for as long as that is cheaper than sleeping. Returns
    /// `true` if it was ready.
    fn spin(&self, ready: impl FnMut() -> bool) -> bool;
}

/// Counts how often another process was faster.
///
/// Each time that a compare-and-swap fails, another process made progress, so honest
/// processes need no bound. But a process that changes a word again and again against the
/// rules must not keep others beyond their time, and not for ever where there is none.
#[derive(Debug, Default)]
pub(crate) struct Losses(u32);

impl Losses {
    /// Losses between two questions for the time.
    const UNASKED: u32 = 64;

    /// More in a row are not bad luck.
    const MOST: u32 = 10_000;

    /// Counts one more. Returns `true` if the caller must give up because its time is over.
    #[inline]
    pub(crate) fn are_over_time(&mut self, platform: &impl Platform) -> bool {
        self.0 = self.0.wrapping_add(1);
        self.0.is_multiple_of(Losses::UNASKED) && platform.is_over()
    }

    /// Counts one more. Returns `true` if they are too many for an operation that has no
    /// time and does not wait.
    #[inline]
    pub(crate) fn are_too_many(&mut self) -> bool {
        self.0 += 1;
        self.0 > Losses::MOST
    }
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Look again.
    Again,
    /// A wake-up of the word was spent on the caller, or one of the count of
    /// deaths.
    Woken,
    /// The caller's time is over.
    TimedOut,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's time is over.
    TimedOut,
    /// A holder died or gave up, and nobody has repaired what it left.
    NotRecoverable,
    /// The calling thread holds it already, and would wait for itself, or a thread of
    /// its process that has ended, and it would wait for ever.
    WouldDeadlock,
    /// There is room for no more.
    Full,
    /// The barrier is broken.
    Broken,
    /// The word is not what the protocol left there.
    Corrupt,
}

impl Slept {
    /// Returns an error if the caller's time is over.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], if it was that.
    pub fn or_timed_out(self) -> Result<(), Failure> {
        match self {
            Slept::Again | Slept::Woken => Ok(()),
            Slept::TimedOut => Err(Failure::TimedOut),
        }
    }
}
