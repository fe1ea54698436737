//! What can be waited for.

use super::ticker::Ticker;
use crate::{Deadline, Error, Result};
use procession_sys::memory::Word;
use rustix::event::PollFlags;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Words, and what the lower halves of them were: while they are so, nothing has
/// happened.
pub(crate) type Watched = [(Word, u32); 2];

/// Something in shared memory that becomes ready.
pub(crate) trait Source {
    /// Returns whether it is; `thoroughly` asks the kernel where that is needed.
    fn is_ready(&self, thoroughly: bool) -> Result<bool>;

    /// Announces a sleeper, so that the process that makes it ready wakes the threads
    /// that sleep on the words; `None` if it is ready by now. To be followed by a thorough look.
    fn announce(&self) -> Result<Option<Watched>>;

    /// Wakes another thread that waits for it: we were woken, and may not take what
    /// there is.
    fn pass_on(&self);
}

/// How to learn that something is ready. Opaque, since [`Sealed`](sealed::Sealed) names
/// it, which is above a public trait.
pub struct Readiness<'a>(pub(super) Way<'a>);

pub(super) enum Way<'a> {
    Shared(Box<dyn Source + 'a>),
    Borrowed(BorrowedFd<'a>, PollFlags),
    /// A copy of a descriptor, and whether something of it was read already.
    Stream(OwnedFd, Box<dyn Fn() -> bool + 'a>),
    Time(Deadline),
    Ticker(&'a Ticker),
    Failed(Error),
}

impl<'a> Readiness<'a> {
    /// Of something in shared memory.
    pub(crate) fn shared(source: impl Source + 'a) -> Readiness<'a> {
        Readiness(Way::Shared(Box::new(source)))
    }

    /// Of a descriptor that has one of these events.
    pub(crate) fn of_descriptor(descriptor: BorrowedFd<'a>, events: PollFlags) -> Readiness<'a> {
        Readiness(Way::Borrowed(descriptor, events))
    }

    /// Of a stream that can be read, or of which `has_some` says that part was read
    /// already.
    pub(crate) fn of_stream(copy: OwnedFd, has_some: impl Fn() -> bool + 'a) -> Readiness<'a> {
        Readiness(Way::Stream(copy, Box::new(has_some)))
    }

    /// From this time on.
    pub(crate) fn at(time: Deadline) -> Readiness<'a> {
        Readiness(Way::Time(time))
    }

    /// From the next tick on.
    pub(crate) fn of_ticker(ticker: &'a Ticker) -> Readiness<'a> {
        Readiness(Way::Ticker(ticker))
    }

    /// Cannot be waited for, which is told when it is.
    pub(crate) fn failed(error: Error) -> Readiness<'a> {
        Readiness(Way::Failed(error))
    }
}

impl fmt::Debug for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

/// What a [`Select`](crate::Select) can receive from.
///
/// It is implemented for [`queue::Receiver`](crate::queue::Receiver),
/// [`channel::Reader`](crate::channel::Reader) and
/// [`channel::Endpoint`](crate::channel::Endpoint), and cannot be implemented outside of
/// this crate.
#[doc(alias = "Receives")]
pub trait Selectable: sealed::Sealed {}

/// What can be waited for is up to this crate.
pub(crate) mod sealed {
    use super::Readiness;

    pub trait Sealed {
        #[doc(hidden)]
        fn readiness(&self) -> Readiness<'_>;
    }
}
