//! Descriptors of messages, in a socket beside the queue.
//!
//! All senders have the one end of it, all receivers the other. A message with
//! descriptors has a packet there, which is sent before the message is published
//! and stays until it is done with, so that another receiver finds it if the first
//! one is killed.
//!
//! ```text
//! packet:  block (4) │ tag (4) │ how many (4) │ descriptors
//! ```
//!
//! The word of the block's length has the tag as long as the packet is wanted; the
//! tag is never used again while it could be. A process that looks for a packet has a lock,
//! for some system calls: the position from which a socket is looked at without
//! taking belongs to the socket (`SO_PEEK_OFF`). Packets of messages that are done
//! with, or were never published because their senders died, are taken away when
//! they are the first.
//!
//! More descriptors than a packet can carry wait in a socket of their own, which is
//! the one descriptor of the packet.

use super::layout;
use super::ring::Ring;
use super::{Hindrance, Outcome};
use crate::error::Context;
use crate::os::descriptors::{MAX_DESCRIPTORS, despite_reset, receive_any, send_parts};
use crate::os::socket::SeqPacket;
use crate::peer::Peer;
use crate::registry::Caller;
use crate::sync::failed;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::mutex::RawMutex;
use procession_sys::socket::set_peek_offset;
use rustix::net::RecvFlags;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

const PACKET: usize = 12;

/// Packets that a socket takes under any limit (`max_dgram_qlen`).
const PACKETS: usize = 10;

/// Most descriptors of a message.
const MAX: usize = PACKETS * MAX_DESCRIPTORS;

/// How long to wait for a process that was stopped while it looks for a packet.
const PATIENCE: Duration = Duration::from_secs(1);

const SENDING: &str = "sending descriptors";
const RECEIVING: &str = "receiving descriptors";

/// The socket of a queue, as one side has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DescriptorSocket<'a> {
    pub(super) ring: &'a Ring,
    pub(super) peer: &'a Peer,
}

/// What a packet says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Packet {
    block: u32,
    tag: u32,
    count: u32,
}

