//! A ring of bytes with one writer and one reader, either of which may be killed or write
//! anything.
//!
//! | word | changed by | meaning |
//! |---|---|---|
//! | `written` | the writer | how many bytes it has written |
//! | `read` | the reader | how many bytes it has read |
//! | `asleep` | both | 1: the reader sleeps, and wants to be woken when there are bytes |
//! | `full` | both | 1: the writer waits, and wants to be woken when half of the ring is free |
//!
//! The ring wakes nobody: its functions return `true` if the other side has to be woken, by
//! something that stays rung until it is heard, as an eventfd does. A descriptor can be waited for
//! together with others, which a word cannot.
//!
//! # Why no wake-up is lost
//! The side that wants to sleep sets its flag and looks once more; the other side changes its index and
//! looks at the flag. A fence stands between the two steps of each, so at least one of them sees
//! the other. The side that wakes takes the flag away, so that one sleep costs one wake-up. A flag that is set
//! again meanwhile stays, because the bell is rung after the flag was taken, and stays rung.
//!
//! # Death
//! An index is changed after the bytes that it covers were copied. So what a killed writer leaves is whole as
//! far as its index goes. A side that is killed between taking a flag and ringing leaves the other one asleep: that one
//! has to learn of deaths otherwise.
//!
//! # Trust
//! Each side keeps its own index and believes of the other's only what is possible: it never goes back, and
//! never covers more than the ring holds. Everything else is [`Corrupt`](Failure::Corrupt). The bytes are copied out before they are looked
//! at.
//!
//! # References
//! L. Lamport, "Proving the correctness of multiprocess programs" (1977): a ring of one writer and one reader needs no
//! more than an index of each. D. Vyukov, "Eventcounts" (1024cores.net): announce, look once more, sleep.

use crate::Failure;
use crate::atomics::{AtomicU64, Ordering, fence};
use std::ops::Range;

/// The words of a ring. All zero is an empty ring.
#[derive(Clone, Copy, Debug)]
pub struct RawByteRing<'a> {
    /// How many bytes were written.
    pub written: &'a AtomicU64,
    /// How many bytes were read.
    pub read: &'a AtomicU64,
    /// 1 if the reader sleeps.
    pub asleep: &'a AtomicU64,
    /// 1 if the writer waits for room.
    pub full: &'a AtomicU64,
}

impl RawByteRing<'_> {
    /// Returns `true` if there seems to be something to read: for threads of the reader that do not have its
    /// [`Reader`].
    #[inline]
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.written.load(Ordering::Relaxed) != self.read.load(Ordering::Relaxed)
    }

    /// Announces that the reader sleeps. Returns `true` if there are bytes by now: then it must not sleep, and
    /// [`wake`](RawByteRing::wake)s.
    #[must_use]
    pub fn announce(&self) -> bool {
        self.asleep.store(1, Ordering::Relaxed);
        // SYNC(byte_ring_asleep): the writer changes the index, then looks at the flag.
        fence(Ordering::SeqCst);
        self.has_bytes()
    }

    /// Takes the announcement back: the reader looks by itself.
    pub fn wake(&self) {
        self.asleep.store(0, Ordering::Relaxed);
    }
}

/// The parts of a ring of `capacity` bytes that are `length` bytes from `index` on: the second one is at
/// its beginning. With the part of the copied bytes for each.
fn parts(index: u64, length: usize, capacity: usize) -> [(usize, Range<usize>); 2] {
    let start = (index % capacity as u64) as usize;
    let first = length.min(capacity - start);
    [(start, 0..first), (0, first..length)]
}

/// Takes the flag of the other side, if it is set.
fn take(flag: &AtomicU64) -> bool {
    flag.load(Ordering::Relaxed) == 1 && flag.swap(0, Ordering::Relaxed) == 1
}

/// The writer's side of a ring.
#[derive(Debug)]
pub struct Writer {
    capacity: usize,
    written: u64,
    /// As far as the reader was seen to have come.
    read: u64,
}

