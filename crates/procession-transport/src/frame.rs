//! How messages are cut into frames.
//!
//! Every transport carries the same frames; they differ in how long one may
//! be and in whether the kernel keeps their boundaries.
//!
//! ```text
//!  0        2         3      4        8         12       16      24
//! ┌────────┬─────────┬──────┬────────┬─────────┬────────┬───────┬─────────┐
//! │ "pC"   │ version │ kind │ sender │ message │ length │ total │ payload │
//! └────────┴─────────┴──────┴────────┴─────────┴────────┴───────┴─────────┘
//!   little-endian; `length` bytes of payload follow; the payloads of all
//!   frames of one message, in order, are its `total` bytes
//! ```

use procession::__private::error::ErrorBuilder;
use procession::{Error, ErrorKind, Result};

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 24;

const MAGIC: [u8; 2] = *b"pC";
const VERSION: u8 = 1;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The user's bytes.
    Data,
    /// The sender has finished.
    End,
    /// The sender gives up; the payload says why.
    Failure,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::Data,
            2 => Kind::End,
            3 => Kind::Failure,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Kind::Data => 1,
            Kind::End => 2,
            Kind::Failure => 3,
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) sender: u32,
    pub(crate) message: u32,
    pub(crate) length: u32,
    pub(crate) total: u64,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = VERSION;
        bytes[3] = self.kind.byte();
        bytes[4..8].copy_from_slice(&self.sender.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.message.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..].copy_from_slice(&self.total.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[..2] != MAGIC {
            return Err(corrupt("a frame does not begin with its mark"));
        }
        if bytes[2] != VERSION {
            return Err(corrupt(format!(
                "frame version {}, not {VERSION}",
                bytes[2]
            )));
        }
        let kind = Kind::from_byte(bytes[3])
            .ok_or_else(|| corrupt(format!("unknown kind of frame {}", bytes[3])))?;
        let total = u64::from(word(16)) | u64::from(word(20)) << 32;
        Ok(Header {
            kind,
            sender: word(4),
            message: word(8),
            length: word(12),
            total,
        })
    }
}

pub(crate) fn corrupt(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    ErrorBuilder::new(ErrorKind::Corrupt, "receiving frame", "")
        .because(why)
        .build()
}

/// Cuts a message into frames of at most `max_payload` bytes each; an empty
/// message is one frame.
pub(crate) fn frames(
    kind: Kind,
    sender: u32,
    message: u32,
    bytes: &[u8],
    max_payload: usize,
) -> impl Iterator<Item = ([u8; HEADER_BYTES], &[u8])> {
    let max_payload = max_payload.min(u32::MAX as usize);
    let pieces = bytes.chunks(max_payload);
    let empty: &[u8] = &[];
    let pieces = pieces.chain(bytes.is_empty().then_some(empty));
    pieces.map(move |piece| {
        let length = u32::try_from(piece.len()).expect("a piece is at most max_payload long");
        let header = Header {
            kind,
            sender,
            message,
            length,
            total: bytes.len() as u64,
        };
        (header.encode(), piece)
    })
}
