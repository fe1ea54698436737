//! Connecting to a server: to the one that made this process, or to a new one.

use super::attributes::{self, Attributes};
use super::connection::{Connection, Surroundings, thread_id};
use super::protocol::{self, Hello, Kind, Mailbox};
use super::reexec::{self, Boot, Role};
use super::thread_status::{self, ThreadStatus};
use crate::codec::{self, Encoded};
use crate::error::Context;
use crate::process::environment::Environment;
use crate::process::task::Hook;
use crate::process::{pidfd, reaper, task};
use crate::{Deadline, Error, ErrorKind, Result, name};
use procession_sys::credentials;
use rustix::process::Pid;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a server may take to come to life.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A function that servers call before they serve.
static PRELOAD: Mutex<Option<Hook>> = Mutex::new(None);

/// Has servers that are started from now on call a function first.
pub(super) fn preload(hook: Hook) {
    *PRELOAD.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
}

/// Becomes a client of the server that made this process, unless one of the two cannot
/// see where the other is.
pub(super) fn request_admission(admission: &Mailbox) -> Result<Option<Connection>> {
    let operation = "asking for admission to server";
    let (mut mailbox, theirs) = protocol::pair()?;
    let hello = Hello {
        pid: std::process::id(),
        thread: thread_id(),
        key: None,
        credentials: None,
        preload: None,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![theirs, pidfd::open_own()?],
    };
    admission.send(Kind::Admit, &message)?;
    drop(message);
    let ready = match mailbox.receive(Deadline::NEVER)? {
        Some(packet) if packet.kind == Kind::Ready => packet,
        Some(packet) if packet.kind == Kind::Failed => {
            return match codec::decode(&packet.body, Vec::new())? {
                // It could not look, which says nothing about us.
                Some(error) => Err(error),
                None => Ok(None),
            };
        }
        _ => {
            return Err(Error::new(ErrorKind::ProcessDied, operation, "")
                .because("the server was killed, or has no descriptor left"));
        }
    };
    let (mut attributes, number): (Attributes, u32) = codec::decode(&ready.body, Vec::new())?;
    attributes.require_visibility();
    if !thread_status::may_inspect(number) {
        return Ok(None);
    }
    let copy = admission.as_fd().try_clone_to_owned();
    Ok(Some(Connection {
        mailbox,
        admission: copy.during(operation, "")?,
        server: None,
        number: Some(number),
        started_by: None,
        is_private: AtomicBool::new(false),
        adjustable: attributes.adjustable.clone(),
        attributes,
        inherited: None,
    }))
}

/// Executes this program anew as a server.
pub(super) fn start_server(attributes: &Attributes) -> Result<Connection> {
    let operation = "starting server";
    reexec::require_entry()?;
    if !ThreadStatus::own()?.has_children_beside_itself()? {
        return Err(Error::new(ErrorKind::Unsupported, operation, "")
            .because("children of this process are in another namespace of pids than itself")
            .with_hint("fork first (`process::fork`), and start processes in the child"));
    }
    let (mut mailbox, theirs) = protocol::pair()?;
    let token = name::random_bytes()?;
    // Held by nobody, unless this is a forked copy, whose parent was setting it.
    let preload = PRELOAD.try_lock().ok().and_then(|preload| *preload);
    let hello = Hello {
        pid: std::process::id(),
        thread: thread_id(),
        key: Some(task::family_key()),
        credentials: Some(attributes.credentials.clone()),
        preload,
    };
    let message = Encoded {
        body: codec::encode(&hello)?.body,
        descriptors: vec![pidfd::open_own()?],
    };
    // Before the server exists, so that it finds the token.
    protocol::send(mailbox.as_fd(), Kind::Hello, token, &message, Deadline::NOW)?;
    let role = Role::Server;
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let title = format!("{} [procession server]", program.to_string_lossy());
    let inherited = Surroundings::of(&Environment::default(), None)?;
    // Nothing here needs code between fork and exec, so std can use vfork,
    // which costs the same in a process with much memory.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is the server, which ends with the family"
    )]
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(title)
        .args(words)
        .env(reexec::VARIABLE, Boot { role, token }.to_string())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null());
    let credentials = &attributes.credentials;
    if !credentials.are_of_one_user() {
        if (credentials.users[3], credentials.groups[3])
            != (credentials.users[1], credentials.groups[1])
        {
            return Err(Error::new(ErrorKind::Unsupported, operation, "")
                .because("the calling thread uses files as another user than it is")
                .with_hint("set the user for files (setfsuid) after starting processes"));
        }
        // Wholly: the kernel takes programs of half a user for set-user-ID ones.
        credentials::become_effective(&mut command);
    }
    let spawned = reexec::spawn(&mut command).during(operation, "/proc/self/exe");
    let mut spawned = spawned.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => error.with_hint(
            "let the user that this process has become execute the program's file; a filter of system calls has to allow execve and vfork",
        ),
        ErrorKind::NotFound => error.with_hint("mount /proc, in the new root directory as well"),
        _ => error,
    })?;
    // std keeps copies of what it was given.
    drop(command);
    let child = Pid::from_child(&spawned);
    let held = pidfd::open(child, operation).and_then(|pidfd| {
        let watched = pidfd.try_clone().during(operation, child)?;
        Ok((pidfd, watched))
    });
    let (pidfd, watched) = held.inspect_err(|_| {
        // Nobody else is going to reap it.
        let _ = spawned.kill();
        let _ = spawned.wait();
    })?;
    reaper::adopt(pidfd);
    let begun = match mailbox.receive(Deadline::after(START_TIMEOUT)) {
        Ok(Some(packet)) if packet.kind == Kind::Booted => mailbox.receive(Deadline::NEVER),
        outcome => outcome,
    };
    let error = match begun {
        Ok(Some(mut packet)) if packet.kind == Kind::Ready && packet.descriptors.len() == 1 => {
            let (its, _): (Attributes, u32) = codec::decode(&packet.body, Vec::new())?;
            let number = std::process::Child::id(&spawned);
            return Ok(Connection {
                mailbox,
                admission: packet.descriptors.remove(0),
                server: Some(watched),
                number: Some(number).filter(|number| thread_status::may_inspect(*number)),
                started_by: Some(attributes::thread_key()),
                is_private: AtomicBool::new(false),
                adjustable: its.adjustable,
                attributes: attributes.clone(),
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
