//! Receiving: a block is claimed, read and given back.

use super::{BETWEEN_LOOKS, ROW, Ring, layout};
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::{Deadline, Error, ErrorKind, Result};
use procession_core::Failure;
use procession_core::queue::{Held, Orphans, Received};
use std::sync::atomic::Ordering;

impl Ring {
    /// Receives a message, blocking until there is one. `read` gets it while its block is
    /// ours; if it keeps the block, it is to be given back. `tidy` is called where
    /// senders have asked for it.
    pub(in crate::queue) fn receive<T>(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
        tidy: impl Fn(),
        mut read: impl FnMut(Held) -> (T, Keep),
    ) -> Outcome<T> {
        if self.is_rendezvous() {
            return self.receive_offered(deadline, is_other_side_gone, tidy, read);
        }
        let caller = self.object.caller(deadline)?;
        let mut is_first = true;
        let attempt = || {
            if !std::mem::take(&mut is_first) {
                self.let_senders_get_ahead();
            }
            self.tidy_if_asked(&tidy);
            self.try_receive(&mut read, &caller)
        };
        self.wait(
            self.messages(),
            &caller,
            deadline,
            attempt,
            is_other_side_gone,
        )
    }

    #[inline]
    pub(in crate::queue) fn tidy_if_asked(&self, tidy: &impl Fn()) {
        if self.word(layout::UNTIDY).load(Ordering::Relaxed) != 0 {
            self.word(layout::UNTIDY).store(0, Ordering::Relaxed);
            tidy();
        }
    }

    /// After many messages in a row, a receiver as fast as the senders takes each line
    /// from them as soon as it has something new: better to leave it to them for some
    /// messages.
    #[inline]
    pub(super) fn let_senders_get_ahead(&self) {
        if self.known.row.swap(0, Ordering::Relaxed) >= ROW {
            (0..BETWEEN_LOOKS).for_each(|_| std::hint::spin_loop());
        }
    }

    #[inline]
    pub(super) fn try_receive<T>(
        &self,
        read: &mut impl FnMut(Held) -> (T, Keep),
        caller: &Caller<'_>,
    ) -> Outcome<Option<T>> {
        let raw = self.raw();
        if self.has_news()
            && let Some(held) = self.look_into_news(self.layout.orphans, caller)
        {
            let (value, keep) = read(held);
            match keep {
                Keep::Yes => {}
                Keep::No => self.finish(held.block, caller),
                Keep::Nobody => self.abandon(held.block, caller),
            }
            return Ok(Some(value));
        }
        let (held, index) = loop {
            match raw.take(raw.head.load(Ordering::Acquire), caller) {
                Ok((Received::Message(held), index)) => break (held, index),
                Ok((Received::Empty, _)) => return Ok(None),
                Ok((Received::Closed, _)) => return Err(Hindrance::Disconnected),
                // Others were faster, for many steps.
                Err(Failure::TimedOut) if !caller.is_over() => {}
                Err(failure) => {
                    return Err(self.failed(failure, "receiving from queue"));
                }
            }
        };
        let (value, keep) = read(held);
        raw.empty_slot(index, held.block);
        match keep {
            Keep::Yes => {}
            Keep::No => {
                self.shrink(held.block);
                raw.give_back_first(held.block);
            }
            Keep::Nobody => self.abandon(held.block, caller),
        }
        raw.follow_head(index);
        self.notify_of_room(1, caller);
        let row = self.known.row.load(Ordering::Relaxed);
        self.known
            .row
            .store(row.saturating_add(1), Ordering::Relaxed);
        Ok(Some(value))
    }

    /// Gives a message up that this process does not finish: the next receive of any
    /// receiver gets it, or it is lost.
    #[cold]
    pub(in crate::queue) fn abandon(&self, block: usize, caller: &Caller<'_>) {
        self.raw().abandon(block);
        let changes = self.word(layout::CHANGES);
        changes.fetch_add(1, Ordering::SeqCst);
        match self.layout.orphans {
            // Whoever waits for room or for the end is not to wait for a receiver.
            Orphans::Lose => self.look_without_receiving(caller),
            // One that has an answer to its request takes that, and no other message.
            _ if self.is_rendezvous() => self.messages().notify(u32::MAX, caller),
            _ => self.messages().notify(1, caller),
        }
    }

