//! Messages that nobody on the way can read, change, repeat, reorder or cut off
//! unnoticed.
//!
//! ```text
//! frame:   length of the rest (4) │ encrypted: kind (1), up to 65,536 bytes │ tag (16)
//! kind:    0 more of the message follows   1 its last part   2 nothing follows
//! ```
//!
//! ChaCha20-Poly1305, with a key for each way. A frame's number, which is not
//! sent, is its nonce, and its length is authenticated with it. Every 2^32 frames
//! the key is replaced by one that is derived from it.
//!
//! # References
//! RFC 8439, RFC 5869

use super::handshake::WayKey;
use super::stream::{Reads, Writes, refuse_descriptors};
use crate::process::identity;
use crate::queue::{Hindrance, Outcome};
use crate::{Deadline, Error, ErrorKind, Result};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::cell::Cell;
use std::os::fd::OwnedFd;

const LENGTH: usize = 4;
const TAG: usize = 16;

/// Most bytes of a message in one frame.
const PART: usize = 1 << 16;

const MORE: u8 = 0;
const LAST: u8 = 1;
const END: u8 = 2;

/// Frames after which the key is replaced.
const REPLACE_AFTER: u64 = 1 << 32;

/// The key of one way, and how many frames have gone it.
#[derive(Clone, Serialize, Deserialize)]
struct Cipher {
    key: [u8; 32],
    frames: u64,
    replace_after: u64,
}

impl Drop for Cipher {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cipher(after {} frames)", self.frames)
    }
}

impl Cipher {
    fn new(key: &WayKey) -> Cipher {
        Cipher {
            key: **key,
            frames: 0,
            replace_after: REPLACE_AFTER,
        }
    }

    /// The cipher and the nonce of the next frame.
    fn next(&mut self) -> (ChaCha20Poly1305, Nonce) {
        if self.frames > 0 && self.frames.is_multiple_of(self.replace_after) {
            let mut next = [0; 32];
            Hkdf::<Sha256>::new(None, &self.key)
                .expand(b"procession next key", &mut next)
                .expect("a length that it can give");
            self.key = next;
        }
        let mut nonce = Nonce::default();
        nonce[4..].copy_from_slice(&self.frames.to_le_bytes());
        self.frames += 1;
        (ChaCha20Poly1305::new(&Key::from(self.key)), nonce)
    }

    /// Adds a frame to those that are to be sent.
    fn encrypt(&mut self, kind: u8, part: &[u8], into: &mut Vec<u8>) {
        let length = (1 + part.len() + TAG) as u32;
        let length = length.to_le_bytes();
        into.extend_from_slice(&length);
        let start = into.len();
        into.push(kind);
        into.extend_from_slice(part);
        let (cipher, nonce) = self.next();
        let tag = cipher.encrypt_inout_detached(&nonce, &length, (&mut into[start..]).into());
        into.extend_from_slice(&tag.expect("a length that it can take"));
    }

