//! `procession recv`: messages to the shell.

use crate::address::{ADDRESSES, Address, OtherUsers};
use crate::failure::Failure;
use crate::failure::system;
use crate::host::key;
use crate::lines::{Lines, PIECE, Stream};
use crate::manager::queue::RemoteQueue;
use crate::options::duration;
use crate::output::Output;
use crate::send::{CAPACITY, MESSAGE_BYTES, MESSAGES, plain_file};
use crate::waiting::Waiting;
use clap::Args;
use procession::__private::error::ErrorBuilder;
use procession::channel::{self, Endpoint, Listener, RecvTimeoutError};
use procession::os::{posix, sysv};
use procession::queue::{self, Receiver};
use procession::{Deadline, Error, ErrorKind, poll};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

/// A selection of System V messages: one type, or the lowest type up to a limit.
fn selection(text: &str) -> Result<sysv::Select, String> {
    match text.parse::<i64>() {
        Ok(kind @ 1..) => Ok(sysv::Select::Type(kind)),
        Ok(kind) if kind < 0 && kind > i64::MIN => Ok(sysv::Select::UpTo(-kind)),
        _ => Err(format!(
            "invalid type {text:?} (examples: 3; -3 for the types up to 3)"
        )),
    }
}

#[derive(Args, Debug)]
#[command(after_long_help = ADDRESSES)]
pub(crate) struct Arguments {
    /// Address to receive from, such as fifo:PATH or queue:NAME; see --help.
    #[arg(value_parser = Address::parse)]
    pub(crate) address: Address,
    /// Exit after N messages or lines.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Print the bytes unchanged, without line ends.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Longest wait for each message (examples: 500ms, 2s); then exit with code 124.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// When the other side has ended, continue with the next one.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Remove the kernel's message queue at the end.
    #[arg(long)]
    pub(crate) remove: bool,
    /// Receive only messages of type N from a System V message queue; with -N, the
    /// first message of the lowest type up to N. Other messages stay in the queue.
    #[arg(long, value_name = "N", value_parser = selection, allow_hyphen_values = true)]
    pub(crate) kind: Option<sysv::Select>,
    /// Print the type of each System V message, or the priority of each POSIX message,
    /// and a tab before the message.
    #[arg(long, conflicts_with = "raw")]
    pub(crate) with_kind: bool,
    #[command(flatten)]
    pub(crate) other_users: OtherUsers,
    /// File with the key for a network connection.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

enum Source {
    Stream(Stream, Lines),
    Channel(Box<Connections>),
    Udp(UdpSocket),
    /// Of the kernel, with whether types are printed.
    PosixQueue(posix::MessageQueue, bool),
    SysvQueue(sysv::MessageQueue, sysv::Select, bool),
    Queue(Receiver<[u8]>),
}

/// A message, with its type if that is printed.
fn fill(into: &mut Vec<u8>, message: &[u8], kind: Option<i64>) {
    into.clear();
    if let Some(kind) = kind {
        into.extend_from_slice(format!("{kind}\t").as_bytes());
    }
    into.extend_from_slice(message);
}

/// Refuses options that say nothing about the place.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    let is_sysv = matches!(arguments.address, Address::SysvQueue(_));
    let is_posix = matches!(arguments.address, Address::PosixQueue(_));
    let why = if arguments.kind.is_some() && !is_sysv {
        "--kind applies only to sysv-mq:KEY"
    } else if arguments.with_kind && !is_sysv && !is_posix {
        "--with-kind applies only to sysv-mq:KEY and posix-mq:/NAME"
    } else {
        return arguments.other_users.check(&arguments.address);
    };
    Err(Failure::Usage(why.to_owned()))
}

/// Connections, one after the other.
struct Connections {
    listener: Listener<[u8], [u8]>,
    connection: Option<Endpoint<[u8], [u8]>>,
    follow: bool,
}

/// The outcome of receiving; `false` at the end.
fn received(outcome: Result<(), RecvTimeoutError>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(RecvTimeoutError::Disconnected(..)) => Ok(false),
        Err(RecvTimeoutError::Timeout(..)) => {
            Err(ErrorBuilder::new(ErrorKind::TimedOut, "receiving", "")
                .because("timed out: no message arrived")
                .build())
        }
        Err(RecvTimeoutError::Failed(error)) => Err(error),
    }
}

