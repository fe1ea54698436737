//! Failures that the user's `retry_if` is asked about.

use super::ids::ChunkId;
use crate::pool::TaskError;
use std::collections::HashMap;

/// Names a question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::pool) struct Ticket(u64);

/// Failures that are being judged: each a chunk of one argument, and the error to answer
/// with if it is not tried again.
#[derive(Debug, Default)]
pub(super) struct Judged {
    by_ticket: HashMap<Ticket, (ChunkId, TaskError)>,
    tickets: u64,
}

impl Judged {
    pub(super) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// Adds a failure; the ticket is for the answer.
    pub(super) fn add(&mut self, chunk: ChunkId, error: TaskError) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.by_ticket.insert(ticket, (chunk, error));
        ticket
    }

    /// Takes the failure of a ticket, unless it was forgotten meanwhile.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<(ChunkId, TaskError)> {
        self.by_ticket.remove(&ticket)
    }

    /// Forgets a chunk: no answer counts any more.
    pub(super) fn forget(&mut self, chunk: ChunkId) {
        self.by_ticket.retain(|_, (other, _)| *other != chunk);
    }

    pub(super) fn take_all(&mut self) -> Vec<ChunkId> {
        let all = self.by_ticket.drain();
        all.map(|(_, (chunk, _))| chunk).collect()
    }
}
