//! Where a manager is reached.

use super::client::Stream;
#[cfg(feature = "network")]
use super::frame::TYPES;
#[cfg(feature = "network")]
use super::keys;
#[cfg(feature = "network")]
use super::sealed::{Opener, Sealer};
#[cfg(feature = "network")]
use crate::channel::network::{self, Trust, UserTimeout};
#[cfg(feature = "network")]
use crate::channel::require_key;
use crate::channel::{Address, Target};
use crate::error::Context;
use crate::name::random_bytes;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What names the address of a manager: an [`Address`], its text (`unix:PATH`, `tcp:HOST:PORT`), or a path.
///
/// A text that begins with neither `unix:` nor `tcp:` is a path. A text that begins with `tcp:` has no key, without which
/// nothing connects and nothing is bound: give an [`Address`] with its key.
///
/// # Examples
/// ```
/// use procession::manager::ToAddress;
/// assert_eq!("/run/jobs".to_address()?.to_string(), "unix:/run/jobs");
/// assert_eq!("unix:/run/jobs".to_address()?.to_string(), "unix:/run/jobs");
/// assert!("unix:".to_address().is_err());
/// # Ok::<(), procession::Error>(())
/// ```
pub trait ToAddress {
    /// Returns the address.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the text is no address.
    ///
    /// # Examples
    /// See [`ToAddress`].
    fn to_address(&self) -> Result<Address>;
}

impl ToAddress for Address {
    fn to_address(&self) -> Result<Address> {
        Ok(self.clone())
    }
}

impl ToAddress for str {
    fn to_address(&self) -> Result<Address> {
        match self.starts_with("unix:") || self.starts_with("tcp:") {
            true => self.parse(),
            false => Path::new(self).to_address(),
        }
    }
}

impl ToAddress for String {
    fn to_address(&self) -> Result<Address> {
        self.as_str().to_address()
    }
}

impl ToAddress for Path {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::unix(self))
    }
}

impl ToAddress for PathBuf {
    fn to_address(&self) -> Result<Address> {
        self.as_path().to_address()
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> Result<Address> {
        (*self).to_address()
    }
}

/// One way to reach a manager, as it travels in proxies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Route {
    /// A name that is drawn at random and goes with the manager's process.
    Private(String),
    Path(PathBuf),
    /// A TCP address as text, the id of its key, and how long the other host may be silent.
    Tcp(String, [u8; 8], Duration),
}

impl Route {
    /// A name that nobody else has.
    pub(super) fn private() -> Result<Route> {
        let number = u128::from_le_bytes(random_bytes()?);
        Ok(Route::Private(format!("procession-manager-{number:032x}")))
    }

    /// Connects, waiting at most `timeout` while as many wait to be accepted as may.
    pub(super) fn connect(&self, timeout: Duration) -> Result<Stream> {
        let operation = "connecting to manager";
        let address = match self {
            Route::Private(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            Route::Path(path) => SocketAddrUnix::new(&**path),
            Route::Tcp(text, key, lost_after) => {
                return connect_tcp(text, *key, *lost_after, timeout);
            }
        };
        let address = address.during(operation, self)?;
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
        let deadline = Deadline::after(timeout);
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(Stream::Plain(socket)),
                Err(Errno::INTR) if !deadline.has_passed() => {}
                Err(Errno::CONNREFUSED | Errno::NOENT) => {
                    return Err(nobody_listens(operation, self));
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

fn nobody_listens(operation: &'static str, address: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, operation, address)
        .because("no manager listens there (any more)")
}

#[cfg(feature = "network")]
fn connect_tcp(
    text: &str,
    key: [u8; 8],
    lost_after: Duration,
    timeout: Duration,
) -> Result<Stream> {
    let operation = "connecting to manager";
    let key = keys::find(key).ok_or_else(|| {
        Error::new(ErrorKind::PermissionDenied, operation, text)
            .because("this process does not have the key of that manager")
            .with_hint("give it the key with `Manager::add_key`")
    })?;
    let address = text.parse::<Address>()?.lost_after(lost_after);
    let deadline = Deadline::after(timeout);
    let connected = network::connect_encrypted(TYPES, &address, &key, deadline);
    let (socket, trust) = connected.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::CONNREFUSED.raw_os_error() => {
            nobody_listens(operation, &address)
        }
        _ => error,
    })?;
    let Trust {
        to_server,
        to_client,
        ..
    } = trust;
    let sealer = Sealer::new(to_server, UserTimeout::new(lost_after));
    Ok(Stream::Sealed(socket, sealer, Opener::new(to_client)))
}

#[cfg(not(feature = "network"))]
fn connect_tcp(text: &str, _: [u8; 8], _: Duration, _: Duration) -> Result<Stream> {
    Err(
        Error::new(ErrorKind::Unsupported, "connecting to manager", text)
            .because("this program was built without the feature `network`"),
    )
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Private(name) => f.write_str(name),
            Route::Path(path) => write!(f, "unix:{}", path.display()),
            Route::Tcp(text, ..) => f.write_str(text),
        }
    }
}

/// All ways to reach a manager that a proxy knows. Which manager it is tells its number, so that it does no harm
/// to try one that leads elsewhere, as a path does on another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place(Vec<Route>);

impl Place {
    pub(super) fn new(routes: Vec<Route>) -> Place {
        Place(routes)
    }

    /// The place that an address names; this process has its key from now on.
    pub(super) fn of(address: &Address) -> Result<Place> {
        let route = match address.target() {
            Target::Unix(path) => Route::Path(path.clone()),
            #[cfg(feature = "network")]
            Target::Tcp { key, limits, .. } => {
                let key = require_key(key.as_ref()).map_err(|error| error.about(address))?;
                Route::Tcp(address.to_string(), keys::remember(key), limits.lost_after)
            }
        };
        Ok(Place(vec![route]))
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            Some(route) => route.fmt(f),
            None => f.write_str("manager"),
        }
    }
}
