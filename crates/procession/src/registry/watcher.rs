//! The thread by whose end the kernel tells others that this process ended, and
//! which tells others of the end of a neighbour.
//!
//! It is started when the process first uses a shared object, and sleeps for
//! as long as the process lives: its robust list (see
//! [`procession_sys::robust`]) holds the process's places. While it sleeps, it
//! does so on the next living neighbour of each place.
//!
//! It also sleeps on words for threads and futures of this process; see
//! [`watches`](super::watches).
//!
//! Nobody else's code runs on it. As with the thread that reaps,
//! [`fork`](crate::process::fork) need not refuse because of it: whatever it does beyond
//! sleeping, it does while holding the lock `awake`, which `fork` holds across the fork.
//!
//! The kernel marks 2,048 places of one thread. A process that has more starts another
//! thread for each 2,000, which does nothing at all.

use super::claimed::{Claimed, Marker};
use super::table::{CHANGED, Registry};
use super::wakers;
use super::watch::{self, Watch};
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::fork_local::ForkLocal;
use procession_sys::futex;
use procession_sys::memory::Word;
use procession_sys::robust::{self, RobustList};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Name of the thread, as `ps -L` shows it.
pub(crate) const THREAD_NAME: &str = "procession-keep";

/// Registries whose neighbours one sleep can watch: two words each, and one
/// for changes.
const MAX_WATCHED: usize = (futex::MAX_WORDS - 1) / 2;

/// How often neighbours are looked at that are too many for one sleep.
const ROUND: Duration = Duration::from_millis(20);

/// Longest time that somebody who watches is told nothing: for what no word tells,
/// because whoever should have changed it is stopped.
const SLICE: Duration = Duration::from_millis(100);

/// How long the watcher sleeps while a neighbour is marked, and not yet proven dead:
/// most are gone at once, some have much memory to give back, and one that stands still
/// in the kernel may stay for ever.
const DYING: std::ops::Range<Duration> = Duration::from_micros(100)..Duration::from_millis(10);

/// When a new neighbour is doubted.
const DOUBT: Duration = Duration::from_secs(1);

/// As good as for ever.
const LONG: Duration = Duration::from_secs(86_400);

static PROCESS: ForkLocal<Process> = ForkLocal::new(Process::default);

/// What belongs to this process and not to the one it was forked from.
#[derive(Debug, Default)]
struct Process {
    /// Held while the thread is not asleep. Taken before the next one.
    awake: Mutex<()>,
    watcher: Mutex<Option<Watcher>>,
    /// Counts changes of what is to be watched.
    changed: AtomicU64,
}

/// The thread, as others see it.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// The thread itself, and others where its list is full.
    markers: Vec<Marker>,
    watched: Vec<Watched>,
    pub(super) watches: Vec<Watch>,
}

/// A place of this process, and whom it watches.
#[derive(Debug)]
struct Watched {
    registry: Arc<Registry>,
    claimed: Claimed,
}

impl Watched {
    fn place(&self) -> (Arc<Registry>, usize, u32) {
        let Claimed { place, marker, .. } = &self.claimed;
        (Arc::clone(&self.registry), *place, marker.thread_id)
    }
}

/// A neighbour that has not been doubted yet: it may have been killed so early that
/// the kernel did not see what to mark.
#[derive(Clone, Copy, Debug)]
struct Newcomer {
    seen: (usize, u64),
    since: Option<Instant>,
}

impl Watcher {
    /// A marker whose list has room: the watcher, or another thread that does nothing.
    pub(super) fn marker_with_room(&mut self) -> Result<Marker> {
        let has_room = |marker: &&Marker| marker.list.len() < robust::MOST_ENTRIES;
        if let Some(marker) = self.markers.iter().find(has_room) {
            return Ok(marker.clone());
        }
        let marker = start(None)?;
        self.markers.push(marker.clone());
        Ok(marker)
    }

    pub(super) fn watch(&mut self, registry: Arc<Registry>, claimed: Claimed) {
        self.watched.push(Watched { registry, claimed });
        announce_change();
    }

