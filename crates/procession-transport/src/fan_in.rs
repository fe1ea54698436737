//! A channel with many senders and one receiver, before it is taken apart.

use crate::inbox::Inbox;
use crate::options::{MAX_SENDERS, Options};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::sender_token::SenderToken;
use crate::transport::{AnyChannel, Transport};
use procession::__private::error::ErrorBuilder;
use procession::os::pipe;
use procession::{Error, ErrorKind, Result};

/// A channel with many senders and one receiver, all of whose ends this process still
/// has.
///
/// # If a process dies
/// The ends that it holds are closed. Names that the channel owns are removed by the
/// next program that makes one.
///
/// # Across fork and exec
/// It is opened before the fork. Each child calls [`into_sender`](FanIn::into_sender),
/// the parent [`into_receiver`](FanIn::into_receiver); both close the ends that they do
/// not keep. A process that is not forked from this one gets a
/// [`sender_token`](FanIn::sender_token).
///
/// # Examples
/// ```
/// use procession::process::{self, Fork};
/// use procession_transport::{Delivery, FanIn, Options, Transport};
/// let fan_in = FanIn::open(Transport::Fifo, 1, &Options::default())?;
/// assert_eq!((fan_in.transport(), fan_in.senders()), (Transport::Fifo, 1));
/// match process::fork()? {
///     Fork::Child => {
///         let mut sender = fan_in.into_sender(0).unwrap();
///         sender.send(b"hello").unwrap();
///         sender.finish().unwrap();
///         process::exit(0);
///     }
///     Fork::Parent(child) => {
///         let mut receiver = fan_in.into_receiver()?;
///         let Some(Delivery::Message { sender: 0, bytes }) = receiver.receive()? else {
///             panic!("the message comes first");
///         };
///         assert_eq!(bytes, b"hello");
///         assert!(matches!(receiver.receive()?, Some(Delivery::Finished { sender: 0 })));
///         assert!(receiver.receive()?.is_none());
///         assert!(child.wait()?.success());
///     }
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "Link")]
#[derive(Debug)]
pub struct FanIn {
    transport: Transport,
    senders: usize,
    max_message: u64,
    channel: AnyChannel,
    /// A pipe that nobody writes to: senders hold the writing end, so that the
    /// receiver sees its end when the last of them is gone.
    presence: (pipe::Reader, pipe::Writer),
}

impl FanIn {
    /// Opens a channel for `senders` senders.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): no sender, or more than
    ///   [`MAX_SENDERS`]
    /// - [`LimitReached`](ErrorKind::LimitReached),
    ///   [`NoSpace`](ErrorKind::NoSpace): the kernel refuses the object
    /// - [`NotFound`](ErrorKind::NotFound): no Redis server
    /// - [`Untrusted`](ErrorKind::Untrusted): the directory for names is not
    ///   private
    pub fn open(transport: Transport, senders: usize, options: &Options) -> Result<FanIn> {
        if !(1..=MAX_SENDERS).contains(&senders) {
            return Err(
                ErrorBuilder::new(ErrorKind::InvalidInput, "opening transport", transport)
                    .because(format!(
                        "{senders} senders; 1 to {MAX_SENDERS} are possible"
                    ))
                    .build(),
            );
        }
        let channel = transport.open(senders, options)?;
        let max_message = options.max_message_bytes;
        Ok(FanIn {
            transport,
            senders,
            max_message,
            channel,
            presence: pipe::pipe()?,
        })
    }

    /// Returns the mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.senders
    }

    /// Keeps the end of sender `index` and closes all others.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): there is no such sender
    /// - [`Disconnected`](ErrorKind::Disconnected): the receiver is gone
    pub fn into_sender(self, index: usize) -> Result<Sender> {
        let number = u32::try_from(index).ok().filter(|_| index < self.senders);
        let number = number.ok_or_else(|| self.no_sender(index))?;
        let FanIn {
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

    /// Returns the right to be sender `index`, for a process that is not forked from
    /// this one. Take each once; then keep the [receiver](FanIn::into_receiver).
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): there is no such sender
    /// - [`LimitReached`](ErrorKind::LimitReached): no descriptor is left
    ///
    /// # Examples
    /// See [`SenderToken`].
    #[doc(alias = "ticket")]
    pub fn sender_token(&self, index: usize) -> Result<SenderToken> {
        let number = u32::try_from(index).ok().filter(|_| index < self.senders);
        Ok(SenderToken {
            transport: self.transport,
            index: number.ok_or_else(|| self.no_sender(index))?,
            presence: self.presence.1.try_clone()?,
            route: self.channel.route(index)?,
        })
    }

    fn no_sender(&self, index: usize) -> Error {
        let (transport, senders) = (self.transport, self.senders);
        ErrorBuilder::new(ErrorKind::InvalidInput, "taking sender", transport)
            .because(format!("sender {index} of {senders}"))
            .build()
    }

    /// Keeps the receiver's end and closes all others.
    ///
    /// # Errors
    /// [`Disconnected`](ErrorKind::Disconnected): the Redis server is gone.
    pub fn into_receiver(self) -> Result<Receiver> {
        let FanIn {
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

impl Transport {
    /// Finds out whether this machine can run it, by opening a channel.
    ///
    /// # Errors
    /// The reason why it cannot.
    ///
    /// # Cost
    /// Makes and removes the kernel object; for Redis without a URL it starts
    /// and stops a server.
    ///
    /// # Examples
    /// ```
    /// use procession_transport::{Options, Transport};
    /// Transport::Pipe.probe(&Options::default())?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn probe(self, options: &Options) -> Result<()> {
        FanIn::open(self, 1, options).map(drop)
    }
}