impl Writer {
    /// Returns the writer's side of a new ring of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Writer {
        Writer {
            capacity,
            written: 0,
            read: 0,
        }
    }

    fn free(&self) -> usize {
        self.capacity - (self.written - self.read) as usize
    }

    fn see_progress(&mut self, ring: RawByteRing<'_>) -> Result<(), Failure> {
        // SYNC(byte_ring_read): what the reader has copied out may be overwritten.
        let read = ring.read.load(Ordering::Acquire);
        if !(self.read..=self.written).contains(&read) {
            return Err(Failure::Corrupt);
        }
        self.read = read;
        Ok(())
    }

    /// Writes up to `length` bytes, as many as there is room for, and returns how many these were. `copy` gets a
    /// place in the ring, and which of the bytes belong there.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn write(
        &mut self,
        ring: RawByteRing<'_>,
        length: usize,
        mut copy: impl FnMut(usize, Range<usize>),
    ) -> Result<usize, Failure> {
        if self.free() < length {
            self.see_progress(ring)?;
        }
        let length = length.min(self.free());
        if length == 0 {
            return Ok(0);
        }
        for (place, part) in parts(self.written, length, self.capacity) {
            if !part.is_empty() {
                copy(place, part);
            }
        }
        self.written += length as u64;
        // SYNC(byte_ring_written): whoever sees the index sees the bytes before it.
        ring.written.store(self.written, Ordering::Release);
        Ok(length)
    }

    /// Returns `true` if the reader has to be woken; to be asked after bytes were written.
    #[inline]
    #[must_use]
    pub fn must_wake(&self, ring: RawByteRing<'_>) -> bool {
        // SYNC(byte_ring_asleep): the reader sets the flag, then looks at the index.
        fence(Ordering::SeqCst);
        take(ring.asleep)
    }

    /// Announces that the writer waits for room. Returns `true` if there is some by now: then it must not
    /// sleep.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    pub fn announce(&mut self, ring: RawByteRing<'_>) -> Result<bool, Failure> {
        ring.full.store(1, Ordering::Relaxed);
        // SYNC(byte_ring_full): the reader changes the index, then looks at the flag.
        fence(Ordering::SeqCst);
        self.see_progress(ring)?;
        Ok(self.free() > 0)
    }
}

/// The reader's side of a ring.
#[derive(Debug)]
pub struct Reader {
    capacity: usize,
    read: u64,
}

