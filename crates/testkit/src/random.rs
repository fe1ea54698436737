//! Randomness that a printed seed repeats.

use std::time::Duration;

/// A generator of pseudo-random numbers (xorshift64*), seeded from
/// `PROCESSION_SEED` or the clock; the seed is printed.
///
/// # References
/// S. Vigna, "An experimental exploration of Marsaglia's xorshift generators,
/// scrambled", ACM TOMS 42 (2016)
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The seed of generators that are made from now on, whatever the environment
/// says.
pub fn set_seed(seed: u64) {
    let _ = GIVEN.set(seed);
}

static GIVEN: std::sync::OnceLock<u64> = std::sync::OnceLock::new();

impl Random {
    /// Seeds the generator and prints the seed.
    #[must_use]
    pub fn new() -> Random {
        let given = GIVEN.get().copied().or_else(|| {
            let seed = std::env::var("PROCESSION_SEED").ok();
            seed.and_then(|seed| seed.parse().ok())
        });
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64) | 1
        });
        println!("random seed: PROCESSION_SEED={seed}");
        Random(seed)
    }

    /// A generator that one number of another one seeds, quietly.
    #[must_use]
    pub fn seeded(seed: u64) -> Random {
        // None of them may be 0, and neighbours are to differ.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A moment within `most` from now.
    pub fn moment(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.below(most.as_nanos() as u64))
    }

    /// Random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

impl Default for Random {
    fn default() -> Random {
        Random::new()
    }
}
