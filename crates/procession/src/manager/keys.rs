//! The keys of this process. Proxies carry the id of a key and never the key: the process that decodes a proxy of a manager on
//! another host finds the key here.

use crate::channel::Key;
use std::sync::{Mutex, PoisonError};

/// What names a key: eight bytes of its hash.
pub(super) type KeyId = [u8; 8];

static KEYS: Mutex<Vec<(KeyId, Key)>> = Mutex::new(Vec::new());

/// Keeps a key for proxies that will arrive; returns its id.
pub(super) fn remember(key: &Key) -> KeyId {
    let id = key.id();
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    if !keys.iter().any(|(known, _)| *known == id) {
        keys.push((id, key.clone()));
    }
    id
}

/// The key with an id, if this process has it.
pub(super) fn find(id: KeyId) -> Option<Key> {
    let keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = keys.iter().find(|(known, _)| *known == id);
    found.map(|(_, key)| key.clone())
}
