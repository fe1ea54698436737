//! The mechanisms, one file or folder for each kind; `transport.rs` lists them.

pub(crate) mod channel;
pub(crate) mod connection;
pub(crate) mod fifo;
pub(crate) mod file;
pub(crate) mod posix_mq;
pub(crate) mod queue;
pub(crate) mod redis;
pub(crate) mod ring;
pub(crate) mod stream;
pub(crate) mod sysv_mq;
pub(crate) mod udp;
