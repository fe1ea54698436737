//! Which copy of an end is the one that sends.
//!
//! An encrypted end that travels is bytes: a task that is started twice, or a message that is delivered
//! again, decodes it twice. Two that go on with one key and one number would encrypt different messages with the
//! same nonce, which reveals both. So an end that travels brings a pipe with one byte, and the copy that reads the byte
//! sends.

use crate::error::Context;
use crate::{Result, handle};
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::RefCell;
use std::os::fd::OwnedFd;

/// Of an end that travelled: the pipe, until its byte was read. Of any other, nothing.
#[derive(Debug, Default)]
pub(super) struct Claim(RefCell<Option<OwnedFd>>);

impl Claim {
    /// Returns `true` if this copy is the one that sends: it never travelled, or was the first to ask.
    pub(super) fn is_ours(&self) -> bool {
        let mut kept = self.0.borrow_mut();
        let Some(pipe) = &*kept else {
            return true;
        };
        // The pipe has no writer any more: reading it does not block.
        let first = loop {
            match rustix::io::read(pipe, &mut [0]) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => break outcome == Ok(1),
            }
        };
        if first {
            *kept = None;
        }
        first
    }
}

/// A pipe with one byte and no writer.
fn pipe() -> Result<OwnedFd> {
    let operation = "sending end of connection";
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (reads, writes) = rustix::pipe::pipe_with(flags).during(operation, "")?;
    rustix::io::write(writes, &[0]).during(operation, "")?;
    Ok(reads)
}

impl Serialize for Claim {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut kept = self.0.borrow_mut();
        let pipe = match kept.take() {
            Some(pipe) => pipe,
            None => pipe().map_err(serde::ser::Error::custom)?,
        };
        // Of a copy that was not the first, the pipe is empty: what is made of it does not send either.
        handle::serialize(&*kept.insert(pipe), serializer)
    }
}

impl<'de> Deserialize<'de> for Claim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Claim, D::Error> {
        handle::deserialize(deserializer).map(|pipe| Claim(RefCell::new(Some(pipe))))
    }
}
