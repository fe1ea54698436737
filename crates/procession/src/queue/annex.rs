//! Memory for messages that do not fit into their blocks.
//!
//! Each block has a range of the queue's file to itself, far behind everything
//! else, of which nothing is allocated at first. Whoever has the block may use the
//! range: no allocator is shared, so none can be left half changed by the dead.

use crate::os::memory::Region;
use crate::shm::{ANNEXES, Object};
use crate::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an annex at most, and so of a message.
pub(super) const LONGEST: usize = 1 << 36;

/// Blocks that are used most, because senders look at them first when receivers
/// keep up.
const FAVOURED: usize = 4;

/// Blocks whose annexes stay, in part: senders of long messages take the first that
/// is free.
const KEPT: usize = 64;

/// Said with the bytes of an annex while they are being allocated, or given back: some
/// of them may not be there. If that fails, or whoever is at it is killed, it stays.
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

/// Gives memory back that is more than is kept, of a block that is still the caller's.
#[inline]
pub(super) fn shrink(object: &Object, block: usize, allocated: &AtomicU64) {
    if at_most(allocated) > kept(block) as u64 {
        clear(object, block, allocated);
    }
}

/// Gives all memory back of the annex of a block that is the caller's.
pub(super) fn clear(object: &Object, block: usize, allocated: &AtomicU64) {
    allocated.fetch_or(IN_DOUBT, Ordering::Relaxed);
    object.clear_annex(place_of(block), LONGEST as u64);
    allocated.store(0, Ordering::Relaxed);
}

/// Bytes that stay allocated and mapped for the next long message in a block.
pub(super) fn kept(block: usize) -> usize {
    match block {
        0..FAVOURED => 64 << 20,
        FAVOURED..KEPT => 2 << 20,
        _ => 0,
    }
}

/// What is allocated, in multiples of this.
fn step(block: usize) -> usize {
    if block < KEPT { 1 << 16 } else { 1 << 12 }
}

/// The claim to have more bytes than this is held against what the queue has taken.
const BELIEVED: usize = 1 << 20;

fn lie(object: &Object, length: usize) -> Error {
    Error::new(ErrorKind::Corrupt, "receiving from queue", object.label())
        .because(format!("a message claims to have {length} bytes"))
}

fn place_of(block: usize) -> u64 {
    ANNEXES + (block * LONGEST) as u64
}

/// The annexes of a queue, as this process has mapped them.
#[derive(Debug)]
pub(super) struct Annexes {
    /// As far as the file is known to reach.
    reaches: AtomicU64,
    mapped: Mutex<Vec<Option<Arc<Region>>>>,
}

impl Annexes {
    pub(super) fn new() -> Annexes {
        Annexes {
            reaches: AtomicU64::new(0),
            mapped: Mutex::new(Vec::new()),
        }
    }

    /// Makes room for a message in the annex of a block that is the caller's.
    /// `allocated` is what the queue knows of it.
    pub(super) fn make_room(
        &self,
        object: &Object,
        block: usize,
        length: usize,
        allocated: &AtomicU64,
    ) -> Result<Arc<Region>> {
        if length > LONGEST {
            let operation = "sending to queue";
            let error = Error::new(ErrorKind::LimitReached, operation, object.label());
            return Err(error.because(format!(
                "the message has {length} bytes, and the longest may have {LONGEST}"
            )));
        }
        if there(allocated) < length {
            let whole = length.next_multiple_of(step(block));
            let most = at_most(allocated).max(whole as u64);
            allocated.store(most | IN_DOUBT, Ordering::Relaxed);
            object.allocate_annex(place_of(block), whole)?;
            allocated.store(whole as u64, Ordering::Relaxed);
        }
        self.find(object, block, length)
    }

    /// The memory of a message in the annex of a block that is the caller's.
    pub(super) fn find(&self, object: &Object, block: usize, length: usize) -> Result<Arc<Region>> {
        let end = place_of(block) + length.min(LONGEST) as u64;
        if length > LONGEST || self.reaches.load(Ordering::Relaxed) < end {
            let reaches = object.file_length()?;
            self.reaches.fetch_max(reaches, Ordering::Relaxed);
            if length > LONGEST || reaches < end {
                return Err(lie(object, length));
            }
        }
        if length > BELIEVED && length as u64 > object.taken()? {
            return Err(lie(object, length));
        }
        let kept = kept(block);
        if length > kept {
            return object.map_annex(place_of(block), length);
        }
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        if mapped.len() <= block {
            mapped.resize(block + 1, None);
        }
        if let Some(region) = &mapped[block] {
            return Ok(Arc::clone(region));
        }
        let region = object.map_annex(place_of(block), kept)?;
        region.populate(length);
        mapped[block] = Some(Arc::clone(&region));
        Ok(region)
    }
}
