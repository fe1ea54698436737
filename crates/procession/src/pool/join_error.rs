//! Joining a pool for a limited time.

use super::Pool;
use super::stats::Stats;
use crate::{Deadline, Error, ErrorKind};
use std::fmt;
use std::time::Duration;

/// The error of [`Pool::try_join`], [`Pool::join_timeout`] and [`Pool::join_deadline`]: tasks have
/// not ended. It has the pool, which is closed.
///
/// Dropping the error, as `?` does, ends the pool, as dropping the pool does.
///
/// # Examples
/// ```
/// use procession::{pool::Pool, process};
/// use std::time::Duration;
/// let pool = Pool::new(1)?;
/// let slow = pool.spawn(|()| std::thread::sleep(Duration::from_secs(3600)), ())?;
/// let error = pool.join_timeout(Duration::from_millis(1)).unwrap_err();
/// assert_eq!(error.kind(), procession::ErrorKind::TimedOut);
/// let pool = error.into_inner();
/// slow.cancel();
/// pool.join();
/// # Ok::<(), procession::Error>(())
/// ```
pub struct JoinError {
    pool: Pool,
    error: Error,
}

impl JoinError {
    #[cold]
    pub(super) fn new(pool: Pool, deadline: Deadline) -> JoinError {
        let error = Error::new(
            deadline.error_kind(),
            "joining pool",
            &pool.shared.settings.name,
        );
        let error = error.because("tasks or workers have not ended");
        JoinError { pool, error }
    }

    /// Returns the pool.
    #[must_use = "dropping the pool ends it"]
    pub fn into_inner(self) -> Pool {
        self.pool
    }

    /// Returns the kind of the [`Error`] that this error converts into:
    /// [`TimedOut`](ErrorKind::TimedOut) or [`WouldBlock`](ErrorKind::WouldBlock).
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.error.kind()
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for JoinError {}

impl From<JoinError> for Error {
    /// Drops the pool.
    fn from(error: JoinError) -> Error {
        error.error
    }
}

crate::error::into_io_error!(JoinError);

impl Pool {
    /// Closes and [joins](Pool::join) the pool if all its tasks have ended and all its workers have
    /// exited.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): tasks have not ended, or workers have not exited. The
    /// error has the pool, which is closed.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, Deadline};
    /// let mut pool = Pool::new(1)?;
    /// pool.call(|x: u64| x + 1, 1)?;
    /// let stats = loop {
    ///     pool = match pool.try_join() {
    ///         Ok(stats) => break stats,
    ///         Err(not_yet) => not_yet.into_inner(),
    ///     };
    ///     std::thread::yield_now();
    /// };
    /// assert_eq!(stats.tasks(), 1);
    /// let other = Pool::new(1)?;
    /// assert_eq!(other.join_deadline(Deadline::NEVER)?.tasks(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_join(self) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::NOW)
    }

    /// Closes the pool, and [joins](Pool::join) it within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): tasks have not ended, or workers have not exited. The
    /// error has the pool, which is closed.
    ///
    /// # Examples
    /// See [`JoinError`].
    pub fn join_timeout(self, timeout: Duration) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Closes the pool, and [joins](Pool::join) it before `deadline`.
    ///
    /// # Errors
    /// As [`join_timeout`](Pool::join_timeout), or, with [`Deadline::NOW`], as
    /// [`try_join`](Pool::try_join).
    pub fn join_deadline(self, deadline: Deadline) -> std::result::Result<Stats, JoinError> {
        self.close();
        if self.shared.check_process().is_err() {
            return Ok(self.join());
        }
        self.say_who_joins(true);
        let executor = &self.shared.executor;
        let is_called = || executor.is_own_thread() || executor.are_done();
        let done = self.shared.wait(deadline, false, |state| {
            (state.is_gone() && is_called()).then_some(())
        });
        match done {
            Some(()) => Ok(self.join()),
            None => {
                self.say_who_joins(false);
                Err(JoinError::new(self, deadline))
            }
        }
    }
}