    pub(super) fn forget(&mut self, registry: &Registry) -> Option<Claimed> {
        let is_it = |it: &Watched| std::ptr::eq(&raw const *it.registry, registry);
        let place = self.watched.iter().position(is_it)?;
        let forgotten = self.watched.swap_remove(place);
        announce_change();
        Some(forgotten.claimed)
    }
}

pub(super) fn announce_change() {
    if let Ok(process) = PROCESS.get() {
        process.changed.fetch_add(1, Ordering::Relaxed);
        futex::wake(&process.changed, 1);
    }
}

/// A number that tells this process from those it was forked from; 0 before
/// its watcher was first asked for.
#[inline]
pub(crate) fn token() -> u64 {
    PROCESS.token()
}

/// Keeps the watcher of a process asleep.
pub(crate) struct Asleep {
    watcher: MutexGuard<'static, Option<Watcher>>,
    _awake: MutexGuard<'static, ()>,
}

impl Asleep {
    /// How many threads that is: the watcher, and more markers.
    pub(crate) fn count(&self) -> usize {
        let watcher = self.watcher.as_ref();
        watcher.map_or(0, |watcher| watcher.markers.len())
    }
}

/// Keeps the watcher of this process asleep, if it has one.
pub(crate) fn lock() -> Option<Asleep> {
    if token() == 0 {
        return None;
    }
    let process = PROCESS.get().ok()?;
    let awake = process.awake.lock().unwrap_or_else(PoisonError::into_inner);
    let watcher = process
        .watcher
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    watcher.is_some().then_some(Asleep {
        watcher,
        _awake: awake,
    })
}

/// Gives access to a watcher that is there.
pub(super) struct Started(MutexGuard<'static, Option<Watcher>>);

impl std::ops::Deref for Started {
    type Target = Watcher;

    fn deref(&self) -> &Watcher {
        self.0.as_ref().expect("`started` started it")
    }
}

impl std::ops::DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Watcher {
        self.0.as_mut().expect("`started` started it")
    }
}

/// The watcher of this process, started if it was not.
pub(super) fn started() -> Result<Started> {
    let operation = "starting watcher of shared objects";
    let process = PROCESS.get().during(operation, "")?;
    let mut watcher = process
        .watcher
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if watcher.is_none() {
        *watcher = Some(Watcher {
            markers: vec![start(Some(process))?],
            watched: Vec::new(),
            watches: Vec::new(),
        });
    }
    Ok(Started(watcher))
}

/// Starts the watcher, or a thread that is only marked.
fn start(process: Option<&'static Process>) -> Result<Marker> {
    let operation = "starting watcher of shared objects";
    // Signals are for the program's own threads.
    let mask = procession_sys::signal::Mask::all().block();
    let mask = mask.during(operation, "")?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            let list = RobustList::for_this_thread();
            let thread_id = rustix::thread::gettid().as_raw_nonzero().get();
            let failed = list.is_err();
            let _ = sender.send(list.map(|list| (list, thread_id.cast_unsigned())));
            drop(sender);
            if !failed {
                stay(process);
            }
        });
    let _ = mask.install();
    let no_thread = |why: String| {
        Error::new(ErrorKind::LimitReached, operation, "")
            .because(why)
            .with_hint(crate::limits::processes().hint())
    };
    thread.map_err(|error| no_thread(error.to_string()))?;
    // Starting a thread allocates and locks in the thread itself, which must
    // not coincide with a fork: the watcher's lock is held until that is over.
    let (list, thread_id) = receiver
        .recv()
        .map_err(|_| no_thread("it ended".to_owned()))?
        .during(operation, "")?;
    // Until the thread has dropped its end, it is not asleep.
    let _ = receiver.recv();
    Ok(Marker {
        list: Arc::new(list),
        thread_id,
    })
}

