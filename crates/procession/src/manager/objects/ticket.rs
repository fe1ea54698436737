//! A call that a thread of the manager makes for a client.

use super::object::{Caller, SessionId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A call that waits for a thread or runs.
#[derive(Debug)]
pub(in crate::manager) struct Ticket {
    pub(super) caller: Caller,
    /// It was answered, or nobody is there to answer any more.
    is_closed: AtomicBool,
}

impl Ticket {
    pub(super) fn new(caller: Caller) -> Arc<Ticket> {
        Arc::new(Ticket {
            caller,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Returns `true` to the one that may answer the call.
    pub(super) fn close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::AcqRel)
    }

    pub(in crate::manager) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(in crate::manager) fn session(&self) -> SessionId {
        self.caller.session
    }

    pub(super) fn is_of(&self, session: SessionId, call: u64) -> bool {
        (self.caller.session, self.caller.call) == (session, Some(call))
    }
}

thread_local! {
    static CURRENT: crate::thread_slot::Slot<Arc<Ticket>> = const { crate::thread_slot::Slot::new() };
}

/// Returns the call that this thread makes, if it makes one.
pub(in crate::manager) fn current() -> Option<Arc<Ticket>> {
    CURRENT.with(|slot| slot.with(|ticket| ticket.map(|ticket| Arc::clone(ticket))))
}

/// Calls `code` as the thread that makes the call.
pub(super) fn within<R>(ticket: &Arc<Ticket>, code: impl FnOnce() -> R) -> R {
    CURRENT.with(|slot| slot.replace(Some(Arc::clone(ticket))));
    let result = code();
    CURRENT.with(|slot| slot.take());
    result
}
