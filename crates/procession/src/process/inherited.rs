//! What a process got from the one that executed it.

use crate::error::Context;
use crate::signal::{Disposition, Signal};
use crate::{Error, ErrorKind, Result};
use procession_sys::{descriptor, signal as sys};
use serde::{Deserialize, Serialize};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Bits of [`SEEN`]: one for each standard stream that was closed, and more.
const PIPE_IGNORED: u8 = 1 << 3;
const LOOKED: u8 = 1 << 4;

/// What Rust's runtime changes before `main`, as it was before that.
static SEEN: AtomicU8 = AtomicU8::new(0);

/// Looks at what the runtime is about to change.
pub(super) fn remember() {
    let closed = (0..3).filter(|stream| !descriptor::is_open(*stream));
    let mut seen = closed.fold(LOOKED, |seen, stream| seen | 1 << stream);
    if sys::disposition(Signal::PIPE.as_raw()) == Ok(Some(Disposition::Ignore)) {
        seen |= PIPE_IGNORED;
    }
    SEEN.store(seen, Ordering::Relaxed);
}

/// Signals that a program is to find ignored and blocked: bit n - 1 is signal n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InheritedSignals {
    pub(crate) ignored: u64,
    pub(crate) blocked: u64,
}

/// Numbers of signals in a set.
pub(crate) fn numbers(set: u64) -> impl Iterator<Item = i32> {
    (1..=64).filter(move |number| set >> (number - 1) & 1 == 1)
}

fn set(of: impl Fn(i32) -> bool) -> u64 {
    let numbers = (1..=64).filter(|number| of(*number));
    numbers.fold(0, |set, number| set | 1 << (number - 1))
}

/// What the calling process got from the one that executed it, to be handed on to
/// programs by [`Command::inherit`](super::Command::inherit): descriptors beyond the
/// standard streams, ignored signals, blocked signals. It is for programs that run others
/// in the place of their caller, as `nohup`, `xargs` and `make` do.
///
/// Clones refer to the same copies of the descriptors, which are closed with the last one.
///
/// # Examples
/// ```
/// use procession::process::{Command, Inherited, Stdio};
/// let inherited = Inherited::capture()?;
/// let ours = std::fs::read_to_string("/proc/self/status").unwrap();
/// let theirs = Command::new("cat").arg("/proc/self/status").inherit(&inherited).output().unwrap();
/// let blocked = |status: &str| status.lines().find(|line| line.starts_with("SigBlk")).map(str::to_owned);
/// assert_eq!(blocked(&theirs.text()), blocked(&ours));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inherited {
    pub(super) descriptors: Arc<[(RawFd, OwnedFd)]>,
    pub(super) signals: InheritedSignals,
}

impl Inherited {
    /// Looks at the calling process and thread; at the beginning of `main`, before
    /// anything is changed: what the process has opened since without close-on-exec, and
    /// the signals that it ignores or the thread blocks since, count as well. Signals that
    /// a [`Signals`](crate::signal::Signals) catches count as not ignored. Descriptors beyond
    /// the hard limit of open files, which no program started from here could have, are left
    /// out. `SIGPIPE`,
    /// which Rust's runtime ignores, is as it was before.
    ///
    /// # Cost
    /// A look at `/proc/self/fd`, 64 system calls, and a copy of each descriptor.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): `/proc` is not mounted
    /// - [`LimitReached`](ErrorKind::LimitReached): descriptors
    pub fn capture() -> Result<Inherited> {
        let operation = "looking at inherited descriptors";
        let path = "/proc/self/fd";
        let mut descriptors = Vec::new();
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(path).during(operation, path)? {
            let name = entry.during(operation, path)?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
        }
        // Numbers that nobody below can have, since the limit was lowered.
        let limit = procession_sys::credentials::limit(rustix::process::Resource::Nofile as u32);
        let most = limit.map_or(u64::MAX, |(_, hard)| hard);
        numbers.retain(|number| u64::from(number.cast_unsigned()) < most);
        numbers.sort_unstable();
        for number in numbers.into_iter().filter(|number| *number > 2) {
            let copy = descriptor::copy_if_inheritable(number);
            let copy = copy.during("copying inherited descriptor", number)?;
            descriptors.extend(copy.map(|copy| (number, copy)));
        }
        let mask = sys::Mask::of(&[]).block().during(operation, "signals")?;
        let seen = SEEN.load(Ordering::Relaxed);
        let is_ignored = |number| match seen & LOOKED != 0 && number == Signal::PIPE.as_raw() {
            true => seen & PIPE_IGNORED != 0,
            false => sys::disposition(number) == Ok(Some(Disposition::Ignore)),
        };
        Ok(Inherited {
            descriptors: descriptors.into(),
            signals: InheritedSignals {
                ignored: set(is_ignored),
                blocked: set(|number| mask.contains(number)),
            },
        })
    }

    /// Returns the numbers of the descriptors, which are above 2, from the lowest.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Inherited, Signal};
    /// let inherited = Inherited::capture()?;
    /// assert!(inherited.descriptors().all(|number| number > 2));
    /// assert!(!inherited.ignores(Signal::TERM));
    /// assert_eq!(inherited.ignores(Signal::PIPE), Inherited::ignored_pipe());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.descriptors.iter().map(|(number, _)| *number)
    }

    /// Returns `true` if a signal was ignored.
    ///
    /// # Examples
    /// See [`descriptors`](Inherited::descriptors).
    #[must_use]
    pub fn ignores(&self, signal: Signal) -> bool {
        self.signals.ignored >> (signal.as_raw() - 1) & 1 == 1
    }

    /// Returns `true` if the process had no standard stream of this number, 0 to 2, when it was
    /// executed. Before `main`, Rust's runtime opens the null device in its place, so that
    /// what is written there is lost without an error.
    ///
    /// # Examples
    /// ```
    /// assert!(!procession::process::Inherited::had_closed(1));
    /// ```
    #[must_use]
    pub fn had_closed(stream: RawFd) -> bool {
        (0..3).contains(&stream) && SEEN.load(Ordering::Relaxed) >> stream & 1 == 1
    }

    /// Returns `true` if `SIGPIPE` was ignored when the process was executed. Before `main`, Rust's
    /// runtime ignores it.
    ///
    /// # Examples
    /// See [`descriptors`](Inherited::descriptors).
    #[must_use]
    pub fn ignored_pipe() -> bool {
        SEEN.load(Ordering::Relaxed) & PIPE_IGNORED != 0
    }
}

/// Refuses numbers that programs cannot be given.
pub(super) fn require_number(number: RawFd) -> Result<()> {
    let refuse = |why: &'static str| {
        let error = Error::new(ErrorKind::InvalidInput, "giving descriptor", number);
        Err(error.because(why))
    };
    match number {
        ..0 => refuse("descriptors have no negative numbers"),
        0..3 => refuse("it is a standard stream; `stdin`, `stdout` and `stderr` set those"),
        _ => Ok(()),
    }
}
