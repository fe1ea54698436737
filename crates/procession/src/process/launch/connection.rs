//! A way to a server.

use super::attributes::{self, Adjustable, Attributes};
use super::protocol::{self, Kind, Mailbox};
use super::protocol::{SendSignal, Start, Work};
use super::settings::Settings;
use super::thread_status;
use crate::codec::{self, Encoded};
use crate::error::Context;
use crate::process::environment::Environment;
use crate::process::wait::reap;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a server may take to say what it has.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// A way to a server, of one process.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) mailbox: Mailbox,
    /// Where processes that the server makes ask to be its clients.
    pub(super) admission: OwnedFd,
    /// The server's pidfd, if it is our child.
    pub(super) server: Option<OwnedFd>,
    /// Those of the thread that started it, or its own.
    pub(super) attributes: Attributes,
    /// The process id of the server, if the thread that came to it might look into it.
    pub(super) number: Option<u32>,
    /// The thread that started it; nobody, where it was there before.
    pub(super) started_by: Option<u64>,
    /// It serves that thread alone, which may be confined where others are not.
    pub(super) is_private: AtomicBool,
    /// Those that its children have unless they are told otherwise.
    pub(super) adjustable: Adjustable,
    /// What the server was started with, if it was by us.
    pub(super) inherited: Option<Surroundings>,
}

/// What a process is to be like where the server may not be like it already.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) directory: Option<PathBuf>,
}

impl Surroundings {
    /// The caller's own, with these changes.
    pub(crate) fn of(environment: &Environment, directory: Option<&Path>) -> Result<Surroundings> {
        Ok(Surroundings {
            environment: environment.resolve()?,
            directory: match directory {
                Some(directory) => {
                    let absolute = std::path::absolute(directory);
                    Some(absolute.during("finding directory", directory.display())?)
                }
                None => std::env::current_dir().ok(),
            },
        })
    }
}

/// The thread id of the calling thread.
pub(super) fn thread_id() -> u32 {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    thread.cast_unsigned()
}

impl Connection {
    /// Returns `true` if it leads to somebody.
    pub(super) fn is_alive(&self) -> bool {
        // The server says nothing after "ready", so news would be its end.
        !self.mailbox.has_news()
    }

    /// Returns `true` if the server is confined no less than the calling thread. The kernel
    /// shows Landlock's rules to no process, but a thread below such rules may not look into
    /// a process that is not.
    pub(super) fn is_in_sight(&self) -> bool {
        self.number.is_none_or(thread_status::may_inspect)
    }

    /// Returns `true` if it may serve the calling thread.
    pub(super) fn is_for_this_thread(&self) -> bool {
        !self.is_private.load(Ordering::Relaxed)
            || self.started_by == Some(attributes::thread_key())
    }

    /// Leaves it to the thread that started it: it has refused another thread, which it may
    /// not look at.
    pub(crate) fn make_private(&self) {
        self.is_private.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if it ends before the deadline.
    pub(crate) fn ends_by(&self, deadline: Deadline) -> bool {
        poll::readable(&self.mailbox, deadline).is_ok()
    }

    /// Returns the settings with all that the server does not have already.
    pub(super) fn complete(
        &self,
        settings: &Settings,
        surroundings: &Surroundings,
        attributes: &Attributes,
    ) -> Settings {
        let inherited = self.inherited.as_ref();
        let mut settings = settings.clone();
        settings.caller = attributes.adjustable.adjustments_from(&self.adjustable);
        if inherited.is_none_or(|has| has.environment != surroundings.environment) {
            settings.environment = Some(surroundings.environment.clone());
        }
        if inherited.is_none_or(|has| has.directory != surroundings.directory) {
            settings.directory.clone_from(&surroundings.directory);
        }
        settings
    }

    /// Asks for a process.
    pub(super) fn start(
        &self,
        settings: Settings,
        work: Work,
        descriptors: Vec<OwnedFd>,
    ) -> Result<()> {
        let start = Start {
            thread: thread_id(),
            settings,
            work,
        };
        let message = Encoded {
            body: codec::encode(&start)?.body,
            descriptors,
        };
        self.mailbox.send(Kind::Start, &message)
    }

    /// Has the server send a signal to a process of ours, or to the group that it
    /// leads: by number, which is the process's until the server has reaped it.
    pub(crate) fn signal(&self, pid: u32, signal: i32, to_group: bool) -> Result<()> {
        let (mut reply, theirs) = protocol::pair()?;
        let wanted = SendSignal {
            pid,
            signal,
            to_group,
        };
        let message = Encoded {
            body: codec::encode(&wanted)?.body,
            descriptors: vec![theirs],
        };
        self.mailbox.send(Kind::Signal, &message)?;
        drop(message);
        match reply.receive(Deadline::NEVER)? {
            Some(packet) if packet.kind == Kind::Signalled => Ok(()),
            Some(packet) if packet.kind == Kind::Failed => {
                Err(codec::decode(&packet.body, Vec::new())?)
            }
            _ => Err(
                Error::new(ErrorKind::ProcessDied, "signalling process", pid)
                    .because("the server that started it was killed, and the process with it"),
            ),
        }
    }

    /// The processes that the server has started for us and not reaped yet.
    pub(super) fn children(&self) -> Result<Vec<u32>> {
        let (mut reply, theirs) = protocol::pair()?;
        self.mailbox
            .send(Kind::List, &Encoded::only(vec![theirs]))?;
        match reply.receive(LIST_TIMEOUT.into())? {
            Some(packet) if packet.kind == Kind::Listed => codec::decode(&packet.body, Vec::new()),
            // It is dead, and so are they.
            _ => Ok(Vec::new()),
        }
    }

    /// Has the server end when the last of its processes has.
    pub(super) fn retire(&self) {
        // If it is gone, so much the better.
        let _ = self.mailbox.send_word(Kind::Retire);
    }

    /// Has the server end with all of its processes.
    pub(super) fn end(&self) {
        // Forked copies of the socket do not matter to that.
        let _ = rustix::net::shutdown(&self.mailbox, rustix::net::Shutdown::Both);
    }

    /// Waits for that, if the server is our child.
    pub(super) fn await_end(&self, deadline: Deadline) {
        if let Some(server) = &self.server {
            let _ = poll::readable(server, deadline);
            let _ = reap(server.as_fd());
        }
    }
}
