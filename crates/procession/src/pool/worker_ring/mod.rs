//! The memory that a pool shares with one of its workers.
//!
//! ```text
//! byte 0       the pool's words: posted, results read
//!      64      the worker's words: taken, arguments read, results written,
//!              calls begun, when the last one began, resident memory, readiness
//!      128     words of both: the call that runs, whether the worker sleeps
//!      192     the pool's requests: give the rest of the batch back, notice
//!      256     slots of posts: state, what it is, how many and a check of all, how long
//!      12288   arguments, a ring of bytes
//!      …       results, a ring of bytes
//! ```
//!
//! Each ring has one writer, and one reader who follows; an index is written after
//! the bytes before it. So whoever of the two is killed at any instant leaves
//! nothing half: what the index covers is there, what it does not was not written.
//!
//! A worker may write anything anywhere, as may whatever else has the memory. Nobody
//! trusts a word that the other side writes: an index only goes forward, and as far as
//! there is something; what a side has written itself is as it was. A post has a check
//! of its words, records of results have numbers. Who finds that something makes no sense
//! says so, and the worker ends: its call fails, what it had not begun goes to others. A
//! worker that sleeps writes its words again, so that one that was changed while nobody
//! looked does not hide a result for ever.
//!
//! A post can be taken back until the worker has taken it: both do that by one
//! compare-and-swap on its state. A call that may have to be stopped is marked as
//! running, and as over, by the worker; whoever wants to stop it condemns it by a
//! compare-and-swap, so that never the next call is hit.

mod pool_side;
mod worker_side;

pub(super) use pool_side::PoolSide;
pub(super) use worker_side::WorkerSide;

use crate::Result;
use crate::os::memfd::{MemFd, Seals};
use crate::{Error, ErrorKind};
use procession_sys::memory::{Region, SharedBytes, Words};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Most posts that wait or are being worked on.
pub(super) const SLOTS: u64 = 256;

/// Room for arguments, and for results, in bytes.
pub(super) const ROOM: u64 = 256 * 1024;

/// Most bytes of arguments in one post.
pub(super) const LONGEST_POST: usize = 64 * 1024;

const POSTED: usize = 0;
const RESULTS_READ: usize = 1;
const TAKEN: usize = 8;
const ARGUMENTS_READ: usize = 9;
const RESULTS_WRITTEN: usize = 10;
const BEGUN: usize = 11;
const BEGUN_AT: usize = 12;
const RESIDENT: usize = 13;
const READY: usize = 14;
const CURRENT: usize = 16;
const ASLEEP: usize = 17;
const GIVE_BACK: usize = 24;
const NOTICE: usize = 25;
const FIRST_SLOT: usize = 32;
const SLOT_WORDS: usize = 4;
const WORDS: usize = FIRST_SLOT + SLOTS as usize * SLOT_WORDS;

const ARGUMENTS: usize = 12288;
const RESULTS: usize = ARGUMENTS + ROOM as usize;
const LENGTH: usize = RESULTS + ROOM as usize;

/// Values of [`ASLEEP`]: what the worker waits for.
const AWAITS_POSTS: u64 = 1;
const AWAITS_ROOM: u64 = 2;

/// States of a slot, below its index.
const WAITING: u64 = 0;
const CLAIMED: u64 = 1;
const REVOKED: u64 = 2;

/// States of the current call, below its number.
const RUNNING: u64 = 1;
const CONDEMNED: u64 = 2;

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

    /// What the words of a slot have to be in accord with, in the upper half of one.
    fn check(index: u64, word: u64, count: u64, length: u64) -> u64 {
        let sum = word
            ^ (index << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ count.rotate_left(20).wrapping_mul(0xbf58_476d_1ce4_e5b9)
            ^ length.rotate_left(40);
        (sum ^ sum >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32
    }

    fn word(self) -> u64 {
        let flags = u64::from(self.exact) | u64::from(self.slow) << 1;
        u64::from(self.order as u8) | flags << 8 | u64::from(self.job) << 32
    }

    /// The post in the words of a slot, if they are in accord.
    fn from_words(index: u64, word: u64, count: u64, length: u64) -> Option<Post> {
        let (check, count) = (count >> 32, count & u64::from(u32::MAX));
        if check != Post::check(index, word, count, length) {
            return None;
        }
        Some(Post {
            order: Order::from_byte(word as u8)?,
            job: (word >> 32) as u32,
            count: count as u32,
            exact: word >> 8 & 1 == 1,
            slow: word >> 9 & 1 == 1,
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

    #[inline]
    fn word(&self, place: usize) -> &AtomicU64 {
        &self.words[place]
    }

    #[inline]
    fn slot(&self, index: u64, word: usize) -> &AtomicU64 {
        let slot = (index % SLOTS) as usize;
        &self.words[FIRST_SLOT + slot * SLOT_WORDS + word]
    }

    fn arguments(&self) -> SharedBytes<'_> {
        self.region.bytes().slice(ARGUMENTS, ROOM as usize)
    }

    fn results(&self) -> SharedBytes<'_> {
        self.region.bytes().slice(RESULTS, ROOM as usize)
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
