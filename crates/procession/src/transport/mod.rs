//! Many senders, one receiver, whole messages: one abstraction over every
//! channel that Unix has.
//!
//! A [`Link`] is made before forking; each child takes its [`Sender`], the
//! parent its [`Receiver`]. A [`Crew`] does all of it and turns the death of
//! a worker into an event that names it.
//!
//! # What every transport does
//!
//! - A message of 0 bytes to [`Options::max_message_bytes`] arrives whole and
//!   once, cut into frames that the kernel object takes.
//! - Senders wait when the channel is full, and hear when the receiver is
//!   gone; nothing waits for ever.
//! - Nothing stays behind: names are removed as soon as both sides hold the
//!   object, and what must keep one is removed by the next run, by proof of
//!   its owner's death, if this one is killed.
//! - Names are unguessable and private; the loopback ports ask for a token.
//!
//! # Layers
//!
//! `frame` cuts messages and puts them together; each mechanism is a
//! `Channel` that becomes an `Outlet` in a child and an `Inlet` in the parent;
//! `crew` joins them with processes.
//!
//! # Examples
//! ```
//! use procession::transport::{Crew, Event, Link, Options, Transport};
//! let link = Link::open(Transport::Pipe, 3, &Options::default())?;
//! let mut crew = Crew::start(link, |worker, sender| sender.send(&[worker as u8; 4]))?;
//! let mut received = Vec::new();
//! while let Some(event) = crew.next()? {
//!     match event {
//!         Event::Message { worker, bytes } => received.push((worker, bytes)),
//!         Event::Finished { .. } => {}
//!         Event::Failed(error) => panic!("{error}"),
//!     }
//! }
//! received.sort();
//! assert_eq!(received[2], (2, vec![2; 4]));
//! # Ok::<(), procession::Error>(())
//! ```

mod catalogue;
mod connect;
mod crew;
mod fifo;
mod file;
mod frame;
mod lease;
mod lifeline;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod ring;
mod stream;
mod udp;

pub use catalogue::{Boundaries, Facts, Lifetime, Transport};
pub use crew::{Crew, Event, Failure, Worker, WorkerError};

use crate::os::pipe;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use frame::{Arrival, HEADER_BYTES, Inbox, Kind};
use rustix::event::{PollFd, PollFlags};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Most senders of one link.
pub const MAX_SENDERS: usize = 4096;

/// On a stream, payloads up to this length are copied behind their header to
/// save a system call.
const JOIN_BYTES: usize = 16 * 1024;

/// Settings of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Longest message that the receiver takes, in bytes; a sender that
    /// announces a longer one is cut off. 1 GiB unless set.
    pub max_message_bytes: u64,
    /// Bytes that a sender may be ahead in shared memory; 64 KiB unless set.
    pub ring_bytes: Option<usize>,
    /// The Redis server to use; a private one unless set.
    pub redis_url: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_message_bytes: 1 << 30,
            ring_bytes: None,
            redis_url: None,
        }
    }
}

/// A mechanism before the fork: all ends in one process.
trait Channel: fmt::Debug {
    /// Keeps the end of one sender; in the child.
    fn into_outlet(self: Box<Self>, sender: usize) -> Result<Box<dyn Outlet>>;
    /// Keeps the receiver's ends; in the parent.
    fn into_inlet(self: Box<Self>) -> Result<Box<dyn Inlet>>;
}

/// Where a sender's frames go.
trait Outlet: fmt::Debug {
    /// Longest payload of one frame in bytes, at least 1.
    fn max_payload(&self) -> usize;
    /// Whether a frame may come in pieces; else each `put` is a whole frame.
    fn is_stream(&self) -> bool {
        false
    }
    /// Sends a frame, or a piece of one, waiting for room until the deadline.
    fn put(&mut self, bytes: &[u8], deadline: Deadline) -> Result<()>;
}

