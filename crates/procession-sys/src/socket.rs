//! What rustix leaves out of sockets.

use crate::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that a TCP socket has been given and its peer's kernel has not
/// acknowledged.
///
/// # Errors
/// `EINVAL`, `ENOTTY`: not a connected TCP socket.
///
/// # References
/// tcp(7), SIOCOUTQ
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}
