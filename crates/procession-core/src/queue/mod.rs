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
//!       └────────────────┴───┴──────────────────────────┘
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
//!
//! Receiving is one compare-and-swap on the block, from filled to reading, which
//! succeeds only with the ticket of the index that the receiver looked at. Slot,
//! `head` and `tail` only follow: whoever finds a slot whose message has been
//! taken empties it, whoever finds an index behind moves it on.
//!
//! A ticket has 25 bits. A receiver that stands still between its look at a
//! block and its compare-and-swap, while 2^25 messages pass or a multiple
//! thereof, and the same sender has the same block again, takes a message out of
//! its turn; none is lost or taken twice.
//!
//! # References
//! P. Tsigas, Y. Zhang, "A simple, fast and scalable non-blocking concurrent FIFO
//! queue" (2001): slots before indices, and whoever is behind is helped.

mod recovery;

use crate::door::{AtomicU64, Ordering};
use crate::{Failure, Owner, Platform};

const FULL: u64 = 1 << 31;
const BLOCK: u64 = FULL - 1;

/// The block of a slot that says: nothing is sent any more.
const CLOSED: u64 = BLOCK;

/// Most blocks that a queue can have.
pub const MOST_BLOCKS: usize = 1 << 25;

const FREE: u64 = 0;
const FILLING: u64 = 1;
const FILLED: u64 = 2;
const READING: u64 = 3;
const LOSING: u64 = 4;
const COUNTED: u64 = 5;

const STATE: u64 = 7;
const TICKET: u64 = (1 << 25) - 1;
const HOLDER: u64 = !(TICKET << 3 | STATE);

/// How far an index may be behind before others move it on.
const BEHIND: u64 = 8;

/// How far it can be behind where all keep to this: every process may have sent or
/// received some dozens of messages and not have moved it yet.
const MOST_BEHIND: u64 = 1 << 18;

/// Bits of a process's generation that a block knows.
pub const GENERATION_BITS: u32 = 24;

/// What a process is called in a block.
fn holder(owner: Owner) -> u64 {
    let generation = u64::from(owner.generation()) << 40;
    generation | (owner.place() as u64 + 1) << 28
}

fn state(word: u64) -> u64 {
    word & STATE
}

fn ticket(index: u64) -> u64 {
    (index & TICKET) << 3
}

/// Where the words of a block are.
pub trait Blocks {
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

    /// The lap of an index, as slots have it.
    #[inline]
    fn lap(&self, index: u64) -> u64 {
        index >> self.slots.len().trailing_zeros() & u64::from(u32::MAX)
    }

    /// How far a slot is ahead of an index, in laps.
    #[inline]
    fn ahead(&self, slot: u64, index: u64) -> i32 {
        ((slot >> 32) as u32).wrapping_sub(self.lap(index) as u32) as i32
    }

    #[inline]
    fn empty(&self, index: u64) -> u64 {
        self.lap(index) << 32
    }

    /// The slot of an index after its message was taken: empty, for the lap that
    /// comes next.
    #[inline]
    fn emptied(&self, index: u64) -> u64 {
        ((self.lap(index) + 1) & u64::from(u32::MAX)) << 32
    }

