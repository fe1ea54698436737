//! What there is to know about a mechanism.

use procession::limits::Limit;
use std::fmt;

/// Whether the mechanism keeps the boundaries of what is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// Bytes in a row: whoever reads them finds the boundaries.
    Stream,
    /// Messages.
    Messages,
}

impl fmt::Display for Boundaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Boundaries::Stream => "stream",
            Boundaries::Messages => "messages",
        })
    }
}

/// How long the mechanism's object lives if nobody removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as a process has it.
    Process,
    /// Until the machine restarts.
    Kernel,
    /// Until it is deleted from the file system.
    FileSystem,
    /// As long as the server keeps it.
    Server,
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Lifetime::Process => "process",
            Lifetime::Kernel => "kernel",
            Lifetime::FileSystem => "file system",
            Lifetime::Server => "server",
        })
    }
}

/// What the kernel's mechanism is like, before this library makes them alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facts {
    /// Whether it keeps boundaries.
    pub boundaries: Boundaries,
    /// Whether unrelated processes can find it by a name.
    pub named: bool,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// Longest message in bytes that it carries in one piece; `None` for a
    /// stream, which has none. This library cuts longer ones.
    pub largest_message: Option<u64>,
    /// Whether it reaches other hosts. This library binds loopback only.
    pub crosses_hosts: bool,
    /// The limits of the kernel or the process that apply.
    pub limits: Vec<Limit>,
}
