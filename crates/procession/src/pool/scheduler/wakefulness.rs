//! How deep threads may sleep that wait for results.

use super::dispatch::AHEAD_IN_BULK;
use super::{Phase, Scheduler};
use crate::pool::doorbell::Eagerness;
use std::time::Duration;

impl Scheduler {
    /// Counts a thread that takes results in by itself, all the time.
    pub(in crate::pool) fn add_driver(&mut self) {
        self.drivers += 1;
    }

    /// Counts such a thread no longer.
    pub(in crate::pool) fn remove_driver(&mut self) {
        self.drivers -= 1;
    }

    fn outstanding(&self) -> usize {
        self.lives().map(|(_, live)| live.ledger().len()).sum()
    }

    /// Returns how long the worker that has least in front of it is busy with that.
    pub(in crate::pool) fn least_load(&self) -> Duration {
        let loads = self.lives().map(|(_, live)| live.ledger().load());
        Duration::from_nanos(loads.min().unwrap_or(0))
    }

    /// Returns how threads should be woken that wait for a result.
    pub(in crate::pool) fn eagerness(&self, in_bulk: bool) -> Eagerness {
        let mut lives = self.lives();
        let are_busy = in_bulk && lives.all(|(_, live)| live.ledger().len() > AHEAD_IN_BULK / 2);
        if are_busy || self.outstanding() > 4 * self.workers.len() {
            Eagerness::Lazy
        } else {
            Eagerness::Eager
        }
    }

    /// Decides how deep the helper sleeps, which is about to.
    pub(in crate::pool) fn helper_sleeps(&mut self) -> Eagerness {
        self.helper = self.eagerness_of_helper();
        self.helper
    }

    /// Returns `true` if the helper sleeps deeper than it may by now. Most often it sleeps
    /// as deep as it may.
    pub(in crate::pool) fn helper_sleeps_too_deep(&mut self) -> bool {
        let wanted = self.eagerness_of_helper();
        let sleeps_too_deep = wanted < self.helper;
        self.helper = self.helper.min(wanted);
        sleeps_too_deep
    }

    fn eagerness_of_helper(&self) -> Eagerness {
        if self.drivers > 0 && matches!(self.phase, Phase::Open) {
            // They do it, but for the end of the pool: that nothing is left to be done may
            // be found by one of them, or at an instant when none waits.
            Eagerness::Forced
        } else if self.tasks.watched() > 0 {
            Eagerness::Eager
        } else if !self.queue.is_empty()
            || self.tasks.retriable() > 0
            || self.has_something_to_move()
            || !matches!(self.phase, Phase::Open)
        {
            Eagerness::Lazy
        } else {
            Eagerness::Forced
        }
    }
}
