//! What a sender needs, on its way to the sender's process.

use super::doorbells::OutletDoorbells;
use super::layout::Layout;
use super::outlet::RingOutlet;
use crate::lifeline::Lifeline;
use crate::mechanism::{Outlet, Route};
use procession::__private::transport::Context;
use procession::os::eventfd::EventFd;
use procession::os::memory::Region;
use procession::os::posix::Semaphore;
use procession::os::sysv::{self, SemaphoreSet};
use procession::{Handle, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// What a sender needs: the memory, and the way to wake the receiver and to be
/// woken.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct RingRoute {
    pub(super) object: ObjectRoute,
    pub(super) layout: Layout,
    pub(super) may_spin: bool,
    pub(super) lifeline: Lifeline,
    pub(super) sender: usize,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum ObjectRoute {
    Posix(Handle<OwnedFd>),
    Sysv(sysv::SharedMemory, SemaphoreSet),
    File(Handle<OwnedFd>, SenderDoorbells),
}

/// Event counters of the receiver and of one sender.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct SenderDoorbells {
    pub(super) receiver: EventFd,
    pub(super) sender: EventFd,
}

impl Route for RingRoute {
    fn open(self) -> Result<Box<dyn Outlet>> {
        let RingRoute {
            object,
            layout,
            may_spin,
            lifeline,
            sender,
        } = self;
        let map = |descriptor: &OwnedFd| {
            let memory = Region::map(descriptor.as_fd(), layout.bytes(), true);
            memory.map(Arc::new).during("mapping shared ring", "")
        };
        let (memory, doorbells) = match object {
            ObjectRoute::Posix(descriptor) => {
                let memory = map(&descriptor)?;
                let at =
                    |number| Semaphore::attach_in(Arc::clone(&memory), layout.semaphore(number));
                let doorbells = OutletDoorbells::Posix {
                    receiver: at(0)?,
                    sender: at(sender + 1)?,
                };
                (memory, doorbells)
            }
            ObjectRoute::Sysv(segment, set) => {
                let memory = Arc::clone(segment.attach()?.region());
                (memory, OutletDoorbells::Sysv { set, sender })
            }
            ObjectRoute::File(descriptor, SenderDoorbells { receiver, sender }) => (
                map(&descriptor)?,
                OutletDoorbells::Events { receiver, sender },
            ),
        };
        Ok(Box::new(RingOutlet {
            memory,
            layout,
            doorbells,
            may_spin,
            lifeline,
            sender,
        }))
    }
}
