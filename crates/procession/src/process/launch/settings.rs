//! What a process is given at its start, beside its work.

use super::attributes::{self, Adjustments};
use crate::error::Context;
use crate::process::task::Hook;
use crate::{Error, ErrorKind, Result, limits};
use procession_sys::process as sys;
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// Which processes a signal for the whole family of a child reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Group {
    /// The child stays in its parent's process group.
    Parents,
    /// The child leads a process group of its own.
    Own,
    /// The child leads a session of its own, without a terminal.
    Session,
}

/// Settings that travel to where the process is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// What the caller is like and the server is not; what is set comes after it.
    pub(crate) caller: Adjustments,
    /// The whole environment; `None` where it is the server's.
    pub(crate) environment: Option<Vec<(OsString, OsString)>>,
    /// `None` where it is the server's.
    pub(crate) directory: Option<PathBuf>,
    /// Resource, soft and hard limit.
    pub(crate) limits: Vec<(LimitedResource, Option<u64>, Option<u64>)>,
    pub(crate) niceness: Option<i32>,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) group: Group,
    pub(crate) user: Option<u32>,
    pub(crate) user_group: Option<u32>,
    /// The kernel kills the process when this much time has passed.
    pub(crate) deadline: Option<Duration>,
    /// Offset of a function to call before the work.
    pub(crate) hook: Option<Hook>,
}

impl Settings {
    pub(crate) fn new() -> Settings {
        Settings {
            name: String::new(),
            caller: Adjustments::default(),
            environment: None,
            directory: None,
            limits: Vec::new(),
            niceness: None,
            cpus: None,
            group: Group::Parents,
            user: None,
            user_group: None,
            deadline: None,
            hook: None,
        }
    }
}

macro_rules! resources {
    ($($(#[$doc:meta])* $name:ident => $resource:ident;)*) => {
        /// A resource that the kernel bounds for each process (getrlimit(2)).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum LimitedResource {
            $($(#[$doc])* $name,)*
        }

        impl LimitedResource {
            fn resource(self) -> Resource {
                match self {
                    $(LimitedResource::$name => Resource::$resource,)*
                }
            }
        }
    };
}

resources! {
    /// Address space in bytes (`RLIMIT_AS`).
    AddressSpace => As;
    /// Size of a core dump in bytes (`RLIMIT_CORE`).
    CoreDump => Core;
    /// Processor time in seconds (`RLIMIT_CPU`): SIGXCPU at the soft limit,
    /// SIGKILL at the hard one.
    CpuTime => Cpu;
    /// Private writable memory in bytes (`RLIMIT_DATA`).
    Data => Data;
    /// Size of a file in bytes (`RLIMIT_FSIZE`).
    FileSize => Fsize;
    /// Bytes that may be locked into memory (`RLIMIT_MEMLOCK`).
    LockedMemory => Memlock;
    /// Bytes in POSIX message queues (`RLIMIT_MSGQUEUE`).
    MessageQueues => Msgqueue;
    /// Descriptors (`RLIMIT_NOFILE`).
    OpenFiles => Nofile;
    /// Processes and threads of the user (`RLIMIT_NPROC`).
    Processes => Nproc;
    /// Size of the main stack in bytes (`RLIMIT_STACK`).
    Stack => Stack;
}

/// Applies the settings to the calling process, which is new, has one thread
/// and nothing to lose: what fails makes the start fail.
///
/// The environment is the caller's affair: a process that will exec passes it
/// there.
pub(crate) fn apply(settings: &Settings) -> Result<()> {
    let object = &settings.name;
    set_name(object);
    match settings.group {
        Group::Parents => {}
        Group::Own => rustix::process::setpgid(None, None).during("making group of", object)?,
        Group::Session => {
            rustix::process::setsid().during("making session of", object)?;
        }
    }
    if let Some(directory) = &settings.directory {
        rustix::process::chdir(directory).during("entering directory", directory.display())?;
    }
    settings.caller.apply()?;
    for &(resource, current, maximum) in &settings.limits {
        let limit = Rlimit { current, maximum };
        rustix::process::setrlimit(resource.resource(), limit)
            .during("setting limit", format!("{resource:?}"))?;
    }
    if let Some(niceness) = settings.niceness {
        rustix::process::setpriority_process(None, niceness)
            .during("setting niceness", niceness)?;
    }
    if let Some(cpus) = &settings.cpus {
        attributes::bind(cpus)?;
    }
    if settings.user.is_some() || settings.user_group.is_some() {
        sys::become_user(settings.user, settings.user_group).map_err(|errno| {
            let who = (settings.user, settings.user_group);
            let error = Error::os("becoming user and group", format!("{who:?}"), errno);
            match errno {
                procession_sys::Errno::AGAIN => error
                    .of_kind(ErrorKind::LimitReached)
                    .with_hint(limits::processes().hint()),
                _ => error,
            }
        })?;
    }
    if let Some(deadline) = settings.deadline {
        let timer = sys::Timer::start(crate::signal::Signal::KILL.as_raw(), deadline)
            .during("starting the timer of", object)?;
        // It is for the life of the process.
        std::mem::forget(timer);
    }
    Ok(())
}

/// Makes these the standard streams of the calling process.
pub(crate) fn set_stdio(stdio: &[OwnedFd; 3]) -> Result<()> {
    let operation = "setting standard streams";
    rustix::stdio::dup2_stdin(&stdio[0]).during(operation, "")?;
    rustix::stdio::dup2_stdout(&stdio[1]).during(operation, "")?;
    rustix::stdio::dup2_stderr(&stdio[2]).during(operation, "")
}

/// Names the calling thread, which is the main one, for `ps` and `top`.
fn set_name(name: &str) {
    let bytes: Vec<u8> = name.bytes().filter(|byte| *byte != 0).take(15).collect();
    if let Ok(name) = CString::new(bytes) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// A descriptor for one of the standard three of the calling process, which may be
/// closed.
pub(crate) fn own_stream(number: usize) -> Result<OwnedFd> {
    let copied = match number {
        0 => std::io::stdin().as_fd().try_clone_to_owned(),
        1 => std::io::stdout().as_fd().try_clone_to_owned(),
        _ => std::io::stderr().as_fd().try_clone_to_owned(),
    };
    match copied {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => {
            null()
        }
        outcome => outcome.during("copying standard stream", ""),
    }
}

/// Opens the null device for standard streams that are closed, as the runtime
/// does before `main`: nothing else is to get their numbers.
pub(crate) fn fill_stdio() -> Result<()> {
    use std::os::fd::{AsRawFd, IntoRawFd};
    loop {
        let lowest = null()?;
        if lowest.as_raw_fd() > 2 {
            return Ok(());
        }
        rustix::io::fcntl_setfd(&lowest, rustix::io::FdFlags::empty())
            .during("opening standard stream", "")?;
        // It is the standard stream from now on.
        let _ = lowest.into_raw_fd();
    }
}

/// The null device, for reading and writing.
pub(crate) fn null() -> Result<OwnedFd> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null");
    Ok(file.during("opening", "/dev/null")?.into())
}
