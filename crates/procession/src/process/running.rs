//! A process that runs a task, whoever forked it.

use super::launch::connection::Connection;
use super::launch::protocol;
use super::launch::protocol::Ended;
use super::launch::protocol::{Kind, Mailbox, Packet};
use super::task_error::TaskError;
use super::task_report::Report;
use super::wait::reap;
use super::{Child, ExitStatus, Panic, reaper};
use crate::codec::{self, Arrived, Encoded};
use crate::error::Context;
use crate::packet::Assembly;
use crate::process_token;
use crate::signal::Signal;
use crate::time::{instant, monotonic};
use crate::{Deadline, Error, ErrorKind, Result, limits, poll};
use procession_sys::Errno;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the end of a server takes to show on its other socket.
const A_MOMENT: Duration = Duration::from_millis(50);

/// How long only the end of a process is waited for, not its words.
const BRIEF: Duration = Duration::from_millis(5);

/// How long an end of which the server cannot tell is looked into.
const REAPED_PATIENCE: Duration = Duration::from_millis(500);

/// How the process is reaped.
#[derive(Debug)]
enum Keeper {
    /// It is our child.
    Us(Child),
    /// It is the server's child; we hold its pidfd.
    Server {
        pid: u32,
        pidfd: OwnedFd,
        server: Arc<Connection>,
    },
}

/// What the task has said.
#[derive(Debug)]
enum Said {
    Returned {
        body: Arrived,
        descriptors: Vec<OwnedFd>,
    },
    Panicked(Panic),
    Untranslatable(Error),
    /// It could not be started as asked.
    Failed(Error),
    /// Nothing, and nobody knows how it ended.
    Lost(Error),
}

/// A process that runs a task, or a program.
///
/// Several threads may wait for it while others signal it: nobody sleeps under its lock, and
/// signals go by pidfd, without it.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    /// Which process it is of; a forked copy has no part in it.
    owner: u64,
    mailbox: Mailbox,
    keeper: Keeper,
    /// When it is to be killed, where we are the ones to tell.
    deadline: Option<Instant>,
    /// When it is killed unless it has taken over its process.
    start_deadline: Option<Instant>,
    /// It leads a process group of its own.
    leads_group: bool,
    heard: Mutex<Heard>,
}

/// What has been heard of the process.
#[derive(Debug, Default)]
struct Heard {
    /// Of a packet, of which more is to come.
    assembly: Assembly<Kind>,
    /// The task has taken over its process.
    booted: bool,
    /// It said that its stack has overflowed.
    overflowed: bool,
    said: Option<Said>,
    ended: Option<Ended>,
    ended_at: Option<Instant>,
    /// The server has said that it reaped it.
    is_reaped: bool,
    /// The far end of the mailbox is closed everywhere.
    silent: bool,
}

impl Running {
    /// A task in a child of ours.
    pub(super) fn forked(
        name: String,
        mailbox: Mailbox,
        child: Child,
        deadline: Option<Instant>,
        leads_group: bool,
    ) -> Running {
        Running {
            name,
            owner: process_token::current(),
            mailbox,
            keeper: Keeper::Us(child),
            deadline,
            start_deadline: None,
            leads_group,
            heard: Mutex::new(Heard {
                booted: true,
                ..Heard::default()
            }),
        }
    }

    /// Waits until the server has said that the process exists. A process
    /// that is executed anew has to take over by `start_deadline`, if there is
    /// one; others have done so when they exist.
    pub(super) fn await_start(
        name: String,
        mut mailbox: Mailbox,
        server: Arc<Connection>,
        booted: bool,
        start_deadline: Option<Instant>,
        leads_group: bool,
    ) -> Result<Running> {
        let (mut said, mut early) = (None, false);
        loop {
            match mailbox.receive(Deadline::NEVER)? {
                Some(packet) if packet.kind == Kind::Started => {
                    let (pid, pidfd) = read_started(packet)?;
                    let heard = Heard {
                        assembly: mailbox.take_assembly(),
                        booted: booted || early,
                        said,
                        ..Heard::default()
                    };
                    return Ok(Running {
                        name,
                        owner: process_token::current(),
                        mailbox,
                        keeper: Keeper::Server { pid, pidfd, server },
                        deadline: None,
                        start_deadline,
                        leads_group,
                        heard: Mutex::new(heard),
                    });
                }
                Some(packet) if packet.kind == Kind::Refused => {
                    server.make_private();
                    return Err(codec::decode(&packet.body, Vec::new())?);
                }
                // The server is told of the fork later than the child is born.
                Some(packet) if packet.kind == Kind::Booted => early = true,
                Some(packet) if packet.kind == Kind::Failed && said.is_none() => {
                    let error = codec::decode(&packet.body, Vec::new())?;
                    // The server could not fork; or the child is telling, and
                    // the server will say that it exists.
                    if !is_from_child(&mut mailbox)? {
                        return Err(error);
                    }
                    said = Some(Said::Failed(error));
                }
                Some(packet) => said = said.or(read_said(packet)?),
                None => {
                    let operation = "starting process";
                    // Its end closes both sockets, one after the other.
                    if server.ends_by(Deadline::after(A_MOMENT)) {
                        return Err(Error::new(ErrorKind::ProcessDied, operation, name)
                            .because("the server was killed meanwhile")
                            .with_hint("try again"));
                    }
                    return Err(Error::new(ErrorKind::LimitReached, operation, name)
                        .because("the server has no descriptor left for it")
                        .with_hint(limits::open_files().hint()));
                }
            }
        }
    }

