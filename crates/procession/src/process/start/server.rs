//! The family's server: a process with one thread and little memory, executed
//! by the family's first process, that makes all others and watches over them.
//!
//! - Forking it costs the same however large the program has grown, and no
//!   lock of another thread is ever copied.
//! - Its children die with it: the kernel sees to that
//!   (`PR_SET_PDEATHSIG`, which is about the forking *thread*; here that is
//!   the process).
//! - It dies with the family's first process, and takes with it everything
//!   below: it is the subreaper, so that orphans of its children, daemons
//!   included, become its own children, and it ends when it has none left.
//! - A client that ends takes its own children with it in the same way.
//!
//! It waits for any child there is, which elsewhere in the library would be a
//! trap: here there is no code but this, and all children are ours.

use super::packet::{self, Kind, Mailbox, Packet};
use super::settings::{self, Group, Settings};
use super::title::Title;
use super::{entry, worker};
use crate::codec;
use crate::error::Context;
use crate::process::{ExitStatus, Fork, StartMethod, current, die_with, fork, task};
use crate::signal::{self, Signal, Signals};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::process as sys;
use procession_sys::signal::{Disposition, Mask, set_disposition};
use rustix::event::epoll;
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// The first packet to a server; its descriptor is the client's pidfd.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) pid: u32,
    /// Offset of a function to call before anything is started.
    pub(super) preload: Option<u64>,
}

/// Asks for a process. Descriptors: its mailbox; unless this program is
/// executed anew, standard input, output and error; for another program one
/// more, which its exec closes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) settings: Settings,
    pub(super) work: Work,
}

/// What the process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The call in its mailbox, at once.
    Call,
    /// Execute this program anew, for what is in its mailbox.
    Again {
        token: packet::Token,
        /// Patience until `main` comes to `init`, if it does.
        main: Option<Duration>,
    },
    /// Execute another program.
    Program {
        program: OsString,
        arguments: Vec<OsString>,
    },
}

/// What a process that was executed anew finds first in its mailbox: what it
/// is to be like. Descriptors: standard input, output and error, its parent's
/// pidfd, and where to knock at the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Prepare {
    pub(crate) settings: Settings,
    pub(crate) parent_pid: u32,
}

/// How a process ended, as the server tells its client.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    /// By SIGKILL, when its deadline had passed.
    pub(crate) timed_out: bool,
    /// By SIGKILL, and the kernel's count of processes killed for want of
    /// memory had gone up.
    pub(crate) out_of_memory: bool,
}

/// Asks for a signal to the group that a process leads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SignalGroup {
    pub(super) pid: u32,
    pub(super) signal: i32,
}

/// How old the count of out-of-memory kills may be when a process starts.
const COUNT_AGE: Duration = Duration::from_millis(100);

struct Server {
    /// Number zero is the family's first process.
    clients: Vec<Client>,
    /// Clients admitted so far.
    admitted: u64,
    children: HashMap<Pid, Running>,
    /// Where children that want to be clients knock, and our end of it.
    knocks: Mailbox,
    knock: OwnedFd,
    signals: Signals,
    watch: Watch,
    /// Signals that the family's first process ignored when it started us,
    /// which programs inherit and tasks do not.
    ignored: Vec<i32>,
    title: Option<Title>,
    memory_kills: MemoryKills,
}

/// A process that may ask for others.
struct Client {
    number: u64,
    mailbox: Mailbox,
    pidfd: OwnedFd,
    pid: u32,
}

/// A process that was asked for.
struct Running {
    /// The far end of its client's mailbox, to tell how it ended.
    client_mailbox: Mailbox,
    /// Number of its client.
    client: u64,
    leads_group: bool,
    /// Not a program: its group ends with it.
    is_task: bool,
    started: Instant,
    deadline: Option<Duration>,
}

/// The life of the server.
pub(super) fn run(control: OwnedFd) -> ! {
    let Ok(server) = Server::begin(control) else {
        sys::exit_now(worker::EXIT_FAILED)
    };
    server.serve()
}

