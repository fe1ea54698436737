//! Which worker gets which chunk.

use super::Scheduler;
use super::chunk::Arguments;
use super::ids::{ChunkId, Id, WorkerId};
use super::ledger::Sent;
use super::live_worker::Sending;
use super::task_table::{Owner, Place};
use super::timers::after;
use super::worker_slot::WorkerSlot;
use crate::pool::TaskError;
use crate::pool::worker_ring::{Order, Post};
use crate::process::protocol::Kind;
use std::time::Instant;

/// What a chunk is thought to take of which nothing is known, in nanoseconds.
const UNKNOWN: u64 = 1_000_000;

/// A call that takes so long, in nanoseconds, is looked at by itself.
const SLOW: u64 = 2_000;

/// Work, in nanoseconds, that is worth being moved to an idle worker.
const WORTH_MOVING: u64 = 100_000;

/// Chunks that a worker has in front of it at least, if there are any.
pub(in crate::pool) const AHEAD: usize = 2;

/// The same, where nobody waits for the first results.
pub(in crate::pool) const AHEAD_IN_BULK: usize = 6;

impl Scheduler {
    /// Gives workers what they can take.
    pub(in crate::pool) fn dispatch(&mut self) {
        if self.queue.is_empty() || self.is_over() {
            return;
        }
        for live in self.workers.iter_mut().filter_map(WorkerSlot::live_mut) {
            live.set_full(false);
        }
        if self.has_priorities {
            self.make_way();
        }
        while let Some(chunk) = self.queue.first() {
            let in_bulk = self.tasks[chunk].policy().in_bulk;
            let Some(worker) = self.choose_worker(in_bulk) else {
                break;
            };
            match self.send(worker, chunk) {
                Sending::Done => {
                    self.queue.pop_first();
                }
                Sending::NoRoom => {
                    if let Some(live) = self.live_mut(worker) {
                        live.set_full(true);
                    }
                }
                Sending::Failed(error) => {
                    self.queue.pop_first();
                    self.fail_rest(chunk, &TaskError::from(error));
                }
            }
        }
        for live in self.workers.iter_mut().filter_map(WorkerSlot::live_mut) {
            live.announce();
        }
    }

    /// Takes back what workers have not begun and what comes after the first of the
    /// queue: a priority holds for all that waits, wherever that is.
    fn make_way(&mut self) {
        let Some(first) = self.queue.first() else {
            return;
        };
        let priority = self.tasks[first].policy().priority;
        let mut moved = Vec::new();
        for live in self.workers.iter_mut().filter_map(WorkerSlot::live_mut) {
            while live
                .ledger()
                .back()
                .is_some_and(|last| last.priority < priority)
                && let Some(chunk) = live.take_back_last()
            {
                moved.push(chunk);
            }
            // Of what it has begun, it gives back the rest.
            let first = live.ledger().front();
            if first.is_some_and(|first| first.priority < priority) {
                live.ask_for_rest();
            }
        }
        for chunk in moved {
            self.requeue(chunk);
        }
    }

    /// Returns the worker that has least to do, if it can take more. Where some are ready, one
    /// that is starting gets nothing: nobody knows how long it takes, what it is sent stays in
    /// its ring when it is taken back, and it rings the doorbell when it is ready.
    fn choose_worker(&self, in_bulk: bool) -> Option<WorkerId> {
        let ahead = if in_bulk { AHEAD_IN_BULK } else { AHEAD };
        let most_tasks = self.limits.tasks_per_worker.unwrap_or(u64::MAX);
        let some_are_ready = self.workers.iter().any(WorkerSlot::is_ready);
        let mut best: Option<(usize, usize)> = None;
        for (at, worker) in self.workers.iter().enumerate() {
            let Some(live) = worker.taker() else { continue };
            let has = live.ledger().len();
            if live.is_ready() == some_are_ready
                && live.can_take(ahead, most_tasks)
                && best.is_none_or(|(_, least)| has < least)
            {
                best = Some((at, has));
            }
        }
        best.map(|(at, _)| WorkerId::new(at))
    }

