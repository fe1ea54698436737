//! Who gets what is to be done.

use super::after;
use super::chunk::{Arguments, Owner, Place};
use super::{Life, Phase, Sent, Stage, State, Worker};
use crate::Error;
use crate::pool::TaskError;
use crate::pool::worker_ring::{Order, PoolSide, Post, SLOTS};
use crate::process::packet::Kind;
use std::time::Instant;

/// How much work, in nanoseconds, a worker has in front of it at most, beyond two
/// chunks.
const ENOUGH: u64 = 1_000_000;

/// What a chunk is thought to take of which nothing is known.
const UNKNOWN: u64 = ENOUGH;

/// A call that takes so long, in nanoseconds, is looked at by itself.
const SLOW: u64 = 2_000;

/// Work, in nanoseconds, that is worth being moved to an idle worker.
const WORTH_MOVING: u64 = 100_000;

/// Chunks that a worker has in front of it at least, if there are any.
pub(in crate::pool) const AHEAD: usize = 2;

/// The same, where nobody waits for the first results.
pub(in crate::pool) const AHEAD_IN_BULK: usize = 6;

/// Most chunks that a worker has in front of it; a few slots are for definitions.
const MOST: usize = SLOTS as usize - 32;

/// What came of sending something.
enum Sending {
    Done,
    /// Later, or somebody else.
    NoRoom,
    Failed(Error),
}

impl State {
    /// Gives workers what they can take.
    pub(in crate::pool) fn dispatch(&mut self) {
        if self.queue.is_empty() || matches!(self.phase, Phase::Over(_)) {
            return;
        }
        for worker in &mut self.workers {
            if let Some(life) = &mut worker.life {
                life.is_full = false;
            }
        }
        if self.has_priorities {
            self.make_way();
        }
        while let Some(number) = self.queue.first() {
            let in_bulk = self.chunks[number].policy.in_bulk;
            let Some(place) = self.choose_worker(in_bulk) else {
                break;
            };
            match self.send(place, number) {
                Sending::Done => {
                    self.queue.pop_first();
                }
                Sending::NoRoom => {
                    if let Some(life) = &mut self.workers[place].life {
                        life.is_full = true;
                    }
                }
                Sending::Failed(error) => {
                    self.queue.pop_first();
                    self.fail_rest(number, &TaskError::from(error));
                }
            }
        }
        for worker in &mut self.workers {
            if let Some(life) = &mut worker.life
                && std::mem::take(&mut life.is_dirty)
            {
                life.posting.announce();
            }
        }
    }

    /// Takes back what workers have not begun and what comes after the first of the
    /// queue: a priority holds for all that waits, wherever that is.
    fn make_way(&mut self) {
        let Some(first) = self.queue.first() else {
            return;
        };
        let priority = self.chunks[first].policy.priority;
        let mut moved = Vec::new();
        for worker in &mut self.workers {
            let Some(life) = &mut worker.life else {
                continue;
            };
            while life
                .sent
                .back()
                .is_some_and(|last| last.priority < priority)
                && let Some(chunk) = life.take_back()
            {
                moved.push(chunk);
            }
            // Of what it has begun, it gives back the rest.
            if let Some(first) = life.sent.front_mut()
                && first.priority < priority
            {
                first.ask_for_rest(&life.posting);
            }
        }
        for chunk in moved {
            self.requeue(chunk);
        }
    }

    /// The worker that has least to do, if it can take more.
    fn choose_worker(&self, in_bulk: bool) -> Option<usize> {
        let ahead = if in_bulk { AHEAD_IN_BULK } else { AHEAD };
        let most_tasks = self.limits.tasks_per_worker.unwrap_or(u64::MAX);
        let mut best: Option<(usize, (bool, usize))> = None;
        for (place, worker) in self.workers.iter().enumerate() {
            let Some(life) = &worker.life else { continue };
            let can_take = matches!(worker.stage, Stage::Ready | Stage::Starting)
                && !life.is_full
                && life.assigned < most_tasks
                && (life.sent.len() < ahead || life.sent.len() < MOST && life.load < ENOUGH);
            let rank = (worker.stage == Stage::Starting, life.sent.len());
            if can_take && best.is_none_or(|(_, least)| rank < least) {
                best = Some((place, rank));
            }
        }
        best.map(|(place, _)| place)
    }

