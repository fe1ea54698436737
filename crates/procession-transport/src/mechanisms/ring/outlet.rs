//! A sender's end.

use super::bytes::Ring;
use super::doorbells::OutletDoorbells;
use super::layout::Layout;
use super::spin::spin;
use crate::lifeline::Lifeline;
use crate::mechanism::Outlet;
use procession::__private::transport::timed_out;
use procession::os::memory::Region;
use procession::{Deadline, Result};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

#[derive(Debug)]
pub(super) struct RingOutlet {
    pub(super) memory: Arc<Region>,
    pub(super) layout: Layout,
    pub(super) doorbells: OutletDoorbells,
    pub(super) may_spin: bool,
    pub(super) lifeline: Lifeline,
    pub(super) sender: usize,
}

impl RingOutlet {
    fn push_all(&self, mut bytes: &[u8], deadline: Deadline) -> Result<()> {
        let ring = Ring::of(&self.memory, self.layout, self.sender);
        let receiver_sleeps = self.memory.bytes().atomic_u32(0);
        while !bytes.is_empty() {
            let length = ring.push(bytes)?;
            bytes = &bytes[length..];
            if length > 0 {
                // SYNC(sleep): either this sees the flag, or the receiver's
                // second look sees the bytes.
                fence(Ordering::SeqCst);
                if receiver_sleeps.load(Ordering::Relaxed) == 1
                    && receiver_sleeps.swap(0, Ordering::Relaxed) == 1
                {
                    self.doorbells.ring_receiver()?;
                }
                continue;
            }
            if spin(self.may_spin, || !ring.is_full().unwrap_or(false)) {
                continue;
            }
            if deadline.has_passed() {
                return Err(timed_out(deadline, "sending", ""));
            }
            ring.wants_room.store(1, Ordering::Relaxed);
            // SYNC(room): either the receiver sees the flag, or this second
            // look sees the room.
            fence(Ordering::SeqCst);
            if ring.is_full()? {
                self.doorbells.wait(&self.lifeline, deadline)?;
            }
        }
        Ok(())
    }
}

impl Outlet for RingOutlet {
    fn max_payload(&self) -> usize {
        1 << 20
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        self.push_all(bytes, deadline)
    }
}
