//! A thread that uses a shared object, for the time of one call: what the
//! algorithms of `procession-core` need of the system.

use super::{Registry, thread};
use crate::{Deadline, Result};
use procession_core::{Owner, Platform, Slept};
use procession_sys::futex;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Longest sleep without looking again: the bound for what no wake-up and no
/// count of deaths has told, because whoever should have told it is stopped.
const SLICE: Duration = Duration::from_millis(100);

/// Sleeps after which the kernel is asked whether the others live, for the case
/// that it could not mark their places.
const SLICES_UNTIL_DOUBT: u32 = 10;

/// Bounds of the time that a thread looks again before it sleeps. A wake-up
/// across processors takes tens of microseconds where they halt when idle.
const SPIN: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(2)..=Duration::from_micros(120);

/// Looks between two looks at the clock.
const LOOKS: u32 = 32;

/// A sleep shorter than this would have better been spent looking.
const SHORT: Duration = Duration::from_micros(200);

thread_local! {
    /// How long this thread looks again before it sleeps: longer after short
    /// sleeps, shorter after long ones.
    static PATIENCE: Cell<Duration> = const { Cell::new(Duration::from_micros(60)) };

    /// Whether looking is of use, which depends on where others run.
    static LOOKING: Cell<Looking> = const { Cell::new(Looking::NEW) };
}

/// A sleep that is over so soon after the longest look was in vain tells that the
/// one who was waited for had no processor while this thread was looking, or that
/// it always takes longer than that.
const TELLTALE: Duration = Duration::from_micros(400);

/// Most sleeps without looking.
const MOST_QUIET: u16 = 4096;

/// What a thread knows of the use of looking.
#[derive(Clone, Copy)]
struct Looking {
    /// It has just looked in vain, as long as it ever does.
    in_vain: bool,
    /// Sleeps yet to come without looking.
    quiet: u16,
    /// How many there will be the next time that it is found to be of no use.
    next_quiet: u16,
}

impl Looking {
    const NEW: Looking = Looking {
        in_vain: false,
        quiet: 0,
        next_quiet: 4,
    };

    /// Learns of a sleep that somebody ended.
    fn slept(mut self, time: Duration) -> Looking {
        if std::mem::take(&mut self.in_vain) && time < TELLTALE {
            self.quiet = self.next_quiet;
            self.next_quiet = (self.next_quiet * 4).min(MOST_QUIET);
        }
        self
    }
}

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
    /// with its last handle.
    pub(crate) fn of_process(registry: &'a Registry) -> Option<Caller<'a>> {
        Caller::of_thread(registry, 0)
    }

    /// Whether this is the whole process.
    pub(crate) fn is_process(&self) -> bool {
        self.me.thread() == 0
    }

    /// The one who holds a word, if it is this thread, or one of this process
    /// where that is meant.
    pub(crate) fn as_holder(&self, word: u64) -> Option<Caller<'a>> {
        let owner = Owner::of(word)?;
        let ours = owner == self.me || self.is_process() && owner.process() == self.me;
        ours.then(|| Caller {
            registry: self.registry,
            me: owner,
            deadline: Deadline::NOW,
            slices: Cell::new(0),
        })
    }

    /// Another thread of this process, which has ended.
    #[inline]
    pub(crate) fn of_thread(registry: &'a Registry, number: u16) -> Option<Caller<'a>> {
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

    fn deaths(&self) -> u32 {
        self.registry.deaths().load(Ordering::SeqCst) as u32
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
        let slept = start.elapsed();
        if outcome.is_ok() {
            LOOKING.set(LOOKING.get().slept(slept));
        }
        PATIENCE.set(if slept < SHORT {
            (PATIENCE.get() * 2).min(*SPIN.end())
        } else {
            (PATIENCE.get() / 2).max(*SPIN.start())
        });
        if outcome == Err(procession_sys::Errno::TIMEDOUT) {
            self.slices.set(self.slices.get() + 1);
            if self.slices.get().is_multiple_of(SLICES_UNTIL_DOUBT) {
                self.registry.look_for_deaths();
            }
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
        if self.deadline == Deadline::NOW || !others_can_run() {
            return false;
        }
        let mut looking = LOOKING.get();
        if looking.quiet > 0 {
            looking.quiet -= 1;
            LOOKING.set(looking);
            return false;
        }
        // The clock is not asked before the first looks, which are often enough.
        let mut looks = || {
            (0..LOOKS).any(|_| {
                std::hint::spin_loop();
                ready()
            })
        };
        if looks() {
            return true;
        }
        let patience = PATIENCE.get();
        let start = Instant::now();
        while start.elapsed() < patience {
            if looks() {
                LOOKING.set(Looking::NEW);
                return true;
            }
        }
        looking.in_vain = patience == *SPIN.end();
        LOOKING.set(looking);
        false
    }
}

/// Whether somebody else can make something true while we look: there is more
/// than one processor for us. Asked once, when this process has its first shared
/// object.
pub(super) fn others_can_run() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
    })
}
