//! Who takes part in shared objects, and who of them lives.
//!
//! Every shared object stands on a registry: a table in shared memory with a
//! place for each process that uses it. What a process holds carries its place
//! there, and the kernel marks the place when the process ends, whatever ends
//! it, so that "is the holder alive?" is one load for everybody, in whatever
//! namespace of pids they are; see [`procession_core::registry`].
//!
//! Objects without a name that a process makes share one registry, which goes
//! with them to other processes; each named object has its own.
//!
//! ```text
//!   0          8          64           128
//! ┌──────────┬──────────┬─ ─ ┬──────────────────────┬──────────────┬─ ─
//! │ deaths   │ places   │    │ place 0              │ place 1      │
//! └──────────┴──────────┴─ ─ ┴──────────────────────┴──────────────┴─ ─
//!
//! a place:
//!   0      8      16        24          32       40        48          56
//! ┌──────┬──────┬─────────┬───────────┬────────┬─────────┬───────────┬────────┐
//! │ link │ life │ changed │ pid, gen. │ pid ns │ pidfs   │ started   │        │
//! └──────┴──────┴─────────┴───────────┴────────┴─────────┴───────────┴────────┘
//! ```
//!
//! Trust: *may crash*, and nonsense in it costs answers, not memory safety: the
//! number of places is checked once, and places are never followed as pointers.

mod caller;
mod identity;
pub(crate) mod keeper;
pub(crate) mod patience;
pub(crate) mod thread;

pub(crate) use caller::Caller;
pub use identity::Participant;

use crate::error::Context;
use crate::os::memory::Region;
use crate::{Error, ErrorKind, Result};
use identity::Identity;
use procession_core::Owner;
use procession_core::owner::MAX_PLACES;
use procession_core::registry::{self as core, Life};
use procession_sys::fork_local::WipedWord;
use procession_sys::futex;
use procession_sys::memory::{SharedBytes, Word};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Places of a registry, unless told otherwise.
pub(crate) const DEFAULT_PLACES: usize = 1024;

const HEAD: usize = 64;
const PLACE: usize = 64;

/// Offsets within a place.
const LIFE: usize = 8;
const CHANGED: usize = 16;
const PID: usize = 24;

/// Bytes of a registry with so many places.
pub(crate) fn bytes_for(places: usize) -> usize {
    HEAD + places * PLACE
}

/// How many places so many bytes have room for.
pub(crate) fn places_in(bytes: usize) -> usize {
    (bytes.saturating_sub(HEAD) / PLACE).min(MAX_PLACES)
}

/// A registry, as one process sees it.
#[derive(Debug)]
pub(crate) struct Registry {
    memory: Arc<Region>,
    offset: usize,
    places: usize,
    /// Our place, as the owner that words name; zero before we join, and again
    /// in a forked child.
    joined: WipedWord,
}

impl Registry {
    /// Writes an empty registry into zeroed memory.
    pub(crate) fn format(memory: SharedBytes<'_>, offset: usize, places: usize) {
        let memory = memory.slice(offset, bytes_for(places));
        memory.atomic_u64(8).store(places as u64, Ordering::Relaxed);
    }

    /// The registry at an offset, which ends where that says; its size is checked.
    pub(crate) fn at(memory: Arc<Region>, offset: usize, end: usize) -> Result<Arc<Registry>> {
        // Before anybody binds the thread to one processor.
        patience::others_can_run();
        let corrupt = || Error::new(ErrorKind::Corrupt, "opening registry", "");
        let end = end.min(memory.bytes().len());
        let room = end
            .checked_sub(offset)
            .and_then(|room| room.checked_sub(HEAD));
        let room = room
            .filter(|_| offset.is_multiple_of(64))
            .ok_or_else(corrupt)?;
        let places = memory
            .bytes()
            .atomic_u64(offset + 8)
            .load(Ordering::Relaxed);
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        if places == 0 || places > MAX_PLACES || places > room / PLACE {
            return Err(corrupt().because(format!("{places} places in {room} bytes")));
        }
        Ok(Arc::new(Registry {
            memory,
            offset,
            places,
            joined: WipedWord::new().during("opening registry", "")?,
        }))
    }

    #[inline]
    fn word(&self, place: usize, field: usize) -> &AtomicU64 {
        let offset = self.offset + HEAD + place * PLACE + field;
        self.memory.bytes().atomic_u64(offset)
    }

    #[inline]
    fn life(&self, place: usize) -> &AtomicU64 {
        self.word(place, LIFE)
    }

    fn seen(&self, place: usize) -> u64 {
        self.life(place).load(Ordering::Acquire)
    }

    /// How many deaths have been noticed; changes with each.
    #[inline]
    pub(crate) fn deaths(&self) -> &AtomicU64 {
        self.memory.bytes().atomic_u64(self.offset)
    }

