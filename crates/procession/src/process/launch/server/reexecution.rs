//! Executing this program anew, for a task.

use crate::Result;
use crate::error::Context;
use crate::process::launch::protocol::{Mailbox, Token};
use crate::process::launch::reexec;
use crate::process::launch::settings::{Group, Settings};
use crate::process::pidfd;
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// Executes this program anew, with its mailbox as standard input until it
/// comes to itself.
///
/// Nothing here needs code between fork and exec, so std can use vfork, which
/// copies no page tables.
pub(super) fn reexecute(
    settings: &Settings,
    mailbox: &Mailbox,
    token: Token,
    main_timeout: Option<Duration>,
) -> Result<(Pid, OwnedFd)> {
    let operation = "executing program anew";
    let server = std::process::id();
    let boot = reexec::Boot {
        role: reexec::Role::Task {
            server,
            main_timeout,
        },
        token,
    };
    let stdin = mailbox.as_fd().try_clone_to_owned().during(operation, "")?;
    #[expect(clippy::disallowed_methods, reason = "it is the server that starts it")]
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(&settings.name)
        .args(std::env::args_os().skip(1))
        .stdin(stdin);
    if let Some(environment) = &settings.environment {
        let pairs = environment.iter().map(|(key, value)| (key, value));
        command.env_clear().envs(pairs);
    }
    command.env(reexec::VARIABLE, boot.to_string());
    if settings.group == Group::Own {
        command.process_group(0);
    }
    let child = reexec::spawn(&mut command).during(operation, "/proc/self/exe")?;
    let pid = Pid::from_child(&child);
    let held = pidfd::open(pid, operation).inspect_err(|_| {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    })?;
    Ok((pid, held))
}
