//! A broken peer with access: any value in any word of a file that others use.

use crate::random::Random;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A shared object's file, word by word.
#[derive(Debug)]
pub struct Scribbled(File);

impl Scribbled {
    /// The object in this file.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn open(path: &Path) -> Scribbled {
        let file = File::options().read(true).write(true).open(path);
        Scribbled(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// The word at an offset.
    ///
    /// # Panics
    /// If the file ends before.
    #[must_use]
    pub fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, offset).expect("a word");
        u64::from_ne_bytes(bytes)
    }

    /// Writes a word.
    ///
    /// # Panics
    /// If the file ends before.
    pub fn write(&self, offset: u64, word: u64) {
        self.0
            .write_all_at(&word.to_ne_bytes(), offset)
            .expect("a word");
    }

    /// What a broken peer may leave in the word at an offset: nothing, all ones, the
    /// ends of what counts as a number, one more and less, single bits changed, what the
    /// neighbours have, anything.
    pub fn values(&self, offset: u64, random: &mut Random) -> Vec<u64> {
        let word = self.word(offset);
        let before = self.word(offset.saturating_sub(8));
        let bit = |random: &mut Random| word ^ 1 << random.below(64);
        vec![
            0,
            1,
            u64::MAX,
            u64::MAX >> 1,
            word.wrapping_add(1),
            word.wrapping_sub(1),
            word.wrapping_add(1 << 32),
            before,
            self.word(offset + 8),
            bit(random),
            bit(random),
            random.number(),
            random.number() >> random.below(64),
        ]
    }
}

/// Runs something that has to end in time.
///
/// # Panics
/// If it took longer.
pub fn ends_within<T>(limit: Duration, what: &str, code: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = code();
    let took = start.elapsed();
    assert!(took <= limit, "{what} took {took:?}");
    value
}
