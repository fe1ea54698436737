//! Deadlines on the monotonic clock.

use rustix::time::Timespec;
use std::time::{Duration, Instant};

/// The time until which an operation may block.
///
/// An operation that can block has four forms: `op` blocks without a limit, `try_op` does not
/// block, `op_timeout(Duration)` and `op_deadline(Deadline)` block for a limited time. Several
/// operations can share one deadline. The exceptions are:
///
/// - Waits at a [`Condvar`](crate::sync::Condvar) and at a
///   [`Barrier`](crate::sync::Barrier), [`channel::connect`](crate::channel::connect) and
///   `write_all` of a [pipe](crate::os::pipe::Writer::write_all) have no `try_` form.
/// - `get`, `set` and `update` of a [`Value`](crate::shared::Value), and `get`, `set` and
///   `to_vec` of an [`Array`](crate::shared::Array), lock without a limit; `lock_deadline` of
///   the same object has one.
/// - [`process::wait_any`](crate::process::wait_any),
///   [`process::wait_all`](crate::process::wait_all),
///   [`pool::wait_any`](crate::pool::wait_any),
///   [`pool::wait_first_failure`](crate::pool::wait_first_failure) and
///   [`communicate`](crate::process::CommandChild::communicate) have their deadline as
///   an argument.
/// - Calls of a [pool](crate::pool) are bounded by
///   [`Calls::deadline`](crate::pool::Calls::deadline) and by the timeouts of its
///   calls.
/// - A [`scope`](crate::process::scope()) waits for its tasks without a limit: bound the
///   tasks themselves.
/// - `status`, `output` and `check` of a [`Command`](crate::process::Command) and of a
///   [`Pipeline`](crate::process::Pipeline) are bounded by their `timeout`.
/// - `stop` of a process is bounded by its steps ([`Stop`](crate::process::Stop)).
/// - [`Supervisor::run`](crate::process::Supervisor::run) and
///   [`Manager::serve`](crate::manager::Manager::serve) run until they are told to stop, or
///   have nothing left to do.
/// - [`Pool::terminate`](crate::pool::Pool::terminate) kills the workers and waits for their
///   ends.
/// - Calls of a [manager](crate::manager) that wait for no other client, such as
///   [`Dict::get`](crate::manager::Dict::get), block until the manager answers, also while
///   its process is stopped.
/// - Iterators have no limit: each step is the form without one.
/// - [`flush`](crate::os::mmap::MappedFile::flush) of a mapped file waits for the disk.
///
/// A deadline is on `CLOCK_MONOTONIC`: setting the wall clock does not change it, and a signal
/// that interrupts the wait does not restart it.
///
/// # Examples
/// ```
/// use procession::Deadline;
/// use std::time::Duration;
/// let deadline = Deadline::after(Duration::from_secs(5));
/// assert!(!deadline.has_passed());
/// assert!(deadline.remaining().unwrap() <= Duration::from_secs(5));
/// assert_eq!(Deadline::NEVER.remaining(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Until);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// No limit.
    pub const NEVER: Deadline = Deadline(Until::Never);

    /// No blocking: an operation that would block returns
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) and not
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub const NOW: Deadline = Deadline(Until::Now);

    /// Returns the deadline `timeout` from now. A time beyond the range of the clock is
    /// [`NEVER`](Deadline::NEVER).
    #[must_use]
    pub fn after(timeout: Duration) -> Deadline {
        Instant::now()
            .checked_add(timeout)
            .map_or(Deadline::NEVER, Deadline::at)
    }

    /// Returns the deadline at `instant`.
    #[must_use]
    pub fn at(instant: Instant) -> Deadline {
        Deadline(Until::At(instant))
    }

    /// Returns the remaining time: zero if the deadline has passed, `None` without a limit.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        match self.0 {
            Until::Now => Some(Duration::ZERO),
            Until::At(instant) => Some(instant.saturating_duration_since(Instant::now())),
            Until::Never => None,
        }
    }

    /// Returns `true` if no time remains.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Returns the earlier of two deadlines.
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use std::time::Instant;
    /// let now = Deadline::at(Instant::now());
    /// assert_eq!(now.min(Deadline::NEVER), now);
    /// assert_eq!(now.min(Deadline::NOW), Deadline::NOW);
    /// ```
    #[must_use]
    pub fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Until::Now, _) | (_, Until::Now) => Deadline::NOW,
            (Until::Never, _) => other,
            (_, Until::Never) => self,
            (Until::At(a), Until::At(b)) => Deadline::at(a.min(b)),
        }
    }

    /// Returns the kind of the error of an operation that ran out of time.
    pub(crate) fn error_kind(self) -> crate::ErrorKind {
        match self.0 {
            Until::Now => crate::ErrorKind::WouldBlock,
            _ => crate::ErrorKind::TimedOut,
        }
    }

    /// Returns the remaining time in the form of the kernel.
    pub(crate) fn timespec(self) -> Option<Timespec> {
        // A duration beyond what a timespec holds is waited for in pieces: the
        // callers loop until the deadline has passed.
        self.remaining().map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX / 2),
            tv_nsec: i64::from(left.subsec_nanos()),
        })
    }
}

impl From<Duration> for Deadline {
    fn from(timeout: Duration) -> Deadline {
        Deadline::after(timeout)
    }
}

impl From<Instant> for Deadline {
    fn from(instant: Instant) -> Deadline {
        Deadline::at(instant)
    }
}

impl From<Option<Duration>> for Deadline {
    fn from(timeout: Option<Duration>) -> Deadline {
        timeout.map_or(Deadline::NEVER, Deadline::after)
    }
}

/// The monotonic clock in nanoseconds, which all processes of one namespace of times
/// share.
pub(crate) fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or(0)
}

/// A time by that clock as an instant; now, if it is none that has been.
pub(crate) fn instant(at: u64) -> Instant {
    let now = Instant::now();
    let ago = monotonic().checked_sub(at).map(Duration::from_nanos);
    ago.and_then(|ago| now.checked_sub(ago)).unwrap_or(now)
}

/// Milliseconds of the monotonic clock as of the kernel's last tick: cheaper than the
/// exact time.
#[inline]
pub(crate) fn coarse_milliseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec.cast_unsigned() * 1000 + now.tv_nsec.cast_unsigned() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_deadline_wins() {
        let soon = Deadline::after(Duration::from_secs(1));
        let late = Deadline::after(Duration::from_secs(60));
        assert_eq!(soon.min(late), soon);
        assert_eq!(late.min(soon), soon);
        assert_eq!(Deadline::NEVER.min(soon), soon);
        assert_eq!(soon.min(Deadline::NOW), Deadline::NOW);
    }

    #[test]
    fn an_endless_timeout_is_never() {
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
    }

    #[test]
    fn a_passed_deadline_has_nothing_left() {
        let passed = Deadline::after(Duration::ZERO);
        assert!(passed.has_passed());
        assert_eq!(
            passed.timespec().map(|left| (left.tv_sec, left.tv_nsec)),
            Some((0, 0))
        );
    }
}
