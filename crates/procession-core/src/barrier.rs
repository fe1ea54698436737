//! A number of parties that wait for each other, any of whom may die.
//!
//! ```text
//!  63         52 51                              2   1        0
//! ┌─────────────┬─────────────────────────────────┬───┬────────┐
//! │ arrived     │ generation                      │ S │ broken │
//! └─────────────┴─────────────────────────────────┴───┴────────┘
//!   in this       its lower 30 bits are slept on    S: somebody may sleep
//!   generation
//! ```
//!
//! One word holds all that changes when a party arrives, so that arriving, completing and
//! breaking are one compare-and-swap each. Beside it stands one cell for each process that
//! takes part. A waiting thread looks there whether one of them has died, in which case the
//! missing arrival will not come, and breaks the barrier.
//!
//! # What became of a generation
//! A party that was stopped may look only after any number of further
//! generations. So each generation that was broken is written down
//! (`barrier/outcomes.rs`), before a reset leaves it: to reset is to break, to
//! write that down, and to go on. A process that is killed in between leaves the barrier
//! broken. A generation that is over and is not written down was completed.
//!
//! Generations have 50 bits, which no machine counts through in its life; the
//! comparisons hold across the wrap all the same. The kernel compares 30 of them
//! when a party falls asleep, so one that is stopped at that instant for exactly
//! so many generations would sleep on: until the end of its slice.
//!
//! # References
//! J. M. Mellor-Crummey and M. L. Scott, "Algorithms for Scalable Synchronization on
//! Shared-Memory Multiprocessors" (1991), the centralized barrier: a generation stands here for
//! the reversed sense. futex(2) compares the generation when a party falls asleep.

mod outcomes;

use crate::atomics::{AtomicU64, Ordering, low};
use crate::platform::Losses;
use crate::{Failure, Owner, Platform};
use outcomes::{GENERATION_BITS, Outcomes};

const BROKEN: u64 = 1;
const SLEEPERS: u64 = 2;
const GENERATION: u64 = 4;
const ARRIVAL: u64 = 1 << 52;

/// Most parties that a barrier can have.
pub const MAX_PARTIES: usize = (1 << 12) - 1;

/// The words of a barrier.
#[derive(Clone, Copy, Debug)]
pub struct RawBarrier<'a> {
    /// How many must arrive.
    pub parties: usize,
    /// All that changes.
    pub state: &'a AtomicU64,
    /// The processes that take part, and behind them the generations that were
    /// broken: the second half, or the last [`OUTCOMES`] where that is less.
    pub members: &'a [AtomicU64],
}

/// Most cells in which broken generations are written down.
pub const OUTCOMES: usize = 64;

/// How an arrival ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Between 0 and one less than the parties, different for each of them.
    pub index: usize,
}

fn generation(word: u64) -> u64 {
    word / GENERATION % (1 << GENERATION_BITS)
}

fn arrived(word: u64) -> usize {
    (word / ARRIVAL) as usize
}

/// The next generation, in which nobody has arrived.
fn next(word: u64) -> u64 {
    (generation(word) + 1) % (1 << GENERATION_BITS) * GENERATION
}

