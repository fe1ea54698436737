//! What all queues do, wherever they are.

use super::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
use crate::{Deadline, Result};
use std::ops::Deref;
use std::time::Duration;

type Outcome<T, E> = std::result::Result<T, E>;

/// The sending side of a queue: code that takes an `impl Producer<T>` works with queues in shared memory, with queues
/// that a manager owns, and with channels.
///
/// | | [`Sender`](super::Sender) | [`manager::Queue`](crate::manager::Queue) | [`Writer`](crate::channel::Writer), [`Endpoint`](crate::channel::Endpoint) |
/// |---|---|---|---|
/// | a call is | some atomic operations, and copying the message | a message to the manager and one back, also of a `try_` form | copying the message, or a system call |
/// | blocks while | the queue is full | the queue is full, and until the manager has answered | the channel is full |
/// | `Disconnected` | no receiver is left | never: any number of processes may come | the other end is gone |
/// | `Failed` | the message was not sent | likewise, unless the connection to the manager ended meanwhile: then it may have been | the message was not sent, or not as a whole |
///
/// The types have more than the trait: `send_many`, which of a manager's queue needs one call for many messages, futures,
/// and [`Select`](crate::Select), which a manager's queue does not have (receive with a timeout, or on a thread of its own, instead).
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
/// ```
/// use procession::manager::Manager;
/// use procession::queue::{self, Acknowledge, Consumer, DeliveryConsumer, Producer};
/// fn work(
///     jobs: &impl DeliveryConsumer<u32>,
///     results: &impl Producer<u32>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let job = jobs.recv_delivery()?; // another worker gets it if this one fails
///     results.send(*job * *job)?;
///     Ok(job.ack()?)
/// }
/// // In shared memory.
/// let (sender, jobs) = queue::bounded(10)?;
/// let (results, receiver) = queue::bounded(10)?;
/// sender.send(7)?;
/// work(&jobs, &results)?;
/// assert_eq!(receiver.recv()?, 49);
/// // At a manager.
/// let manager = Manager::start()?;
/// let (jobs, results) = (manager.queue()?, manager.queue()?);
/// jobs.send(8)?;
/// work(&jobs, &results)?;
/// assert_eq!(results.recv()?, 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Producer<T>: sealed::Producer {
    /// Sends a message, blocking while the queue is full.
    ///
    /// # Errors
    /// Has the message: [`Disconnected`](SendError::Disconnected), [`Failed`](SendError::Failed).
    ///
    /// # Examples
    /// See [`Producer`].
    fn send(&self, message: T) -> Outcome<(), SendError<T>>;

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full), and as [`send`](Producer::send).
    ///
    /// # Examples
    /// See [`Producer`].
    fn try_send(&self, message: T) -> Outcome<(), TrySendError<T>>;

    /// Sends a message, blocking while the queue is full, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](SendTimeoutError::Timeout), and as [`send`](Producer::send).
    ///
    /// # Examples
    /// See [`Producer`].
    fn send_timeout(&self, message: T, timeout: Duration) -> Outcome<(), SendTimeoutError<T>>;

    /// Sends a message, blocking while the queue is full, at most until `deadline`.
    ///
    /// # Errors
    /// As [`send_timeout`](Producer::send_timeout).
    ///
    /// # Examples
    /// See [`Producer`].
    fn send_deadline(&self, message: T, deadline: Deadline) -> Outcome<(), SendTimeoutError<T>>;
}

/// The receiving side of a queue, wherever it is; see [`Producer`].
///
/// A message is acknowledged before it is returned: if this process dies then, nobody gets it again. See [`DeliveryConsumer`].
///
/// | | [`Receiver`](super::Receiver) | [`manager::Queue`](crate::manager::Queue) | [`Reader`](crate::channel::Reader), [`Endpoint`](crate::channel::Endpoint) |
/// |---|---|---|---|
/// | `Disconnected` | nothing is there and no sender is left | never: any number of processes may come | nothing is there, and the other end is gone |
/// | the message of a receiver that dies before it is returned | goes to another receiver | goes to another receiver | is lost |
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
/// ```
/// use procession::queue::{self, Consumer, TryRecvError};
/// fn drain(queue: &impl Consumer<u32>) -> Vec<u32> {
///     std::iter::from_fn(|| queue.try_recv().ok()).collect()
/// }
/// let (sender, receiver) = queue::bounded(10)?;
/// sender.send_many([1, 2]).unwrap();
/// assert_eq!(drain(&receiver), [1, 2]);
/// # Ok::<(), procession::Error>(())
/// ```
pub trait Consumer<T>: sealed::Consumer {
    /// Receives a message, blocking until there is one.
    ///
    /// # Errors
    /// [`Disconnected`](RecvError::Disconnected), [`Failed`](RecvError::Failed).
    ///
    /// # Examples
    /// See [`Consumer`].
    fn recv(&self) -> Outcome<T, RecvError>;

