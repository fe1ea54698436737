//! A function over many arguments, in the background.

use super::TaskError;
use super::calls::Calls;
use super::feed::Whole;
use super::function::no_thread;
use super::scheduler::after;
use super::scheduler::cancel::Running;
use super::scheduler::chunk::{Piece, value_of};
use super::scheduler::ids::{JobId, RunId};
use super::shared::Shared;
use super::trace::RunSpan;
use crate::process::task::record;
use crate::{Deadline, Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Calls of one function for many arguments that a pool makes in the background, and their
/// results, in the order of the arguments.
///
/// [`Calls::spawn_map`] makes it. It is also a future, for any executor.
///
/// # If the handle is dropped
/// The calls go on, and their results are thrown away, as with a
/// [`TaskHandle`](super::TaskHandle).
///
/// # If a process dies
/// If a worker dies, the call that it was in has failed, unless it is tried again. The first
/// failure is that of the whole.
///
/// # If the pool is dropped
/// Calls that are not done fail as [cancelled](TaskError::is_cancelled).
/// [`Pool::join`](super::Pool::join) waits until all are done; the handle still has the results
/// then.
///
/// # Across fork and exec
/// It is of no use in other processes. In a forked copy of the process, joining it fails with
/// [`Unsupported`](ErrorKind::Unsupported), and dropping the copy does nothing.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// let pool = Pool::new(2)?;
/// let squares = pool.calls(|x: u64| x * x).spawn_map(1..=5)?;
/// // Something else, meanwhile.
/// assert_eq!(squares.total(), 5);
/// assert_eq!(squares.join()?, [1, 4, 9, 16, 25]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the results are lost with the handle; `detach` says that that is meant"]
pub struct MapHandle<R> {
    shared: Arc<Shared>,
    /// `None` when it was joined.
    run: Option<(RunId, JobId)>,
    total: u64,
    span: RunSpan,
    result: PhantomData<fn() -> R>,
}

impl<A, R> Calls<'_, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Calls the function for each argument in the background, and returns a handle for all of
    /// the calls.
    ///
    /// All arguments are taken before this returns, on this thread, and wait in this process
    /// until workers take them. If the iterator or the encoding of an argument panics, so does
    /// this, and the function is not called. [`look_ahead`](Calls::look_ahead) has no effect.
    ///
    /// # Blocking
    /// Does not wait for workers.
    ///
    /// # Errors
    /// - the pool is closed or over; it is of another process
    /// - [`LimitReached`](ErrorKind::LimitReached): no thread can be made for `retry_if`
    ///
    /// An argument that cannot be encoded is a failure of its call.
    ///
    /// # Cost
    /// All arguments, encoded, in memory. Since each call can be cancelled, some tens of
    /// nanoseconds more for each call than [`map`](Calls::map).
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// fn halve(x: u64) -> u64 {
    ///     if x % 2 == 0 { x / 2 } else { panic!("{x} is odd") }
    /// }
    /// let pool = Pool::new(2)?;
    /// let mut halves = pool.calls(halve).spawn_map((0..100).step_by(2))?;
    /// let results = loop {
    ///     match halves.join_timeout(Duration::from_millis(10)) {
    ///         Ok(results) => break results?,
    ///         Err(_not_yet) => println!("{} of {}", halves.done(), halves.total()),
    ///     }
    /// };
    /// assert_eq!(results[49], 49);
    /// let failed = pool.calls(halve).spawn_map([2, 3, 4])?.join().unwrap_err();
    /// assert_eq!(failed.index(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "map_async")]
    pub fn spawn_map<I>(self, arguments: I) -> Result<MapHandle<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        let shared = self.shared;
        shared.check_process()?;
        let mut policy = self.policy;
        (policy.in_bulk, policy.cancellable) = (true, true);
        if policy.may_be_judged() && !shared.executor.ensure_thread() {
            return Err(no_thread().into());
        }
        let whole = Whole::take(arguments.into_iter());
        let total = whole.total();
        let span = RunSpan::new(std::any::type_name::<fn(A) -> R>());
        let (estimate, workers) = self.function.with_job(shared, |state, job| {
            let job = state.jobs().get(job);
            (job.and_then(super::scheduler::Job::estimate), state.slots())
        })?;
        let size = self.options.chunk_size;
        let size = size.unwrap_or_else(|| whole.chunk_size(workers, estimate));
        let chunks = whole.into_chunks(size);
        let left = self.options.deadline.and_then(Deadline::remaining);
        let until = left.and_then(|left| after(Instant::now(), left));
        let run = self.function.with_job(shared, |state, job| {
            let run = state.begin_background_run(job, total, until);
            for chunk in chunks {
                chunk.give_to(state, (run, job), policy);
            }
            state.dispatch();
            (run, job)
        })?;
        Ok(MapHandle {
            shared: Arc::clone(shared),
            run: Some(run),
            total,
            span,
            result: PhantomData,
        })
    }
}

