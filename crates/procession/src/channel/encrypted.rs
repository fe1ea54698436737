//! Messages that nobody on the way can read, change, repeat, reorder or cut off
//! unnoticed.
//!
//! ```text
//! frame:   length of the rest (2, most significant byte first) │ encrypted: kind (1), up to 65,518 bytes │ tag (16)
//! kind:    0 more of the message follows   1 its last part   2 nothing follows
//! ```
//!
//! Each frame is a transport message of the Noise protocol (`cipher.rs`): a changed length is found
//! because what it cuts out is then no message.
//!
//! # References
//! The Noise Protocol Framework, revision 34, §13

use super::cipher::{Cipher, TAG};
use super::claim::Claim;
use super::stream::{Reads, Writes, refuse_descriptors};
use crate::process_token;
use crate::queue::{Hindrance, Outcome};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::os::fd::OwnedFd;

const LENGTH: usize = 2;

/// Most bytes of a message in one frame.
const PART: usize = u16::MAX as usize - 1 - TAG;

const MORE: u8 = 0;
const LAST: u8 = 1;
const END: u8 = 2;

/// Adds a frame to those that are to be sent.
fn encrypt(cipher: &mut Cipher, kind: u8, part: &[u8], into: &mut Vec<u8>) {
    let length = (1 + part.len() + TAG) as u16;
    into.extend_from_slice(&length.to_be_bytes());
    let start = into.len();
    into.push(kind);
    into.extend_from_slice(part);
    let tag = cipher.encrypt(&mut into[start..]);
    into.extend_from_slice(&tag);
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outlet {
    writes: Writes,
    cipher: Cipher,
    /// Somebody else says the end.
    #[serde(serialize_with = "give_away")]
    given_away: Cell<bool>,
    /// Of several copies that were decoded, one sends.
    claim: Claim,
    /// The one that says the end, and no forked copy.
    #[serde(skip, default = "process_token::current")]
    process: u64,
    max_bytes: usize,
}

/// Notes that it is on its way to another process, which finds it its own.
fn give_away<S: serde::Serializer>(
    given_away: &Cell<bool>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    given_away.set(true);
    serializer.serialize_bool(false)
}

impl Outlet {
    pub(super) fn new(writes: Writes, cipher: Cipher, max_bytes: usize) -> Outlet {
        Outlet {
            writes,
            cipher,
            given_away: Cell::new(false),
            claim: Claim::default(),
            process: process_token::current(),
            max_bytes,
        }
    }

    pub(super) fn send(
        &mut self,
        message: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        refuse_descriptors(descriptors, "a connection over the network")?;
        self.require_sole_owner()?;
        if message.len() > self.max_bytes {
            return Err(Hindrance::Failed(too_long(
                "sending message",
                self.max_bytes,
            )));
        }
        let before = self.cipher.clone();
        let mut frames = Vec::with_capacity(message.len() + 64);
        let mut parts = message.chunks(PART).peekable();
        if parts.peek().is_none() {
            encrypt(&mut self.cipher, LAST, &[], &mut frames);
        }
        while let Some(part) = parts.next() {
            let kind = if parts.peek().is_some() { MORE } else { LAST };
            encrypt(&mut self.cipher, kind, part, &mut frames);
        }
        let outcome = self.writes.write(&frames, deadline);
        if matches!(outcome, Err(Hindrance::TimedOut)) && !self.writes.is_broken() {
            // None of it went, so the next message has these numbers.
            self.cipher = before;
        }
        outcome
    }
}

impl Outlet {
    /// Two that go on from the same number would protect different messages with one
    /// nonce, which protects neither.
    fn require_sole_owner(&self) -> Result<()> {
        let why = match (
            self.given_away.get(),
            self.process == process_token::current(),
        ) {
            (false, true) if self.claim.is_ours() => return Ok(()),
            (false, true) => "another copy of this end sends",
            (true, _) => "this end was given to another process",
            (false, false) => "this process is a forked copy of the one that has this end",
        };
        Err(Error::new(ErrorKind::Unsupported, "sending message", "")
            .because(why)
            .with_hint("give the end to a task, and send from there alone"))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.require_sole_owner().is_err() || self.writes.is_broken() {
            return;
        }
        let mut frame = Vec::new();
        encrypt(&mut self.cipher, END, &[], &mut frame);
        // Where there is no room now, the other side finds the connection cut.
        let _ = self.writes.write(&frame, Deadline::NOW);
        let _ = self.writes.peer.with_descriptor(|socket| {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
            Ok(())
        });
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Inlet {
    pub(super) reads: Reads,
    cipher: Cipher,
    /// What has come of a message.
    parts: Vec<u8>,
    max_bytes: usize,
    /// Why nothing more is believed, if that is so.
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Over {
    Ended,
    Forged,
    TooLong,
}

impl Inlet {
    pub(super) fn new(reads: Reads, cipher: Cipher, max_bytes: usize) -> Inlet {
        Inlet {
            reads,
            cipher,
            parts: Vec::new(),
            max_bytes,
            over: None,
        }
    }

    pub(super) fn receive(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Outcome<()> {
        loop {
            match self.over {
                Some(Over::Ended) => return Err(Hindrance::Disconnected),
                Some(Over::Forged) => return Err(Hindrance::Failed(forged())),
                Some(Over::TooLong) => {
                    return Err(Hindrance::Failed(too_long(
                        "receiving message",
                        self.max_bytes,
                    )));
                }
                None => {}
            }
            let kind = self.receive_frame(deadline)?;
            match kind {
                LAST => {
                    into.clear();
                    into.append(&mut self.parts);
                    return Ok(());
                }
                MORE => {}
                END if self.parts.is_empty() => self.over = Some(Over::Ended),
                _ => self.over = Some(Over::Forged),
            }
        }
    }

    /// Receives a frame, and adds what is in it to the parts; its kind.
    fn receive_frame(&mut self, deadline: Deadline) -> Outcome<u8> {
        let cut = |hindrance| match hindrance {
            Hindrance::Disconnected => Hindrance::Failed(
                Error::new(ErrorKind::ProcessDied, "receiving message", "").because(
                    "the connection ended unannounced: the other side was killed, or it was cut",
                ),
            ),
            other => other,
        };
        let header = self.reads.gather(LENGTH, deadline).map_err(cut)?;
        let mut length = [0; LENGTH];
        length.copy_from_slice(header);
        let rest = usize::from(u16::from_be_bytes(length));
        if rest < 1 + TAG {
            self.over = Some(Over::Forged);
            return Err(Hindrance::Failed(forged()));
        }
        let frame = self.reads.gather(LENGTH + rest, deadline).map_err(cut)?;
        let mut frame = frame[LENGTH..].to_vec();
        self.reads.take(LENGTH + rest);
        let Some((kind, part)) = self
            .cipher
            .decrypt(&mut frame)
            .and_then(|text| text.split_first())
        else {
            self.over = Some(Over::Forged);
            return Err(Hindrance::Failed(forged()));
        };
        if self.parts.len() + part.len() > self.max_bytes {
            self.over = Some(Over::TooLong);
            return Err(Hindrance::Failed(too_long(
                "receiving message",
                self.max_bytes,
            )));
        }
        self.parts.extend_from_slice(part);
        Ok(*kind)
    }
}

fn forged() -> Error {
    Error::new(ErrorKind::Corrupt, "receiving message", "")
        .because("somebody has changed what was sent; nothing more is believed")
}

fn too_long(operation: &'static str, max_bytes: usize) -> Error {
    Error::new(ErrorKind::LimitReached, operation, "")
        .because(format!("it is longer than {max_bytes} bytes"))
        .with_hint("raise the limit on both sides with `Address::max_message_bytes`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::cipher::DirectionKey;
    use crate::peer::Peer;
    use proptest::prelude::*;

    fn cipher() -> Cipher {
        Cipher::new(&DirectionKey::new([7; 32]))
    }

    /// A stream to an inlet, and what goes into it.
    fn pair() -> (Writes, Inlet) {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (reads, writes) = rustix::pipe::pipe_with(flags).unwrap();
        let reads = Reads::new(Peer::of(reads));
        (
            Writes::new(Peer::of(writes)),
            Inlet::new(reads, cipher(), 1 << 20),
        )
    }

    /// The frames of some messages.
    fn frames(messages: &[&[u8]], mut cipher: Cipher) -> Vec<Vec<u8>> {
        let frame_of = |message: &&[u8]| {
            let mut frame = Vec::new();
            encrypt(&mut cipher, LAST, message, &mut frame);
            frame
        };
        messages.iter().map(frame_of).collect()
    }

    fn received(inlet: &mut Inlet) -> Outcome<Vec<u8>> {
        let mut message = Vec::new();
        inlet.receive(&mut message, Deadline::NOW)?;
        Ok(message)
    }

    #[test]
    fn replaced_keys_are_the_same_at_both_ends() {
        let (mut writes, mut inlet) = pair();
        inlet.cipher = cipher().rekeying_after(3);
        let messages: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
        let all: Vec<&[u8]> = messages.iter().map(|message| &message[..]).collect();
        for frame in frames(&all, cipher().rekeying_after(3)) {
            writes.write(&frame, Deadline::NOW).unwrap();
        }
        for message in &messages {
            assert_eq!(received(&mut inlet).unwrap(), message);
        }
    }

    #[test]
    fn repeated_reordered_and_left_out_frames_are_found_out() {
        let sent = frames(&[b"one", b"two", b"three"], cipher());
        for order in [[0, 0, 1], [1, 0, 2], [0, 2, 1]] {
            let (mut writes, mut inlet) = pair();
            for index in order {
                writes.write(&sent[index], Deadline::NOW).unwrap();
            }
            let found: Vec<_> = (0..3).map(|_| received(&mut inlet)).collect();
            let right = found.iter().take_while(|it| it.is_ok()).count();
            assert!(right < 3, "{order:?}");
            // And nothing is believed after.
            assert!(found[right..].iter().all(|it| it.is_err()), "{order:?}");
        }
    }

    #[test]
    fn an_end_that_is_not_said_is_an_error() {
        let (mut writes, mut inlet) = pair();
        let sent = frames(&[b"one"], cipher());
        writes.write(&sent[0], Deadline::NOW).unwrap();
        drop(writes);
        assert_eq!(received(&mut inlet).unwrap(), b"one");
        assert!(matches!(received(&mut inlet), Err(Hindrance::Failed(_))));
    }

    #[test]
    fn a_stream_cut_at_any_byte_is_an_error() {
        let sent = frames(&[b"a message", b"another"], cipher()).concat();
        for length in 0..sent.len() {
            let (mut writes, mut inlet) = pair();
            writes.write(&sent[..length], Deadline::NOW).unwrap();
            drop(writes);
            let found: Vec<_> = (0..3).map(|_| received(&mut inlet)).collect();
            let whole = found.iter().filter(|it| it.is_ok()).count();
            assert!(whole < 2, "{length} bytes");
            let end = |it: &Outcome<_>| matches!(it, Err(Hindrance::Failed(_)));
            assert!(found[whole..].iter().all(end), "{length} bytes");
        }
    }

    #[test]
    fn every_changed_bit_is_found_out() {
        let sent = frames(&[b"a message"], cipher()).concat();
        for bit in 0..sent.len() * 8 {
            let (mut writes, mut inlet) = pair();
            let mut changed = sent.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            writes.write(&changed, Deadline::NOW).unwrap();
            drop(writes);
            assert!(received(&mut inlet).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            let (mut writes, mut inlet) = pair();
            writes.write(&bytes, Deadline::NOW).unwrap();
            drop(writes);
            prop_assert!(received(&mut inlet).is_err());
        }
    }
}
