//! Conversations with a server.

use procession::__private::error::ErrorBuilder;
use procession::{Error, ErrorKind, Result};
use redis::{Client, Connection};
use std::time::Duration;

/// How long a server may take to start or to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn explain(error: redis::RedisError, operation: &'static str, url: &str) -> Error {
    // A password in the URL is nobody's business.
    let shown = url.rsplit_once('@').map_or(url, |(_, host)| host);
    let kind = if error.is_timeout() {
        ErrorKind::TimedOut
    } else if error.is_io_error() || error.is_connection_dropped() {
        ErrorKind::Disconnected
    } else {
        ErrorKind::Other
    };
    ErrorBuilder::new(kind, operation, shown)
        .because(error.to_string())
        .build()
}

/// Runs a conversation with the server while signals wait: a read with a time
/// limit is not restarted after a handler, and half an answer cannot be put
/// back. Conversations are short; the longest waits of the receiver are
/// [`SLICE`]s.
pub(super) fn undisturbed<T>(talk: impl FnOnce() -> T) -> T {
    let mask = procession_sys::signal::Mask::all().block();
    let outcome = talk();
    if let Ok(mask) = mask {
        let _ = mask.install();
    }
    outcome
}

pub(super) fn connect(url: &str) -> Result<Connection> {
    let operation = "connecting to Redis";
    let client = Client::open(url)
        .map_err(|error| ErrorBuilder::from(explain(error, operation, url)))
        .map_err(|error| error.of_kind(ErrorKind::InvalidInput).build())?;
    let connection = undisturbed(|| client.get_connection_with_timeout(PATIENCE))
        .map_err(|error| explain(error, operation, url))?;
    for set in [Connection::set_read_timeout, Connection::set_write_timeout] {
        set(&connection, Some(PATIENCE)).map_err(|error| explain(error, operation, url))?;
    }
    Ok(connection)
}

/// A connection, which knows passwords and does not print itself.
pub(super) struct QuietConnection(pub(super) Connection);

impl std::fmt::Debug for QuietConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
