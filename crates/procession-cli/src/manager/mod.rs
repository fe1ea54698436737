//! Managers from the shell: `procession serve`, `call` and `ls ADDRESS`, and queues of managers for `send` and `recv`.

pub(crate) mod address;
pub(crate) mod call;
mod creation;
mod decode;
mod encode;
mod find;
mod kinds;
pub(crate) mod list;
pub(crate) mod queue;
mod request;
pub(crate) mod serve;
mod types;
mod users;
