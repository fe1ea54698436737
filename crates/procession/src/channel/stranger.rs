//! Who has connected and not proved yet that it may.

use super::Address;
use super::address::Place;
use super::{Endpoint, unix};
use crate::{Deadline, Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long it has.
pub(super) const TIME: Duration = Duration::from_secs(5);

/// What a side sends and receives, as numbers that stand for the types' names.
pub(super) fn types<S: ?Sized, R: ?Sized>() -> [u64; 2] {
    [
        crate::queue::fingerprint::<S>().number(),
        crate::queue::fingerprint::<R>().number(),
    ]
}

/// Refuses what the other side says that it sends and receives, unless it is the
/// opposite.
pub(super) fn check_types(ours: [u64; 2], theirs: [u64; 2], address: &Address) -> Result<()> {
    if [theirs[1], theirs[0]] == ours {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::Incompatible, "connecting", address).because(format!(
            "it sends and receives other types (fingerprints {:016x}, {:016x}; ours {:016x}, {:016x})",
            theirs[0], theirs[1], ours[1], ours[0]
        )),
    )
}

pub(super) struct Stranger {
    until: Deadline,
    talk: Talk,
}

enum Talk {
    Unix(unix::Stranger),
    #[cfg(feature = "network")]
    Tcp(Box<super::tcp::Stranger>),
}

impl Stranger {
    /// Somebody who has just connected; `None` if it is already known to be wrong.
    pub(super) fn new(socket: OwnedFd, address: &Address) -> Option<Stranger> {
        let talk = match &address.0 {
            Place::Unix(_) => Talk::Unix(unix::Stranger::new(socket)?),
            #[cfg(feature = "network")]
            Place::Tcp { key, limits, .. } => {
                let stranger = super::tcp::Stranger::new(socket, key.clone(), *limits)?;
                Talk::Tcp(Box::new(stranger))
            }
        };
        Some(Stranger {
            until: Deadline::after(TIME),
            talk,
        })
    }

    pub(super) fn until(&self) -> Deadline {
        self.until
    }

    /// Goes on as far as it has said what it has to; a connection, if that was all.
    ///
    /// # Errors
    /// It is to be sent away.
    pub(super) fn progress<S: ?Sized, R: ?Sized>(&mut self) -> Result<Option<Endpoint<S, R>>> {
        let progress = match &mut self.talk {
            Talk::Unix(talk) => talk.progress()?,
            #[cfg(feature = "network")]
            Talk::Tcp(talk) => talk.progress()?,
        };
        match progress {
            None if self.until.has_passed() => {
                Err(Error::new(ErrorKind::TimedOut, "accepting connection", ""))
            }
            progress => Ok(progress),
        }
    }
}

impl AsFd for Stranger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.talk {
            Talk::Unix(talk) => talk.as_fd(),
            #[cfg(feature = "network")]
            Talk::Tcp(talk) => talk.as_fd(),
        }
    }
}
