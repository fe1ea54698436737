//! Each argument that was given to a pool, until it has been answered.

mod background;
mod background_runs;
mod entry;
mod handles;
mod runs;

pub(in crate::pool) use entry::{Callback, Chunk, Owner, Place, Span};

use super::chunk::{Arguments, Piece, Policy};
use super::ids::{ChunkId, JobId, RunId, Table};
use crate::codec::Arrived;
use crate::pool::TaskError;
use background::Background;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::task::Waker;
use std::thread::ThreadId;

/// A call of one function for many arguments.
#[derive(Debug)]
struct Run {
    ready: VecDeque<Piece>,
    /// The thread that took its results last; `None` if it goes on by itself.
    user: Option<ThreadId>,
    /// What is known of one that goes on in the background.
    background: Option<Background>,
}

/// What to do for an answer, without the lock: it is the user's code.
#[derive(Debug)]
pub(in crate::pool) enum Notify {
    Wake(Waker),
    Call(Callback, Piece),
}

/// What became of the argument that was to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    /// It is its whole chunk, which stays where it is: a handle knows it by its number.
    Whole(ChunkId),
    /// It is a chunk of its own now, and no longer an argument of the other.
    Own(ChunkId),
}

impl Apart {
    pub(in crate::pool::scheduler) fn chunk(self) -> ChunkId {
        match self {
            Apart::Whole(chunk) | Apart::Own(chunk) => chunk,
        }
    }
}

/// Each argument that was given to the pool, the owner of its result, and what became of it.
///
/// Invariants:
/// - An argument is in exactly one chunk. It leaves it by being answered or by
///   [`set_apart`](TaskTable::set_apart) and [`split`](TaskTable::split), which put it into
///   another.
/// - An argument is answered exactly once: the methods that answer count it as done and give
///   the result to the owner, both or none.
/// - A chunk is removed when all of it is done, and if its owner is a handle, when that has
///   taken the result.
/// - `retriable` and `watched` count chunks and handles that are there.
#[derive(Debug, Default)]
pub(in crate::pool) struct TaskTable {
    chunks: Table<ChunkId, Chunk>,
    runs: Table<RunId, Run>,
    /// Chunks that may be tried again, whether somebody waits for them or not.
    retriable: usize,
    /// Runs in the background that have a deadline.
    timed_runs: usize,
    /// Wakers and callbacks of handles: somebody else than a waiting thread is to be told.
    watched: usize,
    /// Answers given, for threads that wait for any.
    answers: u64,
    notifications: Vec<Notify>,
}

impl std::ops::Index<ChunkId> for TaskTable {
    type Output = Chunk;

    #[inline]
    fn index(&self, chunk: ChunkId) -> &Chunk {
        &self.chunks[chunk]
    }
}

impl TaskTable {
    pub(in crate::pool) fn get(&self, chunk: ChunkId) -> Option<&Chunk> {
        self.chunks.get(chunk)
    }

    pub(in crate::pool::scheduler) fn retriable(&self) -> usize {
        self.retriable
    }

    pub(in crate::pool::scheduler) fn watched(&self) -> usize {
        self.watched
    }

    pub(in crate::pool::scheduler) fn answers(&self) -> u64 {
        self.answers
    }

    /// Takes what is to be told to handles.
    pub(in crate::pool::scheduler) fn take_notifications(&mut self) -> Vec<Notify> {
        std::mem::take(&mut self.notifications)
    }

    /// Adds a chunk, which the caller queues.
    pub(in crate::pool::scheduler) fn insert(
        &mut self,
        job: JobId,
        owner: Owner,
        policy: Policy,
        arguments: Arguments,
        span: Span,
    ) -> ChunkId {
        debug_assert!(span.count > 0, "a chunk has arguments");
        self.retriable += usize::from(policy.retries > 0);
        self.chunks.insert(Chunk {
            job,
            owner,
            place: Place::Queued,
            policy,
            arguments,
            span,
            done: 0,
            attempts: 0,
            early_deaths: 0,
            is_cancelled: false,
            result: None,
            waker: None,
            callback: None,
        })
    }

    pub(in crate::pool::scheduler) fn put(&mut self, chunk: ChunkId, place: Place) {
        debug_assert!(place != Place::Done, "`complete` does that");
        self.chunks[chunk].place = place;
    }

    /// Answers the next `count` arguments with values.
    #[inline]
    pub(in crate::pool::scheduler) fn answer_values(
        &mut self,
        id: ChunkId,
        count: u32,
        records: &[u8],
    ) {
        let first = self.chunks[id].first_left();
        let chunk = self.do_next(id, count);
        chunk.early_deaths = 0;
        if chunk.owner != Owner::Nobody {
            let bytes = records.to_vec();
            let values = Piece::Values {
                first,
                count,
                bytes,
            };
            self.deliver(id, values);
        }
    }

    /// Answers the next argument with a value that came as a packet.
    pub(in crate::pool::scheduler) fn answer_mailed(
        &mut self,
        id: ChunkId,
        body: Arrived,
        fds: Vec<OwnedFd>,
    ) {
        let first = self.chunks[id].first_left();
        self.do_next(id, 1);
        let value = Piece::Mailed {
            first,
            body,
            descriptors: fds,
        };
        self.deliver(id, value);
    }

