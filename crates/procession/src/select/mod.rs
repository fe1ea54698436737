//! Waiting for the first of several things.

mod order;
mod source;

pub(crate) use source::{Source, Watched, until};

use crate::channel::{Endpoint, Reader};
use crate::os::eventfd::{EventFd, Mode};
use crate::registry::watch::{self, Teller};
use crate::sync::Event;
use crate::{Deadline, Error, ErrorKind, Result, queue};
use order::Order;
use procession_sys::futex;
use procession_sys::memory::Word;
use rustix::event::{PollFd, PollFlags};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep without looking again.
const SLICE: Duration = Duration::from_millis(100);

/// Longest sleep where there are more words than one sleep can be on.
const ROUND: Duration = Duration::from_millis(5);

/// Waits after which the kernel is asked about descriptors, and the clock about times,
/// though something in shared memory may be ready: that is always faster.
const UNASKED: u32 = 8;

/// Looks before the first sleep.
const LOOKS: u32 = 200;

/// Waits until the first of several things is ready: queues, channels, events,
/// processes, plain descriptors, a time.
///
/// Each is added once and known by the number that this returns; [`ready`] says
/// which one is. What is ready is still to be received, and somebody else can be
/// faster: use the forms that do not wait, and wait again where they fail.
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
    sources: Vec<Option<Kind<'a>>>,
    /// In which to look at them.
    order: Order,
    /// Where to look first in that order, so that each has its turn.
    next: usize,
    /// The same for those that only the kernel or the clock knows of, and waits since
    /// they were asked; of one that has never waited, as if it had waited before.
    next_asked: usize,
    unasked: u32,
    bell: Option<Arc<EventFd>>,
}

enum Kind<'a> {
    Shared(Box<dyn Source + 'a>),
    Borrowed(BorrowedFd<'a>, PollFlags),
    /// A copy of a descriptor, and whether something of it was read already.
    Stream(OwnedFd, Box<dyn Fn() -> bool + 'a>),
    Time(Deadline),
    /// Cannot be waited for, which is told when it is.
    Failed(Error),
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}

/// What can be received from.
///
/// It is implemented for [`queue::Receiver`], [`channel::Reader`](Reader) and
/// [`channel::Endpoint`](Endpoint), and by nobody else.
pub trait Receives: private::Sealed {}

/// What can be waited for is up to this library.
mod private {
    pub trait Sealed {
        fn add<'a>(&'a self, select: &mut super::Select<'a>) -> usize;
    }
}

impl<T: ?Sized> Receives for queue::Receiver<T> {}

impl<T: ?Sized> private::Sealed for queue::Receiver<T> {
    fn add<'a>(&'a self, select: &mut Select<'a>) -> usize {
        select.add(Kind::Shared(Box::new(self.messages())))
    }
}

impl<T: ?Sized> Receives for Reader<T> {}

impl<T: ?Sized> private::Sealed for Reader<T> {
    fn add<'a>(&'a self, select: &mut Select<'a>) -> usize {
        if let Some(messages) = self.messages() {
            return select.add(Kind::Shared(Box::new(messages)));
        }
        select.add(match self.descriptor() {
            Ok(copy) => Kind::Stream(copy, Box::new(|| self.has_some())),
            Err(error) => Kind::Failed(error),
        })
    }
}

impl<S: ?Sized, R: ?Sized> Receives for Endpoint<S, R> {}

impl<S: ?Sized, R: ?Sized> private::Sealed for Endpoint<S, R> {
    fn add<'a>(&'a self, select: &mut Select<'a>) -> usize {
        private::Sealed::add(self.reader(), select)
    }
}

