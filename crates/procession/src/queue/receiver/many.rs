//! Receiving several messages at once, whose room senders hear of at the end.

use super::Receiver;
use crate::Deadline;
use crate::queue::message::{decode, with_buffer};
use crate::queue::{Outcome, RecvError, RecvTimeoutError, TryRecvError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Receiver<T> {
    /// Receives several messages, blocking until there is one: those that are there then, at
    /// most `max`, are appended to `into`. Returns how many there were. Each is acknowledged
    /// before it is decoded, as by [`recv`](Receiver::recv).
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), if there was no first. A message that cannot be
    /// decoded ends the row, and is lost.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bounded::<u32>(8)?;
    /// sender.send_many(1..=5).unwrap();
    /// let mut some = Vec::new();
    /// assert_eq!(receiver.recv_many(&mut some, 100).unwrap(), 5);
    /// assert_eq!(some, [1, 2, 3, 4, 5]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv_many(
        &self,
        into: &mut Vec<T>,
        max: usize,
    ) -> std::result::Result<usize, RecvError> {
        self.next_many(into, max, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Receives what is there now, at most `max` messages, as
    /// [`recv_many`](Receiver::recv_many) does.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv), if there was no first.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bounded::<u32>(8)?;
    /// sender.send_many(1..=5).unwrap();
    /// let (mut some, short) = (Vec::new(), Duration::from_millis(1));
    /// assert_eq!(receiver.try_recv_many(&mut some, 2).unwrap(), 2);
    /// assert_eq!(receiver.recv_many_timeout(&mut some, 2, short).unwrap(), 2);
    /// assert_eq!(receiver.recv_many_deadline(&mut some, 2, Deadline::NOW).unwrap(), 1);
    /// assert_eq!(some, [1, 2, 3, 4, 5]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_recv_many(
        &self,
        into: &mut Vec<T>,
        max: usize,
    ) -> std::result::Result<usize, TryRecvError> {
        self.next_many(into, max, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives as [`recv_many`](Receiver::recv_many) does, waiting for the first at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout), if there was no first.
    ///
    /// # Examples
    /// See [`try_recv_many`](Receiver::try_recv_many).
    pub fn recv_many_timeout(
        &self,
        into: &mut Vec<T>,
        max: usize,
        timeout: Duration,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.recv_many_deadline(into, max, Deadline::after(timeout))
    }

    /// Receives as [`recv_many`](Receiver::recv_many) does, waiting for the first at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline), if there was no first.
    ///
    /// # Examples
    /// See [`try_recv_many`](Receiver::try_recv_many).
    pub fn recv_many_deadline(
        &self,
        into: &mut Vec<T>,
        max: usize,
        deadline: Deadline,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.next_many(into, max, deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    fn next_many(&self, into: &mut Vec<T>, max: usize, deadline: Deadline) -> Outcome<usize> {
        if max == 0 {
            return Ok(0);
        }
        into.push(self.next(deadline)?);
        let mut row = self.side.ring.row()?;
        let mut count = 1;
        let more = with_buffer(|buffer| {
            while count < max {
                let mut descriptors = Vec::new();
                let read = |block| {
                    descriptors = self.read(block, buffer)?;
                    Ok(())
                };
                if !row.try_next(read)? {
                    break;
                }
                if !descriptors.is_empty() {
                    self.side.descriptor_socket().sweep();
                }
                into.push(decode(buffer, descriptors)?);
                count += 1;
            }
            Ok(count)
        });
        drop(row);
        more
    }
}

impl Receiver<[u8]> {
    /// Receives several messages, blocking until there is one: `show` is called with each of
    /// those that are there then, at most `max`. Returns how many there were. Each is
    /// acknowledged before it is shown: one that makes `show` panic does not come again.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv), if there was no first.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, queue};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(8)?;
    /// sender.send_many_bytes([&b"a"[..], b"b", b"c", b"d"]).unwrap();
    /// let (mut all, short) = (Vec::new(), Duration::from_millis(1));
    /// assert_eq!(receiver.recv_many_bytes(1, |bytes| all.extend_from_slice(bytes)).unwrap(), 1);
    /// receiver.try_recv_many_bytes(1, |bytes| all.extend_from_slice(bytes)).unwrap();
    /// receiver.recv_many_bytes_timeout(1, |bytes| all.extend_from_slice(bytes), short).unwrap();
    /// receiver.recv_many_bytes_deadline(1, |bytes| all.extend_from_slice(bytes), Deadline::NOW).unwrap();
    /// assert_eq!(all, b"abcd");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv_many_bytes(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
    ) -> std::result::Result<usize, RecvError> {
        self.show_many(max, show, Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Shows the messages that are there now, at most `max`, as
    /// [`recv_many_bytes`](Receiver::recv_many_bytes) does.
    ///
    /// # Errors
    /// As [`try_recv`](Receiver::try_recv), if there was no first.
    ///
    /// # Examples
    /// See [`recv_many_bytes`](Receiver::recv_many_bytes).
    pub fn try_recv_many_bytes(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
    ) -> std::result::Result<usize, TryRecvError> {
        self.show_many(max, show, Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives as [`recv_many_bytes`](Receiver::recv_many_bytes) does, waiting for the first at most
    /// `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Receiver::recv_timeout), if there was no first.
    ///
    /// # Examples
    /// See [`recv_many_bytes`](Receiver::recv_many_bytes).
    pub fn recv_many_bytes_timeout(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
        timeout: Duration,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.recv_many_bytes_deadline(max, show, Deadline::after(timeout))
    }

    /// Receives as [`recv_many_bytes`](Receiver::recv_many_bytes) does, waiting for the first at most
    /// until `deadline`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline), if there was no first.
    ///
    /// # Examples
    /// See [`recv_many_bytes`](Receiver::recv_many_bytes).
    pub fn recv_many_bytes_deadline(
        &self,
        max: usize,
        show: impl FnMut(&[u8]),
        deadline: Deadline,
    ) -> std::result::Result<usize, RecvTimeoutError> {
        self.show_many(max, show, deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    fn show_many(
        &self,
        max: usize,
        mut show: impl FnMut(&[u8]),
        deadline: Deadline,
    ) -> Outcome<usize> {
        if max == 0 {
            return Ok(0);
        }
        let ring = &self.side.ring;
        with_buffer(|buffer| {
            self.receive_into(buffer, deadline)?;
            show(buffer);
            let mut row = ring.row()?;
            let mut count = 1;
            while count < max && row.try_next(|block| ring.read(block, buffer))? {
                show(buffer);
                count += 1;
            }
            Ok(count)
        })
    }
}
