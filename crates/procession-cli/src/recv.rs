//! `procession recv`: messages to the shell.

use crate::args::RecvArguments;
use crate::failure::Failure;
use crate::failure::system;
use crate::lines::{Lines, PIECE, Stream};
use crate::output::Output;
use crate::place::Place;
use crate::send::{CAPACITY, MESSAGE_BYTES, MESSAGES, key, plain_file};
use crate::waiting::Waiting;
use procession::channel::{Address, Endpoint, Listener, RecvTimeoutError};
use procession::os::{posix, sysv};
use procession::queue::{self, Receiver};
use procession::{Deadline, Error, ErrorKind, poll};
use std::net::UdpSocket;

enum Source {
    Stream(Stream, Lines),
    Channel(Box<Connections>),
    Udp(UdpSocket),
    /// Of the kernel, with whether types are printed.
    PosixQueue(posix::MessageQueue, bool),
    SysvQueue(sysv::MessageQueue, sysv::Select, bool),
    Queue(Receiver<[u8]>),
}

/// A message, behind its type if that is to be printed.
fn fill(into: &mut Vec<u8>, message: &[u8], kind: Option<i64>) {
    into.clear();
    if let Some(kind) = kind {
        into.extend_from_slice(format!("{kind}\t").as_bytes());
    }
    into.extend_from_slice(message);
}

/// Refuses options that say nothing about the place.
fn check(arguments: &RecvArguments) -> Result<(), Failure> {
    let is_sysv = matches!(arguments.place, Place::SysvQueue(_));
    let is_posix = matches!(arguments.place, Place::PosixQueue(_));
    let why = if arguments.kind.is_some() && !is_sysv {
        "--kind is for sysv-mq:KEY"
    } else if arguments.with_kind && !is_sysv && !is_posix {
        "--with-kind is for sysv-mq:KEY and posix-mq:/NAME"
    } else {
        return arguments.others.check(&arguments.place);
    };
    Err(Failure::Usage(why.to_owned()))
}

/// Connections, one after the other.
struct Connections {
    listener: Listener<[u8], [u8]>,
    connection: Option<Endpoint<[u8], [u8]>>,
    follow: bool,
}

/// What came of receiving; `false` is the end.
fn received(outcome: Result<(), RecvTimeoutError>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(RecvTimeoutError::Disconnected) => Ok(false),
        Err(RecvTimeoutError::Timeout) => {
            Err(Error::new(ErrorKind::TimedOut, "receiving", "").because("nothing came"))
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

/// What is removed at the end: what was made here, or what was asked to be.
#[derive(Default)]
struct Leftover(Option<Box<dyn FnOnce()>>);

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Some(remove) = self.0.take() {
            remove();
        }
    }
}

pub(crate) fn run(arguments: &RecvArguments) -> Result<(), Failure> {
    check(arguments)?;
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

impl Source {
    fn open(arguments: &RecvArguments, leftover: &mut Leftover) -> Result<Source, Failure> {
        let lines = Lines::new(arguments.raw);
        let follow = arguments.follow;
        let listen = |address: Address| {
            Listener::bind(&address).map(|listener| {
                Source::Channel(Box::new(Connections {
                    listener,
                    connection: None,
                    follow,
                }))
            })
        };
        Ok(match &arguments.place {
            Place::File(path) => {
                let file = plain_file(path, std::fs::OpenOptions::new().read(true))?;
                Source::Stream(Stream::File(file, path.display().to_string()), lines)
            }
            Place::Fifo(path) => {
                let others = &arguments.others;
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
            Place::Unix(path) => listen(Address::unix(path))?,
            Place::Tcp(host) => {
                let key = key(arguments.key_file.as_deref())?;
                listen(host.address(key))?
            }
            Place::Udp(host) => {
                let socket = UdpSocket::bind(host.pair()).and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    Ok(socket)
                });
                Source::Udp(socket.map_err(Failure::Network)?)
            }
            Place::PosixQueue(name) => {
                let queue = posix::MessageQueue::open_or_create(name, MESSAGES, MESSAGE_BYTES)?;
                if arguments.remove {
                    let name = name.clone();
                    leftover.0 = Some(Box::new(move || drop(posix::MessageQueue::unlink(&name))));
                }
                Source::PosixQueue(queue, arguments.with_kind)
            }
            Place::SysvQueue(key) => {
                let queue = arguments.others.queue(*key)?;
                if arguments.remove {
                    let id = queue.id();
                    leftover.0 = Some(Box::new(move || {
                        drop(sysv::MessageQueue::from_id(id).remove());
                    }));
                }
                let select = arguments.kind.unwrap_or(sysv::Select::First);
                Source::SysvQueue(queue, select, arguments.with_kind)
            }
            Place::Queue(name) => Source::Queue(queue::open_or_create_bytes(name, CAPACITY)?.1),
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