/// Where all senders' frames come from.
trait Inlet: fmt::Debug {
    /// Takes what is there without waiting; whether there was anything. Must
    /// be asked again until it says no before `wait` may be called.
    fn drain(&mut self, inbox: &mut Inbox) -> Result<bool>;
    /// Takes all that a sender, which is dead, has left.
    fn drain_dead(&mut self, sender: usize, inbox: &mut Inbox) -> Result<()>;
    /// Waits until something may be there, one of `also` is readable, or the
    /// deadline passes; may return for no reason.
    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()>;
}

/// Waits until one of `watched` or `also` is ready; tells which of `watched`.
fn wait_for(
    watched: &[BorrowedFd<'_>],
    also: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<Vec<bool>> {
    let mut descriptors: Vec<PollFd<'_>> = watched
        .iter()
        .chain(also)
        .map(|descriptor| PollFd::from_borrowed_fd(*descriptor, PollFlags::IN))
        .collect();
    poll::wait(&mut descriptors, deadline)?;
    let ready = |descriptor: &PollFd<'_>| !descriptor.revents().is_empty();
    Ok(descriptors[..watched.len()].iter().map(ready).collect())
}

/// A channel with all its ends, to be taken apart after forking.
///
/// # Across fork and exec
/// Made before the fork; each child calls [`into_sender`](Link::into_sender),
/// the parent [`into_receiver`](Link::into_receiver), and each closes with
/// that the ends that are not its own.
#[derive(Debug)]
pub struct Link {
    transport: Transport,
    senders: usize,
    max_message: u64,
    channel: Box<dyn Channel>,
    /// A pipe that nobody writes to: senders hold the writing end, so that the
    /// receiver sees its end when the last of them is gone.
    presence: (pipe::Reader, pipe::Writer),
}

impl Link {
    /// Makes a channel for `senders` senders.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no sender, or more than
    ///   [`MAX_SENDERS`]
    /// - [`LimitReached`](ErrorKind::LimitReached),
    ///   [`NoSpace`](ErrorKind::NoSpace): the kernel object cannot be had
    /// - [`NotFound`](ErrorKind::NotFound): no Redis server
    /// - [`Untrusted`](ErrorKind::Untrusted): the directory for names is not
    ///   private
    pub fn open(transport: Transport, senders: usize, options: &Options) -> Result<Link> {
        if !(1..=MAX_SENDERS).contains(&senders) {
            return Err(
                Error::new(ErrorKind::InvalidInput, "opening transport", transport).because(
                    format!("{senders} senders; 1 to {MAX_SENDERS} are possible"),
                ),
            );
        }
        let ring = options.ring_bytes;
        let channel: Box<dyn Channel> = match transport {
            Transport::File => Box::new(file::FileChannel::new(senders)?),
            Transport::Pipe => Box::new(stream::Streams::pipes(senders)?),
            Transport::Fifo => Box::new(fifo::FifoChannel::new()?),
            Transport::SocketPair => Box::new(stream::Streams::socket_pairs(senders)?),
            Transport::Unix => Box::new(connect::Connections::unix(senders)?),
            Transport::Tcp => Box::new(connect::Connections::tcp(senders)?),
            Transport::Udp => Box::new(udp::Datagrams::new()?),
            Transport::PosixMq => Box::new(queue::PosixQueue::new()?),
            Transport::SysvMq => Box::new(queue::SysvQueue::new()?),
            Transport::PosixShm => Box::new(ring::Rings::posix(senders, ring)?),
            Transport::SysvShm => Box::new(ring::Rings::sysv(senders, ring)?),
            Transport::Mmap => Box::new(ring::Rings::file(senders, ring)?),
            #[cfg(feature = "redis")]
            Transport::Redis => Box::new(redis::RedisChannel::new(options.redis_url.as_deref())?),
            #[cfg(not(feature = "redis"))]
            Transport::Redis => {
                return Err(
                    Error::new(ErrorKind::Unsupported, "opening transport", transport)
                        .because("procession was built without the feature `redis`"),
                );
            }
        };
        let max_message = options.max_message_bytes;
        Ok(Link {
            transport,
            senders,
            max_message,
            channel,
            presence: pipe::pipe()?,
        })
    }

    /// The mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// How many senders there are.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.senders
    }

    /// Keeps the end of sender `index` and closes all others.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is no such sender;
    /// [`Disconnected`](ErrorKind::Disconnected): the receiver is gone.
    pub fn into_sender(self, index: usize) -> Result<Sender> {
        let Link {
            transport,
            senders,
            channel,
            presence,
            ..
        } = self;
        let number = u32::try_from(index)
            .ok()
            .filter(|_| index < senders)
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, "taking sender", transport)
                    .because(format!("sender {index} of {senders}"))
            })?;
        let outlet = channel.into_outlet(index)?;
        Ok(Sender {
            transport,
            index: number,
            outlet,
            frame: Vec::new(),
            messages: 0,
            damage: None,
            _presence: presence.1,
        })
    }

    /// Keeps the receiver's end and closes all others.
    ///
    /// # Errors
    /// [`Disconnected`](ErrorKind::Disconnected): the Redis server is gone.
    pub fn into_receiver(self) -> Result<Receiver> {
        let Link {
            transport,
            senders,
            max_message,
            channel,
            presence,
        } = self;
        let inbox = Inbox::new(senders, max_message);
        Ok(Receiver {
            transport,
            inlet: channel.into_inlet()?,
            inbox,
            presence: presence.0,
        })
    }
}