    fn send(&mut self, place: usize, number: usize) -> Sending {
        let worker = &mut self.workers[place];
        let Some(life) = &mut worker.life else {
            return Sending::NoRoom;
        };
        let chunk = &mut self.chunks[number];
        let job = &self.jobs[chunk.job];
        if !life.known.get(chunk.job).copied().unwrap_or_default() {
            match define(life, chunk.job, &job.definition) {
                Sending::Done => {
                    if life.known.len() <= chunk.job {
                        life.known.resize(chunk.job + 1, false);
                    }
                    life.known[chunk.job] = true;
                    life.is_dirty = true;
                }
                other => return other,
            }
        }
        if let Some(most) = self.limits.tasks_per_worker {
            let room = most - life.assigned;
            if u64::from(chunk.count) > room {
                // The rest is for its successor.
                let rest = chunk.arguments.split_off(room as u32);
                let (job, owner, policy) = (chunk.job, chunk.owner, chunk.policy);
                let behind = (chunk.first + room, chunk.count - room as u32);
                chunk.count = room as u32;
                let rest = self.insert(job, owner, policy, rest, behind);
                // Behind this one, which is still the first of the queue.
                self.queue.pop_first();
                self.queue.push_front(policy.priority, rest);
                self.queue.push_front(policy.priority, number);
            }
        }
        let worker = &mut self.workers[place];
        let Some(life) = &mut worker.life else {
            return Sending::NoRoom;
        };
        let chunk = &mut self.chunks[number];
        let estimate = self.jobs[chunk.job].estimate;
        let is_mailed = !matches!(chunk.arguments, Arguments::Records(..));
        let post = Post {
            order: if is_mailed {
                Order::RunMailed
            } else {
                Order::Run
            },
            job: chunk.job as u32,
            count: chunk.count,
            exact: chunk.policy.is_exact() || chunk.owner == Owner::Handle,
            slow: estimate.is_none_or(|estimate| estimate >= SLOW),
        };
        let sent = match &chunk.arguments {
            Arguments::Records(..) => Sending::Done,
            Arguments::Mailed(encoded) => mail(life, Kind::Call, encoded),
            Arguments::Long(bytes) => match crate::codec::alone(bytes) {
                Ok(encoded) => mail(life, Kind::Call, &encoded),
                Err(error) => Sending::Failed(error),
            },
        };
        if !matches!(sent, Sending::Done) {
            return sent;
        }
        let Some(index) = life.posting.post(post, chunk.arguments.records()) else {
            // The packet is there already, and finds no order: that must not be.
            debug_assert!(!is_mailed, "orders of packets need no room");
            return Sending::NoRoom;
        };
        let cost = estimate.map_or(UNKNOWN, |estimate| {
            estimate.saturating_mul(chunk.count.into())
        });
        life.load = life.load.saturating_add(cost);
        life.sent.push_back(Sent {
            chunk: Some(number),
            job: chunk.job,
            first: chunk.index(),
            index,
            count: chunk.count,
            priority: chunk.policy.priority,
            cost,
            is_exact: post.exact,
            has_end: post.count > 1 || post.slow,
            is_rest_wanted: false,
        });
        life.assigned += u64::from(chunk.count);
        life.is_dirty = true;
        life.idle_since = None;
        if life.sent.len() == 1 {
            life.front_since = Instant::now();
            life.batch_since = life.front_since;
        }
        chunk.place = Place::Sent(place);
        let limits = [chunk.policy.timeout, chunk.policy.notice];
        let assigned = life.assigned;
        if let Some(limit) = limits.into_iter().flatten().min() {
            self.becomes_due(after(Instant::now(), limit));
        }
        if self
            .limits
            .tasks_per_worker
            .is_some_and(|most| assigned >= most)
        {
            self.dismiss(place);
        }
        Sending::Done
    }

    /// Has a worker stop when it has done what it was sent.
    pub(in crate::pool) fn dismiss(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        if let (Stage::Starting | Stage::Ready, Some(life)) = (worker.stage, &mut worker.life) {
            // Behind `MOST` chunks there is room.
            let posted = life.posting.post(Post::new(Order::Stop, 0), &[]);
            life.posting.announce();
            if posted.is_some() {
                worker.stage = Stage::Leaving;
            }
        }
    }

