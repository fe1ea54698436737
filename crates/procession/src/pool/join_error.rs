//! A pool that is not done yet.

use super::Pool;
use super::stats::Stats;
use crate::{Deadline, Error, ErrorKind};
use std::fmt;
use std::time::Duration;

/// Why [`Pool::join_timeout`] and its like did not join: the pool is not done. The error
/// has the pool, which is closed.
///
/// Dropped, as by `?`, it ends the pool as dropping the pool does.
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
        let error =
            Error::new(deadline.error_kind(), "joining pool", "").because("tasks have not ended");
        JoinError { pool, error }
    }

    /// Returns the pool.
    #[must_use = "dropping the pool ends it"]
    pub fn into_inner(self) -> Pool {
        self.pool
    }

    /// The kind of the [`Error`] that this converts into.
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
    /// [`join`](Pool::join), if the pool is done; else it comes back, and is closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
    pub fn try_join(self) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::NOW)
    }

    /// [`join`](Pool::join), waiting at most `timeout`; then the pool comes back, and is
    /// closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
    pub fn join_timeout(self, timeout: Duration) -> std::result::Result<Stats, JoinError> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// [`join`](Pool::join), but only until a deadline; then the pool comes back, and
    /// is closed.
    ///
    /// # Errors
    /// The pool is not done, and is in the error.
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