    /// Whether this is the process that started it, not a forked copy.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == process_token::current()
    }

    pub(crate) fn id(&self) -> u32 {
        match &self.keeper {
            Keeper::Us(child) => child.id(),
            Keeper::Server { pid, .. } => *pid,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        match &self.keeper {
            Keeper::Us(child) => child.as_fd(),
            Keeper::Server { pidfd, .. } => pidfd.as_fd(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let server = match &self.keeper {
            Keeper::Us(child) => return child.signal(signal),
            Keeper::Server { server, .. } => server,
        };
        match procession_sys::signal::send(self.pidfd(), signal.as_raw()) {
            // We have become another user, who may not; or a filter of system calls
            // does not know the call.
            Err(Errno::PERM | Errno::NOSYS) => server.signal(self.id(), signal.as_raw(), false),
            outcome => outcome.during(
                "signalling process",
                format_args!("{} with {signal}", self.id()),
            ),
        }
    }

    /// Whether it leads a process group of its own.
    pub(crate) fn leads_group(&self) -> bool {
        self.leads_group
    }

    /// Signals the group that the process leads, an error if it leads none.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<()> {
        use procession_sys::signal::send_to_group;
        let operation = "signalling process group";
        let object = format_args!("{} with {signal}", self.id());
        if !self.leads_group {
            return Err(Error::new(ErrorKind::InvalidInput, operation, object)
                .because("the process is in its parent's group")
                .with_hint("start it with `process_group` or `session`"));
        }
        let pid = self.id().cast_signed();
        if procession_sys::process::group_of(pid).is_ok_and(|group| group != pid) {
            // It has not come to leading a group yet: it is in ours.
            return self.signal(signal);
        }
        match send_to_group(self.pidfd(), signal.as_raw()) {
            // Before Linux 6.9, and as above: whoever will reap it knows the number is
            // its.
            Err(Errno::INVAL | Errno::PERM | Errno::NOSYS) => match &self.keeper {
                Keeper::Server { pid, server, .. } => server.signal(*pid, signal.as_raw(), true),
                Keeper::Us(child) => child.signal_group(signal),
            },
            outcome => outcome.during(operation, object),
        }
    }

    /// Asks the task to end.
    pub(crate) fn request_stop(&self) -> Result<()> {
        match self.mailbox.try_send(Kind::Stop, &Encoded::empty()) {
            // It is gone; or it has not read what it was sent before, and is
            // not going to read this.
            Err(error) if error.is_disconnected() || error.is_would_block() => Ok(()),
            outcome => outcome,
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // Nothing under it is code of others, and nothing panics half-way.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the process has ended; its words have been heard then.
    ///
    /// An error in a forked copy, which would take the words from its parent.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<()> {
        if !self.is_ours() {
            return Err(
                Error::new(ErrorKind::Unsupported, "waiting for process", &self.name)
                    .because("it was started by the process that this one was forked from")
                    .with_hint("wait for it there, or watch its pidfd"),
            );
        }
        let failed = |operation| Error::new(deadline.error_kind(), operation, &self.name);
        // A result nearly always fits into the mailbox, so that its coming is
        // no reason to wake up: the end of the process, a moment later, is.
        let mut until = deadline.min(Deadline::after(BRIEF));
        let mut brief = deadline != Deadline::NOW;
        loop {
            let silent = {
                let heard = self.heard();
                if heard.ended.is_some() {
                    return Ok(());
                }
                heard.silent
            };
            let pidfd = self.pidfd();
            let mut watched = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            if !brief && !silent {
                watched.push(PollFd::new(&self.mailbox, PollFlags::IN));
            }
            let ready = poll::wait(&mut watched, until)?;
            // Before the mailbox is emptied: what it said last is in there.
            let over = !watched[0].revents().is_empty();
            if ready == 0 && !std::mem::take(&mut brief) {
                return Err(failed("waiting for process"));
            }
            until = deadline;
            let mut heard = self.heard();
            self.listen(&mut heard)?;
            if over && heard.ended.is_none() && !self.conclude(&mut heard)? {
                drop(heard);
                // The server has not come to telling its status. When it has, it closes its
                // end, so that this returns though another thread has taken the status.
                poll::readable(&self.mailbox, deadline)
                    .map_err(|_| failed("waiting for status of process"))?;
            }
        }
    }

    /// Takes what is in the mailbox.
    fn listen(&self, heard: &mut Heard) -> Result<()> {
        while !heard.silent && heard.ended.is_none() {
            match heard.assembly.receive(self.mailbox.as_fd(), Deadline::NOW) {
                Ok(Some(packet)) if packet.kind == Kind::Booted => heard.booted = true,
                Ok(Some(packet)) if packet.kind == Kind::Overflowed => heard.overflowed = true,
                Ok(Some(packet)) if packet.kind == Kind::Ended => {
                    let ended: Ended = codec::decode(&packet.body, Vec::new())?;
                    heard.ended_at = Some(instant(ended.at));
                    heard.ended = Some(ended);
                    heard.is_reaped = true;
                }
                Ok(Some(packet)) => {
                    let said = read_said(packet)?;
                    // What it says first counts.
                    heard.said = heard.said.take().or(said);
                }
                Ok(None) => heard.silent = true,
                Err(error) if error.is_would_block() || error.is_timeout() => return Ok(()),
                // A message that does not fit (no descriptor is free, say) or
                // makes no sense is the task's last.
                Err(error) => {
                    heard.said.get_or_insert(Said::Untranslatable(error));
                    heard.silent = true;
                }
            }
        }
        Ok(())
    }

    /// Finds out how the process ended, which it has; `false` if the server is still to tell.
    fn conclude(&self, heard: &mut Heard) -> Result<bool> {
        let status = match &self.keeper {
            Keeper::Us(child) => {
                if self.leads_group {
                    // Until it is reaped, the number is its group's.
                    let _ = child.signal_group(Signal::KILL);
                }
                match child.wait() {
                    // Reaped by other code; what it has said is enough.
                    Err(error) if error.is_not_found() && heard.said.is_some() => {
                        ExitStatus::from_raw(0)
                    }
                    outcome => outcome?,
                }
            }
            // Nothing that the server could add would matter.
            Keeper::Server { .. }
                if matches!(heard.said, Some(Said::Returned { .. } | Said::Panicked(_))) =>
            {
                ExitStatus::from_raw(0)
            }
            Keeper::Server { .. } if heard.silent => self.ask_the_kernel(heard),
            Keeper::Server { .. } => return Ok(false),
        };
        let killed = status.signal() == Some(Signal::KILL);
        heard.ended = Some(Ended {
            status: status.raw(),
            timed_out: killed && self.deadline.is_some_and(|at| at <= Instant::now()),
            out_of_memory: false,
            at: monotonic(),
        });
        heard.ended_at = Some(Instant::now());
        Ok(true)
    }

    /// The status that the server did not tell; most often it has died too. Then
    /// somebody else inherits the process and reaps it, which takes him a moment: the
    /// first process of the system, most often, or we ourselves, if that is us.
    fn ask_the_kernel(&self, heard: &mut Heard) -> ExitStatus {
        let patience = Deadline::after(REAPED_PATIENCE);
        loop {
            if let Ok(Some(status)) = reap(self.pidfd()) {
                return status;
            }
            // Before the status is asked for, which is there when it is reaped.
            let is_reaped = procession_sys::signal::send(self.pidfd(), 0) == Err(Errno::SRCH);
            let kept = procession_sys::process::status_after_reaping(self.pidfd());
            if let Some(status) = kept {
                return ExitStatus::from_raw(status as u16);
            }
            if is_reaped || patience.has_passed() {
                break;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "nothing tells when another process has reaped"
            )]
            std::thread::sleep(Duration::from_millis(1));
        }
        let error = Error::new(ErrorKind::ProcessDied, "waiting for process", &self.name).because(
            "its status is lost: the server that started it was killed, or could not tell it",
        );
        heard.said.get_or_insert(Said::Lost(error));
        ExitStatus::from_raw(Signal::KILL.as_raw() as u16)
    }

    /// How the process ended, once [`wait`](Running::wait) has returned.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        let ended = self.heard().ended;
        ended.map(|ended| ExitStatus::from_raw(ended.status))
    }

    /// When it ended, as far as is known, once [`wait`](Running::wait) has returned.
    pub(super) fn ended_at(&self) -> Option<Instant> {
        self.heard().ended_at
    }

    /// Readable when [`wait`](Running::wait) need not wait, or when nobody will say how
    /// the process ends.
    pub(super) fn news(&self) -> BorrowedFd<'_> {
        self.mailbox.as_fd()
    }

    /// Whether it ended, by itself or by the timer that watches over that,
    /// without having begun.
    fn has_never_started(&self, booted: bool, status: ExitStatus) -> bool {
        let late = || self.start_deadline.is_some_and(|at| at <= Instant::now());
        !booted && (status.signal().is_none() || status.signal() == Some(Signal::KILL) && late())
    }

    /// The result, once [`wait`](Running::wait) has returned.
    pub(super) fn take_result(&self) -> std::result::Result<(Arrived, Vec<OwnedFd>), TaskError> {
        let (said, ended, booted, overflowed) = {
            let mut heard = self.heard();
            let heard = &mut *heard;
            // Only what has ended has said all.
            let said = heard.ended.and_then(|_| heard.said.take());
            (said, heard.ended, heard.booted, heard.overflowed)
        };
        let Some(ended) = ended else {
            return Err(TaskError::io(
                Error::new(ErrorKind::Busy, "joining process", &self.name).because("it is running"),
            ));
        };
        let status = ExitStatus::from_raw(ended.status);
        match said {
            Some(Said::Returned { body, descriptors }) => Ok((body, descriptors)),
            Some(Said::Panicked(panic)) => Err(TaskError::panicked(panic)),
            Some(Said::Untranslatable(error)) => Err(TaskError::codec(error)),
            Some(Said::Lost(error)) => Err(TaskError::io(error)),
            Some(Said::Failed(error)) => Err(TaskError::never_started(error)),
            None if ended.timed_out => Err(TaskError::timed_out()),
            None if self.has_never_started(booted, status) => Err(TaskError::never_started(
                Error::new(ErrorKind::ProcessDied, "starting process", &self.name)
                    .because(format!("its process {status} before the task began"))
                    .with_hint(
                        "make `procession::init()` the first line of `main`, or leave it out",
                    ),
            )),
            None => Err(match (status.signal(), status.code()) {
                (Some(signal), _) => TaskError::Signaled {
                    signal,
                    core_dumped: status.core_dumped(),
                    out_of_memory: match &self.keeper {
                        Keeper::Server { .. } if signal == Signal::KILL => {
                            Some(ended.out_of_memory)
                        }
                        _ => None,
                    },
                    stack_overflowed: overflowed && signal == Signal::SEGV,
                    report: Report::NONE,
                },
                (None, code) => TaskError::exited(code.unwrap_or(0)),
            }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let heard = self.heard.get_mut().unwrap_or_else(PoisonError::into_inner);
        let is_reaped = heard.is_reaped;
        // If its server is killed, we may inherit it, and nobody else would reap it.
        if let Keeper::Server { pidfd, .. } = &self.keeper
            && !is_reaped
            && self.is_ours()
            && procession_sys::process::inherits_orphans()
            && procession_sys::signal::send(pidfd.as_fd(), 0) != Err(Errno::SRCH)
            && let Ok(copy) = pidfd.try_clone()
        {
            reaper::expect(copy);
        }
    }
}

/// Whether what is in the mailbox next comes with a process: that the server
/// goes on to say so, or that it has closed its end.
fn is_from_child(mailbox: &mut Mailbox) -> Result<bool> {
    // The server closes its end of a process that it could not fork.
    poll::readable(&*mailbox, Deadline::NEVER)?;
    Ok(protocol::peek_kind(mailbox.as_fd()) == Some(Kind::Started))
}

fn read_started(packet: Packet) -> Result<(u32, OwnedFd)> {
    let pid = <[u8; 4]>::try_from(&packet.body[..]).map(u32::from_le_bytes);
    match (pid, packet.descriptors.into_iter().next()) {
        (Ok(pid), Some(pidfd)) => Ok((pid, pidfd)),
        _ => Err(Error::new(ErrorKind::Corrupt, "starting process", "")
            .because("the server's answer makes no sense")),
    }
}

fn read_said(packet: Packet) -> Result<Option<Said>> {
    let text = |packet: &Packet| codec::decode::<Error>(&packet.body, Vec::new());
    Ok(match packet.kind {
        Kind::Returned => Some(Said::Returned {
            body: packet.body,
            descriptors: packet.descriptors,
        }),
        Kind::Panicked => Some(Said::Panicked(codec::decode(&packet.body, Vec::new())?)),
        Kind::Untranslatable => Some(Said::Untranslatable(text(&packet)?)),
        Kind::Failed => Some(Said::Failed(text(&packet)?)),
        _ => None,
    })
}
