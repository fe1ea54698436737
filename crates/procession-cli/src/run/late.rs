//! Pipes that are watched a little later than their job begins.
//!
//! Most jobs that end at once have written little: what it was, their pipes still have
//! when they have ended, and nobody has to wake up for it before. A job that lives on is
//! read from then on. Where a job has written much, the next one is read at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a job has before its pipes are watched.
const DELAY: Duration = Duration::from_millis(3);

/// Bytes that a job may write if the next one is to have that time: a part of what a
/// pipe takes.
const LITTLE: u64 = 4096;

#[derive(Debug, Default)]
pub(super) struct Late {
    /// Tickets and times, in the order of both.
    waiting: VecDeque<(Instant, u64)>,
    /// The last job has written much.
    is_eager: bool,
}

impl Late {
    /// Whether the pipes of a new job are left alone for now.
    pub(super) fn take_in(&mut self, ticket: u64) -> bool {
        if !self.is_eager {
            self.waiting.push_back((Instant::now() + DELAY, ticket));
        }
        !self.is_eager
    }

    /// Learns from a job that is over.
    pub(super) fn learn(&mut self, written: u64) {
        self.is_eager = written > LITTLE;
    }

    /// When the first one is due of those that run.
    pub(super) fn due(&mut self, runs: impl Fn(u64) -> bool) -> Option<Instant> {
        while let Some((due, ticket)) = self.waiting.front() {
            if runs(*ticket) {
                return Some(*due);
            }
            self.waiting.pop_front();
        }
        None
    }

    /// The next one that is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<u64> {
        let (_, ticket) = self.waiting.pop_front_if(|(due, _)| *due <= now)?;
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_watched_at_once_after_a_job_that_wrote_much() {
        let mut late = Late::default();
        assert!(late.take_in(1));
        late.learn(LITTLE + 1);
        assert!(!late.take_in(2));
        late.learn(LITTLE);
        assert!(late.take_in(3));
    }

    #[test]
    fn those_that_run_come_in_their_order_when_they_are_due() {
        let mut late = Late::default();
        for ticket in 1..=3 {
            late.take_in(ticket);
        }
        let due = late.due(|ticket| ticket != 1).unwrap();
        assert_eq!(late.next(due - DELAY), None);
        assert_eq!(late.next(due), Some(2));
        assert_eq!(late.next(due + DELAY), Some(3));
        assert!(late.due(|_| true).is_none());
    }
}
