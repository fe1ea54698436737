//! The objects that this process has, each memory once.
//!
//! A word of a lock says which process and which thread holds it, and not by which
//! handle. So there is one [`Object`] for each memory in a process, however often
//! and by whatever way the memory comes: by its name, in messages, as results, to
//! several threads at once. Only then is the end of an object the end of its last
//! handle, and what the process still holds of it held by nobody.
//!
//! Look-up and insertion happen under one lock, and so does the end: it takes an
//! object out of the table when it has given back what was held. Somebody to whom
//! the memory comes meanwhile waits for that, so that nothing is taken by the new
//! object which the end of the old one would give back.
//!
//! The lock of the directory of names, where it is needed, is taken before this one.
//! No object of the table may be dropped while this one is held.

use super::backing::{Identity, Key};
use super::object::Object;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

type Table = BTreeMap<Key, Weak<Object>>;

/// A forked process has its parent's.
static ATTACHED: Mutex<Table> = Mutex::new(BTreeMap::new());

/// An object has been taken out of the table.
static GONE: Condvar = Condvar::new();

fn table() -> MutexGuard<'static, Table> {
    ATTACHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object in this memory: the one that this process has, or else the one that
/// `open` makes of it.
///
/// What is returned may be the last handle by now: it must not be dropped while
/// the directory of names is locked.
pub(super) fn find_or<E>(
    key: Key,
    open: impl FnOnce() -> Result<Object, E>,
) -> Result<Arc<Object>, E> {
    let mut table = table();
    while let Some(known) = table.get(&key) {
        if let Some(object) = known.upgrade() {
            return Ok(object);
        }
        // Its last handle is going at this moment.
        table = GONE.wait(table).unwrap_or_else(PoisonError::into_inner);
    }
    open().map(|object| insert(&mut table, object, key.0))
}

/// Puts an object into the table whose memory nobody else can have yet.
pub(super) fn remember(object: Object, identity: Identity) -> Arc<Object> {
    insert(&mut table(), object, identity)
}

fn insert(table: &mut Table, object: Object, identity: Identity) -> Arc<Object> {
    let object = Arc::new(object.attached_as(identity));
    table.insert((identity, object.header().id), Arc::downgrade(&object));
    object
}

/// Takes an object out of the table whose last handle has gone, and gives back by
/// `abandon` what this process holds of it.
pub(super) fn forget(object: &Object, identity: Identity, abandon: impl FnOnce()) {
    let mut table = table();
    let is_it = |known: &Weak<Object>| std::ptr::eq(known.as_ptr(), object);
    let key = (identity, object.header().id);
    if table.get(&key).is_some_and(is_it) {
        table.remove(&key);
    }
    // Still with the lock in hand: nobody finds that the object is gone before.
    abandon();
    GONE.notify_all();
}

/// All objects of this process. None of them may be dropped while the directory of
/// names is locked.
pub(super) fn all() -> Vec<Arc<Object>> {
    table().values().filter_map(Weak::upgrade).collect()
}
