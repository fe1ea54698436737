//! Ticks of the monotonic clock.

use crate::{Deadline, Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WAITING: &str = "waiting for a tick";

/// Ticks at fixed intervals of the monotonic clock, for a loop that does something every
/// `period`, alone or in a [`Select`](crate::Select).
///
/// The ticks are due at the times `start + period`, `start + 2 * period` and so on, where
/// `start` is when the ticker was made. A thread that is late does not shift the ticks that
/// follow. Ticks that nobody has taken before the next one are skipped: one wait returns the
/// last of them, with the number of those before it ([`Tick::missed`]).
///
/// Threads that share a ticker share its ticks: each tick goes to one of them. A ticker has
/// no thread and no descriptor. For one time only, use
/// [`Select::after`](crate::Select::after); for none, leave the ticker out.
///
/// # Across fork and exec
/// A forked child has its copy, with the same ticks.
///
/// # Cost
/// A look at the clock, and one atomic operation for each tick.
///
/// # Source
/// clock_gettime(2) "CLOCK_MONOTONIC"; `tick` of crossbeam-channel, and `interval` of tokio
/// with `MissedTickBehavior::Skip`.
///
/// # Examples
/// ```
/// use procession::{Select, Ticker, queue};
/// use std::time::Duration;
/// let (_sender, receiver) = queue::bounded::<u32>(4)?;
/// let ticker = Ticker::new(Duration::from_millis(2));
/// let mut select = Select::new();
/// let message = select.recv(&receiver);
/// let tick = select.tick(&ticker);
/// let mut ticks = 0;
/// while ticks < 3 {
///     let ready = select.ready()?;
///     if ready == tick && ticker.try_wait().is_ok() {
///         ticks += 1;
///     }
///     assert_ne!(ready, message);
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "tick")]
#[doc(alias = "interval")]
pub struct Ticker {
    start: Instant,
    period: Duration,
    /// Number of the tick that is due next, minus one: the ticks that were taken or missed.
    past: AtomicU64,
}

/// A tick of a [`Ticker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tick {
    /// When the tick was due.
    pub due: Instant,
    /// How many ticks before this one nobody has taken.
    pub missed: u64,
}

impl Ticker {
    /// Makes a ticker, whose first tick is due after one `period`.
    ///
    /// # Panics
    /// If `period` is zero.
    ///
    /// # Examples
    /// See [`Ticker`].
    #[must_use]
    pub fn new(period: Duration) -> Ticker {
        assert!(!period.is_zero(), "a ticker has a period above zero");
        Ticker {
            start: Instant::now(),
            period,
            past: AtomicU64::new(0),
        }
    }

    /// Returns the time between two ticks.
    ///
    /// # Examples
    /// See [`wait`](Ticker::wait).
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Blocks until a tick is due, and takes it.
    ///
    /// # Errors
    /// None, unless the clock cannot count so far.
    ///
    /// # Examples
    /// ```
    /// use procession::Ticker;
    /// use std::time::Duration;
    /// let ticker = Ticker::new(Duration::from_millis(1));
    /// let (first, second) = (ticker.wait()?, ticker.wait()?);
    /// // No drift: the ticks are whole periods apart, however late they are taken.
    /// let periods = 1 + u32::try_from(second.missed).unwrap();
    /// assert_eq!(second.due - first.due, ticker.period() * periods);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait(&self) -> Result<Tick> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Takes the tick that is due now.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): none is due.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Ticker};
    /// use std::time::Duration;
    /// let ticker = Ticker::new(Duration::from_secs(3600));
    /// assert!(ticker.try_wait().unwrap_err().is_would_block());
    /// let short = Duration::from_millis(1);
    /// assert!(ticker.wait_timeout(short).unwrap_err().is_timeout());
    /// assert!(ticker.wait_deadline(Deadline::after(short)).unwrap_err().is_timeout());
    /// ```
    pub fn try_wait(&self) -> Result<Tick> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Blocks until a tick is due, at most `timeout`, and takes it.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// See [`try_wait`](Ticker::try_wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Tick> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Blocks until a tick is due, at most until `deadline`, and takes it.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Examples
    /// See [`try_wait`](Ticker::try_wait).
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<Tick> {
        loop {
            if let Some(tick) = self.take() {
                return Ok(tick);
            }
            if deadline.has_passed() {
                let object = format_args!("every {:?}", self.period);
                return Err(Error::new(deadline.error_kind(), WAITING, object));
            }
            let left = self.next().min(deadline).remaining();
            // The last time that the clock can count is far away.
            let left = left.unwrap_or(Duration::from_secs(1 << 30));
            #[expect(clippy::disallowed_methods, reason = "only a time is waited for")]
            std::thread::sleep(left);
        }
    }

    /// When the next tick is due.
    pub(super) fn next(&self) -> Deadline {
        let next = self.past.load(Ordering::Relaxed).saturating_add(1);
        self.due(next).map_or(Deadline::NEVER, Deadline::at)
    }

    /// Takes the last tick that is due, if there is one.
    fn take(&self) -> Option<Tick> {
        let elapsed = self.start.elapsed().as_nanos();
        let number = u64::try_from(elapsed / self.period.as_nanos()).unwrap_or(u64::MAX);
        let past = self.past.fetch_max(number, Ordering::Relaxed);
        let missed = number.checked_sub(past)?.checked_sub(1)?;
        let due = self.due(number)?;
        Some(Tick { due, missed })
    }

    fn due(&self, number: u64) -> Option<Instant> {
        let nanoseconds = self.period.as_nanos().checked_mul(u128::from(number))?;
        let seconds = u64::try_from(nanoseconds / 1_000_000_000).ok()?;
        let rest = (nanoseconds % 1_000_000_000) as u32;
        self.start.checked_add(Duration::new(seconds, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticker(periods_ago: u32) -> Ticker {
        let period = Duration::from_secs(100);
        Ticker {
            start: Instant::now() - period * periods_ago - period / 2,
            period,
            past: AtomicU64::new(0),
        }
    }

    #[test]
    fn ticks_that_nobody_took_are_one_tick_that_counts_them() {
        let ticker = ticker(5);
        let tick = ticker.try_wait().unwrap();
        assert_eq!(tick.missed, 4);
        assert_eq!(tick.due, ticker.start + ticker.period * 5);
        assert!(ticker.try_wait().unwrap_err().is_would_block());
        let next = Deadline::at(ticker.start + ticker.period * 6);
        assert_eq!(ticker.next(), next);
    }

    #[test]
    fn each_tick_goes_to_one_thread() {
        for _ in 0..200 {
            let ticker = ticker(1);
            let taken = std::thread::scope(|threads| {
                let all = [(); 3].map(|()| threads.spawn(|| ticker.try_wait().is_ok()));
                all.map(|it| it.join().unwrap())
            });
            assert_eq!(taken.into_iter().filter(|it| *it).count(), 1, "{taken:?}");
        }
    }

    #[test]
    fn no_period_is_too_long() {
        let ticker = Ticker::new(Duration::MAX);
        assert_eq!(ticker.next(), Deadline::NEVER);
        assert!(ticker.try_wait().is_err());
    }
}
