//! An argument has failed: whether it is tried again, and when. What has no result when
//! the pool ends has the error that it ended with.

use super::chunk::{Piece, Place};
use super::{After, Phase, State};
use crate::pool::TaskError;
use crate::pool::trace;
use std::collections::HashMap;
use std::time::Instant;

/// Failures that code of others judges at the moment: each a chunk of one argument, and
/// what is to be told if it is not tried again.
#[derive(Debug, Default)]
pub(in crate::pool) struct Judged {
    by_ticket: HashMap<u64, (usize, TaskError)>,
    tickets: u64,
}

impl Judged {
    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    pub(in crate::pool) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// Forgets a chunk: no verdict counts any more.
    pub(in crate::pool) fn forget(&mut self, number: usize) {
        self.by_ticket.retain(|_, (other, _)| *other != number);
    }
}

impl State {
    /// An argument has failed. It is tried again if it may be.
    pub(in crate::pool) fn fail_one(&mut self, number: usize, error: TaskError, may_retry: bool) {
        let chunk = &mut self.chunks[number];
        let attempts = chunk.attempts.saturating_add(1);
        let error = error.at(chunk.index()).after(attempts);
        let is_open = !matches!(self.phase, Phase::Over(_));
        let may_retry =
            may_retry && is_open && attempts <= chunk.policy.retries && !chunk.cancelled;
        if may_retry {
            let retry_if = chunk.policy.retry_if;
            let (own, is_all) = self.set_apart(number);
            self.chunks[own].attempts = attempts;
            match retry_if {
                None => {
                    self.tell_failure(&error, true);
                    self.postpone(own);
                }
                Some(retry_if) => self.have_judged(own, retry_if, error),
            }
            if is_all {
                return;
            }
        } else {
            self.tell_failure(&error, false);
            let first = self.chunks[number].first_left();
            self.deliver(number, Piece::Failed { first, error });
        }
        let chunk = &mut self.chunks[number];
        chunk.done += 1;
        chunk.attempts = 0;
    }

    /// Makes the first argument that has no result a chunk of its own. Whether it is
    /// all of its chunk: then it stays where it is, for a handle knows it by its number.
    fn set_apart(&mut self, number: usize) -> (usize, bool) {
        let chunk = &self.chunks[number];
        if chunk.count == 1 {
            return (number, true);
        }
        let mut arguments = chunk.arguments.clone();
        arguments.skip(chunk.done);
        if chunk.left() > 1 {
            arguments.split_off(1);
        }
        let (job, owner, policy) = (chunk.job, chunk.owner, chunk.policy);
        let place = (chunk.first_left(), 1);
        (self.insert(job, owner, policy, arguments, place), false)
    }

    /// Has code of others judge whether a failure is worth another attempt.
    fn have_judged(&mut self, number: usize, retry_if: fn(&TaskError) -> bool, error: TaskError) {
        let ticket = self.judged.tickets;
        self.judged.tickets += 1;
        self.chunks[number].place = Place::Judged;
        self.afterwards
            .push(After::Judge(ticket, retry_if, error.clone()));
        self.judged.by_ticket.insert(ticket, (number, error));
    }

    /// The verdict is here. It comes too late if the call was cancelled, or the pool has
    /// ended.
    pub(in crate::pool) fn take_verdict(&mut self, ticket: u64, is_retried: bool) {
        let Some((number, error)) = self.judged.by_ticket.remove(&ticket) else {
            return;
        };
        self.tell_failure(&error, is_retried);
        if is_retried {
            self.postpone(number);
            self.dispatch();
        } else {
            let chunk = &mut self.chunks[number];
            let first = chunk.first_left();
            chunk.done += 1;
            self.deliver(number, Piece::Failed { first, error });
            self.complete(number);
        }
        // Whoever waits for the pool's end waits for this as well.
        self.finished += 1;
    }

    fn tell_failure(&mut self, error: &TaskError, again: bool) {
        self.afterwards
            .extend(trace::failed(error, again).map(After::Tell));
    }

    /// Queues a chunk when it is time for the next attempt.
    fn postpone(&mut self, number: usize) {
        let chunk = &mut self.chunks[number];
        let doublings = chunk.attempts.saturating_sub(1).min(16);
        let wait = chunk.policy.backoff.saturating_mul(1 << doublings);
        if wait.is_zero() {
            chunk.place = Place::Queued;
            self.queue.push_back(chunk.policy.priority, number);
        } else {
            chunk.place = Place::Delayed;
            // A time that is too far away to be one never comes.
            let at = Instant::now().checked_add(wait);
            self.delayed.push((at, number));
            self.becomes_due(at);
        }
    }

    /// Puts the rest of a chunk first in the queue; where the pool has ended, nobody
    /// would ever take it from there, and it has failed.
    pub(in crate::pool) fn requeue(&mut self, number: usize) {
        if let Phase::Over(reason) = &self.phase {
            let reason = reason.clone();
            return self.fail_rest(number, &reason);
        }
        let chunk = &mut self.chunks[number];
        chunk.rebase();
        chunk.place = Place::Queued;
        let priority = chunk.policy.priority;
        self.queue.push_front(priority, number);
    }

    /// Ends everything that no worker has, for a reason.
    pub(in crate::pool) fn fail_all_waiting(&mut self, reason: &TaskError) {
        let mut waiting: Vec<usize> = Vec::new();
        while let Some(chunk) = self.queue.pop_first() {
            waiting.push(chunk);
        }
        waiting.extend(self.delayed.drain(..).map(|(_, chunk)| chunk));
        let judged = self.judged.by_ticket.drain();
        waiting.extend(judged.map(|(_, (chunk, _))| chunk));
        for number in waiting {
            self.fail_rest(number, reason);
        }
    }

    /// Fails all arguments of a chunk that have no result.
    pub(in crate::pool) fn fail_rest(&mut self, number: usize, reason: &TaskError) {
        while self.chunks[number].left() > 0 {
            self.fail_one(number, reason.clone(), false);
        }
        self.complete(number);
    }
}
