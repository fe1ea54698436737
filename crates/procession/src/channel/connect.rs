//! The side of a connection that does not listen.

use super::address::Target;
#[cfg(feature = "network")]
use super::address::require_key;
use super::types::Types;
use super::{Address, Endpoint, unix};
use crate::queue::Message;
use crate::{Deadline, Result};
use std::time::Duration;

/// Connects to a [`Listener`](crate::channel::Listener), waiting until it accepts.
///
/// # Errors
/// - [`NotFound`](crate::ErrorKind::NotFound),
///   [`Disconnected`](crate::ErrorKind::Disconnected): nobody listens there, or
///   this was refused
/// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): the other side has
///   another key
/// - [`Untrusted`](crate::ErrorKind::Untrusted): it is another user's
/// - [`Incompatible`](crate::ErrorKind::Incompatible): it sends and receives messages
///   [of other shapes](crate::queue#what-messages-are), or under another
///   [schema](Address::schema)
/// - [`Unsupported`](crate::ErrorKind::Unsupported): a type cannot be a message
///
/// # Examples
/// See [`Listener`](crate::channel::Listener).
pub fn connect<S, R>(address: &Address) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    connect_deadline(address, Deadline::NEVER)
}

/// Connects as [`connect`] does, waiting at most `timeout`.
///
/// # Errors
/// [`TimedOut`](crate::ErrorKind::TimedOut), and as [`connect`].
///
/// # Examples
/// ```
/// use procession::{Deadline, ErrorKind};
/// use procession::channel::{self, Address, Endpoint};
/// use std::time::Duration;
/// let nobody = Address::unix("/nobody/listens/here");
/// let connected: Result<Endpoint<u32, u32>, _> =
///     channel::connect_timeout(&nobody, Duration::from_secs(1));
/// assert_eq!(connected.unwrap_err().kind(), ErrorKind::NotFound);
/// assert!(channel::connect_deadline::<u32, u32>(&nobody, Deadline::NOW).is_err());
/// assert!(channel::connect::<u32, u32>(&nobody).is_err());
/// ```
pub fn connect_timeout<S, R>(address: &Address, timeout: Duration) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    connect_deadline(address, Deadline::after(timeout))
}

/// Connects as [`connect`] does, waiting at most until `deadline`.
///
/// # Errors
/// As [`connect_timeout`].
///
/// # Examples
/// See [`connect_timeout`](connect_timeout).
pub fn connect_deadline<S, R>(address: &Address, deadline: Deadline) -> Result<Endpoint<S, R>>
where
    S: Message<'static> + ?Sized,
    R: Message<'static> + ?Sized,
{
    let types = &Types::of::<S, R>(address)?;
    let connected = match &address.0 {
        Target::Unix(path) => unix::connect(types, path, address, deadline),
        #[cfg(feature = "network")]
        Target::Tcp {
            host, key, limits, ..
        } => {
            let key = require_key(key.as_ref()).map_err(|error| error.about(address))?;
            super::tcp::connect(types, host, key, *limits, address, deadline)
        }
    };
    connected.map(|endpoint: Endpoint<S, R>| endpoint.of_connection(address))
}
