//! Where to listen, and where to connect.

#[cfg(feature = "network")]
use super::Key;
use std::fmt;
#[cfg(feature = "network")]
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a [`Listener`](super::Listener) waits for connections.
///
/// # Examples
/// ```
/// use procession::channel::Address;
/// let here = Address::unix("/run/user/1000/jobs");
/// assert_eq!(here.to_string(), "unix:/run/user/1000/jobs");
/// ```
#[derive(Clone, Debug)]
pub struct Address(pub(super) Place);

#[derive(Clone, Debug)]
pub(super) enum Place {
    Unix(PathBuf),
    #[cfg(feature = "network")]
    Tcp {
        address: SocketAddr,
        key: Key,
        longest: usize,
    },
}

/// Bytes of a message over the network, unless it is said otherwise.
#[cfg(feature = "network")]
const LONGEST: usize = 16 << 20;

impl Address {
    /// A socket at a path, of up to 107 bytes, for processes of this user on this
    /// machine: the kernel says whose they are, each to the other. What they say
    /// goes through [shared memory](super::Flavor::Shared).
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Address {
        Address(Place::Unix(path.into()))
    }

    /// A TCP port, for who has the key, wherever they are. Port 0 listens at one
    /// that is free. The messages have up to 16 MiB.
    #[cfg(feature = "network")]
    #[must_use]
    pub fn tcp(address: SocketAddr, key: Key) -> Address {
        Address(Place::Tcp {
            address,
            key,
            longest: LONGEST,
        })
    }

    /// The TCP address and port, if it is one; of a [`Listener`](super::Listener)
    /// those that it has.
    #[cfg(feature = "network")]
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Place::Unix(_) => None,
            Place::Tcp { address, .. } => Some(*address),
        }
    }

    /// Bytes of the longest message that is sent or believed, over the network.
    #[cfg(feature = "network")]
    #[must_use]
    pub fn longest_message(mut self, bytes: usize) -> Address {
        if let Place::Tcp { longest, .. } = &mut self.0 {
            *longest = bytes;
        }
        self
    }
}

/// Without the key.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "network")]
            Place::Tcp { address, .. } => write!(f, "tcp:{address}"),
        }
    }
}
