//! What is done, written down outside of the objects.

use procession::os::memory::Region;
use std::sync::atomic::{AtomicU64, Ordering};

/// Processes that work at a time, at most.
pub(crate) const MOST_WORKERS: usize = 6;

/// Threads of a process that work, at most.
pub(crate) const MOST_THREADS: usize = 3;

/// Places of the journal: one for each thread that works.
pub(crate) const PLACES: usize = MOST_WORKERS * MOST_THREADS;

/// Numbers that a thread has in its place. The last ones are for its workload.
pub(crate) const DONE: usize = 0;
pub(crate) const REPAIRS: usize = 1;
pub(crate) const PANICS: usize = 2;
/// Locks whose poison was cleared.
pub(crate) const CURES: usize = 3;
/// What the thread is doing: one of the following.
pub(crate) const STATE: usize = 4;
pub(crate) const OF_WORKLOAD: usize = 5;
const NUMBERS: usize = 8;

/// Values of [`STATE`]: it has done nothing, works, has ended by a panic.
pub(crate) const NOT_BEGUN: u64 = 0;
pub(crate) const AT_WORK: u64 = 1;
pub(crate) const ENDED: u64 = 2;

/// Each thread that works has a place, which it alone writes to.
pub(crate) struct Journal {
    region: Region,
}

impl Journal {
    pub(crate) fn new() -> Journal {
        let region = Region::anonymous(4096).unwrap();
        Journal { region }
    }

    /// One of the numbers of a place.
    pub(crate) fn number(&self, place: usize, index: usize) -> &AtomicU64 {
        self.region
            .bytes()
            .atomic_u64((place * NUMBERS + index) * 8)
    }

    /// Somebody has found what must not be. It is counted before anything is said,
    /// because who found it may be killed at any moment.
    pub(crate) fn violations(&self) -> &AtomicU64 {
        self.number(PLACES, 0)
    }

    pub(crate) fn state(&self, place: usize) -> u64 {
        self.number(place, STATE).load(Ordering::SeqCst)
    }

    pub(crate) fn set_state(&self, place: usize, state: u64) {
        self.number(place, STATE).store(state, Ordering::SeqCst);
    }

    pub(crate) fn sum(&self, index: usize) -> u64 {
        let numbers = (0..PLACES).map(|place| self.number(place, index));
        numbers.map(|number| number.load(Ordering::SeqCst)).sum()
    }

    pub(crate) fn clear(&self) {
        for place in 0..PLACES {
            for index in 0..NUMBERS {
                self.number(place, index).store(0, Ordering::SeqCst);
            }
        }
    }
}
