//! Proof that an offset in the code was written down by this family.
//!
//! A task that names code by offsets carries a seal over the offsets that belong
//! together, and over what the function takes and returns: a keyed hash, whose key only
//! the processes of the family have. It is checked wherever an offset becomes a function.
//! So bytes cannot name code: neither those of another program, nor of another execution
//! of the same program, nor of a message that somebody has changed. Those can name a
//! function only by its name.
//!
//! The key begins as random bytes that the kernel gives each program that it
//! executes. Forked processes have it in their memory, on both sides; those of the
//! family that are executed anew get it in their first packet, over a socket that
//! nobody else has.

// SipHash-2-4 with a key is what is wanted, and here to stay.
#[allow(deprecated)]
use std::hash::SipHasher;

use procession_sys::image;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// The key; zeros until it is first asked for.
static KEY: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The family's key, for a process of this program that this one executes anew.
pub(crate) fn key() -> [u64; 2] {
    let [one, two] = KEY.each_ref().map(|word| word.load(Ordering::Relaxed));
    if one != 0 && two != 0 {
        return [one, two];
    }
    make()
}

#[cold]
fn make() -> [u64; 2] {
    // Not the bytes themselves: libc guards the stack with them. Two threads that
    // come here first make the same key.
    let start = image::random_of_start();
    let word = |number: u8| {
        let mut hasher = keyed([start as u64, (start >> 64) as u64]);
        hasher.write(b"procession: places in the code");
        hasher.write_u8(number);
        hasher.finish()
    };
    adopt([word(0), word(1)])
}

/// Takes over the key of the family: in a process that was executed anew, before
/// anything else.
pub(crate) fn adopt(key: [u64; 2]) -> [u64; 2] {
    let key = key.map(|word| word.max(1));
    for (slot, word) in KEY.iter().zip(key) {
        slot.store(word, Ordering::Relaxed);
    }
    key
}

/// The seal over words that belong together: offsets in this build, a hash of types.
pub(super) fn seal(words: &[u64]) -> u64 {
    seal_with(key(), image::main_program().build_id(), words)
}

/// A number for the types of a function, by their names.
pub(super) fn of_types(types: &str) -> u64 {
    let mut hasher = keyed([0; 2]);
    hasher.write(types.as_bytes());
    hasher.finish()
}

fn seal_with(key: [u64; 2], build: &[u8], words: &[u64]) -> u64 {
    let mut hasher = keyed(key);
    hasher.write_usize(build.len());
    hasher.write(build);
    for word in words {
        hasher.write_u64(*word);
    }
    hasher.finish()
}

#[allow(deprecated)]
fn keyed([one, two]: [u64; 2]) -> SipHasher {
    SipHasher::new_with_keys(one, two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_one_key_build_and_order_of_words() {
        let seal = seal_with([1, 2], b"build", &[3, 4]);
        assert_eq!(seal, seal_with([1, 2], b"build", &[3, 4]));
        for other in [
            seal_with([2, 2], b"build", &[3, 4]),
            seal_with([1, 1], b"build", &[3, 4]),
            seal_with([1, 2], b"other", &[3, 4]),
            seal_with([1, 2], b"build", &[4, 3]),
            seal_with([1, 2], b"build", &[3, 5]),
            seal_with([1, 2], b"build", &[3]),
        ] {
            assert_ne!(seal, other);
        }
    }

    #[test]
    fn the_key_stays_and_is_not_what_the_kernel_gave() {
        let key = key();
        assert_eq!(key, super::key());
        let start = image::random_of_start();
        assert_ne!(start, 0);
        assert!(!key.contains(&(start as u64)) && !key.contains(&((start >> 64) as u64)));
    }
}
