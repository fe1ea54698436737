//! For `procession-transport`, which stands on the public API and on these: what
//! every mechanism of the kernel needs that is bounded by a deadline and names
//! what failed. One implementation serves both crates, so that texts, hints and
//! the treatment of signals are the same. Not part of the API: it may change in
//! any release, and `procession-transport` asks for exactly its own.

pub use crate::error::Context;

use crate::{Deadline, Error, Result};
use std::any::Any;
use std::fmt::Display;
use std::os::fd::BorrowedFd;

/// Waiting for descriptors.
pub mod poll {
    pub use crate::poll::readable;

    use crate::{Deadline, Result};
    use rustix::event::{PollFd, PollFlags};
    use std::fmt::Display;
    use std::os::fd::BorrowedFd;

    /// Waits until one of the descriptors has one of its events; returns how many
    /// have, zero once the deadline has passed.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(descriptors: &mut [PollFd<'_>], deadline: Deadline) -> Result<usize> {
        crate::poll::wait(descriptors, deadline)
    }

    /// Waits until one of the descriptors is readable, or the deadline has passed.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait_for_any(descriptors: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        crate::poll::wait_for_any(descriptors, deadline)
    }

    /// Repeats a non-blocking call until it succeeds, fails for another reason than
    /// "not now", or the deadline has passed.
    ///
    /// # Errors
    /// The call's, and the deadline's.
    pub fn repeat<T>(
        descriptor: BorrowedFd<'_>,
        events: PollFlags,
        deadline: Deadline,
        operation: &'static str,
        object: &dyn Display,
        call: impl FnMut() -> procession_sys::Result<T>,
    ) -> Result<T> {
        crate::poll::repeat(descriptor, events, deadline, operation, object, call)
    }
}

/// The error of an operation whose deadline has passed: that it would have had to
/// wait, if it was not to wait at all.
#[must_use]
pub fn timed_out(deadline: Deadline, operation: &'static str, object: impl Display) -> Error {
    Error::new(deadline.error_kind(), operation, object)
}

/// The error, of another object.
#[must_use]
pub fn about(error: Error, object: impl Display) -> Error {
    error.about(object)
}

/// Draws random bytes from the kernel.
///
/// # Errors
/// The kernel has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    crate::name::random_bytes()
}

/// Draws 128 random bits, as text in hexadecimal.
///
/// # Errors
/// As [`random_bytes`].
pub fn random_hex() -> Result<String> {
    crate::name::random_hex()
}

/// What a panic said.
#[must_use]
pub fn text_of_panic(payload: &(dyn Any + Send)) -> String {
    crate::process::text_of_panic(payload)
}

/// A number that tells this process from those that it was forked from.
#[must_use]
pub fn process_token() -> u64 {
    crate::process_token::current()
}

/// Makes a file `length` bytes long and allocates its space.
///
/// # Errors
/// The file system or the process may not have so much.
pub fn allocate(
    file: BorrowedFd<'_>,
    length: usize,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    crate::os::allocate(file, length, operation, object)
}

/// Refuses to write beyond the longest file that this process may have, for which
/// the kernel would kill it.
///
/// # Errors
/// [`LimitReached`](crate::ErrorKind::LimitReached).
pub fn require_writable_to(end: u64, operation: &'static str, object: &dyn Display) -> Result<()> {
    crate::fd::size_limit::require_writable_to(end, operation, object)
}
