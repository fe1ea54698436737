//! Who takes part in shared objects, and who of them lives.
//!
//! Every shared object stands on a registry: a table in shared memory with a
//! place for each process that uses it. What a process holds carries its place
//! there, and the kernel marks the place when the process ends, whatever ends
//! it, so that "is the holder alive?" is one load for everybody, in whatever
//! namespace of pids they are; see [`procession_core::registry`]. Where there is a
//! mark, [`deaths`] asks for proof.
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
//! │ link │ life │ changed │ pid, gen. │ pid ns │ pidfs   │ started   │unsigned│
//! └──────┴──────┴─────────┴───────────┴────────┴─────────┴───────────┴────────┘
//! ```
//!
//! Trust: *may crash*, and nonsense in it costs answers, not memory safety: the
//! number of places is checked once, and places are never followed as pointers.

mod caller;
mod deaths;
mod identity;
#[cfg(test)]
mod tests;
pub(crate) mod thread;
pub(crate) mod wakers;
pub(crate) mod watcher;
pub(crate) mod watches;

pub(crate) use caller::Caller;
pub use identity::Participant;

use crate::error::Context;
use crate::os::memory::Region;
use crate::spin;
use crate::{Error, ErrorKind, Result};
use identity::Identity;
use procession_core::Owner;
use procession_core::owner::MAX_PLACES;
use procession_core::registry::{self as core, Life, Standing};
use procession_sys::fork_local::WipedWord;
use procession_sys::futex;
use procession_sys::memory::{SharedBytes, Word};
use procession_sys::presence::{Arriving, Presence};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Places of a registry, unless told otherwise.
pub(crate) const DEFAULT_PLACES: usize = 1024;

/// How many places one who joins may lose at once: more is against the rules.
const MOST_LOST: u32 = 100;

const HEAD: usize = 64;
const PLACE: usize = 64;

/// Offsets within a place.
const LIFE: usize = 8;
const CHANGED: usize = 16;
const PID: usize = 24;
const UNSIGNED: usize = 56;

/// Bytes of a registry with so many places.
pub(crate) fn bytes_for(places: usize) -> usize {
    HEAD + places * PLACE
}

/// How many places so many bytes have room for.
pub(crate) fn places_in(bytes: usize) -> usize {
    (bytes.saturating_sub(HEAD) / PLACE).min(MAX_PLACES)
}

/// A place that this process has, and what goes with it.
#[derive(Debug)]
pub(crate) struct Claimed {
    place: usize,
    generation: u32,
    marker: watcher::Marker,
    presence: Option<Presence>,
}

/// A registry, as one process sees it.
#[derive(Debug)]
pub(crate) struct Registry {
    memory: Arc<Region>,
    /// What the memory is mapped from, if it is a file: participants put up signs
    /// of life there.
    file: Option<Arc<OwnedFd>>,
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
    pub(crate) fn at(
        memory: Arc<Region>,
        file: Option<Arc<OwnedFd>>,
        offset: usize,
        end: usize,
    ) -> Result<Arc<Registry>> {
        // Before anybody binds the thread to one processor.
        spin::others_can_run();
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
            file,
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
        let place = owner.place();
        place < self.places && self.stands(place, core::standing(self.life(place), owner))
    }

    /// Whether a process lives, by the lower bits of its generation.
    pub(crate) fn lives(&self, place: usize, generation: u32) -> bool {
        place < self.places
            && self.stands(place, core::standing_in_part(self.life(place), generation))
    }

    #[inline]
    fn stands(&self, place: usize, standing: Standing) -> bool {
        match standing {
            Standing::Alive => true,
            Standing::Gone => false,
            Standing::Dying(seen) => !self.is_proven_dead(place, seen),
        }
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
        let mut watcher = watcher::started()?;
        if let Some(owner) = self.joined_process() {
            // Another thread was faster.
            return Ok(owner);
        }
        let identity = Identity::of_this_process()?;
        let mut lost = 0;
        let claimed = loop {
            let mut claimed = self.claim(&mut watcher)?;
            if claimed.is_none() {
                self.look_for_deaths();
                claimed = self.claim(&mut watcher)?;
            }
            let claimed = claimed.ok_or_else(|| {
                Error::new(ErrorKind::LimitReached, operation, "")
                    .because(format!(
                        "all {} places are taken by processes that live",
                        self.places
                    ))
                    .with_hint("make the object with room for more participants")
            })?;
            if self.settle(&identity, &claimed) {
                break claimed;
            }
            self.let_go(claimed, |_| {});
            lost += 1;
            if lost == MOST_LOST {
                return Err(Error::new(ErrorKind::Corrupt, operation, "")
                    .because("others take the place that this process has taken"));
            }
        };
        let (place, generation) = (claimed.place, claimed.generation);
        let owner = Owner::new(place, generation);
        self.joined.store(owner.word(), Ordering::Release);
        watcher.watch(Arc::clone(self), claimed);
        drop(watcher);
        self.tell_neighbour(place);
        Ok(owner)
    }

