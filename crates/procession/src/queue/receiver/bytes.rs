//! Receiving byte strings, copied or read where they lie.

use super::Receiver;
use crate::Deadline;
use crate::queue::ring::Keep;
use crate::queue::{Borrowed, Hindrance, Outcome, iter};
use crate::queue::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

impl Receiver<[u8]> {
    /// Receives a message, whose bytes replace those of `into`, waiting for one.
    /// Whether it was delivered before, to somebody who died.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, RecvError> {
        self.receive_into(into, Deadline::NEVER)
            .map_err(Hindrance::of_recv)
    }

    /// [`recv_bytes`](Receiver::recv_bytes), if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, TryRecvError> {
        self.receive_into(into, Deadline::NOW)
            .map_err(Hindrance::of_try_recv)
    }

    /// [`recv_bytes`](Receiver::recv_bytes), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// [`recv_bytes`](Receiver::recv_bytes), waiting until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.receive_into(into, deadline)
            .map_err(Hindrance::of_recv_timeout)
    }

    /// Receives a message to be read where it lies, waiting for one.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// See [`Reservation`](crate::queue::Reservation).
    pub fn recv_borrowed(&self) -> std::result::Result<Borrowed, RecvError> {
        self.borrow(Deadline::NEVER).map_err(Hindrance::of_recv)
    }

    /// [`recv_borrowed`](Receiver::recv_borrowed), if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    pub fn try_recv_borrowed(&self) -> std::result::Result<Borrowed, TryRecvError> {
        self.borrow(Deadline::NOW).map_err(Hindrance::of_try_recv)
    }

    /// [`recv_borrowed`](Receiver::recv_borrowed), waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_borrowed_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.recv_borrowed_deadline(Deadline::after(timeout))
    }

    /// [`recv_borrowed`](Receiver::recv_borrowed), waiting until then at most.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    pub fn recv_borrowed_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.borrow(deadline).map_err(Hindrance::of_recv_timeout)
    }

    /// The messages that come, each to be read where it lies until it is dropped, until
    /// nothing is there and nothing will come.
    ///
    /// # Panics
    /// On any other end, with the error of
    /// [`recv_borrowed`](Receiver::recv_borrowed).
    pub fn borrowed(&self) -> impl Iterator<Item = Borrowed> + '_ {
        std::iter::from_fn(|| iter::item(self.recv_borrowed()))
    }

    fn borrow(&self, deadline: Deadline) -> Outcome<Borrowed> {
        let ring = &self.side.ring;
        let gone = || self.side.is_other_side_gone();
        let tidy = || self.side.descriptor_socket().sweep();
        let held = ring.receive(deadline, gone, tidy, |held| (held, Keep::Yes))?;
        Borrowed::new(&self.side, held)
    }
}
