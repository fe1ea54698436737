//! Memory for messages that do not fit into their blocks.
//!
//! Each block can have a range of the queue's file to itself, behind everything else,
//! of which nothing is allocated at first. The process that has the block may use the range.
//! The ranges follow each other, so that they end where little more than the memory
//! in use would end, and it takes no long file to have them
//! ([`ranges`](procession_core::queue::ranges)).

use crate::os::memory::Region;
use crate::shm::Object;
use crate::{Error, ErrorKind, Result};
use procession_core::queue::ranges::{self, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an overflow range at most, and so of a message.
pub(super) const MAX_BYTES: usize = 1 << 36;

/// Blocks that are used most, because senders look at them first when receivers
/// keep up.
const FAVOURED: usize = 4;

/// Blocks whose overflow ranges stay, in part: senders of long messages take the first that
/// is free.
const KEPT: usize = 64;

/// Said with the bytes of an overflow range while they are being allocated, or given back: some
/// of them may not be there. If that fails, or the process that does it is killed, it stays.
const IN_DOUBT: u64 = 1 << 63;

/// How many bytes are there for certain.
pub(super) fn there(allocated: &AtomicU64) -> usize {
    match allocated.load(Ordering::Relaxed) {
        bytes if bytes & IN_DOUBT == 0 => usize::try_from(bytes).unwrap_or(usize::MAX),
        _ => 0,
    }
}

/// How many bytes may be there.
#[inline]
pub(super) fn at_most(allocated: &AtomicU64) -> u64 {
    allocated.load(Ordering::Relaxed) & !IN_DOUBT
}

/// Bytes that stay allocated and mapped for the next long message in a block.
pub(super) fn kept(block: usize) -> usize {
    match block {
        0..FAVOURED => 64 << 20,
        FAVOURED..KEPT => 2 << 20,
        _ => 0,
    }
}

/// Bytes of an overflow range that a message of so many is given.
fn whole(block: usize, length: usize) -> usize {
    let step = if block < KEPT { 1 << 16 } else { 1 };
    length.next_multiple_of(step.max(page()))
}

fn page() -> usize {
    rustix::param::page_size()
}

fn bytes_of(range: Range) -> u64 {
    range.pages * page() as u64
}

/// The claim to have more bytes than this is held against what the queue has taken.
const BELIEVED: usize = 1 << 20;

fn lie(object: &Object, length: usize) -> Error {
    Error::new(ErrorKind::Corrupt, "receiving from queue", object.label())
        .because(format!("a message claims to have {length} bytes"))
}

/// The overflow range of a block, and the range that it had when it was mapped.
type Mapped = Option<(Range, Arc<Region>)>;

/// The overflow ranges of a queue, as this process has mapped them.
#[derive(Debug)]
pub(super) struct Overflow {
    /// Where ranges begin in the file.
    first: u64,
    /// Pages for all of them.
    pub(super) pages: u64,
    mapped: Mutex<Vec<Mapped>>,
}

impl Overflow {
    pub(super) fn new(object: &Object) -> Result<Overflow> {
        let (first, bytes) = object.behind()?;
        let pages = bytes / page() as u64;
        Ok(Overflow {
            first,
            pages,
            mapped: Mutex::new(Vec::new()),
        })
    }

    fn place_of(&self, range: Range) -> u64 {
        self.first + range.first * page() as u64
    }

    /// Gives all memory back of a block that is the caller's.
    pub(super) fn clear(&self, object: &Object, range: Option<Range>, allocated: &AtomicU64) {
        if let Some(range) = range {
            allocated.fetch_or(IN_DOUBT, Ordering::Relaxed);
            object.clear_overflow(self.place_of(range), bytes_of(range));
        }
        allocated.store(0, Ordering::Relaxed);
    }

    /// Makes room for a message in the overflow range of a block that is the caller's.
    /// `allocated` is what the queue knows of it. `claim` gets the block another range,
    /// of so many pages.
    pub(super) fn make_room(
        &self,
        object: &Object,
        block: usize,
        length: usize,
        (range, allocated): (Option<Range>, &AtomicU64),
        claim: impl Fn(u64) -> Result<Option<Range>>,
    ) -> Result<Arc<Region>> {
        if length > MAX_BYTES {
            let operation = "sending to queue";
            let error = Error::new(ErrorKind::LimitReached, operation, object.label());
            return Err(error.because(format!(
                "the message has {length} bytes, and the longest may have {MAX_BYTES}"
            )));
        }
        let whole = whole(block, length);
        let range = match range.filter(|&range| bytes_of(range) >= whole as u64) {
            Some(range) => range,
            None => {
                self.clear(object, range, allocated);
                let pages = (whole / page()) as u64;
                // Twice as many as before, so that one that grows moves seldom.
                let before = range.map_or(0, |range| range.pages);
                let more = pages.max((2 * before).min(ranges::MAX_PAGES));
                let first = claim(more)?;
                let range = if first.is_none() && more > pages {
                    claim(pages)?
                } else {
                    first
                };
                range.ok_or_else(|| self.no_range(object, whole))?
            }
        };
        if there(allocated) < length {
            let most = at_most(allocated).max(whole as u64);
            allocated.store(most | IN_DOUBT, Ordering::Relaxed);
            object.allocate_overflow(self.place_of(range), whole)?;
            allocated.store(whole as u64, Ordering::Relaxed);
        }
        self.find(object, block, length, Some(range))
    }

    #[cold]
    fn no_range(&self, object: &Object, whole: usize) -> Error {
        let (end, operation) = (self.pages * page() as u64, "making room for message");
        Error::new(ErrorKind::LimitReached, operation, object.label())
            .because(format!(
                "{whole} bytes are needed, and not so many are free together of {end}, as far as \
                 the queue's file may reach (RLIMIT_FSIZE where it was made)"
            ))
            .with_hint(
                "receive what waits, or raise the limit, `ulimit -f`, where the queue is made",
            )
    }

    /// The memory of a message in the overflow range of a block that is the caller's.
    pub(super) fn find(
        &self,
        object: &Object,
        block: usize,
        length: usize,
        range: Option<Range>,
    ) -> Result<Arc<Region>> {
        let range = range.filter(|&range| bytes_of(range) >= length as u64 && length <= MAX_BYTES);
        let range = range.ok_or_else(|| lie(object, length))?;
        if length > BELIEVED && length as u64 > object.taken()? {
            return Err(lie(object, length));
        }
        let kept = kept(block);
        if length > kept {
            return object.map_overflow(self.place_of(range), length);
        }
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if mapped.len() <= block {
            mapped.resize(block + 1, None);
        }
        match &mapped[block] {
            Some((of, region)) if *of == range => return Ok(Arc::clone(region)),
            _ => {}
        }
        let bytes = usize::try_from(bytes_of(range)).unwrap_or(usize::MAX);
        let region = object.map_overflow(self.place_of(range), kept.min(bytes))?;
        region.populate(length);
        mapped[block] = Some((range, Arc::clone(&region)));
        Ok(region)
    }
}
