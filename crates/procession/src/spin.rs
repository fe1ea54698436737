//! Adaptive spinning: how long a thread looks again and again before it sleeps.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

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
    static LIMIT: Cell<Duration> = const { Cell::new(Duration::from_micros(60)) };

    /// What this thread knows of the use of looking, which depends on where others run.
    static LOOKING: Cell<Looking> = const { Cell::new(Looking::NEW) };
}

/// A sleep that is over so soon after the longest look was in vain tells that the
/// process that was waited for had no processor while this thread was looking, or that
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

/// Looks whether something has come true, for as long as that has been of use.
#[inline]
pub(crate) fn look(ready: impl FnMut() -> bool) -> bool {
    others_can_run() && look_beside(ready)
}

/// [`look`], for those that know that whom they wait for runs on another processor.
#[inline]
pub(crate) fn look_beside(mut ready: impl FnMut() -> bool) -> bool {
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
    let limit = LIMIT.get();
    let start = Instant::now();
    while start.elapsed() < limit {
        if looks() {
            LOOKING.set(Looking::NEW);
            return true;
        }
    }
    looking.in_vain = limit == *SPIN.end();
    LOOKING.set(looking);
    false
}

/// Learns from a sleep after looking in vain, and whether somebody ended it.
pub(crate) fn slept(time: Duration, woken: bool) {
    if woken {
        LOOKING.set(LOOKING.get().slept(time));
    }
    LIMIT.set(if time < SHORT {
        (LIMIT.get() * 2).min(*SPIN.end())
    } else {
        (LIMIT.get() / 2).max(*SPIN.start())
    });
}

/// Returns `true` if another process can make something true while we look: there is
/// more than one processor for us. Asked once, when this process has its first shared
/// object.
pub(crate) fn others_can_run() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
    })
}
