//! How a process comes to run a task: forked from the caller, forked from the
//! family's server, or executed anew by it.

mod attributes;
pub(crate) mod client;
mod connect;
pub(crate) mod connection;
mod credentials;
pub(crate) mod entry;
mod isolation;
pub(crate) mod prepare;
pub(crate) mod protocol;
pub(crate) mod reexec;
mod server;
pub(crate) mod settings;
mod thread_status;
mod title;
pub(crate) mod worker;
