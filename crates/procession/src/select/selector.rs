//! Completing the first of several operations.

use crate::channel::{Endpoint, Reader};
use crate::queue::{Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError};
use crate::sync::Event;
use crate::wait::{Readiness, Selectable, Tick, Ticker, WaitSet};
use crate::{Deadline, Error, Result};
use rustix::event::PollFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;

/// Completes the first of several operations: receives, sends, takes an event or a tick.
///
/// Each operation is added with a function that is called with its result; [`wait`] returns
/// what that function returns. A [`Select`](crate::Select) says what is ready, and the
/// operation may find that another process was faster. A `Selector` performs the operation,
/// and if another process was faster it goes on waiting within its time: exactly one
/// operation has been performed when [`wait`] returns `Ok`, and none when it returns an
/// error.
///
/// If several operations are possible, each has its turn: a wait begins behind the operation
/// that was performed last, and the order of operations is random.
///
/// An operation stays for the next wait. It is removed after it was performed only if it
/// cannot be performed again: a message that was sent, a time that has passed, or a queue or
/// channel that has ended, whose function is called once with `Disconnected`.
///
/// The functions run on the calling thread. If one panics, its message was received and is
/// lost with the panic, as after [`recv`](Receiver::recv).
///
/// # If a process dies
/// The end of the other side of a queue or a channel is a result, `Disconnected`. A message
/// that another process has received and did not finish is received as by
/// [`recv`](Receiver::recv).
///
/// # Across fork and exec
/// A forked child has its copy.
///
/// # Cost
/// That of [`Select`](crate::Select) and of the operation.
///
/// # Source
/// `Select` of crossbeam-channel, `Selector` of flume.
///
/// # Examples
/// ```
/// use procession::{Selector, process, queue};
/// use std::time::Duration;
/// #[derive(Debug, PartialEq)]
/// enum Event {
///     Number(u64),
///     End,
///     TooLate,
/// }
/// let (sender, numbers) = queue::bounded::<u64>(4)?;
/// let mut task = process::spawn(|sender: queue::Sender<u64>| sender.send(7).unwrap(), sender)?;
/// let mut selector = Selector::new()
///     .recv(&numbers, |number| number.map_or(Event::End, Event::Number))
///     .after(Duration::from_secs(30), || Event::TooLate);
/// assert_eq!(selector.wait()?, Event::Number(7));
/// assert_eq!(selector.wait()?, Event::End);
/// task.join().unwrap();
/// # Ok::<(), procession::Error>(())
/// ```
///
/// [`wait`]: Selector::wait
#[doc(alias = "SelectedOperation")]
#[must_use = "a selector performs nothing until `wait`"]
pub struct Selector<'a, R> {
    sources: WaitSet<'a>,
    operations: Vec<Operation<'a, R>>,
}

/// Performs an operation, if it is possible now.
type Operation<'a, R> = Box<dyn FnMut() -> Result<Option<Performed<R>>> + 'a>;

/// Attempts in vain, one after the other, after which the thread rests before the next one:
/// something that is ready and yet cannot be done is no reason to spin.
const ATTEMPTS: usize = 8;

/// What the function of an operation returned.
enum Performed<R> {
    Once(R),
    /// It cannot be performed again.
    Last(R),
}

/// What a [`Selector`] can receive messages from.
///
/// It is implemented for [`queue::Receiver`](Receiver), [`channel::Reader`](Reader) and
/// [`channel::Endpoint`](Endpoint), and cannot be implemented outside of this crate.
pub trait SelectRecv: Selectable {
    /// What is received.
    type Message;

    #[doc(hidden)]
    fn try_recv_any(&self) -> std::result::Result<Self::Message, TryRecvError>;
}

impl<T: Serialize + DeserializeOwned> SelectRecv for Receiver<T> {
    type Message = T;

    fn try_recv_any(&self) -> std::result::Result<T, TryRecvError> {
        self.try_recv()
    }
}

impl<T: Serialize + DeserializeOwned> SelectRecv for Reader<T> {
    type Message = T;

    fn try_recv_any(&self) -> std::result::Result<T, TryRecvError> {
        self.try_recv()
    }
}

impl<S, R> SelectRecv for Endpoint<S, R>
where
    S: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Message = R;

    fn try_recv_any(&self) -> std::result::Result<R, TryRecvError> {
        self.try_recv()
    }
}

