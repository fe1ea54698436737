//! How messages are cut into frames, and put together again.
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
//!
//! Trust: *may crash*. A sender that dies leaves a frame or a message
//! unfinished, which is reported when its death is; bytes that break a rule
//! are an error of that sender and of nobody else. No length in a frame makes
//! the receiver allocate: memory grows with the bytes that arrive.

use procession::{Error, ErrorKind, Result};
use std::collections::VecDeque;

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

fn corrupt(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, "receiving frame", "").because(why)
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

/// What has come from one sender.
#[derive(Debug, Default)]
struct Assembler {
    /// Number of the message that is being put together, or comes next.
    message: u32,
    partial: Option<Partial>,
    /// Bytes of the current frame that have not come yet.
    frame_left: usize,
    frames: u64,
    ended: bool,
}

#[derive(Debug)]
struct Partial {
    kind: Kind,
    total: u64,
    bytes: Vec<u8>,
}

impl Assembler {
    fn begin(&mut self, header: Header, max_message: u64) -> Result<()> {
        if self.ended {
            return Err(corrupt("a frame after the last one"));
        }
        if header.total > max_message {
            return Err(corrupt(format!(
                "a message of {} bytes, and {max_message} are allowed",
                header.total
            )));
        }
        if header.message != self.message {
            return Err(corrupt(format!(
                "a frame of message {}, while {} is due",
                header.message, self.message
            )));
        }
        let have = match &self.partial {
            None => {
                let partial = Partial {
                    kind: header.kind,
                    total: header.total,
                    bytes: Vec::new(),
                };
                self.partial.insert(partial).bytes.len()
            }
            Some(partial) if partial.kind != header.kind || partial.total != header.total => {
                return Err(corrupt("two frames of one message disagree"));
            }
            // An empty frame would be the way to send for ever.
            Some(_) if header.length == 0 => return Err(corrupt("a frame without progress")),
            Some(partial) => partial.bytes.len(),
        };
        if have as u64 + u64::from(header.length) > header.total {
            return Err(corrupt("the frames of a message exceed it"));
        }
        if header.length == 0 && header.total > 0 {
            return Err(corrupt("a frame without progress"));
        }
        self.frame_left = header.length as usize;
        Ok(())
    }

    /// Adds payload of the frame that was begun; the message, if it is whole.
    fn add(&mut self, payload: &[u8]) -> Option<(Kind, Vec<u8>)> {
        self.frame_left -= payload.len();
        if self.frame_left == 0 {
            self.frames += 1;
        }
        let partial = self.partial.as_mut()?;
        partial.bytes.extend_from_slice(payload);
        if (partial.bytes.len() as u64) < partial.total {
            return None;
        }
        let whole = self.partial.take()?;
        self.message = self.message.wrapping_add(1);
        self.ended = whole.kind != Kind::Data;
        Some((whole.kind, whole.bytes))
    }
}

/// Reads frames from a stream that may be cut anywhere.
#[derive(Debug, Default)]
struct StreamDecoder {
    header: Vec<u8>,
    /// Who the frame that is coming in belongs to.
    current: Option<usize>,
}

/// Something that came from a sender.
#[derive(Debug)]
pub(crate) enum Arrival {
    Message {
        sender: usize,
        bytes: Vec<u8>,
    },
    End {
        sender: usize,
    },
    Failure {
        sender: usize,
        reason: String,
    },
    /// The sender broke the rules; nothing more is taken from it.
    Broken {
        sender: usize,
        error: Error,
    },
}

/// The messages of all senders, put together from whatever order and pieces
/// they come in.
#[derive(Debug)]
pub(crate) struct Inbox {
    assemblers: Vec<Assembler>,
    streams: Vec<StreamDecoder>,
    shared: StreamDecoder,
    broken: Vec<bool>,
    arrivals: VecDeque<Arrival>,
    max_message: u64,
}