    /// [`deaths`](Registry::deaths), for as long as it is needed.
    pub(crate) fn deaths_word(&self) -> Result<Word> {
        Word::at(&self.memory, self.offset)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "watching registry", ""))
    }

    /// Whether a process lives.
    #[inline]
    pub(crate) fn is_alive(&self, owner: Owner) -> bool {
        owner.place() < self.places && core::is_alive(self.life(owner.place()), owner)
    }

    /// Whether a process lives, by the lower bits of its generation.
    pub(crate) fn lives(&self, place: usize, generation: u32) -> bool {
        place < self.places && core::is_alive_in_part(self.life(place), generation)
    }

    /// The calling process, which joins if it has not.
    ///
    /// # Errors
    /// As [`join`](Registry::join).
    #[inline]
    pub(crate) fn process(self: &Arc<Self>) -> Result<Owner> {
        match self.joined_process() {
            Some(owner) => Ok(owner),
            None => self.join(),
        }
    }

    /// The calling process, if it has joined.
    #[inline]
    pub(crate) fn joined_process(&self) -> Option<Owner> {
        Owner::of(self.joined.load(Ordering::Acquire))
    }

    /// Takes a place.
    #[cold]
    fn join(self: &Arc<Self>) -> Result<Owner> {
        let operation = "joining registry";
        let mut keeper = keeper::started()?;
        if let Some(owner) = self.joined_process() {
            // Another thread was faster.
            return Ok(owner);
        }
        let identity = Identity::of_this_process()?;
        let mut claimed = self.claim(&keeper)?;
        if claimed.is_none() {
            self.look_for_deaths();
            claimed = self.claim(&keeper)?;
        }
        let (place, generation) = claimed.ok_or_else(|| {
            Error::new(ErrorKind::LimitReached, operation, "")
                .because(format!(
                    "all {} places are taken by processes that live",
                    self.places
                ))
                .with_hint("make the object with room for more participants")
        })?;
        identity.write(|field| self.word(place, field), generation);
        let owner = Owner::new(place, generation);
        self.joined.store(owner.word(), Ordering::Release);
        keeper.watch(Arc::clone(self), place);
        drop(keeper);
        self.tell_neighbour(place);
        Ok(owner)
    }

    fn claim(&self, keeper: &keeper::Keeper) -> Result<Option<(usize, u32)>> {
        for place in 0..self.places {
            if Life::of(self.seen(place)) != Life::Free {
                continue;
            }
            let link = self.offset + HEAD + place * PLACE;
            let life = self.life(place);
            let claimed = keeper
                .list()
                .claim(&self.memory, link, || core::claim(life, keeper.thread_id()))
                .during("joining registry", "")?;
            if let Some(generation) = claimed {
                return Ok(Some((place, generation)));
            }
        }
        Ok(None)
    }

    /// Has the one who watched our next neighbour watch us.
    fn tell_neighbour(&self, place: usize) {
        // SYNC(ring): see `procession_core::registry::claim`.
        fence(Ordering::SeqCst);
        let previous = core::previous_alive(self.places, place, |place| self.seen(place));
        if let Some(previous) = previous {
            let changed = self.word(previous, CHANGED);
            changed.fetch_add(1, Ordering::Relaxed);
            futex::wake(changed, 1);
        }
    }

    /// Gives the calling process's place back. Nothing that it holds may be in
    /// use any more.
    pub(crate) fn leave(&self) {
        let Some(owner) = self.joined_process() else {
            return;
        };
        let Ok(mut keeper) = keeper::started() else {
            return;
        };
        let place = owner.place();
        let link = self.offset + HEAD + place * PLACE;
        let _ = keeper.list().release(&self.memory, link, || {
            let _ = core::free(self.life(place), self.seen(place));
        });
        self.joined.store(0, Ordering::Relaxed);
        keeper.forget(self);
        drop(keeper);
        // Whoever watched us watches the next one.
        futex::wake(self.life(place), u32::MAX);
        // What was held has to be looked at anew.
        self.tell_of_death();
    }

    /// Makes everybody who sleeps look again.
    fn tell_of_death(&self) {
        self.deaths().fetch_add(1, Ordering::SeqCst);
        futex::wake(self.deaths(), u32::MAX);
    }

    /// The next neighbour who lives, with the word to sleep on, after telling
    /// of those who died before it.
    fn watched_by(&self, place: usize) -> Option<(&AtomicU64, u32)> {
        // As often as there are places: nonsense in them shall not keep us.
        for _ in 0..self.places {
            let (next, seen) = core::next_taken(self.places, place, |place| self.seen(place))?;
            match Life::of(seen) {
                Life::Alive { .. } => return Some((self.life(next), seen as u32)),
                Life::Free => {}
                Life::Died => {
                    // First everybody is told, then the place is freed: killed
                    // in between, we leave it to our own watcher.
                    self.tell_of_death();
                    core::free(self.life(next), seen);
                }
            }
        }
        None
    }

    /// Asks the kernel about everybody, for the case that it could not mark a
    /// place, and tells of those who died. Whether anybody did.
    pub(crate) fn look_for_deaths(&self) -> bool {
        let mut found = false;
        for place in 0..self.places {
            let mut seen = self.seen(place);
            if let Life::Alive { .. } = Life::of(seen) {
                let identity = Identity::read(|field| self.word(place, field));
                if identity.generation == core::generation(seen) && identity.has_ended() {
                    core::declare_dead(self.life(place), seen);
                    seen = self.seen(place);
                }
            }
            if Life::of(seen) == Life::Died {
                self.tell_of_death();
                core::free(self.life(place), seen);
                found = true;
            }
        }
        found
    }

    /// Whether somebody who lives takes part.
    pub(crate) fn is_in_use(&self) -> bool {
        (0..self.places).any(|place| {
            let seen = self.seen(place);
            let identity = Identity::read(|field| self.word(place, field));
            let is_theirs = identity.generation == core::generation(seen);
            matches!(Life::of(seen), Life::Alive { .. }) && !(is_theirs && identity.has_ended())
        })
    }

    /// The processes that take part, dead ones that nobody has noticed yet
    /// included.
    pub(crate) fn participants(&self) -> Vec<Participant> {
        let places = (0..self.places).filter_map(|place| {
            let life = Life::of(self.seen(place));
            if life == Life::Free {
                return None;
            }
            let identity = Identity::read(|field| self.word(place, field));
            let alive = life != Life::Died && !identity.has_ended();
            Some(identity.participant(alive))
        });
        places.collect()
    }
}
