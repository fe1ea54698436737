//! Readiness: what can be waited for, alone as a future, or together with others.

mod order;
mod set;
mod source;
mod ticker;
mod until;

pub(crate) use set::WaitSet;
pub use source::Selectable;
pub(crate) use source::sealed::Sealed;
pub(crate) use source::{Readiness, Source, Watched};
pub use ticker::{Tick, Ticker};
pub(crate) use until::until;
