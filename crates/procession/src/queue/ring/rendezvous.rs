//! Sending and receiving where both wait for each other: a queue of capacity 0.
//!
//! Each change wakes all that wait: each waits for its own offer or request, and the event
//! counts do not know whose it is.

use super::{Keep, Ring};
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::time::coarse_milliseconds;
use crate::{Deadline, Result};
use procession_core::Failure;
use procession_core::queue::Held;
use procession_core::queue::rendezvous::{Handed, Met, Offer, Request};

const ALL: u32 = u32::MAX;

/// Milliseconds for which a message is left to the receiver that it was handed to, while
/// another one waits.
const LEFT_ALONE: u64 = 20;

/// What a receiver has while it waits.
#[derive(Debug, Default)]
struct Waiting {
    /// A block that is ours, to make requests with.
    block: Option<usize>,
    request: Option<Request>,
    /// When to look next whether a message is left to another receiver, which may be
    /// stopped or dead, and whether one was at the last look.
    look_at: u64,
    was_passed_over: bool,
}

/// A message that was taken, and its index.
type Taken = (Held, u64);

impl Ring {
    pub(in crate::queue) fn is_rendezvous(&self) -> bool {
        self.layout.is_rendezvous
    }

    /// Returns `true` if a receiver waits, or nothing is sent any more.
    pub(super) fn has_request(&self) -> bool {
        let caller = self.object.caller(Deadline::NOW);
        caller.is_ok_and(|caller| self.raw().has_request(&caller))
    }

    /// Returns `true` if a sender waits, or nothing is sent any more.
    pub(super) fn has_offer(&self, caller: &Caller<'_>) -> bool {
        self.raw().has_offer(caller)
    }

    /// Takes a block, and writes a message into it, if one is free.
    pub(in crate::queue) fn fill_one(
        &self,
        bytes: &[u8],
        tag: u64,
        caller: &Caller<'_>,
    ) -> Outcome<Option<usize>> {
        let is_long = bytes.len() > self.layout.inline;
        let Some(block) = self.try_take(is_long, caller)? else {
            return Ok(None);
        };
        if let Err(error) = self.fill(block, bytes, tag) {
            self.finish(block, caller);
            return Err(Hindrance::Failed(error));
        }
        Ok(Some(block))
    }

    /// Hands the message in a block over, or looks whether the offer of it was taken. If no
    /// receiver waits, offers it, if it `stays`.
    pub(in crate::queue) fn hand_over(
        &self,
        block: usize,
        offer: &mut Option<Offer>,
        stays: bool,
        caller: &Caller<'_>,
    ) -> Outcome<Option<()>> {
        let raw = self.raw();
        if let Some(offer) = offer {
            return match raw.is_taken(offer) {
                true => Ok(Some(())),
                false => self.check_open().map(|()| None),
            };
        }
        loop {
            let handed = match raw.hand_over(block, stays, caller) {
                Ok(Handed::Over) => Some(()),
                Ok(Handed::Offered(made)) => {
                    *offer = Some(made);
                    None
                }
                Ok(Handed::NoReceiver) => return Ok(None),
                Ok(Handed::Closed) => return Err(Hindrance::Disconnected),
                // Others were faster, for many steps.
                Err(Failure::TimedOut) if !caller.is_over() => continue,
                Err(failure) => return Err(self.failed(failure, "sending to queue")),
            };
            self.messages().notify_after_swap(ALL, caller);
            if handed.is_none() {
                // For a moment it may have looked as if it were a receiver's.
                self.done().notify_after_swap(ALL, caller);
            }
            return Ok(handed);
        }
    }

    /// Gives up to send the message in a block. `true`: it was taken before, and the block
    /// is not the caller's any more.
    pub(in crate::queue) fn give_up(
        &self,
        block: usize,
        offer: Option<Offer>,
        caller: &Caller<'_>,
    ) -> bool {
        let raw = self.raw();
        if offer.is_some_and(|offer| !raw.withdraw(offer, caller)) {
            return true;
        }
        self.finish(block, caller);
        raw.settle(caller);
        self.room().notify(ALL, caller);
        false
    }

    /// [`receive`](Ring::receive), of a sender that waits.
    #[cold]
    pub(super) fn receive_offered<T>(
        &self,
        deadline: Deadline,
        is_other_side_gone: impl Fn() -> bool,
        tidy: impl Fn(),
        mut read: impl FnMut(Held) -> (T, Keep),
    ) -> Outcome<T> {
        let caller = self.object.caller(deadline)?;
        let stays = deadline != Deadline::NOW;
        let mut waiting = Waiting::default();
        let attempt = || {
            self.tidy_if_asked(&tidy);
            self.meet(&mut waiting, stays, &mut read, &caller)
        };
        let outcome = self.wait(
            self.messages(),
            &caller,
            deadline,
            attempt,
            is_other_side_gone,
        );
        let is_answered = self.withdraw_request(&mut waiting, &caller);
        if let Some(block) = waiting.block {
            self.give_back(block, &caller);
        }
        if is_answered
            && outcome.is_err()
            && let Ok(Met::Message(held, index)) = self.raw().meet(None, &caller)
        {
            // It came before the end of the wait, and its sender is done.
            return Ok(self.take_in((held, index), &mut read, &caller));
        }
        outcome
    }

