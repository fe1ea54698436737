//! Many who send, many who receive, and nobody who can stand in the way.
//!
//! A message is written into a *block*, which says who has it, and then published
//! by one compare-and-swap on a *slot* of a ring, which says which block it is.
//! Nobody ever holds a slot: whoever is stopped or killed between two
//! instructions has a block of his own, and the others go on.
//!
//! ```text
//! slot   63            32 31  30                       0
//!       ┌────────────────┬───┬──────────────────────────┐
//!       │ lap            │ F │ block                    │  F: full
//!       └────────────────┴───┴──────────────────────────┘  (bit 30: R, see `rendezvous`)
//!
//! block  63        40 39      28 27                 3 2   0
//!       ┌────────────┬──────────┬────────────────────┬─────┐
//!       │ generation │ place + 1│ ticket             │state│
//!       └────────────┴──────────┴────────────────────┴─────┘
//! ```
//!
//! | state | has it | on the death of who has it |
//! |---|---|---|
//! | free | nobody | |
//! | filling | a sender | free again |
//! | filled | a sender, until somebody receives it; the ticket is the index of its slot | if the slot names the block, it was sent; if not, free again |
//! | reading | a receiver | delivered once more, or counted as lost |
//! | losing | whoever counts it as lost | counted by the next one |
//! | offered | a sender that waits until it is taken ([`rendezvous`]) | free again |
//! | requested | a receiver that waits for a sender ([`rendezvous`]) | free again |
//!
//! Receiving is one compare-and-swap on the block, from filled to reading, which
//! succeeds only with the ticket of the index that the receiver looked at. Slot,
//! `head` and `tail` only follow: whoever finds a slot whose message has been
//! taken empties it, whoever finds an index behind moves it on.
//!
//! # What holds at each moment
//! Call *taken* the index of the first message that nobody has taken, and *sent*
//! that of the first that nobody has sent. Whatever honest parties do, and wherever
//! each of them stands still, for however long:
//!
//! 1. `head` ≤ taken ≤ sent ≤ `head` + capacity: who sends has seen a head that
//!    leaves room for it.
//! 2. `tail` ≤ sent ≤ `tail` + [`MAX_BEHIND`]: who passes a message whose sender has
//!    not moved the tail does it for him.
//! 3. The slot of an index before taken has its lap behind it, the slot of one
//!    before sent is not empty for it.
//!
//! None of these numbers ever becomes smaller. So whoever finds in memory what
//! contradicts them, *with a look at head or tail that is younger than the
//! evidence*, is told [`Corrupt`](crate::Failure::Corrupt), and nobody else is: how far a
//! walk has led says nothing, for others may have gone on meanwhile
//! (`sanity.rs`). Memory that nobody changes ends each walk within three laps;
//! memory that others change without end, be it by honest messages, ends it after
//! [`MAX_STEPS`] with [`TimedOut`](crate::Failure::TimedOut), and the caller looks at its
//! clock.
//!
//! # What comes round
//! Indices have 64 bits and never do. An empty slot has 63 bits of its lap, so that
//! who sends cannot take one lap for another. Three numbers do come round:
//!
//! | number | bits | what it takes, and what follows |
//! |---|---|---|
//! | ticket | 25 | a receiver stands still between its look at a block and its compare-and-swap while exactly 2^25 messages pass, or a multiple, and the same sender has the same block again: it takes that message out of its turn. None is lost or taken twice. |
//! | lap of a full slot | 32 | a receiver that has found a message taken stands still before it empties its slot, while exactly 2^32 laps pass and the same block is there again: the slot is emptied though its message waits |
//! | generation | 24 | a process dies, and 2^24 others at its place before anybody looks: it counts as alive until the next one |
//!
//! `small.rs` and the models go through them with widths of two and three bits.
//!
//! # References
//! P. Tsigas, Y. Zhang, "A simple, fast and scalable non-blocking concurrent FIFO
//! queue" (2001): slots before indices, and whoever is behind is helped.

#[cfg(all(test, not(loom)))]
mod abandoned;
pub mod ranges;
mod receiving;
mod recovery;
pub mod rendezvous;
mod sanity;
mod sending;
#[cfg(all(test, not(loom)))]
mod small;

use crate::atomics::{AtomicU64, Ordering};
use crate::{Failure, Owner, Platform};

const FULL: u64 = 1 << 31;
const BLOCK: u64 = FULL - 1;

/// The block of a slot that says: nothing is sent any more.
const CLOSED: u64 = BLOCK;

