//! Values that several processes share: single values, arrays and counters.
//!
//! | type | what it is | a lock? |
//! |---|---|---|
//! | [`Value<T>`] | one value | yes |
//! | [`Array<T>`] | a fixed number of values | one for all values |
//! | [`Counter`] | a signed number | no: atomic operations |
//! | [`Counters`] | a fixed number of unsigned numbers | no: atomic operations |
//!
//! They are created, named and passed to other processes as the locks of
//! [`sync`](crate::sync) are. The types of values are [`ShmSafe`](crate::shm::ShmSafe).

mod array;
mod counter;
mod value;

pub use array::{Array, ArrayGuard, ArrayRecovery};
pub use counter::{Counter, Counters};
pub use value::Value;
