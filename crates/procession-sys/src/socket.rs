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

/// Bytes that a TCP socket has been given and has not sent yet, not even once.
///
/// # Errors
/// `EINVAL`, `ENOTTY`: not a connected TCP socket.
///
/// # References
/// tcp(7), SIOCOUTQNSD of `linux/sockios.h`
pub fn unsent(socket: BorrowedFd<'_>) -> Result<usize> {
    const SIOCOUTQNSD: libc::c_int = 0x894b;
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQNSD writes one int.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQNSD as _, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Whether the kernel of a TCP socket's peer owes an answer, and how long it has
/// been silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Something that was sent has not been acknowledged, or a probe has not been
    /// answered.
    pub owes_answer: bool,
    /// Since the last acknowledgement of whatever.
    pub since: std::time::Duration,
}

/// How a TCP socket's peer answers.
///
/// # Errors
/// `EOPNOTSUPP`, `ENOPROTOOPT`: not a TCP socket.
///
/// # References
/// tcp(7), TCP_INFO; `struct tcp_info` of `linux/tcp.h`, whose fields keep their
/// places
pub fn silence(socket: BorrowedFd<'_>) -> Result<Silence> {
    const PROBES: usize = 3;
    const UNACKNOWLEDGED: usize = 24;
    const LAST_ACK_RECEIVED: usize = 56;
    let mut info = [0_u8; 104];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes as many bytes as it is told there are, or fewer.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&info[at..at + 4]);
        u32::from_ne_bytes(bytes)
    };
    Ok(Silence {
        owes_answer: number(UNACKNOWLEDGED) > 0 || info[PROBES] > 0,
        since: std::time::Duration::from_millis(number(LAST_ACK_RECEIVED).into()),
    })
}
