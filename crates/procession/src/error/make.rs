//! Constructors of errors. They are private: the crates of this workspace that stand on
//! the library use `__private::error`.

use super::{Error, ErrorKind, Inner};
use procession_sys::Errno;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

impl Error {
    /// Returns an error that did not come from the kernel. `operation` is a phrase
    /// such as "sending to pipe"; `object` names what it was done to and may
    /// be empty.
    #[must_use]
    pub(crate) fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
    ) -> Error {
        Error(Arc::new(Inner {
            kind,
            operation: operation.into(),
            object: object.to_string(),
            errno: None,
            detail: None,
            hint: None,
            cause: None,
        }))
    }

    /// Returns an error with the kernel's number, of the kind that the number means.
    #[must_use]
    pub(crate) fn os(
        operation: impl Into<Cow<'static, str>>,
        object: impl fmt::Display,
        errno: Errno,
    ) -> Error {
        Error::new(ErrorKind::of(errno), operation, object)
            .change(|inner| inner.errno = Some(errno))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Changes the kind: a few numbers mean different things in different calls.
    #[must_use]
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Error {
        self.change(|inner| inner.kind = kind)
    }

    /// Adds what is known beyond kind and number.
    #[must_use]
    pub(crate) fn because(self, detail: impl Into<Cow<'static, str>>) -> Error {
        self.change(|inner| inner.detail = Some(detail.into()))
    }

    /// Adds what the user may try.
    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Error {
        self.change(|inner| inner.hint = Some(hint.into()))
    }

    /// Adds the error of another library that caused this one.
    #[must_use]
    pub(crate) fn caused_by(self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.change(|inner| inner.cause = Some(Arc::new(cause)))
    }

    /// Names the object more closely than a lower layer has.
    #[must_use]
    pub(crate) fn renamed(self, object: String) -> Error {
        self.change(|inner| inner.object = object)
    }

    /// Names the object where a lower layer could not.
    pub(crate) fn about(self, object: impl fmt::Display) -> Error {
        self.change(|inner| {
            if inner.object.is_empty() {
                inner.object = object.to_string();
            }
        })
    }
}
