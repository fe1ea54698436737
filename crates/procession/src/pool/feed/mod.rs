//! One function and many arguments, which are taken as they are needed.

mod chunks;
mod prepared;
mod whole;

pub(super) use whole::Whole;

use super::TaskError;
use super::function::{Function, no_thread};
use super::progress::Progress;
use super::scheduler::cancel::Running;
use super::scheduler::chunk::{Piece, Policy, first_value, value_of};
use super::scheduler::ids::{JobId, RunId};
use super::scheduler::{AHEAD, AHEAD_IN_BULK, Phase};
use super::shared::Shared;
use super::trace::RunSpan;
use crate::Deadline;
use crate::process::task::record;
use prepared::Prepared;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::ThreadId;

/// Results that may wait for those before them, for each worker.
const BUFFERED_CHUNKS: u64 = 8;

/// How a call for many arguments is to go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) policy: Policy,
    pub(super) chunk_size: Option<u32>,
    pub(super) look_ahead: Option<u64>,
    pub(super) deadline: Option<Deadline>,
    pub(super) shows_progress: bool,
}

/// A chunk whose arguments are being taken.
#[derive(Default)]
struct Building {
    records: Vec<u8>,
    count: u32,
}

/// What came of waiting for a result.
pub(super) enum Step<R> {
    /// One, with the place of its argument.
    Result(u64, Result<R, TaskError>),
    /// The last one was given out.
    End,
    NotYet,
}

enum Refill {
    Some,
    End,
    NotYet,
}

/// The calling thread. It is asked for with each result, and std takes longer to say.
#[inline]
fn this_thread() -> ThreadId {
    thread_local! {
        static THIS: ThreadId = std::thread::current().id();
    }
    THIS.with(|this| *this)
}

/// A call for many arguments that goes on.
pub(super) struct Feed<I: Iterator, R> {
    shared: Arc<Shared>,
    input: Option<I>,
    options: Options,
    is_ordered: bool,
    run: RunId,
    /// The thread that takes the results, as the pool knows it.
    user: ThreadId,
    job: JobId,
    progress: Progress,
    span: RunSpan,
    /// Arguments that were taken, results that were given out.
    taken: u64,
    given: u64,
    last_chunk: u32,
    building: Building,
    /// What was received and not decoded: the rest of a piece.
    open: Option<(u64, Vec<u8>, usize, u32)>,
    ready: VecDeque<Piece>,
    /// Pieces that wait for those before them.
    early: BTreeMap<u64, Piece>,
    types: std::marker::PhantomData<fn() -> R>,
}

