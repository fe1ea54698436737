//! How messages are put together from frames, for all senders.
//!
//! Trust: *may crash*. A sender that dies leaves a frame or a message
//! unfinished, which is reported when its death is; bytes that break a rule
//! are an error of that sender and of nobody else. No length in a frame makes
//! the receiver allocate: memory grows with the bytes that arrive.

mod assembler;

use crate::frame::{HEADER_BYTES, Header, Kind, corrupt};
use assembler::Assembler;
use procession::{Error, Result};
use std::collections::VecDeque;

/// Reads frames from a stream that may be cut anywhere.
#[derive(Debug, Default)]
struct StreamDecoder {
    header: Vec<u8>,
    /// The sender of the frame that is coming in.
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

    /// Returns `true` if the sender has begun a message and not finished it.
    pub(crate) fn is_partial(&self, sender: usize) -> bool {
        self.assemblers[sender].partial.is_some() || !self.streams[sender].header.is_empty()
    }

    /// Frames that have come whole from a sender.
    pub(crate) fn frames_of(&self, sender: usize) -> u64 {
        self.assemblers[sender].frames
    }

    /// Returns `true` if nothing more is expected from the sender.
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
