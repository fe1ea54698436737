//! One result of many arguments.

use super::Calls;
use crate::pool::TaskError;
use crate::pool::feed::Options;
use crate::pool::function::Function;
use crate::process::{self, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Arguments that [`map_reduce`](Calls::map_reduce) puts together at most.
const MOST_REDUCED: usize = 1024;

impl<A, R> Calls<'_, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Calls the function for each argument, and combines the results two by two with
    /// `reduce`, in the workers and at last here, in no order: `reduce` has to be associative
    /// and commutative. Returns `None` if there are no arguments.
    ///
    /// Results of a [`Task`] that captures values, or has a name, are combined here only.
    ///
    /// # Errors
    /// As [`map`](Calls::map). If workers combine, [`index`](TaskError::index) of the error is
    /// that of a group of arguments.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(2)?;
    /// let longest = pool.calls(|text: String| text.len()).chunk_size(2);
    /// let texts = ["a", "bcd", "ef"].map(str::to_owned);
    /// assert_eq!(longest.map_reduce(usize::max, texts)?, Some(3));
    ///
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.task(&scale).map_reduce(|a, b| a + b, 1..=4)?, Some(30));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_reduce<I>(self, reduce: fn(R, R) -> R, arguments: I) -> Result<Option<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
        A: 'static,
        R: 'static,
    {
        let map = match &self.function {
            Function::Plain(map) => *map,
            Function::Task(task) => match task.function() {
                Ok(map) => map,
                Err(_captures) => return self.reduce_here(reduce, arguments),
            },
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
        combine(calls.imap_unordered(groups), |whole, part| {
            match (whole, part) {
                (Some(whole), Some(part)) => Some(reduce(whole, part)),
                (whole, part) => whole.or(part),
            }
        })
        .map(Option::flatten)
    }

    fn reduce_here<I>(mut self, reduce: fn(R, R) -> R, arguments: I) -> Result<Option<R>, TaskError>
    where
        I: IntoIterator<Item = A>,
    {
        self.policy.in_bulk = true;
        combine(self.imap_unordered(arguments), reduce)
    }
}

fn combine<T>(
    mut results: impl Iterator<Item = Result<T, TaskError>>,
    reduce: impl Fn(T, T) -> T,
) -> Result<Option<T>, TaskError> {
    let Some(first) = results.next().transpose()? else {
        return Ok(None);
    };
    results
        .try_fold(first, |whole, part| Ok(reduce(whole, part?)))
        .map(Some)
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
