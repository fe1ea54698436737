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

mod birth;
mod execution;
mod lowering;
mod memory_kills;
mod messages;
mod watch;

pub(crate) use birth::prepare;
pub(crate) use messages::{Ended, Prepare, Work};
pub(super) use messages::{Hello, Send, Start};

use super::packet::{self, Kind, Mailbox, Packet};
use super::place::Place;
use super::rights::{self, Rights, Status};
use super::settings::{self, Group};
use super::standing::{self, Standing};
use super::title::Title;
use super::worker;
use crate::codec;
use crate::error::Context;
use crate::process::exit::flush_output;
use crate::process::task::Hook;
use crate::process::wait::reap_by;
use crate::process::{Fork, fork, panic, task};
use crate::signal::{self, Signal, Signals};
use crate::time::monotonic;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use birth::{Birth, execute_again};
use execution::Execution;
use memory_kills::MemoryKills;
use procession_sys::Errno;
use procession_sys::process as sys;
use procession_sys::signal::{self as signals, Disposition, Mask, set_disposition};
use procession_sys::socket::Sender;
use procession_sys::vfork::ChildStack;
use rustix::process::{Pid, WaitId, WaitOptions};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use watch::{Source, Watch};

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
    /// For children that execute a program.
    stack: ChildStack,
    /// What the thread that started it might do then.
    client_rights: Rights,
    /// What it passes on.
    standing: Standing,
    place: Place,
    /// The first client starts nothing here any more.
    is_retired: bool,
}

