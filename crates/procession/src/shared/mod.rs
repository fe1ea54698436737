//! Values that several processes share: one, an array of them, and counters.
//!
//! | type | what it is | a lock? |
//! |---|---|---|
//! | [`Value<T>`] | one value | yes: read, write and change it whole |
//! | [`Array<T>`] | values side by side | one for all of them |
//! | [`Counter`] | a number | no: atomic operations |
//! | [`Counters`] | numbers side by side | no: atomic operations |
//!
//! They are made, named and given to other processes as the locks of
//! [`sync`](crate::sync) are, and what they hold is [`ShmSafe`](crate::shm::ShmSafe).

mod array;
mod counter;
mod value;

pub use array::{Array, ArrayGuard, ArrayRecovery};
pub use counter::{Counter, Counters};
pub use value::Value;
