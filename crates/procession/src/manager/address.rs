//! Where a manager listens.

use crate::channel::socket_path::{self, SocketPath};
use crate::error::Context;
use crate::name::random_bytes;
use crate::os::socket::listen_stream;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

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

    /// Listens there; the path, if it is one, is kept until the second value is dropped.
    pub(super) fn listen(&self) -> Result<(UnixListener, Option<SocketPath>)> {
        match self {
            Place::Private(name) => {
                let address = SocketAddr::from_abstract_name(name);
                let listener = address.and_then(|address| UnixListener::bind_addr(&address));
                Ok((listener.during("starting manager", self)?, None))
            }
            Place::Path(path) => {
                let (listener, kept) = socket_path::bind(path, |path| listen_stream(path))?;
                Ok((listener, Some(kept)))
            }
        }
    }

    /// Connects, waiting at most `timeout` while as many wait to be accepted as may.
    pub(super) fn connect(&self, timeout: Duration) -> Result<UnixStream> {
        let operation = "connecting to manager";
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        );
        let socket = socket.during(operation, self)?;
        // The kernel's limit for connect(2) as well; socket(7).
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))
            .during(operation, self)?;
        let address = match self {
            Place::Private(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            Place::Path(path) => SocketAddrUnix::new(&**path),
        };
        let address = address.during(operation, self)?;
        let deadline = Deadline::after(timeout);
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(socket.into()),
                Err(Errno::INTR) if !deadline.has_passed() => {}
                Err(Errno::CONNREFUSED | Errno::NOENT) => {
                    return Err(Error::new(ErrorKind::NotFound, operation, self)
                        .because("no manager listens there (any more)"));
                }
                Err(Errno::AGAIN | Errno::INTR) => {
                    return Err(Error::new(ErrorKind::TimedOut, operation, self)
                        .because("it does not accept connections"));
                }
                Err(errno) => return Err(errno).during(operation, self),
            }
        }
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
