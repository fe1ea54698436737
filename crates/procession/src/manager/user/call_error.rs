//! Why a method of an object gave no result.

use crate::process::Panic;
use crate::{Error, ErrorKind};
use std::fmt;

/// What a call does, as errors say it.
pub(super) const OPERATION: &str = "calling object of manager";

/// Why a method of an object of your own gave no result.
///
/// An error that the method itself returns is no `CallError`: it is in the result, as the
/// method returned it. So `?` is written twice, once for the call and once for what came of it.
///
/// # Examples
/// ```
/// use procession::manager::{self, CallError, Manager, Objects};
///
/// #[manager::object]
/// pub trait Divide {
///     fn divide(&self, a: u32, b: u32) -> Result<u32, String>;
///     fn divide_all(&self, by: Vec<u32>) -> u32;
/// }
/// struct Numbers(u32);
/// impl Divide for Numbers {
///     fn divide(&self, a: u32, b: u32) -> Result<u32, String> {
///         a.checked_div(b).ok_or_else(|| "by nothing".to_owned())
///     }
///     fn divide_all(&self, by: Vec<u32>) -> u32 {
///         by.into_iter().fold(self.0, |number, by| number / by)
///     }
/// }
///
/// fn objects(number: u32) -> Objects {
///     Objects::new().object::<DivideProxy, _>("divide", Numbers(number))
/// }
/// let manager = Manager::builder().setup(objects, 100).start()?;
/// let divide: DivideProxy = manager.get("divide")?;
/// assert_eq!(divide.divide(6, 3)?, Ok(2));
/// assert_eq!(divide.divide(6, 0)?, Err("by nothing".to_owned()));
/// match divide.divide_all(vec![5, 0]) {
///     Err(CallError::Panicked { method, panic, .. }) => {
///         assert_eq!(method, "divide.divide_all");
///         assert_eq!(panic.message, "attempt to divide by zero");
///     }
///     other => panic!("{other:?}"),
/// }
/// // The object is there all the same.
/// assert_eq!(divide.divide_all(vec![5])?, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The method panicked. The object stays usable.
    #[non_exhaustive]
    Panicked {
        /// The name of the object and of the method.
        method: String,
        /// What the panic said, and where.
        panic: Box<Panic>,
    },
    /// The method was not called, or its result has not arrived: the manager has ended
    /// ([`ProcessDied`](ErrorKind::ProcessDied), [`Disconnected`](ErrorKind::Disconnected)), it
    /// has no such method ([`Incompatible`](ErrorKind::Incompatible)), the time has passed
    /// ([`TimedOut`](ErrorKind::TimedOut)), a value cannot be encoded or decoded.
    Failed(Error),
}

impl CallError {
    /// Returns the kind of error; of a panic, that is [`Other`](ErrorKind::Other).
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            CallError::Panicked { .. } => ErrorKind::Other,
            CallError::Failed(error) => error.kind(),
        }
    }

    /// Returns the panic, if the method panicked.
    ///
    /// # Examples
    /// See [`CallError`].
    #[must_use]
    pub fn panic(&self) -> Option<&Panic> {
        match self {
            CallError::Panicked { panic, .. } => Some(panic),
            CallError::Failed(_) => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Panicked { method, panic } => {
                write!(f, "calling object of manager `{method}`: it {panic}")
            }
            CallError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError::Failed(error)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Error {
        match error {
            CallError::Panicked { method, panic } => {
                Error::new(ErrorKind::Other, OPERATION, method).because(format!("it {panic}"))
            }
            CallError::Failed(error) => error,
        }
    }
}

crate::error::into_io_error!(CallError);
