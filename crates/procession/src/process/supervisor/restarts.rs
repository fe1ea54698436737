//! How often and how soon children are restarted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Restarts that are allowed within [`PERIOD`], as systemd's `StartLimitBurst` has it.
const MAX_RESTARTS: usize = 5;

/// As systemd's `StartLimitIntervalSec`.
const PERIOD: Duration = Duration::from_secs(10);

/// The restarts of late, and how many of them there may be.
#[derive(Debug)]
pub(super) struct Restarts {
    pub(super) max: usize,
    pub(super) period: Duration,
    times: VecDeque<Instant>,
}

impl Default for Restarts {
    fn default() -> Restarts {
        Restarts::new(MAX_RESTARTS, PERIOD)
    }
}

impl Restarts {
    pub(super) fn new(max: usize, period: Duration) -> Restarts {
        Restarts {
            max,
            period,
            times: VecDeque::new(),
        }
    }

    /// Counts a restart, if that is not one too many.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= self.period;
        while self.times.front().is_some_and(is_old) {
            self.times.pop_front();
        }
        let is_allowed = self.times.len() < self.max;
        if is_allowed {
            self.times.push_back(now);
        }
        is_allowed
    }
}

/// How long a child is left alone that dies again and again.
#[derive(Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) max: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            first: Duration::from_millis(10),
            max: Duration::from_secs(1),
        }
    }
}

impl Backoff {
    /// Before the restart that is the one of this number in a row, from one.
    pub(super) fn delay(&self, in_a_row: u32) -> Duration {
        let Some(doublings) = in_a_row.checked_sub(2) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_counted_within_the_period() {
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        let mut restarts = Restarts::new(2, 10 * second);
        let allowed = [0, 1, 2, 9, 10, 10, 11, 21, 22, 23];
        let allowed = allowed.map(|at| restarts.allow(begin + at * second));
        let expected = [
            true, true, false, false, true, false, true, true, true, false,
        ];
        assert_eq!(allowed, expected);
        assert!(!Restarts::new(0, second).allow(begin));
        assert!(restarts.times.len() <= 2);
    }

    #[test]
    fn a_delay_grows_up_to_its_maximum() {
        let backoff = Backoff::default();
        let delays = [0, 1, 2, 3, 4, 8, 9, 40, u32::MAX].map(|it| backoff.delay(it).as_millis());
        assert_eq!(delays, [0, 0, 10, 20, 40, 640, 1000, 1000, 1000]);
    }
}
