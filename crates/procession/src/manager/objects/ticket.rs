//! A call that a thread of the manager makes for a client.

use super::object::{Caller, SessionId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// It has not begun.
const WAITS: u8 = 0;
const RUNS: u8 = 1;
/// It was answered, or nobody is there to answer any more.
const CLOSED: u8 = 2;

/// How far a call was when its answer was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    BeforeItBegan,
    WhileItRuns,
    /// It was decided already.
    Before,
}

/// A call that waits for a thread or runs.
#[derive(Debug)]
pub(in crate::manager) struct Ticket {
    pub(super) caller: Caller,
    stage: AtomicU8,
}

impl Ticket {
    pub(super) fn new(caller: Caller) -> Arc<Ticket> {
        Arc::new(Ticket {
            caller,
            stage: AtomicU8::new(WAITS),
        })
    }

    /// Returns `true` if the method is to be called: somebody waits for the result.
    pub(super) fn begin(&self) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        let begun = self.stage.compare_exchange(WAITS, RUNS, success, failure);
        begun.is_ok()
    }

    /// Leaves the answer to the caller of this function. Returns how far the call was.
    pub(super) fn close(&self) -> Closed {
        match self.stage.swap(CLOSED, Ordering::AcqRel) {
            WAITS => Closed::BeforeItBegan,
            RUNS => Closed::WhileItRuns,
            _ => Closed::Before,
        }
    }

    pub(in crate::manager) fn is_closed(&self) -> bool {
        self.stage.load(Ordering::Acquire) == CLOSED
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
