//! Connections whose other side has not proved yet that it may connect.

use super::Address;
use super::address::Target;
use super::types::{TIME, Types};
use super::{Endpoint, unix};
use crate::{Deadline, Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(super) struct Pending {
    until: Deadline,
    talk: Talk,
}

enum Talk {
    Unix(unix::Pending),
    #[cfg(feature = "network")]
    Tcp(Box<super::tcp::Pending>),
}

impl Pending {
    /// A client that has just connected; `None` if it is already known to be wrong.
    pub(super) fn new(socket: OwnedFd, address: &Address) -> Option<Pending> {
        let talk = match &address.0 {
            Target::Unix(_) => Talk::Unix(unix::Pending::new(socket)?),
            #[cfg(feature = "network")]
            Target::Tcp { key, limits, .. } => {
                let connection = super::tcp::Pending::new(socket, key.clone()?, *limits)?;
                Talk::Tcp(Box::new(connection))
            }
        };
        Some(Pending {
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
    pub(super) fn progress<S: ?Sized, R: ?Sized>(
        &mut self,
        ours: &Types,
    ) -> Result<Option<Endpoint<S, R>>> {
        let progress = match &mut self.talk {
            Talk::Unix(talk) => talk.progress(ours)?,
            #[cfg(feature = "network")]
            Talk::Tcp(talk) => talk.progress(ours)?,
        };
        match progress {
            None if self.until.has_passed() => {
                Err(Error::new(ErrorKind::TimedOut, "accepting connection", ""))
            }
            progress => Ok(progress),
        }
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.talk {
            Talk::Unix(talk) => talk.as_fd(),
            #[cfg(feature = "network")]
            Talk::Tcp(talk) => talk.as_fd(),
        }
    }
}
