//! Who is dead: proof, and what follows from it.
//!
//! The kernel's mark says that a process is ending. Until all its threads have left
//! its memory, one of them may still be in the kernel, which writes through what it
//! holds. So a marked process lives until there is proof, of one of two kinds:
//!
//! - its *sign of life* is gone, a record lock on a byte of the registry's file that
//!   lasts as long as the process's memory does; see [`procession_sys::presence`].
//!   Namespaces, numbers and clocks have no part in it.
//! - Where it could not put one up (nothing of its own at `/proc`), its pidfd says that
//!   all threads have ended, or its number is somebody else's; see
//!   [`Identity::has_ended`].
//!
//! A System V segment is no file. But nothing in one is handed on from the dead: its
//! registry only tells whether it is in use. There the mark is enough.
//!
//! Who has proof says so in the place, for everybody, and tells all who sleep. Asking
//! is one system call, and only marked places are asked about: while nobody dies,
//! nothing here runs.

use super::identity::{Identity, Participant};
use super::table::{CHANGED, Registry, UNSIGNED};
use procession_core::registry::{self as core, Life};
use procession_sys::{futex, presence};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often to look for users, where others come and go meanwhile.
const MOST_LOOKS: usize = 100;

/// The next one to watch.
#[derive(Debug)]
pub(super) struct Neighbour<'a> {
    /// The word of a living one, and the lower half of what it was.
    pub(super) word: Option<(&'a AtomicU64, u32)>,
    /// Its word, and its place.
    pub(super) seen: Option<(usize, u64)>,
    /// Somebody before it is marked, and there is no proof yet.
    pub(super) someone_is_dying: bool,
}

impl Registry {
    /// Makes everybody who sleeps look again.
    pub(super) fn tell_of_death(&self) {
        self.deaths().fetch_add(1, Ordering::SeqCst);
        futex::wake(self.deaths(), u32::MAX);
    }