impl<I, R> Feed<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    pub(super) fn new(
        shared: &Arc<Shared>,
        function: &Function<I::Item, R>,
        input: I,
        options: Options,
        is_ordered: bool,
    ) -> Result<Self, TaskError> {
        if options.policy.may_be_judged() && !shared.executor.ensure_thread() {
            return Err(no_thread().into());
        }
        let total = match input.size_hint() {
            (lower, Some(upper)) if lower == upper => Some(lower as u64),
            _ => None,
        };
        let progress = Progress::new(options.shows_progress, total);
        let span = RunSpan::new(std::any::type_name::<fn(I::Item) -> R>());
        // Last, for code of others may have panicked until here.
        let (run, job) = function.with_job(shared, |state, job| {
            (state.begin_run(job, this_thread()), job)
        })?;
        Ok(Feed {
            shared: Arc::clone(shared),
            input: Some(input),
            options,
            is_ordered,
            run,
            user: this_thread(),
            job,
            progress,
            span,
            taken: 0,
            given: 0,
            last_chunk: 0,
            building: Building::default(),
            open: None,
            ready: VecDeque::new(),
            early: BTreeMap::new(),
            types: std::marker::PhantomData,
        })
    }

    /// Waits for the next result, at most until `patience` says.
    #[inline]
    pub(super) fn next(&mut self, patience: Deadline) -> Step<R> {
        let user = this_thread();
        if user != self.user {
            // Also where the result is here already: who waits for the pool's end waits
            // for what other threads take.
            self.user = user;
            let run = self.run;
            self.shared
                .with_own(|state| state.tasks_mut().set_user(run, user));
        }
        loop {
            if let Some((index, bytes, offset, left)) = &mut self.open {
                if *left == 0 {
                    self.open = None;
                    continue;
                }
                let mut rest = &bytes[*offset..];
                let record = record::take(&mut rest);
                let given = *index;
                // Before it is decoded, which is code of others and may panic: the one
                // after it is the next one all the same.
                *offset = bytes.len() - rest.len();
                *index += 1;
                *left -= 1;
                self.given += 1;
                let result = value_of(record);
                return Step::Result(given, result.map_err(|error| error.at(Some(given))));
            }
            if let Some(piece) = self.next_piece() {
                match piece {
                    Piece::Values {
                        first,
                        count,
                        bytes,
                    } => self.open = Some((first, bytes, 0, count)),
                    other => {
                        self.given += 1;
                        let first = other.first();
                        return Step::Result(first, other.into_result());
                    }
                }
                continue;
            }
            match self.refill(patience) {
                Ok(Refill::Some) => {}
                Ok(Refill::End) => return Step::End,
                Ok(Refill::NotYet) => return Step::NotYet,
                Err(error) => {
                    let given = self.given;
                    self.stop();
                    return Step::Result(given, Err(error));
                }
            }
        }
    }

    /// Takes the results that are here and come next, as far as they are values.
    #[inline]
    pub(super) fn take_values(&mut self, values: &mut Vec<R>) -> Result<(), TaskError> {
        let Some((index, bytes, offset, left)) = self.open.take() else {
            return Ok(());
        };
        let mut rest = &bytes[offset..];
        self.given += u64::from(left);
        for number in 0..left {
            let value = first_value(&mut rest);
            values.push(value.map_err(|error| error.at(Some(index + u64::from(number))))?);
        }
        Ok(())
    }

    fn next_piece(&mut self) -> Option<Piece> {
        self.progress.set(self.given);
        if !self.is_ordered {
            return self.ready.pop_front();
        }
        while let Some(piece) = self.ready.pop_front() {
            if piece.first() == self.given {
                return Some(piece);
            }
            self.early.insert(piece.first(), piece);
        }
        let first = self.early.first_entry()?;
        (*first.key() == self.given).then(|| first.remove())
    }

    /// Gets more results, giving out arguments meanwhile.
    fn refill(&mut self, patience: Deadline) -> Result<Refill, TaskError> {
        let deadline = self.options.deadline.unwrap_or(Deadline::NEVER);
        if self.is_over() {
            return Ok(Refill::End);
        }
        self.shared.check_process()?;
        loop {
            self.feed()?;
            if !self.ready.is_empty() {
                return Ok(Refill::Some);
            }
            if self.is_over() {
                return Ok(Refill::End);
            }
            let (run, ahead) = (self.run, self.ahead());
            let Policy {
                in_bulk, priority, ..
            } = self.options.policy;
            let until = deadline.min(patience);
            let received = self.shared.wait(until, in_bulk, |state| {
                let pieces = state.tasks_mut().take_ready(run);
                // A worker that could take more is reason enough to come back.
                // (Not each of many: what they have lasts until they are half through.)
                let enough = if in_bulk { ahead / 2 } else { ahead };
                let has_room =
                    self.may_feed(state.slots()) && state.wants_chunks(enough, None, priority) > 0;
                (!pieces.is_empty() || has_room).then_some(pieces)
            });
            match received {
                Some(pieces) => self.ready = pieces,
                None if deadline.has_passed() => {
                    return Err(TaskError::timed_out());
                }
                None => return Ok(Refill::NotYet),
            }
            if !self.ready.is_empty() {
                // Workers go on while these are looked at.
                self.feed()?;
                return Ok(Refill::Some);
            }
        }
    }

    /// Most results that may be on their way.
    fn most_ahead(&self, workers: usize) -> u64 {
        self.options.look_ahead.unwrap_or_else(|| {
            let chunk = u64::from(self.last_chunk.max(1));
            BUFFERED_CHUNKS * chunk * workers as u64
        })
    }

    /// Chunks that each worker has in front of it.
    fn ahead(&self) -> usize {
        match self.options.policy.in_bulk {
            true => AHEAD_IN_BULK,
            false => AHEAD,
        }
    }

    fn may_feed(&self, workers: usize) -> bool {
        self.input.is_some() && self.taken - self.given < self.most_ahead(workers)
    }

    /// Takes arguments and gives them out, as long as workers want them.
    ///
    /// The iterator may panic, as may the encoding of an argument: what was taken before
    /// is given out all the same, so that its results come, and no more is taken.
    fn feed(&mut self) -> Result<(), TaskError> {
        while self.input.is_some() {
            let (job, ahead, size) = (self.job, self.ahead(), self.options.chunk_size);
            let priority = self.options.policy.priority;
            let (wanted, workers, estimate) = self.shared.with(|state| {
                let estimate = state
                    .jobs()
                    .get(job)
                    .and_then(super::scheduler::Job::estimate);
                let cost = estimate
                    .zip(size)
                    .map(|(each, size)| each.saturating_mul(size.into()));
                (
                    state.wants_chunks(ahead, cost, priority),
                    state.slots(),
                    estimate,
                )
            });
            let mut chunks = Vec::new();
            let take = AssertUnwindSafe(|| self.take(wanted, workers, estimate, &mut chunks));
            let panicked = std::panic::catch_unwind(take).err();
            self.close_chunk(None, &mut chunks);
            if chunks.is_empty() && panicked.is_none() {
                return Ok(());
            }
            let given_out = self.give_out(chunks);
            if let Some(payload) = panicked {
                self.input = None;
                std::panic::resume_unwind(payload);
            }
            given_out?;
        }
        Ok(())
    }

    fn give_out(&mut self, chunks: Vec<Prepared>) -> Result<(), TaskError> {
        let (run, job, policy) = (self.run, self.job, self.options.policy);
        self.shared.with(|state| {
            // Closing does not end what has begun; the end of the workers does.
            if state.is_stopping() || matches!(state.phase(), Phase::Over(_)) {
                return Shared::refusal(state.phase()).map_or(Ok(()), Err);
            }
            for chunk in chunks {
                chunk.give_to(state, (run, job), policy);
            }
            state.dispatch();
            Ok(())
        })
    }

    /// Arguments taken, and results given out.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.taken, self.given)
    }
}

impl<I: Iterator, R> Feed<I, R> {
    /// Takes no more arguments, and ends what was given out.
    fn stop(&mut self) {
        self.input = None;
        self.taken = self.given;
        self.open = None;
        self.ready.clear();
        self.early.clear();
        let run = self.run;
        let running = match self.options.deadline {
            Some(_) => Running::Killed,
            None => Running::Ignored,
        };
        let _ = self.shared.with_own(|state| state.end_run(run, running));
    }

    /// Returns `true` if all arguments were taken and all results given out.
    fn is_over(&self) -> bool {
        self.input.is_none() && self.given == self.taken
    }
}

impl<I: Iterator, R> Drop for Feed<I, R> {
    fn drop(&mut self) {
        let (run, job) = (self.run, self.job);
        let is_over = self.is_over();
        // In a copy of another process's, it is forgotten with the copy.
        let forgotten = self.shared.with_own(|state| {
            if !is_over {
                state.end_run(run, Running::Ignored);
            }
            state.remove_run(run, job);
        });
        if forgotten.is_none() {
            return;
        }
        // A pool that is closed may have waited for this.
        self.shared.doorbell.ring();
        // Last, for it is code of others.
        self.span.over(self.taken, self.given);
    }
}
