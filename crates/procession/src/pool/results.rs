//! Results of many calls, as an iterator.

use super::TaskError;
use super::feed::{Feed, Step};
use crate::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Results of many calls, as an iterator that takes arguments from another one as far
/// ahead as it may.
///
/// Each item is a result or how that call failed; the others go on. An error that
/// ends all (the pool is over, the deadline has passed) is the last item.
///
/// # If it is dropped
/// No more arguments are taken; calls that no worker has begun are not made.
///
/// # Examples
/// See [`Pool::imap`](crate::pool::Pool::imap).
#[must_use = "arguments are only taken as results are taken"]
pub struct Results<I: Iterator, R> {
    feed: Option<Feed<I, R>>,
    refused: Option<TaskError>,
}

impl<I: Iterator, R> Results<I, R> {
    pub(super) fn new(feed: Result<Feed<I, R>, TaskError>) -> Self {
        match feed {
            Ok(feed) => Results {
                feed: Some(feed),
                refused: None,
            },
            Err(error) => Results {
                feed: None,
                refused: Some(error),
            },
        }
    }
}

impl<I, R> Results<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The next result with the place of its argument, from zero.
    pub fn next_indexed(&mut self) -> Option<(u64, Result<R, TaskError>)> {
        match self.step(Deadline::NEVER) {
            Step::Result(index, result) => Some((index, result)),
            Step::End | Step::NotYet => None,
        }
    }

    /// Waits at most `timeout` for the next result.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): there is none yet; it can be asked
    /// for again.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(1)?;
    /// let slowly = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    /// let mut results = pool.imap(slowly, [3_600_000]);
    /// assert!(results.next_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> crate::Result<Option<Result<R, TaskError>>> {
        self.next_deadline(Deadline::after(timeout))
    }

    /// Returns the next result, if there is one; `None` after the last.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): there is none yet.
    pub fn try_next(&mut self) -> crate::Result<Option<Result<R, TaskError>>> {
        self.next_deadline(Deadline::NOW)
    }

    /// Waits for the next result until `deadline`; `None` after the last.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`]: there is none
    /// yet; it can be asked for again.
    pub fn next_deadline(
        &mut self,
        deadline: Deadline,
    ) -> crate::Result<Option<Result<R, TaskError>>> {
        match self.step(deadline) {
            Step::Result(_, result) => Ok(Some(result)),
            Step::End => Ok(None),
            Step::NotYet => Err(crate::Error::new(
                deadline.error_kind(),
                "waiting for result of pool",
                "",
            )),
        }
    }

    /// How many arguments were taken, and how many results given out.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        self.feed.as_ref().map_or((0, 0), Feed::progress)
    }

    #[inline]
    fn step(&mut self, patience: Deadline) -> Step<R> {
        match (&mut self.feed, self.refused.take()) {
            (_, Some(error)) => Step::Result(0, Err(error)),
            (Some(feed), None) => feed.next(patience),
            (None, None) => Step::End,
        }
    }
}

impl<I, R> Iterator for Results<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_indexed().map(|(_, result)| result)
    }
}

impl<I: Iterator, R> std::fmt::Debug for Results<I, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results").finish_non_exhaustive()
    }
}
