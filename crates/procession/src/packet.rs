//! Packets of a sequenced-packet socket, each a kind, a body and descriptors:
//! what processes of a family tell each other, and what some channels carry.
//!
//! ```text
//! byte 0      kind
//!      1      1 if the body is a memory file, the first of the descriptors
//!      4…8    how many descriptors belong to it, the body's not counted
//!      8…24   token of the first packet, zeros in others
//!     24…     the body, if it is not a memory file
//! ```
//!
//! One packet carries 253 descriptors; further ones follow in packets whose kind
//! byte is zero. Every length is checked, though the other end is a process
//! of the same program: it may be killed, and its memory spoilt, at any instant.

use crate::codec::{Arrived, Body, Encoded, MAX_INLINE, open_memory};
use crate::error::Context;
use crate::os::descriptors::{MAX_DESCRIPTORS, despite_reset, receive_from, send_parts};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::socket::Sender;
use rustix::net::RecvFlags;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes before the body.
const HEADER: usize = 24;

/// What tells a process's first packet from another's.
pub(crate) type Token = [u8; 16];

/// What a packet is about, as the byte that travels. Zero is not for it: that
/// byte continues the packet before.
pub(crate) trait Kind: Copy {
    fn byte(self) -> u8;
    fn from_byte(byte: u8) -> Option<Self>;
}

/// The kind byte of packets with more descriptors of the packet before.
const MORE: u8 = 0;

