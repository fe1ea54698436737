//! The holder of a word.

use std::num::NonZeroU64;

/// A thread of a process, as it is written in the words that it holds.
///
/// ```text
///  63            32 31           17 16         5 4      0
/// ┌────────────────┬───────────────┬────────────┬────────┐
/// │ generation     │ thread        │ place + 1  │ flags  │
/// └────────────────┴───────────────┴────────────┴────────┘
///   of the place     0 = none in     in the       of the
///                    particular      registry     word
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(NonZeroU64);

/// Bits of a held word that are not its owner's.
pub const FLAGS: u64 = 0x1f;

/// Most places that a registry can have.
pub const MAX_PLACES: usize = (1 << 12) - 1;

/// Largest number of a thread.
pub const MAX_THREAD: u16 = (1 << 15) - 1;

impl Owner {
    /// Makes an owner of the process at a place of the registry, without a thread.
    ///
    /// # Panics
    /// If there can be no such place.
    #[must_use]
    pub fn new(place: usize, generation: u32) -> Owner {
        assert!(place < MAX_PLACES, "no registry has a place {place}");
        let word = u64::from(generation) << 32 | (place as u64 + 1) << 5;
        Owner(NonZeroU64::new(word).expect("a place is counted from one"))
    }

    /// Returns the owner for a thread of the process, from 1 to [`MAX_THREAD`].
    #[inline]
    #[must_use]
    pub fn with_thread(self, thread: u16) -> Owner {
        let thread = u64::from(thread.min(MAX_THREAD)) << 17;
        Owner(self.0 | thread)
    }

    /// Returns the owner without its thread.
    #[inline]
    #[must_use]
    pub fn process(self) -> Owner {
        let word = self.word() & !(u64::from(MAX_THREAD) << 17);
        Owner(NonZeroU64::new(word).expect("the place stays"))
    }

    /// Returns the holder of a word, `None` if its owner bits are zero.
    #[inline]
    #[must_use]
    pub fn of(word: u64) -> Option<Owner> {
        if word & (MAX_PLACES as u64) << 5 == 0 {
            return None;
        }
        NonZeroU64::new(word & !FLAGS).map(Owner)
    }

    /// Returns the word of this owner, without flags.
    #[inline]
    #[must_use]
    pub fn word(self) -> u64 {
        self.0.get()
    }

    /// Returns the place in the registry.
    #[inline]
    #[must_use]
    pub fn place(self) -> usize {
        (self.word() >> 5) as usize % (MAX_PLACES + 1) - 1
    }

    /// Returns the generation of the place.
    #[inline]
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// Returns the thread, 0 for none in particular.
    #[inline]
    #[must_use]
    pub fn thread(self) -> u16 {
        (self.word() >> 17) as u16 & MAX_THREAD
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for place in [0, 1, 77, MAX_PLACES - 1] {
            for generation in [0, 1, u32::MAX] {
                for thread in [0, 1, 500, MAX_THREAD] {
                    let owner = Owner::new(place, generation).with_thread(thread);
                    assert_eq!(owner.place(), place);
                    assert_eq!(owner.generation(), generation);
                    assert_eq!(owner.thread(), thread);
                    assert_eq!(owner.process(), Owner::new(place, generation));
                    assert_eq!(Owner::of(owner.word() | FLAGS), Some(owner));
                }
            }
        }
    }

    #[test]
    fn a_word_without_a_place_is_held_by_nobody() {
        for word in [0, FLAGS, 5 << 32, 9 << 17] {
            assert_eq!(Owner::of(word), None);
        }
    }
}
