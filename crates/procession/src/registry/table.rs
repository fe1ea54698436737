//! The table of a registry, as one process sees it: its words, and which processes live.

use crate::error::Context;
use crate::os::memory::Region;
use crate::spin;
use crate::{Error, ErrorKind, Result};
use procession_core::Owner;
use procession_core::owner::MAX_PLACES;
use procession_core::registry::{self as core, Standing};
use procession_sys::fork_local::WipedWord;
use procession_sys::memory::{SharedBytes, Word};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places of a registry, unless told otherwise.
pub(crate) const DEFAULT_PLACES: usize = 1024;

pub(super) const HEAD: usize = 64;
pub(super) const PLACE: usize = 64;

/// Offsets within a place.
pub(super) const LIFE: usize = 8;
pub(super) const CHANGED: usize = 16;
pub(super) const UNSIGNED: usize = 56;

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
    pub(super) memory: Arc<Region>,
    /// What the memory is mapped from, if it is a file: participants put up signs
    /// of life there.
    pub(super) file: Option<Arc<OwnedFd>>,
    pub(super) offset: usize,
    pub(super) places: usize,
    /// Our place, as the owner that words name; zero before we join, and again
    /// in a forked child.
    pub(super) joined: WipedWord,
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
    pub(super) fn word(&self, place: usize, field: usize) -> &AtomicU64 {
        let offset = self.offset + HEAD + place * PLACE + field;
        self.memory.bytes().atomic_u64(offset)
    }

    #[inline]
    pub(super) fn life(&self, place: usize) -> &AtomicU64 {
        self.word(place, LIFE)
    }

    pub(super) fn seen(&self, place: usize) -> u64 {
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

    /// Returns `true` if a process lives.
    #[inline]
    pub(crate) fn is_alive(&self, owner: Owner) -> bool {
        let place = owner.place();
        place < self.places && self.stands(place, core::standing(self.life(place), owner))
    }

    /// Returns `true` if a process lives, by the lower bits of its generation.
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

    /// The calling process, if it has joined.
    #[inline]
    pub(crate) fn joined_process(&self) -> Option<Owner> {
        Owner::of(self.joined.load(Ordering::Acquire))
    }
}
