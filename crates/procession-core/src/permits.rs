//! A number of permits, each of which names its holder.
//!
//! There is one word for each permit, so that taking, giving back, adding and using up are
//! one compare-and-swap each: a process that is killed has done it or has not, and a process
//! that needs a permit finds those of dead processes.
//!
//! | word | meaning |
//! |---|---|
//! | `0` | no permit here |
//! | [`PERMIT`] | one that is free |
//! | owner \| [`PERMIT`] | one that is held, dead or alive |

use crate::atomics::{AtomicU64, Ordering};
use crate::event_count::EventCount;
use crate::{Failure, Owner, Platform};

/// There is a permit in this cell.
pub const PERMIT: u64 = 1;

/// The words of a set of permits.
#[derive(Clone, Copy, Debug)]
pub struct Permits<'a> {
    /// Where threads sleep that find none free.
    pub waiters: EventCount<'a>,
    /// How many cells from the first have ever had a permit.
    pub used: &'a AtomicU64,
    /// One cell for each permit that there can be.
    pub cells: &'a [AtomicU64],
}

/// Where a thread begins to look: processes and threads at different cells, so
/// as not to meet. By multiplication, because a division would cost as much as
/// taking the permit.
#[inline]
fn first_for(me: Owner, cells: usize) -> usize {
    let mixed = (me.place() as u32 ^ u32::from(me.thread()) << 12).wrapping_mul(0x9e37_79b1);
    ((u64::from(mixed) * cells as u64) >> 32) as usize
}

impl Permits<'_> {
    #[inline]
    fn in_use(&self) -> &[AtomicU64] {
        let used = self.used.load(Ordering::Relaxed);
        let used =
            usize::try_from(used).map_or(self.cells.len(), |used| used.min(self.cells.len()));
        &self.cells[..used]
    }

    /// Takes a permit if one is free; its cell.
    #[inline]
    pub fn take_free(&self, me: Owner) -> Option<usize> {
        let cells = self.in_use();
        let first = first_for(me, cells.len());
        // Without a look before: after somebody else's change that would be one
        // more wait for the word.
        if first < cells.len() && self.take(first, PERMIT, me) {
            return Some(first);
        }
        self.take_free_from(first, me)
    }

    fn take_free_from(&self, first: usize, me: Owner) -> Option<usize> {
        let cells = self.in_use();
        let first = first.min(cells.len());
        (first..cells.len()).chain(0..first).find(|&place| {
            cells[place].load(Ordering::Relaxed) == PERMIT && self.take(place, PERMIT, me)
        })
    }

    /// Takes a permit if one is free, or held by somebody dead; its cell.
    pub fn try_acquire(&self, platform: &impl Platform) -> Option<usize> {
        let me = platform.me();
        self.take_free(me).or_else(|| {
            let cells = self.in_use();
            (0..cells.len()).find(|&place| {
                let word = cells[place].load(Ordering::Relaxed);
                let held_by = Owner::of(word).filter(|_| word & PERMIT != 0);
                held_by.is_some_and(|owner| !platform.is_alive(owner)) && self.take(place, word, me)
            })
        })
    }

    fn take(&self, place: usize, word: u64, me: Owner) -> bool {
        // SYNC(permit): what the last holder did is visible to this one.
        self.cells[place]
            .compare_exchange(
                word,
                me.word() | PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Takes a permit, waiting for one as long as the platform lets us.
    ///
    /// # Errors
    /// [`TimedOut`](Failure::TimedOut).
    pub fn acquire(&self, platform: &impl Platform) -> Result<usize, Failure> {
        match self.try_acquire(platform) {
            Some(place) => Ok(place),
            None => self
                .waiters
                .wait_until(platform, || Ok(self.try_acquire(platform))),
        }
    }

    /// Gives a permit back. Returns `true` if the caller held it.
    pub fn release(&self, place: usize, owner: Owner, platform: &impl Platform) -> bool {
        let given = self.put_back(place, owner);
        if given {
            self.waiters.notify_after_swap(1, platform);
        }
        given
    }

    /// Gives a permit back. Returns `true` if no thread waits for it; otherwise the caller
    /// must notify the event count.
    #[inline]
    pub fn give_back(&self, place: usize, owner: Owner) -> bool {
        !self.put_back(place, owner) || !self.waiters.has_sleepers_after_swap()
    }

    #[inline]
    fn put_back(&self, place: usize, owner: Owner) -> bool {
        // SYNC(permit): what this holder did is visible to the next one.
        self.cells.get(place).is_some_and(|cell| {
            cell.compare_exchange(
                owner.word() | PERMIT,
                PERMIT,
                Ordering::SeqCst,
                Ordering::Relaxed,
            )
            .is_ok()
        })
    }

    /// Uses a held permit up: there is one less. Returns `true` if the caller held it.
    pub fn forget(&self, place: usize, owner: Owner) -> bool {
        self.cells.get(place).is_some_and(|cell| {
            cell.compare_exchange(
                owner.word() | PERMIT,
                0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
        })
    }

    /// Adds so many permits.
    ///
    /// # Errors
    /// [`Full`](Failure::Full): there was room for fewer, which were added.
    pub fn add(&self, count: usize, platform: &impl Platform) -> Result<(), Failure> {
        let mut left = count;
        for (place, cell) in self.cells.iter().enumerate() {
            if left == 0 {
                break;
            }
            if cell.load(Ordering::Relaxed) != 0 {
                continue;
            }
            // First the reach of those who look for permits, then the permit:
            // a death in between leaves an empty cell in reach.
            self.used.fetch_max(place as u64 + 1, Ordering::Relaxed);
            let added = cell.compare_exchange(0, PERMIT, Ordering::SeqCst, Ordering::Relaxed);
            left -= usize::from(added.is_ok());
        }
        let woken = u32::try_from(count - left).unwrap_or(u32::MAX);
        if woken > 0 {
            self.waiters.notify_after_swap(woken, platform);
        }
        if left > 0 {
            return Err(Failure::Full);
        }
        Ok(())
    }

    /// Returns the number of permits that are free, or held by dead processes.
    #[must_use]
    pub fn available(&self, platform: &impl Platform) -> usize {
        let free = |word: u64| {
            word & PERMIT != 0 && Owner::of(word).is_none_or(|owner| !platform.is_alive(owner))
        };
        let words = self
            .in_use()
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed));
        words.filter(|&word| free(word)).count()
    }

    /// Returns the number of permits, held or not.
    #[must_use]
    pub fn total(&self) -> usize {
        let words = self
            .in_use()
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed));
        words.filter(|word| word & PERMIT != 0).count()
    }
}
