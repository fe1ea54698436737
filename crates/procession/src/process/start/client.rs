//! Asking the family's server for processes.

use super::entry::{self, Boot, Role};
use super::packet::{self, Kind, Mailbox};
use super::server::{Hello, Prepare, SignalGroup, Start, Work};
use super::settings::Settings;
use crate::codec::{self, Encoded};
use crate::error::Context;
use crate::process::child::reap;
use crate::process::environment::Environment;
use crate::process::task::Hook;
use crate::process::{current, reaper, seal};
use crate::{Deadline, Error, ErrorKind, Result, name, poll};
use procession_sys::process as sys;
use rustix::process::{Pid, PidfdFlags};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How long a server may take to come to life.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a process may wait for the end of its server.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// A way to a server, of one process.
struct Connection {
    owner: Pid,
    mailbox: Mailbox,
    /// Where processes that are executed anew knock at the server.
    knock: OwnedFd,
    /// The server's pidfd, if it is our child.
    server: Option<OwnedFd>,
    /// What the server was started with, if it was by us.
    inherited: Option<Surroundings>,
}

struct State {
    connection: Option<Arc<Connection>>,
    preload: Option<Hook>,
}

static STATE: Mutex<State> = Mutex::new(State {
    connection: None,
    preload: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection of this process, made if there is none, or if its server is
/// gone.
fn connection() -> Result<Arc<Connection>> {
    let mut state = state();
    let owner = rustix::process::getpid();
    if let Some(connection) = &state.connection
        && connection.owner == owner
        // It says nothing after "ready", so news would be its end.
        && !connection.mailbox.has_news()
    {
        return Ok(Arc::clone(connection));
    }
    let task = current::task();
    let connection = match task.as_ref().and_then(|task| task.knock.as_ref()) {
        Some(knock) => knock_at(knock, owner)?,
        None => start_server(owner, state.preload)?,
    };
    let connection = Arc::new(connection);
    state.connection = Some(Arc::clone(&connection));
    Ok(connection)
}

/// What a process is to be like where the server may not be like it already.
pub(crate) struct Surroundings {
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) directory: Option<PathBuf>,
}

impl Surroundings {
    /// The caller's own, with these changes.
    pub(crate) fn of(environment: &Environment, directory: Option<&Path>) -> Result<Surroundings> {
        Ok(Surroundings {
            environment: environment.resolve(),
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

/// Asks the server for a process; a server that was killed is replaced first.
///
/// `ours` is the near end of the mailbox, empty yet: a process that is
/// executed anew finds there what it is to be like.
pub(crate) fn start(
    settings: &Settings,
    surroundings: &Surroundings,
    work: &Work,
    ours: &Mailbox,
    theirs: OwnedFd,
    stdio: [OwnedFd; 3],
    exec_status: Option<OwnedFd>,
) -> Result<()> {
    let connection = connection()?;
    let settings = connection.complete(settings, surroundings);
    let mut descriptors = vec![theirs];
    if let Work::Again { token, .. } = work {
        let prepare = Prepare {
            parent_pid: std::process::id(),
            key: seal::key(),
            // It is executed with its environment.
            settings: Settings {
                environment: None,
                ..settings.clone()
            },
        };
        let knock = connection
            .knock
            .try_clone()
            .during("starting process", "")?;
        let extra = [packet::own_pidfd()?, knock];
        let message = Encoded {
            body: codec::encode(&prepare)?.body,
            descriptors: stdio.into_iter().chain(extra).collect(),
        };
        packet::send(ours.as_fd(), Kind::Prepare, *token, &message, Deadline::NOW)?;
    } else {
        descriptors.extend(stdio);
        descriptors.extend(exec_status);
    }
    let work = work.clone();
    let message = Encoded {
        body: codec::encode(&Start { settings, work })?.body,
        descriptors,
    };
    connection.mailbox.send(Kind::Start, &message)
}

impl Connection {
    /// The settings with what the server is not like already.
    fn complete(&self, settings: &Settings, surroundings: &Surroundings) -> Settings {
        let inherited = self.inherited.as_ref();
        let mut settings = settings.clone();
        if inherited.is_none_or(|has| has.environment != surroundings.environment) {
            settings.environment = Some(surroundings.environment.clone());
        }
        if inherited.is_none_or(|has| has.directory != surroundings.directory) {
            settings.directory.clone_from(&surroundings.directory);
        }
        settings
    }
}

/// Asks for a signal to the group that a process leads.
pub(crate) fn signal_group(pid: u32, signal: i32) -> Result<()> {
    let message = codec::encode(&SignalGroup { pid, signal })?;
    connection()?.mailbox.send(Kind::SignalGroup, &message)
}

/// Has the server call a function before it serves.
pub(crate) fn set_preload(hook: Hook) -> Result<()> {
    let mut state = state();
    let owner = rustix::process::getpid();
    let serving = |connection: &Arc<Connection>| connection.owner == owner;
    if state.connection.as_ref().is_some_and(serving) || current::task().is_some() {
        return Err(Error::new(ErrorKind::Busy, "preloading", "")
            .because("the server has been started already"));
    }
    state.preload = Some(hook);
    Ok(())
}

/// Becomes a client of the server that made this process.
fn knock_at(knock: &Mailbox, owner: Pid) -> Result<Connection> {
    let (mailbox, theirs) = packet::pair()?;
    let pid = owner.as_raw_nonzero().get().cast_unsigned();
    let hello = Hello {
        pid,
        key: None,
        preload: None,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![theirs, packet::own_pidfd()?],
    };
    knock.send(Kind::Knock, &message)?;
    let copy = knock.as_fd().try_clone_to_owned();
    Ok(Connection {
        owner,
        mailbox,
        knock: copy.during("knocking at server", "")?,
        server: None,
        inherited: None,
    })
}

/// Executes this program anew as a server.
fn start_server(owner: Pid, preload: Option<Hook>) -> Result<Connection> {
    let operation = "starting server";
    entry::require_entry()?;
    let (mut mailbox, theirs) = packet::pair()?;
    let token = name::random_bytes()?;
    let pid = owner.as_raw_nonzero().get().cast_unsigned();
    let hello = Hello {
        pid,
        key: Some(seal::key()),
        preload,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![packet::own_pidfd()?],
    };
    // Before the server exists, so that it finds the token.
    packet::send(mailbox.as_fd(), Kind::Hello, token, &message, Deadline::NOW)?;
    let role = Role::Server;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let title = format!("{} [procession server]", program.to_string_lossy());
    let inherited = Surroundings::of(&Environment::default(), None)?;
    // Nothing here needs code between fork and exec, so std can use vfork,
    // which costs the same in a process with much memory.
    let mut spawned = Command::new("/proc/self/exe")
        .arg0(title)
        .args(words)
        .env(entry::VARIABLE, Boot { role, token }.to_string())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .during(operation, "/proc/self/exe")?;
    let child = Pid::from_child(&spawned);
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty());
    let held = pidfd.during(operation, child).and_then(|pidfd| {
        let watched = pidfd.try_clone().during(operation, child)?;
        Ok((pidfd, watched))
    });
    let (pidfd, watched) = held.inspect_err(|_| {
        // Nobody else is going to reap it.
        let _ = spawned.kill();
        let _ = spawned.wait();
    })?;
    reaper::adopt(pidfd);
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        // If it cannot be had, the server ends a little later than we do.
        let _ = sys::at_exit(end_server);
    });
    let begun = match mailbox.receive(Deadline::after(SERVER_PATIENCE)) {
        Ok(Some(packet)) if packet.kind == Kind::Booted => mailbox.receive(Deadline::NEVER),
        outcome => outcome,
    };
    let error = match begun {
        Ok(Some(mut packet)) if packet.kind == Kind::Ready && packet.descriptors.len() == 1 => {
            return Ok(Connection {
                owner,
                mailbox,
                knock: packet.descriptors.remove(0),
                server: Some(watched),
                inherited: Some(inherited),
            });
        }
        Ok(Some(packet)) if packet.kind == Kind::Failed => {
            codec::decode(&packet.body, Vec::new()).unwrap_or_else(|error| error)
        }
        Ok(Some(_)) => Error::new(ErrorKind::Corrupt, operation, child),
        Ok(None) => Error::new(ErrorKind::ProcessDied, operation, child)
            .because("it ended before it served"),
        Err(error) => error.about(child),
    };
    // It may be doing something else entirely.
    let _ = procession_sys::signal::send(watched.as_fd(), crate::signal::Signal::KILL.as_raw());
    Err(error)
}

/// At the end of the process: has the server kill what is below it, and waits
/// for it, so that nothing is left when we are gone.
pub(crate) extern "C" fn end_server() {
    // Another thread that is just starting a process loses it a little later.
    let Ok(mut state) = STATE.try_lock() else {
        return;
    };
    let owner = rustix::process::getpid();
    // A forked copy is its parent's.
    let Some(connection) = state.connection.take_if(|it| it.owner == owner) else {
        return;
    };
    drop(state);
    if let Some(server) = &connection.server {
        // Forked copies of the socket do not matter to that.
        let _ = rustix::net::shutdown(&connection.mailbox, rustix::net::Shutdown::Both);
        let _ = poll::readable(server, Deadline::after(END_PATIENCE));
        let _ = reap(server.as_fd());
    }
}
