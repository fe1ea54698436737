//! What can still be taken, and how much of it is left to others.

use crate::ErrorKind;
use procession_sys::Errno;

/// At most so much is left to others, or this part of all.
pub(super) const LEFT_TO_OTHERS: u64 = 256 << 20;
const PART_LEFT: u64 = 32;

/// What can still be taken, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) of: String,
    pub(super) errno: Errno,
    pub(super) kind: ErrorKind,
    pub(super) hint: &'static str,
}

/// What may be taken of something that is limited, where so much is left.
pub(super) fn spared(left: u64, limit: u64) -> u64 {
    left.saturating_sub((limit / PART_LEFT).min(LEFT_TO_OTHERS))
}
