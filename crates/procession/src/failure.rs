//! An error of any kind as something that travels.

use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;

/// What went wrong, as texts: any error, made into something that travels, so that a task
/// can return `Result<T, Failure>` and use `?`.
///
/// It is made from `std::io::Error` and every other error of std or of a library, from
/// `anyhow::Error`, `Box<dyn std::error::Error>` and texts; of a
/// `Box<dyn std::error::Error + Send + Sync>` by [`of`](Failure::of). It keeps what the
/// error and each of its [causes](Failure::causes) said, and where it became a failure,
/// if `RUST_BACKTRACE` is set there. The error itself, with its type, stays where it was.
///
/// It is no `std::error::Error` itself, as `anyhow::Error` is none: otherwise it could
/// not be made from all of them. [`into_error`](Failure::into_error) makes one of it;
/// `main` and other tasks can return it as it is.
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
    /// What an error says, that is not to be given away, or is in a box of another kind.
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

    /// Says what was being done; what it said before becomes the cause.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Failure {
        let cause = std::mem::replace(&mut self.text, doing.to_string());
        self.causes.insert(0, cause);
        self
    }

    /// What the causes of the error say, the nearest first.
    pub fn causes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.causes.iter().map(String::as_str)
    }

    /// Where the error became a failure, if `RUST_BACKTRACE` was set there.
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// An error that says the same and has causes that say the same, for what wants
    /// one: `Box<dyn std::error::Error>`, `anyhow::Error`.
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
    /// What it says; with `{:#}` also what its causes say.
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
    /// All of it: what the end of `main` prints.
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
    /// Says what the failure and all of its causes say; has no source.
    fn from(failure: Failure) -> Error {
        Error::new(ErrorKind::Other, "running task", "").because(format!("{failure:#}"))
    }
}

/// A [`Failure`] as an error; made by [`Failure::into_error`].
///
/// # Examples
/// See there.
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
    /// As from a [`Failure`].
    fn from(error: FailureError) -> Error {
        Failure::of(&error).into()
    }
}

crate::error::into_io_error!(FailureError);
