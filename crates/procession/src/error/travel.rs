//! Errors on their way to another process.

use super::{Error, ErrorKind, Inner};
use procession_sys::Errno;
use std::borrow::Cow;
use std::sync::Arc;

/// What of an error can be told to another process.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    kind: ErrorKind,
    operation: String,
    object: String,
    errno: Option<i32>,
    detail: Option<String>,
    hint: Option<String>,
}

impl serde::Serialize for Error {
    /// All but the cause, which becomes text.
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let Inner {
            kind,
            operation,
            object,
            errno,
            detail,
            hint,
            cause,
        } = &*self.0;
        let text = || cause.as_ref().map(ToString::to_string);
        Told {
            kind: *kind,
            operation: operation.to_string(),
            object: object.clone(),
            errno: errno.map(Errno::raw_os_error),
            detail: detail.as_ref().map(ToString::to_string).or_else(text),
            hint: hint.as_ref().map(ToString::to_string),
        }
        .serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Error {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Error, D::Error> {
        let told = Told::deserialize(deserializer)?;
        Ok(Error(Arc::new(Inner {
            kind: told.kind,
            operation: told.operation.into(),
            object: told.object,
            errno: told.errno.map(Errno::from_raw_os_error),
            detail: told.detail.map(Cow::from),
            hint: told.hint.map(Cow::from),
            cause: None,
        })))
    }
}