impl Reader {
    /// Returns the reader's side of a new ring of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Reader {
        Reader { capacity, read: 0 }
    }

    /// Returns how many bytes there are.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn available(&self, ring: RawByteRing<'_>) -> Result<usize, Failure> {
        // SYNC(byte_ring_written): the bytes before the index are there.
        let written = ring.written.load(Ordering::Acquire);
        match written.checked_sub(self.read) {
            Some(count) if count <= self.capacity as u64 => Ok(count as usize),
            _ => Err(Failure::Corrupt),
        }
    }

    /// Reads up to `length` bytes, and returns how many these were. `copy` gets a place in the ring, and which of the
    /// bytes these are.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt).
    #[inline]
    pub fn read(
        &mut self,
        ring: RawByteRing<'_>,
        length: usize,
        mut copy: impl FnMut(usize, Range<usize>),
    ) -> Result<usize, Failure> {
        let length = length.min(self.available(ring)?);
        if length == 0 {
            return Ok(0);
        }
        for (place, part) in parts(self.read, length, self.capacity) {
            if !part.is_empty() {
                copy(place, part);
            }
        }
        self.read += length as u64;
        // SYNC(byte_ring_read): the writer overwrites what is behind the index.
        ring.read.store(self.read, Ordering::Release);
        Ok(length)
    }

    /// Returns `true` if the writer has to be woken because there is room; to be asked after bytes were read.
    #[inline]
    #[must_use]
    pub fn must_wake(&self, ring: RawByteRing<'_>) -> bool {
        // SYNC(byte_ring_full): the writer sets the flag, then looks at the index.
        fence(Ordering::SeqCst);
        if ring.full.load(Ordering::Relaxed) != 1 {
            return false;
        }
        // One wake-up for many bytes. A reader that reads all there is comes to this point.
        let used = ring.written.load(Ordering::Relaxed).wrapping_sub(self.read);
        used <= self.capacity as u64 / 2 && take(ring.full)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stepping::{run_for, run_watched};
    use std::cell::RefCell;
    use std::rc::Rc;

    const ROOM: usize = 4;

    /// Cells, so that copying has operations as well.
    #[derive(Default)]
    struct Ring {
        words: [AtomicU64; 4],
        cells: [AtomicU64; ROOM],
    }

    impl Ring {
        fn raw(&self) -> RawByteRing<'_> {
            let [written, read, asleep, full] = &self.words;
            RawByteRing {
                written,
                read,
                asleep,
                full,
            }
        }

        fn write(&self, writer: &mut Writer, bytes: &[u8]) -> Result<usize, Failure> {
            writer.write(self.raw(), bytes.len(), |place, part| {
                for (cell, byte) in self.cells[place..].iter().zip(&bytes[part]) {
                    cell.store(u64::from(*byte), Ordering::Relaxed);
                }
            })
        }

        fn read(&self, reader: &mut Reader) -> Result<Vec<u8>, Failure> {
            let mut bytes = [0; ROOM];
            let count = reader.read(self.raw(), ROOM, |place, part| {
                for (cell, byte) in self.cells[place..].iter().zip(&mut bytes[part]) {
                    *byte = cell.load(Ordering::Relaxed) as u8;
                }
            })?;
            Ok(bytes[..count].to_vec())
        }
    }

    #[test]
    fn bytes_come_in_order_round_and_round() {
        let ring = Ring::default();
        let (mut writer, mut reader) = (Writer::new(ROOM), Reader::new(ROOM));
        let mut next = 0u8;
        let mut expected = 0u8;
        for round in 0..100 {
            let bytes: Vec<u8> = (0..=round % 6).map(|more| next + more).collect();
            let count = ring.write(&mut writer, &bytes).unwrap();
            assert_eq!(count, bytes.len().min(ROOM));
            next = (next + count as u8) % 200;
            for byte in ring.read(&mut reader).unwrap() {
                assert_eq!(byte, expected);
                expected += 1;
            }
            expected %= 200;
        }
    }

    #[test]
    fn a_writer_that_is_killed_at_any_operation_leaves_whole_bytes() {
        for steps in 0..1000 {
            let ring = Ring::default();
            let is_over = run_for(steps, || {
                let mut writer = Writer::new(ROOM);
                ring.write(&mut writer, &[1, 2, 3]).unwrap();
                let _ = writer.must_wake(ring.raw());
                ring.write(&mut writer, &[4]).unwrap();
            });
            let mut reader = Reader::new(ROOM);
            let bytes = ring.read(&mut reader).unwrap();
            assert!([&[][..], &[1, 2, 3], &[1, 2, 3, 4]].contains(&&*bytes));
            if is_over {
                return;
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn a_reader_met_at_any_operation_of_the_writer_sees_a_beginning() {
        let sent = [1, 2, 3, 4, 5, 6];
        // For a watcher, which borrows nothing.
        let ring: &'static Ring = Box::leak(Box::default());
        let found = Rc::new(RefCell::new((Reader::new(ROOM), Vec::new())));
        let look = {
            let found = Rc::clone(&found);
            move |_| {
                let (reader, bytes) = &mut *found.borrow_mut();
                bytes.extend(ring.read(reader).unwrap());
                assert!(sent.starts_with(bytes), "{bytes:?}");
            }
        };
        run_watched(Box::new(look.clone()), || {
            let mut writer = Writer::new(ROOM);
            let mut rest = &sent[..];
            while !rest.is_empty() {
                rest = &rest[ring.write(&mut writer, rest).unwrap()..];
            }
        });
        look(0);
        assert_eq!(found.borrow().1, sent);
    }

    #[test]
    fn impossible_words_are_found_out() {
        let ring = Ring::default();
        let (mut writer, mut reader) = (Writer::new(ROOM), Reader::new(ROOM));
        ring.write(&mut writer, &[1, 2, 3, 4]).unwrap();
        // More than was written, and less than was read.
        for read in [5, u64::MAX] {
            ring.words[1].store(read, Ordering::Relaxed);
            assert_eq!(ring.write(&mut writer, &[5]), Err(Failure::Corrupt));
            assert_eq!(writer.announce(ring.raw()), Err(Failure::Corrupt));
        }
        ring.words[1].store(0, Ordering::Relaxed);
        assert_eq!(ring.read(&mut reader).unwrap(), [1, 2, 3, 4]);
        for written in [3, 9, u64::MAX] {
            ring.words[0].store(written, Ordering::Relaxed);
            assert!(ring.raw().has_bytes());
            assert_eq!(ring.read(&mut reader), Err(Failure::Corrupt));
        }
    }

    #[test]
    fn a_sleep_costs_one_wake_up() {
        let ring = Ring::default();
        let (mut writer, mut reader) = (Writer::new(ROOM), Reader::new(ROOM));
        assert!(!ring.raw().announce());
        ring.write(&mut writer, &[1]).unwrap();
        assert!(writer.must_wake(ring.raw()));
        ring.write(&mut writer, &[2]).unwrap();
        assert!(!writer.must_wake(ring.raw()));
        assert!(ring.raw().announce());
        ring.raw().wake();
        assert!(!writer.must_wake(ring.raw()));
        // And of the writer, when half of the room is free.
        ring.write(&mut writer, &[3, 4]).unwrap();
        assert!(!writer.announce(ring.raw()).unwrap());
        assert_eq!(reader.read(ring.raw(), 1, |_, _| {}), Ok(1));
        assert!(!reader.must_wake(ring.raw()));
        assert_eq!(reader.read(ring.raw(), 1, |_, _| {}), Ok(1));
        assert!(reader.must_wake(ring.raw()));
        assert!(!reader.must_wake(ring.raw()));
        assert!(writer.announce(ring.raw()).unwrap());
    }
}
