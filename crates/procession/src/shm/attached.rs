//! The objects that this process has.
//!
//! An object is known to the registry by process, so a process has each one
//! once: whoever opens the same name a second time gets a handle of the same
//! object, and its lock knows the caller again.

use super::backing::Identity;
use super::object::{Abandon, Object};
use crate::registry::Caller;
use std::sync::{Arc, Mutex, PoisonError, Weak};

#[derive(Clone)]
struct Attached {
    object: Weak<Object>,
    identity: Identity,
    abandon: Abandon,
}

/// A forked process has its parent's.
static ATTACHED: Mutex<Vec<Attached>> = Mutex::new(Vec::new());

/// Remembers an object.
pub(super) fn remember(object: &Arc<Object>, identity: Identity, abandon: Abandon) {
    let mut attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    if attached.len().is_power_of_two() {
        attached.retain(|attached| attached.object.strong_count() > 0);
    }
    attached.push(Attached {
        object: Arc::downgrade(object),
        identity,
        abandon,
    });
}

/// The object in this memory, if this process has it.
///
/// What is returned may be the last handle by now: it must not be dropped while
/// the directory of names is locked.
pub(super) fn find(identity: Identity) -> Option<Arc<Object>> {
    let attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut same = attached.iter().filter(|it| it.identity == identity);
    same.find_map(|attached| attached.object.upgrade())
}

/// A thread has ended that still held something.
pub(crate) fn abandon_what_thread_holds(number: u16) {
    let attached: Vec<_> = {
        let attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |it: &Attached| Some((it.object.upgrade()?, it.abandon));
        attached.iter().filter_map(live).collect()
    };
    for (object, abandon) in attached {
        if let Some(caller) = Caller::of_thread(object.registry(), number) {
            abandon(&object, &caller);
        }
    }
}
