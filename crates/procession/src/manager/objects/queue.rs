//! The server's side of a queue.
//!
//! What was received is remembered until it is acknowledged: if the session of its receiver ends
//! before, it goes to the front again, and is marked.

use super::levels::{Levels, Message};
use super::object::{Caller, Object, Replies, SessionId};
use super::waiting::Waiting;
use crate::Result;
use crate::manager::blob::{Blob, decode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) enum Request {
    /// `u64`: how many of them were taken in, which is at least one; answered when there is room
    /// for one.
    Send(Vec<Blob>),
    /// As `Send`, with a priority: the highest is received first.
    SendAt(u64, Vec<Blob>),
    /// [`Delivered`], when there is one.
    Recv,
    /// The message was dealt with.
    Ack(u64),
    /// Another receiver is to have the message.
    Requeue(u64),
    /// `u64`: how many wait for a receiver.
    Len,
    /// Answered when every message was dealt with.
    Join,
}

/// A message on its way to a receiver.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::manager) struct Delivered {
    pub(in crate::manager) number: u64,
    pub(in crate::manager) message: Blob,
    /// It was delivered before, to a receiver that did not acknowledge it.
    pub(in crate::manager) is_redelivered: bool,
    pub(in crate::manager) priority: u64,
}

#[derive(Debug)]
pub(in crate::manager) struct Queue {
    /// 0: as many as come.
    capacity: u64,
    has_priorities: bool,
    messages: Levels,
    /// By receivers, so that what a session has is found without a look at the others'.
    unacknowledged: BTreeMap<(SessionId, u64), Message>,
    latest: u64,
    receivers: Waiting<()>,
    senders: Waiting<(u64, Vec<Blob>)>,
    joining: Waiting<()>,
}

impl Queue {
    pub(super) fn new(capacity: u64, has_priorities: bool) -> Queue {
        Queue {
            capacity,
            has_priorities,
            messages: Levels::default(),
            unacknowledged: BTreeMap::new(),
            latest: 0,
            receivers: Waiting::default(),
            senders: Waiting::default(),
            joining: Waiting::default(),
        }
    }

    fn room(&self) -> u64 {
        match self.capacity {
            0 => u64::MAX,
            capacity => capacity.saturating_sub(self.messages.len() as u64),
        }
    }

    fn send(
        &mut self,
        caller: Caller,
        (priority, messages): (u64, Vec<Blob>),
        replies: &mut Replies,
    ) {
        match self.room() == 0 || self.senders.len() > 0 {
            true => self.senders.push(caller, (priority, messages), replies),
            false => self.take_in(caller, (priority, messages), replies),
        }
    }

    /// The sender whose turn it is: of those that wait with the highest priority, the first.
    fn next_sender(&mut self) -> Option<(Caller, (u64, Vec<Blob>))> {
        match self.has_priorities {
            true => self.senders.pop_highest(|(priority, _)| *priority),
            false => self.senders.pop(),
        }
    }

    /// Takes in as many as there is room for.
    fn take_in(
        &mut self,
        caller: Caller,
        (priority, messages): (u64, Vec<Blob>),
        replies: &mut Replies,
    ) {
        let before = self.messages.len();
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        for bytes in messages.into_iter().take(room) {
            self.messages.push_back(Message {
                bytes,
                is_redelivered: false,
                priority,
            });
        }
        replies.done(caller, &((self.messages.len() - before) as u64));
    }

    fn deliver(&mut self, caller: Caller, message: Message, replies: &mut Replies) {
        self.latest += 1;
        let delivered = Delivered {
            number: self.latest,
            message: message.bytes.clone(),
            is_redelivered: message.is_redelivered,
            priority: message.priority,
        };
        replies.done(caller, &delivered);
        let number = (caller.session, self.latest);
        self.unacknowledged.insert(number, message);
    }

    /// Gives messages to those that wait for them, takes in what waited for room, and answers
    /// those that wait for the end.
    fn settle(&mut self, replies: &mut Replies) {
        loop {
            while self.messages.len() > 0
                && let Some((receiver, ())) = self.receivers.pop()
                && let Some(message) = self.messages.pop_front()
            {
                self.deliver(receiver, message, replies);
            }
            if self.room() == 0 {
                break;
            }
            let Some((sender, messages)) = self.next_sender() else {
                break;
            };
            self.take_in(sender, messages, replies);
        }
        if self.is_done() {
            for (joining, ()) in self.joining.drain() {
                replies.done(joining, &());
            }
        }
    }

    /// Every message was dealt with.
    fn is_done(&self) -> bool {
        self.messages.len() == 0 && self.unacknowledged.is_empty()
    }

    fn requeue(&mut self, mut message: Message) {
        message.is_redelivered = true;
        self.messages.push_front(message);
    }
}

impl Object for Queue {
    fn call(&mut self, caller: Caller, request: &[u8], replies: &mut Replies) -> Result<()> {
        match decode(request)? {
            Request::Send(messages) => self.send(caller, (0, messages), replies),
            Request::SendAt(priority, messages) => self.send(caller, (priority, messages), replies),
            Request::Recv => match self.messages.pop_front() {
                Some(message) => self.deliver(caller, message, replies),
                None => self.receivers.push(caller, (), replies),
            },
            Request::Ack(number) => {
                self.take_from(caller.session, number);
                replies.done(caller, &());
            }
            Request::Requeue(number) => {
                if let Some(message) = self.take_from(caller.session, number) {
                    self.requeue(message);
                }
                replies.done(caller, &());
            }
            Request::Len => replies.done(caller, &(self.messages.len() as u64)),
            Request::Join if self.is_done() => replies.done(caller, &()),
            Request::Join => self.joining.push(caller, (), replies),
        }
        self.settle(replies);
        Ok(())
    }

    fn size(&self) -> usize {
        self.messages.len()
    }

    fn cancel(&mut self, session: SessionId, call: u64) -> bool {
        self.receivers.cancel(session, call)
            || self.senders.cancel(session, call)
            || self.joining.cancel(session, call)
    }

    fn end_session(&mut self, session: SessionId, replies: &mut Replies) {
        self.receivers.end_session(session);
        self.senders.end_session(session);
        self.joining.end_session(session);
        let all = (session, 0)..=(session, u64::MAX);
        let held: Vec<u64> = (self.unacknowledged.range(all))
            .map(|((_, number), _)| *number)
            .collect();
        // The oldest is to be the first again.
        for number in held.into_iter().rev() {
            if let Some(message) = self.take_from(session, number) {
                self.requeue(message);
            }
        }
        self.settle(replies);
    }
}

impl Queue {
    fn take_from(&mut self, session: SessionId, number: u64) -> Option<Message> {
        self.unacknowledged.remove(&(session, number))
    }
}
