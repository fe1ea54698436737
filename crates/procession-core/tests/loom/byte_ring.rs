//! Models of rings of bytes, with a bell that stays rung for each side.

use crate::kernel::{Actor, Protected, model, two};
use procession_core::Futex;
use procession_core::atomics::{AtomicU64, Ordering, low};
use procession_core::byte_ring::{RawByteRing, Reader, Writer};

const ROOM: usize = 2;

/// An eventfd, which its waiter hears once for each time that it was rung, or for several.
#[derive(Default)]
struct Bell(AtomicU64);

impl Bell {
    fn ring(&self, actor: &Actor<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        Futex::wake(actor, &self.0, 1);
    }

    fn wait(&self, heard: &mut u64, actor: &Actor<'_>) {
        while self.0.load(Ordering::SeqCst) == *heard {
            Futex::wait(actor, &self.0, low(*heard));
        }
        *heard = self.0.load(Ordering::SeqCst);
    }
}

struct Ring {
    words: [AtomicU64; 4],
    bytes: [Protected; ROOM],
    reader: Bell,
    writer: Bell,
}

impl Ring {
    fn new() -> Ring {
        Ring {
            words: Default::default(),
            bytes: std::array::from_fn(|_| Protected::new()),
            reader: Bell::default(),
            writer: Bell::default(),
        }
    }

    fn raw(&self) -> RawByteRing<'_> {
        let [written, read, asleep, full] = &self.words;
        RawByteRing {
            written,
            read,
            asleep,
            full,
        }
    }

    /// Writes numbers up to this one, one after the other or as many as there is room for.
    fn write_all(&self, last: u64, at_once: usize, actor: &Actor<'_>) {
        let (mut writer, mut heard, mut next) = (Writer::new(ROOM), 0, 1);
        while next <= last {
            let left = (last - next + 1) as usize;
            let count = writer.write(self.raw(), at_once.min(left), |place, part| {
                for (place, more) in (place..).zip(part) {
                    self.bytes[place].set(next + more as u64);
                }
            });
            match count.expect("an honest reader") {
                0 => {
                    if !writer.announce(self.raw()).expect("an honest reader") {
                        self.writer.wait(&mut heard, actor);
                    }
                }
                count => {
                    next += count as u64;
                    if writer.must_wake(self.raw()) {
                        self.reader.ring(actor);
                    }
                }
            }
        }
    }

    /// Reads numbers up to this one.
    fn read_all(&self, last: u64, actor: &Actor<'_>) {
        let (mut reader, mut heard, mut expected) = (Reader::new(ROOM), 0, 1);
        while expected <= last {
            let count = reader.read(self.raw(), ROOM, |place, part| {
                for more in 0..part.len() {
                    assert_eq!(self.bytes[place + more].get(), expected);
                    expected += 1;
                }
            });
            if count.expect("an honest writer") > 0 {
                if reader.must_wake(self.raw()) {
                    self.writer.ring(actor);
                }
            } else {
                if !self.raw().announce() {
                    self.reader.wait(&mut heard, actor);
                }
                self.raw().wake();
            }
        }
    }
}

#[test]
fn a_reader_that_sleeps_is_woken() {
    model(|| {
        two(
            Ring::new(),
            |ring, actor| ring.read_all(2, actor),
            |ring, actor| ring.write_all(2, 1, actor),
            |_, _| {},
        );
    });
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    model(|| {
        two(
            Ring::new(),
            |ring, actor| ring.read_all(4, actor),
            |ring, actor| ring.write_all(4, 2, actor),
            |_, _| {},
        );
    });
}

#[test]
fn places_are_overwritten_when_they_were_read() {
    model(|| {
        two(
            Ring::new(),
            |ring, actor| ring.read_all(3, actor),
            |ring, actor| ring.write_all(3, 1, actor),
            |_, _| {},
        );
    });
}
