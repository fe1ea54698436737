//! The end that messages go into.

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

/// One of the ends that messages go into.
///
/// # If a process dies
/// When the receiver is gone, sending fails with
/// [`Disconnected`](procession::ErrorKind::Disconnected), within 10 ms where the kernel
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
    /// [`Disconnected`](procession::ErrorKind::Disconnected): the receiver is gone. After
    /// an error the sender answers every call with the same one.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.send_deadline(message, Deadline::NEVER)
    }

    /// Sends a message, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](procession::ErrorKind::TimedOut), and as [`send`](Sender::send): part
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
        self.put(Kind::End, &[], Deadline::NEVER)?;
        self.outlet.flush()
    }

    /// Tells the receiver that this sender gives up, and why.
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
