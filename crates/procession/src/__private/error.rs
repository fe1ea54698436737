//! Making errors, for the crates of this project that stand on this one. Programs have
//! error types of their own, so [`Error`] has no public constructors.

use crate::{Error, ErrorKind};
use procession_sys::Errno;
use std::borrow::Cow;
use std::fmt::Display;

/// Makes an error of the library, or adds to one that the library returned.
#[derive(Debug)]
#[must_use]
pub struct ErrorBuilder(Error);

impl ErrorBuilder {
    /// Begins an error that did not come from the kernel.
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        object: impl Display,
    ) -> ErrorBuilder {
        ErrorBuilder(Error::new(kind, operation, object))
    }

    /// Begins an error with the kernel's number, of the kind that the number means.
    pub fn os(
        operation: impl Into<Cow<'static, str>>,
        object: impl Display,
        errno: i32,
    ) -> ErrorBuilder {
        ErrorBuilder(Error::os(
            operation,
            object,
            Errno::from_raw_os_error(errno),
        ))
    }

    /// Changes the kind.
    pub fn of_kind(self, kind: ErrorKind) -> ErrorBuilder {
        ErrorBuilder(self.0.of_kind(kind))
    }

    /// Adds the cause in words.
    pub fn because(self, detail: impl Into<Cow<'static, str>>) -> ErrorBuilder {
        ErrorBuilder(self.0.because(detail))
    }

    /// Adds what the user may try.
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> ErrorBuilder {
        ErrorBuilder(self.0.with_hint(hint))
    }

    /// Adds the error of another library that caused this one.
    pub fn caused_by(self, cause: impl std::error::Error + Send + Sync + 'static) -> ErrorBuilder {
        ErrorBuilder(self.0.caused_by(cause))
    }

    /// Returns the error.
    #[must_use]
    pub fn build(self) -> Error {
        self.0
    }
}

impl From<Error> for ErrorBuilder {
    fn from(error: Error) -> ErrorBuilder {
        ErrorBuilder(error)
    }
}
