//! Handing a message from a sender to a receiver while both wait: a queue without room.
//!
//! The ring is a *dual* queue. It holds *offers*, messages whose senders wait, or
//! *requests* of receivers that wait, and not both at once: a sender answers the first
//! request before it offers anything, a receiver takes the first offer before it requests
//! anything, and each looks at every index from the head to the one that it takes.
//!
//! | | how it begins | how it is met | how it is withdrawn |
//! |---|---|---|---|
//! | offer | a block in the state *offered*, then a slot that names it | compare-and-swap on the block, from *offered* to *reading* | compare-and-swap on the block, back to *filling* |
//! | request | a block in the state *requested*, then a slot that names it, with `R` | compare-and-swap on the slot, to the sender's block, which is *filled* | compare-and-swap on the slot, to an empty one of the next lap |
//!
//! Meeting and withdrawing change the same word, so one of them happens: a sender that
//! gives up has not been received from, a receiver that gives up has received nothing.
//! A message that answers a request is an ordinary message of the queue from then on. Its
//! sender is done. Receivers take the first message that is there, as in any queue, so that
//! those of a sender keep their order; but one whose request stands takes none, unless it withdraws it. So there are
//! never more answers than receivers that come for them, unless one of those dies: then the
//! next receiver takes its message.
//!
//! # If a process dies
//! An offer of the dead is no offer, and a request of the dead is no request: each party
//! that comes to its slot asks whether the owner of its block lives, and empties the slot if not.
//!
//! # What comes round
//! Tickets, as in the whole queue: a sender that stands still after it has offered a
//! message, while that is taken and exactly 2^25 others pass, of which the last is offered
//! by the same process in the same block, takes that offer for its own.
//!
//! # References
//! W. N. Scherer III, D. Lea, M. L. Scott, "Scalable synchronous queues" (2006).

mod walk;

use super::sending::Shown;
use super::{Blocks, CLOSED, FILLED, FILLING, Held, OFFERED, REQUEST, REQUESTED, RawQueue, holder};
use crate::atomics::Ordering;
use crate::{Failure, Platform};
use walk::Found;

/// A message whose sender waits until it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an offer is waited for, or withdrawn"]
pub struct Offer {
    block: usize,
    word: u64,
    index: u64,
}

/// A receiver that waits until its request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request is waited for, or withdrawn"]
pub struct Request {
    /// The caller's, to be given back after the request.
    pub block: usize,
    index: u64,
}

/// What came of an attempt to hand a message over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// It answers the request of a receiver, whose it is from now on.
    Over,
    /// It is offered to those that come.
    Offered(Offer),
    /// No receiver waits, and it was not to be offered, or there are offers enough. The
    /// block is the caller's as it was before.
    NoReceiver,
    /// Nothing is sent any more. The block is the caller's as it was before.
    Closed,
}

/// What came of an attempt to meet a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A message, and its index.
    Message(Held, u64),
    /// No sender waits; the request is there for those that come.
    Requested(Request),
    /// No sender waits, and nothing was to be requested, or there are requests enough.
    NoSender,
    /// No sender waits, and none will come.
    Closed,
}