impl Server {
    fn begin(control: OwnedFd) -> Result<Server> {
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
        let Hello { pid, preload } = codec::decode(&hello.body, Vec::new())?;
        let pidfd = hello.descriptors.pop().ok_or_else(gone)?;
        mailbox.send_word(Kind::Booted)?;
        if let Some(hook) = preload {
            let loaded = std::panic::catch_unwind(|| task::call_hook(hook));
            let failure = match loaded {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error),
                Err(panic) => Some(
                    Error::new(ErrorKind::Other, "preloading", "")
                        .because(format!("it panicked: {}", worker::text_of(&*panic))),
                ),
            };
            if let Some(error) = failure {
                mailbox.send_value(Kind::Failed, &error)?;
                return Err(error);
            }
        }
        // Whoever reads what the program writes shall not wait for us.
        let null = settings::null()?;
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
        // Before Linux 5.11 what preloaded code left open, programs inherit.
        let _ = sys::close_on_exec_from(3);
        let (knocks, knock) = packet::pair()?;
        let first = Client {
            number: 0,
            mailbox,
            pidfd,
            pid,
        };
        let ready = codec::Encoded {
            body: codec::Body::Inline(Vec::new()),
            descriptors: vec![knock.try_clone().during(operation, "")?],
        };
        first.mailbox.send(Kind::Ready, &ready)?;
        Ok(Server {
            watch: Watch::new(&signals, &knocks, &first)?,
            clients: vec![first],
            admitted: 1,
            children: HashMap::new(),
            knocks,
            knock,
            signals,
            ignored,
            title: Title::find(),
            memory_kills: MemoryKills::new(),
        })
    }

    fn serve(mut self) -> ! {
        let mut ready = Vec::new();
        loop {
            self.watch.wait(&mut ready);
            for source in ready.drain(..) {
                let answer = match source {
                    Source::Signals => {
                        while self.signals.try_wait().is_ok() {}
                        self.reap();
                        continue;
                    }
                    Source::Knocks => {
                        self.admit();
                        continue;
                    }
                    // A client may have gone since it was listed.
                    Source::Client(number) => match self.place(number) {
                        Some(index) => (index, self.answer(index)),
                        None => continue,
                    },
                    Source::Death(number) => match self.place(number) {
                        Some(index) => (index, Answer::Gone),
                        None => continue,
                    },
                };
                match answer {
                    (_, Answer::Done) => {}
                    (index, Answer::Gone) => self.dismiss(index),
                    (index, Answer::Born(birth)) => {
                        let client = self.clients.swap_remove(index);
                        let knock = self.knock;
                        // What else is in there belongs to the server.
                        drop((self.clients, self.children, self.knocks));
                        drop((self.signals, self.watch));
                        birth.live(client, knock)
                    }
                }
            }
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        let mut clients = self.clients.iter();
        clients.position(|client| client.number == number)
    }

    /// Lets a process in that has knocked.
    fn admit(&mut self) {
        let Ok(Some(mut packet)) = self.knocks.receive(Deadline::NOW) else {
            return;
        };
        let hello = codec::decode::<Hello>(&packet.body, Vec::new());
        let descriptors = (packet.descriptors.pop(), packet.descriptors.pop());
        if let (Ok(hello), (Some(pidfd), Some(socket))) = (hello, descriptors) {
            let client = Client {
                number: self.admitted,
                mailbox: Mailbox::new(socket),
                pidfd,
                pid: hello.pid,
            };
            self.admitted += 1;
            // One that cannot be watched is not served: it sees its socket
            // close.
            if self.watch.add_client(&client).is_ok() {
                self.clients.push(client);
            }
        }
    }

    /// Does what a client asks.
    fn answer(&mut self, index: usize) -> Answer {
        match self.clients[index].mailbox.receive(Deadline::NOW) {
            Ok(None) => Answer::Gone,
            Ok(Some(packet)) => match packet.kind {
                Kind::Start => self.start(index, packet),
                Kind::SignalGroup => {
                    self.signal_group(&packet);
                    Answer::Done
                }
                _ => Answer::Done,
            },
            // Not yet; or a message that did not fit is lost, and with it the
            // mailbox in it, which tells the client.
            Err(_) => Answer::Done,
        }
    }

    fn start(&mut self, index: usize, packet: Packet) -> Answer {
        let mut descriptors = packet.descriptors.into_iter();
        let Some(mailbox) = descriptors.next().map(Mailbox::new) else {
            return Answer::Done;
        };
        let Start { settings, work } = match codec::decode(&packet.body, Vec::new()) {
            Ok(start) => start,
            Err(error) => return refuse(&mailbox, &error),
        };
        let child = Running {
            client: self.clients[index].number,
            leads_group: settings.group != Group::Parents,
            is_task: !matches!(work, Work::Program { .. }),
            started: Instant::now(),
            deadline: settings.deadline,
            client_mailbox: mailbox,
        };
        let mailbox = &child.client_mailbox;
        if let Work::Again { token, main } = work {
            return match execute_again(&settings, mailbox, token, main) {
                Ok((pid, pidfd)) => self.announce(pid, pidfd, child),
                Err(error) => refuse(mailbox, &error),
            };
        }
        let stdio: Vec<OwnedFd> = descriptors.by_ref().take(3).collect();
        let Ok(stdio) = <[OwnedFd; 3]>::try_from(stdio) else {
            return Answer::Done;
        };
        let exec_status = descriptors.next();
        match fork() {
            Err(error) => refuse(mailbox, &error),
            Ok(Fork::Parent(newborn)) => {
                let (pid, pidfd) = newborn.into_parts();
                if settings.group == Group::Own {
                    // Before anybody can signal it; the child does the same.
                    let _ = rustix::process::setpgid(Some(pid), Some(pid));
                }
                self.announce(pid, pidfd, child)
            }
            Ok(Fork::Child) => Answer::Born(Box::new(Birth {
                mailbox: child.client_mailbox,
                stdio,
                exec_status,
                ignored: std::mem::take(&mut self.ignored),
                title: self.title,
                settings,
                work,
            })),
        }
    }

    /// Tells the client that its process exists.
    fn announce(&mut self, pid: Pid, pidfd: OwnedFd, child: Running) -> Answer {
        let message = codec::Encoded {
            body: codec::Body::Inline(pid.as_raw_nonzero().get().to_le_bytes().to_vec()),
            descriptors: vec![pidfd],
        };
        // A client that is not interested any more has closed its end.
        let _ = child.client_mailbox.send(Kind::Started, &message);
        self.memory_kills.refresh();
        self.children.insert(pid, child);
        Answer::Done
    }

    fn signal_group(&self, packet: &Packet) {
        let Ok(SignalGroup { pid, signal }) = codec::decode(&packet.body, Vec::new()) else {
            return;
        };
        // Until we reap it, the number is the child's.
        let pid = Pid::from_raw(pid.cast_signed()).filter(|pid| self.children.contains_key(pid));
        if let (Some(pid), Some(signal)) = (pid, rustix::process::Signal::from_named_raw(signal)) {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }

    /// Reaps all children that have ended, and tells their clients.
    fn reap(&mut self) {
        while let Ok(Some(pid)) = sys::next_zombie() {
            let child = self.children.remove(&pid);
            if child
                .as_ref()
                .is_some_and(|child| child.leads_group && child.is_task)
            {
                // The leader is not reaped yet, so the number is its group's.
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
            let reaped = rustix::io::retry_on_intr(|| {
                rustix::process::waitpid(Some(pid), WaitOptions::NOHANG)
            });
            // An orphan that we inherited is nobody's business.
            let (Some(child), Ok(Some((_, status)))) = (child, reaped) else {
                continue;
            };
            let status = ExitStatus::from_raw(status.as_raw() as u16);
            let killed = status.signal() == Some(Signal::KILL);
            let ended = Ended {
                status: status.raw(),
                timed_out: killed
                    && child
                        .deadline
                        .is_some_and(|deadline| child.started.elapsed() >= deadline),
                out_of_memory: killed && self.memory_kills.has_risen(),
            };
            let _ = child.client_mailbox.send_value(Kind::Ended, &ended);
        }
    }

    /// A client is gone: its children go too, and with the first client all.
    fn dismiss(&mut self, index: usize) {
        let client = self.clients.swap_remove(index);
        if client.number == 0 {
            self.end()
        }
        self.watch.remove_client(&client);
        for (pid, child) in &self.children {
            if child.client == client.number {
                kill(*pid, child.leads_group);
            }
        }
    }

    /// Kills every process below, however it got there, and ends.
    fn end(&mut self) -> ! {
        loop {
            for (pid, child) in &self.children {
                if child.leads_group {
                    kill(*pid, true);
                }
            }
            for child in children_of_this() {
                kill(child, false);
            }
            // Those whose parent dies become our own and are seen next time.
            match rustix::io::retry_on_intr(|| rustix::process::wait(WaitOptions::empty())) {
                Ok(Some((pid, _))) => {
                    self.children.remove(&pid);
                }
                Ok(None) => {}
                Err(_) => sys::exit_now(0),
            }
        }
    }
}

fn kill(pid: Pid, group: bool) {
    let signal = rustix::process::Signal::KILL;
    let _ = rustix::process::kill_process(pid, signal);
    if group {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// The children of the calling process, which has one thread.
fn children_of_this() -> Vec<Pid> {
    let pid = std::process::id();
    let path = format!("/proc/self/task/{pid}/children");
    // Kernels without that file: the long way.
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| {
        let all = crate::process::children().unwrap_or_default();
        let pids: Vec<String> = all.iter().map(|child| child.pid.to_string()).collect();
        pids.join(" ")
    });
    text.split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// What the server waits for. An epoll instance, because poll(2) refuses to
/// look at more descriptors than the process may have.
struct Watch(OwnedFd);

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signals,
    Knocks,
    /// The client of that number asks, or has closed its socket.
    Client(u64),
    /// The client of that number has ended.
    Death(u64),
}

impl Source {
    fn key(self) -> u64 {
        match self {
            Source::Signals => 0,
            Source::Knocks => 1,
            Source::Client(number) => 2 + 2 * number,
            Source::Death(number) => 3 + 2 * number,
        }
    }

    fn of(key: u64) -> Source {
        match key {
            0 => Source::Signals,
            1 => Source::Knocks,
            key if key % 2 == 0 => Source::Client(key / 2 - 1),
            key => Source::Death(key / 2 - 1),
        }
    }
}

impl Watch {
    fn new(signals: &Signals, knocks: &Mailbox, first: &Client) -> Result<Watch> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).during("starting server", "")?;
        let watch = Watch(epoll);
        watch.add(signals.as_fd(), Source::Signals)?;
        watch.add(knocks.as_fd(), Source::Knocks)?;
        watch.add_client(first)?;
        Ok(watch)
    }

    fn add_client(&self, client: &Client) -> Result<()> {
        self.add(client.mailbox.as_fd(), Source::Client(client.number))?;
        self.add(client.pidfd.as_fd(), Source::Death(client.number))
    }

    fn add(&self, descriptor: BorrowedFd<'_>, source: Source) -> Result<()> {
        let data = epoll::EventData::new_u64(source.key());
        epoll::add(&self.0, descriptor, data, epoll::EventFlags::IN).during("serving", "")
    }

    /// Forgets a client. Closing its descriptors is not enough: others may
    /// have copies of them.
    fn remove_client(&self, client: &Client) {
        let _ = epoll::delete(&self.0, &client.mailbox);
        let _ = epoll::delete(&self.0, &client.pidfd);
    }

    /// Waits until something has happened.
    fn wait(&self, ready: &mut Vec<Source>) {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 64];
        let count = epoll::wait(&self.0, &mut events, None).unwrap_or(0);
        let sources = events[..count].iter();
        ready.extend(sources.map(|event| Source::of(event.data.u64())));
    }
}

