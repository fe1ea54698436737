//! Sending: a block is taken, filled and published.

use super::{ASK_AFTER, BETWEEN_LOOKS, Ring};
use crate::Deadline;
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::time::coarse_milliseconds;
use procession_core::Failure;
use procession_core::queue::Sent;
use std::sync::atomic::Ordering;

/// Milliseconds after which a sender looks again whether a receiver is left, though
/// nothing tells of an end.
const LOOK_EVERY: u64 = 10;

/// When a sender looks that need not.
const NEVER: u64 = u64::MAX;

impl Ring {
    /// Sends some bytes, waiting for room. `send_packet` sends what the tag is for,
    /// if it is not zero, and says whether there was room.
    #[inline]
    pub(in crate::queue) fn send(
        &self,
        bytes: &[u8],
        tag: u64,
        mut send_packet: impl FnMut(usize) -> Outcome<bool>,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let mut filled = None;
        let mut is_complete = tag == 0;
        let attempt = || {
            self.check_open()?;
            let block = match filled {
                Some(block) => block,
                None => {
                    let is_long = bytes.len() > self.layout.inline;
                    let Some(block) = self.try_take(is_long, &caller)? else {
                        return Ok(None);
                    };
                    filled = Some(block);
                    self.fill(block, bytes, tag)?;
                    block
                }
            };
            if !is_complete {
                // A packet whose message is given up has to be tidied away.
                is_complete = self.has_room() && send_packet(block)?;
                if !is_complete {
                    return Ok(None);
                }
            }
            let published = self.try_publish(block, &caller)?;
            if published.is_some() {
                // It is the receivers' from here on.
                filled = None;
            }
            Ok(published)
        };
        let outcome = self.make_room(&caller, deadline, is_other_side_gone, attempt);
        if outcome.is_err()
            && let Some(block) = filled
        {
            self.finish(block, &caller);
            if tag != 0 && is_complete {
                // The packet keeps the descriptors open.
                self.ask_to_tidy(&caller);
            }
        }
        outcome
    }

    /// Sends messages one after the other, of which receivers hear at the end, or
    /// when there is no room for more.
    pub(in crate::queue) fn batch<'a>(&'a self, caller: &'a Caller<'a>) -> Batch<'a> {
        Batch {
            ring: self,
            caller,
            next: 0,
            unheard: 0,
        }
    }

    /// Takes a block for a message of so many bytes, waiting for a free one.
    pub(in crate::queue) fn reserve(
        &self,
        length: usize,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<usize> {
        let caller = self.object.caller(deadline)?;
        let is_long = length > self.layout.inline;
        let attempt = || {
            self.check_open()?;
            self.try_take(is_long, &caller)
        };
        let block = self.make_room(&caller, deadline, is_other_side_gone, attempt)?;
        self.set_length(block, length, 0, is_long);
        if is_long && let Err(error) = self.make_overflow(block, length) {
            self.finish(block, &caller);
            return Err(Hindrance::Failed(error));
        }
        Ok(block)
    }

    /// Sends what is in a block that the caller has, waiting for room. Whatever
    /// comes of it, the block is not the caller's any more.
    pub(in crate::queue) fn commit(
        &self,
        block: usize,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || self.try_publish(block, &caller);
        let outcome = self.make_room(&caller, deadline, is_other_side_gone, attempt);
        if outcome.is_err() {
            self.finish(block, &caller);
        }
        outcome
    }

    /// Attempts something that wants room. `is_other_side_gone` closes the queue if it
    /// says so.
    #[inline]
    pub(in crate::queue) fn make_room<T>(
        &self,
        caller: &Caller<'_>,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        if self.has_news() {
            self.look_without_receiving(caller);
            if is_other_side_gone() {
                return Err(Hindrance::Disconnected);
            }
        } else if self.is_look_due() && is_other_side_gone() {
            return Err(Hindrance::Disconnected);
        }
        let mut is_first = true;
        let attempt = || {
            if !std::mem::take(&mut is_first) {
                // To look is to take the line from who is about to make room.
                (0..BETWEEN_LOOKS).for_each(|_| std::hint::spin_loop());
            }
            attempt()
        };
        self.wait(self.room(), caller, deadline, attempt, || {
            if self.has_news() {
                self.look_without_receiving(caller);
            }
            is_other_side_gone()
        })
    }

    /// Refuses what would be sent into a queue that is closed, by somebody or by the
    /// end of the last receiver, whether there is room in it or not.
    #[inline]
    pub(in crate::queue) fn check_open(&self) -> Outcome<()> {
        match self.is_closed() {
            true => Err(Hindrance::Disconnected),
            false => Ok(()),
        }
    }

    /// Returns `true` if it is some time ago that a sender of this process looked whether a
    /// receiver is left. No count tells of all ends: a receiver may be lost on the way
    /// to a process that never had it, and the sockets of a killed one are closed
    /// after its end is marked.
    #[inline]
    fn is_look_due(&self) -> bool {
        let due = self.known.look_at.load(Ordering::Relaxed);
        if due == NEVER {
            return false;
        }
        let now = coarse_milliseconds();
        let is_due = now >= due;
        if is_due {
            let next = now.saturating_add(LOOK_EVERY);
            self.known.look_at.store(next, Ordering::Relaxed);
        }
        is_due
    }

    /// Has the next message that is sent by itself look.
    #[cold]
    fn look_soon(&self) {
        self.known.look_at.store(0, Ordering::Relaxed);
    }

    /// There is nothing to be looked at: nobody is ever the last.
    pub(in crate::queue) fn never_look(&self) {
        self.known.look_at.store(NEVER, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn try_take(&self, is_long: bool, caller: &Caller<'_>) -> Outcome<Option<usize>> {
        let first = match is_long {
            // The same ones again, whose overflow ranges are there.
            true => 0,
            false => self.known.block.load(Ordering::Relaxed),
        };
        match self.raw().take_block(first, caller) {
            None => self.take_another(caller),
            block => Ok(block),
        }
    }

    #[inline]
    pub(super) fn try_publish(&self, block: usize, caller: &Caller<'_>) -> Outcome<Option<()>> {
        let raw = self.raw();
        let mut head = self.known.head.load(Ordering::Acquire);
        let mut slots = 0;
        let index = loop {
            match raw.publish(block, &mut head, caller) {
                Ok(Sent::At(index)) => break index,
                Ok(Sent::Full) if self.add_slots(&mut slots)? => {}
                Ok(Sent::Full) => {
                    self.known.head.store(head, Ordering::Release);
                    return match self.is_unbounded() {
                        true => Err(Hindrance::Failed(self.at_max_memory())),
                        false => Ok(None),
                    };
                }
                Ok(Sent::Closed) => return Err(Hindrance::Disconnected),
                // Others were faster, for many steps.
                Err(Failure::TimedOut) if !caller.is_over() => {}
                Err(failure) => return Err(self.failed(failure, "sending to queue")),
            }
        };
        raw.follow_tail(index);
        self.messages().notify_after_swap(1, caller);
        let mut next = block + 1;
        if index >= self.known.ask_at.load(Ordering::Relaxed) {
            head = raw.head.load(Ordering::Acquire);
            self.known
                .ask_at
                .store(index.wrapping_add(ASK_AFTER), Ordering::Relaxed);
            if index.saturating_sub(head) < ASK_AFTER / 8 {
                // The receivers are close behind: the first blocks are free, and
                // in the caches.
                next = 0;
            }
        }
        // Another thread may know more, and what it knew is forgotten: that costs
        // one more look.
        self.known.head.store(head, Ordering::Release);
        self.known.block.store(next, Ordering::Relaxed);
        Ok(Some(()))
    }

    /// Returns `true` if there is room for a message, or a receiver that waits for it.
    pub(in crate::queue) fn has_room(&self) -> bool {
        match self.is_rendezvous() {
            true => self.has_request(),
            false => self.len() < self.layout.capacity,
        }
    }
}

/// Messages that were sent, of which receivers have not heard yet: none of them sleeps.
/// Code of users runs between two of them.
pub(in crate::queue) struct Batch<'a> {
    ring: &'a Ring,
    caller: &'a Caller<'a>,
    /// Behind the last one.
    next: u64,
    unheard: u32,
}

