//! Settings that are the same for all transports.

/// Largest number of senders of one [`FanIn`](crate::FanIn).
pub const MAX_SENDERS: usize = 4096;

/// Options for opening a [`FanIn`](crate::FanIn).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Length of the longest message that the receiver accepts, in bytes; a sender
    /// that announces a longer one is cut off. 1 GiB unless set.
    pub max_message_bytes: u64,
    /// Bytes in shared memory that a sender may be ahead; 64 KiB unless set.
    pub ring_bytes: Option<usize>,
    /// The Redis server to use; a private one unless set.
    pub redis_url: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_message_bytes: 1 << 30,
            ring_bytes: None,
            redis_url: None,
        }
    }
}
