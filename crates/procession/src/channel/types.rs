//! What the two sides of a connection send and receive, which has to agree.

use super::Address;
use crate::queue::{Message, REMEDY, Schema};
use crate::{Error, ErrorKind, Result};
use std::time::Duration;

/// How long a side has to prove that it may connect.
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