    fn send(&mut self, worker: WorkerId, id: ChunkId) -> Sending {
        let Some(live) = self.workers[worker.number()].live_mut() else {
            return Sending::NoRoom;
        };
        let job_id = self.tasks[id].job();
        let Some(job) = self.jobs.get(job_id) else {
            return Sending::NoRoom;
        };
        match live.define(job_id, job.definition()) {
            Sending::Done => {}
            other => return other,
        }
        let estimate = job.estimate();
        if let Some(most) = self.limits.tasks_per_worker {
            let room = most - live.ledger().assigned();
            if u64::from(self.tasks[id].count()) > room {
                // The rest is for its successor, and behind this one, which is still the
                // first of the queue.
                let rest = self.tasks.split(id, room as u32);
                self.jobs.retain(job_id);
                let priority = self.tasks[id].policy().priority;
                self.queue.pop_first();
                self.queue.push_front(priority, rest);
                self.queue.push_front(priority, id);
            }
        }
        let chunk = &self.tasks[id];
        let is_mailed = !matches!(chunk.arguments(), Arguments::Records(..));
        let post = Post {
            order: if is_mailed {
                Order::RunMailed
            } else {
                Order::Run
            },
            job: job_id.number() as u32,
            count: chunk.count(),
            exact: chunk.policy().is_exact() || chunk.owner() == Owner::Handle,
            slow: estimate.is_none_or(|estimate| estimate >= SLOW),
        };
        let sent = match chunk.arguments() {
            Arguments::Records(..) => Sending::Done,
            Arguments::Mailed(encoded) => live.send_packet(Kind::Call, encoded),
            Arguments::Long(bytes) => match crate::codec::alone(bytes) {
                Ok(encoded) => live.send_packet(Kind::Call, &encoded),
                Err(error) => Sending::Failed(error),
            },
        };
        if !matches!(sent, Sending::Done) {
            return sent;
        }
        let Some(index) = live.post_run(post, chunk.arguments()) else {
            // The packet is there already, and finds no order: that must not be.
            debug_assert!(!is_mailed, "orders of packets need no room");
            return Sending::NoRoom;
        };
        live.enter(Sent {
            chunk: id,
            job: job_id,
            first: chunk.index(),
            index,
            count: chunk.count(),
            priority: chunk.policy().priority,
            cost: estimate.map_or(UNKNOWN, |estimate| {
                estimate.saturating_mul(chunk.count().into())
            }),
            is_exact: post.exact,
            has_end: post.count > 1 || post.slow,
        });
        let limits = [chunk.policy().timeout, chunk.policy().notice];
        let assigned = live.ledger().assigned();
        self.tasks.put(id, Place::Sent(worker));
        if let Some(limit) = limits.into_iter().flatten().min() {
            self.timers.becomes_due(after(Instant::now(), limit));
        }
        let most = self.limits.tasks_per_worker;
        if most.is_some_and(|most| assigned >= most) {
            self.worker_mut(worker).dismiss();
        }
        Sending::Done
    }

    /// Moves work from workers that have more than they run at the moment to workers that are
    /// idle.
    pub(in crate::pool) fn balance(&mut self) {
        let mut idle = self
            .workers
            .iter()
            .filter(|worker| worker.is_idle())
            .count();
        if !self.queue.is_empty() || idle == 0 {
            return;
        }
        let mut moved = Vec::new();
        // What waits for a worker that is not ready may wait for ever: its initializer is
        // the user's code.
        let starting = self
            .workers
            .iter_mut()
            .filter(|worker| worker.is_starting());
        for live in starting.filter_map(WorkerSlot::live_mut) {
            while idle > 0
                && let Some(chunk) = live.take_back_last()
            {
                moved.push(chunk);
                idle -= 1;
            }
        }
        for live in self.workers.iter_mut().filter_map(WorkerSlot::live_mut) {
            if live.ledger().load() < WORTH_MOVING {
                continue;
            }
            let mut wanted = live.ledger().len() / 2;
            while wanted > 0
                && live.ledger().len() > 1
                && let Some(chunk) = live.take_back_last()
            {
                moved.push(chunk);
                wanted -= 1;
            }
            if moved.is_empty() {
                live.ask_for_rest();
            }
        }
        if !moved.is_empty() {
            for chunk in moved {
                self.requeue(chunk);
            }
            self.dispatch();
        }
    }

    /// Returns `true` if something could be moved once a worker is idle.
    pub(super) fn has_something_to_move(&self) -> bool {
        let has_more = |worker: &WorkerSlot| {
            worker.live().is_some_and(|live| {
                let ledger = live.ledger();
                let is_much = ledger.load() >= WORTH_MOVING && ledger.len() > 1;
                is_much || worker.is_starting() && !ledger.is_empty()
            })
        };
        self.workers.len() > 1 && self.workers.iter().any(has_more)
    }

    /// Returns how many chunks of a priority workers could take, which cost so much, in
    /// nanoseconds.
    pub(in crate::pool) fn wants_chunks(
        &self,
        ahead: usize,
        cost: Option<u64>,
        priority: i32,
    ) -> usize {
        let takes = |worker: &WorkerSlot| match (worker.taker(), worker.live()) {
            (Some(live), _) => live.room(ahead, cost, priority),
            // It will be there for what is added now.
            (None, None) => 1,
            (None, Some(_)) => 0,
        };
        let room: usize = self.workers.iter().map(takes).sum();
        room.saturating_sub(self.queue.len_from(priority))
    }
}
