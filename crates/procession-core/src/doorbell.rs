//! Wakes the threads that wait for results of many workers. While nobody waits, it
//! costs a worker a fence and two loads for each batch, and no system call.
//!
//! An event count whose waiters say how soon they want to be woken. Four words:
//!
//! | word | changed by | meaning |
//! |---|---|---|
//! | `rung` | any ringer | how often it was rung; the waiters sleep on it |
//! | `eager` | waiters | how many want to be woken after each batch |
//! | `lazy` | waiters | how many want to be woken when a worker has nothing left to do |
//! | `forced` | waiters | how many want to be woken only when somebody rings for everybody |
//!
//! # Why no wake-up is lost
//! A waiter reads `rung`, counts itself, and looks whether there are results; a
//! worker writes results, and looks whether somebody is counted. A fence stands
//! between the two steps of each, so at least one of them sees the other. If the
//! worker does, it changes `rung` before it wakes, so a waiter that has looked and
//! does not sleep yet does not fall asleep.
//!
//! # Death
//! Only the threads of one process wait here, and their counts die with it. A worker
//! that is killed between writing results and ringing is missed: its pool learns of
//! its end otherwise and then rings for everybody, and gives each sleep a limit (its
//! `Futex`). A count that was never taken back costs system calls and nothing else.
//!
//! # References
//! D. Vyukov, "Eventcounts" (2010): the waiter announces itself, and looks again.

use crate::atomics::{AtomicU64, Ordering, fence, low};
use crate::platform::Futex;

/// The words of a doorbell. All zero is one that nobody waits at.
#[derive(Clone, Copy, Debug)]
pub struct RawDoorbell<'a> {
    /// How often it was rung.
    pub rung: &'a AtomicU64,
    /// Waiters that are [`Eager`](Eagerness::Eager).
    pub eager: &'a AtomicU64,
    /// Waiters that are [`Lazy`](Eagerness::Lazy).
    pub lazy: &'a AtomicU64,
    /// Waiters that are [`Forced`](Eagerness::Forced).
    pub forced: &'a AtomicU64,
}

/// When a waiter is to be woken: the later, the fewer wake-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eagerness {
    /// After each batch.
    Eager,
    /// When a worker has nothing left to do.
    Lazy,
    /// When somebody rings for everybody.
    Forced,
}

impl RawDoorbell<'_> {
    /// Wakes all waiters.
    pub fn ring(&self, futex: &impl Futex) {
        // SYNC(doorbell): see `ring_after_batch`; what the caller did before this is
        // seen by whoever reads the new number.
        self.rung.fetch_add(1, Ordering::SeqCst);
        futex.wake(self.rung, u32::MAX);
    }

    /// Wakes all waiters if one of them wants to be woken after a batch, or, with
    /// `is_idle`, when the worker has nothing left to do. To be called after results
    /// were written.
    #[inline]
    pub fn ring_after_batch(&self, is_idle: bool, futex: &impl Futex) {
        // SYNC(doorbell): a waiter counts itself, then looks for results; the caller
        // has written results, and looks whether somebody is counted.
        fence(Ordering::SeqCst);
        let is_wanted = self.eager.load(Ordering::Relaxed) != 0
            || is_idle && self.lazy.load(Ordering::Relaxed) != 0;
        if is_wanted {
            self.ring(futex);
        }
    }

    /// Returns how often it was rung; to be called before the waiter looks for what
    /// it waits for.
    #[must_use]
    pub fn rung(&self) -> u64 {
        self.rung.load(Ordering::SeqCst)
    }

    /// Sleeps unless `ready`, until the doorbell is rung once more than `seen`, or
    /// until `futex` ends the sleep.
    pub fn wait(
        &self,
        seen: u64,
        eagerness: Eagerness,
        ready: impl Fn() -> bool,
        futex: &impl Futex,
    ) {
        if ready() || eagerness == Eagerness::Eager && futex.spin(&ready) {
            return;
        }
        let count = match eagerness {
            Eagerness::Eager => self.eager,
            Eagerness::Lazy => self.lazy,
            Eagerness::Forced => self.forced,
        };
        count.fetch_add(1, Ordering::SeqCst);
        // SYNC(doorbell): see `ring_after_batch`.
        fence(Ordering::SeqCst);
        if !ready() {
            futex.wait(self.rung, low(seen));
        }
        count.fetch_sub(1, Ordering::SeqCst);
    }
}