    /// Answers the next argument with an error.
    pub(in crate::pool::scheduler) fn answer_failed(&mut self, id: ChunkId, error: TaskError) {
        let first = self.chunks[id].first_left();
        self.do_next(id, 1);
        self.deliver(id, Piece::Failed { first, error });
    }

    /// Counts arguments as done.
    #[inline]
    fn do_next(&mut self, id: ChunkId, count: u32) -> &mut Chunk {
        let chunk = &mut self.chunks[id];
        assert!(count <= chunk.left(), "an argument is answered once");
        chunk.done += count;
        chunk.attempts = 0;
        chunk
    }

    /// Gives a result to its owner.
    fn deliver(&mut self, id: ChunkId, piece: Piece) {
        self.answers += 1;
        let chunk = &mut self.chunks[id];
        match chunk.owner {
            Owner::Nobody => {}
            Owner::Handle => {
                debug_assert!(chunk.result.is_none(), "a handle has one result");
                if let Some(waker) = chunk.waker.take() {
                    self.watched -= 1;
                    self.notifications.push(Notify::Wake(waker));
                }
                match chunk.callback.take() {
                    Some(callback) => {
                        self.watched -= 1;
                        chunk.owner = Owner::Nobody;
                        self.notifications.push(Notify::Call(callback, piece));
                    }
                    None => chunk.result = Some(piece),
                }
            }
            Owner::Run(run) => {
                self.add_piece(run, piece);
            }
        }
    }

    /// Makes the next argument a chunk of its own, which has failed `attempts` times.
    pub(in crate::pool::scheduler) fn set_apart(&mut self, id: ChunkId, attempts: u32) -> Apart {
        let chunk = &mut self.chunks[id];
        if chunk.span.count == 1 {
            chunk.attempts = attempts;
            return Apart::Whole(id);
        }
        let mut arguments = chunk.arguments.clone();
        arguments.skip(chunk.done);
        if chunk.left() > 1 {
            arguments.split_off(1);
        }
        let first = chunk.first_left();
        let (job, owner, policy) = (chunk.job, chunk.owner, chunk.policy);
        self.do_next(id, 1);
        let own = self.insert(job, owner, policy, arguments, Span { first, count: 1 });
        self.chunks[own].attempts = attempts;
        Apart::Own(own)
    }

    /// Makes the arguments behind the first `keep` a chunk of their own. None of the chunk
    /// is done.
    pub(in crate::pool::scheduler) fn split(&mut self, id: ChunkId, keep: u32) -> ChunkId {
        let chunk = &mut self.chunks[id];
        debug_assert!(chunk.done == 0 && (1..chunk.span.count).contains(&keep));
        let rest = chunk.arguments.split_off(keep);
        let span = Span {
            first: chunk.span.first + u64::from(keep),
            count: chunk.span.count - keep,
        };
        chunk.span.count = keep;
        let (job, owner, policy) = (chunk.job, chunk.owner, chunk.policy);
        let is_cancelled = chunk.is_cancelled;
        let part = self.insert(job, owner, policy, rest, span);
        self.chunks[part].is_cancelled = is_cancelled;
        part
    }

    /// Forgets arguments that are done, before the chunk is sent again.
    pub(in crate::pool::scheduler) fn rebase(&mut self, id: ChunkId) {
        let chunk = &mut self.chunks[id];
        chunk.arguments.skip(chunk.done);
        chunk.span.first += u64::from(chunk.done);
        chunk.span.count -= chunk.done;
        chunk.done = 0;
    }

    /// Counts a worker that died with the chunk before it had begun it; returns how many
    /// have in a row.
    pub(in crate::pool::scheduler) fn count_early_death(&mut self, id: ChunkId) -> u32 {
        let chunk = &mut self.chunks[id];
        chunk.early_deaths += 1;
        chunk.early_deaths
    }

    /// Takes in that all of a chunk is done. Returns its job, of which it is no user any
    /// more.
    pub(in crate::pool::scheduler) fn complete(&mut self, id: ChunkId) -> JobId {
        let chunk = &mut self.chunks[id];
        assert_eq!(chunk.left(), 0, "each argument is answered");
        debug_assert!(chunk.place != Place::Done, "a chunk is completed once");
        chunk.place = Place::Done;
        self.retriable -= usize::from(chunk.policy.retries > 0);
        let job = chunk.job;
        // They are not needed any more.
        chunk.arguments = Arguments::none();
        if chunk.owner != Owner::Handle {
            self.chunks.remove(id);
        }
        job
    }

    /// Takes away the owner of a chunk.
    pub(in crate::pool::scheduler) fn disown(&mut self, id: ChunkId) {
        self.chunks[id].owner = Owner::Nobody;
    }

    /// Notes that nobody wants further results.
    pub(in crate::pool::scheduler) fn cancel(&mut self, id: ChunkId) {
        self.chunks[id].is_cancelled = true;
    }

    /// Changes how a chunk is to be run.
    pub(in crate::pool::scheduler) fn policy_mut(&mut self, id: ChunkId) -> &mut Policy {
        &mut self.chunks[id].policy
    }
}