/// What came of a client's message.
enum Answer {
    Done,
    Gone,
    /// This is the process that was asked for.
    Born(Box<Birth>),
}

/// A process that has just been forked from the server.
struct Birth {
    mailbox: Mailbox,
    stdio: [OwnedFd; 3],
    exec_status: Option<OwnedFd>,
    ignored: Vec<i32>,
    title: Option<Title>,
    settings: Settings,
    work: Work,
}

impl Birth {
    fn live(self, client: Client, knock: OwnedFd) -> ! {
        let Birth {
            mailbox,
            stdio,
            exec_status,
            ignored,
            title,
            settings,
            work,
        } = self;
        drop(client.mailbox);
        let server = rustix::process::getppid();
        let prepared = prepare(&settings, &stdio, server);
        drop(stdio);
        let error = match (prepared, work) {
            (Err(error), _) => error,
            (Ok(()), Work::Program { program, arguments }) => {
                let _ = signal::default(Signal::INT);
                for number in ignored {
                    let _ = set_disposition(number, Disposition::Ignore);
                }
                let mut command = Command::new(&program);
                command.args(arguments);
                set_environment(&mut command, &settings);
                let failed = Err::<(), _>(command.exec());
                failed.during("executing", program.display()).unwrap_err()
            }
            (Ok(()), _) => {
                if let Some(environment) = &settings.environment {
                    entry::replace_environment(environment);
                }
                if let Some(title) = title {
                    title.set(&settings.name);
                }
                let code = worker::live(current::Task {
                    name: settings.name,
                    method: StartMethod::ForkServer,
                    pid: rustix::process::getpid(),
                    mailbox,
                    parent_pid: client.pid,
                    parent: client.pidfd,
                    knock: Some(Mailbox::new(knock)),
                });
                std::process::exit(code)
            }
        };
        match &exec_status {
            None => {
                let _ = mailbox.send_value(Kind::Failed, &error);
            }
            Some(pipe) => {
                let bytes = postcard::to_stdvec(&error).unwrap_or_default();
                let _ = rustix::io::write(pipe, &bytes);
            }
        }
        sys::exit_now(worker::EXIT_FAILED)
    }
}

