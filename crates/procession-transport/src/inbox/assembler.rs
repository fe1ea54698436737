//! One sender's messages, put together from their frames.

use crate::frame::{Header, Kind, corrupt};
use procession::Result;

/// What has come from one sender.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Number of the message that is being put together, or comes next.
    pub(super) message: u32,
    pub(super) partial: Option<Partial>,
    /// Bytes of the current frame that have not come yet.
    pub(super) frame_left: usize,
    pub(super) frames: u64,
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Partial {
    kind: Kind,
    total: u64,
    pub(super) bytes: Vec<u8>,
}

impl Assembler {
    pub(super) fn begin(&mut self, header: Header, max_message: u64) -> Result<()> {
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
    pub(super) fn add(&mut self, payload: &[u8]) -> Option<(Kind, Vec<u8>)> {
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
