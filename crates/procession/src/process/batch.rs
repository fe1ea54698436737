//! Many calls of one function, in a process that stays.
//!
//! Arguments come and results go as records, one behind the other:
//!
//! ```text
//! byte 0…4   number, length and status: (number << 19) | (length << 3) | status
//!      4…    the body, so many bytes, and zeros up to a multiple of eight
//! ```
//!
//! So that a short one is a word. Results are numbered by who writes them, so that one
//! that was there before, or is somewhere in the midst of another, is not taken for the
//! next one, should the memory be spoilt that says where they are.

use super::Panic;
use super::packet::Kind;
use super::start::worker;
use crate::codec::{self, Arrived, Encoded};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;

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

/// Who follows a batch, and takes its results.
pub(crate) trait Follower {
    /// A call begins; `false`: no more are wanted.
    fn begin(&mut self) -> bool;
    /// The call is over; this record says how.
    fn end(&mut self, record: &mut [u8]);
    /// The call is over, and what came of it is large or has descriptors: a result, or
    /// why there is none.
    fn end_with(&mut self, kind: Kind, outcome: &Encoded);
}

/// Where the arguments of a batch are.
#[derive(Debug)]
pub(crate) enum Arguments<'a> {
    Records(&'a [u8]),
    /// One alone, that travelled beside.
    Mailed(Option<(Arrived, Vec<OwnedFd>)>),
}

/// Longest result that travels as a record.
pub(crate) const LONGEST_RECORD: usize = 32 * 1024;

/// Arguments for many calls of one function.
pub(crate) struct Batch<'a> {
    pub(crate) arguments: Arguments<'a>,
    pub(crate) left: u32,
    pub(crate) follower: &'a mut dyn Follower,
    pub(crate) buffer: &'a mut Vec<u8>,
}

impl Batch<'_> {
    /// Calls the function with each argument, and passes the results on.
    pub(crate) fn run<A, R>(&mut self, mut function: impl FnMut(A) -> Result<R>)
    where
        A: DeserializeOwned,
        R: Serialize,
    {
        while self.left > 0 && self.follower.begin() {
            self.left -= 1;
            self.buffer.clear();
            let body = begin(self.buffer);
            let arguments = &mut self.arguments;
            let buffer = &mut *self.buffer;
            // What travels may have code of its own, which may panic as well.
            let call = AssertUnwindSafe(|| {
                let result = function(next(arguments)?)?;
                encode(&result, buffer)
            });
            match std::panic::catch_unwind(call) {
                Ok(Ok(Encoding::Record)) => {
                    end(self.buffer, body, Status::Value);
                    self.follower.end(self.buffer);
                }
                Ok(Ok(Encoding::Long)) => match codec::alone(&self.buffer[body..]) {
                    Ok(encoded) => self.follower.end_with(Kind::Returned, &encoded),
                    Err(error) => self.fail(Status::Untranslatable, &error),
                },
                Ok(Ok(Encoding::Alone(encoded))) => {
                    self.follower.end_with(Kind::Returned, &encoded);
                }
                Ok(Err(error)) => self.fail(Status::Untranslatable, &error),
                Err(payload) => self.fail_by_panic(worker::caught(payload)),
            }
        }
    }

    /// Answers each call with an error.
    #[cold]
    pub(crate) fn refuse(&mut self, error: &Error) {
        while self.left > 0 && self.follower.begin() {
            self.left -= 1;
            self.fail(Status::Untranslatable, error);
        }
    }

    /// A panic, whose text arrives whole, however long it is: by itself, if need be. Where
    /// there is no memory for that, it says that it was cut.
    #[cold]
    fn fail_by_panic(&mut self, mut panic: Panic) {
        let text = postcard::to_stdvec(&panic).unwrap_or_default();
        if text.len() > LONGEST_RECORD {
            if let Ok(encoded) = codec::alone(&text) {
                return self.follower.end_with(Kind::Panicked, &encoded);
            }
            panic.backtrace = None;
            let kept = panic.message.floor_char_boundary(LONGEST_RECORD / 2);
            let cut = panic.message.len() - kept;
            panic.message.truncate(kept);
            panic
                .message
                .push_str(&format!(" … ({cut} bytes were cut off)"));
        }
        self.fail(Status::Panicked, &panic);
    }

    #[cold]
    fn fail(&mut self, status: Status, what: &impl Serialize) {
        // Texts; and without one there is still the status.
        let text = postcard::to_stdvec(what).unwrap_or_default();
        let text = match text.len() <= LONGEST_RECORD {
            true => &text[..],
            false => match codec::alone(&text) {
                Ok(encoded) => return self.follower.end_with(Kind::Untranslatable, &encoded),
                Err(_) => &[],
            },
        };
        self.buffer.clear();
        let body = begin(self.buffer);
        self.buffer.extend_from_slice(text);
        end(self.buffer, body, status);
        self.follower.end(self.buffer);
    }
}

#[inline]
fn next<A: DeserializeOwned>(arguments: &mut Arguments<'_>) -> Result<A> {
    match arguments {
        Arguments::Records(bytes) => match take(bytes) {
            Some(record) => decode(record.body),
            None => Err(Error::new(ErrorKind::Corrupt, "decoding argument", "")),
        },
        Arguments::Mailed(mail) => match mail.take() {
            Some((body, descriptors)) => codec::decode(&body, descriptors),
            None => Err(Error::new(ErrorKind::Corrupt, "receiving argument", "")
                .because("it did not come with the call")),
        },
    }
}

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

/// What a task has captured, encoded, where it is called many times.
pub(crate) struct Captures {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    once: OnceCell<Box<dyn Any>>,
}

impl Captures {
    pub(crate) fn new(bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Captures {
        Captures {
            bytes,
            descriptors,
            once: OnceCell::new(),
        }
    }

    /// One more copy of it.
    pub(crate) fn decode<C: DeserializeOwned>(&self) -> Result<C> {
        if self.descriptors.is_empty() {
            return decode(&self.bytes);
        }
        let copies = self.descriptors.iter().map(OwnedFd::try_clone);
        let copies: std::io::Result<_> = copies.collect();
        codec::decode(
            &self.bytes,
            crate::error::Context::during(copies, "copying descriptor", "")?,
        )
    }

    /// The copy that all calls share.
    pub(crate) fn decoded_once<C: DeserializeOwned + 'static>(&self) -> Result<&C> {
        let value = match self.once.get() {
            Some(value) => value,
            None => {
                let value = self.decode::<C>()?;
                self.once.get_or_init(|| Box::new(value))
            }
        };
        value.downcast_ref().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "decoding captured value", "")
                .because("it was of another type before")
        })
    }
}

impl std::fmt::Debug for Captures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures")
            .field("bytes", &self.bytes.len())
            .field("descriptors", &self.descriptors)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// What a worker's initializer made, for its tasks.
    static STATE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Keeps a value for the tasks that this thread will run.
pub(crate) fn keep_state<S: 'static>(state: S) {
    STATE.set(Some(Box::new(state)));
}

/// Lends the value that this thread keeps.
///
/// # Panics
/// If it keeps none of this type, or has lent it.
pub(crate) fn with_state<S: 'static, T>(use_it: impl FnOnce(&mut S) -> T) -> T {
    STATE.with_borrow_mut(|state| {
        let state = state.as_mut().and_then(|state| state.downcast_mut());
        let state = state.unwrap_or_else(|| {
            let wanted = std::any::type_name::<S>();
            panic!("the initializer of this worker, if it has one, makes no {wanted}")
        });
        use_it(state)
    })
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
