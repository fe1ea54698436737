//! The thread by whose end the kernel tells others that this process ended, and
//! which tells others of the end of a neighbour.
//!
//! It is started when the process first uses a shared object, and sleeps for
//! as long as the process lives: its robust list (see
//! [`procession_sys::robust`]) holds the process's places. While it sleeps, it
//! does so on the next living neighbour of each place.
//!
//! It also tells threads and futures of this process that cannot sleep on words
//! themselves, because they wait for other things, too, when words change.
//!
//! As with the thread that reaps, [`fork`](crate::process::fork) need not
//! refuse because of it: whatever it does beyond sleeping, it does while holding
//! the lock `awake`, which `fork` holds across the fork. Whom it tells something may
//! end a watch on the spot, so that it holds no other lock while it tells.

use super::{CHANGED, Registry};
use crate::error::Context;
use crate::os::eventfd::EventFd;
use crate::{Error, ErrorKind, Result};
use procession_sys::fork_local::ForkLocal;
use procession_sys::futex;
use procession_sys::memory::Word;
use procession_sys::robust::RobustList;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::Waker;
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

/// As good as for ever.
const LONG: Duration = Duration::from_secs(86_400);

static PROCESS: ForkLocal<Process> = ForkLocal::new(Process::default);

/// What belongs to this process and not to the one it was forked from.
#[derive(Debug, Default)]
struct Process {
    /// Held while the thread is not asleep. Taken before the next one.
    awake: Mutex<()>,
    keeper: Mutex<Option<Keeper>>,
    /// Counts changes of what is to be watched.
    changed: AtomicU64,
}

/// The thread, as others see it.
#[derive(Debug)]
pub(crate) struct Keeper {
    list: Arc<RobustList>,
    thread_id: u32,
    watched: Vec<Watched>,
    watches: Vec<Watch>,
}

/// Whom to tell.
#[derive(Clone, Debug)]
pub(crate) enum Teller {
    Bell(Arc<EventFd>),
    Waker(Waker),
}

impl Teller {
    fn tell(&self) {
        match self {
            Teller::Bell(bell) => drop(bell.try_add(1)),
            Teller::Waker(waker) => waker.wake_by_ref(),
        }
    }
}

/// Somebody who wants to be told, once, that one of some words is no more what it
/// was.
#[derive(Debug)]
struct Watch {
    number: u64,
    words: Vec<(Word, u32)>,
    teller: Teller,
}

impl Watch {
    fn is_over(&self) -> bool {
        let differs = |(word, seen): &(Word, u32)| word.load(Ordering::SeqCst) as u32 != *seen;
        self.words.iter().any(differs)
    }
}

/// A watch, as its owner has it.
#[derive(Debug)]
pub(crate) struct Watching(u64);

impl Watching {
    /// Ends it. Whether it was told before.
    pub(crate) fn end(self) -> bool {
        let number = self.0;
        std::mem::forget(self);
        end_watch(number)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        end_watch(self.0);
    }
}

fn end_watch(number: u64) -> bool {
    let Ok(mut keeper) = started() else {
        return false;
    };
    // What the thread sleeps on, it finds to be too much when it wakes.
    let place = keeper
        .watches
        .iter()
        .position(|watch| watch.number == number);
    let ended = place.map(|place| keeper.watches.swap_remove(place));
    // Whom it would have told may end others when it goes.
    drop(keeper);
    ended.is_none()
}

/// Has somebody told, once, when one of the words, in its lower half, is not as it
/// was seen, or from time to time.
pub(crate) fn watch(words: Vec<(Word, u32)>, teller: Teller) -> Result<Watching> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut keeper = started()?;
    keeper.watches.push(Watch {
        number,
        words,
        teller,
    });
    drop(keeper);
    announce_change();
    Ok(Watching(number))
}

#[derive(Clone, Debug)]
struct Watched {
    registry: Arc<Registry>,
    place: usize,
}

impl Keeper {
    pub(super) fn list(&self) -> &RobustList {
        &self.list
    }

    pub(super) fn thread_id(&self) -> u32 {
        self.thread_id
    }

    pub(super) fn watch(&mut self, registry: Arc<Registry>, place: usize) {
        self.watched.push(Watched { registry, place });
        announce_change();
    }

    pub(super) fn forget(&mut self, registry: &Registry) {
        self.watched
            .retain(|watched| !std::ptr::eq(&raw const *watched.registry, registry));
        announce_change();
    }
}

fn announce_change() {
    if let Ok(process) = PROCESS.get() {
        process.changed.fetch_add(1, Ordering::Relaxed);
        futex::wake(&process.changed, 1);
    }
}

