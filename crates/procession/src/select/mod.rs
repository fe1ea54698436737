//! Waiting for the first of several things.

mod selector;

pub use selector::{SelectRecv, Selector};

use crate::sync::Event;
use crate::wait::{Readiness, Selectable, Ticker, WaitSet};
use crate::{Deadline, Result, queue};
use rustix::event::PollFlags;
use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;

/// Waits until the first of several things is ready: queues, channels, events,
/// processes, plain descriptors, a time.
///
/// Each is added once and known by the number that this returns; [`ready`] says
/// which one is. What is ready is still to be received, and somebody else can be
/// faster: use the forms that do not wait, and wait again where they fail, or a
/// [`Selector`], which does so.
/// Of several that are ready, each has its turn; if a `Select` is made anew for
/// each wait, each is as likely to be told of as any other.
///
/// # If a process dies
/// The end of the other side of a queue or a channel makes it ready; the end of a
/// process its handle.
///
/// # Across fork and exec
/// A forked child has its copy.
///
/// # Cost
/// One look at each where one is ready. Asleep: for things in shared memory one
/// system call; where there are descriptors, too, the thread that keeps shared
/// objects wakes this one, some system calls in all, but no thread for each.
///
/// # Examples
/// ```
/// use procession::{process, queue, Select};
/// use std::time::Duration;
/// let (sender, results) = queue::bounded::<u64>(4)?;
/// let mut task = process::spawn(|sender: queue::Sender<u64>| sender.send(7).unwrap(), sender)?;
/// let mut select = Select::new();
/// let result = select.recv(&results);
/// let ended = select.readable(&task);
/// let too_late = select.after(Duration::from_secs(30));
/// let mut found = Vec::new();
/// while found.len() < 2 {
///     match select.ready()? {
///         it if it == result => match results.try_recv() {
///             Ok(number) => found.push(number),
///             Err(_) => select.remove(result),
///         },
///         it if it == ended => {
///             found.push(0);
///             select.remove(ended);
///         }
///         it => assert_ne!(it, too_late),
///     }
/// }
/// drop(select);
/// task.join().unwrap();
/// found.sort();
/// assert_eq!(found, [0, 7]);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// [`ready`]: Select::ready
#[derive(Default)]
pub struct Select<'a> {
    sources: WaitSet<'a>,
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Select<'a> {
    /// Waits for nothing yet.
    #[must_use]
    pub fn new() -> Select<'a> {
        Select::default()
    }

    /// Waits for something to receive, if only the end.
    pub fn recv(&mut self, from: &'a impl Selectable) -> usize {
        self.sources.add(from.readiness())
    }

    /// Waits for room, or for the end of all receivers.
    pub fn send<T: ?Sized>(&mut self, sender: &queue::Sender<T>) -> usize {
        self.sources.add(Readiness::shared(sender.room()))
    }

    /// Waits until an event is set. If it resets itself, the setting is still to be
    /// taken.
    pub fn event(&mut self, event: &'a Event) -> usize {
        self.sources.add(Readiness::shared(event))
    }

    /// Waits until a descriptor can be read: a handle of a process or a task, which
    /// can be when that has ended, a [`Listener`](crate::channel::Listener), signals,
    /// pipes and sockets.
    pub fn readable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.sources
            .add(Readiness::of_descriptor(descriptor.as_fd(), PollFlags::IN))
    }

    /// Waits until a descriptor can be written to.
    pub fn writable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.sources
            .add(Readiness::of_descriptor(descriptor.as_fd(), PollFlags::OUT))
    }

    /// Waits for the next tick, each time anew. The tick is still to be
    /// [taken](Ticker::try_wait).
    ///
    /// # Examples
    /// See [`Ticker`].
    pub fn tick(&mut self, ticker: &'a Ticker) -> usize {
        self.sources.add(Readiness::of_ticker(ticker))
    }

    /// Waits for so long, from now.
    pub fn after(&mut self, time: Duration) -> usize {
        self.at(Deadline::after(time))
    }

    /// Waits until then.
    pub fn at(&mut self, time: Deadline) -> usize {
        self.sources.add(Readiness::at(time))
    }

    /// Waits for this one no longer. The numbers of the others stay.
    ///
    /// # Panics
    /// If no such thing was added.
    pub fn remove(&mut self, number: usize) {
        self.sources.remove(number);
    }

    /// Waits until one is ready; its number.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): there is nothing to wait for;
    /// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor is left.
    pub fn ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NEVER)
    }

    /// Returns the number of one that is ready.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): none is.
    pub fn try_ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NOW)
    }

    /// Waits until one is ready, so long at most; its number.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), and as [`ready`](Select::ready).
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize> {
        self.ready_deadline(Deadline::after(timeout))
    }

    /// Waits until one is ready, until then at most; its number.
    ///
    /// # Errors
    /// As [`ready_timeout`](Select::ready_timeout).
    pub fn ready_deadline(&mut self, deadline: Deadline) -> Result<usize> {
        self.sources.ready(deadline)
    }
}
