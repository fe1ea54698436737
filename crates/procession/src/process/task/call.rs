//! One call of a function as it arrives, and what comes of it.

use crate::codec::{self, Arrived, Decoder, Encoded};
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;

/// What became of a call.
pub(crate) enum Outcome {
    Returned(Encoded),
    Untranslatable(Error),
}

impl Outcome {
    pub(crate) fn of<R: Serialize>(result: R) -> Outcome {
        match codec::encode(&result) {
            Ok(encoded) => Outcome::Returned(encoded),
            Err(error) => Outcome::Untranslatable(error),
        }
    }
}

/// A call as it arrives.
pub(crate) struct Call {
    body: Arrived,
    /// Bytes of the body that have been read.
    read: usize,
    descriptors: codec::Table,
}

impl Call {
    pub(crate) fn new(body: Arrived, descriptors: Vec<OwnedFd>) -> Call {
        Call {
            body,
            read: 0,
            descriptors: descriptors.into_iter().map(Some).collect(),
        }
    }

    /// Decodes the next value.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let descriptors = std::mem::take(&mut self.descriptors);
        let mut decoder = Decoder::resume(&self.body[self.read..], descriptors);
        let value = decoder.value();
        let (left, descriptors) = decoder.suspend();
        self.read = self.body.len() - left;
        self.descriptors = descriptors;
        value
    }
}
