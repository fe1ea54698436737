//! What a condition variable is asked for: by clients, and by the locks from which callers come to it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// Waits, and goes on at this lock; [`Woken`](super::mutex::Woken).
    Wait { mutex: u64 },
    /// Ends at most so many waits.
    Notify(u64),
}

/// Why a wait at a condition variable ended, if it did not give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::manager) enum Why {
    Notified,
    SomebodyDied,
}