impl Inbox {
    pub(crate) fn new(senders: usize, max_message: u64) -> Inbox {
        Inbox {
            assemblers: (0..senders).map(|_| Assembler::default()).collect(),
            streams: (0..senders).map(|_| StreamDecoder::default()).collect(),
            shared: StreamDecoder::default(),
            broken: vec![false; senders],
            arrivals: VecDeque::new(),
            max_message,
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    pub(crate) fn senders(&self) -> usize {
        self.assemblers.len()
    }

    /// Whether the sender is in the middle of a message.
    pub(crate) fn is_partial(&self, sender: usize) -> bool {
        self.assemblers[sender].partial.is_some() || !self.streams[sender].header.is_empty()
    }

    /// Frames that have come whole from a sender.
    pub(crate) fn frames_of(&self, sender: usize) -> u64 {
        self.assemblers[sender].frames
    }

    /// Whether nothing more is expected from the sender.
    pub(crate) fn is_closed(&self, sender: usize) -> bool {
        self.broken[sender] || self.assemblers[sender].ended
    }

    /// Nothing more comes from anybody: fails those that had not finished.
    pub(crate) fn close_all(&mut self, error: impl Fn() -> Error) {
        for sender in 0..self.senders() {
            if !self.is_closed(sender) {
                self.fail(sender, error());
            }
        }
    }

    /// Takes one whole frame, from a channel that keeps boundaries.
    ///
    /// # Errors
    /// The frame does not tell whose it is.
    pub(crate) fn packet(&mut self, packet: &[u8]) -> Result<()> {
        let Some((header, payload)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt(format!("a packet of {} bytes", packet.len())));
        };
        let header = Header::decode(header)?;
        let sender = self.known(header.sender)?;
        if header.length as usize == payload.len() {
            self.begin(sender, header);
            self.add(sender, payload);
        } else {
            let error = corrupt("a packet is not as long as its frame");
            self.fail(sender, error);
        }
        Ok(())
    }

    /// Takes bytes from a stream that one sender has for itself.
    pub(crate) fn stream(&mut self, sender: usize, bytes: &[u8]) {
        if self.broken[sender] {
            return;
        }
        let mut decoder = std::mem::take(&mut self.streams[sender]);
        if let Err(error) = self.decode(&mut decoder, Some(sender), bytes) {
            self.fail(sender, error);
        }
        self.streams[sender] = decoder;
    }

    /// Takes bytes from a stream that all senders write frames to.
    ///
    /// # Errors
    /// The stream is out of step, for everybody.
    pub(crate) fn shared_stream(&mut self, bytes: &[u8]) -> Result<()> {
        let mut decoder = std::mem::take(&mut self.shared);
        let outcome = self.decode(&mut decoder, None, bytes);
        self.shared = decoder;
        outcome
    }

    fn decode(
        &mut self,
        decoder: &mut StreamDecoder,
        owner: Option<usize>,
        mut bytes: &[u8],
    ) -> Result<()> {
        while !bytes.is_empty() {
            if let Some(sender) = decoder.current {
                let length = self.assemblers[sender].frame_left.min(bytes.len());
                let (payload, rest) = bytes.split_at(length);
                self.add(sender, payload);
                bytes = rest;
                if self.assemblers[sender].frame_left > 0 {
                    return Ok(());
                }
                decoder.current = None;
                continue;
            }
            let missing = (HEADER_BYTES - decoder.header.len()).min(bytes.len());
            decoder.header.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let Ok(header) = <&[u8; HEADER_BYTES]>::try_from(&decoder.header[..]) else {
                return Ok(());
            };
            let header = Header::decode(header)?;
            decoder.header.clear();
            let sender = self.known(header.sender)?;
            if owner.is_some_and(|owner| owner != sender) {
                return Err(corrupt(format!("a frame in the name of sender {sender}")));
            }
            self.begin(sender, header);
            if owner.is_some() && self.broken[sender] {
                return Ok(());
            }
            if header.length == 0 {
                self.add(sender, &[]);
            } else {
                // Also for a broken sender: on a shared stream its bytes must
                // be passed over to find the next frame.
                self.assemblers[sender].frame_left = header.length as usize;
                decoder.current = Some(sender);
            }
        }
        Ok(())
    }

    fn known(&self, sender: u32) -> Result<usize> {
        let sender = sender as usize;
        if sender < self.senders() {
            return Ok(sender);
        }
        Err(corrupt(format!(
            "a frame of sender {sender}, and there are {}",
            self.senders()
        )))
    }

    fn begin(&mut self, sender: usize, header: Header) {
        if self.broken[sender] {
            return;
        }
        if let Err(error) = self.assemblers[sender].begin(header, self.max_message) {
            self.fail(sender, error);
        }
    }

    fn add(&mut self, sender: usize, payload: &[u8]) {
        if self.broken[sender] {
            let left = &mut self.assemblers[sender].frame_left;
            *left = left.saturating_sub(payload.len());
            return;
        }
        if let Some((kind, bytes)) = self.assemblers[sender].add(payload) {
            self.arrivals.push_back(match kind {
                Kind::Data => Arrival::Message { sender, bytes },
                Kind::End => Arrival::End { sender },
                Kind::Failure => {
                    let reason = String::from_utf8_lossy(&bytes).into_owned();
                    Arrival::Failure { sender, reason }
                }
            });
        }
    }

    fn fail(&mut self, sender: usize, error: Error) {
        if !self.broken[sender] {
            self.broken[sender] = true;
            self.assemblers[sender].partial = None;
            self.arrivals.push_back(Arrival::Broken { sender, error });
        }
    }
}

#[cfg(test)]
mod tests;
