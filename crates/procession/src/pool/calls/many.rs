//! Many arguments, from an iterator.

use super::Calls;
use crate::Deadline;
use crate::pool::feed::{Feed, Step};
use crate::pool::{Results, TaskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl<A, R> Calls<'_, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
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

    /// Calls the function for each argument, and returns all results, in order.
    ///
    /// # Blocking
    /// Until all results are there; with a [deadline](Calls::deadline), at most until then.
    ///
    /// # Errors
    /// The first failure of a call, after which no further calls are made; with
    /// [`imap`](Calls::imap) the others go on.
    ///
    /// # Panics
    /// If the iterator panics, with the same payload.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(2)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.task(&scale).map(1..=3)?, [3, 6, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Calls the function for each argument as results are taken, and returns an iterator
    /// over the results, in order.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let mut results = pool.calls(|x: u64| 100 / x).retries(1).imap([1, 0, 2]);
    /// assert_eq!(results.next().unwrap()?, 100);
    /// assert_eq!(results.next().unwrap().unwrap_err().attempts(), 2);
    /// assert_eq!(results.next().unwrap()?, 50);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "buffered")]
    pub fn imap<I>(self, arguments: I) -> Results<I::IntoIter, R>
    where
        I: IntoIterator<Item = A>,
    {
        Results::new(self.feed(arguments, true))
    }

    /// Calls the function for each argument as results are taken, and returns an iterator
    /// over the results, in the order in which the calls end.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// let results = pool.calls(|x: u64| x * x).priority(1).imap_unordered(0..10);
    /// assert_eq!(results.sum::<Result<u64, _>>()?, 285);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// use procession::{pool::Pool, process::Task, shared::Counter};
    /// let (pool, total) = (Pool::new(2)?, Counter::new(0)?);
    /// let add = Task::lend(total.clone(), |total: &Counter, x: i64| { total.add(x); })?;
    /// pool.task(&add).for_each(1..=100)?;
    /// assert_eq!(total.get(), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
}
