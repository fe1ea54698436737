//! Descriptors in tokio's reactor.

use crate::Result;
use crate::error::Context;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a copy of a descriptor, to be told when it can be read.
///
/// # Panics
/// Outside a tokio runtime with I/O enabled.
#[allow(unsafe_code, reason = "tokio's way to be given a descriptor")]
pub(crate) fn register(descriptor: impl AsFd, operation: &'static str) -> Result<AsyncFd<OwnedFd>> {
    let copy = descriptor.as_fd().try_clone_to_owned();
    let copy = copy.during(operation, "")?;
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as
    // it lives, which is as long as the reactor has it.
    let registered = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) };
    registered
        .map_err(std::io::Error::from)
        .during(operation, "")
}