    /// Receives a message if there is one now.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty), and as [`recv`](Consumer::recv).
    ///
    /// # Examples
    /// See [`Consumer`].
    fn try_recv(&self) -> Outcome<T, TryRecvError>;

    /// Receives a message, blocking until there is one, at most `timeout`.
    ///
    /// # Errors
    /// [`Timeout`](RecvTimeoutError::Timeout), and as [`recv`](Consumer::recv).
    ///
    /// # Examples
    /// See [`Consumer`].
    fn recv_timeout(&self, timeout: Duration) -> Outcome<T, RecvTimeoutError>;

    /// Receives a message, blocking until there is one, at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Consumer::recv_timeout).
    ///
    /// # Examples
    /// See [`Consumer`].
    fn recv_deadline(&self, deadline: Deadline) -> Outcome<T, RecvTimeoutError>;
}

/// The receiving side of a queue whose messages are acknowledged, and come again if they are not: of a queue in shared
/// memory, and of a queue that a manager owns.
///
/// Each message is dealt with at least once. It comes again, and [says so](Acknowledge::is_redelivered), if its receiver is
/// killed or drops the delivery; of a manager's queue also if the connection of its receiver was lost, though the receiver may
/// still work at it: let what a job does be the same when it is done twice. (A queue in shared memory that was made with
/// [`at_most_once`](super::Options::at_most_once) does not deliver again.)
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
/// See [`Producer`].
pub trait DeliveryConsumer<T>: Consumer<T> {
    /// A message that is to be acknowledged.
    type Delivery: Acknowledge<T>;

    /// Receives a message that is to be acknowledged, blocking until there is one.
    ///
    /// # Errors
    /// As [`recv`](Consumer::recv).
    ///
    /// # Examples
    /// See [`Producer`].
    fn recv_delivery(&self) -> Outcome<Self::Delivery, RecvError>;

    /// Receives a message that is to be acknowledged, if there is one now.
    ///
    /// # Errors
    /// As [`try_recv`](Consumer::try_recv).
    ///
    /// # Examples
    /// See [`Producer`].
    fn try_recv_delivery(&self) -> Outcome<Self::Delivery, TryRecvError>;

    /// Receives a message that is to be acknowledged, blocking until there is one, at most `timeout`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Consumer::recv_timeout).
    ///
    /// # Examples
    /// See [`Producer`].
    fn recv_delivery_timeout(&self, timeout: Duration)
    -> Outcome<Self::Delivery, RecvTimeoutError>;

    /// Receives a message that is to be acknowledged, blocking until there is one, at most until `deadline`.
    ///
    /// # Errors
    /// As [`recv_timeout`](Consumer::recv_timeout).
    ///
    /// # Examples
    /// See [`Producer`].
    fn recv_delivery_deadline(
        &self,
        deadline: Deadline,
    ) -> Outcome<Self::Delivery, RecvTimeoutError>;
}

/// A message that was received and is to be acknowledged: [`queue::Delivery`](super::Delivery) and
/// [`manager::Delivery`](crate::manager::Delivery). Dropped without it, the message goes to another receiver.
///
/// It cannot be implemented outside of this crate.
///
/// # Examples
/// See [`Producer`].
pub trait Acknowledge<T>: Deref<Target = T> + Sized + sealed::Acknowledge {
    /// Returns `true` if a receiver had the message before and did not acknowledge it.
    #[must_use]
    fn is_redelivered(&self) -> bool;

    /// Acknowledges the message: it is done with, and does not come again.
    ///
    /// # Errors
    /// The manager has ended, or its connection. In shared memory, none.
    ///
    /// # Examples
    /// See [`Producer`].
    fn ack(self) -> Result<()>;

