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
    let connection =
        Connection::new(place.connect(GREETING)?).map_err(|error| error.about(place))?;
    if let Some(there) = known(connection.server) {
        return Ok(there);
    }
    let connection = Arc::new(connection);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    known.retain(|_, connection| connection.strong_count() > 0);
    known.insert(connection.server, Arc::downgrade(&connection));
    Ok(connection)
}

/// The connection to one manager.
///
/// # Errors
/// Another manager is at its place now.
pub(super) fn to(place: &Place, server: u64) -> Result<Arc<Connection>> {
    if let Some(connection) = known(server) {
        return Ok(connection);
    }
    let connection = anew(place)?;
    match connection.server == server {
        true => Ok(connection),
        false => Err(
            Error::new(ErrorKind::Removed, "connecting to manager", place)
                .because("the manager was started anew, and has none of the objects of before"),
        ),
    }
}