    /// Writes into a place that was taken who has it. Whether it still does: the kernel
    /// may have marked it for somebody else before that was written, and a mark is
    /// proof enough of the end of one who has written nothing.
    fn settle(&self, identity: &Identity, claimed: &Claimed) -> bool {
        let (place, generation) = (claimed.place, claimed.generation);
        identity.write(|field| self.word(place, field), generation);
        // SYNC(settle): whoever finds a mark that is not seen here finds the identity, too.
        fence(Ordering::SeqCst);
        let owner = Owner::new(place, generation);
        match core::standing(self.life(place), owner) {
            Standing::Alive => true,
            Standing::Dying(_) => core::unmark(self.life(place), owner, claimed.marker.thread_id),
            Standing::Gone => false,
        }
    }

    /// Takes a place out of the list of what the kernel marks, after `free`.
    fn let_go(&self, claimed: Claimed, free: impl FnOnce(&AtomicU64)) {
        let link = self.offset + HEAD + claimed.place * PLACE;
        let life = self.life(claimed.place);
        let _ = (claimed.marker.list).release(&self.memory, link, || free(life));
        // The sign goes last: nobody takes the place while the kernel may still
        // mark it for us.
        drop(claimed);
    }

    /// Takes a free place, with a sign of life there if one can be had.
    fn claim(&self, watcher: &mut watcher::Watcher) -> Result<Option<Claimed>> {
        let file = self.file.as_ref();
        let arriving = file.and_then(|file| Arriving::at(file.as_fd()).ok());
        if let Some(arriving) = arriving {
            match self.claim_with(watcher, Some(&arriving)) {
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(mut claimed))) => {
                    claimed.presence = Some(arriving.settle());
                    return Ok(Some(claimed));
                }
                Ok(Err(_no_locks_there)) => {}
                Err(error) => return Err(error),
            }
        }
        let claimed = self.claim_with(watcher, None)?;
        claimed.during("joining registry", "")
    }

    /// [`claim`](Registry::claim), where the inner error is that of the sign.
    fn claim_with(
        &self,
        watcher: &mut watcher::Watcher,
        arriving: Option<&Arriving>,
    ) -> Result<std::result::Result<Option<Claimed>, procession_sys::Errno>> {
        let marker = watcher.marker_with_room()?;
        for place in 0..self.places {
            let seen = self.seen(place);
            if Life::of(seen) != Life::Free {
                continue;
            }
            match arriving.map(|arriving| arriving.try_place(place)) {
                // The sign is there before the place is taken: without it, whoever
                // has the place is dead.
                Some(Ok(true)) => {}
                Some(Ok(false)) => continue,
                Some(Err(errno)) => return Ok(Err(errno)),
                None => self.note_unsigned(place, core::generation(seen).wrapping_add(1)),
            }
            let link = self.offset + HEAD + place * PLACE;
            let life = self.life(place);
            let claimed = marker
                .list
                .claim(&self.memory, link, || core::claim(life, marker.thread_id))
                .during("joining registry", "")?;
            if let Some(generation) = claimed {
                return Ok(Ok(Some(Claimed {
                    place,
                    generation,
                    marker,
                    presence: None,
                })));
            }
            if let Some(arriving) = arriving {
                arriving.leave(place);
            }
        }
        Ok(Ok(None))
    }

    /// Has the one who watched our next neighbour watch us.
    fn tell_neighbour(&self, place: usize) {
        // SYNC(ring): see `procession_core::registry::claim`.
        fence(Ordering::SeqCst);
        let previous = core::previous_alive(self.places, place, |place| self.seen(place));
        if let Some(previous) = previous {
            self.call_watcher_of(previous);
        }
    }

    /// Gives the calling process's place back. Nothing that it holds may be in
    /// use any more.
    pub(crate) fn leave(&self) {
        let Some(owner) = self.joined_process() else {
            return;
        };
        let Ok(mut watcher) = watcher::started() else {
            return;
        };
        let place = owner.place();
        let Some(claimed) = watcher.forget(self) else {
            return;
        };
        self.joined.store(0, Ordering::Relaxed);
        self.let_go(claimed, |life| {
            let _ = core::free(life, life.load(Ordering::Acquire));
        });
        drop(watcher);
        // Whoever watched us watches the next one.
        futex::wake(self.life(place), u32::MAX);
        // What was held has to be looked at anew.
        self.tell_of_death();
    }
}
