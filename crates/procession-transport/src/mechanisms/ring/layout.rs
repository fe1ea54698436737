//! Where everything lies in the memory of all rings.

/// Bytes that a sender may be ahead, unless told otherwise.
const DEFAULT_CAPACITY: usize = 64 * 1024;

pub(super) const LINE: usize = 64;

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Layout {
    pub(super) senders: usize,
    pub(super) capacity: usize,
}

impl Layout {
    pub(super) fn new(senders: usize, capacity: Option<usize>) -> Layout {
        let capacity = capacity
            .unwrap_or(DEFAULT_CAPACITY)
            .max(LINE)
            .next_multiple_of(LINE);
        Layout { senders, capacity }
    }

    /// Place of a POSIX semaphore: number 0 wakes the receiver, number 1 + i
    /// sender i.
    pub(super) fn semaphore(self, number: usize) -> usize {
        LINE + number * LINE
    }

    pub(super) fn ring(self, sender: usize) -> usize {
        self.semaphore(self.senders + 1) + sender * (3 * LINE + self.capacity)
    }

    pub(super) fn bytes(self) -> usize {
        self.ring(self.senders)
    }
}
