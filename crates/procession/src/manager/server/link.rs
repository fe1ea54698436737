//! What encrypts the connection of a client over the network.

use super::handshake::Handshake;
use crate::manager::frame::Incoming;
use crate::manager::sealed::{Opener, Sealer, send};
use std::io;
use std::os::fd::BorrowedFd;

/// Bytes that are encrypted at once, when the kernel has taken those before.
const BATCH: usize = 1 << 16;

pub(super) enum Link {
    /// The program at the other end has not proved yet that it has the key.
    Unproved(Handshake),
    Sealed(Sealed),
}

pub(super) struct Sealed {
    sealer: Sealer,
    opener: Opener,
    /// What is encrypted, and how much of it was sent.
    records: Vec<u8>,
    sent: usize,
}

impl Link {
    pub(super) fn is_proved(&self) -> bool {
        matches!(self, Link::Sealed(_))
    }

    /// Bytes that are encrypted and not in the kernel yet.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Link::Unproved(_) => 0,
            Link::Sealed(sealed) => sealed.records.len() - sealed.sent,
        }
    }

    /// Reads once; returns how many bytes came, which may be none of a frame.
    pub(super) fn read(
        &mut self,
        socket: BorrowedFd<'_>,
        incoming: &mut Incoming,
    ) -> io::Result<usize> {
        match self {
            Link::Unproved(handshake) => {
                let (count, proved) = handshake.read(socket)?;
                if let Some((sealer, opener)) = proved {
                    *self = Link::Sealed(Sealed {
                        sealer,
                        opener,
                        records: Vec::new(),
                        sent: 0,
                    });
                }
                Ok(count)
            }
            Link::Sealed(sealed) => sealed.opener.read(socket, incoming),
        }
    }

    /// Encrypts and sends what there is room for; returns how much of `bytes` was encrypted.
    pub(super) fn write(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        let Link::Sealed(sealed) = self else {
            return Ok(0);
        };
        let mut taken = 0;
        loop {
            sealed.sent += send(socket, &sealed.records[sealed.sent..])?;
            if sealed.sent < sealed.records.len() {
                break;
            }
            sealed.sent = 0;
            sealed.records.clear();
            sealed.records.shrink_to(BATCH);
            if taken == bytes.len() {
                break;
            }
            let end = bytes.len().min(taken + BATCH);
            sealed.sealer.seal(&bytes[taken..end], &mut sealed.records);
            taken = end;
        }
        sealed.sealer.written(socket);
        Ok(taken)
    }
}
