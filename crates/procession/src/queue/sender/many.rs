//! Sending several messages at once, of which receivers hear at the end.

use super::Sender;
use crate::Deadline;
use crate::queue::message::{encode, with_buffer};
use crate::queue::{Hindrance, SendError, SendTimeoutError, TrySendError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Sender<T> {
    /// Sends several messages, blocking for room as often as needed; receivers hear at once
    /// of all those that there is room for. Returns how many there were.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send`](Sender::send).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bounded(100)?;
    /// assert_eq!(sender.send_many(1..=10).unwrap(), 10);
    /// let mut some = Vec::new();
    /// while some.len() < 10 {
    ///     receiver.recv_many(&mut some, 8).unwrap();
    /// }
    /// assert_eq!(some.iter().sum::<u32>(), 55);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_many(
        &self,
        messages: impl IntoIterator<Item = T>,
    ) -> std::result::Result<usize, SendError<T>> {
        self.deliver_many(messages, Deadline::NEVER)
            .map_err(|(hindrance, message)| hindrance.of_send(&*self.side, message))
    }

    /// Sends as many of the messages as there is room for now, as
    /// [`send_many`](Sender::send_many) does.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`try_send`](Sender::try_send).
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, TrySendError};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bounded::<u32>(4)?;
    /// assert!(matches!(sender.try_send_many(1..=9), Err(TrySendError::Full(5))));
    /// assert_eq!(receiver.try_iter().count(), 4);
    /// assert_eq!(sender.send_many_timeout([5, 6], Duration::from_millis(1)).unwrap(), 2);
    /// assert_eq!(sender.send_many_deadline([7, 8], Deadline::NOW).unwrap(), 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_send_many(
        &self,
        messages: impl IntoIterator<Item = T>,
    ) -> std::result::Result<usize, TrySendError<T>> {
        self.deliver_many(messages, Deadline::NOW)
            .map_err(|(hindrance, message)| hindrance.of_try_send(&*self.side, message))
    }

    /// Sends as [`send_many`](Sender::send_many) does, waiting for room at most `timeout` in all.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send_timeout`](Sender::send_timeout).
    ///
    /// # Examples
    /// See [`try_send_many`](Sender::try_send_many).
    pub fn send_many_timeout(
        &self,
        messages: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> std::result::Result<usize, SendTimeoutError<T>> {
        self.send_many_deadline(messages, Deadline::after(timeout))
    }

    /// Sends as [`send_many`](Sender::send_many) does, waiting for room at most until `deadline`.
    ///
    /// # Errors
    /// Has the first message that was not sent; those before it were. As
    /// [`send_deadline`](Sender::send_deadline).
    ///
    /// # Examples
    /// See [`try_send_many`](Sender::try_send_many).
    pub fn send_many_deadline(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> std::result::Result<usize, SendTimeoutError<T>> {
        self.deliver_many(messages, deadline)
            .map_err(|(hindrance, message)| hindrance.of_send_timeout(&*self.side, message))
    }

    fn deliver_many(
        &self,
        messages: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> std::result::Result<usize, (Hindrance, T)> {
        let mut messages = messages.into_iter();
        let mut count = 0;
        let mut next = messages.next();
        while let Some(message) = next {
            // Waits, and finds out what has happened to the others.
            if let Err(hindrance) = self.deliver(&message, deadline) {
                return Err((hindrance, message));
            }
            let (sent, left) = self.send_some(&mut messages)?;
            count += 1 + sent;
            next = left;
        }
        Ok(count)
    }

    /// Sends as many as there is room for; how many, and the first that there was
    /// none for.
    fn send_some(
        &self,
        messages: &mut impl Iterator<Item = T>,
    ) -> std::result::Result<(usize, Option<T>), (Hindrance, T)> {
        let ring = &self.side.ring;
        if ring.is_rendezvous() {
            return Ok((0, messages.next()));
        }
        let Ok(caller) = ring.object.caller(Deadline::NOW) else {
            // Sending one by itself says why.
            return Ok((0, messages.next()));
        };
        let mut batch = ring.batch(&caller);
        let mut count = 0;
        for message in messages {
            let sent = with_buffer(|buffer| {
                match encode(&message, buffer)?.is_empty() {
                    true => batch.try_send(buffer),
                    // It goes by itself.
                    false => Ok(false),
                }
            });
            match sent {
                Ok(true) => count += 1,
                Ok(false) => return Ok((count, Some(message))),
                Err(hindrance) => return Err((hindrance, message)),
            }
        }
        Ok((count, None))
    }
}

impl Sender<[u8]> {
    /// Sends several messages, as [`send_many`](Sender::send_many) does.
    ///
    /// # Errors
    /// As [`send`](Sender::send), and how many were sent before.
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, TrySendError};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bytes(4)?;
    /// assert_eq!(sender.send_many_bytes([&b"one"[..], b"two"]).unwrap(), 2);
    /// let more = sender.try_send_many_bytes([&b"three"[..], b"four", b"five"]);
    /// assert!(matches!(more, Err(TrySendError::Full(2)))); // two more were sent
    /// assert!(receiver.recv_many_bytes(4, |_| {}).is_ok());
    /// let last = [&b"five"[..]];
    /// assert_eq!(sender.send_many_bytes_timeout(last, Duration::from_millis(1)).unwrap(), 1);
    /// assert_eq!(sender.send_many_bytes_deadline(last, Deadline::NOW).unwrap(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
    ) -> std::result::Result<usize, SendError<usize>> {
        self.deliver_many_bytes(messages, Deadline::NEVER)
            .map_err(|(hindrance, count)| hindrance.of_send(&*self.side, count))
    }

    /// Sends as many of the messages as there is room for now, as
    /// [`send_many_bytes`](Sender::send_many_bytes) does.
    ///
    /// # Errors
    /// As [`try_send`](Sender::try_send), and how many were sent before.
    ///
    /// # Examples
    /// See [`send_many_bytes`](Sender::send_many_bytes).
    pub fn try_send_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
    ) -> std::result::Result<usize, TrySendError<usize>> {
        self.deliver_many_bytes(messages, Deadline::NOW)
            .map_err(|(hindrance, count)| hindrance.of_try_send(&*self.side, count))
    }

    /// Sends as [`send_many_bytes`](Sender::send_many_bytes) does, waiting for room at most `timeout`
    /// in all.
    ///
    /// # Errors
    /// As [`send_timeout`](Sender::send_timeout), and how many were sent before.
    ///
    /// # Examples
    /// See [`send_many_bytes`](Sender::send_many_bytes).
    pub fn send_many_bytes_timeout<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        timeout: Duration,
    ) -> std::result::Result<usize, SendTimeoutError<usize>> {
        self.send_many_bytes_deadline(messages, Deadline::after(timeout))
    }

    /// Sends as [`send_many_bytes`](Sender::send_many_bytes) does, waiting for room at most
    /// until `deadline`.
    ///
    /// # Errors
    /// As [`send_deadline`](Sender::send_deadline), and how many were sent before.
    ///
    /// # Examples
    /// See [`send_many_bytes`](Sender::send_many_bytes).
    pub fn send_many_bytes_deadline<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        deadline: Deadline,
    ) -> std::result::Result<usize, SendTimeoutError<usize>> {
        self.deliver_many_bytes(messages, deadline)
            .map_err(|(hindrance, count)| hindrance.of_send_timeout(&*self.side, count))
    }

    fn deliver_many_bytes<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
        deadline: Deadline,
    ) -> std::result::Result<usize, (Hindrance, usize)> {
        let ring = &self.side.ring;
        let mut messages = messages.into_iter();
        let mut count = 0;
        let mut next = messages.next();
        while let Some(message) = next.take() {
            if let Err(hindrance) = self.send_slice(message, deadline) {
                return Err((hindrance, count));
            }
            count += 1;
            if ring.is_rendezvous() {
                next = messages.next();
                continue;
            }
            let caller = ring.object.caller(Deadline::NOW);
            let caller = caller.map_err(|error| (Hindrance::Failed(error), count))?;
            let mut batch = ring.batch(&caller);
            for message in messages.by_ref() {
                match batch.try_send(message) {
                    Ok(true) => count += 1,
                    Ok(false) => {
                        next = Some(message);
                        break;
                    }
                    Err(hindrance) => return Err((hindrance, count)),
                }
            }
        }
        Ok(count)
    }
}
