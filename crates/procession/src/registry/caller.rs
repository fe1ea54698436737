//! A thread that uses a shared object, for the time of one call: what the
//! algorithms of `procession-core` need of the system.

use super::table::Registry;
use super::thread;
use crate::spin;
use crate::{Deadline, Result};
use procession_core::{Owner, Platform, Slept};
use procession_sys::futex;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest sleep without looking again: the bound for what no wake-up and no
/// count of deaths has told, because whoever should have told it is stopped.
const SLICE: Duration = Duration::from_millis(100);

/// Sleeps after which the kernel is asked whether the others live, for the case
/// that it could not mark their places.
const SLICES_UNTIL_DOUBT: u32 = 10;

/// The calling thread and how long it has.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    registry: &'a Registry,
    me: Owner,
    deadline: Deadline,
    slices: Cell<u32>,
}

impl<'a> Caller<'a> {
    /// The calling thread, whose process joins the registry if it has not.
    #[inline]
    pub(crate) fn new(registry: &'a Arc<Registry>, deadline: Deadline) -> Result<Caller<'a>> {
        let process = registry.process()?;
        Ok(Caller {
            registry,
            me: process.with_thread(thread::number()),
            deadline,
            slices: Cell::new(0),
        })
    }

    /// The calling thread, for giving back what it holds; `None` if its process
    /// has not joined, and so holds nothing.
    #[inline]
    pub(crate) fn if_joined(registry: &'a Registry) -> Option<Caller<'a>> {
        Caller::of_thread(registry, thread::number())
    }

    /// This process, none of its threads in particular: for what is given back
    /// with its last handle, and for what it holds.
    pub(crate) fn of_process(registry: &'a Registry) -> Option<Caller<'a>> {
        Caller::of_thread(registry, 0)
    }

    /// Returns `true` if its time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.deadline.remaining() == Some(Duration::ZERO)
    }

    /// The thread of this process that holds a word, if one of them does.
    pub(crate) fn as_holder(&self, word: u64) -> Option<Caller<'a>> {
        let owner = Owner::of(word)?;
        let ours = owner.process() == self.me.process();
        ours.then(|| Caller {
            registry: self.registry,
            me: owner,
            deadline: Deadline::NOW,
            slices: Cell::new(0),
        })
    }

    #[inline]
    fn of_thread(registry: &'a Registry, number: u16) -> Option<Caller<'a>> {
        Some(Caller {
            registry,
            me: registry.joined_process()?.with_thread(number),
            deadline: Deadline::NOW,
            slices: Cell::new(0),
        })
    }
}

impl Platform for Caller<'_> {
    #[inline]
    fn me(&self) -> Owner {
        self.me
    }

    #[inline]
    fn is_alive(&self, owner: Owner) -> bool {
        owner.process() == self.me.process() || self.registry.is_alive(owner)
    }

    fn lives(&self, place: usize, generation: u32) -> bool {
        self.registry.lives(place, generation)
    }

    #[inline]
    fn waits_in_vain(&self, owner: Owner) -> bool {
        self.deadline == Deadline::NEVER
            && owner.process() == self.me.process()
            && thread::has_left(owner.thread())
    }

    fn deaths(&self) -> u32 {
        self.registry.deaths().load(Ordering::SeqCst) as u32
    }

    fn is_over(&self) -> bool {
        self.deadline.has_passed()
    }

    fn sleep(&self, word: &AtomicU64, expected: u32, deaths: u32) -> Slept {
        let left = self.deadline.remaining();
        if left == Some(Duration::ZERO) {
            return Slept::TimedOut;
        }
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let words = [(word, expected), (self.registry.deaths(), deaths)];
        let start = Instant::now();
        let outcome = futex::wait(&words, slice);
        spin::slept(start.elapsed(), outcome.is_ok());
        match outcome {
            Ok(()) => return Slept::Woken,
            Err(procession_sys::Errno::TIMEDOUT) => {
                self.slices.set(self.slices.get().wrapping_add(1));
                if self.slices.get().is_multiple_of(SLICES_UNTIL_DOUBT) {
                    self.registry.look_for_deaths();
                }
            }
            Err(_) => {}
        }
        Slept::Again
    }

    fn wake(&self, word: &AtomicU64, count: u32) -> u32 {
        futex::wake(word, count)
    }

    #[inline]
    fn spin(&self, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        self.deadline != Deadline::NOW && spin::look(ready)
    }
}
