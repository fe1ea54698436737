//! The memory of two rings, and the doorbells of both sides.

use super::{ROOM, Side};
use crate::error::Context;
use crate::os::memfd::{MemFd, Seals};
use crate::os::memory::{Region, SharedBytes};
use crate::{Error, ErrorKind, Result, spin};
use procession_core::byte_ring::RawByteRing;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A line of the processor's caches.
const LINE: usize = 64;
const WORDS: usize = 4 * LINE;
const BYTES: usize = 4096;
const LENGTH: usize = BYTES + 2 * ROOM;

/// The rings of a session, as one side has them.
#[derive(Debug)]
pub(in crate::manager) struct Rings {
    region: Region,
    side: Side,
    /// Rung by the other side.
    doorbell: OwnedFd,
    /// Rung by this one.
    their_doorbell: OwnedFd,
}

impl Rings {
    /// Creates rings, for a server; and the descriptors that its client needs.
    ///
    /// # Errors
    /// There is no memory for them, or there are no descriptors.
    pub(in crate::manager) fn create() -> Result<(Arc<Rings>, [OwnedFd; super::DESCRIPTORS])> {
        let operation = "creating shared memory of manager";
        let file = MemFd::create("procession-manager", LENGTH)?;
        file.seal(Seals::FIXED_SIZE)?;
        let region = file.map()?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let doorbells = [eventfd(0, flags), eventfd(0, flags)];
        let [doorbell, their_doorbell] = doorbells.map(|doorbell| doorbell.during(operation, ""));
        let (doorbell, their_doorbell) = (doorbell?, their_doorbell?);
        let copy = |descriptor: BorrowedFd<'_>| {
            let copy = descriptor.try_clone_to_owned();
            copy.during(operation, "")
        };
        let theirs = [
            copy(file.as_fd())?,
            copy(their_doorbell.as_fd())?,
            copy(doorbell.as_fd())?,
        ];
        let side = Side::Server;
        let rings = Rings {
            region,
            side,
            doorbell,
            their_doorbell,
        };
        Ok((Arc::new(rings), theirs))
    }

    /// Opens the rings that a server has created.
    ///
    /// # Errors
    /// The file can shrink, or is another one.
    pub(in crate::manager) fn open(
        [file, doorbell, their_doorbell]: [OwnedFd; super::DESCRIPTORS],
    ) -> Result<Arc<Rings>> {
        let file = MemFd::from_descriptor(file);
        let seals = file.seals()?;
        if !seals.shrink || file.len()? != LENGTH {
            return Err(Error::new(
                ErrorKind::Untrusted,
                "opening shared memory of manager",
                "",
            ));
        }
        let region = file.map()?;
        let side = Side::Client;
        Ok(Arc::new(Rings {
            region,
            side,
            doorbell,
            their_doorbell,
        }))
    }

    fn ring(&self, reader: Side) -> RawByteRing<'_> {
        let at = if reader == Side::Server { 0 } else { WORDS };
        let word = |line: usize| self.region.bytes().atomic_u64(at + line * LINE);
        RawByteRing {
            written: word(0),
            read: word(1),
            asleep: word(2),
            full: word(3),
        }
    }

    fn bytes(&self, reader: Side) -> SharedBytes<'_> {
        let at = if reader == Side::Server { 0 } else { ROOM };
        self.region.bytes().slice(BYTES + at, ROOM)
    }

    fn other(&self) -> Side {
        match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }

    /// The ring from the other side.
    #[inline]
    pub(in crate::manager) fn incoming(&self) -> RawByteRing<'_> {
        self.ring(self.side)
    }

    pub(super) fn incoming_bytes(&self) -> SharedBytes<'_> {
        self.bytes(self.side)
    }

    /// The ring to the other side.
    #[inline]
    pub(super) fn outgoing(&self) -> RawByteRing<'_> {
        self.ring(self.other())
    }

    pub(super) fn outgoing_bytes(&self) -> SharedBytes<'_> {
        self.bytes(self.other())
    }

    /// Wakes the other side. (If its doorbell cannot be rung any more, it has rung it too often itself.)
    pub(super) fn wake_other(&self) {
        let _ = rustix::io::write(&self.their_doorbell, &1u64.to_ne_bytes());
    }

    pub(in crate::manager) fn doorbell(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }

    /// Has the doorbell silent until it is rung again.
    pub(in crate::manager) fn clear_doorbell(&self) {
        let _ = rustix::io::read(&self.doorbell, &mut [0; 8]);
    }

    /// Where a side says on which processor it runs: behind the flag of the ring that it reads.
    fn processor(&self, side: Side) -> &AtomicU64 {
        let at = if side == Side::Server { 0 } else { WORDS };
        self.region.bytes().atomic_u64(at + 2 * LINE + 8)
    }

    /// Says on which processor this side runs; returns `true` if the other one runs on another.
    #[inline]
    pub(in crate::manager) fn is_beside(&self) -> bool {
        let here = rustix::thread::sched_getcpu() as u64 + 1;
        let ours = self.processor(self.side);
        if ours.load(Ordering::Relaxed) != here {
            ours.store(here, Ordering::Relaxed);
        }
        self.processor(self.other()).load(Ordering::Relaxed) != here
    }

    /// Looks for bytes for a while, if the other side can write them meanwhile.
    pub(in crate::manager) fn look(&self) -> bool {
        let incoming = self.incoming();
        incoming.has_bytes() || self.is_beside() && spin::look_beside(|| incoming.has_bytes())
    }
}
