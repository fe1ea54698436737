//! Arguments and results as records, one behind the other:
//!
//! ```text
//! byte 0…4   number, length and status: (number << 19) | (length << 3) | status
//!      4…    the body, so many bytes, and zeros up to a multiple of eight
//! ```
//!
//! So a short one is a word. Results are numbered by their writer: a result that was
//! there before, or that lies in the middle of another one, is not taken for the next one
//! if the memory that says where results are was overwritten.

use crate::Result;
use crate::codec::{self, Encoded};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// A value.
    Value,
    /// A panic of the function.
    Panicked,
    /// An error: the argument could not be decoded, or the result not encoded.
    Untranslatable,
    /// Nothing: the value travels beside, as a packet.
    Mailed,
    /// How the batch went; nothing follows.
    End,
}

impl Status {
    #[inline]
    fn from_bits(bits: u32) -> Option<Status> {
        match bits {
            0 => Some(Status::Value),
            1 => Some(Status::Panicked),
            2 => Some(Status::Untranslatable),
            3 => Some(Status::Mailed),
            4 => Some(Status::End),
            _ => None,
        }
    }
}

/// A record among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// See [`number`].
    pub(crate) number: u32,
    pub(crate) status: Status,
    pub(crate) body: &'a [u8],
}

/// Bytes of a record before its body.
pub(crate) const HEAD: usize = 4;

/// Begins a record behind others; its body is to be appended.
#[inline]
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    buffer.extend_from_slice(&[0; HEAD]);
    buffer.len()
}

/// Ends the record whose body begins at a place.
#[inline]
pub(crate) fn end(buffer: &mut Vec<u8>, body: usize, status: Status) {
    let length = buffer.len() - body;
    debug_assert!(length <= LENGTHS as usize, "too long for a record");
    let head = (length as u32) << 3 | status as u32;
    let start = body - HEAD;
    buffer[start..body].copy_from_slice(&head.to_le_bytes());
    let padding = (length + HEAD).next_multiple_of(8) - (length + HEAD);
    buffer.extend_from_slice(&[0; 7][..padding]);
}

/// Lengths of bodies that can be told.
const LENGTHS: u32 = 0xffff;

/// Bits of a number.
pub(crate) const NUMBERS: u32 = 0x1fff;

/// Numbers a record.
#[inline]
pub(crate) fn number(record: &mut [u8], number: u32) {
    if let Some(head) = record.first_chunk_mut::<HEAD>() {
        let rest = u32::from_le_bytes(*head) & (LENGTHS << 3 | 7);
        *head = (rest | (number & NUMBERS) << 19).to_le_bytes();
    }
}

/// Takes the first record; `None` if there is no whole one.
#[inline]
pub(crate) fn take<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let head = u32::from_le_bytes(*bytes.first_chunk::<HEAD>()?);
    let end = HEAD + (head >> 3 & LENGTHS) as usize;
    let status = Status::from_bits(head & 7)?;
    let body = bytes.get(HEAD..end)?;
    *bytes = bytes.get(end.next_multiple_of(8)..)?;
    let number = head >> 19;
    Some(Record {
        number,
        status,
        body,
    })
}

/// Longest result that travels as a record.
pub(crate) const LONGEST_RECORD: usize = 32 * 1024;

/// Decodes a value that travelled without descriptors.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        // Once more, to say why.
        _ => codec::decode(bytes, Vec::new()),
    }
}

/// Longest encoding that is kept in a buffer.
const LONGEST_BUFFERED: usize = 1 << 20;

/// How a value was encoded.
pub(crate) enum Encoding {
    /// Behind what was in the buffer, as the body of a record.
    Record,
    /// In the same place, too long for a record.
    Long,
    /// By itself: it is longer still, or has descriptors.
    Alone(Encoded),
}

/// Encodes a value behind what is in a buffer, if that can be.
#[inline]
pub(crate) fn encode<T: Serialize>(value: &T, buffer: &mut Vec<u8>) -> Result<Encoding> {
    let start = buffer.len();
    match codec::append_at_most(value, buffer, LONGEST_BUFFERED) {
        Ok(()) if buffer.len() - start <= LONGEST_RECORD => Ok(Encoding::Record),
        Ok(()) => Ok(Encoding::Long),
        // It has descriptors, or cannot be encoded, and then that is said.
        Err(_) => {
            buffer.truncate(start);
            codec::encode(value).map(Encoding::Alone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_back(bodies: Vec<Vec<u8>>) {
            let mut bytes = Vec::new();
            for body in &bodies {
                let start = begin(&mut bytes);
                bytes.extend_from_slice(body);
                end(&mut bytes, start, Status::Value);
            }
            let mut rest = &bytes[..];
            for body in &bodies {
                let record = take(&mut rest).unwrap();
                prop_assert_eq!(record.body, &body[..]);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while take(&mut rest).is_some() {}
        }
    }
}
