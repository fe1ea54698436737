//! Many readers or one writer, any of whom may die.
//!
//! A writer holds a [`RawMutex`]; each reader holds a cell of its own. There is
//! no count of readers that a death could falsify: the writer waits until every
//! cell is empty or its holder dead.
//!
//! A reader takes a cell and then looks for a writer; a writer takes the lock
//! and then looks for readers. Between the two steps stands a fence on both
//! sides, so that at least one sees the other. The reader gives way: a writer
//! that waits is not starved by readers that come.
//!
//! # References
//! W. C. Hsieh and W. E. Weihl, "Scalable Reader-Writer Locks for Parallel Systems" (1992): a word
//! for each reader, and a writer that visits all of them.

use crate::atomics::{AtomicU64, Ordering, fence, fence_after_swap};
use crate::event_count::EventCount;
use crate::mutex::{Acquired, INCONSISTENT, LOST, POISONED, RawMutex};
use crate::{Failure, Owner, Platform};

/// The words of a lock for readers and writers.
#[derive(Clone, Copy, Debug)]
pub struct RawRwLock<'a> {
    /// The writer.
    pub writer: RawMutex<'a>,
    /// Where readers wait for the writer's end, and for a free cell.
    pub entry: EventCount<'a>,
    /// Where the writer waits for the readers' end.
    pub drained: EventCount<'a>,
    /// One for each reader that there can be at a time.
    pub readers: &'a [AtomicU64],
}

impl RawRwLock<'_> {
    /// Comes in as a reader; its cell.
    ///
    /// # Errors
    /// As [`RawMutex::lock`].
    #[inline]
    pub fn read(&self, platform: &impl Platform) -> Result<(usize, Acquired), Failure> {
        match self.try_read(platform)? {
            Some(entered) => Ok(entered),
            None => self.entry.wait_until(platform, || self.try_read(platform)),
        }
    }

    /// Comes in as a reader, if no writer holds or wants the lock and a cell is
    /// free.
    ///
    /// # Errors
    /// As [`RawMutex::try_lock`], but for the time.
    #[inline]
    pub fn try_read(&self, platform: &impl Platform) -> Result<Option<(usize, Acquired)>, Failure> {
        let me = platform.me();
        if self.is_barred(platform)? {
            return Ok(None);
        }
        let Some(place) = self.take_cell(me, platform) else {
            return Ok(None);
        };
        // SYNC(rwlock): either this reader sees the writer, or the writer, which
        // has a fence there, sees this reader's cell.
        fence_after_swap();
        match self.is_barred(platform) {
            Ok(false) => {
                let word = self.writer.word();
                // SYNC(mutex): what the last writer did is visible here; the
                // load of the word in `is_barred` came after its release.
                fence(Ordering::Acquire);
                let acquired = Acquired {
                    inconsistent: word & INCONSISTENT != 0,
                    poisoned: word & POISONED != 0,
                };
                Ok(Some((place, acquired)))
            }
            barred => {
                self.leave(place, me, platform);
                barred.map(|_| None)
            }
        }
    }

    /// Returns `true` if a living writer has the lock, or waits for readers to leave.
    #[inline]
    fn is_barred(&self, platform: &impl Platform) -> Result<bool, Failure> {
        let word = self.writer.word_in_order();
        if word & LOST != 0 {
            return Err(Failure::NotRecoverable);
        }
        match Owner::of(word) {
            None => Ok(false),
            Some(owner) if owner == platform.me() => Err(Failure::WouldDeadlock),
            Some(owner) if platform.waits_in_vain(owner) => Err(Failure::WouldDeadlock),
            Some(owner) if platform.is_alive(owner) => Ok(true),
            // It died while it held the lock: taking it over and giving it
            // back leaves the word as readers must see it.
            Some(_) => match self.writer.try_lock(platform) {
                Ok(_) => {
                    self.unlock(false, platform);
                    Ok(false)
                }
                Err(Failure::TimedOut) => Ok(true),
                Err(failure) => Err(failure),
            },
        }
    }

    #[inline]
    fn take_cell(&self, me: Owner, platform: &impl Platform) -> Option<usize> {
        let length = self.readers.len();
        // Threads begin at different cells, so as not to meet.
        let first = usize::from(me.thread()) % length.max(1);
        (first..length).chain(0..first).find(|&place| {
            let word = self.readers[place].load(Ordering::Relaxed);
            let free = Owner::of(word).is_none_or(|owner| !platform.is_alive(owner));
            // SYNC(reader): a dead reader has done nothing that matters.
            free && self.readers[place]
                .compare_exchange(word, me.word(), Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Leaves as a reader. Returns `true` if the cell was the caller's.
    #[inline]
    pub fn leave(&self, place: usize, me: Owner, platform: &impl Platform) -> bool {
        // SYNC(reader): what the reader read, it read before the next writer
        // writes.
        let left = self.readers.get(place).is_some_and(|cell| {
            cell.compare_exchange(me.word(), 0, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        });
        if left {
            self.drained.notify_after_swap(1, platform);
            self.entry.notify_after_swap(1, platform);
        }
        left
    }

    /// Takes the lock as its writer.
    ///
    /// # Errors
    /// As [`RawMutex::lock`]; [`WouldDeadlock`](Failure::WouldDeadlock) also
    /// where the calling thread reads.
    #[inline]
    pub fn write(&self, platform: &impl Platform) -> Result<Acquired, Failure> {
        let acquired = self.writer.lock_tentatively(platform)?;
        // SYNC(rwlock): see `try_read`.
        fence(Ordering::SeqCst);
        let emptied = match self.has_left(platform) {
            Ok(None) => self
                .drained
                .wait_until(platform, || self.has_left(platform)),
            outcome => outcome.map(|_| ()),
        };
        match emptied {
            Ok(()) => {
                self.writer.commit();
                Ok(acquired)
            }
            Err(failure) => {
                self.unlock(false, platform);
                Err(failure)
            }
        }
    }

    /// Returns `true` if every reader has left or died.
    #[inline]
    fn has_left(&self, platform: &impl Platform) -> Result<Option<()>, Failure> {
        for cell in self.readers {
            // SYNC(reader): see `leave`.
            let word = cell.load(Ordering::Acquire);
            match Owner::of(word) {
                None => {}
                Some(owner) if owner == platform.me() => return Err(Failure::WouldDeadlock),
                Some(owner) if platform.waits_in_vain(owner) => {
                    return Err(Failure::WouldDeadlock);
                }
                Some(owner) if platform.is_alive(owner) => return Ok(None),
                Some(_) => {
                    // A new reader may have taken the cell; then we look again.
                    let emptied =
                        cell.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed);
                    if emptied.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(()))
    }

    /// Gives the lock back as its writer, after a panic or not. Returns `true` if the caller
    /// held it.
    #[inline]
    pub fn unlock(&self, panicked: bool, platform: &impl Platform) -> bool {
        let given = if panicked {
            self.writer.unlock_poisoned(platform)
        } else {
            self.writer.unlock(platform)
        };
        self.entry.notify(u32::MAX, platform);
        given
    }
}
