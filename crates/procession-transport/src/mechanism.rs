//! What a mechanism has to provide. A channel becomes an outlet in each sender's
//! process and an inlet in the receiver's.

use crate::facts::Facts;
use crate::inbox::Inbox;
use crate::options::Options;
use procession::{Deadline, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::os::fd::BorrowedFd;

/// An entry of the table of transports.
pub(crate) trait Mechanism {
    /// The name that the command line and tables use.
    const NAME: &'static str;

    type Channel: Channel;

    /// Describes the mechanism, with the limits as they are now.
    fn facts() -> Facts;

    /// Makes a channel with all its ends.
    fn open(senders: usize, options: &Options) -> Result<Self::Channel>;
}

/// An open mechanism with all its ends in one process.
pub(crate) trait Channel: fmt::Debug {
    type Route: Route;

    /// Returns what sender `sender` needs, in whatever process it is.
    fn route(&self, sender: usize) -> Result<Self::Route>;

    /// Keeps the receiver's ends and closes the others.
    fn into_inlet(self) -> Result<Box<dyn Inlet>>;
}

/// What a sender needs, on its way to the sender's process.
pub(crate) trait Route: fmt::Debug + Serialize + DeserializeOwned {
    /// Becomes the sender's end.
    fn open(self) -> Result<Box<dyn Outlet>>;
}

/// Where a sender's frames go.
pub(crate) trait Outlet: fmt::Debug {
    /// Returns the length of the longest payload of one frame in bytes, at least 1.
    fn max_payload(&self) -> usize;

    /// Returns `true` if a frame may come in pieces; else each `put` is a whole frame.
    fn is_stream(&self) -> bool {
        false
    }

    /// Sends a frame, or a piece of one, waiting for room until `deadline`.
    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()>;

    /// Waits until everything sent so far outlives this process.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Where the frames of all senders come from.
pub(crate) trait Inlet: fmt::Debug {
    /// Takes what is there without waiting; returns `true` if there was anything.
    /// `wait` may be called only after this has returned `false`.
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool>;

    /// Takes everything that the dead sender `sender` has left.
    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()>;

    /// Waits until something may be there, one of `also` is readable, or `deadline`
    /// has passed; may return early.
    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()>;
}
