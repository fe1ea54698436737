//! Sending to a queue of capacity 0: the message is handed to a receiver.

use super::Sender;
use crate::queue::handle::Side;
use crate::queue::message::encode;
use crate::queue::{Hindrance, Outcome};
use crate::registry::Caller;
use crate::{Deadline, Result};
use procession_core::Owner;
use procession_core::queue::rendezvous::Offer;
use serde::Serialize;
use std::os::fd::OwnedFd;

/// A message on its way to a receiver.
struct HandOver<'a> {
    side: &'a Side,
    process: Option<Owner>,
    /// With the message. `None`: it is not there yet, or the receiver's.
    block: Option<usize>,
    offer: Option<Offer>,
    descriptors: &'a [OwnedFd],
    /// What the packet of the descriptors is called. Zero: there are none.
    tag: u64,
    /// The packet is in the socket.
    is_packet_sent: bool,
}

impl<'a> HandOver<'a> {
    fn new(side: &'a Side, descriptors: &'a [OwnedFd]) -> Result<HandOver<'a>> {
        Ok(HandOver {
            side,
            process: side.process(),
            block: None,
            offer: None,
            descriptors,
            tag: side.descriptor_socket().tag(descriptors)?,
            is_packet_sent: false,
        })
    }

    /// Hands the message over; `None`: not yet. It is offered to receivers that come, if
    /// it `stays`.
    fn attempt(&mut self, bytes: &[u8], stays: bool, caller: &Caller<'_>) -> Outcome<Option<()>> {
        let ring = &self.side.ring;
        self.leave_to_parent()?;
        if self.offer.is_none() {
            ring.check_open()?;
        }
        if self.block.is_none() {
            self.block = ring.fill_one(bytes, self.tag, caller)?;
            self.process = self.side.process();
        }
        let Some(block) = self.block else {
            return Ok(None);
        };
        if self.tag != 0 && !self.is_packet_sent {
            // A packet whose message is given up has to be tidied away.
            let socket = self.side.descriptor_socket();
            self.is_packet_sent =
                (stays || ring.has_room()) && socket.try_send(block, self.tag, self.descriptors)?;
            if !self.is_packet_sent {
                return Ok(None);
            }
        }
        let handed = ring.hand_over(block, &mut self.offer, stays, caller)?;
        if handed.is_some() {
            self.block = None;
        }
        Ok(handed)
    }

    /// In a forked child, the block and the offer are those of its parent: the child sends
    /// a message of its own.
    fn leave_to_parent(&mut self) -> Result<()> {
        if self.block.is_some() && !self.is_ours() {
            self.block = None;
            self.offer = None;
            self.is_packet_sent = false;
            self.tag = self.side.descriptor_socket().tag(self.descriptors)?;
        }
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.process.is_some() && self.side.process() == self.process
    }

    /// Gives up, if a receiver has not taken the message: whether it has.
    fn give_up(&mut self) -> bool {
        let is_ours = self.is_ours();
        let ring = &self.side.ring;
        match (self.block.take(), ring.object.holder()) {
            (Some(block), Some(caller)) if is_ours => {
                let is_taken = ring.give_up(block, self.offer.take(), &caller);
                if !is_taken && self.is_packet_sent {
                    // It keeps the descriptors open.
                    ring.ask_to_tidy(&caller);
                }
                is_taken
            }
            _ => false,
        }
    }
}

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T: ?Sized> Sender<T> {
    /// Hands a message to a receiver, waiting for one.
    #[cold]
    pub(super) fn hand_over(
        &self,
        bytes: &[u8],
        descriptors: &[OwnedFd],
        deadline: Deadline,
    ) -> Outcome<()> {
        let side = &*self.side;
        let caller = side.ring.object.caller(deadline)?;
        let mut message = HandOver::new(side, descriptors)?;
        let stays = deadline != Deadline::NOW;
        let gone = || side.are_receivers_gone();
        let attempt = || message.attempt(bytes, stays, &caller);
        let outcome = side.ring.make_room(&caller, deadline, gone, attempt);
        match outcome {
            Err(_) if message.give_up() => Ok(()),
            outcome => outcome,
        }
    }
}

impl<T: Serialize> Sender<T> {
    /// Hands a message to a receiver, as a future: it is offered while that is pending.
    pub(super) async fn hand_over_async(&self, message: &T) -> Outcome<()> {
        let mut bytes = Vec::new();
        let descriptors = encode(message, &mut bytes)?;
        let side = &*self.side;
        let mut message = HandOver::new(side, &descriptors)?;
        let attempt = || {
            let outcome = self.attempt_to_send(&mut message, &bytes);
            match outcome {
                Ok(handed) => handed.map(Ok),
                Err(_) if message.give_up() => Some(Ok(())),
                Err(hindrance) => Some(Err(hindrance)),
            }
        };
        let sent = crate::wait::until(self.room(), attempt).await;
        sent.map_err(Hindrance::Failed).flatten()
    }

    fn attempt_to_send(&self, message: &mut HandOver<'_>, bytes: &[u8]) -> Outcome<Option<()>> {
        let caller = self.side.ring.object.caller(Deadline::NOW)?;
        if self.side.are_receivers_gone() {
            return Err(Hindrance::Disconnected);
        }
        message.attempt(bytes, true, &caller)
    }
}

/// Hands the message in a block that is ours to a receiver, waiting for one. Whatever
/// comes of it, the block is not ours any more.
pub(in crate::queue) fn hand_over_block(
    side: &Side,
    block: usize,
    deadline: Deadline,
) -> Outcome<()> {
    let caller = side.ring.object.caller(deadline)?;
    let mut message = HandOver::new(side, &[])?;
    message.block = Some(block);
    let stays = deadline != Deadline::NOW;
    let gone = || side.are_receivers_gone();
    let attempt = || message.attempt(&[], stays, &caller);
    match side.ring.make_room(&caller, deadline, gone, attempt) {
        Err(_) if message.give_up() => Ok(()),
        outcome => outcome,
    }
}
