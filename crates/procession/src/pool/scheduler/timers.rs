//! When something becomes due, and what waits until then.

use super::ids::ChunkId;
use std::time::{Duration, Instant};

/// How late the helper may be before others do its work.
const LATE: Duration = Duration::from_millis(200);

/// The point in time `wait` after `start`; `None` if it is too far away to be one.
pub(in crate::pool) fn after(start: Instant, wait: Duration) -> Option<Instant> {
    start.checked_add(wait)
}

/// The earlier of two points in time that may be never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

/// Chunks that wait for the time of their next attempt, and when the pool's helper thread
/// looks at what is due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// `None` is a time that never comes.
    delayed: Vec<(Option<Instant>, ChunkId)>,
    /// When the helper means to look again.
    next_look: Option<Instant>,
    /// When something becomes due that the helper does not know of.
    first_due: Option<Instant>,
}

impl Timers {
    pub(super) fn has_delayed(&self) -> bool {
        !self.delayed.is_empty()
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed.len()
    }

    /// Keeps a chunk until its time.
    pub(super) fn delay(&mut self, chunk: ChunkId, until: Option<Instant>) {
        self.delayed.push((until, chunk));
        self.becomes_due(until);
    }

    /// Takes the chunks whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ChunkId> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due = self.delayed.extract_if(.., |(at, _)| is_due(*at));
        due.map(|(_, chunk)| chunk).collect()
    }

    /// Returns when the next chunk's time comes.
    pub(super) fn next_delayed(&self) -> Option<Instant> {
        self.delayed.iter().filter_map(|(at, _)| *at).min()
    }

    pub(super) fn forget(&mut self, chunk: ChunkId) {
        self.delayed.retain(|(_, other)| *other != chunk);
    }

    pub(super) fn take_all(&mut self) -> Vec<ChunkId> {
        self.delayed.drain(..).map(|(_, chunk)| chunk).collect()
    }

    /// Notes that something becomes due at `at`.
    pub(super) fn becomes_due(&mut self, at: Option<Instant>) {
        self.first_due = earlier(self.first_due, at);
    }

    /// Notes that all that is due was done, and when to look again.
    pub(super) fn looked(&mut self, next: Option<Instant>) {
        (self.next_look, self.first_due) = (next, None);
    }

    /// Returns `true` once if something becomes due before the helper looks again.
    pub(super) fn take_sooner(&mut self) -> bool {
        let Some(due) = self.first_due else {
            return false;
        };
        let is_sooner = self.next_look.is_none_or(|planned| due < planned);
        if is_sooner {
            self.next_look = Some(due);
        }
        is_sooner
    }

    /// Returns `true` if the helper has not done what was due long ago: the wake-up may
    /// have been lost that was for it.
    pub(super) fn is_late(&self) -> bool {
        let due = earlier(self.next_look, self.first_due);
        due.is_some_and(|due| due.elapsed() > LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::scheduler::ids::Id;

    #[test]
    fn each_chunk_is_released_once_and_in_time() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let [one, two, three] = [1, 2, 3].map(ChunkId::new);
        let mut timers = Timers::default();
        timers.looked(Some(now + 4 * second));
        timers.delay(two, Some(now + 2 * second));
        timers.delay(one, Some(now + second));
        timers.delay(three, None);
        assert!(timers.take_sooner() && !timers.take_sooner());
        assert_eq!(timers.take_due(now), []);
        assert_eq!(timers.take_due(now + second), [one]);
        assert_eq!(timers.next_delayed(), Some(now + 2 * second));
        assert_eq!(timers.take_due(now + 9 * second), [two]);
        assert_eq!(timers.next_delayed(), None);
        assert_eq!(timers.take_all(), [three]);
        assert!(!timers.has_delayed());
    }
}