/// One of the ends that messages go into.
///
/// # If a process dies
/// When the receiver is gone, sending fails with
/// [`Disconnected`](ErrorKind::Disconnected), within 50 ms where the kernel
/// does not say so at once. Dropping a sender without
/// [`finish`](Sender::finish) looks like a death to the receiver.
#[derive(Debug)]
pub struct Sender {
    transport: Transport,
    index: u32,
    outlet: Box<dyn Outlet>,
    /// The frame being sent, kept to be allocated once.
    frame: Vec<u8>,
    messages: u32,
    /// Why the stream of frames is out of step, if it is.
    damage: Option<Error>,
    /// Held, never written; see [`Link`].
    _presence: pipe::Writer,
}

impl Sender {
    /// Which sender this is, from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// The mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Sends a message, waiting for room as often as needed.
    ///
    /// # Errors
    /// [`Disconnected`](ErrorKind::Disconnected): the receiver is gone. After
    /// an error the sender answers every call with the same one.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NEVER)
    }

    /// Sends a message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`send`](Sender::send): part
    /// of the message may be on its way, so the sender is of no use then.
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, waiting until the deadline.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    pub fn send_deadline(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.put(Kind::Data, message, deadline)
    }

    /// Tells the receiver that this was all.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn finish(mut self) -> Result<()> {
        self.put(Kind::End, &[], Deadline::NEVER)
    }

    /// Tells the receiver that this sender gives up, and why.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn fail(mut self, reason: &str) -> Result<()> {
        self.put(Kind::Failure, reason.as_bytes(), Deadline::NEVER)
    }

    fn put(&mut self, kind: Kind, bytes: &[u8], deadline: Deadline) -> Result<()> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let max_payload = self.outlet.max_payload();
        for (header, payload) in frame::frames(kind, self.index, self.messages, bytes, max_payload)
        {
            if let Err(error) = self.put_frame(&header, payload, deadline) {
                let error = error.about(self.transport);
                self.damage = Some(error.clone());
                return Err(error);
            }
        }
        self.messages = self.messages.wrapping_add(1);
        Ok(())
    }

    fn put_frame(
        &mut self,
        header: &[u8; HEADER_BYTES],
        payload: &[u8],
        deadline: Deadline,
    ) -> Result<()> {
        if self.outlet.is_stream() && payload.len() > JOIN_BYTES {
            self.outlet.put(header, deadline)?;
            return self.outlet.put(payload, deadline);
        }
        self.frame.clear();
        self.frame.extend_from_slice(header);
        self.frame.extend_from_slice(payload);
        self.outlet.put(&self.frame, deadline)
    }
}