impl<R> Default for Selector<'_, R> {
    fn default() -> Self {
        Selector::new()
    }
}

impl<R> fmt::Debug for Selector<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selector")
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

impl<'a, R> Selector<'a, R> {
    /// Makes a selector without operations.
    ///
    /// # Examples
    /// See [`Selector`].
    pub fn new() -> Selector<'a, R> {
        Selector {
            sources: WaitSet::default(),
            operations: Vec::new(),
        }
    }

    fn add(
        self,
        readiness: Readiness<'a>,
        mut operation: impl FnMut() -> Option<Performed<R>> + 'a,
    ) -> Selector<'a, R> {
        self.add_fallible(readiness, move || Ok(operation()))
    }

    fn add_fallible(
        mut self,
        readiness: Readiness<'a>,
        operation: impl FnMut() -> Result<Option<Performed<R>>> + 'a,
    ) -> Selector<'a, R> {
        self.sources.add(readiness);
        self.operations.push(Box::new(operation));
        self
    }

    /// Adds receiving a message. `then` gets the message, or the end or the error that
    /// [`recv`](Receiver::recv) would return.
    ///
    /// # Examples
    /// See [`Selector`].
    pub fn recv<S: SelectRecv>(
        self,
        from: &'a S,
        mut then: impl FnMut(std::result::Result<S::Message, RecvError>) -> R + 'a,
    ) -> Selector<'a, R> {
        self.add(from.readiness(), move || match from.try_recv_any() {
            Ok(message) => Some(Performed::Once(then(Ok(message)))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected(object)) => {
                let end = RecvError::Disconnected(object);
                Some(Performed::Last(then(Err(end))))
            }
            Err(TryRecvError::Failed(error)) => {
                Some(Performed::Once(then(Err(RecvError::Failed(error)))))
            }
        })
    }

    /// Adds sending a message, once. `then` gets what [`send`](Sender::send) would return.
    ///
    /// # Examples
    /// ```
    /// use procession::{Selector, queue};
    /// let (sender, receiver) = queue::bounded::<u32>(1)?;
    /// let (other, _full) = queue::bounded::<u32>(1)?;
    /// other.send(1).unwrap();
    /// let mut selector = Selector::new()
    ///     .send(&sender, 7, |sent| sent.map(|()| "first"))
    ///     .send(&other, 8, |sent| sent.map(|()| "second"));
    /// assert_eq!(selector.wait()?, Ok("first"));
    /// assert!(selector.try_wait().unwrap_err().is_would_block()); // `other` is full
    /// assert_eq!(receiver.recv().unwrap(), 7);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send<T: Serialize + DeserializeOwned + 'a>(
        self,
        to: &'a Sender<T>,
        message: T,
        mut then: impl FnMut(std::result::Result<(), SendError<T>>) -> R + 'a,
    ) -> Selector<'a, R> {
        let mut message = Some(message);
        self.add(Readiness::shared(to.room()), move || {
            let sent = match to.try_send(message.take()?) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(not_sent)) => {
                    message = Some(not_sent);
                    return None;
                }
                Err(TrySendError::Disconnected(not_sent, object)) => {
                    Err(SendError::Disconnected(not_sent, object))
                }
                Err(TrySendError::Failed(not_sent, error)) => {
                    Err(SendError::Failed(not_sent, error))
                }
            };
            Some(Performed::Last(then(sent)))
        })
    }

    /// Adds taking an event: it is performed when the event is set, and clears it if it is
    /// auto-reset.
    ///
    /// # Examples
    /// ```
    /// use procession::{Selector, sync::Event};
    /// let (one, other) = (Event::auto_reset()?, Event::auto_reset()?);
    /// let mut selector = Selector::new().event(&one, || 1).event(&other, || 2);
    /// other.set()?;
    /// assert_eq!(selector.wait()?, 2);
    /// assert!(selector.try_wait().is_err()); // it was taken
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn event(self, event: &'a Event, mut then: impl FnMut() -> R + 'a) -> Selector<'a, R> {
        self.add_fallible(Readiness::shared(event), move || match event.try_wait() {
            Ok(()) => Ok(Some(Performed::Once(then()))),
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Adds taking the ticks of a [`Ticker`].
    ///
    /// # Examples
    /// ```
    /// use procession::{Selector, Ticker};
    /// use std::time::Duration;
    /// let ticker = Ticker::new(Duration::from_millis(1));
    /// let mut selector = Selector::new().tick(&ticker, |tick| tick.missed);
    /// let missed = selector.wait()?;
    /// assert!(missed < 1_000_000);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn tick(self, ticker: &'a Ticker, mut then: impl FnMut(Tick) -> R + 'a) -> Selector<'a, R> {
        self.add(Readiness::of_ticker(ticker), move || {
            let tick = ticker.try_wait().ok()?;
            Some(Performed::Once(then(tick)))
        })
    }

    /// Adds a time, measured from now, after which `then` is called once.
    ///
    /// # Examples
    /// See [`Selector`].
    pub fn after(self, time: Duration, then: impl FnMut() -> R + 'a) -> Selector<'a, R> {
        self.at(Deadline::after(time), then)
    }

    /// Adds a time at which `then` is called once.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Selector};
    /// use std::time::Duration;
    /// let soon = Deadline::after(Duration::from_millis(1));
    /// let mut selector = Selector::new().at(soon, || 1).at(Deadline::NEVER, || 2);
    /// assert_eq!(selector.wait()?, 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "never")]
    pub fn at(self, time: Deadline, mut then: impl FnMut() -> R + 'a) -> Selector<'a, R> {
        self.add(Readiness::at(time), move || Some(Performed::Last(then())))
    }

    /// Adds a descriptor that can be read, which `then` may do: a handle of a process or a
    /// task, a [`Listener`](crate::channel::Listener), signals, pipes and sockets. If it does
    /// not, the next wait calls it again.
    ///
    /// # Examples
    /// ```
    /// use procession::{Selector, os::pipe};
    /// use std::io::Write;
    /// let (reader, mut writer) = pipe::pipe()?;
    /// let mut selector = Selector::new().readable(&reader, || "readable");
    /// writer.write_all(b"it").unwrap();
    /// assert_eq!(selector.wait()?, "readable");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn readable(
        self,
        descriptor: &'a impl AsFd,
        mut then: impl FnMut() -> R + 'a,
    ) -> Selector<'a, R> {
        let readiness = Readiness::of_descriptor(descriptor.as_fd(), PollFlags::IN);
        self.add(readiness, move || Some(Performed::Once(then())))
    }

    /// Blocks until one of the operations was performed, and returns what its function
    /// returned.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): there is no operation, or none is
    ///   left.
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor is left.
    /// - Those of [`Event::wait`], of an event that cannot be taken.
    ///
    /// # Examples
    /// See [`Selector`].
    pub fn wait(&mut self) -> Result<R> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Performs one of the operations that are possible now.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): none is.
    ///
    /// # Examples
    /// See [`send`](Selector::send).
    pub fn try_wait(&mut self) -> Result<R> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Blocks until one of the operations was performed, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): none was, and as [`wait`](Selector::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Selector, queue};
    /// use std::time::Duration;
    /// let (_sender, receiver) = queue::bounded::<u32>(1)?;
    /// let mut selector = Selector::new().recv(&receiver, |number| number);
    /// let short = Duration::from_millis(1);
    /// assert!(selector.wait_timeout(short).unwrap_err().is_timeout());
    /// assert!(selector.wait_deadline(Deadline::after(short)).unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<R> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Blocks until one of the operations was performed, at most until `deadline`.
    ///
    /// # Errors
    /// As [`wait_timeout`](Selector::wait_timeout).
    ///
    /// # Examples
    /// See [`wait_timeout`](Selector::wait_timeout).
    pub fn wait_deadline(&mut self, deadline: Deadline) -> Result<R> {
        let mut attempts = 0;
        loop {
            let number = self.sources.ready(deadline)?;
            match self.operations[number]()? {
                Some(Performed::Once(value)) => return Ok(value),
                Some(Performed::Last(value)) => {
                    self.sources.remove(number);
                    return Ok(value);
                }
                // Another thread or process was faster.
                None => attempts += 1,
            }
            let is_over = match deadline == Deadline::NOW {
                true => attempts >= self.operations.len(),
                false => deadline.has_passed(),
            };
            if is_over {
                let operation = "waiting for the first of several";
                return Err(Error::new(deadline.error_kind(), operation, ""));
            }
            if deadline != Deadline::NOW && attempts >= ATTEMPTS {
                self.sources.rest(deadline)?;
            }
        }
    }
}
