//! A function with what it has captured, for a process that calls it many times.

use super::captures::Captures;
use super::function::{Function, ResolvedFunction};
use crate::Result;
use crate::codec::Decoder;
use std::os::fd::OwnedFd;

/// A function with what it has captured, as [`Task::encode_definition`](super::Task::encode_definition) wrote it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) function: ResolvedFunction,
    pub(crate) captures: Captures,
}

impl Definition {
    pub(crate) fn find(body: &[u8], descriptors: Vec<OwnedFd>) -> Result<Definition> {
        let mut decoder = Decoder::new(body, descriptors);
        let function: Function = decoder.value()?;
        let (left, descriptors) = decoder.suspend();
        Ok(Definition {
            function: function.resolve()?,
            captures: Captures::new(
                body[body.len() - left..].to_vec(),
                descriptors.into_iter().flatten().collect(),
            ),
        })
    }
}
