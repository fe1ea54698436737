//! Why nothing more comes from a manager.

use crate::error::Context;
use crate::{Error, ErrorKind};
use std::io;

const OPERATION: &str = "calling manager";

/// What the end of the stream means, without a farewell before it.
pub(super) fn ended(is_remote: bool) -> Error {
    match is_remote {
        false => Error::new(ErrorKind::ProcessDied, OPERATION, "")
            .because("the manager's process has ended"),
        true => Error::new(ErrorKind::ConnectionLost, OPERATION, "").because(
            "the connection ended unannounced: it was cut, or the manager was killed; it is unknown whether calls \
             under way were done",
        ),
    }
}

#[cfg(feature = "network")]
fn is_loss(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(crate::channel::network::says_loss)
}

#[cfg(not(feature = "network"))]
fn is_loss(_: &io::Error) -> bool {
    false
}

/// What a read means for all that wait. `None`: nothing.
pub(super) fn of_read(outcome: io::Result<usize>, is_remote: bool) -> Option<Error> {
    let error = match outcome {
        Ok(0) => return Some(ended(is_remote)),
        Ok(_) => return None,
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => None,
        io::ErrorKind::ConnectionReset => Some(ended(is_remote)),
        io::ErrorKind::InvalidData => Some(
            Error::new(ErrorKind::Corrupt, OPERATION, "")
                .because("somebody has changed what was sent; nothing more is believed"),
        ),
        _ if is_remote && is_loss(&error) => Some(
            Error::new(ErrorKind::ConnectionLost, OPERATION, "")
                .because(
                    "the manager's host does not answer: it is down, or the network to it is; it is unknown whether \
                     calls under way were done",
                )
                .with_hint("`Address::lost_after` sets the time"),
        ),
        _ => Err::<(), _>(error).during(OPERATION, "").err(),
    }
}
