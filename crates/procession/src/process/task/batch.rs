//! Many calls of one function, in a process that stays.

use super::record::{self, Encoding, LONGEST_RECORD, Status};
use crate::codec::{self, Arrived, Encoded};
use crate::process::Panic;
use crate::process::panic;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;

/// Who follows a batch, and takes its results.
pub(crate) trait Follower {
    /// A call begins; `false`: no more are wanted.
    fn begin(&mut self) -> bool;
    /// The call is over; this record says how.
    fn end(&mut self, record: &mut [u8]);
    /// The call is over, and what came of it is large or has descriptors: a result, or
    /// why there is none, as `status` says.
    fn end_with(&mut self, status: Status, outcome: &Encoded);
}

/// Where the arguments of a batch are.
#[derive(Debug)]
pub(crate) enum Arguments<'a> {
    Records(&'a [u8]),
    /// One alone, that travelled beside.
    Mailed(Option<(Arrived, Vec<OwnedFd>)>),
}

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
            let body = record::begin(self.buffer);
            let arguments = &mut self.arguments;
            let buffer = &mut *self.buffer;
            // What travels may have code of its own, which may panic as well.
            let call = AssertUnwindSafe(|| {
                let result = function(next(arguments)?)?;
                record::encode(&result, buffer)
            });
            match std::panic::catch_unwind(call) {
                Ok(Ok(Encoding::Record)) => {
                    record::end(self.buffer, body, Status::Value);
                    self.follower.end(self.buffer);
                }
                Ok(Ok(Encoding::Long)) => match codec::alone(&self.buffer[body..]) {
                    Ok(encoded) => self.follower.end_with(Status::Value, &encoded),
                    Err(error) => self.fail(Status::Untranslatable, &error),
                },
                Ok(Ok(Encoding::Alone(encoded))) => {
                    self.follower.end_with(Status::Value, &encoded);
                }
                Ok(Err(error)) => self.fail(Status::Untranslatable, &error),
                Err(payload) => self.fail_by_panic(panic::caught(payload)),
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
                return self.follower.end_with(Status::Panicked, &encoded);
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
                Ok(encoded) => return self.follower.end_with(Status::Untranslatable, &encoded),
                Err(_) => &[],
            },
        };
        self.buffer.clear();
        let body = record::begin(self.buffer);
        self.buffer.extend_from_slice(text);
        record::end(self.buffer, body, status);
        self.follower.end(self.buffer);
    }
}

#[inline]
fn next<A: DeserializeOwned>(arguments: &mut Arguments<'_>) -> Result<A> {
    match arguments {
        Arguments::Records(bytes) => match record::take(bytes) {
            Some(record) => record::decode(record.body),
            None => Err(Error::new(ErrorKind::Corrupt, "decoding argument", "")),
        },
        Arguments::Mailed(mail) => match mail.take() {
            Some((body, descriptors)) => codec::decode(&body, descriptors),
            None => Err(Error::new(ErrorKind::Corrupt, "receiving argument", "")
                .because("it did not come with the call")),
        },
    }
}
