//! Values as bytes in a queue.

use crate::{Result, codec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::os::fd::OwnedFd;

thread_local! {
    /// Room for the message that this thread is sending or receiving.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// More than this is given back after use.
const KEPT: usize = 1 << 20;

/// Runs `code` with a buffer that may have room already.
pub(super) fn with_buffer<T>(code: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // Taken out: what decodes a value may receive another one. A thread that is ending
    // has none any more, and makes one each time.
    let mut buffer = BUFFER.try_with(RefCell::take).unwrap_or_default();
    let value = code(&mut buffer);
    if buffer.capacity() <= KEPT {
        let _ = BUFFER.try_with(|kept| kept.replace(buffer));
    }
    value
}

/// Encodes a message; its descriptors.
#[inline]
pub(crate) fn encode<T: Serialize>(message: &T, buffer: &mut Vec<u8>) -> Result<Vec<OwnedFd>> {
    buffer.clear();
    // Most have none, and need no table for them.
    if !codec::is_at_work() && codec::append(message, buffer).is_ok() {
        return Ok(Vec::new());
    }
    buffer.clear();
    codec::encode_into(message, buffer)
}

/// Decodes a message with its descriptors.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<T> {
    if !descriptors.is_empty() || codec::is_at_work() {
        return codec::decode(bytes, descriptors);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        // Again, to learn why.
        _ => codec::decode(bytes, descriptors),
    }
}
