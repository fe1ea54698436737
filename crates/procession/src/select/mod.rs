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
/// processes, descriptors, ticks and times.
///
/// Each thing is added once, and adding it returns its number. [`ready`] returns the number
/// of a thing that is ready. A message that is ready is still to be received, and another
/// thread or process can be faster: use the forms that do not wait, and wait again if they
/// fail. A [`Selector`] does so, and returns what it has received.
///
/// If several things are ready, each has its turn: a wait begins behind the thing that was
/// reported last, and the order of things is random. If a `Select` is made anew for each
/// wait, each ready thing is reported with the same probability.
///
/// # If a process dies
/// The end of the other side makes a queue or a channel ready. The end of a process makes
/// its handle ready.
///
/// # Across fork and exec
/// A forked child has its copy.
///
/// # Cost
/// If something is ready: one look at each thing. If the thread has to sleep: one system
/// call if all things are in shared memory. If some are descriptors, the thread of the
/// library that watches shared objects wakes this one, which takes some system calls in all,
/// and no thread for each thing.
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
    /// Makes a `Select` that waits for nothing.
    ///
    /// # Examples
    /// See [`Select`].
    #[must_use]
    pub fn new() -> Select<'a> {
        Select::default()
    }

    /// Adds a queue or a channel, which is ready if there is a message to receive, or if
    /// none will come. Returns its number.
    ///
    /// # Examples
    /// See [`Select`].
    pub fn recv(&mut self, from: &'a impl Selectable) -> usize {
        self.sources.add(from.readiness())
    }

    /// Adds a queue, which is ready if there is room for a message, or if no receiver is
    /// left. Returns its number.
    ///
    /// # Examples
    /// ```
    /// use procession::{Select, queue};
    /// let (sender, receiver) = queue::bounded::<u32>(1)?;
    /// let mut select = Select::new();
    /// let room = select.send(&sender);
    /// assert_eq!(select.ready()?, room);
    /// sender.try_send(7).unwrap();
    /// assert!(select.try_ready().is_err()); // the queue is full
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn send<T: ?Sized>(&mut self, sender: &queue::Sender<T>) -> usize {
        self.sources.add(Readiness::shared(sender.room()))
    }

    /// Adds an event, which is ready while it is set. Returns its number. An auto-reset
    /// event is still to be taken ([`try_wait`](Event::try_wait)).
    ///
    /// # Examples
    /// ```
    /// use procession::{Select, sync::Event};
    /// let (one, other) = (Event::new()?, Event::new()?);
    /// let mut select = Select::new();
    /// let (_, second) = (select.event(&one), select.event(&other));
    /// other.set()?;
    /// assert_eq!(select.ready()?, second);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn event(&mut self, event: &'a Event) -> usize {
        self.sources.add(Readiness::shared(event))
    }

    /// Adds a descriptor, which is ready if it can be read: a pipe or a socket that has
    /// something, a handle of a process or a task that has ended, a
    /// [`Listener`](crate::channel::Listener) that has a connection, signals. Returns its
    /// number.
    ///
    /// # Examples
    /// ```
    /// use procession::{Select, os::pipe};
    /// use std::io::Write;
    /// let (reader, mut writer) = pipe::pipe()?;
    /// let mut select = Select::new();
    /// let (readable, writable) = (select.readable(&reader), select.writable(&writer));
    /// assert_eq!(select.ready()?, writable);
    /// select.remove(writable);
    /// writer.write_all(b"it").unwrap();
    /// assert_eq!(select.ready()?, readable);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn readable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.sources
            .add(Readiness::of_descriptor(descriptor.as_fd(), PollFlags::IN))
    }

    /// Adds a descriptor, which is ready if it can be written to. Returns its number.
    ///
    /// # Examples
    /// See [`readable`](Select::readable).
    pub fn writable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.sources
            .add(Readiness::of_descriptor(descriptor.as_fd(), PollFlags::OUT))
    }

    /// Adds a ticker, which is ready while a tick is due. Returns its number. The tick is
    /// still to be [taken](Ticker::try_wait).
    ///
    /// # Examples
    /// ```
    /// use procession::{Select, Ticker};
    /// use std::time::Duration;
    /// let ticker = Ticker::new(Duration::from_millis(1));
    /// let mut select = Select::new();
    /// let tick = select.tick(&ticker);
    /// assert_eq!(select.ready()?, tick);
    /// ticker.try_wait()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn tick(&mut self, ticker: &'a Ticker) -> usize {
        self.sources.add(Readiness::of_ticker(ticker))
    }

    /// Adds a time, measured from now, after which it is ready. Returns its number.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Select};
    /// use std::time::Duration;
    /// let mut select = Select::new();
    /// let soon = select.after(Duration::from_millis(1));
    /// select.at(Deadline::NEVER);
    /// assert_eq!(select.ready()?, soon);
    /// select.remove(soon);
    /// assert!(select.try_ready().is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn after(&mut self, time: Duration) -> usize {
        self.at(Deadline::after(time))
    }

    /// Adds a time from which on it is ready. Returns its number.
    ///
    /// # Examples
    /// See [`after`](Select::after).
    #[doc(alias = "never")]
    pub fn at(&mut self, time: Deadline) -> usize {
        self.sources.add(Readiness::at(time))
    }

    /// Removes the thing with this number. The numbers of the others stay.
    ///
    /// # Panics
    /// If no thing has had this number.
    ///
    /// # Examples
    /// See [`readable`](Select::readable).
    pub fn remove(&mut self, number: usize) {
        self.sources.remove(number);
    }

    /// Blocks until a thing is ready, and returns its number.
    ///
    /// # Errors
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): there is nothing to wait for.
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor is left.
    ///
    /// # Examples
    /// See [`Select`].
    pub fn ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NEVER)
    }

    /// Returns the number of a thing that is ready now.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): none is.
    ///
    /// # Examples
    /// See [`send`](Select::send).
    pub fn try_ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NOW)
    }

    /// Blocks until a thing is ready, at most `timeout`, and returns its number.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): none was, and as [`ready`](Select::ready).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, Select, queue};
    /// use std::time::Duration;
    /// let (_sender, receiver) = queue::bounded::<u32>(1)?;
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// let short = Duration::from_millis(1);
    /// assert!(select.ready_timeout(short).unwrap_err().is_timeout());
    /// assert!(select.ready_deadline(Deadline::after(short)).unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize> {
        self.ready_deadline(Deadline::after(timeout))
    }

    /// Blocks until a thing is ready, at most until `deadline`, and returns its number.
    ///
    /// # Errors
    /// As [`ready_timeout`](Select::ready_timeout).
    ///
    /// # Examples
    /// See [`ready_timeout`](Select::ready_timeout).
    pub fn ready_deadline(&mut self, deadline: Deadline) -> Result<usize> {
        self.sources.ready(deadline)
    }
}