impl<R> MapHandle<R> {
    /// Returns the number of calls.
    ///
    /// # Examples
    /// See [`done`](MapHandle::done).
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the number of calls that have ended, well or not. A call that is to be tried again
    /// has not ended.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let squares = pool.calls(|x: u64| x * x).spawn_map(0..1000)?;
    /// while !squares.is_finished() {
    ///     assert!(squares.done() <= squares.total());
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(squares.done(), 1000);
    /// squares.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn done(&self) -> u64 {
        let Some((run, _)) = self.run else {
            return self.total;
        };
        let done = self.shared.with_own(|state| {
            state.collect();
            state.tasks().done_of(run)
        });
        done.unwrap_or_default()
    }

    /// Returns `true` if all calls have ended, or one has failed: [`join`](MapHandle::join) does
    /// not block.
    ///
    /// # Examples
    /// See [`done`](MapHandle::done).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let Some((run, _)) = self.run else {
            return true;
        };
        let is_finished = self.shared.with_own(|state| {
            state.collect();
            state.tasks().is_run_over(run)
        });
        // In a copy of the process, joining it fails at once.
        is_finished.unwrap_or(true)
    }

    /// Returns the first failure, if a call has failed. The other calls go on until the handle
    /// is joined or they are [cancelled](MapHandle::cancel).
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let shares = pool.calls(|x: u64| 12 / x).spawn_map([3, 0, 4])?;
    /// while !shares.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(shares.first_failure().unwrap().index(), Some(1));
    /// shares.detach();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn first_failure(&self) -> Option<TaskError> {
        let (run, _) = self.run?;
        let failure = self.shared.with_own(|state| {
            state.collect();
            state.tasks().failure_of(run).cloned()
        });
        failure.flatten()
    }

    /// Lets the calls go on by themselves; their results are thrown away.
    ///
    /// # Examples
    /// See [`first_failure`](MapHandle::first_failure).
    pub fn detach(self) {}

    /// Ends all calls that have not ended, begun or not: the workers that are in one are killed,
    /// and others take their places. If all results are here already, they stay.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(2)?;
    /// let naps = pool.calls(|seconds| std::thread::sleep(Duration::from_secs(seconds)));
    /// let naps = naps.spawn_map([3600; 10])?;
    /// naps.cancel();
    /// assert!(naps.join().unwrap_err().is_cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) {
        self.cancel_after(Duration::ZERO);
    }

    /// Gives notice to the calls that run, which they see with
    /// [`stop_requested`](super::stop_requested), and ends those that have not ended by
    /// themselves after `grace`. Calls that have not begun never begin.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{self, Pool};
    /// use std::time::Duration;
    /// fn search(_: u64) {
    ///     while !pool::stop_requested() {
    ///         std::thread::yield_now();
    ///     }
    /// }
    /// let pool = Pool::new(2)?;
    /// let searches = pool.calls(search).spawn_map(0..10)?;
    /// searches.cancel_after(Duration::from_secs(60));
    /// assert!(searches.join().unwrap_err().is_cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_after(&self, grace: Duration) {
        if let Some((run, _)) = self.run {
            let _ = self.shared.with_own(|state| state.cancel_run(run, grace));
        }
    }
}

impl<R: DeserializeOwned> MapHandle<R> {
    /// Blocks until all results are here, or one call has failed; returns the results in the
    /// order of the arguments.
    ///
    /// # Errors
    /// The failure that came first. Calls that no worker has begun are not made then; results of
    /// others are thrown away.
    pub fn join(mut self) -> Result<Vec<R>, TaskError> {
        self.join_deadline(Deadline::NEVER)
            .unwrap_or_else(|error| Err(error.into()))
    }

