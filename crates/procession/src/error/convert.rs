//! Errors of others into ours, and ours into the standard library's.

use super::{Error, ErrorKind, Result};
use procession_sys::Errno;
use std::fmt;

impl From<Error> for std::io::Error {
    fn from(error: Error) -> std::io::Error {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            ErrorKind::NotFound => Io::NotFound,
            ErrorKind::AlreadyExists => Io::AlreadyExists,
            ErrorKind::PermissionDenied | ErrorKind::Untrusted => Io::PermissionDenied,
            ErrorKind::TimedOut => Io::TimedOut,
            ErrorKind::WouldBlock => Io::WouldBlock,
            ErrorKind::Disconnected => Io::BrokenPipe,
            ErrorKind::LimitReached => Io::QuotaExceeded,
            ErrorKind::NoSpace => Io::StorageFull,
            ErrorKind::InvalidInput => Io::InvalidInput,
            ErrorKind::Corrupt => Io::InvalidData,
            ErrorKind::Unsupported => Io::Unsupported,
            ErrorKind::Busy => Io::ResourceBusy,
            ErrorKind::Interrupted => Io::Interrupted,
            _ => Io::Other,
        };
        std::io::Error::new(kind, error)
    }
}

/// Has an error that converts into [`Error`] convert into the standard library's as well.
macro_rules! into_io_error {
    ($error:ty $(, $parameter:ident $(: $bound:ident)?)*) => {
        impl<$($parameter $(: $bound)?),*> From<$error> for std::io::Error {
            /// Of the kind that the error has as a [`procession::Error`](crate::Error).
            fn from(error: $error) -> std::io::Error {
                $crate::Error::from(error).into()
            }
        }
    };
}
pub(crate) use into_io_error;

/// A guard, of which an error that holds it says whose it is.
///
/// The guard has its object, so the name is looked up when the error is written or
/// converted: an operation that succeeds, or whose error is only matched, copies none.
pub trait Named {
    /// The kind of the object in a word, such as "mutex", and its name, which is empty
    /// if it has none.
    #[doc(hidden)]
    fn kind_and_name(&self) -> (&'static str, &str);
}

/// Turns the errors of rustix and std into ours, with what was being done.
pub trait Context<T> {
    /// Names the operation and its object.
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|errno| Error::os(operation, object, errno).explain_descriptors())
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn during(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|error| match error.raw_os_error() {
            Some(code) => {
                Error::os(operation, object, Errno::from_raw_os_error(code)).explain_descriptors()
            }
            // The standard library's own errors have a kind and no number.
            None => Error::new(ErrorKind::of_io(error.kind()), operation, object).caused_by(error),
        })
    }
}

impl Error {
    /// The one limit that any call may run into.
    pub(crate) fn explain_descriptors(self) -> Error {
        match self.0.errno {
            Some(Errno::MFILE) => {
                let hint = crate::limits::open_files().hint();
                self.with_hint(hint)
            }
            _ => self,
        }
    }
}