    /// Returns `true` if messages that are not finished are lost.
    pub(in crate::queue) fn loses(&self) -> bool {
        self.layout.orphans == Orphans::Lose
    }

    /// Receives what is there, message by message, and moves the head once.
    pub(in crate::queue) fn row(&self) -> Outcome<Row<'_>> {
        Ok(Row {
            ring: self,
            caller: self.object.caller(Deadline::NOW)?,
            from: self.raw().head.load(Ordering::Acquire),
            count: 0,
        })
    }

    /// Gives a block back whose message was received, or not sent, and of its overflow range what
    /// is more than is kept.
    pub(in crate::queue) fn finish(&self, block: usize, caller: &Caller<'_>) {
        self.shrink(block);
        self.give_back(block, caller);
    }

    /// Returns `true` if there is something to receive, if only the end.
    pub(in crate::queue) fn has_message(&self, caller: &Caller<'_>) -> bool {
        let raw = self.raw();
        let is_there = match self.is_rendezvous() {
            true => self.has_offer(caller),
            false => raw.is_ready(raw.head.load(Ordering::Acquire)),
        };
        is_there
            || self.layout.orphans == Orphans::Redeliver
                && self.has_news()
                && raw.has_orphan(caller)
    }

    /// Gives a block back, and wakes a sender that waits for room.
    pub(in crate::queue) fn give_back(&self, block: usize, caller: &Caller<'_>) {
        self.raw().give_back(block);
        self.notify_of_room(1, caller);
    }
}

/// Messages that are received one after the other, of whose room senders that do not
/// sleep hear at the end, however that comes: code of users runs between two of them,
/// and may panic, or wait for a sender that waits for room.
#[derive(Debug)]
pub(in crate::queue) struct Row<'a> {
    ring: &'a Ring,
    caller: Caller<'a>,
    /// Behind the last one.
    from: u64,
    count: u32,
}

impl Row<'_> {
    /// Receives the next message, if one is there; whether there was. `read` copies
    /// it, and runs no code of users: the block is ours until it returns.
    pub(in crate::queue) fn try_next(
        &mut self,
        read: impl FnOnce(usize) -> Result<()>,
    ) -> Outcome<bool> {
        if self.ring.is_rendezvous() {
            return self.ring.receive_another(read, &self.caller);
        }
        let (ring, raw) = (self.ring, self.ring.raw());
        let (held, index) = match raw.take(self.from, &self.caller) {
            Ok((Received::Message(held), index)) => (held, index),
            Ok(_) | Err(Failure::TimedOut) => return Ok(false),
            Err(failure) => return Err(ring.failed(failure, "receiving from queue")),
        };
        let outcome = read(held.block);
        raw.empty_slot(index, held.block);
        match &outcome {
            Err(error) if is_for_another(error) => ring.abandon(held.block, &self.caller),
            _ => {
                ring.shrink(held.block);
                raw.give_back(held.block);
            }
        }
        self.from = index.wrapping_add(1);
        self.count += 1;
        // What the caller does next may wait for whoever waits for this room. Those who
        // come later find it before they sleep.
        if ring.room().has_sleepers_after_swap() || ring.done().has_sleepers_after_swap() {
            self.announce();
        }
        outcome.map(|()| true).map_err(Hindrance::Failed)
    }

    /// Has senders hear of the room.
    fn announce(&mut self) {
        if self.count > 0 {
            // Those between ours were emptied when they were passed over.
            self.ring.raw().follow_head(self.from.wrapping_sub(1));
            self.ring.notify_of_room(self.count, &self.caller);
            self.count = 0;
        }
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        self.announce();
    }
}

/// Whether a block stays with who has received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::queue) enum Keep {
    Yes,
    No,
    /// It is for another one to receive.
    Nobody,
}

/// Returns `true` if another receiver, or this one later, may be able to read a message: there
/// is no room for its descriptors, say.
pub(in crate::queue) fn is_for_another(error: &Error) -> bool {
    use ErrorKind::{Busy, LimitReached, NoSpace, TimedOut};
    [Busy, LimitReached, NoSpace, TimedOut].contains(&error.kind())
}
