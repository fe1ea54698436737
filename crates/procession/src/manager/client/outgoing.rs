//! What is to be sent to a manager, by all threads of a process in one order.

use crate::Result;
use crate::error::Context;
use crate::manager::local::{self, Rings};
use rustix::io::Errno;
use rustix::net::SendFlags;
#[cfg(feature = "network")]
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

#[cfg(feature = "network")]
use crate::manager::sealed::Sealer;

/// More than this is given back when all is sent.
const KEPT: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// What did not fit yet.
    bytes: Vec<u8>,
    sent: usize,
    /// Bytes of all frames so far, and how many of them the manager can read.
    appended: u64,
    written: u64,
    /// The ring, and from where on it takes the bytes instead of the socket.
    ring: Option<(u64, local::Outgoing)>,
    /// Encrypts, over the network.
    #[cfg(feature = "network")]
    pub(super) sealer: Option<Sealer>,
}

impl Outgoing {
    /// Adds a frame, and writes what there is room for. Returns where the frame ends, for
    /// [`has_written`](Outgoing::has_written).
    pub(super) fn push(&mut self, socket: &UnixStream, frame: &[u8]) -> Result<u64> {
        #[cfg(feature = "network")]
        if let Some(sealer) = &mut self.sealer {
            let before = self.bytes.len();
            sealer.seal(frame, &mut self.bytes);
            self.appended += (self.bytes.len() - before) as u64;
            self.flush(socket)?;
            return Ok(self.appended);
        }
        self.appended += frame.len() as u64;
        if self.has_unsent() {
            self.bytes.extend_from_slice(frame);
            self.flush(socket)?;
        } else {
            let written = self.put(socket, frame)?;
            self.bytes.extend_from_slice(&frame[written..]);
        }
        Ok(self.appended)
    }

    /// Writes what there is room for.
    pub(super) fn flush(&mut self, socket: &UnixStream) -> Result<()> {
        if !self.has_unsent() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        let outcome = self.put(socket, &bytes[self.sent..]);
        self.bytes = bytes;
        self.sent += outcome?;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
            self.sent = 0;
        }
        #[cfg(feature = "network")]
        if let Some(sealer) = &mut self.sealer {
            sealer.written(socket.as_fd());
        }
        Ok(())
    }

    fn put(&mut self, socket: &UnixStream, bytes: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let count = match &mut self.ring {
                None => write(socket, rest)?,
                Some((from, _)) if self.written < *from => {
                    let most = usize::try_from(*from - self.written).unwrap_or(usize::MAX);
                    write(socket, &rest[..rest.len().min(most)])?
                }
                Some((_, ring)) => ring.write(rest).during("calling manager", "")?,
            };
            if count == 0 {
                break;
            }
            self.written += count as u64;
            done += count;
        }
        Ok(done)
    }

    /// Sends a last frame by the socket, and all that follows by a ring.
    pub(super) fn switch(
        &mut self,
        socket: &UnixStream,
        last: &[u8],
        ring: local::Outgoing,
    ) -> Result<()> {
        self.ring = Some((self.appended + last.len() as u64, ring));
        self.push(socket, last).map(drop)
    }

    /// The rings, if room in a ring is waited for; `None` if it is room in the socket.
    pub(super) fn ring_in_use(&self) -> Option<&Arc<Rings>> {
        let (from, ring) = self.ring.as_ref()?;
        (self.written >= *from).then(|| ring.rings())
    }

    /// How many bytes the manager can read, or has read.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Returns `true` if there was no room for something.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.bytes.len()
    }

    /// Returns `true` if the manager can read the frame that ends there, whatever becomes of this process.
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
