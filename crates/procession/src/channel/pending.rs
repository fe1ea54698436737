//! Connections whose other side has not proved yet that it may connect.

use super::Address;
use super::address::Target;
use super::{Endpoint, unix};
use crate::queue::{Message, REMEDY, Schema};
use crate::{Deadline, Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long it has.
pub(super) const TIME: Duration = Duration::from_secs(5);

/// What a side sends and what it receives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Types {
    sends: Schema,
    receives: Schema,
}

impl Types {
    /// Those of the types, if they can be messages; or what the address says of them.
    pub(super) fn of<S, R>(address: &Address) -> Result<Types>
    where
        S: Message<'static> + ?Sized,
        R: Message<'static> + ?Sized,
    {
        Ok(Types {
            sends: address.1.map_or_else(S::schema, Ok)?,
            receives: address.1.map_or_else(R::schema, Ok)?,
        })
    }

    /// As numbers that stand for them.
    pub(super) fn numbers(&self) -> [u64; 2] {
        [self.sends.number(), self.receives.number()]
    }

    /// As a peer of other types is told of them.
    pub(super) fn describe(&self) -> String {
        format!(
            "it sends {} and receives {}",
            self.sends.describe(),
            self.receives.describe()
        )
    }
}

/// Refuses what the other side says that it sends and receives, unless it is the
/// opposite.
#[cfg(feature = "network")]
pub(super) fn check_types(ours: &Types, theirs: [u64; 2], address: &Address) -> Result<()> {
    if [theirs[1], theirs[0]] == ours.numbers() {
        return Ok(());
    }
    let told = format!(
        "it sends and receives messages of other shapes (numbers {:016x}, {:016x})",
        theirs[0], theirs[1]
    );
    Err(of_other_types(ours, &told, address))
}

/// Says what each of the two means.
pub(super) fn of_other_types(ours: &Types, told: &str, address: &Address) -> Error {
    Error::new(ErrorKind::Incompatible, "connecting", address)
        .because(format!(
            "{told}; it is expected to receive {} and send {}",
            ours.sends.describe(),
            ours.receives.describe()
        ))
        .with_hint(REMEDY)
}

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
    /// Somebody who has just connected; `None` if it is already known to be wrong.
    pub(super) fn new(socket: OwnedFd, address: &Address) -> Option<Pending> {
        let talk = match &address.0 {
            Target::Unix(_) => Talk::Unix(unix::Pending::new(socket)?),
            #[cfg(feature = "network")]
            Target::Tcp { key, limits, .. } => {
                let connection = super::tcp::Pending::new(socket, key.clone(), *limits)?;
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
