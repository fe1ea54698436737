//! A connected socket, before anything was said over it.

use crate::os::socket::peer_credentials;
use crate::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;

#[cfg(feature = "network")]
use crate::manager::sealed::{Opener, Sealer};

/// A socket that leads to a manager.
#[derive(Debug)]
pub(in crate::manager) enum Stream {
    /// A Unix socket.
    Plain(OwnedFd),
    /// A TCP connection to a side that has proved that it has the key.
    #[cfg(feature = "network")]
    Sealed(OwnedFd, Sealer, Opener),
}

/// Refuses another user's process.
pub(super) fn check_user(socket: &OwnedFd) -> Result<()> {
    let peer = peer_credentials(socket)?;
    let us = rustix::process::geteuid().as_raw();
    match peer.uid == us {
        true => Ok(()),
        false => Err(
            Error::new(ErrorKind::Untrusted, "connecting to manager", "").because(format!(
                "it is a process of user {}, not of user {us}",
                peer.uid
            )),
        ),
    }
}
