//! What queues are measured against: rings with nothing that survives anybody.

use procession::os::memory::Region;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages that may wait, and bytes of each.
pub(crate) const CAPACITY: usize = 1024;
pub(crate) const BYTES: usize = 64;

/// A ring for one writer and one reader, with nothing that survives anybody.
pub(crate) struct Bare(Region);

impl Bare {
    pub(crate) fn new() -> std::io::Result<Bare> {
        Ok(Bare(Region::anonymous(4096 + CAPACITY * BYTES)?))
    }

    fn index(&self, which: usize) -> &AtomicU64 {
        self.0.bytes().atomic_u64(which * 128)
    }

    fn place(index: u64) -> usize {
        4096 + (index as usize % CAPACITY) * BYTES
    }

    pub(crate) fn send(&self, index: u64, bytes: &[u8]) {
        while index - self.index(0).load(Ordering::Acquire) >= CAPACITY as u64 {
            std::hint::spin_loop();
        }
        self.0.bytes().write(Bare::place(index), bytes);
        self.index(1).store(index + 1, Ordering::Release);
    }

    pub(crate) fn receive(&self, index: u64, bytes: &mut [u8]) {
        while self.index(1).load(Ordering::Acquire) <= index {
            std::hint::spin_loop();
        }
        self.0.bytes().read(Bare::place(index), bytes);
        self.index(0).store(index + 1, Ordering::Release);
    }
}

/// D. Vyukov's bounded queue of many producers and many consumers: each cell has a
/// number that says whose turn it is. Who is killed or stopped in a cell stops
/// everybody.
pub(crate) struct Vyukov(Region);

const CELL: usize = 128;

impl Vyukov {
    pub(crate) fn new() -> std::io::Result<Vyukov> {
        let ring = Vyukov(Region::anonymous(4096 + CAPACITY * CELL)?);
        for cell in 0..CAPACITY {
            ring.turn(cell as u64).store(cell as u64, Ordering::Relaxed);
        }
        Ok(ring)
    }

    fn index(&self, which: usize) -> &AtomicU64 {
        self.0.bytes().atomic_u64(which * 128)
    }

    fn place(index: u64) -> usize {
        4096 + (index as usize % CAPACITY) * CELL
    }

    fn turn(&self, index: u64) -> &AtomicU64 {
        self.0.bytes().atomic_u64(Vyukov::place(index))
    }

    /// Takes the cell whose turn it is, spinning.
    fn claim(&self, which: usize, ahead: u64) -> u64 {
        let index = self.index(which);
        let mut at = index.load(Ordering::Relaxed);
        loop {
            let turn = self.turn(at).load(Ordering::Acquire);
            if turn == at + ahead {
                match index.compare_exchange_weak(at, at + 1, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => return at,
                    Err(now) => at = now,
                }
            } else {
                std::hint::spin_loop();
                at = index.load(Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        let at = self.claim(0, 0);
        self.0.bytes().write(Vyukov::place(at) + 8, bytes);
        self.turn(at).store(at + 1, Ordering::Release);
    }

    pub(crate) fn receive(&self, bytes: &mut [u8]) {
        let at = self.claim(1, 1);
        self.0.bytes().read(Vyukov::place(at) + 8, bytes);
        let next = at + CAPACITY as u64;
        self.turn(at).store(next, Ordering::Release);
    }
}
