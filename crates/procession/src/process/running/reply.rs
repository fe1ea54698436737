//! What a task has told its parent.

use crate::codec::{self, Arrived};
use crate::packet::Assembly;
use crate::process::Panic;
use crate::process::launch::protocol::{Ended, Kind, Packet};
use crate::time::instant;
use crate::{Deadline, Error, Result};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

/// What came of the task.
#[derive(Debug)]
pub(super) enum Reply {
    Returned {
        body: Arrived,
        descriptors: Vec<OwnedFd>,
    },
    Panicked(Panic),
    Untranslatable(Error),
    /// It could not be started as asked.
    Failed(Error),
    /// Nothing, and nobody knows how it ended.
    Lost(Error),
}

/// What has been received of the process.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Of a packet, of which more is to come.
    pub(super) assembly: Assembly<Kind>,
    /// The task has taken over its process.
    pub(super) booted: bool,
    /// It has sent that its stack has overflowed.
    pub(super) overflowed: bool,
    pub(super) reply: Option<Reply>,
    pub(super) ended: Option<Ended>,
    pub(super) ended_at: Option<Instant>,
    /// The server has sent that it reaped it.
    pub(super) is_reaped: bool,
    /// The far end of the mailbox is closed everywhere.
    pub(super) is_closed: bool,
}

impl Received {
    /// Receives what is in the mailbox.
    pub(super) fn receive_all(&mut self, mailbox: BorrowedFd<'_>) -> Result<()> {
        while !self.is_closed && self.ended.is_none() {
            match self.assembly.receive(mailbox, Deadline::NOW) {
                Ok(Some(packet)) if packet.kind == Kind::Booted => self.booted = true,
                Ok(Some(packet)) if packet.kind == Kind::Overflowed => self.overflowed = true,
                Ok(Some(packet)) if packet.kind == Kind::Ended => {
                    let ended: Ended = codec::decode(&packet.body, Vec::new())?;
                    self.ended_at = Some(instant(ended.at));
                    self.ended = Some(ended);
                    self.is_reaped = true;
                }
                Ok(Some(packet)) => {
                    let reply = read_reply(packet)?;
                    // The first reply counts.
                    self.reply = self.reply.take().or(reply);
                }
                Ok(None) => self.is_closed = true,
                Err(error) if error.is_would_block() || error.is_timeout() => return Ok(()),
                // A message that does not fit (no descriptor is free, say) or
                // makes no sense is the task's last.
                Err(error) => {
                    self.reply.get_or_insert(Reply::Untranslatable(error));
                    self.is_closed = true;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn read_reply(packet: Packet) -> Result<Option<Reply>> {
    let text = |packet: &Packet| codec::decode::<Error>(&packet.body, Vec::new());
    Ok(match packet.kind {
        Kind::Returned => Some(Reply::Returned {
            body: packet.body,
            descriptors: packet.descriptors,
        }),
        Kind::Panicked => Some(Reply::Panicked(codec::decode(&packet.body, Vec::new())?)),
        Kind::Untranslatable => Some(Reply::Untranslatable(text(&packet)?)),
        Kind::Failed => Some(Reply::Failed(text(&packet)?)),
        _ => None,
    })
}