impl Packet {
    fn bytes(self) -> [u8; PACKET] {
        let mut bytes = [0; PACKET];
        bytes[..4].copy_from_slice(&self.block.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.tag.to_le_bytes());
        bytes[8..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    fn of(bytes: &[u8; PACKET]) -> Packet {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Packet {
            block: number(0),
            tag: number(4),
            count: number(8),
        }
    }
}

impl DescriptorSocket<'_> {
    /// A tag for a message with descriptors.
    pub(super) fn tag(&self, descriptors: &[OwnedFd]) -> Result<u64> {
        if descriptors.is_empty() {
            return Ok(0);
        }
        let label = self.ring.object.label();
        if self.peer.is_none() {
            return Err(Error::new(ErrorKind::Unsupported, SENDING, label)
                .because("a queue with a name carries no descriptors")
                .with_hint("make one without a name, and give it away"));
        }
        if descriptors.len() > MAX {
            let count = descriptors.len();
            return Err(Error::new(ErrorKind::LimitReached, SENDING, label)
                .because(format!("{count} descriptors, and one message brings {MAX}")));
        }
        let count = self.ring.word(layout::TAGS);
        let number = count.fetch_add(1, Ordering::Relaxed);
        Ok(1 + number % layout::MAX_TAGS)
    }

    /// Sends the packet of the message in a block that is ours, if there is room for
    /// it; whether there was.
    pub(super) fn try_send(
        &self,
        block: usize,
        tag: u64,
        descriptors: &[OwnedFd],
    ) -> Outcome<bool> {
        let packet = Packet {
            block: block as u32,
            tag: tag as u32,
            count: descriptors.len() as u32,
        };
        let parcel;
        let packed: Vec<BorrowedFd<'_>> = if descriptors.len() <= MAX_DESCRIPTORS {
            descriptors.iter().map(AsFd::as_fd).collect()
        } else {
            parcel = pack(descriptors)?;
            vec![parcel.as_fd()]
        };
        let bytes = packet.bytes();
        let sent = self.peer.with_descriptor(|socket| {
            let parts = [IoSlice::new(&bytes)];
            send_parts(socket, &parts, &packed, Deadline::NOW, SENDING)
        });
        match sent.map_err(Hindrance::of_descriptor) {
            Ok(_) => Ok(true),
            Err(Hindrance::TimedOut) => {
                let caller = self.ring.object.caller(Deadline::NOW)?;
                self.ring.ask_to_tidy(&caller);
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// The descriptors of the message in a block that is ours; they stay there.
    pub(super) fn fetch(&self, block: usize) -> Result<Vec<OwnedFd>> {
        let tag = self.ring.tag_of(block);
        if tag == 0 {
            return Ok(Vec::new());
        }
        self.locked(|socket| {
            let (packet, offset) = look_for(socket, |packet| {
                u64::from(packet.tag) == tag && packet.block as usize == block
            })?
            .ok_or_else(|| malformed("they are not there"))?;
            set_peek_offset(socket, offset).during(RECEIVING, "")?;
            let mut bytes = [0; PACKET];
            let flags = RecvFlags::PEEK;
            let (_, mut descriptors) =
                receive_any(socket, &mut bytes, flags, Deadline::NOW, RECEIVING)?;
            let count = packet.count as usize;
            if count > MAX_DESCRIPTORS {
                let parcel = descriptors.pop();
                let parcel = parcel.ok_or_else(|| malformed("their parcel is not there"))?;
                descriptors = unpack(&SeqPacket::from(parcel), count)?;
            }
            match Packet::of(&bytes) == packet && descriptors.len() == count {
                true => Ok(descriptors),
                false => Err(malformed("another number came")),
            }
        })
    }

    /// Takes packets away that nobody wants any more, as far as they are the first.
    pub(super) fn sweep(&self) {
        let mut any = false;
        // What fails here, the next one does.
        let _ = self.locked(|socket| {
            loop {
                let Some((packet, 0)) = look_for(socket, |_| true)? else {
                    return Ok(());
                };
                if self.ring.wants(packet.block as usize, packet.tag.into()) {
                    return Ok(());
                }
                any = true;
                let flags = RecvFlags::DONTWAIT;
                let mut bytes = [0; PACKET];
                // Without room for its descriptors: they are closed.
                let taken = despite_reset(|| rustix::net::recv(socket, &mut bytes[..], flags));
                taken.during(RECEIVING, "")?;
            }
        });
        if any {
            self.ring.pass_room_on();
        }
    }

    /// Runs `code` with the socket, alone.
    fn locked<T>(&self, code: impl FnOnce(BorrowedFd<'_>) -> Result<T>) -> Result<T> {
        let object = &self.ring.object;
        let deadline = Deadline::after(PATIENCE);
        let caller: Caller<'_> = object.caller(deadline)?;
        let lock = RawMutex(self.ring.word(layout::SOCKET));
        let acquired = lock
            .lock(&caller)
            .map_err(|failure| failed(failure, RECEIVING, object.label(), deadline))?;
        if acquired.inconsistent {
            // Whoever has it begins by saying where to look.
            lock.mark_consistent();
        }
        let outcome = self.peer.with_descriptor(code);
        lock.unlock(&caller);
        outcome.map_err(|error| error.about(object.label()))
    }
}

/// Looks for a packet, which stays, from the first on; where it is, in bytes.
fn look_for(
    socket: BorrowedFd<'_>,
    is_wanted: impl Fn(Packet) -> bool,
) -> Result<Option<(Packet, usize)>> {
    set_peek_offset(socket, 0).during(RECEIVING, "")?;
    let mut offset = 0;
    loop {
        let mut bytes = [0; PACKET];
        // Without room for descriptors, they are not even copied.
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match despite_reset(|| rustix::net::recv(socket, &mut bytes[..], flags)) {
            Ok((PACKET, PACKET)) => {}
            // Nobody has sent such a one, or the end.
            Ok((0, _)) | Err(procession_sys::Errno::AGAIN) => return Ok(None),
            Err(procession_sys::Errno::INTR) => continue,
            Ok(_) => return Err(malformed("a packet is no packet")),
            Err(errno) => return Err(Error::os(RECEIVING, "", errno)),
        }
        let packet = Packet::of(&bytes);
        if is_wanted(packet) {
            return Ok(Some((packet, offset)));
        }
        offset += PACKET;
    }
}

fn malformed(why: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, RECEIVING, "").because(why)
}

/// Puts descriptors into a socket; the other end of it.
fn pack(descriptors: &[OwnedFd]) -> Result<SeqPacket> {
    let (ours, theirs) = SeqPacket::pair()?;
    for batch in descriptors.chunks(MAX_DESCRIPTORS) {
        let batch: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        let parts = [IoSlice::new(&[0])];
        send_parts(ours.as_fd(), &parts, &batch, Deadline::NOW, SENDING)?;
    }
    Ok(theirs)
}

/// The descriptors in a socket, which stay there: another receiver may want them.
fn unpack(parcel: &SeqPacket, count: usize) -> Result<Vec<OwnedFd>> {
    let socket = parcel.as_fd();
    let mut descriptors = Vec::new();
    set_peek_offset(socket, 0).during(RECEIVING, "")?;
    while descriptors.len() < count.min(MAX) {
        let flags = RecvFlags::PEEK;
        let (length, more) = receive_any(socket, &mut [0], flags, Deadline::NOW, RECEIVING)?;
        if length == 0 || more.is_empty() {
            break;
        }
        descriptors.extend(more);
    }
    Ok(descriptors)
}
