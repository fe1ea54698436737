//! Receiving values one by one, acknowledged as they are received.

use super::Receiver;
use crate::queue::message::{decode, with_buffer};
use crate::queue::{Hindrance, Outcome, RecvError, RecvTimeoutError, TryRecvError, iter};
use crate::{Deadline, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

impl<T: Serialize + DeserializeOwned> Receiver<T> {
    pub(super) fn next(&self, deadline: Deadline) -> Outcome<T> {
        with_buffer(|buffer| {
            let (descriptors, _) = self.receive_encoded(buffer, deadline)?;
            decode(buffer, descriptors).map_err(Hindrance::Failed)
        })
    }

    /// Receives a message, blocking until there is one, and acknowledges it: it is done
    /// with when it has been copied, before it is decoded and returned. For a message that
    /// comes again if this process fails, or is killed, while working on it, use
    /// [`recv_delivery`](Receiver::recv_delivery).
    ///
    /// # Errors
    /// - [`Disconnected`](RecvError::Disconnected): no message waits and no sender is left, or the
    ///   queue was closed
    /// - [`Failed`](RecvError::Failed): the message cannot be decoded; it is lost
    /// - [`Failed`](RecvError::Failed): this process has no room for the message's descriptors; the
    ///   message stays for another receive
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, RecvTimeoutError, TryRecvError};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::bounded::<u32>(4)?;
    /// let short = Duration::from_millis(1);
    /// assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    /// assert!(matches!(receiver.recv_timeout(short), Err(RecvTimeoutError::Timeout(..))));
    /// sender.send_many([1, 2]).unwrap();
    /// assert_eq!(receiver.recv().unwrap(), 1);
    /// assert_eq!(receiver.recv_deadline(Deadline::after(short)).unwrap(), 2);
    /// drop(sender);
    /// assert!(receiver.recv().is_err()); // nothing is there, and nothing will come
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn recv(&self) -> std::result::Result<T, RecvError> {
        self.next(Deadline::NEVER)
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and as [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// See [`recv`](Receiver::recv).
    pub fn try_recv(&self) -> std::result::Result<T, TryRecvError> {
        self.next(Deadline::NOW)
            .map_err(|hindrance| hindrance.of_try_recv(&*self.side))
    }

    /// Receives a message, blocking until there is one, at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_deadline`](Receiver::recv_deadline).
    ///
    /// # Examples
    /// See [`recv`](Receiver::recv).
    pub fn recv_timeout(&self, timeout: Duration) -> std::result::Result<T, RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives a message, blocking until there is one, at most until `deadline`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and as [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// See [`recv`](Receiver::recv).
    pub fn recv_deadline(&self, deadline: Deadline) -> std::result::Result<T, RecvTimeoutError> {
        self.next(deadline)
            .map_err(|hindrance| hindrance.of_recv_timeout(&*self.side))
    }

    /// Receives as [`recv`](Receiver::recv) does, as a future, for any executor. Dropped before it is
    /// ready, it has received nothing.
    ///
    /// Wakers are called on a thread of the library. One that takes longer than 20 ms
    /// keeps its thread, and another thread goes on with the others, up to 32 threads:
    /// more wakers than that which do not return make all later ones wait.
    ///
    /// # Cost
    /// The thread that keeps shared objects wakes the task: a few system calls where
    /// it has to wait, and no thread for each queue.
    ///
    /// # Errors
    /// As [`recv`](Receiver::recv).
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// use std::future::Future;
    /// use std::task::{Context, Poll, Waker};
    /// let (sender, receiver) = queue::bounded::<u32>(4)?;
    /// let mut future = Box::pin(receiver.recv_async());
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(future.as_mut().poll(&mut context).is_pending());
    /// sender.send(7).unwrap();
    /// assert!(matches!(future.as_mut().poll(&mut context), Poll::Ready(Ok(7))));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub async fn recv_async(&self) -> std::result::Result<T, RecvError> {
        let attempt = || match self.next(Deadline::NOW) {
            Err(Hindrance::TimedOut) => None,
            outcome => Some(outcome),
        };
        let received = crate::wait::until(self.messages(), attempt).await;
        received
            .map_err(Hindrance::Failed)
            .flatten()
            .map_err(|hindrance| hindrance.of_recv(&*self.side))
    }

    /// Returns an iterator over the messages that come, until nothing is there and nothing
    /// will come.
    ///
    /// # Panics
    /// On any other end, with the error of [`recv`](Receiver::recv): a message that
    /// cannot be decoded, a queue that is corrupt. An iterator of messages cannot say
    /// so otherwise, and it is not to look as if all had come.
    /// [`results`](Receiver::results) has it as a value.
    ///
    /// # Examples
    /// ```
    /// use procession::queue;
    /// let (sender, receiver) = queue::bounded::<u32>(4)?;
    /// sender.send_many([1, 2]).unwrap();
    /// assert_eq!(receiver.try_iter().sum::<u32>(), 3); // what is there now
    /// sender.send_many([3, 4]).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.iter().sum::<u32>(), 7); // until the end
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| iter::item(self.recv()))
    }

    /// Returns an iterator over the messages that come, until nothing is there and nothing will
    /// come, or until one cannot be received: then the error is the last item. If only that
    /// message cannot be decoded, call this again for the messages after it.
    ///
    /// # Examples
    /// ```
    /// use procession::{queue, Result};
    /// let (sender, receiver) = queue::bounded::<u64>(4)?;
    /// sender.send_many([1, 2, 3]).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.results().sum::<Result<u64>>()?, 6);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn results(&self) -> impl Iterator<Item = Result<T>> + '_ {
        iter::results(|| self.recv())
    }

    /// Returns an iterator over the messages that are there now.
    ///
    /// # Panics
    /// As [`iter`](Receiver::iter).
    ///
    /// # Examples
    /// See [`iter`](Receiver::iter).
    pub fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| iter::item_now(self.try_recv()))
    }
}

crate::queue::into_iterator!([T: Serialize + DeserializeOwned] Receiver<T> => T);
