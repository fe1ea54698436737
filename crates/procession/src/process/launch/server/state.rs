//! What the server knows: its clients, their children, and what it is itself.

use super::clients::Clients;
use super::oom_kills::OomKills;
use super::poller::Poller;
use crate::process::launch::attributes::Attributes;
use crate::process::launch::credentials::Credentials;
use crate::process::launch::isolation::Isolation;
use crate::process::launch::protocol::Mailbox;
use crate::process::launch::title::Title;
use crate::signal::Signals;
use procession_sys::vfork::ChildStack;
use rustix::process::Pid;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// All that the server knows.
pub(super) struct Server {
    pub(super) clients: Clients,
    pub(super) children: HashMap<Pid, ChildRecord>,
    /// Where children ask to be clients: our end, and theirs.
    pub(super) admissions: Mailbox,
    pub(super) admission: OwnedFd,
    pub(super) signals: Signals,
    pub(super) poller: Poller,
    /// Signals that the family's first process ignored when it started us,
    /// which programs inherit and tasks do not.
    pub(super) ignored: Vec<i32>,
    pub(super) title: Option<Title>,
    pub(super) oom_kills: OomKills,
    /// For children that execute a program.
    pub(super) stack: ChildStack,
    /// Those of the thread that started the server, at that moment.
    pub(super) client_credentials: Credentials,
    /// The server's own.
    pub(super) attributes: Attributes,
    pub(super) isolation: Isolation,
    /// The first client starts nothing here any more.
    pub(super) is_retired: bool,
}

/// A process that was asked for.
pub(super) struct ChildRecord {
    /// The far end of its client's mailbox, to tell how it ended.
    pub(super) client_mailbox: Mailbox,
    /// Number of its client.
    pub(super) client: u64,
    pub(super) leads_group: bool,
    /// Not a program: its group ends with it.
    pub(super) is_task: bool,
    pub(super) started: Instant,
    pub(super) deadline: Option<Duration>,
}
