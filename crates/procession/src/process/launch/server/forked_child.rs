//! A process that the server has forked, until it runs its task.

use super::clients::Client;
use crate::process::launch::protocol::{Kind, Mailbox};
use crate::process::launch::settings::Settings;
use crate::process::launch::title::Title;
use crate::process::launch::{prepare, worker};
use crate::process::{StartMethod, current, exit};
use crate::process_token;
use procession_sys::process as sys;
use std::os::fd::OwnedFd;

/// A process that has just been forked from the server.
pub(super) struct ForkedChild {
    pub(super) server: u32,
    pub(super) mailbox: Mailbox,
    pub(super) stdio: [OwnedFd; 3],
    pub(super) title: Option<Title>,
    pub(super) settings: Settings,
}

impl ForkedChild {
    /// Makes the process what it is to be like, runs its task, and ends it.
    pub(super) fn run(self, client: Client, admission: OwnedFd) -> ! {
        let ForkedChild {
            server,
            mailbox,
            stdio,
            title,
            settings,
        } = self;
        drop(client.mailbox);
        if let Err(error) = prepare::prepare(&settings, Some(stdio), server) {
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
            admission: Some(Mailbox::new(admission)),
        });
        // Exit handlers are the server's; and running them costs more
        // than all of the task's start.
        exit(code)
    }
}
