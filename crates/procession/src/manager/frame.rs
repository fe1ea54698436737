//! What the two sides of a connection say to each other.
//!
//! ```text
//! frame:  kind (1) │ flags (1) │ call (8) │ length of the body (4) │ body
//! ```
//!
//! All numbers are little-endian. A call has a number that its connection uses once; its
//! reply has the same.

use crate::{Error, ErrorKind, Result};

/// What a client says first, and a server: the version of the protocol.
pub(super) const PROTOCOL: &[u8; 8] = b"procman1";

/// What a manager and its client say in a handshake that they are, so that a channel finds out that it is wrong.
#[cfg(feature = "network")]
pub(super) const TYPES: [u64; 2] = [u64::from_le_bytes(*PROTOCOL); 2];

/// Bytes before the body.
pub(super) const HEADER: usize = 14;

/// Most bytes of a body.
pub(super) const MAX_BODY: usize = 64 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// First of a client: the protocol that it speaks.
    Hello,
    /// First of a server: which server it is.
    Welcome,
    /// Object (8), thread (8), request: answered by one reply.
    Call,
    /// Object (8), thread (8), request: never answered.
    Tell,
    /// A call need not be answered any more, unless it is too late. It is answered all the same.
    Cancel,
    /// The answer to a call.
    Reply,
    /// Nothing follows, and that is no accident.
    Goodbye,
    /// Of a client: asks for shared memory, and then: what follows comes by it. Of a server: the answer, with
    /// descriptors, and then likewise.
    Rings,
}

/// On a call: answer that it would have to wait, instead of waiting.
pub(super) const NO_WAIT: u8 = 1;

const KINDS: [Kind; 8] = [
    Kind::Hello,
    Kind::Welcome,
    Kind::Call,
    Kind::Tell,
    Kind::Cancel,
    Kind::Reply,
    Kind::Goodbye,
    Kind::Rings,
];

/// A frame as it lies in the bytes that came.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) call: u64,
    pub(super) body: &'a [u8],
}

/// Adds a frame to those that are to be sent; its body is what `write` adds.
pub(super) fn append(
    out: &mut Vec<u8>,
    kind: Kind,
    flags: u8,
    call: u64,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    out.push(kind as u8);
    out.push(flags);
    out.extend_from_slice(&call.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let body = out.len();
    let written = write(out);
    let length = out.len() - body;
    let written = match written {
        Ok(()) if length > MAX_BODY => Err(too_long(length)),
        written => written,
    };
    if written.is_err() {
        out.truncate(start);
        return written;
    }
    out[body - 4..body].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}

fn too_long(length: usize) -> Error {
    Error::new(ErrorKind::LimitReached, "calling manager", "")
        .because(format!(
            "{length} bytes are more than the {MAX_BODY} of one call"
        ))
        .with_hint("send large values in parts")
}

/// What has come of frames.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// What has come, and room for more.
    bytes: Vec<u8>,
    /// Where the next frame begins, and what has come ends.
    start: usize,
    end: usize,
    /// The last read has filled all the room there was.
    is_filled: bool,
}

/// Room at first: an idle connection keeps no more.
const LEAST: usize = 1 << 10;

/// More than this is given back when nothing is left in it.
const KEPT: usize = 1 << 16;

impl Incoming {
    /// Reads once, by `read`; returns how many bytes came.
    ///
    /// Memory grows with what comes, not with what is announced.
    pub(super) fn read(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.is_filled || self.bytes.len() == self.end {
            let length = (self.bytes.len() * 2).max(LEAST);
            self.bytes.resize(length, 0);
        }
        let outcome = read(&mut self.bytes[self.end..]);
        self.end += *outcome.as_ref().unwrap_or(&0);
        self.is_filled = self.end == self.bytes.len();
        outcome
    }

    /// Adds what came another way.
    #[cfg(feature = "network")]
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len();
    }

    /// What no frame was taken of.
    #[cfg(all(test, feature = "network"))]
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the next frame, if all of it has come.
    ///
    /// # Errors
    /// It is no frame; nothing after it is one.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>> {
        let rest = &self.bytes[self.start..self.end];
        let Some((header, _)) = rest.split_first_chunk::<HEADER>() else {
            self.give_back();
            return Ok(None);
        };
        let corrupt = |why: &'static str| {
            Err(Error::new(ErrorKind::Corrupt, "reading from connection", "").because(why))
        };
        let Some(&kind) = KINDS.get(usize::from(header[0])) else {
            return corrupt("it sent what is no frame");
        };
        let number = |from: usize, to: usize| {
            let mut bytes = [0; 8];
            bytes[..to - from].copy_from_slice(&header[from..to]);
            u64::from_le_bytes(bytes)
        };
        let (flags, call, length) = (header[1], number(2, 10), number(10, 14) as usize);
        if length > MAX_BODY {
            return corrupt("it announced a longer call than there are");
        }
        let end = self.start + HEADER + length;
        if self.end < end {
            return Ok(None);
        }
        let body = self.start + HEADER..end;
        self.start = end;
        let body = &self.bytes[body];
        Ok(Some(Frame {
            kind,
            flags,
            call,
            body,
        }))
    }

    fn give_back(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > KEPT {
                *self = Incoming::default();
            }
        }
    }
}
