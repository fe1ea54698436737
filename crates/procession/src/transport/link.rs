//! A channel before it is taken apart.

use super::frame::Inbox;
use super::{Channel, MAX_SENDERS, Options, Receiver, Sender, Ticket, Transport};
use super::{channels, connect, fifo, file, queue, ring, shared_queue, stream, udp};
use crate::os::pipe;
use crate::{Error, ErrorKind, Result};

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
            Transport::Queue => Box::new(shared_queue::SharedQueue::new()?),
            Transport::Channel => Box::new(channels::Channels::new(senders)?),
            #[cfg(feature = "redis")]
            Transport::Redis => Box::new(super::redis::RedisChannel::new(
                options.redis_url.as_deref(),
            )?),
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
        let number = u32::try_from(index).ok().filter(|_| index < self.senders);
        let number = number.ok_or_else(|| self.no_sender(index))?;
        let Link {
            transport,
            channel,
            presence,
            ..
        } = self;
        let route = channel.route(index)?;
        // Closes all other ends.
        drop(channel);
        Ok(Sender::new(transport, number, route.open()?, presence.1))
    }

    /// The right to be sender `index`, for a process that is not forked from
    /// this one. Take it once; then keep the [receiver](Link::into_receiver).
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is no such sender;
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor left.
    pub fn ticket(&self, index: usize) -> Result<Ticket> {
        let number = u32::try_from(index).ok().filter(|_| index < self.senders);
        Ok(Ticket {
            transport: self.transport,
            index: number.ok_or_else(|| self.no_sender(index))?,
            presence: self.presence.1.try_clone()?,
            route: self.channel.route(index)?,
        })
    }

    fn no_sender(&self, index: usize) -> Error {
        let (transport, senders) = (self.transport, self.senders);
        Error::new(ErrorKind::InvalidInput, "taking sender", transport)
            .because(format!("sender {index} of {senders}"))
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
        Ok(Receiver::new(
            transport,
            channel.into_inlet()?,
            inbox,
            presence.0,
        ))
    }
}
