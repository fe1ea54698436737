//! The sockets at which a server waits for clients.

#[cfg(feature = "network")]
use crate::channel::network;
#[cfg(feature = "network")]
use crate::channel::require_key;
use crate::channel::socket_path::{self, SocketPath};
use crate::channel::{Address, Target};
use crate::error::Context;
use crate::os::socket::listen_stream;
use crate::{Handle, Result};
use rustix::net::SocketFlags;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

/// A listening socket, which can be given to the process that serves.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Listener {
    socket: Handle<OwnedFd>,
    /// Of a TCP port: the key, and how long clients may be silent.
    tcp: Option<(Vec<u8>, Duration)>,
}

/// A listener, the address that it has, and its path, which is kept until it is dropped.
pub(in crate::manager) struct Bound {
    pub(in crate::manager) listener: Listener,
    pub(in crate::manager) address: Address,
    pub(in crate::manager) path: Option<SocketPath>,
}

impl Listener {
    fn new(socket: OwnedFd) -> Result<Listener> {
        rustix::io::ioctl_fionbio(&socket, true).during("starting manager", "")?;
        Ok(Listener {
            socket: Handle::new(socket),
            tcp: None,
        })
    }

    /// Listens at a name in the abstract namespace.
    pub(in crate::manager) fn private(name: &str) -> Result<Listener> {
        let address = SocketAddr::from_abstract_name(name);
        let listener = address.and_then(|address| UnixListener::bind_addr(&address));
        Listener::new(listener.during("starting manager", name)?.into())
    }

    pub(in crate::manager) fn bind(address: &Address) -> Result<Bound> {
        match address.target() {
            Target::Unix(path) => {
                let (listener, kept) = socket_path::bind(path, |path| listen_stream(path))?;
                Ok(Bound {
                    listener: Listener::new(listener.into())?,
                    address: address.clone(),
                    path: Some(kept),
                })
            }
            #[cfg(feature = "network")]
            Target::Tcp { host, key, limits } => {
                let key = require_key(key.as_ref()).map_err(|error| error.about(address))?;
                let socket = network::listen(host)?;
                let mut here = Address::tcp(network::local_address(&socket)?, key.clone());
                here = here.lost_after(limits.lost_after);
                let mut listener = Listener::new(socket)?;
                listener.tcp = Some((key.expose().to_vec(), limits.lost_after));
                Ok(Bound {
                    listener,
                    address: here,
                    path: None,
                })
            }
        }
    }

    /// Of a TCP port: the key that clients must have, and how long they may be silent.
    pub(super) fn tcp(&self) -> Option<&(Vec<u8>, Duration)> {
        self.tcp.as_ref()
    }

    /// Accepts a client, if one waits.
    pub(super) fn accept(&self) -> procession_sys::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::accept_with(&*self.socket, flags)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