/// Of the block of a slot: it is that of a receiver that waits for a message.
const REQUEST: u64 = 1 << 30;

/// Most blocks that a queue can have.
pub const MAX_BLOCKS: usize = 1 << 25;

const FREE: u64 = 0;
const FILLING: u64 = 1;
const FILLED: u64 = 2;
const READING: u64 = 3;
const LOSING: u64 = 4;
const COUNTED: u64 = 5;
/// As filled, and its sender waits until somebody receives it.
const OFFERED: u64 = 6;
/// Has no message: a receiver waits, and says so in the slot that names it.
const REQUESTED: u64 = 7;

const STATE: u64 = 7;
const TICKET_AT: u32 = 3;
const PLACE_AT: u32 = 28;
/// Between the state and the place of the holder.
const TICKETS: u64 = (1 << PLACE_AT) - (1 << TICKET_AT);

/// How far an index may be behind before others move it on.
const BEHIND: u64 = 8;

/// How far the tail is behind at most, and more: a batch moves it after some dozens
/// of messages.
pub const MAX_BEHIND: u64 = 1 << 18;

/// Steps of a walk, beyond three laps, after which its caller looks at the clock.
pub const MAX_STEPS: u64 = 1 << 16;

/// Bits of a process's generation that a block knows.
pub const GENERATION_BITS: u32 = 24;

/// What a process is called in a block.
fn holder(owner: Owner) -> u64 {
    let generation = u64::from(owner.generation()) << 40;
    generation | (owner.place() as u64 + 1) << PLACE_AT
}

fn state(word: u64) -> u64 {
    word & STATE
}

/// Where the words of a block are, and how wide what is in them.
pub trait Blocks {
    /// Bits of the ticket in a block, 25 at most: so many that more messages never
    /// wait at once.
    const TICKET_BITS: u32 = 25;
    /// Bits of the lap in a full slot, 32 at most.
    const LAP_BITS: u32 = 32;

    /// Returns `true` if senders and receivers meet ([`rendezvous`]), so that blocks can be
    /// in the states for that.
    #[inline]
    fn is_rendezvous(&self) -> bool {
        false
    }
    /// The first index for which there is no slot yet.
    #[inline]
    fn reach(&self) -> u64 {
        u64::MAX
    }
    /// How many there are.
    fn count(&self) -> usize;
    /// Who has this one.
    fn state(&self, block: usize) -> &AtomicU64;
    /// How many messages were lost in this one.
    fn lost(&self, block: usize) -> &AtomicU64;
    /// What that number is to become.
    fn to_be_lost(&self, block: usize) -> &AtomicU64;
}

/// The words of a queue.
#[derive(Clone, Copy, Debug)]
pub struct RawQueue<'a, B> {
    /// Index of the next message to be received; may be behind.
    pub head: &'a AtomicU64,
    /// Index of the next message to be sent; may be behind.
    pub tail: &'a AtomicU64,
    /// Nothing is to be sent any more.
    pub closed: &'a AtomicU64,
    /// As many as a power of two.
    pub slots: &'a [AtomicU64],
    /// Messages, sent or not.
    pub blocks: B,
    /// Most messages that may wait.
    pub capacity: u64,
}

/// A block that the caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a block has to be sent or given back"]
pub struct Held {
    /// Which one.
    pub block: usize,
    /// Somebody had received the message before, and died.
    pub redelivered: bool,
}

/// What came of an attempt to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The message is in the queue, at this index.
    At(u64),
    /// As many wait as may.
    Full,
    /// Nothing is sent any more.
    Closed,
}

/// What came of an attempt to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message, which is the caller's to give back.
    Message(Held),
    /// There is none.
    Empty,
    /// There is none, and none will come.
    Closed,
}

/// What was found of the dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// A message whose receiver died, and which is the caller's now; there may be
    /// others.
    pub message: Option<Held>,
    /// A block became free.
    pub freed: bool,
}

/// What is to become of a message whose receiver died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// Another one gets it, and is told.
    Redeliver,
    /// It is lost, and counted.
    Lose,
    /// Receivers see to that.
    Leave,
}

