//! What is to be sent to a manager, by all threads of a process in one order.

use crate::Result;
use crate::error::Context;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::os::unix::net::UnixStream;

/// More than this is given back when all is sent.
const KEPT: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What did not fit into the socket yet.
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes of all frames so far, and how many of them are in the socket.
    appended: u64,
    written: u64,
}

impl Outgoing {
    /// Adds a frame, and writes what there is room for. Returns where the frame ends, for
    /// [`has_written`](Outgoing::has_written).
    pub(super) fn push(&mut self, socket: &UnixStream, frame: &[u8]) -> Result<u64> {
        self.appended += frame.len() as u64;
        let mut rest = frame;
        if self.sent == self.bytes.len() {
            let written = write(socket, frame)?;
            self.written += written as u64;
            rest = &frame[written..];
        }
        self.bytes.extend_from_slice(rest);
        self.flush(socket)?;
        Ok(self.appended)
    }

    /// Writes what there is room for.
    pub(super) fn flush(&mut self, socket: &UnixStream) -> Result<()> {
        let written = write(socket, &self.bytes[self.sent..])?;
        self.sent += written;
        self.written += written as u64;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.sent = 0;
        }
        Ok(())
    }

    /// Returns `true` if the frame that ends there is in the socket.
    pub(super) fn has_written(&self, end: u64) -> bool {
        self.written >= end
    }
}

/// Writes what there is room for; returns how much that was.
fn write(socket: &UnixStream, bytes: &[u8]) -> Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::net::send(socket, &bytes[written..], SendFlags::NOSIGNAL) {
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error).during("calling manager", ""),
        }
    }
    Ok(written)
}