impl<'a> Select<'a> {
    /// Waits for nothing yet.
    #[must_use]
    pub fn new() -> Select<'a> {
        Select::default()
    }

    fn add(&mut self, kind: Kind<'a>) -> usize {
        if self.sources.is_empty() {
            self.unasked = self.order.chance(UNASKED);
        }
        self.sources.push(Some(kind));
        self.order.add()
    }

    /// Whether nothing was ever added.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Waits for something to receive, if only the end.
    pub fn recv(&mut self, from: &'a impl Receives) -> usize {
        from.add(self)
    }

    /// Waits for room, or for the end of all receivers.
    pub fn send<T: ?Sized>(&mut self, sender: &queue::Sender<T>) -> usize {
        self.add(Kind::Shared(Box::new(sender.room())))
    }

    /// Waits until an event is set. If it resets itself, the setting is still to be
    /// taken.
    pub fn event(&mut self, event: &'a Event) -> usize {
        self.add(Kind::Shared(Box::new(event)))
    }

    /// Waits until a descriptor can be read: a handle of a process or a task, which
    /// can be when that has ended, a [`Listener`](crate::channel::Listener), signals,
    /// pipes and sockets.
    pub fn readable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.add(Kind::Borrowed(descriptor.as_fd(), PollFlags::IN))
    }

    /// Waits until a descriptor can be written to.
    pub fn writable(&mut self, descriptor: &'a impl AsFd) -> usize {
        self.add(Kind::Borrowed(descriptor.as_fd(), PollFlags::OUT))
    }

    /// Waits for so long, from now.
    pub fn after(&mut self, time: Duration) -> usize {
        self.at(Deadline::after(time))
    }

    /// Waits until then.
    pub fn at(&mut self, time: Deadline) -> usize {
        self.add(Kind::Time(time))
    }

    /// Waits for this one no longer. The numbers of the others stay.
    ///
    /// # Panics
    /// If no such thing was added.
    pub fn remove(&mut self, number: usize) {
        self.sources[number] = None;
    }

    /// Waits until one is ready; its number.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): there is nothing to wait for;
    /// [`LimitReached`](ErrorKind::LimitReached): no descriptor is left.
    pub fn ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NEVER)
    }

    /// The number of one that is ready.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): none is.
    pub fn try_ready(&mut self) -> Result<usize> {
        self.ready_deadline(Deadline::NOW)
    }

    /// Waits until one is ready, so long at most; its number.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`ready`](Select::ready).
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize> {
        self.ready_deadline(Deadline::after(timeout))
    }

    /// Waits until one is ready, until then at most; its number.
    ///
    /// # Errors
    /// As [`ready_timeout`](Select::ready_timeout).
    pub fn ready_deadline(&mut self, deadline: Deadline) -> Result<usize> {
        let operation = "waiting for the first of several";
        if deadline == Deadline::NEVER && self.sources.iter().flatten().next().is_none() {
            return Err(Error::new(ErrorKind::InvalidInput, operation, "")
                .because("there is nothing to wait for"));
        }
        let error = || Error::new(deadline.error_kind(), operation, "");
        if deadline == Deadline::NOW {
            return self.look(true)?.ok_or_else(error);
        }
        self.unasked += 1;
        if self.unasked >= UNASKED
            && let Some(number) = self.ask()?
        {
            return Ok(number);
        }
        for _ in 0..LOOKS {
            if let Some(number) = self.look(false)? {
                return Ok(number);
            }
            std::hint::spin_loop();
        }
        loop {
            let words = self.announce()?;
            if let Some(number) = self.look(true)? {
                return Ok(number);
            }
            if deadline.has_passed() {
                return Err(error());
            }
            self.sleep(words, deadline)?;
            if let Some(number) = self.look(true)? {
                self.pass_on();
                return Ok(number);
            }
        }
    }

    /// The first that is ready, from the one on whose turn it is.
    fn look(&mut self, thoroughly: bool) -> Result<Option<usize>> {
        let found = self.first_from(self.next, |number| self.is_ready(number, thoroughly))?;
        self.next = found.map_or(self.next, |(place, _)| place + 1);
        Ok(found.map(|(_, number)| number))
    }

    /// The first that is ready of those that only the kernel or the clock knows of.
    fn ask(&mut self) -> Result<Option<usize>> {
        self.unasked = 0;
        let found = self.first_from(self.next_asked, |number| {
            let is_shared = matches!(self.sources[number], Some(Kind::Shared(_)));
            Ok(!is_shared && self.is_ready(number, true)?)
        })?;
        self.next_asked = found.map_or(self.next_asked, |(place, _)| place + 1);
        Ok(found.map(|(_, number)| number))
    }

    /// The first that is wanted, from a place in the order on: its place, its number.
    fn first_from(
        &self,
        first: usize,
        is_wanted: impl Fn(usize) -> Result<bool>,
    ) -> Result<Option<(usize, usize)>> {
        for (place, number) in self.order.from(first) {
            if is_wanted(number)? {
                return Ok(Some((place, number)));
            }
        }
        Ok(None)
    }

    fn is_ready(&self, number: usize, thoroughly: bool) -> Result<bool> {
        Ok(match &self.sources[number] {
            None => false,
            Some(Kind::Shared(source)) => source.is_ready(thoroughly)?,
            Some(Kind::Time(time)) => thoroughly && time.has_passed(),
            Some(Kind::Stream(descriptor, has_some)) => {
                has_some() || thoroughly && is_polled(descriptor.as_fd(), PollFlags::IN)?
            }
            Some(Kind::Borrowed(descriptor, events)) => {
                thoroughly && is_polled(*descriptor, *events)?
            }
            Some(Kind::Failed(error)) => return Err(error.clone()),
        })
    }

    /// Announces us to all that are in shared memory.
    fn announce(&self) -> Result<Vec<(Word, u32)>> {
        let mut words = Vec::new();
        for kind in self.sources.iter().flatten() {
            if let Kind::Shared(source) = kind
                && let Some(watched) = source.announce()?
            {
                words.extend(watched);
            }
        }
        // Objects without a name share the word that counts deaths.
        words.sort_by_key(|(word, seen)| (std::ptr::from_ref(&**word).addr(), *seen));
        words.dedup_by_key(|(word, seen)| (std::ptr::from_ref(&**word).addr(), *seen));
        Ok(words)
    }

    fn sleep(&mut self, words: Vec<(Word, u32)>, deadline: Deadline) -> Result<()> {
        let mut until = deadline.min(Deadline::after(SLICE));
        let mut has_descriptors = false;
        for kind in self.sources.iter().flatten() {
            match kind {
                Kind::Time(time) => until = until.min(*time),
                Kind::Borrowed(..) | Kind::Stream(..) => has_descriptors = true,
                _ => {}
            }
        }
        if has_descriptors {
            return self.poll(words, until);
        }
        let mut expected: Vec<_> = words.iter().map(|(word, seen)| (&**word, *seen)).collect();
        if expected.len() > futex::MAX_WORDS {
            expected.truncate(futex::MAX_WORDS);
            until = until.min(Deadline::after(ROUND));
        }
        let left = until.remaining().unwrap_or(SLICE);
        if expected.is_empty() {
            #[expect(clippy::disallowed_methods, reason = "only a time is waited for")]
            std::thread::sleep(left);
        } else {
            // For whatever reason it ends, everything is looked at again.
            let _ = futex::wait(&expected, left);
        }
        Ok(())
    }

    /// Sleeps on descriptors, and on words by the keeper of shared objects.
    fn poll(&mut self, words: Vec<(Word, u32)>, until: Deadline) -> Result<()> {
        let mut watching = None;
        if !words.is_empty() {
            let bell = match &self.bell {
                Some(bell) => Arc::clone(bell),
                None => Arc::new(EventFd::new(0, Mode::Counter)?),
            };
            let teller = Teller::Bell(Arc::clone(&bell));
            self.bell = Some(bell);
            watching = Some(watch::watch(words, teller)?);
        }
        let bell = self.bell.as_deref().filter(|_| watching.is_some());
        let mut descriptors: Vec<PollFd<'_>> = bell
            .iter()
            .map(|bell| PollFd::new(*bell, PollFlags::IN))
            .collect();
        for kind in self.sources.iter().flatten() {
            match kind {
                Kind::Borrowed(descriptor, events) => {
                    descriptors.push(PollFd::from_borrowed_fd(*descriptor, *events));
                }
                Kind::Stream(descriptor, _) => {
                    descriptors.push(PollFd::new(descriptor, PollFlags::IN));
                }
                _ => {}
            }
        }
        crate::poll::wait(&mut descriptors, until)?;
        drop(watching);
        if let Some(bell) = bell {
            let _ = bell.try_take();
        }
        Ok(())
    }

    /// We were woken, perhaps by several, and tell of one: others who wait for what
    /// is ready are to be woken, too.
    fn pass_on(&self) {
        for kind in self.sources.iter().flatten() {
            if let Kind::Shared(source) = kind {
                source.pass_on();
            }
        }
    }
}

fn is_polled(descriptor: BorrowedFd<'_>, events: PollFlags) -> Result<bool> {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, events)];
    Ok(crate::poll::wait(&mut descriptors, Deadline::NOW)? > 0)
}
