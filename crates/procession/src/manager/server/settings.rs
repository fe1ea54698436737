//! What a server is told when it starts.

use serde::{Deserialize, Serialize};

/// What the process that serves has to know; it may be another one than the process that binds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Settings {
    /// Which server it is: another one at the same address has another number.
    pub(in crate::manager) number: u64,
    pub(in crate::manager) max_clients: usize,
}
