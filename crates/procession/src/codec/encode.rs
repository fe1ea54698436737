//! Values become bytes and descriptors.

use super::refusal::{self, Refusal};
use super::table::{Table, with_table};
use super::{Body, Encoded, MAX_INLINE};
use crate::error::Context;
use crate::fd::size_limit;
use crate::{Error, Result};
use postcard::ser_flavors::Flavor;
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

/// Bytes gathered before they are written to a memory file.
pub(super) const CHUNK: usize = 1 << 20;

/// Encodes several values one behind the other.
#[derive(Debug)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
    file: Option<File>,
    failure: Option<Error>,
    descriptors: Vec<OwnedFd>,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder {
            buffer: Vec::new(),
            file: None,
            failure: None,
            descriptors: Vec::new(),
        }
    }

    /// Adds a value.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let table = std::mem::take(&mut self.descriptors);
        let table = table.into_iter().map(Some).collect();
        let (outcome, table) =
            with_table(table, || postcard::serialize_with_flavor(value, &mut *self));
        self.descriptors = table.into_iter().flatten().collect();
        match (self.failure.take(), outcome) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => Err(not_encoded("encoding value", value, error)),
        }
    }

    /// Adds bytes that are encoded already, with copies of their descriptors.
    pub(crate) fn encoded(&mut self, bytes: &[u8], descriptors: &[OwnedFd]) -> Result<()> {
        for descriptor in descriptors {
            let copy = descriptor.try_clone();
            self.descriptors.push(copy.during("encoding value", "")?);
        }
        self.extend(bytes)
    }

    pub(crate) fn finish(mut self) -> Result<Encoded> {
        let body = if self.file.is_none() && self.buffer.len() <= MAX_INLINE {
            Body::Inline(self.buffer)
        } else {
            self.spill()?;
            let file = self.file.take().expect("spilling made it");
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
            rustix::fs::fcntl_add_seals(&file, seals).during("sealing memory file", "")?;
            Body::Memory(file.into())
        };
        Ok(Encoded {
            body,
            descriptors: self.descriptors,
        })
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > CHUNK {
            self.spill()?;
        }
        match &mut self.file {
            Some(file) if bytes.len() > CHUNK => write_behind(file, bytes),
            _ => {
                self.buffer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    #[cold]
    fn spill(&mut self) -> Result<()> {
        if self.file.is_none() {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let file = rustix::fs::memfd_create("procession-message", flags);
            self.file = Some(File::from(file.during("creating memory file", "")?));
        }
        if let Some(file) = &mut self.file {
            write_behind(file, &self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }
}

fn write_behind(file: &mut File, bytes: &[u8]) -> Result<()> {
    let operation = "writing memory file";
    let at = file.stream_position().during(operation, "")?;
    size_limit::require_writable_to(at + bytes.len() as u64, operation, &"")?;
    file.write_all(bytes).during(operation, "")
}

impl Flavor for &mut Encoder {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.buffer.len() >= CHUNK
            && let Err(error) = self.spill()
        {
            self.failure = Some(error);
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.buffer.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.extend(bytes).map_err(|error| {
            self.failure = Some(error);
            postcard::Error::SerializeBufferFull
        })
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes one value.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded> {
    let mut encoder = Encoder::new();
    encoder.value(value)?;
    encoder.finish()
}

/// Puts an encoding behind what is in a buffer, which may become so long.
struct Append<'a>(&'a mut Vec<u8>, usize);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.0.len() >= self.1 {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > self.1.saturating_sub(self.0.len()) {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes one value, which has no descriptors, behind what is in a buffer.
pub(crate) fn append<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> postcard::Result<()> {
    append_at_most(value, buffer, usize::MAX)
}

/// [`append`], of at most so many bytes; if there are more, what the buffer has then is
/// of no use.
#[inline]
pub(crate) fn append_at_most<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
    most: usize,
) -> postcard::Result<()> {
    let end = buffer.len().saturating_add(most);
    postcard::serialize_with_flavor(value, Append(buffer, end))
}

/// Bytes that are encoded already, as a message by themselves.
pub(crate) fn alone(bytes: &[u8]) -> Result<Encoded> {
    let mut encoder = Encoder::new();
    encoder.encoded(bytes, &[])?;
    encoder.finish()
}

/// Encodes one value behind what is in a buffer; its descriptors.
pub(crate) fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<Vec<OwnedFd>> {
    let (outcome, table) = with_table(Table::new(), || append(value, buffer));
    outcome.map_err(|error| not_encoded("encoding message", value, error))?;
    Ok(table.into_iter().flatten().collect())
}

/// Why a value was not encoded, which the format has not kept.
#[cold]
fn not_encoded<T: Serialize + ?Sized>(
    operation: &'static str,
    value: &T,
    error: postcard::Error,
) -> Error {
    let (refusal, _) = with_table(Table::new(), || refusal::of_encoding(value));
    let refusal = refusal.unwrap_or_else(|| Refusal(error.to_string()));
    refusal.into_error::<T>(operation)
}
