//! How values become bytes and descriptors, and values again.
//!
//! The bytes are [postcard](https://docs.rs/postcard)'s; descriptors, which no
//! byte format can carry, are put beside them in a table, and their places in
//! the table among the bytes. Short encodings stay in memory; long ones go to
//! a sealed memory file, which the receiver maps: the kernel copies nothing.

mod decode;
mod encode;
mod reader;
pub(crate) mod refusal;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use decode::{Decoder, decode};
pub(crate) use encode::{Encoder, alone, append, append_at_most, encode, encode_into};
pub(crate) use table::{Table, is_at_work, is_made_up, made_up, put, reason, take};

use crate::Result;
use crate::error::Context;
use procession_sys::memory::SealedBytes;
use std::os::fd::{AsFd, OwnedFd};

/// Longest encoding that travels inside a packet. The buffer for it is on the
/// stack, and each of its pages costs a forked process a page fault.
pub(crate) const MAX_INLINE: usize = 4000;

/// A value on its way: bytes, and the descriptors they speak of.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) body: Body,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Encoded {
    /// Nothing.
    pub(crate) fn empty() -> Encoded {
        Encoded::only(Vec::new())
    }

    /// Descriptors and no bytes.
    pub(crate) fn only(descriptors: Vec<OwnedFd>) -> Encoded {
        Encoded {
            body: Body::Inline(Vec::new()),
            descriptors,
        }
    }
}

/// The bytes of an encoding.
#[derive(Debug)]
pub(crate) enum Body {
    /// At most [`MAX_INLINE`] of them.
    Inline(Vec<u8>),
    /// More, in a memory file that nobody can change.
    Memory(OwnedFd),
}

/// The bytes of an encoding that arrived.
#[derive(Debug)]
pub(crate) enum Arrived {
    Inline(Vec<u8>),
    Memory(SealedBytes),
}

impl std::ops::Deref for Arrived {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Arrived::Inline(bytes) => bytes,
            Arrived::Memory(bytes) => bytes,
        }
    }
}

/// The bytes of a memory file that somebody sent.
pub(crate) fn open_memory(file: &OwnedFd) -> Result<Arrived> {
    let bytes = SealedBytes::map(file.as_fd()).during("mapping message", "")?;
    Ok(Arrived::Memory(bytes))
}
