//! Multiprocessing for Linux.
#![deny(unsafe_code)]

mod error;
pub mod limits;
mod name;
pub mod os;
pub mod poll;
pub mod process;
pub mod signal;
mod time;
pub mod transport;

pub use error::{Error, ErrorKind, Result};
pub use name::Name;
pub use time::Deadline;
