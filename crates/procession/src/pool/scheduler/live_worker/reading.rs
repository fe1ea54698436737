//! Reading what a worker has written.

use super::LiveWorker;
use crate::pool::scheduler::ids::ChunkId;
use crate::pool::scheduler::ledger::{Ended, InFlight};
use crate::process::task::record::NUMBERS;
use std::time::{Duration, Instant};

impl LiveWorker {
    /// Reads the results that are there. `None`: what it writes makes no sense.
    pub(in crate::pool::scheduler) fn read(&mut self, into: &mut Vec<u8>) -> Option<bool> {
        let any = self.posting.read_results(into)?;
        if any {
            self.front_since = Instant::now();
            return Some(true);
        }
        let is_denied = |first: &InFlight| self.posting.is_denied(first.index);
        match self.ledger.front().is_some_and(is_denied) {
            true => None,
            false => Some(false),
        }
    }

    /// Lends the memory for what is read.
    pub(in crate::pool::scheduler) fn take_inbox(&mut self) -> Vec<u8> {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.clear();
        inbox
    }

    /// Takes the memory back; what was in it made sense, or not.
    pub(in crate::pool::scheduler) fn put_inbox(&mut self, inbox: Vec<u8>, made_sense: bool) {
        self.inbox = inbox;
        self.is_spoilt |= !made_sense;
    }

    /// Returns `true` if `number` is that of the record `ahead` after the next one.
    #[inline]
    pub(in crate::pool::scheduler) fn is_next_record(&self, number: u32, ahead: u32) -> bool {
        number == self.records.wrapping_add(ahead) & NUMBERS
    }

    pub(in crate::pool::scheduler) fn count_records(&mut self, count: u32) {
        self.records = self.records.wrapping_add(count);
    }

    /// Takes in results of the first chunk, where the worker has begun `begun` calls: nothing
    /// is done that was not begun.
    #[inline]
    pub(in crate::pool::scheduler) fn answer(&mut self, count: u32, begun: u64) -> Option<()> {
        if self.ledger.answered() + u64::from(count) > begun {
            return None;
        }
        self.ledger.answer(count)
    }

    /// Lets go of a chunk all of whose results are here. Returns the number of its calls.
    pub(in crate::pool::scheduler) fn release(&mut self, chunk: ChunkId) -> Option<u32> {
        let (count, is_gone) = self.ledger.release(chunk)?;
        if is_gone {
            self.batch_since = self.front_since;
        }
        Some(count)
    }

    /// Takes in the record that ends the first batch.
    pub(in crate::pool::scheduler) fn end_batch(&mut self) -> Option<Ended> {
        let ended = self.ledger.end_front()?;
        self.batch_since = self.front_since;
        Some(ended)
    }

    /// Returns the number of calls that it has begun and whose results are not here.
    pub(in crate::pool::scheduler) fn begun(&self) -> u64 {
        let begun = self.posting.standing().begun;
        begun.saturating_sub(self.ledger.answered())
    }

    /// Returns how long it says that the call that it runs has taken, if it tells.
    pub(in crate::pool::scheduler) fn elapsed_by_worker(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.posting.standing().begun_at))
    }
}
