//! How a task's process comes into being.

use crate::{Error, ErrorKind, Result};

/// How a task's process comes into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum StartMethod {
    /// A copy of the calling process, with all its memory and descriptors;
    /// the argument is not encoded. Refused when the caller has several
    /// threads. Costs more the more memory the caller has.
    Fork,
    /// This program executed anew, by the family's server: nothing is
    /// inherited but what is listed at [`Builder`](super::Builder). Costs what starting the
    /// program costs.
    Spawn,
    /// A copy of the family's server: a process with one thread and little
    /// memory, executed once, when first used. As clean as `Spawn` and almost
    /// as fast as `Fork`, however large the caller.
    #[default]
    ForkServer,
}

impl std::fmt::Display for StartMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            StartMethod::Fork => "fork",
            StartMethod::Spawn => "spawn",
            StartMethod::ForkServer => "forkserver",
        })
    }
}

impl std::str::FromStr for StartMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<StartMethod> {
        [
            StartMethod::Fork,
            StartMethod::Spawn,
            StartMethod::ForkServer,
        ]
        .into_iter()
        .find(|method| method.to_string() == text)
        .ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "choosing start method", text)
                .because("there are fork, spawn and forkserver")
        })
    }
}