impl<B: Blocks> RawQueue<'_, B> {
    #[inline]
    fn slot(&self, index: u64) -> &AtomicU64 {
        &self.slots[index as usize & (self.slots.len() - 1)]
    }

    #[inline]
    fn lap(&self, index: u64) -> u64 {
        index >> self.slots.len().trailing_zeros()
    }

    /// The lap of an index, as full slots have it: where it is compared.
    #[inline]
    fn low_lap(&self, index: u64) -> u64 {
        (self.lap(index) & (u64::MAX >> (64 - B::LAP_BITS))) << 32
    }

    /// How far a slot is ahead of an index, in laps.
    #[inline]
    fn ahead(&self, slot: u64, index: u64) -> i64 {
        let unused = 32 - B::LAP_BITS;
        let laps = (slot & !(FULL | BLOCK)).wrapping_sub(self.low_lap(index));
        (laps << unused) as i64 >> (32 + unused)
    }

    /// The slot of an index that nothing was sent at: all of its lap.
    #[inline]
    fn empty(&self, index: u64) -> u64 {
        self.low_lap(index) | self.lap(index) >> B::LAP_BITS & BLOCK
    }

    /// The slot of an index at which a block was sent.
    #[inline]
    fn full(&self, index: u64, block: usize) -> u64 {
        self.low_lap(index) | FULL | block as u64
    }

    /// The slot of an index after its message was taken: empty, for the lap that
    /// comes next.
    #[inline]
    fn emptied(&self, index: u64) -> u64 {
        self.empty(index.wrapping_add(self.slots.len() as u64))
    }

    /// The lower bits of an index, where a block has them.
    #[inline]
    fn ticket(index: u64) -> u64 {
        (index & (u64::MAX >> (64 - B::TICKET_BITS))) << TICKET_AT
    }

    /// Takes a free block, looking from `first` on.
    #[inline]
    pub fn take_block(&self, first: usize, platform: &impl Platform) -> Option<usize> {
        let count = self.blocks.count();
        let mine = holder(platform.me()) | FILLING;
        let first = if first < count { first } else { 0 };
        (first..count)
            .chain(0..first)
            .find(|&block| self.take_if_free(block, mine))
    }

    /// Takes this block if it is free; whether it was.
    pub fn take_this(&self, block: usize, platform: &impl Platform) -> bool {
        self.take_if_free(block, holder(platform.me()) | FILLING)
    }

    #[inline]
    fn take_if_free(&self, block: usize, mine: u64) -> bool {
        let word = self.blocks.state(block);
        // SYNC(block): whoever had it is done with its bytes.
        word.load(Ordering::Relaxed) == FREE
            && word
                .compare_exchange(FREE, mine, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Gives a block back, received or never sent. To be followed by a
    /// notification of those who wait for room.
    pub fn give_back(&self, block: usize) {
        // SYNC(block): see `take_block`. Sequentially consistent, and a
        // read-modify-write, for the notification.
        let word = self.blocks.state(block);
        let seen = word.load(Ordering::Relaxed);
        let _ = word.compare_exchange(seen, FREE, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// [`give_back`](RawQueue::give_back), to be followed by something that is
    /// sequentially consistent.
    #[inline]
    pub fn give_back_first(&self, block: usize) {
        // SYNC(block): see `take_block`.
        self.blocks.state(block).store(FREE, Ordering::Release);
    }

    /// Whether a block has a message that is being sent, waits, or was received and
    /// is not done with.
    pub fn is_in_use(&self, block: usize) -> bool {
        state(self.blocks.state(block).load(Ordering::Acquire)) != FREE
    }

    /// Whether every message that was sent was received, and its block given back.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt): the first block that is not done is in no state.
    pub fn is_done(&self) -> Result<bool, Failure> {
        for block in 0..self.blocks.count() {
            match state(self.blocks.state(block).load(Ordering::Acquire)) {
                FREE | FILLING => {}
                FILLED | READING | LOSING | COUNTED => return Ok(false),
                OFFERED | REQUESTED if self.blocks.is_rendezvous() => {}
                _ => return Err(Failure::Corrupt),
            }
        }
        Ok(true)
    }

    /// How many messages wait. A head that somebody left behind, who died, is moved on
    /// first.
    pub fn len(&self) -> u64 {
        let mut steps = 0;
        loop {
            let head = self.head.load(Ordering::Acquire);
            let tail = self.tail.load(Ordering::Relaxed);
            let waiting = tail.saturating_sub(head);
            let goes_on = waiting > 0
                && self.count_step(&mut steps).is_ok()
                && self.help_head(head) == Ok(true);
            if !goes_on {
                return waiting.min(self.capacity);
            }
        }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets nothing be sent any more. To be followed by a notification of all who
    /// wait.
    pub fn close(&self) {
        self.closed.fetch_max(1, Ordering::SeqCst);
    }
}
