//! Messages of several priorities.

use super::Message;
use super::error_object::{ErrorObject, Messaging};
use super::{Halves, Options, Receiver, RecvError, RecvTimeoutError, SendError, Sender};
use super::{SendTimeoutError, TryRecvError, TrySendError, iter};
use crate::wait::{Sealed as _, WaitSet};
use crate::{Deadline, Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Both halves of a queue of `T` with priorities.
pub type PriorityHalves<T> = (PrioritySender<T>, PriorityReceiver<T>);

/// Makes a queue with so many priorities, in each of which `capacity` messages may
/// wait. Of those that wait, the ones with the highest priority come first, and
/// among these the one that was sent first; a message that has been received is
/// not overtaken.
///
/// # Units and limits
/// Priorities count from 0, the lowest. Each is a queue by itself: so many at the
/// top keep those below waiting for as long as they come.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput): no priority, or no room; as
/// [`bounded`](super::bounded).
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::prioritized::<String>(3, 100)?;
/// sender.send(0, "sweep the floor".to_owned()).unwrap();
/// sender.send(2, "put out the fire".to_owned()).unwrap();
/// assert_eq!(receiver.recv().unwrap(), (2, "put out the fire".to_owned()));
/// assert_eq!(receiver.recv().unwrap().0, 0);
/// # Ok::<(), procession::Error>(())
/// ```
pub fn prioritized<T: Serialize + DeserializeOwned>(
    priorities: usize,
    capacity: usize,
) -> Result<PriorityHalves<T>> {
    Options::new().capacity(capacity).prioritized(priorities)
}

/// Makes a queue as [`prioritized`] does, whose senders never wait for room: each priority is
/// [unbounded](super::unbounded()), and has its share of a quarter of the machine's
/// memory.
///
/// # Errors
/// As [`prioritized`], and as [`unbounded`](super::unbounded()).
///
/// # Examples
/// ```
/// use procession::queue;
/// let (sender, receiver) = queue::prioritized_unbounded::<u32>(2)?;
/// for number in 0..1000 {
///     sender.send(number % 2, number as u32).unwrap();
/// }
/// assert_eq!(receiver.recv().unwrap(), (1, 1));
/// # Ok::<(), procession::Error>(())
/// ```
pub fn prioritized_unbounded<T: Serialize + DeserializeOwned>(
    priorities: usize,
) -> Result<PriorityHalves<T>> {
    Options::new().prioritized(priorities)
}

impl Options {
    /// Makes a queue without a name that has so many priorities. Capacity and memory are
    /// those of each priority; where the memory is not set, they share that of one queue.
    ///
    /// # Errors
    /// As [`prioritized`](crate::queue::prioritized()).
    ///
    /// # Examples
    /// ```
    /// use procession::queue::Options;
    /// let (sender, receiver) = Options::new().capacity(8).at_most_once().prioritized::<String>(2)?;
    /// sender.send(0, "later".to_owned()).unwrap();
    /// sender.send(1, "now".to_owned()).unwrap();
    /// assert_eq!(receiver.recv().unwrap(), (1, "now".to_owned()));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn prioritized<T: Message<'static>>(self, priorities: usize) -> Result<PriorityHalves<T>> {
        self.refuse_rendezvous()?;
        let each = self.share_memory(priorities);
        of_each(priorities, || each.anonymous())
    }
}

fn of_each<T>(
    priorities: usize,
    make: impl Fn() -> Result<Halves<T>>,
) -> Result<PriorityHalves<T>> {
    if priorities == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "creating queue", "")
            .because("a queue has at least one priority"));
    }
    let queues: Vec<Halves<T>> = (0..priorities).map(|_| make()).collect::<Result<_>>()?;
    let (senders, receivers) = queues.into_iter().unzip();
    Ok((PrioritySender { senders }, PriorityReceiver { receivers }))
}

/// Sends to a [queue with priorities](prioritized); as [`Sender`] in all else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "Sender<T>: Deserialize<'de>"))]
pub struct PrioritySender<T> {
    senders: Vec<Sender<T>>,
}

/// Receives from a [queue with priorities](prioritized); as [`Receiver`] in all
/// else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "Receiver<T>: Deserialize<'de>"))]
pub struct PriorityReceiver<T> {
    receivers: Vec<Receiver<T>>,
}

impl<T: Serialize + DeserializeOwned> PrioritySender<T> {
    /// Sends a message, waiting for room at its priority.
    ///
    /// # Errors
    /// As [`Sender::send`].
    ///
    /// # Panics
    /// If there is no such priority, here and below.
    pub fn send(&self, priority: usize, message: T) -> std::result::Result<(), SendError<T>> {
        self.senders[priority].send(message)
    }

    /// Sends a message if there is room at its priority.
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    pub fn try_send(
        &self,
        priority: usize,
        message: T,
    ) -> std::result::Result<(), TrySendError<T>> {
        self.senders[priority].try_send(message)
    }

    /// Sends a message, blocking while there is no room at its priority, at most
    /// `timeout`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    pub fn send_timeout(
        &self,
        priority: usize,
        message: T,
        timeout: Duration,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.senders[priority].send_timeout(message, timeout)
    }

    /// Sends a message, waiting for room at its priority until `deadline`.
    ///
    /// # Errors
    /// As [`Sender::send_deadline`].
    pub fn send_deadline(
        &self,
        priority: usize,
        message: T,
        deadline: Deadline,
    ) -> std::result::Result<(), SendTimeoutError<T>> {
        self.senders[priority].send_deadline(message, deadline)
    }
}

