//! How the threads of a pool, and its workers, sleep on words.
//!
//! No death ends such a sleep: a pool learns of the end of its workers by their pidfds,
//! a worker ends with its family.

use crate::spin;
use procession_core::Futex;
use procession_sys::futex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Longest sleep of a worker without looking again, for changes of which the other side does
/// not tell because it is stopped.
const SLICE: Duration = Duration::from_millis(100);

/// Sleeping and waking by the kernel's futexes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleeper {
    /// Longest sleep.
    pub(super) timeout: Duration,
    /// How long it slept says how long it looks before it sleeps the next time.
    pub(super) learns: bool,
}

impl Sleeper {
    /// Looks again after a slice.
    pub(super) const SHORT: Sleeper = Sleeper {
        timeout: SLICE,
        learns: true,
    };
}

impl Futex for Sleeper {
    fn wait(&self, word: &AtomicU64, expected: u32) {
        let start = Instant::now();
        let outcome = futex::wait(&[(word, expected)], self.timeout);
        if self.learns {
            spin::slept(start.elapsed(), outcome.is_ok());
        }
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        futex::wake(word, count)
    }

    #[inline]
    fn spin(&self, ready: impl FnMut() -> bool) -> bool {
        spin::look(ready)
    }
}
