//! What becomes of a call.

use super::blob;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The answer to a call.
#[derive(Debug)]
pub(super) enum Reply {
    /// The result, encoded.
    Done(Vec<u8>),
    /// It would have had to wait, or was cancelled before it was done.
    NotYet,
    /// It was not done, and why.
    Refused(Refusal),
}

/// Why a call was not done, as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    kind: ErrorKind,
    why: String,
    hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(kind: ErrorKind, why: impl Into<String>) -> Refusal {
        Refusal {
            kind,
            why: why.into(),
            hint: None,
        }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    /// As the caller is told.
    pub(super) fn into_error(self, operation: &'static str, object: &str) -> Error {
        let error = Error::new(self.kind, operation, object).because(self.why);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

const DONE: u8 = 0;
const NOT_YET: u8 = 1;
const REFUSED: u8 = 2;

impl Reply {
    /// The result of a call.
    pub(super) fn of<T: Serialize>(result: &T) -> Reply {
        let mut bytes = Vec::new();
        match blob::encode_into(result, &mut bytes) {
            Ok(()) => Reply::Done(bytes),
            Err(error) => Reply::Refused(Refusal::new(error.kind(), error.to_string())),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Reply::Done(bytes) => {
                out.push(DONE);
                out.extend_from_slice(bytes);
                Ok(())
            }
            Reply::NotYet => {
                out.push(NOT_YET);
                Ok(())
            }
            Reply::Refused(refusal) => {
                out.push(REFUSED);
                blob::encode_into(refusal, out)
            }
        }
    }

    /// # Errors
    /// It is none.
    pub(super) fn read(body: &[u8]) -> Result<Reply> {
        match body.split_first() {
            Some((&DONE, bytes)) => Ok(Reply::Done(bytes.to_vec())),
            Some((&NOT_YET, [])) => Ok(Reply::NotYet),
            Some((&REFUSED, bytes)) => Ok(Reply::Refused(blob::decode(bytes)?)),
            _ => Err(Error::new(ErrorKind::Corrupt, "reading reply", "")),
        }
    }
}
