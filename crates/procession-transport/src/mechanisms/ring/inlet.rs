//! The receiver's end.

use super::bytes::Ring;
use super::doorbells::Doorbells;
use super::layout::Layout;
use super::spin::spin;
use crate::inbox::Inbox;
use crate::lifeline::Held;
use crate::mechanism::Inlet;
use procession::os::memory::Region;
use procession::{Deadline, Result};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

#[derive(Debug)]
pub(super) struct RingInlet {
    pub(super) memory: Arc<Region>,
    pub(super) layout: Layout,
    pub(super) doorbells: Doorbells,
    pub(super) may_spin: bool,
    pub(super) _held: Held,
    pub(super) buffer: Vec<u8>,
}

impl RingInlet {
    fn ring(&self, sender: usize) -> Ring<'_> {
        Ring::of(&self.memory, self.layout, sender)
    }

    fn has_bytes(&self) -> bool {
        (0..self.layout.senders).any(|sender| !self.ring(sender).is_empty())
    }

    fn read(&mut self, sender: usize, inbox: &mut Inbox) -> Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let ring = self.ring(sender);
        let length = ring.pop(&mut buffer)?;
        if length > 0 {
            // SYNC(room): either this sees the flag, or the sender's second
            // look sees the room.
            fence(Ordering::SeqCst);
            if ring.wants_room.load(Ordering::Relaxed) == 1
                && ring.wants_room.swap(0, Ordering::Relaxed) == 1
            {
                self.doorbells.ring_sender(sender)?;
            }
            inbox.stream(sender, &buffer[..length]);
        }
        self.buffer = buffer;
        Ok(length > 0)
    }
}

impl Inlet for RingInlet {
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool> {
        let mut progress = false;
        for sender in 0..self.layout.senders {
            progress |= self.read(sender, inbox)?;
        }
        Ok(progress)
    }

    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()> {
        while self.read(sender, inbox)? {}
        Ok(())
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        if spin(self.may_spin, || self.has_bytes()) {
            return Ok(());
        }
        let sleeps = self.memory.bytes().atomic_u32(0);
        sleeps.store(1, Ordering::Relaxed);
        // SYNC(sleep): either a sender sees the flag, or this second look
        // sees its bytes.
        fence(Ordering::SeqCst);
        if !self.has_bytes() {
            self.doorbells.wait_receiver(also, deadline)?;
        }
        sleeps.store(0, Ordering::Relaxed);
        Ok(())
    }
}
