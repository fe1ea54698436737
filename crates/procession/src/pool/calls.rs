//! One function and many arguments: how it is to go, and the results.

use super::call::{Function, policies};
use super::run::{Feed, Options, Step};
use super::{Pool, TaskError};
use crate::Deadline;
use crate::process::{self, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Arguments that [`map_reduce`](Calls::map_reduce) puts together at most.
const MOST_REDUCED: usize = 1024;

/// Calls to be made of one function, from [`Pool::calls`].
///
/// Arguments are taken from their iterator as workers need them, so that it may be
/// without end. They go to workers in chunks, whose size follows from how long the
/// calls take: one at a time if they are long, thousands if they are short. The
/// iterator is asked in the thread that waits for results; while it makes that wait,
/// no result is given out, but arguments that it has given do not wait for others for
/// more than some milliseconds.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// use std::time::Duration;
/// fn halve(x: u64) -> Result<u64, String> {
///     if x % 2 == 0 { Ok(x / 2) } else { Err(format!("{x} is odd")) }
/// }
/// let pool = Pool::new(2)?;
/// let results = pool.calls(halve)
///     .chunk_size(10)
///     .timeout(Duration::from_secs(60))
///     .map(0..100)?;
/// assert_eq!(results[98], Ok(49));
/// assert_eq!(results[99], Err("99 is odd".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is called before `map` or another method that takes arguments"]
pub struct Calls<'p, A, R> {
    pool: &'p Pool,
    function: Function<A, R>,
    options: Options,
    policy: super::chunk::Policy,
}

impl<'p, A, R> Calls<'p, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    pub(super) fn new(pool: &'p Pool, function: Function<A, R>) -> Self {
        Calls {
            pool,
            function,
            options: Options::default(),
            policy: super::chunk::Policy::default(),
        }
    }

    policies!();

    /// How many arguments go to a worker at once, instead of as many as take half a
    /// millisecond.
    ///
    /// # Panics
    /// If it is zero.
    #[doc(alias = "chunksize")]
    pub fn chunk_size(mut self, arguments: u32) -> Self {
        assert!(arguments > 0, "a chunk of no arguments");
        self.options.chunk_size = Some(arguments);
        self
    }

    /// How many arguments may have been taken from the iterator whose results were not
    /// taken from ours, instead of some chunks for each worker; without meaning for
    /// [`map`](Calls::map), which keeps all results.
    ///
    /// # Panics
    /// If it is zero.
    #[doc(alias = "buffersize")]
    pub fn look_ahead(mut self, arguments: u64) -> Self {
        assert!(arguments > 0, "no arguments in advance");
        self.options.look_ahead = Some(arguments);
        self
    }

    /// Until when all calls must be done. What runs then is killed, with its worker.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.options.deadline = Some(deadline);
        self.policy.cancellable = true;
        self
    }

    /// Shows how far it has come, how fast, and how long it will take, in a bar on
    /// standard error, if that is a terminal.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let squares = pool.calls(|x: u64| x * x).progress().map(0..100)?;
    /// assert_eq!(squares[9], 81);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "progress")]
    pub fn progress(mut self) -> Self {
        self.options.shows_progress = true;
        self
    }

    fn feed<I>(self, arguments: I, is_ordered: bool) -> Result<Feed<I::IntoIter, R>, TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        let mut options = self.options;
        options.policy = self.policy;
        let shared = &self.pool.shared;
        Feed::new(
            shared,
            &self.function,
            arguments.into_iter(),
            options,
            is_ordered,
        )
    }

    /// Calls the function for each argument; all results, in their order.
    ///
    /// # Errors
    /// The failure of a call, and no further calls are made; with
    /// [`imap`](Calls::imap) the others go on.
    ///
    /// # Panics
    /// If the iterator panics, with the same.
    ///
    /// # Examples
    /// See [`Pool::map`].
    pub fn map<I>(mut self, arguments: I) -> Result<Vec<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        self.options.look_ahead = Some(u64::MAX);
        self.policy.in_bulk = true;
        let arguments = arguments.into_iter();
        let mut results = Vec::with_capacity(arguments.size_hint().0.min(1 << 20));
        let mut feed = self.feed(arguments, true)?;
        while let Step::Result(_, result) = feed.next(Deadline::NEVER) {
            results.push(result?);
            feed.take_values(&mut results)?;
        }
        Ok(results)
    }

    /// Calls the function for each argument, as long as the results are taken; results
    /// in their order.
    ///
    /// # Examples
    /// See [`Pool::imap`].
    #[doc(alias = "buffered")]
    pub fn imap<I>(self, arguments: I) -> Results<I::IntoIter, R>
    where
        I: IntoIterator<Item = A>,
    {
        Results::new(self.feed(arguments, true))
    }

    /// Calls the function for each argument, as long as the results are taken; results
    /// as they come.
    ///
    /// # Examples
    /// See [`Pool::imap_unordered`].
    #[doc(alias = "buffer_unordered")]
    pub fn imap_unordered<I>(self, arguments: I) -> Results<I::IntoIter, R>
    where
        I: IntoIterator<Item = A>,
    {
        Results::new(self.feed(arguments, false))
    }

    /// Calls the function for each argument, for what it does.
    ///
    /// # Errors
    /// As [`map`](Calls::map).
    ///
    /// # Examples
    /// See [`Pool::for_each`].
    pub fn for_each<I>(mut self, arguments: I) -> Result<(), TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        self.policy.in_bulk = true;
        let mut feed = self.feed(arguments, false)?;
        while let Step::Result(_, result) = feed.next(Deadline::NEVER) {
            result?;
        }
        Ok(())
    }

    /// Calls the function for each argument, and puts the results together two by two,
    /// in the workers and at last here, in no order: `reduce` has to be associative and
    /// commutative. `None` if there are no arguments.
    ///
    /// # Errors
    /// As [`map`](Calls::map); the place in the error is that of a group of arguments.
    /// [`Unsupported`](crate::ErrorKind::Unsupported): the function is a task that
    /// captures something.
    ///
    /// # Examples
    /// See [`Pool::map_reduce`].
    pub fn map_reduce<I>(self, reduce: fn(R, R) -> R, arguments: I) -> Result<Option<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
        A: 'static,
        R: 'static,
    {
        let Function::Plain(map) = self.function else {
            return Err(TaskError::from(
                crate::Error::new(crate::ErrorKind::Unsupported, "reducing results", "")
                    .because("the function is a task that captures something"),
            ));
        };
        self.pool.shared.check_process()?;
        let both = (Task::new(map)?, process::pair_of(reduce)?);
        let group = Task::lend(both, reduce_group::<A, R>)?;
        let mut arguments = arguments.into_iter();
        let size = match (self.options.chunk_size, arguments.size_hint()) {
            (Some(size), _) => size as usize,
            (None, (lower, Some(upper))) if lower == upper => {
                (lower / (self.pool.workers() * 16)).clamp(1, MOST_REDUCED)
            }
            _ => MOST_REDUCED / 16,
        };
        let groups = std::iter::from_fn(move || {
            let group: Vec<A> = arguments.by_ref().take(size).collect();
            (!group.is_empty()).then_some(group)
        });
        let mut calls = Calls::new(self.pool, Function::Task(group));
        calls.options = Options {
            chunk_size: None,
            ..self.options
        };
        calls.policy = self.policy;
        calls.policy.in_bulk = true;
        let mut whole = None;
        for part in calls.imap_unordered(groups) {
            whole = match (whole, part?) {
                (Some(whole), Some(part)) => Some(reduce(whole, part)),
                (whole, part) => whole.or(part),
            };
        }
        Ok(whole)
    }
}

