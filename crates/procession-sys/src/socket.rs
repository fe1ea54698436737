//! What rustix leaves out of sockets.

use crate::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets where in what waits at a socket the next look that leaves it there begins,
/// in bytes.
///
/// # Errors
/// `EOPNOTSUPP`: not a Unix socket.
///
/// # References
/// socket(7), SO_PEEK_OFF
pub fn set_peek_offset(socket: BorrowedFd<'_>, offset: usize) -> Result<()> {
    let offset = libc::c_int::try_from(offset).map_err(|_| crate::Errno::INVAL)?;
    // SAFETY: the option is one int, of which the kernel reads a copy.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEEK_OFF,
            (&raw const offset).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

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