    /// Says of a place about to be taken that its owner has no sign of life.
    pub(super) fn note_unsigned(&self, place: usize, generation: u32) {
        let word = self.word(place, UNSIGNED);
        let noted = unsigned(generation);
        // Never back to an older one: who was slow to write it may have been
        // overtaken by one who has a sign.
        let newer = |old: u64| {
            let ahead = generation.wrapping_sub((old >> 32) as u32).cast_signed();
            (old == 0 || ahead > 0).then_some(noted)
        };
        let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, newer);
    }

    /// Returns `true` if there is proof that the owner of a place is dead; `seen` is its word,
    /// of somebody who lives as far as that says.
    fn has_ended(&self, place: usize, seen: u64) -> bool {
        let generation = core::generation(seen);
        let is_signed = self.word(place, UNSIGNED).load(Ordering::Acquire) != unsigned(generation);
        if let (true, Some(file)) = (is_signed, &self.file)
            && let Ok(is_there) = presence::is_there(file.as_fd(), place)
        {
            // Not the pidfd as well: who shares the memory may write when the process has ended.
            return !is_there;
        }
        // SYNC(settle): the caller has seen the mark in `seen`. If the owner has not, then what
        // it wrote before it looked for one is visible here.
        let identity = Identity::read(|field| self.word(place, field));
        let holds_nothing = self.file.is_none() || identity.generation != generation;
        if holds_nothing && Life::of(seen) == Life::Dying {
            // What lies in a System V segment has no owner's words in it; and who was
            // marked before it wrote who it is had not come as far as to hold anything.
            return true;
        }
        identity.generation == generation && identity.has_ended()
    }

    /// Looks for proof that the owner of a place, which the kernel has marked, is dead,
    /// and tells everybody if there is.
    #[cold]
    pub(super) fn is_proven_dead(&self, place: usize, seen: u64) -> bool {
        let is_dead = self.has_ended(place, seen);
        if is_dead {
            self.bury(place, seen);
        }
        is_dead
    }

    /// Says of an owner that it is dead, tells everybody, and frees its place. Killed
    /// in between, we leave the rest to our own watcher.
    fn bury(&self, place: usize, seen: u64) {
        let life = self.life(place);
        if core::declare_dead(life, seen) {
            // Whoever watches it watches the next one.
            futex::wake(life, u32::MAX);
        }
        self.tell_of_death();
        core::free(life, core::dead(seen));
    }

    /// The next neighbour who lives, after telling of those who died before it.
    pub(super) fn watched_by(&self, place: usize) -> Neighbour<'_> {
        let mut someone_is_dying = false;
        for next in (place + 1..self.places).chain(0..place.min(self.places)) {
            let seen = self.seen(next);
            match Life::of(seen) {
                Life::Free => {}
                Life::Alive { .. } => {
                    return Neighbour {
                        word: Some((self.life(next), seen as u32)),
                        seen: Some((next, seen)),
                        someone_is_dying,
                    };
                }
                Life::Dead => self.bury(next, seen),
                Life::Dying => {
                    if !self.is_proven_dead(next, seen) {
                        someone_is_dying = true;
                        // If it lives, it takes the mark away.
                        self.call_watcher_of(next);
                    }
                }
            }
        }
        Neighbour {
            word: None,
            seen: None,
            someone_is_dying,
        }
    }

    /// Has the watcher of a place's owner look.
    pub(super) fn call_watcher_of(&self, place: usize) {
        let changed = self.word(place, CHANGED);
        changed.fetch_add(1, Ordering::Relaxed);
        futex::wake(changed, 1);
    }

    /// Takes back a mark that the kernel made on our place for somebody else, whose
    /// thread has the same number in another namespace and was killed while it looked
    /// for a place.
    pub(super) fn insist_on_living(&self, place: usize, thread_id: u32) {
        if let Life::Dying = Life::of(self.seen(place))
            && let Some(me) = self.joined_process()
            && me.place() == place
        {
            core::unmark(self.life(place), me, thread_id);
        }
    }

    /// Looks for proof about one who is not marked, and tells of it.
    pub(super) fn doubt(&self, place: usize, seen: u64) {
        if let Life::Alive { .. } = Life::of(seen) {
            let _ = self.is_proven_dead(place, seen);
        }
    }

    /// Looks for proof about everybody, also where the kernel has marked nothing, and
    /// tells of those who are dead. Whether anybody is.
    pub(crate) fn look_for_deaths(&self) -> bool {
        let mut found = false;
        for place in 0..self.places {
            let seen = self.seen(place);
            found |= match Life::of(seen) {
                Life::Free => false,
                Life::Dead => {
                    self.bury(place, seen);
                    true
                }
                Life::Alive { .. } | Life::Dying => self.is_proven_dead(place, seen),
            };
        }
        found
    }

    /// Returns `true` if the owner of a place lives.
    fn is_taken(&self, place: usize, seen: u64) -> bool {
        match Life::of(seen) {
            Life::Free | Life::Dead => false,
            Life::Alive { .. } | Life::Dying => !self.has_ended(place, seen),
        }
    }

    /// Returns `true` if somebody who lives takes part, or by `is_on_its_way` is about to.
    ///
    /// Who takes part may have given it to somebody else and died before its place was
    /// looked at: the other one is on its way afterwards, or has come since.
    pub(crate) fn is_in_use(&self, is_on_its_way: impl Fn() -> bool) -> bool {
        for _ in 0..MOST_LOOKS {
            let seen: Vec<u64> = (0..self.places).map(|place| self.seen(place)).collect();
            let mut taken = seen.iter().enumerate();
            if taken.any(|(place, seen)| self.is_taken(place, *seen)) || is_on_its_way() {
                return true;
            }
            let mut places = seen.iter().enumerate();
            let is_another =
                |seen: &u64, now: u64| core::generation(*seen) != core::generation(now);
            if !places.any(|(place, seen)| is_another(seen, self.seen(place))) {
                return false;
            }
        }
        // So many came and went that there will be more.
        true
    }

    /// The processes that take part, dead ones that nobody has noticed yet
    /// included.
    pub(crate) fn participants(&self) -> Vec<Participant> {
        let places = (0..self.places).filter_map(|place| {
            let seen = self.seen(place);
            if Life::of(seen) == Life::Free {
                return None;
            }
            let identity = Identity::read(|field| self.word(place, field));
            Some(identity.participant(self.is_taken(place, seen)))
        });
        places.collect()
    }
}

/// What a place says of an owner without a sign of life.
fn unsigned(generation: u32) -> u64 {
    u64::from(generation) << 32 | 1
}
