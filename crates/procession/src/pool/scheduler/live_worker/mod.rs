//! A worker that has a process: what it was sent, and what was read from it.

mod reading;
mod retired;

pub(super) use retired::Retired;

use crate::codec::{Body, Encoded};
use crate::pool::scheduler::chunk::Arguments;
use crate::pool::scheduler::ids::{ChunkId, Id, JobId};
use crate::pool::scheduler::ledger::{Ledger, Sent, TakenBack};
use crate::pool::trace::WorkerSpan;
use crate::pool::worker_ring::{Order, PoolSide, Post, RingMemory, SLOTS};
use crate::process::TaskError;
use crate::process::protocol::{Kind, Mailbox};
use crate::{Error, Result};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

/// Work, in nanoseconds, that a worker has in front of it at most, beyond a few chunks.
const ENOUGH: u64 = 1_000_000;

/// Most chunks that a worker has in front of it; a few slots are for definitions.
const MOST: usize = SLOTS as usize - 32;

/// The process of a worker, as far as the scheduler uses it.
pub(in crate::pool) trait Process: Debug + Send + Sync {
    fn pid(&self) -> u32;

    /// Kills the process, and what is left of its group.
    ///
    /// # Errors
    /// It lives on: the kernel refuses.
    fn kill(&self) -> Result<()>;
}

/// What came of sending something.
pub(in crate::pool::scheduler) enum Sending {
    Done,
    /// Not now, or not to this worker.
    NoRoom,
    Failed(Error),
}

/// Why a worker is killed, and the number of the call that is meant, if it is only one.
pub(in crate::pool::scheduler) type Condemned = (TaskError, Option<u64>);

/// A worker that has a process.
#[derive(Debug)]
pub(in crate::pool) struct LiveWorker {
    process: Arc<dyn Process>,
    posting: PoolSide,
    mail: Mailbox,
    ledger: Ledger,
    /// What was read and not looked at, kept for its memory.
    inbox: Vec<u8>,
    /// Which jobs the worker knows.
    known: Vec<bool>,
    /// Records that were read, as far as their numbers tell them apart.
    records: u32,
    /// It should have been killed, and cannot be: its end is not waited for.
    is_lost: bool,
    /// It was told to end.
    is_stopped: bool,
    condemned: Option<Condemned>,
    /// The memory that it shares with the pool makes no sense: nothing more is read.
    is_spoilt: bool,
    /// It has said that its initializer has returned.
    is_ready: bool,
    is_full: bool,
    /// It was sent something and not woken.
    is_dirty: bool,
    idle_since: Option<Instant>,
    /// Since when the first thing that it has to do is the same, by the pool's own clock.
    front_since: Instant,
    /// Since when it has been at the first of what it was sent.
    batch_since: Instant,
    span: WorkerSpan,
}

impl LiveWorker {
    pub(in crate::pool) fn new(
        process: Arc<dyn Process>,
        posting: PoolSide,
        mail: Mailbox,
        span: WorkerSpan,
    ) -> LiveWorker {
        let now = Instant::now();
        LiveWorker {
            process,
            posting,
            mail,
            ledger: Ledger::default(),
            inbox: Vec::new(),
            known: Vec::new(),
            records: 0,
            is_lost: false,
            is_stopped: false,
            condemned: None,
            is_spoilt: false,
            is_ready: false,
            is_full: false,
            is_dirty: false,
            idle_since: None,
            front_since: now,
            batch_since: now,
            span,
        }
    }

    pub(in crate::pool) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(in crate::pool::scheduler) fn ring(&self) -> &Arc<RingMemory> {
        self.posting.memory()
    }

    pub(in crate::pool::scheduler) fn posting(&self) -> &PoolSide {
        &self.posting
    }

    pub(in crate::pool::scheduler) fn mail(&mut self) -> &mut Mailbox {
        &mut self.mail
    }

    pub(in crate::pool::scheduler) fn span(&mut self) -> &mut WorkerSpan {
        &mut self.span
    }

