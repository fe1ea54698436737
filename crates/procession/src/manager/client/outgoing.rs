//! What is to be sent to a manager.

use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::os::unix::net::UnixStream;

/// What may pile up of what nobody waits for, when the manager does not read.
const MAX_TOLD: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Adds a frame and sends all, waiting for room.
    pub(super) fn send(
        &mut self,
        socket: &UnixStream,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
        deadline: Deadline,
    ) -> Result<()> {
        write(&mut self.bytes)?;
        while !self.flush(socket)? {
            poll::writable(socket, deadline)?;
        }
        Ok(())
    }

    /// Adds a frame and sends what there is room for; the rest goes with the next one.
    pub(super) fn send_now(
        &mut self,
        socket: &UnixStream,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        if self.bytes.len() - self.sent > MAX_TOLD {
            return Err(Error::new(ErrorKind::LimitReached, "calling manager", "")
                .because("it does not read what it is told"));
        }
        write(&mut self.bytes)?;
        self.flush(socket).map(drop)
    }

    /// Sends what there is room for; returns `true` if that was all.
    fn flush(&mut self, socket: &UnixStream) -> Result<bool> {
        while self.sent < self.bytes.len() {
            match rustix::net::send(socket, &self.bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error).during("calling manager", ""),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        self.bytes.shrink_to(1 << 16);
        Ok(true)
    }
}