/// A number that tells this process from those it was forked from; 0 before
/// its keeper was first asked for.
#[inline]
pub(crate) fn token() -> u64 {
    PROCESS.token()
}

/// Keeps the keeper of a process asleep.
pub(crate) struct Asleep {
    _keeper: MutexGuard<'static, Option<Keeper>>,
    _awake: MutexGuard<'static, ()>,
}

/// Keeps the keeper of this process asleep, if it has one.
pub(crate) fn lock() -> Option<Asleep> {
    if token() == 0 {
        return None;
    }
    let process = PROCESS.get().ok()?;
    let awake = process.awake.lock().unwrap_or_else(PoisonError::into_inner);
    let keeper = process
        .keeper
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    keeper.is_some().then_some(Asleep {
        _keeper: keeper,
        _awake: awake,
    })
}

/// Gives access to a keeper that is there.
pub(super) struct Started(MutexGuard<'static, Option<Keeper>>);

impl std::ops::Deref for Started {
    type Target = Keeper;

    fn deref(&self) -> &Keeper {
        self.0.as_ref().expect("`started` started it")
    }
}

impl std::ops::DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Keeper {
        self.0.as_mut().expect("`started` started it")
    }
}

/// The keeper of this process, started if it was not.
pub(super) fn started() -> Result<Started> {
    let operation = "starting keeper of shared objects";
    let process = PROCESS.get().during(operation, "")?;
    let mut keeper = process
        .keeper
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if keeper.is_none() {
        *keeper = Some(start(process)?);
    }
    Ok(Started(keeper))
}

fn start(process: &'static Process) -> Result<Keeper> {
    let operation = "starting keeper of shared objects";
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
                keep(process);
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
    // not coincide with a fork: the keeper's lock is held until that is over.
    let (list, thread_id) = receiver
        .recv()
        .map_err(|_| no_thread("it ended".to_owned()))?
        .during(operation, "")?;
    // Until the thread has dropped its end, it is not asleep.
    let _ = receiver.recv();
    Ok(Keeper {
        list: Arc::new(list),
        thread_id,
        watched: Vec::new(),
        watches: Vec::new(),
    })
}

/// Wakes others in place of those whose watches ended while this thread slept for
/// them, and may have been woken for them.
fn pass_on(slept_on: &[(Word, u32)], watches: &[Watch]) {
    for (word, seen) in slept_on {
        let is_same =
            |(other, _): &(Word, u32)| std::ptr::eq(&raw const **other, &raw const **word);
        let is_wanted = || watches.iter().any(|watch| watch.words.iter().any(is_same));
        if word.load(Ordering::Relaxed) as u32 != *seen && !is_wanted() {
            futex::wake(word, 1);
        }
    }
}

fn keep(process: &Process) -> ! {
    let mut watched = Vec::new();
    let mut waits: Vec<(Word, u32)> = Vec::new();
    let mut over: Vec<Watch> = Vec::new();
    let mut told = Instant::now();
    loop {
        let awake = process.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keeper = process
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let changed = process.changed.load(Ordering::Acquire);
        watched.clear();
        if let Some(keeper) = &*keeper {
            pass_on(&waits, &keeper.watches);
        }
        waits.clear();
        let is_time = told.elapsed() >= SLICE;
        if is_time {
            told = Instant::now();
        }
        if let Some(keeper) = &mut *keeper {
            watched.extend(keeper.watched.iter().cloned());
            over.extend(
                keeper
                    .watches
                    .extract_if(.., |watch| is_time || watch.is_over()),
            );
            waits.extend(keeper.watches.iter().flat_map(|watch| watch.words.clone()));
        }
        let mut words = [(&process.changed, changed as u32); futex::MAX_WORDS];
        let mut count = 1;
        for Watched { registry, place } in &watched {
            let told = registry.word(*place, CHANGED);
            // Before the look at the neighbours: who comes after that look
            // changes it.
            let seen = told.load(Ordering::SeqCst);
            let neighbour = registry.watched_by(*place);
            if count / 2 < MAX_WATCHED {
                words[count] = (told, seen as u32);
                count += 1;
                if let Some(neighbour) = neighbour {
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
        let timeout = if watched.len() > MAX_WATCHED || waits.len() > room {
            ROUND
        } else if waits.is_empty() {
            LONG
        } else {
            SLICE
        };
        drop(keeper);
        for watch in over.drain(..) {
            watch.teller.tell();
        }
        drop(awake);
        // For whatever reason it ends, everything is looked at again.
        let _ = futex::wait(&words[..count], timeout);
    }
}
