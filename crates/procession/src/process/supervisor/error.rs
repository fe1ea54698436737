//! Why a supervisor gave up.

use super::event::ChildExit;
use crate::{Error, ErrorKind};
use std::fmt;
use std::time::Duration;

/// Why a [`Supervisor`](super::Supervisor) gave up. Its children do not run any more.
///
/// # Examples
/// See [`Supervisor::max_restarts`](super::Supervisor::max_restarts).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorError {
    /// A child could not be started for the first time.
    #[non_exhaustive]
    NotStarted {
        /// Its name.
        child: String,
        /// Why.
        error: Error,
    },
    /// The children died more often than
    /// [`max_restarts`](super::Supervisor::max_restarts) allows.
    #[non_exhaustive]
    TooManyRestarts {
        /// The name of the child that died last.
        child: String,
        /// How many restarts are allowed ...
        restarts: usize,
        /// ... within this time.
        period: Duration,
        /// How that child ended.
        exit: ChildExit,
    },
    /// A system call of this library failed.
    Failed(Error),
}

impl fmt::Display for SupervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupervisorError::NotStarted { child, error } => {
                write!(f, "supervising `{child}`: it could not be started: {error}")
            }
            SupervisorError::TooManyRestarts {
                child,
                restarts,
                period,
                exit,
            } => write!(
                f,
                "supervising `{child}`: more than {restarts} restarts within {period:?}: it {exit}"
            ),
            SupervisorError::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SupervisorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SupervisorError::NotStarted { error, .. } | SupervisorError::Failed(error) => {
                error.source()
            }
            SupervisorError::TooManyRestarts { .. } => None,
        }
    }
}

impl From<Error> for SupervisorError {
    fn from(error: Error) -> SupervisorError {
        SupervisorError::Failed(error)
    }
}

impl From<SupervisorError> for Error {
    fn from(error: SupervisorError) -> Error {
        let (kind, child, because) = match error {
            SupervisorError::Failed(error) => return error,
            SupervisorError::NotStarted { child, error } => (
                error.kind(),
                child,
                format!("it could not be started: {error}"),
            ),
            SupervisorError::TooManyRestarts {
                child,
                restarts,
                period,
                exit,
            } => (
                ErrorKind::LimitReached,
                child,
                format!("more than {restarts} restarts within {period:?}: it {exit}"),
            ),
        };
        Error::new(kind, "supervising", child).because(because)
    }
}

crate::error::into_io_error!(SupervisorError);
