//! Results of many calls, as an iterator.

use super::TaskError;
use super::feed::{Feed, Step};
use crate::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// An iterator over the results of many calls, which takes arguments from another iterator
/// ahead of the results that are taken, as far as [`look_ahead`](super::Calls::look_ahead) allows.
///
/// Each item is a result, or the failure of one call; the other calls go on. An error that
/// ends all calls (the pool has ended, the deadline has passed) is the last item.
///
/// # If it is dropped
/// No more arguments are taken. Calls that no worker has begun are not made; the others go on,
/// and their results are thrown away.
///
/// # Examples
/// ```
/// use procession::{pool::Pool, Deadline, ErrorKind};
/// let pool = Pool::new(2)?;
/// let mut squares = pool.imap(|x: u64| x * x, 0..4);
/// assert_eq!(squares.next().transpose()?, Some(0));
/// assert_eq!(squares.next_deadline(Deadline::NEVER)?.transpose()?, Some(1));
/// // Those that are here do not block.
/// let third = loop {
///     match squares.try_next() {
///         Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
///         other => break other?,
///     }
/// };
/// assert_eq!(third.transpose()?, Some(4));
/// let (place, last) = squares.next_indexed().unwrap();
/// assert_eq!((place, last?), (3, 9));
/// assert_eq!(squares.progress(), (4, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Blocks until the next result is here, and returns it with the index of its argument, from
    /// zero. Returns `None` after the last result.
    pub fn next_indexed(&mut self) -> Option<(u64, Result<R, TaskError>)> {
        match self.step(Deadline::NEVER) {
            Step::Result(index, result) => Some((index, result)),
            Step::End | Step::NotYet => None,
        }
    }

    /// Returns the next result with the index of its argument, if it is here, and `None` after the
    /// last result.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): there is no result yet.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, Deadline};
    /// use std::time::Duration;
    /// let pool = Pool::new(2)?;
    /// let wait = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    /// let mut results = pool.imap_unordered(wait, [3_600_000, 0]);
    /// let (place, result) = results.next_indexed_deadline(Deadline::NEVER)?.unwrap();
    /// assert_eq!((place, result?), (1, ()));
    /// assert!(results.try_next_indexed().unwrap_err().is_would_block());
    /// let timeout = Duration::from_millis(1);
    /// assert!(results.next_indexed_timeout(timeout).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_next_indexed(&mut self) -> crate::Result<Option<(u64, Result<R, TaskError>)>> {
        self.next_indexed_deadline(Deadline::NOW)
    }

    /// Blocks until the next result is here, at most `timeout`, and returns it with the index of
    /// its argument. Returns `None` after the last result.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): there is no result yet; the next call may get it.
    pub fn next_indexed_timeout(
        &mut self,
        timeout: Duration,
    ) -> crate::Result<Option<(u64, Result<R, TaskError>)>> {
        self.next_indexed_deadline(Deadline::after(timeout))
    }

    /// Blocks until the next result is here or `deadline` has passed, and returns it with the index
    /// of its argument. Returns `None` after the last result.
    ///
    /// # Errors
    /// As [`next_deadline`](Results::next_deadline).
    pub fn next_indexed_deadline(
        &mut self,
        deadline: Deadline,
    ) -> crate::Result<Option<(u64, Result<R, TaskError>)>> {
        match self.step(deadline) {
            Step::Result(index, result) => Ok(Some((index, result))),
            Step::End => Ok(None),
            Step::NotYet => Err(crate::Error::new(
                deadline.error_kind(),
                "receiving result of pool",
                "",
            )),
        }
    }

    /// Blocks until the next result is here, at most `timeout`. Returns `None` after the last
    /// result.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): there is no result yet; the next call may get it.
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

    /// Returns the next result, if it is here, and `None` after the last result.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): there is no result yet.
    pub fn try_next(&mut self) -> crate::Result<Option<Result<R, TaskError>>> {
        self.next_deadline(Deadline::NOW)
    }

    /// Blocks until the next result is here or `deadline` has passed. Returns `None` after the
    /// last result.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`]: there is no result
    /// yet; the next call may get it.
    pub fn next_deadline(
        &mut self,
        deadline: Deadline,
    ) -> crate::Result<Option<Result<R, TaskError>>> {
        let next = self.next_indexed_deadline(deadline)?;
        Ok(next.map(|(_, result)| result))
    }

    /// Returns how many arguments were taken from their iterator, and how many results were
    /// returned.
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