    /// Gives the message to the next receiver, before all others, marked as redelivered.
    ///
    /// # Errors
    /// As [`ack`](Acknowledge::ack).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::{self, Acknowledge, DeliveryConsumer};
    /// fn refuse(jobs: &impl DeliveryConsumer<u32>) -> procession::Result<()> {
    ///     jobs.recv_delivery()?.requeue()
    /// }
    /// let (sender, jobs) = queue::bounded(10)?;
    /// sender.send(7)?;
    /// refuse(&jobs)?;
    /// assert!(jobs.recv_delivery()?.is_redelivered());
    /// # Ok::<(), procession::Error>(())
    /// ```
    fn requeue(self) -> Result<()>;

    /// Acknowledges the message and returns it.
    ///
    /// # Errors
    /// As [`ack`](Acknowledge::ack).
    ///
    /// # Examples
    /// See [`queue::Delivery::into_inner`](super::Delivery::into_inner).
    fn into_inner(self) -> Result<T>;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Producer {}
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Consumer {}
    #[expect(unnameable_types, reason = "nobody else is to implement it")]
    pub trait Acknowledge {}
}

/// Implements [`Producer`] by the methods of the type.
macro_rules! producer {
    ([$($generics:tt)*] $type:ty => $message:ty) => {
        impl<$($generics)*> $crate::queue::sealed::Producer for $type {}

        impl<$($generics)*> $crate::queue::Producer<$message> for $type {
            fn send(&self, message: $message) -> Result<(), $crate::queue::SendError<$message>> {
                <$type>::send(self, message)
            }

            fn try_send(&self, message: $message) -> Result<(), $crate::queue::TrySendError<$message>> {
                <$type>::try_send(self, message)
            }

            fn send_timeout(
                &self,
                message: $message,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::queue::SendTimeoutError<$message>> {
                <$type>::send_timeout(self, message, timeout)
            }

            fn send_deadline(
                &self,
                message: $message,
                deadline: $crate::Deadline,
            ) -> Result<(), $crate::queue::SendTimeoutError<$message>> {
                <$type>::send_deadline(self, message, deadline)
            }
        }
    };
}

/// Implements [`Consumer`] by the methods of the type.
macro_rules! consumer {
    ([$($generics:tt)*] $type:ty => $message:ty) => {
        impl<$($generics)*> $crate::queue::sealed::Consumer for $type {}

        impl<$($generics)*> $crate::queue::Consumer<$message> for $type {
            fn recv(&self) -> Result<$message, $crate::queue::RecvError> {
                <$type>::recv(self)
            }

            fn try_recv(&self) -> Result<$message, $crate::queue::TryRecvError> {
                <$type>::try_recv(self)
            }

            fn recv_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<$message, $crate::queue::RecvTimeoutError> {
                <$type>::recv_timeout(self, timeout)
            }

            fn recv_deadline(
                &self,
                deadline: $crate::Deadline,
            ) -> Result<$message, $crate::queue::RecvTimeoutError> {
                <$type>::recv_deadline(self, deadline)
            }
        }
    };
}

/// Implements [`DeliveryConsumer`] by the methods of the type.
macro_rules! delivery_consumer {
    ([$($generics:tt)*] $type:ty => $delivery:ty, $message:ty) => {
        impl<$($generics)*> $crate::queue::DeliveryConsumer<$message> for $type {
            type Delivery = $delivery;

            fn recv_delivery(&self) -> Result<$delivery, $crate::queue::RecvError> {
                <$type>::recv_delivery(self)
            }

            fn try_recv_delivery(&self) -> Result<$delivery, $crate::queue::TryRecvError> {
                <$type>::try_recv_delivery(self)
            }

            fn recv_delivery_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<$delivery, $crate::queue::RecvTimeoutError> {
                <$type>::recv_delivery_timeout(self, timeout)
            }

            fn recv_delivery_deadline(
                &self,
                deadline: $crate::Deadline,
            ) -> Result<$delivery, $crate::queue::RecvTimeoutError> {
                <$type>::recv_delivery_deadline(self, deadline)
            }
        }
    };
}

pub(crate) use {consumer, delivery_consumer, producer};