/// Makes a new process what it is to be like, and ties it to the server.
pub(super) fn prepare(
    settings: &Settings,
    stdio: &[OwnedFd; 3],
    server: Option<Pid>,
) -> Result<()> {
    die_with(server.map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned()))?;
    settings::set_stdio(stdio)?;
    settings::apply(settings)?;
    if let Some(hook) = settings.hook {
        task::call_hook(hook)?;
    }
    Mask::of(&[]).install().during("unblocking signals", "")?;
    Ok(())
}

/// Executes this program anew, with its mailbox as standard input until it
/// comes to itself.
///
/// Nothing here needs code between fork and exec, so std can use vfork, which
/// copies no page tables.
fn execute_again(
    settings: &Settings,
    mailbox: &Mailbox,
    token: packet::Token,
    main: Option<Duration>,
) -> Result<(Pid, OwnedFd)> {
    let operation = "executing program anew";
    let server = std::process::id();
    let boot = entry::Boot {
        role: entry::Role::Task { server, main },
        token,
    };
    let stdin = mailbox.as_fd().try_clone_to_owned().during(operation, "")?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(&settings.name)
        .args(std::env::args_os().skip(1))
        .stdin(stdin);
    set_environment(&mut command, settings);
    command.env(entry::VARIABLE, boot.to_string());
    if settings.group == Group::Own {
        command.process_group(0);
    }
    let child = command.spawn().during(operation, "/proc/self/exe")?;
    let pid = Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    if pidfd.is_err() {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    Ok((pid, pidfd.during(operation, pid)?))
}

fn set_environment(command: &mut Command, settings: &Settings) {
    if let Some(environment) = &settings.environment {
        let pairs = environment.iter().map(|(key, value)| (key, value));
        command.env_clear().envs(pairs);
    }
}

/// Tells a client that its process cannot be had.
fn refuse(mailbox: &Mailbox, error: &Error) -> Answer {
    let _ = mailbox.send_value(Kind::Failed, error);
    Answer::Done
}

/// Counts processes that the kernel killed for want of memory.
struct MemoryKills {
    count: Option<u64>,
    read: Instant,
}

impl MemoryKills {
    fn new() -> MemoryKills {
        MemoryKills {
            count: read_memory_kills(),
            read: Instant::now(),
        }
    }

    /// Reads the count again, if the last reading is old.
    fn refresh(&mut self) {
        if self.read.elapsed() > COUNT_AGE {
            *self = MemoryKills::new();
        }
    }

    /// Whether it has gone up since the last reading.
    fn has_risen(&mut self) -> bool {
        let before = std::mem::replace(self, MemoryKills::new()).count;
        before.is_some() && self.count > before
    }
}

/// The kernel's count, since it was started, of the whole machine.
fn read_memory_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line?.parse().ok()
}