    pub(in crate::pool::scheduler) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(in crate::pool::scheduler) fn has_nothing(&self) -> bool {
        self.ledger.is_empty()
    }

    pub(in crate::pool::scheduler) fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    pub(in crate::pool::scheduler) fn is_lost(&self) -> bool {
        self.is_lost
    }

    pub(in crate::pool::scheduler) fn front_since(&self) -> Instant {
        self.front_since
    }

    pub(in crate::pool::scheduler) fn batch_since(&self) -> Instant {
        self.batch_since
    }

    /// Notes that what it is at began at `at`.
    pub(in crate::pool::scheduler) fn is_at_next_since(&mut self, at: Instant) {
        self.front_since = at;
    }

    /// Returns `true` if it has said that its initializer has returned.
    #[inline]
    pub(in crate::pool::scheduler) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Notes that it is ready: what it was sent begins now.
    pub(in crate::pool::scheduler) fn became_ready(&mut self) {
        self.is_ready = true;
        self.begins_now();
    }

    fn begins_now(&mut self) {
        self.front_since = Instant::now();
        self.batch_since = self.front_since;
    }

    /// Returns since when it has had nothing to do, which is `now` if nobody has noted it.
    pub(in crate::pool::scheduler) fn idle_since(&mut self, now: Instant) -> Instant {
        match self.has_nothing() {
            true => *self.idle_since.get_or_insert(now),
            false => self.idle_since.unwrap_or(now),
        }
    }
}

/// Sending.
impl LiveWorker {
    /// Notes that it could not take something, or that it is to be asked again.
    pub(in crate::pool::scheduler) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Returns `true` if it can take a chunk beside the `ahead` that it has in front of it.
    pub(in crate::pool::scheduler) fn can_take(&self, ahead: usize, most_tasks: u64) -> bool {
        let (count, load) = (self.ledger.len(), self.ledger.load());
        !self.is_full
            && self.ledger.assigned() < most_tasks
            && !self.posting.has_many_revoked()
            && (count < ahead || count < MOST && load < ENOUGH)
    }

    /// Returns how many chunks of a priority it could take beside those that it has of this
    /// and higher ones: `ahead` in all at least, or as many as give it enough to do, if it
    /// is known what they cost.
    pub(in crate::pool::scheduler) fn room(
        &self,
        ahead: usize,
        cost: Option<u64>,
        priority: i32,
    ) -> usize {
        let before = self.ledger.iter().filter(|sent| sent.priority >= priority);
        let (mut count, mut load) = (self.ledger.len(), self.ledger.load());
        if before.clone().count() < count {
            (count, load) = before.fold((0, 0), |(count, load), sent| {
                (count + 1, sent.cost() + load)
            });
        }
        let few = ahead.saturating_sub(count);
        let Some(cost) = cost else { return few };
        let many = ENOUGH.saturating_sub(load) / cost.max(1);
        few.max((many as usize).min(MOST.saturating_sub(self.ledger.len())))
    }

    /// Has it learn a function, unless it knows it.
    pub(in crate::pool::scheduler) fn define(
        &mut self,
        job: JobId,
        definition: &Encoded,
    ) -> Sending {
        let number = job.number();
        if self.known.get(number).copied().unwrap_or_default() {
            return Sending::Done;
        }
        let sent = match (&definition.body, &definition.descriptors[..]) {
            (Body::Inline(bytes), []) => self.post(Order::Define, job, bytes),
            _ => match self.send_packet(Kind::Call, definition) {
                Sending::Done => self.post(Order::DefineMailed, job, &[]),
                other => return other,
            },
        };
        if sent.is_none() {
            return Sending::NoRoom;
        }
        if self.known.len() <= number {
            self.known.resize(number + 1, false);
        }
        self.known[number] = true;
        self.is_dirty = true;
        Sending::Done
    }

    fn post(&mut self, order: Order, job: JobId, bytes: &[u8]) -> Option<u64> {
        self.posting
            .post(Post::new(order, job.number() as u32), bytes)
    }

