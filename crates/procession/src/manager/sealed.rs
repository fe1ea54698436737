//! The bytes of a connection as they go over the network: records that nobody on the way can read, change, repeat,
//! reorder or leave out unnoticed.
//!
//! ```text
//! record:  length of the rest (2, most significant byte first) │ encrypted: up to 65,519 bytes │ tag (16)
//! ```
//!
//! Frames are cut into records without regard to where they end. The end of a connection is a frame (`Goodbye`), so that a
//! stream that was cut off is told from one that has ended.

use super::frame::Incoming;
use crate::channel::network::{Cipher, TAG, UserTimeout};
use procession_sys::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

const LENGTH: usize = 2;

/// Most bytes of a record before they are encrypted.
const PART: usize = u16::MAX as usize - TAG;

/// Bytes that are read at once.
const STEP: usize = 1 << 16;

/// More than this is given back.
const KEPT: usize = 1 << 16;

/// The side of a connection that encrypts.
#[derive(Debug)]
pub(super) struct Sealer {
    cipher: Cipher,
    timeout: UserTimeout,
}

impl Sealer {
    pub(super) fn new(cipher: Cipher, timeout: UserTimeout) -> Sealer {
        Sealer { cipher, timeout }
    }

    /// Adds bytes to those that are to be sent.
    pub(super) fn seal(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        for part in bytes.chunks(PART) {
            let length = (part.len() + TAG) as u16;
            into.extend_from_slice(&length.to_be_bytes());
            let start = into.len();
            into.extend_from_slice(part);
            let tag = self.cipher.encrypt(&mut into[start..]);
            into.extend_from_slice(&tag);
        }
    }

    /// Has the kernel limit the silence of the other host, if all that was written is under way.
    pub(super) fn written(&mut self, socket: BorrowedFd<'_>) {
        self.timeout.written(socket);
    }
}

/// The side of a connection that decrypts.
#[derive(Debug)]
pub(super) struct Opener {
    cipher: Cipher,
    /// What has come and is no whole record yet.
    bytes: Vec<u8>,
}

impl Opener {
    pub(super) fn new(cipher: Cipher) -> Opener {
        let bytes = Vec::new();
        Opener { cipher, bytes }
    }

    /// Reads once; returns how many bytes came, and adds what they say to `incoming`.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData): somebody has changed what was sent.
    pub(super) fn read(&mut self, socket: impl AsFd, incoming: &mut Incoming) -> io::Result<usize> {
        let have = self.bytes.len();
        self.bytes.resize(have + STEP, 0);
        let outcome = rustix::net::recv(socket, &mut self.bytes[have..], RecvFlags::empty());
        let came = outcome.as_ref().map_or(0, |(came, _)| *came);
        self.bytes.truncate(have + came);
        outcome?;
        self.open(incoming)?;
        Ok(came)
    }

    /// Takes in what came with the last message of the handshake, or after it.
    fn open(&mut self, incoming: &mut Incoming) -> io::Result<()> {
        let mut start = 0;
        while let Some((length, rest)) = self.bytes[start..].split_first_chunk::<LENGTH>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length < TAG {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if rest.len() < length {
                break;
            }
            let record = start + LENGTH..start + LENGTH + length;
            start = record.end;
            let part = self.cipher.decrypt(&mut self.bytes[record]);
            incoming.append(part.ok_or(io::ErrorKind::InvalidData)?);
        }
        self.bytes.drain(..start);
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        Ok(())
    }
}

/// Sends what there is room for; returns how much that was.
pub(super) fn send(socket: impl AsFd, bytes: &[u8]) -> procession_sys::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::net::send(&socket, &bytes[sent..], SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::network::cipher_for_tests;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let timeout = UserTimeout::new(Duration::from_secs(30));
        let mut out = Vec::new();
        Sealer::new(cipher_for_tests(), timeout).seal(bytes, &mut out);
        out
    }

    /// What arrives of some bytes, and whether all of it was believed.
    fn opened(sent: &[u8]) -> (Vec<u8>, bool) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (mut opener, mut incoming) = (Opener::new(cipher_for_tests()), Incoming::default());
        let mut sent = sent;
        loop {
            sent = &sent[send(&ours, sent).unwrap()..];
            match opener.read(&theirs, &mut incoming) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return (incoming.unread().to_vec(), sent.is_empty());
                }
                Err(_) => return (incoming.unread().to_vec(), false),
            }
        }
    }

    #[test]
    fn bytes_arrive_whole() {
        for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART, 300_000] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert!(opened(&sealed(&bytes)) == (bytes, true), "{length} bytes");
        }
    }

    #[test]
    fn every_changed_bit_is_found_out() {
        let sent = sealed(b"a frame");
        for bit in 0..sent.len() * 8 {
            let mut changed = sent.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&changed).0.is_empty(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_that_is_repeated_is_found_out() {
        let sent = sealed(b"a frame");
        let (arrived, is_believed) = opened(&[&sent[..], &sent[..]].concat());
        assert_eq!((&arrived[..], is_believed), (&b"a frame"[..], false));
    }

    #[test]
    fn a_record_that_is_left_out_or_comes_too_early_is_found_out() {
        let mut sealer = Sealer::new(
            cipher_for_tests(),
            UserTimeout::new(Duration::from_secs(30)),
        );
        let [first, second, third] = [b"one", b"two", b"six"].map(|bytes| {
            let mut record = Vec::new();
            sealer.seal(bytes, &mut record);
            record
        });
        let left_out = [&first[..], &third].concat();
        assert_eq!(opened(&left_out), (b"one".to_vec(), false));
        let too_early = [&second[..], &first, &third].concat();
        assert_eq!(opened(&too_early), (Vec::new(), false));
        let whole = [&first[..], &second, &third].concat();
        assert_eq!(opened(&whole), (b"onetwosix".to_vec(), true));
    }
}
