//! The threads that call wakers.
//!
//! A waker is other people's code: it may panic, want a deep stack, take long, or call
//! this library again. So none is called, or dropped, on the watcher, by whose end the
//! process counts as dying, nor under a lock of ours, but on an ordinary thread with an
//! ordinary stack, which catches panics. It is started when the first future waits.
//!
//! A waker that does not return keeps its thread, and no other waker from being called:
//! what has waited for [`PATIENCE`] gets one thread more, up to [`MOST_THREADS`], which
//! ends when there is nothing to do for it.
//!
//! [`fork`](crate::process::fork) need not refuse because of these threads while they
//! wait for work: `fork` holds the lock under which they get it. While one of them calls
//! a waker, it is a thread like any other.

use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::fork_local::ForkLocal;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Name of the threads, as `ps -L` shows it.
pub(crate) const THREAD_NAME: &str = "procession-wake";

/// How long a waker waits for a thread that calls another one.
const PATIENCE: Duration = Duration::from_millis(20);

/// Most threads: so many wakers have not returned before others wait for them.
const MOST_THREADS: usize = 32;

static WAKERS: ForkLocal<Wakers> = ForkLocal::new(Wakers::default);

#[derive(Debug, Default)]
struct Wakers {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waker>,
    /// Since when the first one has waited.
    since: Option<Instant>,
    threads: usize,
    /// Threads that wait for work.
    idle: usize,
}

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes sure that there is a thread.
pub(super) fn start() -> Result<()> {
    let wakers = WAKERS.get().during("starting thread for wakers", "")?;
    let mut state = wakers.lock();
    if state.threads > 0 {
        return Ok(());
    }
    add_thread(wakers, &mut state)?;
    // Starting a thread allocates and locks in the thread itself, which must not
    // coincide with a fork: it counts as ours when it waits for work.
    while state.idle == 0 {
        state = wakers
            .work
            .wait_timeout(state, PATIENCE)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
    }
    Ok(())
}

fn add_thread(wakers: &'static Wakers, state: &mut State) -> Result<()> {
    let operation = "starting thread for wakers";
    // Signals are for the program's own threads.
    let mask = procession_sys::signal::Mask::all().block();
    let mask = mask.during(operation, "")?;
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(|| work(wakers));
    let _ = mask.install();
    thread.map_err(|error| {
        Error::new(ErrorKind::LimitReached, operation, "")
            .because(error.to_string())
            .with_hint(crate::limits::processes().hint())
    })?;
    state.threads += 1;
    Ok(())
}

/// Has a waker called, soon, by another thread.
pub(super) fn call(waker: Waker) {
    // It was made when the watch began.
    let Ok(wakers) = WAKERS.get() else {
        std::mem::forget(waker);
        return;
    };
    let mut state = wakers.lock();
    state.waiting.push_back(waker);
    state.since.get_or_insert_with(Instant::now);
    drop(state);
    wakers.work.notify_one();
}

/// Starts one more thread if wakers wait for others that do not return. Whether to
/// look again within [`PATIENCE`].
pub(super) fn relieve() -> Option<Duration> {
    if WAKERS.token() == 0 {
        return None;
    }
    let wakers = WAKERS.get().ok()?;
    let mut state = wakers.lock();
    let since = state.since?;
    if since.elapsed() >= PATIENCE && state.threads < MOST_THREADS {
        // What fails is tried again.
        let _ = add_thread(wakers, &mut state);
        state.since = Some(Instant::now());
    }
    Some(PATIENCE)
}

fn work(wakers: &Wakers) {
    let mut state = wakers.lock();
    loop {
        if let Some(waker) = state.waiting.pop_front() {
            state.since = (!state.waiting.is_empty()).then(Instant::now);
            drop(state);
            call_one(waker);
            state = wakers.lock();
        } else if state.idle > 0 {
            // One who waits is enough.
            state.threads -= 1;
            return;
        } else {
            state.idle += 1;
            // For `start`.
            wakers.work.notify_all();
            while state.waiting.is_empty() {
                state = wakers
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.idle -= 1;
        }
    }
}

/// Calls and drops a waker, whatever it does.
fn call_one(waker: Waker) {
    let outcome = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    if let Err(panic) = outcome {
        // The panic hook has told of it. What it carries may panic, too.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        if let Err(panic) = dropped {
            std::mem::forget(panic);
        }
    }
}

/// Keeps threads that wait for work where they are.
#[derive(Debug)]
pub(crate) struct Waiting(MutexGuard<'static, State>);

impl Waiting {
    /// How many threads wait for work.
    pub(crate) fn count(&self) -> usize {
        self.0.idle
    }

    /// How many threads call a waker.
    pub(crate) fn busy(&self) -> usize {
        self.0.threads - self.0.idle
    }
}

/// Keeps the threads of this process that wait for work where they are, if there are
/// any.
pub(crate) fn lock() -> Option<Waiting> {
    if WAKERS.token() == 0 {
        return None;
    }
    Some(Waiting(WAKERS.get().ok()?.lock()))
}
