//! Waiting for the first of several things, whatever they are.

use super::order::Order;
use super::source::{Readiness, Way};
use crate::os::eventfd::{EventFd, Mode};
use crate::registry::watches::{self, Notify};
use crate::{Deadline, Error, ErrorKind, Result};
use procession_sys::futex;
use procession_sys::memory::Word;
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep without looking again.
const SLICE: Duration = Duration::from_millis(100);

/// Longest sleep where there are more words than one sleep can be on, or one is ready.
const ROUND: Duration = Duration::from_millis(5);

/// Waits after which the kernel is asked about descriptors, and the clock about times,
/// though something in shared memory may be ready: that is always faster.
const UNASKED: u32 = 8;

/// Looks before the first sleep.
const LOOKS: u32 = 200;

/// Things that are waited for, each known by the number that adding it returned.
#[derive(Default)]
pub(crate) struct WaitSet<'a> {
    sources: Vec<Option<Way<'a>>>,
    /// In which to look at them.
    order: Order,
    /// Where to look first in that order, so that each has its turn.
    next: usize,
    /// The same for those that only the kernel or the clock knows of, and waits since
    /// they were asked; of one that has never waited, as if it had waited before.
    next_asked: usize,
    unasked: u32,
    doorbell: Option<Arc<EventFd>>,
}

impl<'a> WaitSet<'a> {
    pub(crate) fn add(&mut self, readiness: Readiness<'a>) -> usize {
        if self.sources.is_empty() {
            self.unasked = self.order.chance(UNASKED);
        }
        self.sources.push(Some(readiness.0));
        self.order.add()
    }

    /// Returns how many were added, those removed included.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Waits for this one no longer. The numbers of the others stay.
    ///
    /// # Panics
    /// If no such thing was added.
    pub(crate) fn remove(&mut self, number: usize) {
        self.sources[number] = None;
    }

    /// Blocks until one is ready, or until `deadline`; returns its number.
    pub(crate) fn ready(&mut self, deadline: Deadline) -> Result<usize> {
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
        self.next = found.map_or(self.next, |(position, _)| position + 1);
        Ok(found.map(|(_, number)| number))
    }

    /// The first that is ready of those that only the kernel or the clock knows of.
    fn ask(&mut self) -> Result<Option<usize>> {
        self.unasked = 0;
        let found = self.first_from(self.next_asked, |number| {
            let is_shared = matches!(self.sources[number], Some(Way::Shared(_)));
            Ok(!is_shared && self.is_ready(number, true)?)
        })?;
        self.next_asked = found.map_or(self.next_asked, |(position, _)| position + 1);
        Ok(found.map(|(_, number)| number))
    }

    /// The first that is wanted, from a position in the order on: its position, its number.
    fn first_from(
        &self,
        first: usize,
        is_wanted: impl Fn(usize) -> Result<bool>,
    ) -> Result<Option<(usize, usize)>> {
        for (position, number) in self.order.from(first) {
            if is_wanted(number)? {
                return Ok(Some((position, number)));
            }
        }
        Ok(None)
    }

    fn is_ready(&self, number: usize, thoroughly: bool) -> Result<bool> {
        Ok(match &self.sources[number] {
            None => false,
            Some(Way::Shared(source)) => source.is_ready(thoroughly)?,
            Some(Way::Time(time)) => thoroughly && time.has_passed(),
            Some(Way::Ticker(ticker)) => thoroughly && ticker.next().has_passed(),
            Some(Way::Stream(descriptor, has_some)) => {
                has_some() || thoroughly && is_polled(descriptor.as_fd(), PollFlags::IN)?
            }
            Some(Way::Borrowed(descriptor, events)) => {
                thoroughly && is_polled(*descriptor, *events)?
            }
            Some(Way::Failed(error)) => return Err(error.clone()),
        })
    }

    /// Announces us to all that are in shared memory.
    fn announce(&self) -> Result<Vec<(Word, u32)>> {
        let mut words = Vec::new();
        for way in self.sources.iter().flatten() {
            if let Way::Shared(source) = way
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

    /// Sleeps a moment, or until something happens to one of them.
    pub(crate) fn rest(&mut self, deadline: Deadline) -> Result<()> {
        let words = self.announce()?;
        self.sleep(words, deadline.min(Deadline::after(ROUND)))
    }

    fn sleep(&mut self, words: Vec<(Word, u32)>, deadline: Deadline) -> Result<()> {
        let mut until = deadline.min(Deadline::after(SLICE));
        let mut has_descriptors = false;
        for way in self.sources.iter().flatten() {
            match way {
                Way::Time(time) => until = until.min(*time),
                Way::Ticker(ticker) => until = until.min(ticker.next()),
                Way::Borrowed(..) | Way::Stream(..) => has_descriptors = true,
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

    /// Sleeps on descriptors, and on words by the watcher of shared objects.
    fn poll(&mut self, words: Vec<(Word, u32)>, until: Deadline) -> Result<()> {
        let mut watching = None;
        if !words.is_empty() {
            let doorbell = match &self.doorbell {
                Some(doorbell) => Arc::clone(doorbell),
                None => Arc::new(EventFd::new(0, Mode::Counter)?),
            };
            let notify = Notify::Doorbell(Arc::clone(&doorbell));
            self.doorbell = Some(doorbell);
            watching = Some(watches::watch(words, notify)?);
        }
        let doorbell = self.doorbell.as_deref().filter(|_| watching.is_some());
        let mut descriptors: Vec<PollFd<'_>> = doorbell
            .iter()
            .map(|doorbell| PollFd::new(*doorbell, PollFlags::IN))
            .collect();
        for way in self.sources.iter().flatten() {
            match way {
                Way::Borrowed(descriptor, events) => {
                    descriptors.push(PollFd::from_borrowed_fd(*descriptor, *events));
                }
                Way::Stream(descriptor, _) => {
                    descriptors.push(PollFd::new(descriptor, PollFlags::IN));
                }
                _ => {}
            }
        }
        crate::poll::wait(&mut descriptors, until)?;
        drop(watching);
        if let Some(doorbell) = doorbell {
            let _ = doorbell.try_take();
        }
        Ok(())
    }

    /// We were woken, perhaps by several, and tell of one: other threads that wait for
    /// what is ready are to be woken, too.
    fn pass_on(&self) {
        for way in self.sources.iter().flatten() {
            if let Way::Shared(source) = way {
                source.pass_on();
            }
        }
    }
}

fn is_polled(descriptor: BorrowedFd<'_>, events: PollFlags) -> Result<bool> {
    let mut descriptors = [PollFd::from_borrowed_fd(descriptor, events)];
    Ok(crate::poll::wait(&mut descriptors, Deadline::NOW)? > 0)
}
