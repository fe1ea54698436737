//! What types of this library say that they are, instead of being read.

use crate::codec;
use std::cell::RefCell;

thread_local! {
    static OWN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For types of this library that are more than data: while somebody looks at the type,
/// an error to return at once, and what is to be written down.
pub(crate) fn stands_for<E: serde::de::Error>(what: &str) -> Result<(), E> {
    if !codec::is_made_up() {
        return Ok(());
    }
    is_own(what);
    Err(E::custom("made up"))
}

/// For types of this library that are read as something that they are not: what is to be
/// written down.
pub(crate) fn is_own(what: &str) {
    if codec::is_made_up() {
        OWN.set(Some(what.to_owned()));
    }
}

/// Takes what the type said that was read last.
pub(super) fn take() -> Option<String> {
    OWN.take()
}

/// Puts back what was taken.
pub(super) fn restore(own: Option<String>) {
    OWN.set(own);
}
