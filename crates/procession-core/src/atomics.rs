//! Where all atomics come from.
//!
//! One type of word: std's in programs, loom's under `--cfg loom`, and in this
//! crate's own tests one that counts operations and stops an actor at any of them.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(all(test, not(loom)))]
pub use crate::stepping::{AtomicU64, Ordering, fence};

#[cfg(not(any(test, loom)))]
pub use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Orders what follows a sequentially consistent read-modify-write behind it,
/// together with a fence on the other side. By the language's rules the
/// operation does so by itself; loom takes it for a weaker one.
#[inline]
pub fn fence_after_swap() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// The half of a word that the kernel compares: the lower 32 bits.
#[inline]
#[must_use]
pub fn low(word: u64) -> u32 {
    word as u32
}