    /// Takes a free block, looking from `first` on.
    #[inline]
    pub fn take_block(&self, first: usize, platform: &impl Platform) -> Option<usize> {
        let count = self.blocks.count();
        let mine = holder(platform.me()) | FILLING;
        let first = if first < count { first } else { 0 };
        (first..count).chain(0..first).find(|&block| {
            let word = self.blocks.state(block);
            // SYNC(block): whoever had it is done with its bytes.
            word.load(Ordering::Relaxed) == FREE
                && word
                    .compare_exchange(FREE, mine, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
        })
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

    /// Publishes a block that the caller has filled. `known_head` is what the
    /// caller knows of the head, and is brought up to date where that matters. To
    /// be followed by [`follow_tail`](RawQueue::follow_tail) and a notification of
    /// those who wait for a message.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn publish(
        &self,
        block: usize,
        known_head: &mut u64,
        platform: &impl Platform,
    ) -> Result<Sent, Failure> {
        self.publish_behind(0, block, known_head, platform)
    }

    /// [`publish`](RawQueue::publish), where everything before an index is known to
    /// have been sent though the tail may not say so yet.
    ///
    /// # Errors
    /// As [`publish`](RawQueue::publish).
    #[inline]
    pub fn publish_behind(
        &self,
        from: u64,
        block: usize,
        known_head: &mut u64,
        platform: &impl Platform,
    ) -> Result<Sent, Failure> {
        if self.closed.load(Ordering::Relaxed) != 0 {
            return Ok(Sent::Closed);
        }
        let mut index = self.tail.load(Ordering::Relaxed).max(from);
        let first = index;
        let state = self.blocks.state(block);
        let mine = holder(platform.me());
        loop {
            if index.saturating_sub(*known_head) >= self.capacity {
                *known_head = self.head.load(Ordering::Acquire);
                if index.saturating_sub(*known_head) >= self.capacity {
                    // It may be behind, for whoever should have moved it died.
                    if !self.help_head(*known_head)? {
                        return Ok(Sent::Full);
                    }
                    continue;
                }
            }
            let slot = self.slot(index);
            let word = slot.load(Ordering::Acquire);
            match self.ahead(word, index) {
                0 if word == self.empty(index) => {
                    // Whoever takes the message compares the ticket; our death
                    // before the slot is ours leaves a block that no slot names.
                    state.store(mine | ticket(index) | FILLED, Ordering::Release);
                    let full = word | FULL | block as u64;
                    // SYNC(message): the bytes of the block are visible to who
                    // sees the slot.
                    match slot.compare_exchange(word, full, Ordering::AcqRel, Ordering::Relaxed) {
                        Ok(_) => return Ok(Sent::At(index)),
                        Err(_) => continue,
                    }
                }
                0 if word & BLOCK == CLOSED => return Ok(Sent::Closed),
                // Sent and perhaps received already: the index is behind.
                0.. => index = self.next(index, first, self.tail)?,
                // A message of the lap before, which nobody has taken.
                _ if word & FULL != 0 => return Ok(Sent::Full),
                _ => return Err(Failure::Corrupt),
            }
        }
    }

    /// The index after this one, at which something was sent or received before, or
    /// the one that others have come to. Whoever should have moved theirs on may be
    /// stopped or dead, so that it is done for them.
    #[inline]
    fn next(&self, index: u64, first: u64, others: &AtomicU64) -> Result<u64, Failure> {
        let next = index.wrapping_add(1);
        let seen = others.load(Ordering::Relaxed);
        if next.saturating_sub(seen) > BEHIND {
            others.fetch_max(next, Ordering::AcqRel);
        }
        self.check_walk(next, first)?;
        Ok(next.max(seen))
    }

    /// Refuses to go on for ever in slots that are not what we left there.
    #[inline]
    fn check_walk(&self, index: u64, first: u64) -> Result<(), Failure> {
        match index.wrapping_sub(first) > self.slots.len() as u64 + MOST_BEHIND {
            true => Err(Failure::Corrupt),
            false => Ok(()),
        }
    }

    /// Moves the tail behind what was sent at an index.
    #[inline]
    pub fn follow_tail(&self, index: u64) {
        // Sequentially consistent, for the notification that follows.
        self.tail.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
    }

    /// Moves the head on from an index if its message has been taken. Whether it
    /// had been.
    fn help_head(&self, index: u64) -> Result<bool, Failure> {
        let slot = self.slot(index);
        let word = slot.load(Ordering::Acquire);
        match self.ahead(word, index) {
            0 if word & FULL == 0 || word & BLOCK == CLOSED => return Ok(false),
            0 => {
                let block = (word & BLOCK) as usize;
                if block >= self.blocks.count() {
                    return Err(Failure::Corrupt);
                }
                if self.is_filled(block, index).is_some() {
                    return Ok(false);
                }
                let _ = slot.compare_exchange(
                    word,
                    self.emptied(index),
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                );
            }
            1.. => {}
            _ => return Err(Failure::Corrupt),
        }
        self.head.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
        Ok(true)
    }

    /// The word of a block, if it is filled with the message of this index.
    #[inline]
    fn is_filled(&self, block: usize, index: u64) -> Option<u64> {
        // SYNC(message): see `publish`.
        let word = self.blocks.state(block).load(Ordering::Acquire);
        (word & !HOLDER == ticket(index) | FILLED).then_some(word)
    }

    /// Takes the next message, if there is one; its index. The head stays where
    /// it is until [`follow_head`](RawQueue::follow_head).
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn take(&self, from: u64, platform: &impl Platform) -> Result<(Received, u64), Failure> {
        let mut index = from;
        loop {
            let word = self.slot(index).load(Ordering::Acquire);
            match self.ahead(word, index) {
                0 if word & FULL == 0 => {
                    if self.closed.load(Ordering::SeqCst) == 0 {
                        return Ok((Received::Empty, index));
                    }
                    // Nobody sends after this.
                    let last = word | FULL | CLOSED;
                    let _ = self.slot(index).compare_exchange(
                        word,
                        last,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    );
                }
                0 if word & BLOCK == CLOSED => return Ok((Received::Closed, index)),
                0 => {
                    let block = (word & BLOCK) as usize;
                    if block >= self.blocks.count() {
                        return Err(Failure::Corrupt);
                    }
                    if let Some(filled) = self.is_filled(block, index)
                        && self.claim(block, filled, platform)
                    {
                        let held = Held {
                            block,
                            redelivered: false,
                        };
                        return Ok((Received::Message(held), index));
                    }
                    self.empty_slot(index, block);
                    index = self.next(index, from, self.head)?;
                }
                1.. => index = self.next(index, from, self.head)?,
                _ => return Err(Failure::Corrupt),
            }
        }
    }

    #[inline]
    fn claim(&self, block: usize, seen: u64, platform: &impl Platform) -> bool {
        let mine = holder(platform.me()) | READING;
        self.blocks
            .state(block)
            .compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Empties the slot of an index whose message, in this block, was taken.
    #[inline]
    pub fn empty_slot(&self, index: u64, block: usize) {
        let full = self.empty(index) | FULL | block as u64;
        // Somebody else may have been faster, and a sender too, since.
        let _ = self.slot(index).compare_exchange(
            full,
            self.emptied(index),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Moves the head behind what was received at an index, whose slot was
    /// emptied, as those before it were. To be followed by a notification of
    /// those who wait for room.
    #[inline]
    pub fn follow_head(&self, index: u64) {
        self.head.fetch_max(index.wrapping_add(1), Ordering::SeqCst);
    }

    /// Whether [`take`](RawQueue::take) would find anything but
    /// [`Empty`](Received::Empty).
    pub fn is_ready(&self, from: u64) -> bool {
        let mut index = from;
        loop {
            let word = self.slot(index).load(Ordering::Acquire);
            match self.ahead(word, index) {
                0 if word & FULL == 0 => return self.closed.load(Ordering::SeqCst) != 0,
                0 if word & BLOCK == CLOSED => return true,
                0 => {
                    let block = (word & BLOCK) as usize;
                    if block >= self.blocks.count() || self.is_filled(block, index).is_some() {
                        return true;
                    }
                }
                1.. => {}
                _ => return true,
            }
            index = index.wrapping_add(1);
            if self.check_walk(index, from).is_err() {
                return true;
            }
        }
    }

    /// Whether every message that was sent was received, and its block given back.
    pub fn is_done(&self) -> bool {
        (0..self.blocks.count()).all(|block| {
            let word = self.blocks.state(block).load(Ordering::Acquire);
            matches!(state(word), FREE | FILLING)
        })
    }

    /// How many messages wait. A head that somebody left behind, who died, is moved on
    /// first.
    pub fn len(&self) -> u64 {
        let first = self.head.load(Ordering::Acquire);
        loop {
            let head = self.head.load(Ordering::Acquire);
            let tail = self.tail.load(Ordering::Relaxed);
            let waiting = tail.saturating_sub(head);
            let goes_on = waiting > 0
                && self.check_walk(head, first).is_ok()
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
