//! The receiving end.

use crate::inbox::{Arrival, Inbox};
use crate::mechanism::Inlet;
use crate::transport::Transport;
use procession::__private::error::ErrorBuilder;
use procession::__private::transport::{about, poll, timed_out};
use procession::os::pipe;
use procession::{Deadline, Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// What a [`Receiver`] receives.
#[derive(Debug)]
pub enum Delivery {
    /// A whole message.
    Message {
        /// The number of its sender.
        sender: usize,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A sender has finished.
    Finished {
        /// Which one.
        sender: usize,
    },
    /// A sender has given up, has died, or has broken the rules of the channel; nothing
    /// more comes from it.
    Failed {
        /// Which one.
        sender: usize,
        /// What it said, or what it did wrong.
        error: Error,
    },
}

/// The receiving end of a [`FanIn`](crate::FanIn).
///
/// # If a process dies
/// A receiver watches the channel, not the processes. It may notice the death of a sender
/// only when the last sender is gone, and returns a [`Delivery::Failed`] then. A
/// [`WorkerGroup`](super::WorkerGroup) watches the processes as well, and reports each
/// death when it notices it.
///
/// # Examples
/// ```
/// use procession::Deadline;
/// use procession_transport::{Delivery, FanIn, Options, Transport};
/// use std::time::Duration;
/// let fan_in = FanIn::open(Transport::SocketPair, 1, &Options::default())?;
/// let mut sender = fan_in.sender_token(0)?.into_sender()?;
/// let mut receiver = fan_in.into_receiver()?;
/// assert_eq!(receiver.transport(), Transport::SocketPair);
/// assert!(receiver.try_receive().unwrap_err().is_would_block());
/// sender.send(b"one")?;
/// let delivery = receiver.receive_timeout(Duration::from_secs(5))?;
/// assert!(matches!(delivery, Some(Delivery::Message { sender: 0, .. })));
/// drop(sender);
/// let deadline = Deadline::after(Duration::from_secs(5));
/// let delivery = receiver.receive_deadline(deadline)?;
/// assert!(matches!(delivery, Some(Delivery::Failed { sender: 0, .. })));
/// assert!(receiver.receive()?.is_none());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Receiver {
    transport: Transport,
    inlet: Box<dyn Inlet>,
    pub(crate) inbox: Inbox,
    /// At its end when every sender is gone.
    presence: pipe::Reader,
}

impl Receiver {
    pub(crate) fn new(
        transport: Transport,
        inlet: Box<dyn Inlet>,
        inbox: Inbox,
        presence: pipe::Reader,
    ) -> Receiver {
        Receiver {
            transport,
            inlet,
            inbox,
            presence,
        }
    }

    /// Returns the mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Blocks until the next delivery; returns `None` when every sender has finished or
    /// failed.
    ///
    /// # Errors
    /// The channel as a whole has failed.
    pub fn receive(&mut self) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::NEVER)
    }

    /// Returns the next delivery if it is there, without blocking.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as
    /// [`receive`](Receiver::receive).
    pub fn try_receive(&mut self) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::NOW)
    }

    /// Blocks until the next delivery, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as
    /// [`receive`](Receiver::receive).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>> {
        self.receive_deadline(Deadline::after(timeout))
    }

    /// Blocks until the next delivery, at most until `deadline`.
    ///
    /// # Errors
    /// As [`receive_timeout`](Receiver::receive_timeout).
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
                    ErrorBuilder::new(ErrorKind::Disconnected, "receiving", self.transport)
                        .because("the sender is gone and had not finished")
                        .build()
                });
                continue;
            }
            if deadline.has_passed() {
                return Err(timed_out(deadline, "receiving", self.transport));
            }
            let also = [self.presence.as_fd()];
            let waited = self.inlet.wait(&also, deadline);
            waited.map_err(|error| about(error, self.transport))?;
        }
    }

    fn deliver(&self, arrival: Arrival) -> Delivery {
        match arrival {
            Arrival::Message { sender, bytes } => Delivery::Message { sender, bytes },
            Arrival::End { sender } => Delivery::Finished { sender },
            Arrival::Failure { sender, reason } => {
                let error = ErrorBuilder::new(ErrorKind::Other, "receiving", self.transport);
                Delivery::Failed {
                    sender,
                    error: error.because(reason).build(),
                }
            }
            Arrival::Broken { sender, error } => Delivery::Failed {
                sender,
                error: about(error, self.transport),
            },
        }
    }

    pub(crate) fn drain(&mut self) -> Result<bool> {
        self.inlet
            .drain(&mut self.inbox)
            .map_err(|error| about(error, self.transport))
    }

    pub(crate) fn drain_dead(&mut self, sender: usize) -> Result<()> {
        let outcome = self.inlet.drain_dead(sender, &mut self.inbox);
        outcome.map_err(|error| about(error, self.transport))
    }

    pub(crate) fn wait(&mut self, also: &[BorrowedFd<'_>], deadline: Deadline) -> Result<()> {
        self.inlet
            .wait(also, deadline)
            .map_err(|error| about(error, self.transport))
    }
}
