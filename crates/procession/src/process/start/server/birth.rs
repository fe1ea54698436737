//! The first moments of a process that the server makes.

use super::Client;
use crate::Result;
use crate::error::Context;
use crate::process::pidfd;
use crate::process::start::client::spawn;
use crate::process::start::packet::{Kind, Mailbox, Token};
use crate::process::start::settings::{self, Group, Settings};
use crate::process::start::title::Title;
use crate::process::start::{entry, worker};
use crate::process::{StartMethod, current, die_with, exit};
use crate::process_token;
use procession_sys::process as sys;
use procession_sys::signal::Mask;
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// A process that has just been forked from the server.
pub(super) struct Birth {
    pub(super) server: u32,
    pub(super) mailbox: Mailbox,
    pub(super) stdio: [OwnedFd; 3],
    pub(super) title: Option<Title>,
    pub(super) settings: Settings,
}

impl Birth {
    pub(super) fn live(self, client: Client, knock: OwnedFd) -> ! {
        let Birth {
            server,
            mailbox,
            stdio,
            title,
            settings,
        } = self;
        drop(client.mailbox);
        if let Err(error) = prepare(&settings, Some(stdio), server) {
            let _ = mailbox.send_value(Kind::Failed, &error);
            sys::exit_now(worker::EXIT_FAILED)
        }
        if let Some(title) = title {
            title.set(&settings.name);
        }
        let code = worker::live(current::Task {
            name: settings.name,
            method: StartMethod::ForkServer,
            process: process_token::current(),
            mailbox,
            parent_pid: client.pid,
            parent: client.pidfd,
            knock: Some(Mailbox::new(knock)),
        });
        // Exit handlers are the server's; and running them costs more
        // than all of the task's start.
        exit(code)
    }
}

/// Makes a new process, with one thread, what it is to be like, and ties it to
/// the one that forked it. Without `stdio` its standard streams stay.
pub(crate) fn prepare(settings: &Settings, stdio: Option<[OwnedFd; 3]>, parent: u32) -> Result<()> {
    die_with(parent)?;
    if let Some(stdio) = stdio {
        settings::set_stdio(&stdio)?;
    }
    settings::apply(settings)?;
    // The kernel unties a process that becomes another user.
    die_with(parent)?;
    settings.caller.hide()?;
    if let Some(environment) = &settings.environment {
        entry::replace_environment(environment);
    }
    if let Some(hook) = settings.hook {
        hook.call()?;
    }
    Mask::of(&[]).install().during("unblocking signals", "")?;
    Ok(())
}

/// Executes this program anew, with its mailbox as standard input until it
/// comes to itself.
///
/// Nothing here needs code between fork and exec, so std can use vfork, which
/// copies no page tables.
pub(super) fn execute_again(
    settings: &Settings,
    mailbox: &Mailbox,
    token: Token,
    main: Option<Duration>,
) -> Result<(Pid, OwnedFd)> {
    let operation = "executing program anew";
    let server = std::process::id();
    let boot = entry::Boot {
        role: entry::Role::Task { server, main },
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
    command.env(entry::VARIABLE, boot.to_string());
    if settings.group == Group::Own {
        command.process_group(0);
    }
    let child = spawn(&mut command).during(operation, "/proc/self/exe")?;
    let pid = Pid::from_child(&child);
    let held = pidfd::open(pid, operation).inspect_err(|_| {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    })?;
    Ok((pid, held))
}
