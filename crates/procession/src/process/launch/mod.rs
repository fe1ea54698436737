//! How a process comes to run a task: forked from the caller, forked from the
//! family's server, or executed anew by it.

pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod entry;
mod place;
pub(crate) mod prepare;
pub(crate) mod protocol;
pub(crate) mod reexec;
mod rights;
mod server;
pub(crate) mod settings;
mod standing;
mod title;
pub(crate) mod worker;
