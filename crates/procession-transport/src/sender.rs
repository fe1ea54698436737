//! The sending end.

use crate::frame::{self, HEADER_BYTES, Kind};
use crate::mechanism::Outlet;
use crate::transport::Transport;
use procession::__private::transport::about;
use procession::os::pipe;
use procession::{Deadline, Error, Result};
use std::time::Duration;

/// On a stream, payloads up to this length are copied behind their header to
/// save a system call.
const JOIN_BYTES: usize = 16 * 1024;

/// The sending end of a [`FanIn`](crate::FanIn), one of many.
///
/// # If a process dies
/// When the receiver is gone, sending fails with
/// [`Disconnected`](procession::ErrorKind::Disconnected), some milliseconds later where
/// the kernel does not report it. To the receiver, a sender that is dropped without
/// [`finish`](Sender::finish) looks like the death of its process.
///
/// # Examples
/// ```
/// use procession_transport::{Delivery, FanIn, Options, Transport};
/// use std::time::Duration;
/// let fan_in = FanIn::open(Transport::Pipe, 2, &Options::default())?;
/// let mut first = fan_in.sender_token(0)?.into_sender()?;
/// let second = fan_in.sender_token(1)?.into_sender()?;
/// let mut receiver = fan_in.into_receiver()?;
/// assert_eq!((first.index(), first.transport()), (0, Transport::Pipe));
/// first.send_timeout(b"one", Duration::from_secs(5))?;
/// first.finish()?;
/// second.fail("no data")?;
/// let mut failed = None;
/// while let Some(delivery) = receiver.receive()? {
///     if let Delivery::Failed { sender, error } = delivery {
///         failed = Some((sender, error.to_string()));
///     }
/// }
/// let (sender, text) = failed.unwrap();
/// assert!(sender == 1 && text.contains("no data"));
/// # Ok::<(), procession::Error>(())
/// ```
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
    /// Held, never written; see [`FanIn`](super::FanIn).
    _presence: pipe::Writer,
}

impl Sender {
    pub(crate) fn new(
        transport: Transport,
        index: u32,
        outlet: Box<dyn Outlet>,
        presence: pipe::Writer,
    ) -> Sender {
        let frame = Vec::new();
        Sender {
            transport,
            index,
            outlet,
            frame,
            messages: 0,
            damage: None,
            _presence: presence,
        }
    }

    /// Returns the number of this sender, from zero.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Returns the mechanism.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Sends a message, blocking while the channel is full.
    ///
    /// # Errors
    /// [`Disconnected`](procession::ErrorKind::Disconnected): the receiver is gone. After
    /// an error, every further call fails with the same error.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NEVER)
    }

    /// Sends a message, blocking while the channel is full, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](procession::ErrorKind::TimedOut), and as [`send`](Sender::send): part
    /// of the message may be on its way, so the sender is of no use then.
    pub fn send_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_deadline(message, Deadline::after(timeout))
    }

    /// Sends a message, blocking while the channel is full, until `deadline`.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout).
    pub fn send_deadline(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.put(Kind::Data, message, deadline)
    }

    /// Tells the receiver that this sender has sent everything, blocking while the
    /// channel is full.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn finish(mut self) -> Result<()> {
        self.put(Kind::End, &[], Deadline::NEVER)?;
        self.outlet.flush()
    }

    /// Tells the receiver that this sender gives up and why, blocking while the channel
    /// is full.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn fail(mut self, reason: &str) -> Result<()> {
        self.put(Kind::Failure, reason.as_bytes(), Deadline::NEVER)?;
        self.outlet.flush()
    }

    fn put(&mut self, kind: Kind, bytes: &[u8], deadline: Deadline) -> Result<()> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let max_payload = self.outlet.max_payload();
        for (header, payload) in frame::frames(kind, self.index, self.messages, bytes, max_payload)
        {
            if let Err(error) = self.put_frame(&header, payload, deadline) {
                let error = about(error, self.transport);
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
