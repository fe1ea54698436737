//! Waiting for messages, for room, and until all is done.

use super::{Ring, layout};
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::wait::Watched;
use crate::{Deadline, Result};
use procession_core::event_count::EventCount;
use procession_core::{Platform, Slept};
use std::sync::atomic::Ordering;

impl Ring {
    /// Asks receivers to tidy the socket: it has no room, or a packet that nobody wants.
    #[cold]
    pub(in crate::queue) fn ask_to_tidy(&self, caller: &Caller<'_>) {
        self.word(layout::UNTIDY).store(1, Ordering::SeqCst);
        self.messages().notify(u32::MAX, caller);
    }

    /// Announces a thread that waits for something to receive.
    pub(in crate::queue) fn announce_for_message(&self) -> Result<Watched> {
        let caller = self.object.caller(Deadline::NOW)?;
        let key = self.messages().announce(&caller);
        self.watched(layout::MESSAGES, key.seen())
    }

    /// Announces a thread that waits for room.
    pub(in crate::queue) fn announce_for_room(&self) -> Result<Watched> {
        let caller = self.object.caller(Deadline::NOW)?;
        let key = self.room().announce(&caller);
        self.watched(layout::ROOM, key.seen())
    }

    pub(super) fn watched(&self, offset: usize, (word, deaths): (u32, u32)) -> Result<Watched> {
        Ok([
            (self.object.word(offset)?, word),
            (self.object.registry().deaths_word()?, deaths),
        ])
    }

    /// Wakes another thread that waits for something to receive.
    pub(in crate::queue) fn pass_message_on(&self) {
        if let Some(caller) = self.object.holder() {
            self.messages().notify(self.whom_to_wake(), &caller);
        }
    }

    /// Wakes another thread that waits for room.
    pub(in crate::queue) fn pass_room_on(&self) {
        if let Some(caller) = self.object.holder() {
            self.room().notify(self.whom_to_wake(), &caller);
        }
    }

    /// How many of those that wait hear of a change that one can use: at a rendezvous each
    /// waits for its own.
    fn whom_to_wake(&self) -> u32 {
        if self.is_rendezvous() { u32::MAX } else { 1 }
    }

    /// Waits until there is something to receive.
    pub(in crate::queue) fn wait_for_message(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || Ok(self.has_message(&caller).then_some(()));
        let event_count = self.messages();
        self.wait(event_count, &caller, deadline, attempt, is_other_side_gone)
    }

    /// Attempts again and again, looking before sleeping.
    pub(super) fn wait<T>(
        &self,
        event_count: EventCount<'_>,
        caller: &Caller<'_>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Outcome<Option<T>>,
        is_over: impl Fn() -> bool,
    ) -> Outcome<T> {
        loop {
            let mut outcome = Ok(None);
            caller.spin(|| {
                outcome = attempt();
                !matches!(outcome, Ok(None))
            });
            if let Some(value) = outcome? {
                return Ok(value);
            }
            if deadline == Deadline::NOW {
                return last_attempt(is_over(), &mut attempt);
            }
            let key = event_count.announce(caller);
            if let Some(value) = attempt()? {
                return Ok(value);
            }
            if is_over() {
                return last_attempt(true, &mut attempt);
            }
            // Nobody is to wait for what nonsense hides.
            self.raw()
                .check()
                .map_err(|failure| self.failed(failure, "waiting at queue"))?;
            if event_count.sleep(key, caller) == Slept::TimedOut {
                return last_attempt(is_over(), &mut attempt);
            }
        }
    }

    /// Waits until all that was sent is done with.
    pub(in crate::queue) fn join(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
    ) -> Outcome<()> {
        let caller = self.object.caller(deadline)?;
        let attempt = || {
            if self.has_news() {
                // What the dead were sending is nothing to wait for.
                self.look_without_receiving(&caller);
            }
            let is_done = self.raw().is_done();
            is_done
                .map(|done| done.then_some(()))
                .map_err(|failure| self.failed(failure, "waiting until all messages are done"))
        };
        self.wait(self.done(), &caller, deadline, attempt, is_other_side_gone)
    }
}

/// What was done before the other side went, or before the time was over, counts.
fn last_attempt<T>(is_over: bool, attempt: &mut impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    attempt()?.ok_or(match is_over {
        true => Hindrance::Disconnected,
        false => Hindrance::TimedOut,
    })
}
