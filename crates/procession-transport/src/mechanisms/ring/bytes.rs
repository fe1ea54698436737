//! One ring of bytes with one writer and one reader.

use super::layout::{LINE, Layout};
use procession::__private::error::ErrorBuilder;
use procession::os::memory::{Region, SharedBytes};
use procession::{ErrorKind, Result};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes published or taken at a time: while one side copies a piece, the
/// other copies the next.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// One ring, as both sides see it.
pub(crate) struct Ring<'a> {
    pub(crate) tail: &'a AtomicU64,
    pub(crate) head: &'a AtomicU64,
    pub(crate) wants_room: &'a AtomicU32,
    pub(crate) data: SharedBytes<'a>,
}

impl<'a> Ring<'a> {
    pub(crate) fn of(memory: &'a Region, layout: Layout, sender: usize) -> Ring<'a> {
        let (bytes, at) = (memory.bytes(), layout.ring(sender));
        Ring {
            tail: bytes.atomic_u64(at),
            head: bytes.atomic_u64(at + LINE),
            wants_room: bytes.atomic_u32(at + 2 * LINE),
            data: bytes.slice(at + 3 * LINE, layout.capacity),
        }
    }

    /// Bytes in the ring, given both counters.
    pub(crate) fn used(&self, tail: u64, head: u64) -> Result<usize> {
        let used = tail.wrapping_sub(head);
        usize::try_from(used)
            .ok()
            .filter(|used| *used <= self.data.len())
            .ok_or_else(|| {
                ErrorBuilder::new(ErrorKind::Corrupt, "reading shared ring", "")
                    .because(format!(
                        "tail {tail} and head {head} of a ring of {}",
                        self.data.len()
                    ))
                    .build()
            })
    }

    pub(crate) fn is_empty(&self) -> bool {
        // SYNC(ring-tail): acquires the bytes that `push` published.
        self.tail.load(Ordering::Acquire) == self.head.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> Result<bool> {
        // SYNC(ring-head): acquires the reader's copies, so that their places
        // may be overwritten.
        let head = self.head.load(Ordering::Acquire);
        Ok(self.used(self.tail.load(Ordering::Relaxed), head)? == self.data.len())
    }

    /// Puts in a piece, as far as there is room; called by the sender only.
    pub(crate) fn push(&self, bytes: &[u8]) -> Result<usize> {
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire); // SYNC(ring-head)
        let room = self.data.len() - self.used(tail, head)?;
        let length = bytes.len().min(room).min(PIECE_BYTES);
        let start = (tail % self.data.len() as u64) as usize;
        let first = length.min(self.data.len() - start);
        self.data.write(start, &bytes[..first]);
        self.data.write(0, &bytes[first..length]);
        // SYNC(ring-tail): publishes the bytes just written.
        self.tail
            .store(tail.wrapping_add(length as u64), Ordering::Release);
        Ok(length)
    }

    /// Takes a piece out, into the front of `buffer`; called by the receiver
    /// only.
    pub(crate) fn pop(&self, buffer: &mut [u8]) -> Result<usize> {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Acquire); // SYNC(ring-tail)
        let length = self.used(tail, head)?.min(buffer.len());
        let start = (head % self.data.len() as u64) as usize;
        let first = length.min(self.data.len() - start);
        self.data.read(start, &mut buffer[..first]);
        self.data.read(0, &mut buffer[first..length]);
        // SYNC(ring-head): gives the places back.
        self.head
            .store(head.wrapping_add(length as u64), Ordering::Release);
        Ok(length)
    }
}