/// A process that may ask for others.
struct Client {
    number: u64,
    mailbox: Mailbox,
    pidfd: OwnedFd,
    pid: u32,
    /// As the server calls it.
    number_here: i32,
    /// Where the server has first seen it.
    place: Place,
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

/// Gives up what the client has not, and loads what it wants; returns what the client
/// might do, and what the server is like then.
fn prepare_itself(rights: Option<Rights>, preload: Option<Hook>) -> Result<(Rights, Standing)> {
    let missing = || Error::new(ErrorKind::Corrupt, "starting server", "");
    let rights = rights.ok_or_else(missing)?;
    lowering::lower_to(&rights)?;
    if let Some(hook) = preload {
        let loaded = std::panic::catch_unwind(|| hook.call());
        loaded.unwrap_or_else(|payload| {
            Err(Error::new(ErrorKind::Other, "preloading", "")
                .because(format!("it panicked: {}", panic::text_of(&*payload))))
        })?;
    }
    // Also those that the hook has laid down, which all tasks will have.
    standing::remember_filters();
    Ok((rights, Standing::take()?))
}

/// The life of the server.
pub(super) fn run(control: OwnedFd) -> ! {
    // To tell that it cannot begin, where the first socket has gone with the attempt.
    let teller = control.try_clone().map(Mailbox::new);
    let server = Server::begin(control).unwrap_or_else(|error| {
        if let Ok(client) = &teller {
            let _ = client.send_value(Kind::Failed, &error);
        }
        sys::exit_now(worker::EXIT_FAILED)
    });
    drop(teller);
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
        let Hello {
            pid,
            thread,
            key,
            rights,
            preload,
        } = codec::decode(&hello.body, Vec::new())?;
        if let Some(key) = key {
            task::adopt_key(key);
        }
        let pidfd = hello.descriptors.pop().ok_or_else(gone)?;
        mailbox.send_word(Kind::Booted)?;
        let prepared = prepare_itself(rights, preload);
        let (client_rights, standing) = prepared?;
        let place = Place::of(&Status::own()?)?;
        // Without a look at it now, there is none when it asks.
        let seen = Status::of(pid.cast_signed(), thread).and_then(|status| Place::of(&status));
        let seen = rights::unless_hidden(seen)?;
        // Or every task would write it again.
        flush_output();
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
            number_here: pid.cast_signed(),
            place: seen.unwrap_or_else(|| place.clone()),
        };
        first.mailbox.name_senders()?;
        knocks.name_senders()?;
        lowering::require_calls()?;
        let ready = codec::Encoded {
            body: codec::encode(&(&standing, std::process::id()))?.body,
            descriptors: vec![knock.try_clone().during(operation, "")?],
        };
        let server = Server {
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
            stack: ChildStack::new().during(operation, "")?,
            client_rights,
            standing,
            place,
            is_retired: false,
        };
        // From here on it serves.
        server.clients[0].mailbox.send(Kind::Ready, &ready)?;
        Ok(server)
    }

    fn serve(mut self) -> ! {
        let mut ready = Vec::new();
        loop {
            self.end_if_idle();
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

    /// What clients are told: what the server is like, and who it is.
    fn introduction(&self) -> (&Standing, u32) {
        (&self.standing, std::process::id())
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
        let sender = packet.sender.map_or(0, |sender| sender.pid);
        if let (Ok(hello), (Some(pidfd), Some(socket))) = (hello, descriptors) {
            let mailbox = Mailbox::new(socket);
            let is_seen = Server::sees(sender, hello.thread, &pidfd);
            if !matches!(is_seen, Ok(true)) {
                let _ = mailbox.try_send_value(Kind::Failed, &is_seen.err());
                return;
            }
            let client = Client {
                number: self.admitted,
                mailbox,
                pidfd,
                pid: hello.pid,
                number_here: sender,
                place: self.place.clone(),
            };
            self.admitted += 1;
            let greeted = client.mailbox.name_senders().and_then(|()| {
                client
                    .mailbox
                    .try_send_value(Kind::Ready, &self.introduction())
            });
            // One that cannot be watched is not served: it sees its socket
            // close.
            if greeted.is_ok() && self.watch.add_client(&client).is_ok() {
                self.clients.push(client);
            }
        }
    }

    /// Whether a process that knocks is itself, and shows where it is.
    ///
    /// # Errors
    /// That the server could not look.
    fn sees(sender: i32, thread: u32, pidfd: &OwnedFd) -> Result<bool> {
        let look = || {
            // Whoever holds out another's pidfd could have its number be that of a third.
            let is_itself = rights::number_of(pidfd.as_fd())? == Some(sender);
            let place = Place::of(&Status::of(sender, thread)?)?;
            Ok(is_itself && place.is_seen())
        };
        Ok(rights::unless_hidden(look())?.unwrap_or(false))
    }

    /// Does what a client asks.
    fn answer(&mut self, index: usize) -> Answer {
        match self.clients[index].mailbox.receive(Deadline::NOW) {
            Ok(None) => Answer::Gone,
            Ok(Some(packet)) => match packet.kind {
                Kind::Start => self.start(index, packet),
                Kind::Signal => {
                    self.signal(index, packet);
                    Answer::Done
                }
                Kind::List => {
                    self.list(index, packet);
                    Answer::Done
                }
                Kind::Retire => {
                    self.is_retired |= self.clients[index].number == 0;
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
        let Start {
            thread,
            settings,
            work,
        } = match codec::decode(&packet.body, Vec::new()) {
            Ok(start) => start,
            Err(error) => return refuse(&mailbox, &error),
        };
        let client = &self.clients[index];
        if let Err(error) = self.require_standing(client, packet.sender, thread) {
            let _ = mailbox.try_send_value(Kind::Refused, &error);
            return Answer::Done;
        }
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
        let further: Vec<OwnedFd> = descriptors.collect();
        let server = std::process::id();
        if let Work::Program {
            program,
            arg0,
            arguments,
            numbers,
            signals,
        } = work
        {
            if further.len() != numbers.len() {
                return Answer::Done;
            }
            let execution = Execution {
                server,
                stdio: &stdio,
                ignored: &self.ignored,
                signals,
                descriptors: numbers.into_iter().zip(further).collect(),
                settings: &settings,
            };
            let arg0 = arg0.as_ref().unwrap_or(&program);
            return match execution.start(&mut self.stack, program.as_ref(), arg0, &arguments) {
                Err(error) => refuse(&child.client_mailbox, &error),
                Ok((pid, pidfd, failure)) => {
                    if let (Some(error), Some(status)) = (failure, exec_status) {
                        let bytes = postcard::to_stdvec(&error).unwrap_or_default();
                        let _ = rustix::io::write(status, &bytes);
                    }
                    self.announce(pid, pidfd, child)
                }
            };
        }
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
                server,
                mailbox: child.client_mailbox,
                stdio,
                title: self.title,
                settings,
            })),
        }
    }

    /// Tells the client that its process exists.
    fn announce(&mut self, pid: Pid, pidfd: OwnedFd, child: Running) -> Answer {
        let message = codec::Encoded {
            body: codec::Body::Inline(pid.as_raw_nonzero().get().to_le_bytes().to_vec()),
            descriptors: vec![pidfd],
        };
        // A client that is not interested any more has closed its end; and
        // nobody's full mailbox may keep the others waiting.
        let _ = child.client_mailbox.try_send(Kind::Started, &message);
        self.memory_kills.refresh();
        self.children.insert(pid, child);
        Answer::Done
    }

    /// Refuses whoever may not do what a server may, or is not where it is, or did not
    /// when it asked: it may have given up rights, or been taken over, and have kept the
    /// socket.
    ///
    /// The message says which thread of its sender asks. That is no hole: threads share
    /// memory, so whoever has taken over one has them all. Only those that have ended
    /// keep rights that the others have laid down.
    fn require_standing(&self, client: &Client, sender: Option<Sender>, thread: u32) -> Result<()> {
        let operation = "starting process";
        let refuse = |why: &'static str| {
            Error::new(ErrorKind::PermissionDenied, operation, "")
                .because(why)
                .with_hint("try again: a process with other rights gets another server")
        };
        if self.is_retired && client.number == 0 {
            return Err(refuse("the server has been left for another one"));
        }
        let sender = sender
            .filter(|sender| sender.pid == client.number_here)
            .ok_or_else(|| refuse("it is not its client who asks the server"))?;
        let status = Status::of(sender.pid, thread)?;
        let (now, place) = (status.rights()?, Place::of(&status)?);
        // Until now the number was the client's.
        let is_over = match poll::readable(&client.pidfd, Deadline::NOW) {
            Ok(()) => true,
            Err(error) if error.is_timeout() || error.is_would_block() => false,
            Err(error) => return Err(error),
        };
        if status.has_ended() || is_over {
            return Err(refuse("the calling thread has ended"));
        }
        if !place.is_among([&self.place, &client.place]) {
            return Err(refuse(
                "the calling thread is in other namespaces, another control group or root directory than the server, or hides itself",
            ));
        }
        let own = &self.standing.rights;
        let has_capabilities = own.capabilities.permitted != 0;
        let is_known = [&self.client_rights, own]
            .into_iter()
            .any(|known| now.are(known, has_capabilities));
        if !is_known || [sender.user, sender.group] != [now.users[0], now.groups[0]] {
            return Err(refuse(
                "the calling thread has not the rights that the server was started with",
            ));
        }
        Ok(())
    }

    /// Signals a process of a client, which may not do so itself any more, or has no
    /// call that would reach no other.
    fn signal(&self, index: usize, packet: Packet) {
        let Some(reply) = packet.descriptors.into_iter().next().map(Mailbox::new) else {
            return;
        };
        let sent = codec::decode(&packet.body, Vec::new()).and_then(|wanted: Send| {
            let operation = "signalling process";
            // Until we reap it, the number is the child's.
            let client = self.clients[index].number;
            let pid = Pid::from_raw(wanted.pid.cast_signed())
                .filter(|pid| self.children.get(pid).is_some_and(|it| it.client == client));
            let sent = match pid.map(|pid| pid.as_raw_nonzero().get()) {
                Some(pid) if wanted.to_group => signals::send_by_number(-pid, wanted.signal),
                Some(pid) => signals::send_by_number(pid, wanted.signal),
                None => Err(Errno::SRCH),
            };
            sent.during(operation, wanted.pid)
        });
        let _ = match sent {
            Ok(()) => reply.try_send(Kind::Signalled, &codec::Encoded::empty()),
            Err(error) => reply.try_send_value(Kind::Failed, &error),
        };
    }

    /// Tells a client which of its processes there are.
    fn list(&self, index: usize, packet: Packet) {
        let client = self.clients[index].number;
        let number = |pid: &Pid| pid.as_raw_nonzero().get().cast_unsigned();
        let its = self.children.iter().filter(|(_, it)| it.client == client);
        let its: Vec<u32> = its.map(|(pid, _)| number(pid)).collect();
        if let Some(reply) = packet.descriptors.into_iter().next().map(Mailbox::new) {
            let _ = reply.try_send_value(Kind::Listed, &its);
        }
    }

    /// Ends when it has nobody to watch over and nobody will ask for more.
    fn end_if_idle(&self) {
        if self.is_retired
            && self.clients.len() == 1
            && self.children.is_empty()
            && children_of_this().is_empty()
        {
            sys::exit_now(0)
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
            // By the same call that told of it: a filter may refuse another.
            let Ok(Some(status)) = reap_by(WaitId::Pid(pid)) else {
                break;
            };
            // An orphan that we inherited is nobody's business.
            let Some(child) = child else {
                continue;
            };
            let killed = status.signal() == Some(Signal::KILL);
            let ended = Ended {
                status: status.raw(),
                timed_out: killed
                    && child
                        .deadline
                        .is_some_and(|deadline| child.started.elapsed() >= deadline),
                out_of_memory: killed && self.memory_kills.has_risen(),
                at: monotonic(),
            };
            let _ = child.client_mailbox.try_send_value(Kind::Ended, &ended);
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
    // Kernels without that file: the long way.
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_else(|_| {
        let all = crate::process::inspect::direct_children().unwrap_or_default();
        let pids: Vec<String> = all.iter().map(|child| child.pid.to_string()).collect();
        pids.join(" ")
    });
    text.split_whitespace()
        .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        .collect()
}

/// What came of a client's message.
enum Answer {
    Done,
    Gone,
    /// This is the process that was asked for.
    Born(Box<Birth>),
}

/// Tells a client that its process cannot be had.
fn refuse(mailbox: &Mailbox, error: &Error) -> Answer {
    let _ = mailbox.try_send_value(Kind::Failed, error);
    Answer::Done
}