impl<T> PrioritySender<T> {
    /// Returns the number of priorities.
    ///
    /// # Examples
    /// ```
    /// use procession::Deadline;
    /// use procession::queue::{self, TrySendError};
    /// use std::time::Duration;
    /// let (sender, receiver) = queue::prioritized::<u32>(2, 1)?;
    /// assert_eq!(sender.priorities(), 2);
    /// sender.send(0, 1).unwrap();
    /// assert!(matches!(sender.try_send(0, 2), Err(TrySendError::Full(2))));
    /// sender.send_timeout(1, 3, Duration::from_millis(1)).unwrap();
    /// assert!(sender.send_deadline(1, 4, Deadline::NOW).is_err());
    /// assert_eq!(receiver.try_recv().unwrap(), (1, 3));
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)).unwrap(), (0, 1));
    /// assert!(receiver.recv_deadline(Deadline::NOW).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn priorities(&self) -> usize {
        self.senders.len()
    }
}

impl<T: Serialize + DeserializeOwned> PriorityReceiver<T> {
    /// Receives the message that is first, and its priority, blocking until there is one.
    ///
    /// # Errors
    /// As [`Receiver::recv`].
    pub fn recv(&self) -> std::result::Result<(usize, T), RecvError> {
        self.recv_deadline(Deadline::NEVER)
            .map_err(|error| match error {
                RecvTimeoutError::Disconnected(object) | RecvTimeoutError::Timeout(object) => {
                    RecvError::Disconnected(object)
                }
                RecvTimeoutError::Failed(error) => RecvError::Failed(error),
            })
    }

    /// Receives the message that is first, and its priority, if there is one.
    ///
    /// # Errors
    /// As [`Receiver::try_recv`].
    pub fn try_recv(&self) -> std::result::Result<(usize, T), TryRecvError> {
        let mut is_over = true;
        for (priority, receiver) in self.receivers.iter().enumerate().rev() {
            match receiver.try_recv() {
                Ok(message) => return Ok((priority, message)),
                Err(TryRecvError::Empty) => is_over = false,
                Err(TryRecvError::Disconnected(..)) => {}
                Err(TryRecvError::Failed(error)) => return Err(TryRecvError::Failed(error)),
            }
        }
        Err(if is_over {
            TryRecvError::Disconnected(self.error_object())
        } else {
            TryRecvError::Empty
        })
    }

    /// Receives the message that is first, and its priority, blocking until there is one,
    /// at most `timeout`.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    pub fn recv_timeout(
        &self,
        timeout: Duration,
    ) -> std::result::Result<(usize, T), RecvTimeoutError> {
        self.recv_deadline(Deadline::after(timeout))
    }

    /// Receives the message that is first, and its priority, blocking until there is one,
    /// at most until `deadline`.
    ///
    /// # Errors
    /// As [`Receiver::recv_deadline`].
    pub fn recv_deadline(
        &self,
        deadline: Deadline,
    ) -> std::result::Result<(usize, T), RecvTimeoutError> {
        let mut waiting = WaitSet::default();
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected(object)) => {
                    return Err(RecvTimeoutError::Disconnected(object));
                }
                Err(TryRecvError::Failed(error)) => return Err(RecvTimeoutError::Failed(error)),
                Err(TryRecvError::Empty) => {}
            }
            if waiting.len() == 0 {
                for receiver in &self.receivers {
                    waiting.add(receiver.readiness());
                }
            }
            match waiting.ready(deadline) {
                // One priority that nobody sends to is no news for ever.
                Ok(number) if self.is_over(number) => waiting.remove(number),
                Ok(_) => {}
                Err(error) => {
                    return Err(match error.kind() {
                        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                            RecvTimeoutError::Timeout(self.error_object())
                        }
                        _ => RecvTimeoutError::Failed(error),
                    });
                }
            }
        }
    }

    /// Returns `true` if nothing is at a priority and nothing will come.
    fn is_over(&self, priority: usize) -> bool {
        let receiver = &self.receivers[priority];
        receiver.is_empty() && receiver.is_disconnected()
    }

    /// Returns an iterator over the messages that come, each with its priority, until nothing
    /// is there and nothing will come.
    ///
    /// # Panics
    /// As [`Receiver::iter`].
    pub fn iter(&self) -> impl Iterator<Item = (usize, T)> + '_ {
        std::iter::from_fn(|| iter::item(self.recv()))
    }

    /// Returns an iterator over the messages that come, each with its priority, as
    /// [`Receiver::results`] does.
    pub fn results(&self) -> impl Iterator<Item = Result<(usize, T)>> + '_ {
        iter::results(|| self.recv())
    }
}

impl<T> PriorityReceiver<T> {
    /// The queue of the lowest priority, whose name is that of them all.
    fn error_object(&self) -> ErrorObject {
        match self.receivers.first() {
            Some(receiver) => receiver.side.error_object(),
            None => ErrorObject::queue(""),
        }
    }

    /// Returns how many messages wait, of all priorities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.receivers.iter().map(Receiver::len).sum()
    }

    /// Returns `true` if no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes the queue for every process: sending fails; what was sent can be received.
    ///
    /// # Errors
    /// As [`Receiver::close`].
    ///
    /// # Examples
    /// ```
    /// use procession::{queue, Result};
    /// let (sender, receiver) = queue::prioritized::<u32>(2, 4)?;
    /// sender.send(0, 1).unwrap();
    /// sender.send(1, 2).unwrap();
    /// assert!(!receiver.is_empty() && receiver.len() == 2);
    /// receiver.close()?;
    /// assert!(sender.send(0, 3).is_err());
    /// assert_eq!(receiver.iter().next(), Some((1, 2)));
    /// assert_eq!(receiver.results().collect::<Result<Vec<_>>>()?, [(0, 1)]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        self.receivers.iter().try_for_each(Receiver::close)
    }
}

super::iter::into_iterator!([T: Serialize + DeserializeOwned] PriorityReceiver<T> => (usize, T));