impl<B: Blocks> RawQueue<'_, B> {
    /// Hands a block that the caller has filled to the first receiver that waits. If none
    /// does, offers it to those that come, if it `stays`. To be followed by a notification
    /// of all that wait for a message.
    ///
    /// # Errors
    /// [`Corrupt`](Failure::Corrupt); [`TimedOut`](Failure::TimedOut): after many
    /// steps, on all of which others were faster. The block is the caller's as it was
    /// before.
    pub fn hand_over(
        &self,
        block: usize,
        stays: bool,
        platform: &impl Platform,
    ) -> Result<Handed, Failure> {
        if self.closed.load(Ordering::Relaxed) != 0 {
            return Ok(Handed::Closed);
        }
        let mine = holder(platform.me());
        let mut shown = None;
        let outcome = self.seek_receiver(block, stays, mine, &mut shown, platform);
        let Some(last) = shown else {
            return outcome;
        };
        if matches!(outcome, Ok(Handed::Over | Handed::Offered(_))) {
            return outcome;
        }
        // One who looked at the block when it had the same ticket, long ago, may have
        // received it.
        let again = self.blocks.state(block).compare_exchange(
            last.word,
            mine | FILLING,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        again.map_or(Ok(Handed::Over), |_| outcome)
    }

    fn seek_receiver(
        &self,
        block: usize,
        stays: bool,
        mine: u64,
        shown: &mut Option<Shown>,
        platform: &impl Platform,
    ) -> Result<Handed, Failure> {
        let mut index = self.head.load(Ordering::Acquire);
        let mut steps = 0;
        loop {
            let (seen, state) = match self.walk(&mut index, &mut steps, platform)? {
                Found::Closed => return Ok(Handed::Closed),
                Found::Full => return Ok(Handed::NoReceiver),
                // Another sender waits.
                Found::Message(..) => {
                    index = self.step(index, 0, &mut steps)?;
                    continue;
                }
                Found::Empty(_) if !stays || self.lacks_room(index, platform) => {
                    return Ok(Handed::NoReceiver);
                }
                Found::Empty(word) => (word, OFFERED),
                Found::Request(word) => (word, FILLED),
            };
            let word = mine | Self::ticket(index) | state;
            if self.show(block, word, index, shown).is_some() {
                return Ok(Handed::Over);
            }
            // SYNC(message): see `publish`. Sequentially consistent, for the notification
            // that follows.
            let full = self.full(index, block);
            let slot = self.slot(index);
            match slot.compare_exchange(seen, full, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) if state == FILLED => return Ok(Handed::Over),
                Ok(_) => {
                    self.follow_tail(index);
                    return Ok(Handed::Offered(Offer { block, word, index }));
                }
                Err(_) => self.count_step(&mut steps)?,
            }
        }
    }

    /// Returns `true` if an offer was taken.
    #[must_use]
    pub fn is_taken(&self, offer: &Offer) -> bool {
        self.blocks.state(offer.block).load(Ordering::Acquire) != offer.word
    }

    /// Withdraws an offer: its block is the caller's again, as before. `false`: it was
    /// taken. To be followed by [`settle`](RawQueue::settle) and a notification of those
    /// that wait for room.
    #[must_use]
    pub fn withdraw(&self, offer: Offer, platform: &impl Platform) -> bool {
        let again = self.blocks.state(offer.block).compare_exchange(
            offer.word,
            holder(platform.me()) | FILLING,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if again.is_ok() {
            self.empty_slot(offer.index, offer.block);
        }
        again.is_ok()
    }

    /// Takes the first message that is offered. If there is none, requests one with a
    /// block that the caller has, if it has one; to be followed by a notification of all
    /// that wait for room. A message that was taken is to be followed by
    /// [`empty_slot`](RawQueue::empty_slot).
    ///
    /// # Errors
    /// As [`hand_over`](RawQueue::hand_over).
    pub fn meet(&self, request: Option<usize>, platform: &impl Platform) -> Result<Met, Failure> {
        let mut index = self.head.load(Ordering::Acquire);
        let mut steps = 0;
        loop {
            match self.walk(&mut index, &mut steps, platform)? {
                Found::Closed => return Ok(Met::Closed),
                Found::Full => return Ok(Met::NoSender),
                // Another receiver waits.
                Found::Request(_) => index = self.step(index, 0, &mut steps)?,
                Found::Message(block, filled) => {
                    if self.claim(block, filled, platform) {
                        return Ok(Met::Message(held(block), index));
                    }
                    self.count_step(&mut steps)?;
                }
                Found::Empty(word) if self.closed.load(Ordering::SeqCst) != 0 => {
                    // Nobody sends after this.
                    self.count_step(&mut steps)?;
                    let last = self.full(index, CLOSED as usize);
                    let _ = self.slot(index).compare_exchange(
                        word,
                        last,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    );
                }
                Found::Empty(word) => {
                    let Some(block) = request.filter(|_| !self.lacks_room(index, platform)) else {
                        return Ok(Met::NoSender);
                    };
                    // Nobody else changes a block that is in no slot.
                    let requested = holder(platform.me()) | Self::ticket(index) | REQUESTED;
                    self.blocks.state(block).store(requested, Ordering::Release);
                    let full = self.full(index, block) | REQUEST;
                    let slot = self.slot(index);
                    match slot.compare_exchange(word, full, Ordering::SeqCst, Ordering::Relaxed) {
                        Ok(_) => {
                            self.follow_tail(index);
                            return Ok(Met::Requested(Request { block, index }));
                        }
                        Err(_) => self.count_step(&mut steps)?,
                    }
                }
            }
        }
    }

    /// Returns `true` if a request was not answered yet. If it was, its receiver takes the first message
    /// that is there ([`meet`](RawQueue::meet)): that which answered it, or one before that,
    /// which another receiver was to take, and which leaves it the other one.
    #[must_use]
    pub fn is_waiting(&self, request: &Request) -> bool {
        let word = self.slot(request.index).load(Ordering::Acquire);
        word == self.full(request.index, request.block) | REQUEST
    }

    /// Withdraws a request. `false`: it was answered, and the first message that is there
    /// is its receiver's. To be followed by [`settle`](RawQueue::settle).
    #[must_use]
    pub fn withdraw_request(&self, request: &Request) -> bool {
        let requested = self.full(request.index, request.block) | REQUEST;
        self.pass_by(requested, request.index)
    }
}

fn held(block: usize) -> Held {
    Held {
        block,
        redelivered: false,
    }
}