impl Batch<'_> {
    /// Sends a message if there is room; whether there was.
    pub(in crate::queue) fn try_send(&mut self, bytes: &[u8]) -> Outcome<bool> {
        let ring = self.ring;
        if ring.is_look_due() {
            ring.look_soon();
            return Ok(false);
        }
        let is_long = bytes.len() > ring.layout.inline;
        let Some(block) = ring.try_take(is_long, self.caller)? else {
            return Ok(false);
        };
        let mut head = ring.known.head.load(Ordering::Acquire);
        let filled = ring.fill(block, bytes, 0).map_err(Hindrance::Failed);
        let raw = ring.raw();
        let published = filled.and_then(|()| {
            match raw.publish_behind(self.next, block, &mut head, self.caller) {
                // Sent by itself, it is tried until its time is over.
                Err(Failure::TimedOut) => Ok(Sent::Full),
                outcome => outcome.map_err(|failure| ring.failed(failure, "sending to queue")),
            }
        });
        ring.known.head.store(head, Ordering::Release);
        match published {
            Ok(Sent::At(index)) => {
                self.next = index.wrapping_add(1);
                self.unheard += 1;
                // What the caller does next may wait for whoever waits for this one.
                // Those who come later find it before they sleep.
                if self.unheard == ASK_AFTER as u32 || ring.messages().has_sleepers_after_swap() {
                    self.announce();
                }
                ring.known.block.store(block + 1, Ordering::Relaxed);
                return Ok(true);
            }
            Ok(Sent::Full) => ring.finish(block, self.caller),
            Ok(Sent::Closed) => {
                ring.finish(block, self.caller);
                return Err(Hindrance::Disconnected);
            }
            Err(hindrance) => {
                ring.finish(block, self.caller);
                return Err(hindrance);
            }
        }
        Ok(false)
    }

    /// Has receivers hear of what was sent.
    pub(in crate::queue) fn announce(&mut self) {
        if self.unheard > 0 {
            self.ring.raw().follow_tail(self.next.wrapping_sub(1));
            let messages = self.ring.messages();
            messages.notify_after_swap(self.unheard, self.caller);
            self.unheard = 0;
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.announce();
    }
}
