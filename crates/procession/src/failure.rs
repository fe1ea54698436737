//! Errors of any type as text that can be sent to another process.

use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;

/// An error of any type as text, which can be sent to another process: a task can return
/// `Result<T, Failure>` and use `?`.
///
/// `?` converts every error that implements `std::error::Error`, `anyhow::Error`,
/// `Box<dyn std::error::Error>` and strings. A `Box<dyn std::error::Error + Send + Sync>` is
/// converted by [`of`](Failure::of). A failure keeps the texts of the error and of its
/// [causes](Failure::causes), and a backtrace if `RUST_BACKTRACE` is set. The type of the error
/// is lost.
///
/// As `anyhow::Error`, it does not implement `std::error::Error`, because it converts from all
/// types that do. [`into_error`](Failure::into_error) returns an error that does; `main` and
/// tasks can return a failure as it is.
///
/// # Examples
/// ```
/// use procession::{Failure, pool::Pool, process};
/// fn lines(path: String) -> Result<usize, Failure> {
///     let text = std::fs::read_to_string(&path)?;
///     if text.is_empty() {
///         return Err(format!("{path} is empty").into());
///     }
///     Ok(text.lines().count())
/// }
/// let absent = "/proc/no-such-file".to_owned();
/// let failed = process::spawn(lines, absent.clone())?.join()?.unwrap_err();
/// assert_eq!(failed.to_string(), "No such file or directory (os error 2)");
/// let failed = failed.context("counting lines");
/// assert_eq!(format!("{failed:#}"), "counting lines: No such file or directory (os error 2)");
///
/// // Where the result arrives, `?` once for the task and once for what it returned.
/// fn count(path: String) -> Result<usize, Failure> {
///     Ok(Pool::new(1)?.call(lines, path)??)
/// }
/// assert_eq!(count("/proc/version".to_owned())?, 1);
/// assert!(count(absent).is_err());
/// # Ok::<(), Failure>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    text: String,
    causes: Vec<String>,
    backtrace: Option<String>,
}

/// An error may, by mistake, be its own cause.
const MOST_CAUSES: usize = 64;

impl<E> From<E> for Failure
where
    E: Into<Box<dyn std::error::Error>>,
{
    fn from(error: E) -> Failure {
        Failure::of(&*error.into())
    }
}

impl Failure {
    /// Returns the texts of an error, which is borrowed: for errors that are kept, and for
    /// boxes that `?` does not convert.
    ///
    /// # Examples
    /// ```
    /// use procession::Failure;
    /// use std::error::Error;
    /// fn older() -> Result<u32, Box<dyn Error + Send + Sync>> { Err("it is closed".into()) }
    /// fn newer() -> Result<u32, Failure> {
    ///     older().map_err(|error| Failure::of(&*error))
    /// }
    /// assert_eq!(newer().unwrap_err().to_string(), "it is closed");
    /// ```
    #[must_use]
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Failure {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let backtrace = Backtrace::capture();
        Failure {
            text: error.to_string(),
            causes: causes.take(MOST_CAUSES).map(ToString::to_string).collect(),
            backtrace: (backtrace.status() == BacktraceStatus::Captured)
                .then(|| backtrace.to_string()),
        }
    }

    /// Adds what was being done as the text; the previous text becomes the first cause.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Failure {
        let cause = std::mem::replace(&mut self.text, doing.to_string());
        self.causes.insert(0, cause);
        self
    }

    /// Returns the texts of the causes, the direct cause first.
    ///
    /// # Examples
    /// ```
    /// use procession::Failure;
    /// let failure = Failure::from("no paper").context("printing").context("serving");
    /// assert_eq!(failure.to_string(), "serving");
    /// assert_eq!(failure.causes().collect::<Vec<_>>(), ["printing", "no paper"]);
    /// if std::env::var_os("RUST_BACKTRACE").is_none() {
    ///     assert_eq!(failure.backtrace(), None);
    /// }
    /// ```
    pub fn causes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.causes.iter().map(String::as_str)
    }

    /// Returns the backtrace of the conversion into a failure, if `RUST_BACKTRACE` was set.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// Returns an error with the same text and the same causes, for `anyhow::Error` and
    /// `Box<dyn std::error::Error>`.
    ///
    /// # Examples
    /// ```
    /// use procession::Failure;
    /// fn told() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let failure = Failure::from("no paper").context("printing");
    ///     Err(failure).map_err(Failure::into_error)?
    /// }
    /// let error = told().unwrap_err();
    /// assert_eq!(error.to_string(), "printing");
    /// assert_eq!(error.source().unwrap().to_string(), "no paper");
    /// ```
    #[must_use]
    pub fn into_error(self) -> FailureError {
        let cause = self.causes.into_iter().rev().fold(None, |cause, text| {
            Some(Box::new(FailureError { text, cause }))
        });
        FailureError {
            text: self.text,
            cause,
        }
    }
}

impl fmt::Display for Failure {
    /// Writes the text; with `{:#}` also the texts of the causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if f.alternate() {
            for cause in &self.causes {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    /// Writes text, causes and backtrace, as the end of `main` prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.causes.is_empty() {
            f.write_str("\n\nCaused by:")?;
        }
        for (number, cause) in self.causes.iter().enumerate() {
            write!(f, "\n    {number}: {cause}")?;
        }
        match &self.backtrace {
            Some(backtrace) => write!(f, "\n\nStack backtrace:\n{}", backtrace.trim_end()),
            None => Ok(()),
        }
    }
}

impl From<Failure> for Error {
    /// Keeps the texts of the failure and of its causes; the error has no source.
    fn from(failure: Failure) -> Error {
        Error::new(ErrorKind::Other, "running task", "").because(format!("{failure:#}"))
    }
}

/// A [`Failure`] as an error, made by [`Failure::into_error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureError {
    text: String,
    cause: Option<Box<FailureError>>,
}

impl fmt::Display for FailureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for FailureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<FailureError> for Error {
    /// Keeps the texts of the error and of its causes.
    fn from(error: FailureError) -> Error {
        Failure::of(&error).into()
    }
}

crate::error::into_io_error!(FailureError);