/// A function, and one that puts two of its results together.
type Reduction<A, R> = (Task<A, R>, Task<(R, R), R>);

fn reduce_group<A, R>(both: &Reduction<A, R>, group: Vec<A>) -> Option<R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    let (map, reduce) = (both.0.function(), both.1.function_of_pair());
    let (Ok(map), Ok(reduce)) = (map, reduce) else {
        panic!("the functions are not where they were");
    };
    group.into_iter().map(map).reduce(reduce)
}

/// Results of many calls, as an iterator that takes arguments from another one as far
/// ahead as it may.
///
/// Each item is a result or how that call failed; the others go on. An error that
/// ends all (the pool is over, the deadline has passed) is the last item.
///
/// # If it is dropped
/// No more arguments are taken; calls that no worker has begun are not made.
///
/// # Examples
/// See [`Pool::imap`].
#[must_use = "arguments are only taken as results are taken"]
pub struct Results<I: Iterator, R> {
    feed: Option<Feed<I, R>>,
    refused: Option<TaskError>,
}

impl<I: Iterator, R> Results<I, R> {
    fn new(feed: Result<Feed<I, R>, TaskError>) -> Self {
        match feed {
            Ok(feed) => Results {
                feed: Some(feed),
                refused: None,
            },
            Err(error) => Results {
                feed: None,
                refused: Some(error),
            },
        }
    }
}

impl<I, R> Results<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// The next result with the place of its argument, from zero.
    pub fn next_indexed(&mut self) -> Option<(u64, Result<R, TaskError>)> {
        match self.step(Deadline::NEVER) {
            Step::Result(index, result) => Some((index, result)),
            Step::End | Step::NotYet => None,
        }
    }

    /// Waits at most `timeout` for the next result.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): there is none yet; it can be asked
    /// for again.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(1)?;
    /// let slowly = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    /// let mut results = pool.imap(slowly, [3_600_000]);
    /// assert!(results.next_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> crate::Result<Option<Result<R, TaskError>>> {
        self.next_deadline(Deadline::after(timeout))
    }

    /// Returns the next result, if there is one; `None` after the last.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): there is none yet.
    pub fn try_next(&mut self) -> crate::Result<Option<Result<R, TaskError>>> {
        self.next_deadline(Deadline::NOW)
    }

    /// Waits for the next result until `deadline`; `None` after the last.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`]: there is none
    /// yet; it can be asked for again.
    pub fn next_deadline(
        &mut self,
        deadline: Deadline,
    ) -> crate::Result<Option<Result<R, TaskError>>> {
        match self.step(deadline) {
            Step::Result(_, result) => Ok(Some(result)),
            Step::End => Ok(None),
            Step::NotYet => Err(crate::Error::new(
                deadline.error_kind(),
                "waiting for result of pool",
                "",
            )),
        }
    }

    /// How many arguments were taken, and how many results given out.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        self.feed.as_ref().map_or((0, 0), Feed::progress)
    }

    #[inline]
    fn step(&mut self, patience: Deadline) -> Step<R> {
        match (&mut self.feed, self.refused.take()) {
            (_, Some(error)) => Step::Result(0, Err(error)),
            (Some(feed), None) => feed.next(patience),
            (None, None) => Step::End,
        }
    }
}

impl<I, R> Iterator for Results<I, R>
where
    I: Iterator,
    I::Item: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_indexed().map(|(_, result)| result)
    }
}

impl<I: Iterator, R> std::fmt::Debug for Results<I, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results").finish_non_exhaustive()
    }
}
