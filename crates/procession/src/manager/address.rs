//! Where a manager listens.

use crate::channel::socket_path::{self, SocketPath};
use crate::error::Context;
use crate::name::random_bytes;
use crate::os::socket::listen_stream;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

/// Where to find a manager again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Place {
    /// A name that is drawn at random and goes with the manager's process.
    Private(String),
    Path(PathBuf),
}

impl Place {
    /// A place that nobody else has.
    pub(super) fn private() -> Result<Place> {
        let number = u128::from_le_bytes(random_bytes()?);
        Ok(Place::Private(format!("procession-manager-{number:032x}")))
    }

    fn address(&self) -> std::io::Result<SocketAddr> {
        match self {
            Place::Private(name) => SocketAddr::from_abstract_name(name),
            Place::Path(path) => SocketAddr::from_pathname(path),
        }
    }

    /// Listens there; the path, if it is one, is kept until the second value is dropped.
    pub(super) fn listen(&self) -> Result<(UnixListener, Option<SocketPath>)> {
        match self {
            Place::Private(_) => {
                let address = self.address();
                let listener = address.and_then(|address| UnixListener::bind_addr(&address));
                Ok((listener.during("starting manager", self)?, None))
            }
            Place::Path(path) => {
                let (listener, kept) = socket_path::bind(path, |path| listen_stream(path))?;
                Ok((listener, Some(kept)))
            }
        }
    }

    pub(super) fn connect(&self) -> Result<UnixStream> {
        let operation = "connecting to manager";
        let address = self.address();
        let stream = address.and_then(|address| UnixStream::connect_addr(&address));
        stream.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, operation, self)
                    .because("no manager listens there (any more)")
            }
            _ => {
                let failed: std::io::Result<()> = Err(error);
                match failed.during(operation, self) {
                    Err(error) => error,
                    Ok(()) => Error::new(ErrorKind::Other, operation, self),
                }
            }
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Private(name) => f.write_str(name),
            Place::Path(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
