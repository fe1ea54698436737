//! What a task has captured, in a process that calls it many times.

use super::record::decode;
use crate::codec;
use crate::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::OnceCell;
use std::os::fd::OwnedFd;

/// What a task has captured, encoded, where it is called many times.
pub(crate) struct Captures {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    once: OnceCell<Box<dyn Any>>,
}

impl Captures {
    pub(crate) fn new(bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Captures {
        Captures {
            bytes,
            descriptors,
            once: OnceCell::new(),
        }
    }

    /// One more copy of it.
    pub(crate) fn decode<C: DeserializeOwned>(&self) -> Result<C> {
        if self.descriptors.is_empty() {
            return decode(&self.bytes);
        }
        let copies = self.descriptors.iter().map(OwnedFd::try_clone);
        let copies: std::io::Result<_> = copies.collect();
        codec::decode(
            &self.bytes,
            crate::error::Context::during(copies, "copying descriptor", "")?,
        )
    }

    /// The copy that all calls share.
    pub(crate) fn decoded_once<C: DeserializeOwned + 'static>(&self) -> Result<&C> {
        let value = match self.once.get() {
            Some(value) => value,
            None => {
                let value = self.decode::<C>()?;
                self.once.get_or_init(|| Box::new(value))
            }
        };
        value.downcast_ref().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "decoding captured value", "")
                .because("it was of another type before")
        })
    }
}

impl std::fmt::Debug for Captures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures")
            .field("bytes", &self.bytes.len())
            .field("descriptors", &self.descriptors)
            .finish_non_exhaustive()
    }
}