    /// Moves work from those who have more than they do at the moment to those who
    /// have nothing to do.
    pub(in crate::pool) fn balance(&mut self) {
        if !self.queue.is_empty() {
            return;
        }
        let is_idle = |state: &State, place: usize| {
            let worker = &state.workers[place];
            worker.stage == Stage::Ready && worker.life.as_ref().is_some_and(Life::has_nothing)
        };
        let idle = (0..self.workers.len())
            .filter(|place| is_idle(self, *place))
            .count();
        if idle == 0 {
            return;
        }
        let mut moved = Vec::new();
        for worker in &mut self.workers {
            let Some(life) = &mut worker.life else {
                continue;
            };
            if life.load < WORTH_MOVING {
                continue;
            }
            let mut wanted = life.sent.len() / 2;
            while wanted > 0
                && life.sent.len() > 1
                && let Some(chunk) = life.take_back()
            {
                moved.push(chunk);
                wanted -= 1;
            }
            if moved.is_empty()
                && let Some(first) = life.sent.front_mut()
            {
                first.ask_for_rest(&life.posting);
            }
        }
        if !moved.is_empty() {
            for chunk in moved {
                self.requeue(chunk);
            }
            self.dispatch();
        }
    }

    /// Whether something could be moved once a worker is idle.
    pub(in crate::pool) fn has_something_to_move(&self) -> bool {
        let lives = self
            .workers
            .iter()
            .filter_map(|worker| worker.life.as_ref());
        self.workers.len() > 1
            && lives
                .clone()
                .any(|life| life.load >= WORTH_MOVING && life.sent.len() > 1)
    }

    /// Whether there is work for a worker that is not there, and can be started now.
    pub(in crate::pool) fn wants_workers(&self, is_lazy: bool) -> bool {
        let is_vacant = |worker: &Worker| matches!(worker.stage, Stage::Vacant(_));
        !self.queue.is_empty()
            && self.workers.iter().any(is_vacant)
            && self.next_wanted(Instant::now(), is_lazy).is_some()
    }

    /// Notes that workers have nothing to do.
    pub(in crate::pool) fn note_idleness(&mut self, now: Instant) {
        for worker in &mut self.workers {
            if let Some(life) = &mut worker.life
                && life.has_nothing()
            {
                life.idle_since.get_or_insert(now);
            }
        }
    }
}

impl Sent {
    /// Asks the worker to give back what it has not begun of it.
    fn ask_for_rest(&mut self, posting: &PoolSide) {
        if self.count > 1 && !std::mem::replace(&mut self.is_rest_wanted, true) {
            posting.memory().ask_for_rest();
        }
    }
}

impl Life {
    /// Takes the last chunk that it was sent back, unless it has begun it.
    fn take_back(&mut self) -> Option<usize> {
        let last = self.sent.back()?;
        let (chunk, count, cost) = (last.chunk?, last.count, last.cost);
        if !self.posting.revoke(last.index) {
            return None;
        }
        self.load = self.load.saturating_sub(cost);
        self.assigned -= u64::from(count);
        self.sent.pop_back();
        Some(chunk)
    }

    /// How many chunks of a priority it could take beside those that it has of this and
    /// higher ones, so many at least in all, or as many as give it enough to do, if it is
    /// known what they cost.
    pub(in crate::pool) fn room(&self, ahead: usize, cost: Option<u64>, priority: i32) -> usize {
        let before = self.sent.iter().filter(|sent| sent.priority >= priority);
        let (mut count, mut load) = (self.sent.len(), self.load);
        if before.clone().count() < count {
            (count, load) = before.fold((0, 0), |(count, load), sent| {
                (count + 1, sent.cost.saturating_add(load))
            });
        }
        let few = ahead.saturating_sub(count);
        let Some(cost) = cost else { return few };
        let many = ENOUGH.saturating_sub(load) / cost.max(1);
        few.max((many as usize).min(MOST.saturating_sub(self.sent.len())))
    }
}

fn define(life: &mut Life, job: usize, definition: &crate::codec::Encoded) -> Sending {
    if let (crate::codec::Body::Inline(bytes), []) = (&definition.body, &definition.descriptors[..])
    {
        let post = Post::new(Order::Define, job as u32);
        return match life.posting.post(post, bytes) {
            Some(_) => Sending::Done,
            None => Sending::NoRoom,
        };
    }
    match mail(life, Kind::Call, definition) {
        Sending::Done => {}
        other => return other,
    }
    let post = Post::new(Order::DefineMailed, job as u32);
    match life.posting.post(post, &[]) {
        Some(_) => Sending::Done,
        None => Sending::NoRoom,
    }
}

/// Sends a packet, if there is room for it and for the order that is to follow.
fn mail(life: &mut Life, kind: Kind, encoded: &crate::codec::Encoded) -> Sending {
    if life.sent.len() >= MOST || !life.posting.has_slot() {
        return Sending::NoRoom;
    }
    match life.mail.try_send(kind, encoded) {
        Ok(()) => Sending::Done,
        // It is dead, which will be told.
        Err(error) if error.is_would_block() || error.is_disconnected() => Sending::NoRoom,
        Err(error) => Sending::Failed(error),
    }
}
