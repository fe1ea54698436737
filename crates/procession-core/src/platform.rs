//! What the algorithms need of the system around them.

use crate::Owner;
use crate::door::AtomicU64;

/// A thread of a process that takes part, for the time of one call.
pub trait Platform {
    /// The calling thread, as it stands in words.
    fn me(&self) -> Owner;

    /// Whether a process lives; an answer of `false` is proof.
    fn is_alive(&self, owner: Owner) -> bool;

    /// Whether a process lives that is known by its place and the lower
    /// [`GENERATION_BITS`](crate::queue::GENERATION_BITS) of its generation; an
    /// answer of `false` is proof.
    fn lives(&self, place: usize, generation: u32) -> bool;

    /// A count that changes whenever somebody notices that a process died.
    fn deaths(&self) -> u32;

    /// Whether the caller's time is over. Asked only where others were faster than
    /// the caller: whoever changes a word again and again without end, against all
    /// rules, keeps nobody beyond its time.
    fn is_over(&self) -> bool {
        false
    }

    /// Sleeps while the lower half of the word is `expected` and the count of
    /// deaths is `deaths`, until woken, for a limited while, or for no reason.
    fn sleep(&self, word: &AtomicU64, expected: u32, deaths: u32) -> Slept;

    /// Wakes up to `count` of those who sleep on a word; returns how many.
    fn wake(&self, word: &AtomicU64, count: u32) -> u32;

    /// Looks again and again whether `ready`, for as long as that is cheaper
    /// than to sleep.
    fn spin(&self, ready: impl FnMut() -> bool) -> bool;
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

/// Why something could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's time is over.
    TimedOut,
    /// A holder died or gave up, and nobody has repaired what it left.
    NotRecoverable,
    /// The calling thread holds it already, and would wait for itself.
    WouldDeadlock,
    /// There is room for no more.
    Full,
    /// The barrier is broken.
    Broken,
    /// The word is not what the protocol left there.
    Corrupt,
}

impl Slept {
    /// The end of the caller's time, as an error.
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
