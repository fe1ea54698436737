//! The connections of this process: one for each manager.

use super::address::Place;
use super::client::{Connection, GREETING};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

static KNOWN: Mutex<Option<HashMap<u64, Weak<Connection>>>> = Mutex::new(None);

fn known(server: u64) -> Option<Arc<Connection>> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let connection = known.as_ref()?.get(&server)?.upgrade()?;
    connection.is_usable().then_some(connection)
}

/// Connects to the manager at a place, whichever it is, or finds the connection that is there.
pub(super) fn anew(place: &Place) -> Result<Arc<Connection>> {
    connect(place, None)
}

/// The connection to one manager.
///
/// # Errors
/// Another manager is at its place now, or none.
pub(super) fn to(place: &Place, server: u64) -> Result<Arc<Connection>> {
    match known(server) {
        Some(connection) => Ok(connection),
        None => connect(place, Some(server)),
    }
}

/// Connects by the first route that leads to a manager, or to the one that is wanted.
fn connect(place: &Place, wanted: Option<u64>) -> Result<Arc<Connection>> {
    let mut failure = None;
    for route in place.routes() {
        let connection = route
            .connect(GREETING)
            .and_then(|socket| Connection::new(socket).map_err(|error| error.about(route)));
        match connection {
            Ok(connection) if wanted.is_none_or(|wanted| wanted == connection.server) => {
                return Ok(keep(connection));
            }
            Ok(_) => {
                failure.get_or_insert_with(|| {
                    Error::new(ErrorKind::Removed, "connecting to manager", route).because(
                        "the manager was started anew, and has none of the objects of before",
                    )
                });
            }
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| {
        Error::new(ErrorKind::NotFound, "connecting to manager", place)
            .because("it is not known how to reach it")
    }))
}

/// Keeps a connection for all of the process, unless there is one to the same manager.
fn keep(connection: Connection) -> Arc<Connection> {
    if let Some(there) = known(connection.server) {
        return there;
    }
    let connection = Arc::new(connection);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    known.retain(|_, connection| connection.strong_count() > 0);
    known.insert(connection.server, Arc::downgrade(&connection));
    connection
}