impl Connections {
    fn next(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool, Error> {
        loop {
            let end = match &mut self.connection {
                Some(end) => end,
                None => {
                    let accepted = self.listener.accept_deadline(deadline)?;
                    self.connection.insert(accepted)
                }
            };
            if received(end.recv_bytes_deadline(into, deadline))? {
                return Ok(true);
            }
            if !self.follow {
                return Ok(false);
            }
            self.connection = None;
        }
    }
}

/// What is removed at the end: objects that were made here, or that the user asked to remove.
#[derive(Default)]
struct Leftover(Option<Box<dyn FnOnce()>>);

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Some(remove) = self.0.take() {
            remove();
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    check(arguments)?;
    if let Address::Remote(place) = &arguments.address {
        let queue = RemoteQueue::open(place, arguments.key_file.as_deref())?;
        return receive_remote(arguments, &queue);
    }
    let mut waiting = Waiting::new(arguments.timeout)?;
    let mut leftover = Leftover::default();
    let mut source = Source::open(arguments, &mut leftover)?;
    let mut output = Output::new()?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut message = Vec::new();
    while left > 0 {
        if !waiting.attempt(|deadline| source.next(&mut message, deadline))? {
            break;
        }
        left -= 1;
        if !arguments.raw {
            message.push(b'\n');
        }
        output.write(&message, &mut waiting)?;
    }
    Ok(())
}

/// Receives from a queue of a manager. A signal ends this program at any point: what was not acknowledged goes to
/// another receiver.
fn receive_remote(arguments: &Arguments, queue: &RemoteQueue) -> Result<(), Failure> {
    let mut waiting = Waiting::ended_by_signals(arguments.timeout);
    let mut output = Output::new()?;
    let mut message = Vec::new();
    for _ in 0..arguments.count.unwrap_or(u64::MAX) {
        let delivery = queue.recv(&mut message, waiting.deadline())?;
        if !arguments.raw {
            message.push(b'\n');
        }
        output.write(&message, &mut waiting)?;
        delivery.ack()?;
    }
    Ok(())
}

impl Source {
    fn open(arguments: &Arguments, leftover: &mut Leftover) -> Result<Source, Failure> {
        let lines = Lines::new(arguments.raw);
        let follow = arguments.follow;
        let listen = |address: channel::Address| {
            Listener::bind(&address).map(|listener| {
                Source::Channel(Box::new(Connections {
                    listener,
                    connection: None,
                    follow,
                }))
            })
        };
        Ok(match &arguments.address {
            Address::File(path) => {
                let file = plain_file(path, std::fs::OpenOptions::new().read(true))?;
                Source::Stream(Stream::File(file, path.display().to_string()), lines)
            }
            Address::Fifo(path) => {
                let others = &arguments.other_users;
                let made = match others.of {
                    Some(_) => None,
                    None => match others.make_fifo(path) {
                        Err(error) if error.is_already_exists() => None,
                        outcome => Some(outcome?),
                    },
                };
                let fifo = match made {
                    Some(fifo) => {
                        let ours = fifo.clone();
                        leftover.0 = Some(Box::new(move || drop(ours.unlink())));
                        fifo
                    }
                    None => others.open_fifo(path)?,
                };
                let reader = fifo.reader()?;
                Source::Stream(Stream::Fifo { reader, follow }, lines)
            }
            Address::Unix(path) => listen(channel::Address::unix(path))?,
            Address::Tcp(host) => {
                let key = key(arguments.key_file.as_deref())?;
                listen(host.address(key))?
            }
            Address::Udp(host) => {
                let socket = UdpSocket::bind(host.pair()).and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                });
                Source::Udp(socket.map_err(Failure::Network)?)
            }
            Address::PosixQueue(name) => {
                let queue = posix::MessageQueue::open_or_create(name, MESSAGES, MESSAGE_BYTES)?;
                if arguments.remove {
                    let name = name.clone();
                    leftover.0 = Some(Box::new(move || drop(posix::MessageQueue::unlink(&name))));
                }
                Source::PosixQueue(queue, arguments.with_kind)
            }
            Address::SysvQueue(key) => {
                let queue = arguments.other_users.queue(*key)?;
                if arguments.remove {
                    let id = queue.id();
                    leftover.0 = Some(Box::new(move || {
                        drop(sysv::MessageQueue::from_id(id).remove());
                    }));
                }
                let select = arguments.kind.unwrap_or(sysv::Select::First);
                Source::SysvQueue(queue, select, arguments.with_kind)
            }
            Address::Queue(name) => Source::Queue(queue::open_or_create_bytes(name, CAPACITY)?.1),
            // Has a loop of its own.
            Address::Remote(place) => return Err(Failure::Usage(place.to_string())),
        })
    }

    /// Receives a message; `false` is the end.
    fn next(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<bool, Error> {
        match self {
            Source::Stream(stream, lines) => lines.next(stream, into, deadline),
            Source::Channel(connections) => connections.next(into, deadline),
            Source::Udp(socket) => {
                poll::readable(&*socket, deadline)?;
                into.resize(PIECE, 0);
                let length = socket.recv(into);
                let length = length.map_err(|error| system("receiving", "datagram", &error))?;
                into.truncate(length);
                Ok(true)
            }
            Source::PosixQueue(queue, with_kind) => {
                let (message, priority) = queue.receive_deadline(deadline)?;
                fill(into, &message, with_kind.then_some(priority.into()));
                Ok(true)
            }
            Source::SysvQueue(queue, select, with_kind) => {
                let (message, kind) = queue.receive_deadline(*select, deadline)?;
                fill(into, &message, with_kind.then_some(kind));
                Ok(true)
            }
            Source::Queue(receiver) => {
                received(receiver.recv_bytes_deadline(into, deadline).map(drop))
            }
        }
    }
}
