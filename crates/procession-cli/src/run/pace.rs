//! How many jobs may be started: as many as are wanted, as long as nothing stands in the
//! way, and fewer where a limit does.
//!
//! A limit of the system (processes, descriptors, memory) slows a run down and does not
//! end it. So a job that could not be started for such a reason is tried again when
//! another one has ended, and fails only if nothing runs whose end could help.

use procession::{Error, ErrorKind};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// How long a job is tried to be started while nothing runs.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same, after another one could not be started in that time.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// Longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Tries for a program that somebody is writing.
const BUSY_TRIES: u32 = 6;

/// Descriptors of a job that runs.
const RUNNING: u64 = 6;

/// Descriptors that are opened later: the server of processes, temporary files.
const LATER: u64 = 6;

/// What is to be said of a job that could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    /// It never can.
    None,
    /// It may if others end, or after a while.
    Later,
    /// Somebody writes to its file.
    Busy,
}

impl Hope {
    pub(super) fn of(error: &Error) -> Hope {
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        match (errno, error.kind()) {
            (Some(Errno::TXTBSY), _) => Hope::Busy,
            (
                Some(
                    Errno::AGAIN
                    | Errno::MFILE
                    | Errno::NFILE
                    | Errno::NOMEM
                    | Errno::NOBUFS
                    | Errno::TOOMANYREFS,
                ),
                _,
            ) => Hope::Later,
            (
                None,
                ErrorKind::LimitReached
                | ErrorKind::NoSpace
                | ErrorKind::WouldBlock
                | ErrorKind::ProcessDied
                | ErrorKind::Disconnected,
            ) => Hope::Later,
            _ => Hope::None,
        }
    }
}

/// How often and since when a job could not be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Postponed {
    since: Instant,
    tries: u32,
}

#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    /// The most for now.
    ceiling: usize,
    /// When that is raised.
    raised: Instant,
    /// When the next one may be tried.
    pause: Option<Instant>,
    patience: Duration,
    /// Open ones at the beginning, and the limit.
    descriptors: u64,
    starting: u64,
    limit: u64,
}

impl Pace {
    /// `starting`: descriptors of a job that is being started.
    pub(super) fn new(most: usize, starting: usize) -> Pace {
        let open = std::fs::read_dir("/proc/self/fd").map_or(16, |all| all.count() as u64);
        Pace {
            most,
            ceiling: most,
            raised: Instant::now(),
            pause: None,
            patience: PATIENCE,
            descriptors: open + LATER,
            starting: starting as u64,
            limit: procession::__private::limits::open_files()
                .value()
                .unwrap_or(u64::MAX),
        }
    }

    /// Whether one more may be started beside so many. `open` are jobs that are over, but
    /// have left open pipes.
    pub(super) fn has_room(&self, running: usize, starting: usize, open: usize) -> bool {
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        if running + starting == 0 {
            return true;
        }
        let descriptors = self.descriptors
            + (running + open) as u64 * RUNNING
            + (starting as u64 + 1) * self.starting;
        running + starting < self.ceiling && descriptors <= self.limit
    }

    /// When there may be room without anything else happening.
    pub(super) fn due(&self) -> Option<Instant> {
        let raise = (self.ceiling < self.most).then(|| self.raised + Duration::from_secs(1));
        self.pause.into_iter().chain(raise).min()
    }

    /// Forgets pauses that are over, and tries whether more are possible again.
    pub(super) fn tick(&mut self, now: Instant) {
        self.pause = self.pause.filter(|until| now < *until);
        if self.ceiling < self.most && now >= self.raised + Duration::from_secs(1) {
            self.ceiling += 1;
            self.raised = now;
        }
    }

    pub(super) fn has_started(&mut self) {
        self.patience = PATIENCE;
    }

    /// One could not be started, and so many others run. Whether to try it again, and
    /// then the note to be kept until that fails.
    pub(super) fn postpone(
        &mut self,
        hope: Hope,
        before: Option<Postponed>,
        others: usize,
    ) -> Option<Postponed> {
        let now = Instant::now();
        let mut note = before.unwrap_or(Postponed {
            since: now,
            tries: 0,
        });
        note.tries += 1;
        let pause = Duration::from_millis(10 << note.tries.min(6)).min(LONGEST_PAUSE);
        match hope {
            Hope::None => return None,
            Hope::Busy if note.tries >= BUSY_TRIES => return None,
            Hope::Busy => {}
            Hope::Later if others == 0 && now >= note.since + self.patience => {
                self.patience = IMPATIENCE;
                return None;
            }
            Hope::Later => {
                if others > 0 {
                    // Its time begins when nobody's end can help.
                    note.since = now;
                }
                self.ceiling = others.clamp(1, self.most.max(1));
                self.raised = now;
            }
        }
        self.pause = Some(now + pause);
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procession::__private::error::ErrorBuilder;

    #[test]
    fn a_limit_slows_down_and_is_tried_again() {
        let mut pace = Pace::new(8, 16);
        assert!(pace.has_room(7, 0, 0) && !pace.has_room(8, 0, 0));
        let note = pace.postpone(Hope::Later, None, 3);
        assert!(note.is_some() && pace.due().is_some());
        pace.tick(Instant::now() + LONGEST_PAUSE);
        assert!(pace.has_room(2, 0, 0) && !pace.has_room(3, 0, 0));
        pace.tick(Instant::now() + Duration::from_secs(2));
        assert!(pace.has_room(3, 0, 0) && !pace.has_room(4, 0, 0));
        // Where nothing runs, one may always be tried.
        pace.pause = None;
        assert!(pace.has_room(0, 0, 1_000_000));
        assert!(pace.postpone(Hope::None, note, 0).is_none());
    }

    #[test]
    fn a_busy_file_has_a_few_tries() {
        let mut pace = Pace::new(8, 16);
        let mut note = None;
        let mut tries = 0;
        loop {
            tries += 1;
            note = pace.postpone(Hope::Busy, note, 0);
            if note.is_none() {
                break;
            }
        }
        assert_eq!(tries, BUSY_TRIES);
        assert_eq!(pace.ceiling, 8);
    }

    #[test]
    fn errors_that_pass_are_told_from_others() {
        let of = |errno: Errno| {
            Hope::of(&ErrorBuilder::os("starting", "x", errno.raw_os_error()).build())
        };
        assert_eq!(of(Errno::MFILE), Hope::Later);
        assert_eq!(of(Errno::AGAIN), Hope::Later);
        assert_eq!(of(Errno::TXTBSY), Hope::Busy);
        assert_eq!(of(Errno::NOENT), Hope::None);
        assert_eq!(of(Errno::TOOBIG), Hope::None);
        assert_eq!(of(Errno::NOSPC), Hope::None);
        let died = ErrorBuilder::new(ErrorKind::ProcessDied, "starting", "").build();
        assert_eq!(Hope::of(&died), Hope::Later);
    }
}
