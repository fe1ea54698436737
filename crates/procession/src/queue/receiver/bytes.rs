//! Receiving byte strings, copied or read where they lie.

use super::Receiver;
use crate::Deadline;
use crate::queue::ring::Keep;
use crate::queue::{Borrowed, Outcome, iter};
use crate::queue::{RecvError, RecvTimeoutError, TryRecvError};
use std::time::Duration;

impl Receiver<[u8]> {
    /// Receives a message, whose bytes replace those of `into`, blocking until there is one.
    /// Returns `true` if it was delivered before, to a receiver that did not finish it.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// sender.send_many_bytes([&b"one"[..], b"two", b"three", b"four"]).unwrap();
    /// let mut bytes = Vec::new();
    /// let redelivered = receiver.recv_bytes(&mut bytes).unwrap();
    /// assert_eq!((&bytes[..], redelivered), (&b"one"[..], false));
    /// receiver.try_recv_bytes(&mut bytes).unwrap();
    /// receiver.recv_bytes_timeout(&mut bytes, Duration::from_millis(1)).unwrap();
    /// receiver.recv_bytes_deadline(&mut bytes, Deadline::NOW).unwrap();
    /// assert_eq!(bytes, b"four");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, RecvError> {
        self.receive_into(into, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Receives as [`recv_bytes`](Receiver::recv_bytes) does, if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    ///
    /// # Examples
    /// See [`recv_bytes`](Receiver::recv_bytes).
    pub fn try_recv_bytes(&self, into: &mut Vec<u8>) -> std::result::Result<bool, TryRecvError> {
        self.receive_into(into, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives as [`recv_bytes`](Receiver::recv_bytes) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    ///
    /// # Examples
    /// See [`recv_bytes`](Receiver::recv_bytes).
    pub fn recv_bytes_timeout(
        &self,
        into: &mut Vec<u8>,
        timeout: Duration,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.recv_bytes_deadline(into, Deadline::after(timeout))
    }

    /// Receives as [`recv_bytes`](Receiver::recv_bytes) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    ///
    /// # Examples
    /// See [`recv_bytes`](Receiver::recv_bytes).
    pub fn recv_bytes_deadline(
        &self,
        into: &mut Vec<u8>,
        deadline: Deadline,
    ) -> std::result::Result<bool, RecvTimeoutError> {
        self.receive_into(into, deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    /// Receives a message to be read where it lies, blocking until there is one.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// See [`Reservation`](crate::queue::Reservation).
    pub fn recv_borrowed(&self) -> std::result::Result<Borrowed, RecvError> {
        self.borrow(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Receives as [`recv_borrowed`](Receiver::recv_borrowed) does, if there is a message.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv).
    ///
    /// # Examples
    /// See [`borrowed`](Receiver::borrowed).
    pub fn try_recv_borrowed(&self) -> std::result::Result<Borrowed, TryRecvError> {
        self.borrow(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives as [`recv_borrowed`](Receiver::recv_borrowed) does, waiting at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout).
    ///
    /// # Examples
    /// See [`borrowed`](Receiver::borrowed).
    pub fn recv_borrowed_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.recv_borrowed_deadline(Deadline::after(timeout))
    }

    /// Receives as [`recv_borrowed`](Receiver::recv_borrowed) does, waiting at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    ///
    /// # Examples
    /// See [`borrowed`](Receiver::borrowed).
    pub fn recv_borrowed_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<Borrowed, RecvTimeoutError> {
        self.borrow(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    /// Returns an iterator over the messages that come, each to be read where it lies until it
    /// is dropped, until nothing is there and nothing will come.
    ///
    /// # Panics
    /// On any other end, with the error of
    /// [`recv_borrowed`](Receiver::recv_borrowed).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(8)?;
    /// sender.send_many_bytes([&b"1"[..], b"22", b"333", b"4444", b"55555"]).unwrap();
    /// assert_eq!(receiver.recv_borrowed().unwrap().len(), 1);
    /// assert_eq!(receiver.try_recv_borrowed().unwrap().len(), 2);
    /// assert_eq!(receiver.recv_borrowed_timeout(Duration::from_millis(1)).unwrap().len(), 3);
    /// assert_eq!(receiver.recv_borrowed_deadline(Deadline::NOW).unwrap().len(), 4);
    /// drop(sender);
    /// assert!(receiver.borrowed().map(|message| message.len()).eq([5]));
    /// # Ok::<(), procession::Error>(())
    /// ```
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
