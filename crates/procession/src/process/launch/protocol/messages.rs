//! What is in the packets.

use super::Token;
use crate::process::inherited::InheritedSignals;
use crate::process::launch::credentials::Credentials;
use crate::process::launch::settings::Settings;
use crate::process::task::Hook;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::time::Duration;

/// The first packet to a server; its descriptor is the client's pidfd.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) pid: u32,
    /// The calling thread.
    pub(crate) thread: u32,
    /// The key of the family's [seals](crate::process::task), for a server.
    pub(crate) key: Option<[u64; 2]>,
    /// What the thread that starts the server may do; of others that ask to be clients, the
    /// kernel tells the server with each request.
    pub(crate) credentials: Option<Credentials>,
    /// A function to call before anything is started.
    pub(crate) preload: Option<Hook>,
}

/// Asks for a process. Descriptors: its mailbox; unless this program is
/// executed anew, standard input, output and error; for another program one
/// more, which its exec closes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Which thread of the sender asks: credentials are those of threads.
    pub(crate) thread: u32,
    pub(crate) settings: Settings,
    pub(crate) work: Work,
}

/// What the process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The call in its mailbox, at once.
    Call,
    /// Execute this program anew, for what is in its mailbox.
    Reexecute {
        token: Token,
        /// How long `main` may take to come to `init`, if it does.
        main_timeout: Option<Duration>,
    },
    /// Execute another program.
    Program {
        program: OsString,
        /// Its argument zero; its name, unless it is to have another.
        arg0: Option<OsString>,
        arguments: Vec<OsString>,
        /// What the descriptors behind the others are to be called.
        numbers: Vec<RawFd>,
        /// As the caller wants them; else as the family began.
        signals: Option<InheritedSignals>,
    },
}

/// What a process that was executed anew finds first in its mailbox: what it
/// is to be like. Descriptors: standard input, output and error, its parent's
/// pidfd, and where to ask to be a client of the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prepare {
    pub(crate) settings: Settings,
    pub(crate) parent_pid: u32,
    /// The key of the family's [seals](crate::process::task).
    pub(crate) key: [u64; 2],
}

/// How a process ended, as the server tells its client.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    /// By SIGKILL, when its deadline had passed.
    pub(crate) timed_out: bool,
    /// By SIGKILL, and the kernel's count of processes killed for want of
    /// memory had gone up.
    pub(crate) out_of_memory: bool,
    /// When the server reaped it, in nanoseconds of the monotonic clock.
    pub(crate) at: u64,
}

/// Asks for a signal to one of the client's processes, or to the group that it leads.
/// Its descriptor is where the answer goes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SendSignal {
    pub(crate) pid: u32,
    pub(crate) signal: i32,
    pub(crate) to_group: bool,
}
