//! `procession send`: messages from the shell.

use crate::address::{ADDRESSES, Address, OtherUsers};
use crate::failure::{Failure, system};
use crate::host::{Host, key};
use crate::lines::{Lines, Stream};
use crate::manager::queue::RemoteQueue;
use crate::options::duration;
use crate::waiting::Waiting;
use clap::Args;
use procession::__private::error::ErrorBuilder;
use procession::channel::{self, Endpoint, SendTimeoutError};
use procession::os::{pipe, posix, sysv};
use procession::process::Inherited;
use procession::queue::{self, Sender};
use procession::{Deadline, Error, ErrorKind};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args, Debug)]
#[command(after_long_help = ADDRESSES)]
pub(crate) struct Arguments {
    /// Address to send to, such as fifo:PATH or queue:NAME; see --help.
    #[arg(value_parser = Address::parse)]
    pub(crate) address: Address,
    /// Messages to send; without any, each line of standard input is one.
    pub(crate) messages: Vec<String>,
    /// Send all of standard input as one message; to a stream, unchanged.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Longest wait for a receiver and for room (examples: 500ms, 2s).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Priority in a POSIX message queue.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) priority: u32,
    /// Type in a System V message queue.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) kind: i64,
    /// Close the queue after sending: nothing more can be sent to it, and its receivers end.
    #[arg(long)]
    pub(crate) close: bool,
    #[command(flatten)]
    pub(crate) other_users: OtherUsers,
    /// File with the key for a network connection.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Sizes of a message queue that is made here.
pub(crate) const MESSAGES: usize = 10;
pub(crate) const MESSAGE_BYTES: usize = 8192;

/// Messages that may wait in a queue of ours that is made here.
pub(crate) const CAPACITY: usize = 1024;

enum Sink {
    File(File, PathBuf),
    Fifo(pipe::Writer),
    Channel(Box<Endpoint<[u8], [u8]>>),
    Udp(UdpSocket),
    PosixQueue(posix::MessageQueue, u32),
    SysvQueue(sysv::MessageQueue, i64),
    Queue(Sender<[u8]>, String),
    Remote(Box<RemoteQueue>),
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Only a queue of ours has something to be left in order.
    let mut waiting = match &arguments.address {
        Address::Queue(_) => Waiting::new(arguments.timeout)?,
        _ => Waiting::ended_by_signals(arguments.timeout),
    };
    arguments.other_users.check(&arguments.address)?;
    if arguments.close && matches!(arguments.address, Address::Remote(_)) {
        let why = "--close applies only to queue:NAME; a queue of a manager stays open";
        return Err(Failure::Usage(why.to_owned()));
    }
    let mut sink = Sink::open(arguments)?;
    if arguments.messages.is_empty() {
        send_input(&mut sink, arguments.raw, &mut waiting)?;
    }
    for message in &arguments.messages {
        sink.send(message.as_bytes(), arguments.raw, &mut waiting)?;
    }
    sink.finish(arguments.close, &mut waiting)
}

/// Sends the lines of standard input, or all of it as one message.
fn send_input(sink: &mut Sink, raw: bool, waiting: &mut Waiting) -> Result<(), Failure> {
    if Inherited::had_closed(0) {
        // The null device that stands in its place would be an empty message.
        return Err(Failure::Input(rustix::io::Errno::BADF.into()));
    }
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let input = input.map_err(|error| Failure::copying("standard input", error))?;
    let mut input = Stream::File(input.into(), "standard input".to_owned());
    let mut lines = Lines::new(raw);
    let (mut piece, mut whole) = (Vec::new(), Vec::new());
    // However long it takes somebody to type.
    while waiting.attempt_long(|deadline| lines.next(&mut input, &mut piece, deadline))? {
        match raw {
            true => whole.extend_from_slice(&piece),
            false => sink.send(&piece, false, waiting)?,
        }
    }
    if raw {
        sink.send(&whole, true, waiting)?;
    }
    Ok(())
}

/// Opens a file that is one, or is to be made: opening others may wait for ever.
pub(crate) fn plain_file(path: &Path, options: &std::fs::OpenOptions) -> Result<File, Failure> {
    if std::fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        let path = path.display();
        return Err(Failure::Usage(format!(
            "{path} is not a regular file; use fifo:{path} for a FIFO"
        )));
    }
    let file = options.open(path);
    file.map_err(|error| Failure::File(path.to_owned(), error))
}