/// What a [`Receiver`] is told.
#[derive(Debug)]
pub enum Delivery {
    /// A whole message.
    Message {
        /// Whose it is.
        sender: usize,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A sender has finished.
    Finished {
        /// Which one.
        sender: usize,
    },
    /// A sender has given up, or broke the rules of the channel; nothing more
    /// comes from it.
    Failed {
        /// Which one.
        sender: usize,
        /// What it said, or did wrong.
        error: Error,
    },
}

/// The end that messages come out of.
///
/// # If a process dies
/// It knows channels, not processes: the death of one sender among others is
/// silent here until the last is gone, and [`Delivery::Failed`] then.
/// [`Crew`] watches processes too and tells at once.
#[derive(Debug)]
pub struct Receiver {
    transport: Transport,
    inlet: Box<dyn Inlet>,
    inbox: Inbox,
    /// At its end when every sender is gone.
    presence: pipe::Reader,
}

impl Receiver {
    /// The mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Waits for the next delivery; `None` when every sender has finished or
    /// failed.
    ///
    /// # Errors
    /// Those of the channel as a whole.
    pub fn receive(&mut self) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::NEVER)
    }

    /// The next delivery if it is there.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](Receiver::receive).
    pub fn try_receive(&mut self) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::NOW)
    }

    /// Waits for the next delivery, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](Receiver::receive).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::after(timeout))
    }

    /// Waits for the next delivery until the deadline.
    ///
    /// # Errors
    /// As [`receive`](Receiver::receive), and the deadline's.
    pub fn receive_deadline(&mut self, deadline: Deadline) -> Result<Option<Delivery>> {
        loop {
            if let Some(arrival) = self.inbox.pop() {
                return Ok(Some(self.deliver(arrival)));
            }
            if (0..self.inbox.senders()).all(|sender| self.inbox.is_closed(sender)) {
                return Ok(None);
            }
            if self.drain()? {
                continue;
            }
            if poll::readable(&self.presence, Deadline::NOW).is_ok() {
                // Whatever they sent was sent before they went.
                while self.drain()? {}
                self.inbox.close_all(|| {
                    Error::new(ErrorKind::Disconnected, "receiving", self.transport)
                        .because("the sender is gone and had not finished")
                });
                continue;
            }
            if deadline.has_passed() {
                return Err(Error::new(
                    deadline.error_kind(),
                    "receiving",
                    self.transport,
                ));
            }
            self.inlet
                .wait(&[self.presence.as_fd()], deadline)
                .map_err(|error| error.about(self.transport))?;
        }
    }

    fn deliver(&self, arrival: Arrival) -> Delivery {
        match arrival {
            Arrival::Message { sender, bytes } => Delivery::Message { sender, bytes },
            Arrival::End { sender } => Delivery::Finished { sender },
            Arrival::Failure { sender, reason } => {
                let error = Error::new(ErrorKind::Other, "receiving", self.transport);
                Delivery::Failed {
                    sender,
                    error: error.because(reason),
                }
            }
            Arrival::Broken { sender, error } => Delivery::Failed {
                sender,
                error: error.about(self.transport),
            },
        }
    }

    fn drain(&mut self) -> Result<bool> {
        self.inlet
            .drain(&mut self.inbox)
            .map_err(|error| error.about(self.transport))
    }

    fn drain_dead(&mut self, sender: usize) -> Result<()> {
        let outcome = self.inlet.drain_dead(sender, &mut self.inbox);
        outcome.map_err(|error| error.about(self.transport))
    }

    fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        self.inlet
            .wait(also, deadline)
            .map_err(|error| error.about(self.transport))
    }
}