impl<'a> RawBarrier<'a> {
    /// The cells of the processes that take part.
    fn cells(&self) -> &'a [AtomicU64] {
        &self.members[..self.members.len() - self.written_down()]
    }

    fn outcomes(&self) -> Outcomes<'a> {
        Outcomes(&self.members[self.members.len() - self.written_down()..])
    }

    fn written_down(&self) -> usize {
        (self.members.len() / 2).min(OUTCOMES)
    }

    /// Says that the calling process takes part, so that its death is noticed.
    /// Where there is no room to say so, it is not.
    pub fn enter(&self, platform: &impl Platform) {
        let me = platform.me().process().word();
        let is_me = |cell: &AtomicU64| cell.load(Ordering::Relaxed) == me;
        if self.cells().iter().any(is_me) {
            return;
        }
        let take = |cell: &AtomicU64, seen: u64| {
            cell.compare_exchange(seen, me, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        let taken = self.cells().iter().any(|cell| take(cell, 0));
        let _ = taken
            || self.cells().iter().any(|cell| {
                // There is room again where somebody died.
                let seen = cell.load(Ordering::Relaxed);
                self.is_forgettable(seen, platform) && take(cell, seen)
            });
    }

    /// Returns `true` if a member died, unless all others wait for its action.
    fn is_forgettable(&self, member: u64, platform: &impl Platform) -> bool {
        // First its death, then the state: it changes nothing after that.
        Owner::of(member).is_some_and(|owner| !platform.is_alive(owner))
            && arrived(self.state.load(Ordering::SeqCst)) < self.parties
    }

    /// Says that the calling process takes part no longer, so that its end
    /// breaks nothing.
    pub fn leave(&self, platform: &impl Platform) {
        let me = platform.me().process().word();
        for cell in self.cells() {
            let _ = cell.compare_exchange(me, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Arrives, and waits until all have. The last one runs the action before
    /// the others go on.
    ///
    /// # Errors
    /// [`Broken`](Failure::Broken) or [`TimedOut`](Failure::TimedOut), which
    /// breaks it for the others.
    pub fn wait<A: FnOnce()>(
        &self,
        platform: &impl Platform,
        action: Option<A>,
    ) -> Result<Passed, Failure> {
        let mut word = self.state.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        let index = loop {
            if word & BROKEN != 0 {
                return Err(Failure::Broken);
            }
            let index = arrived(word);
            if index >= self.parties {
                // The last one runs the action; the next generation is not
                // open yet.
                self.sleep_out(word, platform)?;
                word = self.state.load(Ordering::Relaxed);
                continue;
            }
            let is_last = index + 1 == self.parties;
            let after = if is_last && action.is_none() {
                next(word)
            } else {
                word + ARRIVAL
            };
            // SYNC(barrier): what each did before it arrived is visible to all
            // who pass.
            match self
                .state
                .compare_exchange_weak(word, after, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if is_last => break index,
                Ok(_) => return self.wait_for_others(generation(word), index, platform),
                Err(_) if losses.are_over_time(platform) => {
                    self.break_generation(generation(word), platform);
                    return Err(Failure::TimedOut);
                }
                Err(now) => word = now,
            }
        };
        let Some(action) = action else {
            if word & SLEEPERS != 0 {
                platform.wake(self.state, u32::MAX);
            }
            return Ok(Passed { index });
        };
        let run = Unwinding {
            barrier: self,
            platform,
            generation: generation(word),
        };
        action();
        std::mem::forget(run);
        self.complete(generation(word), platform)
            .map(|()| Passed { index })
    }

    fn complete(&self, ours: u64, platform: &impl Platform) -> Result<(), Failure> {
        let mut word = self.state.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        loop {
            if word & BROKEN != 0 || generation(word) != ours || losses.are_too_many() {
                return Err(Failure::Broken);
            }
            // SYNC(barrier): see `wait`.
            match self.state.compare_exchange_weak(
                word,
                next(word),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & SLEEPERS != 0 {
            platform.wake(self.state, u32::MAX);
        }
        Ok(())
    }

    fn wait_for_others(
        &self,
        ours: u64,
        index: usize,
        platform: &impl Platform,
    ) -> Result<Passed, Failure> {
        loop {
            let mut word = 0;
            platform.spin(|| {
                // SYNC(barrier): see `wait`.
                // SYNC(outcome): a later generation comes with what was written down of ours.
                word = self.state.load(Ordering::Acquire);
                generation(word) != ours || word & BROKEN != 0
            });
            if generation(word) != ours {
                return match self.outcomes().was_broken(ours) {
                    false => Ok(Passed { index }),
                    true => Err(Failure::Broken),
                };
            }
            if word & BROKEN != 0 {
                return Err(Failure::Broken);
            }
            self.sleep_out(word, platform)?;
        }
    }

    /// Sleeps while the state is as seen and nobody has died; breaks the
    /// barrier where waiting longer makes no sense.
    fn sleep_out(&self, word: u64, platform: &impl Platform) -> Result<(), Failure> {
        let ours = generation(word);
        let deaths = platform.deaths();
        if self.misses_somebody(platform) {
            self.break_generation(ours, platform);
            return Ok(());
        }
        let announced = word | SLEEPERS;
        if word != announced
            && self
                .state
                .compare_exchange(word, announced, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            if platform.is_over() {
                self.break_generation(ours, platform);
                return Err(Failure::TimedOut);
            }
            return Ok(());
        }
        let slept = platform.sleep(self.state, low(announced), deaths);
        let timed_out = slept.or_timed_out();
        if timed_out.is_err() && !self.break_generation(ours, platform) {
            // It was over before the time was.
            return Ok(());
        }
        timed_out
    }

    /// Returns `true` if a process died that no other one has replaced, or for whose action
    /// all the others wait.
    fn misses_somebody(&self, platform: &impl Platform) -> bool {
        let (mut dead, mut alive) = (None, 0);
        for cell in self.cells() {
            let seen = cell.load(Ordering::Relaxed);
            match Owner::of(seen) {
                None => {}
                Some(owner) if platform.is_alive(owner) => alive += 1,
                Some(_) => dead = Some((cell, seen)),
            }
        }
        let Some((cell, seen)) = dead else {
            return false;
        };
        if alive >= self.parties && self.is_forgettable(seen, platform) {
            let _ = cell.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Breaks the barrier if this is still its generation. Returns `true` if it was.
    fn break_generation(&self, ours: u64, platform: &impl Platform) -> bool {
        let mut word = self.state.load(Ordering::Relaxed);
        let mut losses = Losses::default();
        loop {
            if generation(word) != ours || losses.are_too_many() {
                return false;
            }
            if word & BROKEN != 0 {
                return true;
            }
            let broken = (word | BROKEN) & !SLEEPERS;
            match self.state.compare_exchange_weak(
                word,
                broken,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & SLEEPERS != 0 {
            platform.wake(self.state, u32::MAX);
        }
        true
    }

    /// Breaks the barrier.
    pub fn abort(&self, platform: &impl Platform) {
        let mut losses = Losses::default();
        while !self.break_generation(generation(self.state.load(Ordering::Relaxed)), platform)
            && !losses.are_too_many()
        {}
    }

    /// Ends all waits with [`Broken`](Failure::Broken), forgets dead processes, and begins
    /// anew.
    pub fn reset(&self, platform: &impl Platform) {
        for cell in self.cells() {
            let seen = cell.load(Ordering::Relaxed);
            if Owner::of(seen).is_some_and(|owner| !platform.is_alive(owner)) {
                let _ = cell.compare_exchange(seen, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
        let mut losses = Losses::default();
        while !losses.are_too_many() {
            let word = self.state.load(Ordering::Relaxed);
            let ours = generation(word);
            if word & BROKEN == 0 {
                if arrived(word) == 0 {
                    return;
                }
                self.break_generation(ours, platform);
                continue;
            }
            // SYNC(outcome): before anybody can see another generation.
            self.outcomes().write_down(ours);
            let reset =
                self.state
                    .compare_exchange(word, next(word), Ordering::AcqRel, Ordering::Relaxed);
            if reset.is_ok() {
                if word & SLEEPERS != 0 {
                    platform.wake(self.state, u32::MAX);
                }
                return;
            }
        }
    }

    /// Returns `true` if it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state.load(Ordering::Relaxed) & BROKEN != 0
    }

    /// Returns the number of parties that have arrived and wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let word = self.state.load(Ordering::Relaxed);
        if word & BROKEN != 0 { 0 } else { arrived(word) }
    }
}

/// Breaks the barrier when an action panics.
struct Unwinding<'a, P: Platform> {
    barrier: &'a RawBarrier<'a>,
    platform: &'a P,
    generation: u64,
}

impl<P: Platform> Drop for Unwinding<'_, P> {
    fn drop(&mut self) {
        self.barrier
            .break_generation(self.generation, self.platform);
    }
}
