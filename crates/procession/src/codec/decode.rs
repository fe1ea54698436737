//! Bytes and descriptors become values again.

use super::reader;
use super::table::{Table, with_table};
use crate::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;

/// Decodes values that were encoded one behind the other.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    table: Vec<Option<OwnedFd>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], descriptors: Vec<OwnedFd>) -> Decoder<'a> {
        Decoder {
            bytes,
            table: descriptors.into_iter().map(Some).collect(),
        }
    }

    /// Goes on where another decoder was suspended.
    pub(crate) fn resume(bytes: &'a [u8], table: Table) -> Decoder<'a> {
        Decoder { bytes, table }
    }

    /// How many bytes are left, and the descriptors.
    pub(crate) fn suspend(self) -> (usize, Table) {
        (self.bytes.len(), self.table)
    }

    /// Takes the next value.
    pub(crate) fn value<T: DeserializeOwned>(&mut self) -> Result<T> {
        let table = std::mem::take(&mut self.table);
        // With descriptors it cannot be done again: the first time takes them.
        let once = !table.is_empty();
        let (outcome, table) = with_table(table, || {
            match once {
                true => None,
                false => postcard::take_from_bytes(self.bytes).ok(),
            }
            .map_or_else(|| reader::take(self.bytes), Ok)
        });
        self.table = table;
        let (value, rest) = outcome.map_err(|refusal| refusal.into_error::<T>("decoding value"))?;
        self.bytes = rest;
        Ok(value)
    }

    /// Requires that nothing is left.
    pub(crate) fn finish(self) -> Result<()> {
        let left = self.bytes.len();
        let unused = self.table.iter().flatten().count();
        if left == 0 && unused == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "decoding value", "")
            .because(format!("{left} bytes and {unused} descriptors too many")))
    }
}

/// Decodes one value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<T> {
    let mut decoder = Decoder::new(bytes, descriptors);
    let value = decoder.value()?;
    decoder.finish()?;
    Ok(value)
}
