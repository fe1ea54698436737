//! What can be asked of the manager itself, which is the object with the number 0.

use super::objects::{Initial, Shape};
use serde::{Deserialize, Serialize};

/// The manager's own number.
pub(super) const ROOT: u64 = 0;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// `u64`: the new object, which the caller refers to
    Create(Shape, Initial),
    /// `u64`: the object with the name, which the caller refers to
    Get(String, Shape),
    /// Gives an object a name, which keeps it.
    Register(String, u64),
    /// `bool`: whether it was a name
    Unregister(String),
    /// `Vec<(String, Shape)>`
    Names,
    /// The caller refers to an object once more.
    Retain(u64),
    /// The caller refers to an object less often by so many.
    Release(u64, u64),
    /// `u64`: a ticket that keeps an object until it is adopted or this session ends
    Lend(u64),
    /// The caller refers to an object that was lent, instead of the ticket.
    Adopt(u64, u64),
    /// [`Stats`]
    Stats,
    /// Ends the server, after this was answered.
    Shutdown,
}

/// What a manager has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stats {
    pub(super) objects: u64,
    pub(super) names: u64,
    pub(super) sessions: u64,
    pub(super) tickets: u64,
    pub(super) refused: u64,
}
