//! Descriptors, whatever they are of.

#[cfg(feature = "tokio")]
pub(crate) mod reactor;
