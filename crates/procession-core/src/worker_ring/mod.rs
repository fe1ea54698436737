//! The rings between a pool and one of its workers: arguments go in, results come out,
//! and each argument has exactly one answer, wherever either of the two is killed.
//!
//! Each ring has one writer and one reader, and an index is written after what it
//! covers. So whoever is killed at any instant leaves nothing half: what the index covers
//! is there, what it does not was not written.
//!
//! | words | changed by | meaning |
//! |---|---|---|
//! | posted, results read | pool | how far it has come |
//! | taken, arguments read, results written, begun | worker | how far it has come |
//! | begun at, resident, ready | worker | what it tells of itself |
//! | state of a slot | both | `index << 2 \| waiting, claimed or revoked` |
//! | current call | both | 0, or `number << 2 \| running or condemned` |
//! | asleep | worker | what it waits for: posts, room for results, or nothing |
//! | give back | pool | the post whose rest it wants back, and one; the worker looks between calls |
//! | notice | pool | the call that should end |
//!
//! # A post
//!
//! | state | what became of it | if the worker dies | if the pool dies |
//! |---|---|---|---|
//! | waiting | the pool can still take it back | it is the pool's | the worker takes it |
//! | claimed | the worker has it | what was not begun is the pool's, what was begun failed | the worker has it |
//! | revoked | the pool has it back | it is the pool's | the worker passes it over |
//!
//! Claiming ([`take`](WorkerSide::take)) and revoking ([`revoke`](PoolSide::revoke)) are one
//! compare-and-swap each on the same word, so one of them succeeds.
//!
//! # A call
//! The worker counts a call as begun before it makes it, and writes its result after it.
//! Results come in order, so at the worker's death at most one call is begun and has no
//! result: that one fails, and those behind it were not begun ([`Remains`]).
//!
//! A call that may have to be stopped stands in a word of its own while it runs. The pool
//! condemns it, and the worker ends it, by a compare-and-swap on that word, which names the
//! call: a worker is killed for the call that was meant, and never for the next one.
//!
//! # Trust
//! A peer may write anything anywhere. Neither side trusts a word of the other: an index
//! goes forward only, and as far as there is something; what a side has written itself is
//! as it was; a slot has a check of its words. What contradicts this is
//! [`Corrupt`](crate::Failure::Corrupt), and the worker ends.
//!
//! # Death
//! No death ends a sleep here. The pool learns of a worker's end by its pidfd; a worker
//! ends with its family.
//!
//! # References
//! L. Lamport, "Proving the correctness of multiprocess programs" (1977): a ring of one
//! writer and one reader needs no more than an index of each.

#[cfg(all(test, not(loom)))]
mod abandoned;
mod calls;
mod post;
mod results;
mod sleep;
mod take;

pub use calls::Standing;
pub use post::{PoolSide, Remains};
pub use take::{Taken, WorkerSide};

use crate::atomics::{AtomicU64, Ordering};

/// The words of a ring beside its slots. Each stands in the line of whoever changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Posts that were written.
    Posted,
    /// Bytes of results that the pool has read.
    ResultsRead,
    /// Posts that were taken or passed over.
    Taken,
    /// Bytes of arguments that the worker has read.
    ArgumentsRead,
    /// Bytes of results that were written.
    ResultsWritten,
    /// Calls that were begun.
    Begun,
    /// When the last one was begun, if calls are timed.
    BegunAt,
    /// How much memory the worker has.
    Resident,
    /// The worker takes posts.
    Ready,
    /// The call that can be condemned.
    Current,
    /// What the worker sleeps for.
    Asleep,
    /// The post of which the pool wants the rest back, and one.
    GiveBack,
    /// The call that should end.
    Notice,
}

/// A word of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Whose it is.
    State,
    /// What is to be done.
    Order,
    /// How many calls, and the check.
    Count,
    /// Bytes of the arguments.
    Length,
}

/// Where the words of a ring are, and how much it holds. All zero is a new ring.
pub trait Memory {
    /// Most posts that wait or are being worked on.
    const SLOTS: u64;
    /// Room for arguments, and for results, in bytes.
    const ROOM: u64;

    /// A word beside the slots.
    fn word(&self, word: Word) -> &AtomicU64;

    /// A word of the slot of this index.
    fn slot(&self, index: u64, part: Part) -> &AtomicU64;
}

/// What a post says; the ring adds a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is to be done.
    pub order: u64,
    /// How many calls.
    pub count: u32,
    /// Bytes of the arguments.
    pub length: u64,
}

impl Entry {
    /// What the words of a slot have to be in accord with, in the upper half of one.
    fn check(self, index: u64) -> u64 {
        let sum = self.order
            ^ (index << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ u64::from(self.count)
                .rotate_left(20)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            ^ self.length.rotate_left(40);
        (sum ^ sum >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32
    }

    #[inline]
    fn write(self, memory: &impl Memory, index: u64) {
        let count = u64::from(self.count) | self.check(index) << 32;
        let slot = |part| memory.slot(index, part);
        slot(Part::Order).store(self.order, Ordering::Relaxed);
        slot(Part::Count).store(count, Ordering::Relaxed);
        slot(Part::Length).store(self.length, Ordering::Relaxed);
    }

    /// What the words of a slot say, if they are in accord.
    #[inline]
    fn read(memory: &impl Memory, index: u64) -> Option<Entry> {
        let load = |part| memory.slot(index, part).load(Ordering::Relaxed);
        let count = load(Part::Count);
        let entry = Entry {
            order: load(Part::Order),
            count: count as u32,
            length: load(Part::Length),
        };
        (count >> 32 == entry.check(index)).then_some(entry)
    }
}

/// States of a slot, below its index.
const WAITING: u64 = 0;
const CLAIMED: u64 = 1;
const REVOKED: u64 = 2;

/// States of the current call, below its number.
const RUNNING: u64 = 1;
const CONDEMNED: u64 = 2;

/// What the worker sleeps for.
const AWAITS_POSTS: u64 = 1;
const AWAITS_ROOM: u64 = 2;

/// Returns `true` if there are results that the pool has not read; for threads that do
/// not hold the pool's lock.
#[inline]
pub fn has_news(memory: &impl Memory) -> bool {
    let written = memory.word(Word::ResultsWritten).load(Ordering::Acquire);
    written != memory.word(Word::ResultsRead).load(Ordering::Relaxed)
}

/// Returns `true` if the worker takes posts.
pub fn is_ready(memory: &impl Memory) -> bool {
    memory.word(Word::Ready).load(Ordering::Acquire) != 0
}

/// Returns `true` if the call that runs was given notice; for its worker.
pub fn has_notice(memory: &impl Memory) -> bool {
    let begun = memory.word(Word::Begun).load(Ordering::Relaxed);
    memory.word(Word::Notice).load(Ordering::Acquire) == begun && begun != 0
}
