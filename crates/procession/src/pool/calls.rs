//! One function and many arguments: how it is to go, and the results.

use super::TaskError;
use super::call::{Function, policies};
use super::feed::{Feed, Options, Step};
use super::results::Results;
use super::shared::Shared;
use crate::Deadline;
use crate::process::{self, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Arguments that [`map_reduce`](Calls::map_reduce) puts together at most.
const MOST_REDUCED: usize = 1024;

/// Calls to be made of one function, from [`Pool::calls`](crate::pool::Pool::calls).
///
/// Arguments are taken from their iterator as workers need them, so that it may be
/// without end. They go to workers in chunks, whose size follows from how long the
/// calls take: one at a time if they are long, thousands if they are short. The thread
/// that waits for results calls `next` of the iterator. While `next` blocks, no result is
/// returned; arguments that were taken before go to workers after some milliseconds.
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
    pub(super) shared: &'p Arc<Shared>,
    pub(super) function: Function<A, R>,
    pub(super) options: Options,
    pub(super) policy: super::scheduler::chunk::Policy,
}

impl<'p, A, R> Calls<'p, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    pub(super) fn new(shared: &'p Arc<Shared>, function: Function<A, R>) -> Self {
        Calls {
            shared,
            function,
            options: Options::default(),
            policy: super::scheduler::chunk::Policy::default(),
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

    /// Sets how many arguments may be taken from the iterator ahead of the results that
    /// were taken; unless set, some chunks for each worker. It has no effect on
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
        Feed::new(
            self.shared,
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
    /// See [`Pool::map`](crate::pool::Pool::map).
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
    /// See [`Pool::imap`](crate::pool::Pool::imap).
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
    /// See [`Pool::imap_unordered`](crate::pool::Pool::imap_unordered).
    #[doc(alias = "buffer_unordered")]
    pub fn imap_unordered<I>(self, arguments: I) -> Results<I::IntoIter, R>
    where
        I: IntoIterator<Item = A>,
    {
        Results::new(self.feed(arguments, false))
    }

    /// Calls the function once per argument and discards the results.
    ///
    /// # Errors
    /// As [`map`](Calls::map).
    ///
    /// # Examples
    /// See [`Pool::for_each`](crate::pool::Pool::for_each).
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
    /// See [`Pool::map_reduce`](crate::pool::Pool::map_reduce).
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
        self.shared.check_process()?;
        let both = (Task::new(map)?, process::pair_of(reduce)?);
        let group = Task::lend(both, reduce_group::<A, R>)?;
        let mut arguments = arguments.into_iter();
        let size = match (self.options.chunk_size, arguments.size_hint()) {
            (Some(size), _) => size as usize,
            (None, (lower, Some(upper))) if lower == upper => {
                (lower / (self.shared.workers() * 16)).clamp(1, MOST_REDUCED)
            }
            _ => MOST_REDUCED / 16,
        };
        let groups = std::iter::from_fn(move || {
            let group: Vec<A> = arguments.by_ref().take(size).collect();
            (!group.is_empty()).then_some(group)
        });
        let mut calls = Calls::new(self.shared, Function::Task(group));
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