impl Sink {
    fn open(arguments: &Arguments) -> Result<Sink, Failure> {
        let deadline = Deadline::from(arguments.timeout);
        Ok(match &arguments.address {
            Address::File(path) => {
                let file = plain_file(path, File::options().append(true).create(true))?;
                Sink::File(file, path.clone())
            }
            Address::Fifo(path) => {
                let others = &arguments.other_users;
                let made = match others.of {
                    Some(_) => others.open_fifo(path),
                    None => others.make_fifo(path),
                };
                let fifo = match made {
                    Err(error) if error.is_already_exists() => others.open_fifo(path)?,
                    outcome => outcome?,
                };
                Sink::Fifo(fifo.writer_deadline(deadline)?)
            }
            Address::Unix(path) => {
                let address = channel::Address::unix(path);
                Sink::Channel(Box::new(channel::connect_deadline(&address, deadline)?))
            }
            Address::Tcp(host) => {
                let address = host.address(key(arguments.key_file.as_deref())?);
                Sink::Channel(Box::new(channel::connect_deadline(&address, deadline)?))
            }
            Address::Udp(host) => {
                let socket = connected(host).map_err(Failure::Network)?;
                Sink::Udp(socket)
            }
            Address::PosixQueue(name) => {
                let queue = posix::MessageQueue::open_or_create(name, MESSAGES, MESSAGE_BYTES)?;
                Sink::PosixQueue(queue, arguments.priority)
            }
            Address::SysvQueue(key) => {
                let queue = arguments.other_users.queue(*key)?;
                Sink::SysvQueue(queue, arguments.kind)
            }
            Address::Queue(name) => {
                let (sender, _) = queue::open_or_create_bytes(name, CAPACITY)?;
                Sink::Queue(sender, name.clone())
            }
            Address::Remote(place) => {
                let queue = RemoteQueue::open(place, arguments.key_file.as_deref())?;
                Sink::Remote(Box::new(queue))
            }
        })
    }

    /// Sends a message; to a stream, a line, unless it is to be as it is.
    fn send(&mut self, message: &[u8], raw: bool, waiting: &mut Waiting) -> Result<(), Failure> {
        let as_line = || match raw {
            true => message.to_vec(),
            false => [message, b"\n"].concat(),
        };
        match self {
            Sink::File(file, path) => file.write_all(&as_line()).map_err(|error| {
                let path = path.display();
                Failure::Library(system("writing to", path, &error))
            }),
            Sink::Fifo(writer) => {
                let line = as_line();
                let mut left = &line[..];
                while !left.is_empty() {
                    let written =
                        waiting.attempt(|deadline| writer.write_deadline(left, deadline))?;
                    left = &left[written..];
                }
                Ok(())
            }
            Sink::Channel(end) => waiting.attempt_whole(|deadline| {
                end.send_bytes_deadline(message, deadline)
                    .map_err(of_sending)
            }),
            Sink::Udp(socket) => socket.send(message).map(drop).map_err(Failure::Network),
            Sink::PosixQueue(queue, priority) => {
                waiting.attempt(|deadline| queue.send_deadline(message, *priority, deadline))
            }
            Sink::SysvQueue(queue, kind) => {
                waiting.attempt(|deadline| queue.send_deadline(*kind, message, deadline))
            }
            Sink::Remote(queue) => queue.send(message, waiting.deadline()),
            Sink::Queue(sender, _) => waiting.attempt(|deadline| {
                sender
                    .send_bytes_deadline(message, deadline)
                    .map_err(of_sending)
            }),
        }
    }

    /// Waits until the messages that were sent cannot be lost any more.
    fn finish(self, close: bool, waiting: &mut Waiting) -> Result<(), Failure> {
        if let Sink::Queue(sender, name) = self {
            if close {
                sender.close()?;
            }
            // It goes with its last user: it has to have another one, or be empty.
            let joined = waiting.attempt(|deadline| sender.join_deadline(deadline));
            joined.map_err(|failure| match failure {
                Failure::Library(error) if error.is_timeout() => Failure::Undelivered {
                    queue: name,
                    waiting: sender.len(),
                },
                other => other,
            })?;
        }
        Ok(())
    }
}

/// Why a message was not sent.
fn of_sending(error: SendTimeoutError<()>) -> Error {
    let operation = "sending";
    match error {
        SendTimeoutError::Failed((), error) => error,
        SendTimeoutError::Timeout((), ..) => ErrorBuilder::new(ErrorKind::TimedOut, operation, "")
            .because("timed out: the other side has no room")
            .build(),
        SendTimeoutError::Disconnected((), ..) => {
            ErrorBuilder::new(ErrorKind::Disconnected, operation, "")
                .because("no receiver is left")
                .build()
        }
    }
}

/// A socket that sends to a host, at the first of its addresses where that is
/// possible.
fn connected(host: &Host) -> std::io::Result<UdpSocket> {
    let mut outcome = Err(std::io::ErrorKind::NotFound.into());
    for address in host.pair().to_socket_addrs()? {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        outcome = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
