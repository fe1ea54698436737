//! The processes that take part, and which of them live.
//!
//! A process that takes part has a place. The lower half of the place's word
//! is the kernel's: a thread of the process has it in its robust list with its
//! own number in it, and when that thread ends, because the process does, the kernel puts
//! [`DIED`] there and wakes a watcher. The upper half counts the generations of the
//! place.
//!
//! That mark is no proof: other threads of the process may still be in the kernel,
//! which goes on writing for them. It makes others ask for proof, which they get when nothing
//! of the process can write any more. The process that has the proof records it by one
//! compare-and-swap, for all others.
//!
//! ```text
//!  63            32 31  30  29            0
//! ┌────────────────┬───┬───┬───────────────┐
//! │ generation     │ W │ D │ thread id     │   W: wake a watcher
//! └────────────────┴───┴───┴───────────────┘   D: the thread, or the process, died
//! ```
//!
//! | lower half | meaning |
//! |---|---|
//! | 0 | free |
//! | W \| thread id | alive |
//! | W \| D | dying: the kernel's mark; alive until somebody has proof |
//! | D | dead, by proof, and somebody has yet to tell the others |
//!
//! An owner is alive if its generation is the place's and the lower half holds a
//! thread id: one load, no system call, and no way to mistake a process for another
//! one that has its place or its number. It is dead exactly if the generation is
//! another one, or the lower half says free or dead.
//!
//! The places form a ring of watchers: each process sleeps on the next living
//! place's word. A process that finds a death tells all others by the count of deaths, then
//! frees the place; if it is killed in between, its own watcher finds both.
//!
//! # References
//! robust-futexes.rst and futex-requeue-pi.rst of the kernel; get_robust_list(2)

use crate::Owner;
use crate::atomics::{AtomicU64, Ordering, fence, low};

/// Wake a thread that sleeps on the word when its owner dies (`FUTEX_WAITERS`).
pub const WATCHED: u32 = 0x8000_0000;
/// The owner died (`FUTEX_OWNER_DIED`).
pub const DIED: u32 = 0x4000_0000;
/// The number of the thread (`FUTEX_TID_MASK`).
pub const THREAD_ID: u32 = 0x3fff_ffff;

/// What a place's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody has it.
    Free,
    /// The process with this thread lives, as far as the kernel has said.
    Alive {
        /// The thread's number, in the process's own namespace.
        thread_id: u32,
    },
    /// The kernel has said that the thread ended: the process lives until there is
    /// proof that it does not.
    Dying,
    /// There was proof.
    Dead,
}

impl Life {
    /// Reads a place's word.
    #[inline]
    #[must_use]
    pub fn of(word: u64) -> Life {
        let low = low(word);
        match low & THREAD_ID {
            _ if low & DIED != 0 && low & WATCHED == 0 => Life::Dead,
            _ if low & DIED != 0 => Life::Dying,
            0 => Life::Free,
            thread_id => Life::Alive { thread_id },
        }
    }
}

/// Returns the generation of a place's word.
#[inline]
#[must_use]
pub fn generation(word: u64) -> u32 {
    (word >> 32) as u32
}

/// What a place says about an owner that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lives, as far as the kernel has said.
    Alive,
    /// The kernel has marked it: it lives until there is proof that it does not. With
    /// the word that was seen.
    Dying(u64),
    /// It is dead, or has left.
    Gone,
}

impl Standing {
    #[inline]
    fn of(word: u64, is_theirs: bool) -> Standing {
        match Life::of(word) {
            _ if !is_theirs => Standing::Gone,
            Life::Alive { .. } => Standing::Alive,
            Life::Dying => Standing::Dying(word),
            Life::Dead | Life::Free => Standing::Gone,
        }
    }
}

/// Returns what has become of an owner, by the word of its place.
#[inline]
#[must_use]
pub fn standing(life: &AtomicU64, owner: Owner) -> Standing {
    // SYNC(life): whatever the process did before somebody proved that it is dead
    // is visible to whoever sees that.
    let word = life.load(Ordering::Acquire);
    Standing::of(word, generation(word) == owner.generation())
}

/// Returns the [`standing`] of an owner, by the lower bits of a generation.
#[inline]
#[must_use]
pub fn standing_in_part(life: &AtomicU64, part: u32) -> Standing {
    // SYNC(life): as in `standing`.
    let word = life.load(Ordering::Acquire);
    let differs = (generation(word) ^ part) << (32 - crate::queue::GENERATION_BITS);
    Standing::of(word, differs == 0)
}

/// Takes a place if it is free; its new generation.
pub fn claim(life: &AtomicU64, thread_id: u32) -> Option<u32> {
    let word = life.load(Ordering::Relaxed);
    if Life::of(word) != Life::Free {
        return None;
    }
    let next = generation(word).wrapping_add(1);
    let claimed = u64::from(next) << 32 | u64::from(thread_id | WATCHED);
    let taken = life.compare_exchange(word, claimed, Ordering::AcqRel, Ordering::Relaxed);
    // SYNC(ring): of two who come at the same time, at least one sees the other
    // when it looks for its neighbours.
    fence(Ordering::SeqCst);
    taken.is_ok().then_some(next)
}

/// Frees the place of a process that died or leaves; `seen` is its word. Returns `true` if
/// this call did it.
pub fn free(life: &AtomicU64, seen: u64) -> bool {
    let freed = u64::from(generation(seen)) << 32;
    life.compare_exchange(seen, freed, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Declares that the owner whose word is `seen` is dead: the caller has proof. Returns
/// `true` if this call did it.
pub fn declare_dead(life: &AtomicU64, seen: u64) -> bool {
    // SYNC(life): what the caller saw of the end comes with the word.
    life.compare_exchange(seen, dead(seen), Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Returns the word of a place whose owner, by `seen`, is dead.
#[must_use]
pub fn dead(seen: u64) -> u64 {
    u64::from(generation(seen)) << 32 | u64::from(DIED)
}

/// Takes a mark away that was made by mistake; the caller is the owner, and lives. Returns
/// `true` if there was one.
pub fn unmark(life: &AtomicU64, owner: Owner, thread_id: u32) -> bool {
    let theirs = u64::from(owner.generation()) << 32;
    life.compare_exchange(
        theirs | u64::from(DIED | WATCHED),
        theirs | u64::from(thread_id | WATCHED),
        Ordering::AcqRel,
        Ordering::Relaxed,
    )
    .is_ok()
}

/// Returns the place before `from`, around the ring, whose owner lives.
pub fn previous_alive(places: usize, from: usize, word: impl Fn(usize) -> u64) -> Option<usize> {
    let around = (0..from.min(places)).rev().chain((from + 1..places).rev());
    around
        .into_iter()
        .find(|&place| matches!(Life::of(word(place)), Life::Alive { .. }))
}