    /// Has it forget a function, if it knows it. If there is no room, it learns something
    /// else under this number before it is asked to call it.
    pub(in crate::pool::scheduler) fn forget(&mut self, job: JobId) {
        if self.known.get_mut(job.number()).is_some_and(std::mem::take) {
            let _ = self.post(Order::Forget, job, &[]);
        }
    }

    /// Sends a packet, if there is room for it and for the order that is to follow.
    pub(in crate::pool::scheduler) fn send_packet(
        &mut self,
        kind: Kind,
        encoded: &Encoded,
    ) -> Sending {
        if self.ledger.len() >= MOST || !self.posting.has_slot() {
            return Sending::NoRoom;
        }
        match self.mail.try_send(kind, encoded) {
            Ok(()) => Sending::Done,
            // It is dead, of which the supervisor will hear.
            Err(error) if error.is_would_block() || error.is_disconnected() => Sending::NoRoom,
            Err(error) => Sending::Failed(error),
        }
    }

    /// Posts an order to call a function, with its arguments unless they went as a packet.
    /// Returns the index of the post.
    pub(in crate::pool::scheduler) fn post_run(
        &mut self,
        post: Post,
        arguments: &Arguments,
    ) -> Option<u64> {
        self.posting.post(post, arguments.records())
    }

    /// Enters what was posted into the ledger.
    pub(in crate::pool::scheduler) fn enter(&mut self, sent: Sent) {
        self.ledger.push(sent);
        self.is_dirty = true;
        self.idle_since = None;
        if self.ledger.len() == 1 {
            self.begins_now();
        }
    }

    /// Wakes it, if it was sent something since the last time.
    pub(in crate::pool::scheduler) fn announce(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            self.posting.announce();
        }
    }

    /// Tells it to end when it has done what it was sent. Returns `false` if it cannot be
    /// told, because the memory that it shares with the pool makes no sense.
    pub(in crate::pool::scheduler) fn post_stop(&mut self) -> bool {
        if !self.is_stopped {
            let posted = self.posting.post(Post::new(Order::Stop, 0), &[]);
            self.posting.announce();
            self.is_stopped = posted.is_some();
        }
        self.is_stopped
    }

    /// Takes the last chunk back, unless it has begun it.
    pub(in crate::pool::scheduler) fn take_back_last(&mut self) -> Option<ChunkId> {
        let posting = &mut self.posting;
        self.ledger.take_back_last(|index| posting.revoke(index))
    }

    /// Takes a chunk back, unless it has begun it.
    pub(in crate::pool::scheduler) fn take_back(&mut self, chunk: ChunkId) -> TakenBack {
        let posting = &mut self.posting;
        self.ledger.take_back(chunk, |index| posting.revoke(index))
    }

    /// Asks it to give back what it has not begun of its first chunk.
    pub(in crate::pool::scheduler) fn ask_for_rest(&mut self) {
        if let Some(post) = self.ledger.want_rest_of_first() {
            self.posting.ask_for_rest(post);
        }
    }

    /// Asks it to give back what it has not begun of a chunk that it has begun.
    pub(in crate::pool::scheduler) fn ask_for_rest_of(&mut self, chunk: ChunkId) {
        if let Some(post) = self.ledger.want_rest_of(chunk) {
            self.posting.ask_for_rest(post);
        }
    }

    /// Kills it, so that the call that it runs fails with a reason. Returns `false` if it
    /// cannot be killed: it is lost.
    pub(in crate::pool::scheduler) fn kill(
        &mut self,
        reason: TaskError,
        call: Option<u64>,
    ) -> bool {
        self.condemned.get_or_insert((reason, call));
        if self.process.kill().is_err() {
            // It ends when it has nothing else to do.
            self.post_stop();
            self.is_lost = true;
        }
        !self.is_lost
    }

    /// Condemns the call with this number; see [`PoolSide::condemn`].
    pub(in crate::pool::scheduler) fn condemn(&self, call: u64) -> bool {
        self.posting.condemn(call)
    }
}
