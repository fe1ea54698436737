//! The beginning of a server.

use super::clients::{Client, Clients};
use super::oom_kills::OomKills;
use super::poller::Poller;
use super::privileges;
use super::state::Server;
use crate::error::Context;
use crate::process::exit::flush_output;
use crate::process::launch::attributes::{self, Attributes};
use crate::process::launch::credentials::Credentials;
use crate::process::launch::isolation::Isolation;
use crate::process::launch::protocol::Hello;
use crate::process::launch::protocol::{self, Kind, Mailbox};
use crate::process::launch::settings;
use crate::process::launch::thread_status::{self, ThreadStatus};
use crate::process::launch::title::Title;
use crate::process::task::Hook;
use crate::process::{panic, task};
use crate::signal::{self, Signal, Signals};
use crate::{Deadline, Error, ErrorKind, Result, codec};
use procession_sys::Errno;
use procession_sys::process as sys;
use procession_sys::signal::{Disposition, Mask, set_disposition};
use procession_sys::vfork::ChildStack;
use rustix::process::Pid;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

impl Server {
    /// Takes over the process, and tells the first client that it serves.
    pub(super) fn begin(control: OwnedFd) -> Result<Server> {
        let operation = "starting server";
        let mut mailbox = Mailbox::new(control);
        let _ = rustix::thread::set_name(c"procession-srv");
        // What is executed here inherits what is ignored.
        let mut ignored = Vec::new();
        for number in 1..=64 {
            if procession_sys::signal::disposition(number) == Ok(Some(Disposition::Ignore)) {
                let _ = set_disposition(number, Disposition::Default);
                ignored.push(number);
            }
        }
        // At a terminal Ctrl-C goes to all; the parents decide.
        signal::ignore(Signal::INT)?;
        signal::ignore(Signal::PIPE)?;
        // Death is told by pidfd; until then nothing is to disturb.
        Mask::all().block().during(operation, "")?;
        let signals = Signals::new(&[Signal::CHLD])?;
        let mut wanted = Mask::all();
        wanted.remove(Signal::CHLD.as_raw());
        wanted.install().during(operation, "")?;
        rustix::process::set_child_subreaper(Pid::from_raw(1)).during(operation, "")?;
        let hello = mailbox.receive(Deadline::NEVER)?;
        let gone = || Error::new(ErrorKind::Disconnected, operation, "");
        let mut hello = hello.ok_or_else(gone)?;
        let Hello {
            pid,
            thread,
            key,
            credentials,
            preload,
        } = codec::decode(&hello.body, Vec::new())?;
        if let Some(key) = key {
            task::adopt_key(key);
        }
        let pidfd = hello.descriptors.pop().ok_or_else(gone)?;
        mailbox.send_word(Kind::Booted)?;
        let prepared = prepare(credentials, preload);
        let (client_credentials, attributes) = prepared?;
        let isolation = Isolation::of(&ThreadStatus::own()?)?;
        // Without a look at it now, there is none when it asks.
        let seen =
            ThreadStatus::of(pid.cast_signed(), thread).and_then(|status| Isolation::of(&status));
        let seen = thread_status::unless_hidden(seen)?;
        // Or every task would write it again.
        flush_output();
        // Whoever reads what the program writes shall not wait for us.
        let null = settings::null()?;
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
        // Before Linux 5.11 what preloaded code left open, programs inherit.
        let _ = sys::close_on_exec_from(3);
        let (admissions, admission) = protocol::pair()?;
        let first = Client {
            number: 0,
            mailbox,
            pidfd,
            pid,
            number_here: pid.cast_signed(),
            isolation: seen.unwrap_or_else(|| isolation.clone()),
        };
        first.mailbox.name_senders()?;
        admissions.name_senders()?;
        require_waitid()?;
        let ready = codec::Encoded {
            body: codec::encode(&(&attributes, std::process::id()))?.body,
            descriptors: vec![admission.try_clone().during(operation, "")?],
        };
        let server = Server {
            poller: Poller::new(&signals, &admissions, &first)?,
            clients: Clients::new(first),
            children: HashMap::new(),
            admissions,
            admission,
            signals,
            ignored,
            title: Title::find(),
            oom_kills: OomKills::new(),
            stack: ChildStack::new().during(operation, "")?,
            client_credentials,
            attributes,
            isolation,
            is_retired: false,
        };
        // From here on it serves.
        server.clients[0].mailbox.send(Kind::Ready, &ready)?;
        Ok(server)
    }
}

/// Drops the privileges that the client does not have, and calls its hook; returns the
/// client's credentials, and the server's attributes then.
fn prepare(
    credentials: Option<Credentials>,
    preload: Option<Hook>,
) -> Result<(Credentials, Attributes)> {
    let missing = || Error::new(ErrorKind::Corrupt, "starting server", "");
    let credentials = credentials.ok_or_else(missing)?;
    privileges::drop_to(&credentials)?;
    if let Some(hook) = preload {
        let loaded = std::panic::catch_unwind(|| hook.call());
        loaded.unwrap_or_else(|payload| {
            Err(Error::new(ErrorKind::Other, "preloading", "")
                .because(format!("it panicked: {}", panic::text_of(&*payload))))
        })?;
    }
    // Also those that the hook has laid down, which all tasks will have.
    attributes::remember_filters();
    Ok((credentials, Attributes::read()?))
}

/// Refuses to serve where a filter of system calls would keep it from hearing of ends.
fn require_waitid() -> Result<()> {
    match sys::next_zombie() {
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(Error::os("starting server", "waitid", errno)
            .of_kind(ErrorKind::Unsupported)
            .with_hint("a filter of system calls (seccomp) has to allow waitid")),
    }
}