    /// Receives what is there, of the dead or of a sender that waits; requests it
    /// otherwise, if it `stays`.
    fn meet<T>(
        &self,
        waiting: &mut Waiting,
        stays: bool,
        read: &mut impl FnMut(Held) -> (T, Keep),
        caller: &Caller<'_>,
    ) -> Outcome<Option<T>> {
        let raw = self.raw();
        let has_news = self.has_news();
        if has_news || self.is_closed() {
            // So that nobody answers it while another message is received, or after the end.
            let is_answered = self.withdraw_request(waiting, caller);
            if has_news
                && !is_answered
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
        }
        if let Some(request) = &waiting.request {
            if raw.is_waiting(request) {
                if !self.is_passed_over(waiting, caller) {
                    return Ok(None);
                }
                // Answered meanwhile or not: it receives the first message that is there.
                self.withdraw_request(waiting, caller);
            }
            waiting.request = None;
        }
        if stays && waiting.block.is_none() {
            // Without one, it waits for those that offer something.
            waiting.block = self.try_take(false, caller).unwrap_or(None);
        }
        loop {
            return match raw.meet(waiting.block, caller) {
                Ok(Met::Message(held, index)) => {
                    Ok(Some(self.take_in((held, index), read, caller)))
                }
                Ok(Met::Requested(request)) => {
                    waiting.request = Some(request);
                    waiting.look_at = coarse_milliseconds() + LEFT_ALONE;
                    waiting.was_passed_over = false;
                    self.room().notify_after_swap(ALL, caller);
                    Ok(None)
                }
                Ok(Met::NoSender) => Ok(None),
                Ok(Met::Closed) => Err(Hindrance::Disconnected),
                // Others were faster, for many steps.
                Err(Failure::TimedOut) if !caller.is_over() => continue,
                Err(failure) => Err(self.failed(failure, "receiving from queue")),
            };
        }
    }

    /// Returns `true` if for some time there have been messages that were handed to others,
    /// which did not take them.
    fn is_passed_over(&self, waiting: &mut Waiting, caller: &Caller<'_>) -> bool {
        let now = coarse_milliseconds();
        if now < waiting.look_at {
            return false;
        }
        waiting.look_at = now + LEFT_ALONE;
        let is_passed_over = self.has_offer(caller);
        std::mem::replace(&mut waiting.was_passed_over, is_passed_over) && is_passed_over
    }

    /// Withdraws the request, if there is one. `true`: it was answered before.
    fn withdraw_request(&self, waiting: &mut Waiting, caller: &Caller<'_>) -> bool {
        let Some(request) = waiting.request.take() else {
            return false;
        };
        let is_answered = !self.raw().withdraw_request(&request);
        if !is_answered {
            self.raw().settle(caller);
            // There may have been no room for the request of another one.
            self.messages().notify(ALL, caller);
        }
        is_answered
    }

    /// Reads a message that was taken, and tells its sender.
    fn take_in<T>(
        &self,
        (held, index): Taken,
        read: &mut impl FnMut(Held) -> (T, Keep),
        caller: &Caller<'_>,
    ) -> T {
        let raw = self.raw();
        let (value, keep) = read(held);
        raw.empty_slot(index, held.block);
        match keep {
            Keep::Yes => {}
            Keep::No => {
                self.shrink(held.block);
                raw.give_back(held.block);
            }
            Keep::Nobody => self.abandon(held.block, caller),
        }
        raw.settle(caller);
        self.room().notify(ALL, caller);
        self.done().notify(ALL, caller);
        value
    }

    /// Receives the message of a sender that waits now; returns `true` if there was one.
    pub(super) fn receive_another(
        &self,
        read: impl FnOnce(usize) -> Result<()>,
        caller: &Caller<'_>,
    ) -> Outcome<bool> {
        let taken = match self.raw().meet(None, caller) {
            Ok(Met::Message(held, index)) => (held, index),
            Ok(_) | Err(Failure::TimedOut) => return Ok(false),
            Err(failure) => return Err(self.failed(failure, "receiving from queue")),
        };
        let mut read = Some(read);
        let mut read = |held: Held| {
            let outcome = read.take().map_or(Ok(()), |read| read(held.block));
            let keep = match &outcome {
                Err(error) if super::is_for_another(error) => Keep::Nobody,
                _ => Keep::No,
            };
            (outcome, keep)
        };
        let outcome = self.take_in(taken, &mut read, caller);
        outcome.map(|()| true).map_err(Hindrance::Failed)
    }
}