/// Never returns: the end of this thread is taken for that of the process.
fn stay(process: Option<&Process>) -> ! {
    loop {
        if let Some(process) = process {
            // Nothing in it panics; if something does, it goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| keep(process)));
            #[expect(
                clippy::disallowed_methods,
                reason = "a pause after a panic that is not to happen"
            )]
            std::thread::sleep(ROUND);
        } else {
            std::thread::park();
        }
    }
}

fn keep(process: &Process) -> ! {
    let mut watched = Vec::new();
    let mut newcomers: Vec<Newcomer> = Vec::new();
    let mut waits: Vec<(Word, u32)> = Vec::new();
    let mut over: Vec<Watch> = Vec::new();
    let mut told = Instant::now();
    let mut dying_pause = DYING.start;
    loop {
        let awake = process.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watcher = process
            .watcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let changed = process.changed.load(Ordering::Acquire);
        watched.clear();
        if let Some(watcher) = &*watcher {
            watch::pass_on(&waits, &watcher.watches);
        }
        waits.clear();
        let is_time = told.elapsed() >= SLICE;
        if is_time {
            told = Instant::now();
        }
        if let Some(watcher) = &mut *watcher {
            watched.extend(watcher.watched.iter().map(Watched::place));
            over.extend(
                watcher
                    .watches
                    .extract_if(.., |watch| is_time || watch.is_over()),
            );
            waits.extend(watcher.watches.iter().flat_map(|watch| watch.words.clone()));
        }
        let mut words = [(&process.changed, changed as u32); futex::MAX_WORDS];
        let mut count = 1;
        let mut someone_is_dying = false;
        let mut timeout = LONG;
        newcomers.truncate(watched.len());
        for (index, (registry, place, thread_id)) in watched.iter().enumerate() {
            let told = registry.word(*place, CHANGED);
            // Before the look at the neighbours: who comes after that look
            // changes it.
            let seen = told.load(Ordering::SeqCst);
            registry.insist_on_living(*place, *thread_id);
            let neighbour = registry.watched_by(*place);
            someone_is_dying |= neighbour.someone_is_dying;
            if let Some(seen) = neighbour.seen {
                let again = get_to_know(&mut newcomers, index, seen, registry);
                timeout = timeout.min(again);
            }
            if count / 2 < MAX_WATCHED {
                words[count] = (told, seen as u32);
                count += 1;
                if let Some(neighbour) = neighbour.word {
                    words[count] = neighbour;
                    count += 1;
                }
            }
        }
        let room = futex::MAX_WORDS - count;
        for (word, seen) in waits.iter().take(room) {
            words[count] = (word, *seen);
            count += 1;
        }
        if watched.len() > MAX_WATCHED || waits.len() > room {
            timeout = timeout.min(ROUND);
        } else if !waits.is_empty() {
            timeout = timeout.min(SLICE);
        }
        if someone_is_dying {
            // Nothing wakes us at the end of it.
            timeout = timeout.min(dying_pause);
            dying_pause = (dying_pause * 2).min(DYING.end);
        } else {
            dying_pause = DYING.start;
        }
        drop(watcher);
        for watch in over.drain(..) {
            watch.notify.notify();
        }
        if let Some(again) = wakers::relieve() {
            timeout = timeout.min(again);
        }
        drop(awake);
        // For whatever reason it ends, everything is looked at again.
        let _ = futex::wait(&words[..count], timeout);
    }
}

/// Doubts a neighbour once, some time after it was first seen; how long until then.
fn get_to_know(
    newcomers: &mut Vec<Newcomer>,
    index: usize,
    seen: (usize, u64),
    registry: &Registry,
) -> Duration {
    let new = Newcomer {
        seen,
        since: Some(Instant::now()),
    };
    if newcomers.len() <= index {
        newcomers.resize(index + 1, new);
    }
    let known = &mut newcomers[index];
    if known.seen != seen {
        *known = new;
    }
    let Some(since) = known.since else {
        return LONG;
    };
    let left = DOUBT.saturating_sub(since.elapsed());
    if left.is_zero() {
        known.since = None;
        registry.doubt(seen.0, seen.1);
        return LONG;
    }
    left
}
