//! Two sockets that are connected to each other.

use crate::Result;
use crate::error::Context;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::OwnedFd;

/// Creates a pair of sequenced-packet sockets, close-on-exec.
///
/// # References
/// socketpair(2), unix(7)
pub(crate) fn of_packets() -> Result<(OwnedFd, OwnedFd)> {
    let kind = SocketType::SEQPACKET;
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .during("creating socket pair", "")
}