    /// Returns the results if all are here; the failure of a call is the inner error.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): calls are left, and none has failed.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let mut naps = pool.calls(|_: u8| std::thread::park()).spawn_map([0])?;
    /// assert!(naps.try_join().unwrap_err().is_would_block());
    /// naps.cancel();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_join(&mut self) -> crate::Result<Result<Vec<R>, TaskError>> {
        self.join_deadline(Deadline::NOW)
    }

    /// Blocks until all results are here or one call has failed, at most `timeout`; the failure
    /// is the inner error.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): calls are left, and none has failed. They go on.
    ///
    /// # Examples
    /// See [`Calls::spawn_map`].
    pub fn join_timeout(&mut self, timeout: Duration) -> crate::Result<Result<Vec<R>, TaskError>> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Blocks until all results are here, one call has failed, or the deadline has passed; the
    /// failure is the inner error.
    ///
    /// # Errors
    /// As [`join_timeout`](MapHandle::join_timeout), or, with [`Deadline::NOW`], as
    /// [`try_join`](MapHandle::try_join).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, pool::Pool};
    /// let pool = Pool::new(2)?;
    /// let mut lengths = pool.calls(|word: String| word.len()).spawn_map(["a".to_owned()])?;
    /// assert_eq!(lengths.join_deadline(Deadline::NEVER)??, [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_deadline(
        &mut self,
        deadline: Deadline,
    ) -> crate::Result<Result<Vec<R>, TaskError>> {
        let Some((run, _)) = self.run else {
            return Ok(Err(joined_before()));
        };
        if let Err(error) = self.shared.check_process() {
            return Ok(Err(error.into()));
        }
        let outcome = self.shared.wait(deadline, true, |state| {
            let tasks = state.tasks_mut();
            tasks.is_run_over(run).then(|| outcome_of(tasks, run))
        });
        match outcome {
            Some(outcome) => Ok(self.take(outcome)),
            None => {
                let why = format!("{} of {} calls have ended", self.done(), self.total);
                Err(Error::new(deadline.error_kind(), "joining map", "").because(why))
            }
        }
    }

    /// Decodes the results of a run that is over, which is code of others.
    fn take(&mut self, outcome: Outcome) -> Result<Vec<R>, TaskError> {
        if let Some((run, job)) = self.run.take() {
            let waker = self.shared.with_own(|state| {
                let waker = state.tasks_mut().unwatch_run(run);
                if outcome.is_err() {
                    state.end_run(run, Running::Ignored);
                }
                state.remove_run(run, job);
                waker
            });
            // Its destructor is code of others.
            drop(waker);
        }
        self.span.over(self.total, self.total);
        let mut pieces = outcome?;
        pieces.sort_unstable_by_key(Piece::first);
        let mut results = Vec::with_capacity(self.total as usize);
        for piece in pieces {
            let first = piece.first();
            let at = |error: TaskError, number: u64| error.at(Some(first + number));
            match piece {
                Piece::Values { count, bytes, .. } => {
                    let mut rest = &bytes[..];
                    for number in 0..u64::from(count) {
                        let value = value_of(record::take(&mut rest));
                        results.push(value.map_err(|error| at(error, number))?);
                    }
                }
                other => results.push(other.into_result().map_err(|error| at(error, 0))?),
            }
        }
        Ok(results)
    }
}

/// The results of a run, or its first failure.
type Outcome = Result<Vec<Piece>, TaskError>;

fn outcome_of(tasks: &mut super::scheduler::task_table::TaskTable, run: RunId) -> Outcome {
    match tasks.failure_of(run) {
        Some(failure) => Err(failure.clone()),
        None => Ok(tasks.take_ready(run).into()),
    }
}

fn joined_before() -> TaskError {
    let error = Error::new(ErrorKind::InvalidInput, "joining map", "");
    TaskError::io(error.because("it was joined before"))
}

impl<R: DeserializeOwned> Future for MapHandle<R> {
    type Output = Result<Vec<R>, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((run, _)) = self.run else {
            return Poll::Ready(Err(joined_before()));
        };
        if let Err(error) = self.shared.check_process() {
            return Poll::Ready(Err(error.into()));
        }
        // Wakers are code of others, which the lock is not held for.
        let mut waker = Some(context.waker().clone());
        let outcome = self.shared.with(|state| {
            state.collect();
            let tasks = state.tasks_mut();
            if tasks.is_run_over(run) {
                return Some(outcome_of(tasks, run));
            }
            if let Some(new) = waker.take() {
                waker = tasks.watch_run(run, new);
            }
            None
        });
        drop(waker);
        match outcome {
            Some(outcome) => Poll::Ready(self.take(outcome)),
            None => Poll::Pending,
        }
    }
}

impl<R> Drop for MapHandle<R> {
    fn drop(&mut self) {
        let Some((run, job)) = self.run else { return };
        // In a copy of another process's, this is forgotten with the copy.
        let waker = self.shared.with_own(|state| state.detach_run(run, job));
        // Its destructor is code of others.
        drop(waker);
    }
}

impl<R> std::fmt::Debug for MapHandle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapHandle")
            .field("done", &self.done())
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}
