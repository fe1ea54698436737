//! Starting the process of a task or a program: it is forked from the family's server, or
//! executed by it.
//!
//! Each row uses only rows above it:
//!
//! | | |
//! |---|---|
//! | `thread_status`, `credentials`, `isolation`, `attributes` | what a process inherits from the thread that starts it |
//! | `settings`, `title` | what is set for it |
//! | `protocol` | what clients, servers and tasks send each other |
//! | `worker`, `reexec`, `prepare` | running the task, executing this program again, preparing the new process |
//! | `connection`, `connect`, `client` | the process that asks |
//! | `server` | the process that starts others |
//! | `entry` | what runs before `main` |

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
