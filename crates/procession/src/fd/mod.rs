//! Descriptors, whatever they are of.

#[cfg(feature = "tokio")]
pub(crate) mod reactor;
pub(crate) mod size_limit;
pub(crate) mod socket_pair;
