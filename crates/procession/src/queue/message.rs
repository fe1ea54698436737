//! Values as bytes in a queue.

use crate::shm::Fingerprint;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;

thread_local! {
    /// Room for the message that this thread is sending or receiving.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// More than this is given back after use.
const KEPT: usize = 1 << 20;

/// Runs `code` with a buffer that may have room already.
pub(super) fn with_buffer<T>(code: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // Taken out: what decodes a value may receive another one.
    let mut buffer = BUFFER.take();
    let value = code(&mut buffer);
    if buffer.capacity() <= KEPT {
        BUFFER.set(buffer);
    }
    value
}

pub(super) fn encode<T: Serialize>(message: &T, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    crate::codec::append(message, buffer).map_err(|error| failed::<T>("encoding message", error))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| failed::<T>("decoding message", error))
}

fn failed<T>(operation: &'static str, error: postcard::Error) -> Error {
    Error::new(ErrorKind::Corrupt, operation, std::any::type_name::<T>()).caused_by(error)
}

/// Tells queues of different types apart, by the name of the type: so that a
/// program does not read another's messages as its own.
pub(crate) fn fingerprint<T: ?Sized>() -> Fingerprint {
    Fingerprint::new(std::any::type_name::<T>(), 0)
}