/// Defines an enum of kinds, each with its byte.
macro_rules! kinds {
    (
        $(#[$doc:meta])*
        $visibility:vis enum $kind:ident {
            $($(#[$doc_of_one:meta])* $name:ident = $byte:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        $visibility enum $kind {
            $($(#[$doc_of_one])* $name = $byte,)*
        }

        impl $crate::packet::Kind for $kind {
            fn byte(self) -> u8 {
                self as u8
            }

            fn from_byte(byte: u8) -> Option<$kind> {
                [$($kind::$name),*].into_iter().find(|kind| *kind as u8 == byte)
            }
        }
    };
}

pub(crate) use kinds;

/// A packet that arrived whole.
#[derive(Debug)]
pub(crate) struct Packet<K> {
    pub(crate) kind: K,
    /// The sender, where the kernel was asked for it ([`Mailbox::name_senders`]).
    pub(crate) sender: Option<Sender>,
    pub(crate) body: Arrived,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// An end of the socket pair.
#[derive(Debug)]
pub(crate) struct Mailbox<K> {
    socket: OwnedFd,
    assembly: Assembly<K>,
}

impl<K: Kind> Mailbox<K> {
    pub(crate) fn new(socket: OwnedFd) -> Mailbox<K> {
        Mailbox {
            socket,
            assembly: Assembly::default(),
        }
    }

    /// Sends a packet, waiting for room.
    pub(crate) fn send(&self, kind: K, message: &Encoded) -> Result<()> {
        send(self.as_fd(), kind, [0; 16], message, Deadline::NEVER)
    }

    /// Sends a packet if there is room: for callers that must not wait for the
    /// other side.
    pub(crate) fn try_send(&self, kind: K, message: &Encoded) -> Result<()> {
        send(self.as_fd(), kind, [0; 16], message, Deadline::NOW)
    }

    /// Sends a packet whose body is a short value.
    pub(crate) fn send_value(&self, kind: K, value: &impl serde::Serialize) -> Result<()> {
        self.send(kind, &crate::codec::encode(value)?)
    }

    /// [`try_send`](Mailbox::try_send) of a short value.
    pub(crate) fn try_send_value(&self, kind: K, value: &impl serde::Serialize) -> Result<()> {
        self.try_send(kind, &crate::codec::encode(value)?)
    }

    /// Has the process send a packet of this kind when the stack of the calling
    /// thread overflows.
    pub(crate) fn send_on_overflow(&self, kind: K) {
        let mut header = [0; HEADER];
        header[0] = kind.byte();
        if procession_sys::overflow::catch().is_ok() {
            procession_sys::overflow::tell(self.as_fd(), &header);
        }
    }

    /// Sends a packet that says all by its kind.
    pub(crate) fn send_word(&self, kind: K) -> Result<()> {
        self.send(kind, &Encoded::empty())
    }

    /// Waits for the next packet; `None` is the end: the other side is gone.
    pub(crate) fn receive(&mut self, deadline: Deadline) -> Result<Option<Packet<K>>> {
        self.assembly.receive(self.socket.as_fd(), deadline)
    }

    /// Returns `true` if the first packet, which stays, carries this token.
    ///
    /// # Errors
    /// Those that say nothing about whether there is one.
    pub(crate) fn has_token(socket: BorrowedFd<'_>, token: &Token) -> procession_sys::Result<bool> {
        use procession_sys::Errno;
        let mut header = [0; HEADER];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::io::retry_on_intr(|| {
            despite_reset(|| rustix::net::recv(socket, &mut header[..], flags))
        });
        match peeked {
            Ok((length, _)) => Ok(length == HEADER && header[8..] == token[..]),
            Err(Errno::NOBUFS | Errno::NOMEM) => Err(Errno::NOMEM),
            // No socket, or one on which nothing waits.
            Err(_) => Ok(false),
        }
    }

    /// Takes what is here of a packet, to be put together with its rest elsewhere.
    pub(crate) fn take_assembly(&mut self) -> Assembly<K> {
        std::mem::take(&mut self.assembly)
    }

    /// Has the kernel name the sender of each packet that arrives from now on.
    pub(crate) fn name_senders(&self) -> Result<()> {
        procession_sys::socket::name_senders(self.as_fd()).during("asking for senders", "")
    }

    /// Returns `true` if something has come, or the other side is gone.
    pub(crate) fn has_news(&self) -> bool {
        crate::poll::readable(&self.socket, Deadline::NOW).is_ok()
    }
}

/// Packets as they are put together.
#[derive(Debug)]
pub(crate) struct Assembly<K>(
    /// One that waits for more descriptors, and for how many.
    Option<(Packet<K>, usize)>,
);

impl<K> Default for Assembly<K> {
    fn default() -> Assembly<K> {
        Assembly(None)
    }
}

impl<K: Kind> Assembly<K> {
    /// Returns `true` if part of a packet is here.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the next packet; `None` is the end: the other side is gone.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        deadline: Deadline,
    ) -> Result<Option<Packet<K>>> {
        loop {
            let Some(part) = receive_one(socket, deadline)? else {
                return Ok(None);
            };
            let (whole, announced) = match (part, self.0.take()) {
                (Part::More(descriptors), Some((mut whole, announced))) => {
                    whole.descriptors.extend(descriptors);
                    (whole, announced)
                }
                (Part::More(_), None) => return Err(malformed("descriptors of no packet")),
                (Part::First(packet, announced), partial) => {
                    // Another writer's packet may come in between.
                    self.0 = partial;
                    (packet, announced)
                }
            };
            match whole.descriptors.len().cmp(&announced) {
                std::cmp::Ordering::Less => self.0 = Some((whole, announced)),
                std::cmp::Ordering::Equal => return Ok(Some(whole)),
                std::cmp::Ordering::Greater => return Err(malformed("too many descriptors")),
            }
        }
    }
}

/// What one call receives.
enum Part<K> {
    /// A packet, and how many descriptors it announces.
    First(Packet<K>, usize),
    /// More descriptors of the packet before.
    More(Vec<OwnedFd>),
}

/// Waits for a part of a packet; `None` is the end.
fn receive_one<K: Kind>(socket: BorrowedFd<'_>, deadline: Deadline) -> Result<Option<Part<K>>> {
    let operation = "receiving from process";
    let mut bytes = [0; HEADER + MAX_INLINE];
    let (length, mut descriptors, sender) = receive_from(socket, &mut bytes, deadline, operation)?;
    if length == 0 {
        return Ok(None);
    }
    let (header, body) = bytes[..length]
        .split_at_checked(HEADER)
        .ok_or_else(|| malformed("a packet without a header"))?;
    if header[0] == MORE {
        return Ok(Some(Part::More(descriptors)));
    }
    let kind = K::from_byte(header[0]).ok_or_else(|| malformed("an unknown kind"))?;
    let count = [header[4], header[5], header[6], header[7]];
    let body = match header[1] {
        1 if descriptors.is_empty() => return Err(malformed("a memory file is missing")),
        1 => open_memory(&descriptors.remove(0))?,
        _ => Arrived::Inline(body.to_vec()),
    };
    let packet = Packet {
        kind,
        sender,
        body,
        descriptors,
    };
    let announced = u32::from_le_bytes(count) as usize;
    Ok(Some(Part::First(packet, announced)))
}

impl<K> AsFd for Mailbox<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the next packet, which is there and stays, is about.
pub(crate) fn peek_kind<K: Kind>(socket: BorrowedFd<'_>) -> Option<K> {
    let mut byte = [0];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let peeked = despite_reset(|| rustix::net::recv(socket, &mut byte, flags));
    let (length, _) = peeked.ok()?;
    K::from_byte(byte[0]).filter(|_| length > 0)
}

/// Sends a packet with a token.
///
/// The deadline is for its first part: the others have to follow it.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    kind: impl Kind,
    token: Token,
    message: &Encoded,
    deadline: Deadline,
) -> Result<()> {
    let operation = "sending to process";
    let (inline, memory): (&[u8], _) = match &message.body {
        Body::Inline(bytes) => (bytes, None),
        Body::Memory(file) => (&[], Some(file)),
    };
    let count = u32::try_from(message.descriptors.len())
        .map_err(|_| malformed("more descriptors than can be counted"))?;
    let mut all: Vec<BorrowedFd<'_>> = memory.into_iter().map(AsFd::as_fd).collect();
    all.extend(message.descriptors.iter().map(AsFd::as_fd));
    let mut header = [0; HEADER];
    header[1] = u8::from(memory.is_some());
    header[4..8].copy_from_slice(&count.to_le_bytes());
    header[8..].copy_from_slice(&token);
    let mut batches = all.chunks(MAX_DESCRIPTORS);
    header[0] = kind.byte();
    let first = batches.next().unwrap_or(&[]);
    let parts = [IoSlice::new(&header), IoSlice::new(inline)];
    send_parts(socket, &parts, first, deadline, operation)?;
    header = [0; HEADER];
    header[0] = MORE;
    for batch in batches {
        let parts = [IoSlice::new(&header)];
        send_parts(socket, &parts, batch, Deadline::NEVER, operation)?;
    }
    Ok(())
}

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, "receiving from process", "").because(why)
}

/// A socket pair: ours, and the one to give away.
pub(crate) fn pair<K: Kind>() -> Result<(Mailbox<K>, OwnedFd)> {
    let (ours, theirs) = crate::fd::socket_pair::of_packets()?;
    Ok((Mailbox::new(ours), theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::File;

    kinds! {
        enum Kind {
            Question = 1,
            Answer = 2,
        }
    }

    type Mailbox = super::Mailbox<Kind>;

    #[test]
    fn three_hundred_descriptors_and_a_long_body_arrive() {
        let (ours, theirs) = pair::<Kind>().unwrap();
        let mut theirs = Mailbox::new(theirs);
        for count in [0, 1, 252, 253, 254, 300, 506, 507] {
            for length in [0, 100, MAX_INLINE, MAX_INLINE + 1] {
                let mut encoder = crate::codec::Encoder::new();
                let file: OwnedFd = File::open("/dev/null").unwrap().into();
                let bytes = vec![7; length];
                encoder.encoded(&bytes, &[]).unwrap();
                for _ in 0..count {
                    encoder.encoded(&[], std::slice::from_ref(&file)).unwrap();
                }
                ours.send(Kind::Question, &encoder.finish().unwrap())
                    .unwrap();
                let packet = theirs.receive(Deadline::NOW).unwrap().unwrap();
                assert_eq!(packet.kind, Kind::Question);
                assert_eq!(packet.descriptors.len(), count);
                assert_eq!(&packet.body[..], bytes);
            }
        }
    }

    #[test]
    fn the_end_of_the_other_side_is_not_an_error() {
        let (ours, theirs) = pair::<Kind>().unwrap();
        drop(theirs);
        let mut ours = ours;
        assert!(ours.receive(Deadline::NEVER).unwrap().is_none());
    }

    #[test]
    fn what_was_sent_before_the_end_arrives_though_not_all_was_read() {
        let (mut ours, theirs) = pair::<Kind>().unwrap();
        let theirs = Mailbox::new(theirs);
        ours.send_word(Kind::Question).unwrap();
        theirs.send_word(Kind::Answer).unwrap();
        drop(theirs);
        let packet = ours.receive(Deadline::NEVER).unwrap().unwrap();
        assert_eq!(packet.kind, Kind::Answer);
        assert!(ours.receive(Deadline::NEVER).unwrap().is_none());
    }

    #[test]
    fn a_token_is_recognised_and_stays() {
        let (ours, theirs) = pair::<Kind>().unwrap();
        let message = crate::codec::encode(&7_u8).unwrap();
        let has = |token| Mailbox::has_token(theirs.as_fd(), &token).unwrap();
        assert!(!has([9; 16]));
        send(
            ours.as_fd(),
            Kind::Question,
            [9; 16],
            &message,
            Deadline::NOW,
        )
        .unwrap();
        assert!(!has([8; 16]));
        assert!(has([9; 16]));
        let packet = Mailbox::new(theirs).receive(Deadline::NOW).unwrap();
        assert_eq!(&packet.unwrap().body[..], [7]);
    }

    /// The kernel tells of its end before it gives what it had sent.
    #[test]
    fn what_is_next_of_a_peer_that_left_something_unread_is_seen() {
        let (ours, theirs) = pair::<Kind>().unwrap();
        ours.send_word(Kind::Question).unwrap();
        Mailbox::new(theirs).send_word(Kind::Answer).unwrap();
        assert_eq!(peek_kind(ours.as_fd()), Some(Kind::Answer));
    }

    proptest! {
        #[test]
        fn any_packet_is_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let (ours, theirs) = pair::<Kind>().unwrap();
            rustix::net::send(&ours, &bytes, rustix::net::SendFlags::empty()).unwrap();
            drop(ours);
            let _ = Mailbox::new(theirs).receive(Deadline::NOW);
        }
    }
}
