//! The memory that a pool shares with one of its workers: its layout, and copying. How its
//! words are changed is [`procession_core::worker_ring`]'s.
//!
//! ```text
//! byte 0       the pool's words: posted, results read
//!      64      the worker's words: taken, arguments read, results written,
//!              calls begun, when the last one began, resident memory, readiness
//!      128     words of both: the call that runs, whether the worker sleeps
//!      192     the pool's requests: the post whose rest it wants back, notice
//!      256     slots of posts: state, what it is, how many and a check of all, how long
//!      12288   arguments, a ring of bytes
//!      …       results, a ring of bytes
//! ```

mod pool_side;
mod worker_side;

pub(super) use pool_side::PoolSide;
pub(super) use procession_core::worker_ring::Remains;
pub(super) use worker_side::WorkerSide;

use crate::Result;
use crate::os::memfd::{MemFd, Seals};
use crate::{Error, ErrorKind};
use procession_core::worker_ring::{self, Entry, Memory, Part, Word};
use procession_sys::memory::{Region, SharedBytes, Words};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Most posts that wait or are being worked on.
pub(super) const SLOTS: u64 = 256;

/// Room for arguments, and for results, in bytes.
pub(super) const ROOM: u64 = 256 * 1024;

/// Most bytes of arguments in one post.
pub(super) const LONGEST_POST: usize = 64 * 1024;

const FIRST_SLOT: usize = 32;
const SLOT_WORDS: usize = 4;
const WORDS: usize = FIRST_SLOT + SLOTS as usize * SLOT_WORDS;

const ARGUMENTS: usize = 12288;
const RESULTS: usize = ARGUMENTS + ROOM as usize;
const LENGTH: usize = RESULTS + ROOM as usize;

/// Where a word is, in words.
const fn place(word: Word) -> usize {
    match word {
        Word::Posted => 0,
        Word::ResultsRead => 1,
        Word::Taken => 8,
        Word::ArgumentsRead => 9,
        Word::ResultsWritten => 10,
        Word::Begun => 11,
        Word::BegunAt => 12,
        Word::Resident => 13,
        Word::Ready => 14,
        Word::Current => 16,
        Word::Asleep => 17,
        Word::GiveBack => 24,
        Word::Notice => 25,
    }
}

/// What a worker is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Call a function with arguments.
    Run,
    /// Call a function with one argument, which comes as a packet.
    RunMailed,
    /// Learn a function.
    Define,
    /// Learn a function, which comes as a packet.
    DefineMailed,
    /// Forget a function.
    Forget,
    /// End.
    Stop,
}

impl Order {
    fn from_byte(byte: u8) -> Option<Order> {
        use Order::{Define, DefineMailed, Forget, Run, RunMailed, Stop};
        let all = [Run, RunMailed, Define, DefineMailed, Forget, Stop];
        all.into_iter().find(|order| *order as u8 == byte)
    }
}

/// An order, without its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    pub(super) order: Order,
    /// The function.
    pub(super) job: u32,
    /// Calls.
    pub(super) count: u32,
    /// Each call can be condemned, and is timed.
    pub(super) exact: bool,
    /// Calls may be long, so that each is looked at.
    pub(super) slow: bool,
}

impl Post {
    pub(super) fn new(order: Order, job: u32) -> Post {
        Post {
            order,
            job,
            count: 0,
            exact: false,
            slow: false,
        }
    }

    /// As it stands in a slot, with so many bytes of arguments.
    #[inline]
    fn entry(self, length: usize) -> Entry {
        let flags = u64::from(self.exact) | u64::from(self.slow) << 1;
        Entry {
            order: u64::from(self.order as u8) | flags << 8 | u64::from(self.job) << 32,
            count: self.count,
            length: length as u64,
        }
    }

    #[inline]
    fn from_entry(entry: Entry) -> Option<Post> {
        Some(Post {
            order: Order::from_byte(entry.order as u8)?,
            job: (entry.order >> 32) as u32,
            count: entry.count,
            exact: entry.order >> 8 & 1 == 1,
            slow: entry.order >> 9 & 1 == 1,
        })
    }
}

/// The memory, as either side has it.
#[derive(Debug)]
pub(super) struct RingMemory {
    words: Words,
    region: Arc<Region>,
}

impl RingMemory {
    /// Makes one, and the file to give to the worker.
    pub(super) fn create() -> Result<(RingMemory, MemFd)> {
        let file = MemFd::create("procession-pool", LENGTH)?;
        file.seal(Seals::FIXED_SIZE)?;
        Ok((RingMemory::open(&file)?, file))
    }

    /// The same one, in the worker.
    pub(super) fn open(file: &MemFd) -> Result<RingMemory> {
        let region = Arc::new(file.map()?);
        let words = Words::at(&region, 0, WORDS)
            .filter(|_| region.bytes().len() >= LENGTH)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, "opening ring of pool", ""))?;
        Ok(RingMemory { words, region })
    }

    fn arguments(&self) -> SharedBytes<'_> {
        self.region.bytes().slice(ARGUMENTS, ROOM as usize)
    }

    fn results(&self) -> SharedBytes<'_> {
        self.region.bytes().slice(RESULTS, ROOM as usize)
    }

    /// Returns `true` if there are results that the pool has not read; for threads that
    /// do not hold the pool's lock.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        worker_ring::has_news(self)
    }

    /// Returns `true` if the worker takes orders.
    pub(super) fn is_ready(&self) -> bool {
        worker_ring::is_ready(self)
    }

    /// Returns `true` if the call that runs was given notice; for its worker.
    pub(super) fn has_notice(&self) -> bool {
        worker_ring::has_notice(self)
    }
}

impl Memory for RingMemory {
    const SLOTS: u64 = SLOTS;
    const ROOM: u64 = ROOM;

    #[inline]
    fn word(&self, word: Word) -> &AtomicU64 {
        &self.words[place(word)]
    }

    #[inline]
    fn slot(&self, index: u64, part: Part) -> &AtomicU64 {
        let slot = (index % SLOTS) as usize;
        &self.words[FIRST_SLOT + slot * SLOT_WORDS + part as usize]
    }
}

/// Writes bytes into a ring from an index on.
#[inline]
fn write_ring(ring: SharedBytes<'_>, index: u64, bytes: &[u8]) {
    let start = (index % ROOM) as usize;
    let first = bytes.len().min(ROOM as usize - start);
    ring.write(start, &bytes[..first]);
    if first < bytes.len() {
        ring.write(0, &bytes[first..]);
    }
}

/// Appends so many bytes of a ring, from an index on.
#[inline]
fn read_ring(ring: SharedBytes<'_>, index: u64, length: usize, into: &mut Vec<u8>) {
    let start = (index % ROOM) as usize;
    let first = length.min(ROOM as usize - start);
    let old = into.len();
    into.resize(old + length, 0);
    let (one, two) = into[old..].split_at_mut(first);
    ring.read(start, one);
    if !two.is_empty() {
        ring.read(0, two);
    }
}
