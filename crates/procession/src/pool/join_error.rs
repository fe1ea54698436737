//! A pool that is not done yet.

use super::Pool;
use crate::{Deadline, Error, ErrorKind};
use std::fmt;

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
