//! What the code that macros write uses, and the crates of this project that stand on
//! this one. Not part of the API.

pub mod error;
pub mod limits {
    //! The limits of the kernel and of the process.
    pub use crate::limits::*;
}
pub mod manager;
pub mod transport;
pub mod untyped {
    //! Objects of managers, for tools that know no types.
    pub use crate::manager::untyped::*;
}

pub use crate::process::{NAMED_TASKS, NamedTask};
pub use linkme;
