//! The end that messages come out of.

use crate::inbox::{Arrival, Inbox};
use crate::mechanism::Inlet;
use crate::transport::Transport;
use procession::__private::transport::{about, poll, timed_out};
use procession::os::pipe;
use procession::{Deadline, Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

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
/// [`WorkerGroup`](super::WorkerGroup) watches processes too and tells at once.
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
                let error = Error::new(ErrorKind::Other, "receiving", self.transport);
                Delivery::Failed {
                    sender,
                    error: error.because(reason),
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
