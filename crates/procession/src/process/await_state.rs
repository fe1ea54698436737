//! How far a handle is that is being awaited.

use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// What a handle that is being awaited waits for.
#[derive(Debug)]
pub(super) enum AwaitState {
    /// The end of the process.
    End(AsyncFd<OwnedFd>),
    /// The server's word on how it ended.
    Status(AsyncFd<OwnedFd>),
}