    /// Opens what came behind a length; its kind comes first.
    fn decrypt(&mut self, length: [u8; LENGTH], frame: &mut [u8]) -> Option<usize> {
        let (text, tag) = frame.split_at_mut(frame.len() - TAG);
        let tag = Tag::try_from(&*tag).ok()?;
        let (cipher, nonce) = self.next();
        cipher
            .decrypt_inout_detached(&nonce, &length, (&mut *text).into(), &tag)
            .ok()?;
        Some(text.len())
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outlet {
    writes: Writes,
    cipher: Cipher,
    /// Somebody else says the end.
    #[serde(serialize_with = "give_away")]
    given_away: Cell<bool>,
    /// The one that says the end, and no forked copy.
    #[serde(skip, default = "identity::token")]
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
    pub(super) fn new(writes: Writes, key: &WayKey, max_bytes: usize) -> Outlet {
        Outlet {
            writes,
            cipher: Cipher::new(key),
            given_away: Cell::new(false),
            process: identity::token(),
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
            self.cipher.encrypt(LAST, &[], &mut frames);
        }
        while let Some(part) = parts.next() {
            let kind = if parts.peek().is_some() { MORE } else { LAST };
            self.cipher.encrypt(kind, part, &mut frames);
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
        let why = match (self.given_away.get(), self.process == identity::token()) {
            (false, true) => return Ok(()),
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
        self.cipher.encrypt(END, &[], &mut frame);
        // Where there is no room now, the other side finds the connection cut.
        let _ = self.writes.write(&frame, Deadline::NOW);
        let _ = self.writes.ends.with_socket(|socket| {
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
}

impl Inlet {
    pub(super) fn new(reads: Reads, key: &WayKey, max_bytes: usize) -> Inlet {
        Inlet {
            reads,
            cipher: Cipher::new(key),
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
        let rest = u32::from_le_bytes(length) as usize;
        if !(1 + TAG..=1 + PART + TAG).contains(&rest) {
            self.over = Some(Over::Forged);
            return Err(Hindrance::Failed(forged()));
        }
        let frame = self.reads.gather(LENGTH + rest, deadline).map_err(cut)?;
        let mut frame = frame[LENGTH..].to_vec();
        self.reads.take(LENGTH + rest);
        let Some(length) = self.cipher.decrypt(length, &mut frame) else {
            self.over = Some(Over::Forged);
            return Err(Hindrance::Failed(forged()));
        };
        let part = &frame[1..length];
        if self.parts.len() + part.len() > self.max_bytes {
            self.over = Some(Over::Forged);
            return Err(Hindrance::Failed(too_long(
                "receiving message",
                self.max_bytes,
            )));
        }
        self.parts.extend_from_slice(part);
        Ok(frame[0])
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
    use crate::ends::Ends;
    use proptest::prelude::*;

    fn key() -> WayKey {
        WayKey::new([7; 32])
    }

    /// A stream to an inlet, and what goes into it.
    fn pair() -> (Writes, Inlet) {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (reads, writes) = rustix::pipe::pipe_with(flags).unwrap();
        let reads = Reads::new(Ends::of(reads));
        (
            Writes::new(Ends::of(writes)),
            Inlet::new(reads, &key(), 1 << 20),
        )
    }

    /// The frames of some messages.
    fn frames(messages: &[&[u8]], replace_after: u64) -> Vec<Vec<u8>> {
        let mut cipher = Cipher {
            replace_after,
            ..Cipher::new(&key())
        };
        let encrypt = |message: &&[u8]| {
            let mut frame = Vec::new();
            cipher.encrypt(LAST, message, &mut frame);
            frame
        };
        messages.iter().map(encrypt).collect()
    }

    fn received(inlet: &mut Inlet) -> Outcome<Vec<u8>> {
        let mut message = Vec::new();
        inlet.receive(&mut message, Deadline::NOW)?;
        Ok(message)
    }

    #[test]
    fn replaced_keys_are_the_same_at_both_ends() {
        let (mut writes, mut inlet) = pair();
        inlet.cipher.replace_after = 3;
        let messages: Vec<[u8; 1]> = (0..20).map(|number| [number]).collect();
        let all: Vec<&[u8]> = messages.iter().map(|message| &message[..]).collect();
        for frame in frames(&all, 3) {
            writes.write(&frame, Deadline::NOW).unwrap();
        }
        for message in &messages {
            assert_eq!(received(&mut inlet).unwrap(), message);
        }
        assert_ne!(inlet.cipher.key, *key());
    }

    #[test]
    fn repeated_reordered_and_left_out_frames_are_found_out() {
        let sent = frames(&[b"one", b"two", b"three"], REPLACE_AFTER);
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
        let sent = frames(&[b"one"], REPLACE_AFTER);
        writes.write(&sent[0], Deadline::NOW).unwrap();
        drop(writes);
        assert_eq!(received(&mut inlet).unwrap(), b"one");
        assert!(matches!(received(&mut inlet), Err(Hindrance::Failed(_))));
    }

    #[test]
    fn a_stream_cut_at_any_byte_is_an_error() {
        let sent = frames(&[b"a message", b"another"], REPLACE_AFTER).concat();
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
        let sent = frames(&[b"a message"], REPLACE_AFTER).concat();
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
