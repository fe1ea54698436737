//! One function and how its calls are to go.

mod many;
mod reduce;
mod single;

use super::TaskError;
use super::feed::Options;
use super::function::Function;
use super::scheduler::chunk::Policy;
use super::shared::Shared;
use crate::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Calls to be made of one function, from [`Pool::calls`](crate::pool::Pool::calls) or
/// [`Pool::task`](crate::pool::Pool::task): first how they are to go, then the arguments.
///
/// [`call`](Calls::call) and [`spawn`](Calls::spawn) make one call, and can be used again
/// and again; the others take an iterator. Arguments are taken from it as workers need them,
/// so that it may be without end. They go to workers in chunks, whose size follows from how
/// long the calls take: one at a time if they are long, thousands if they are short. The
/// thread that waits for results calls `next` of the iterator. While `next` blocks, no result
/// is returned; arguments that were taken before go to workers after some milliseconds.
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
///
/// let careful = pool.calls(halve).timeout(Duration::from_secs(60)).retries(3);
/// assert_eq!(careful.call(8)?, Ok(4));
/// assert_eq!(careful.spawn(10)?.join()?, Ok(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is called before `call`, `map` or another method that takes arguments"]
pub struct Calls<'p, A, R> {
    pub(super) shared: &'p Arc<Shared>,
    pub(super) function: Function<A, R>,
    pub(super) options: Options,
    pub(super) policy: Policy,
}

impl<A, R> Clone for Calls<'_, A, R> {
    fn clone(&self) -> Self {
        Calls {
            shared: self.shared,
            function: self.function.clone(),
            options: self.options,
            policy: self.policy,
        }
    }
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
            policy: Policy::default(),
        }
    }

    /// Kills the worker of a call that runs longer, and fails the call; another worker takes
    /// its place. Children of the worker are killed with it. A time that is too long to be
    /// counted is no limit.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// fn sleep(milliseconds: u64) { std::thread::sleep(Duration::from_millis(milliseconds)); }
    /// let pool = Pool::new(1)?;
    /// let error = pool.calls(sleep).timeout(Duration::from_millis(5)).call(3_600_000).unwrap_err();
    /// assert!(error.is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.policy.timeout = Some(timeout);
        self
    }

    /// Gives notice to a call that runs longer, which the function sees with
    /// [`stop_requested`](super::stop_requested). Notice does nothing else.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{self, Pool};
    /// use std::time::Duration;
    /// fn search(_: ()) -> u64 {
    ///     let mut tried = 0;
    ///     while !pool::stop_requested() {
    ///         tried += 1;
    ///     }
    ///     tried
    /// }
    /// let pool = Pool::new(1)?;
    /// let tried = pool.calls(search).notice_after(Duration::from_millis(5)).call(())?;
    /// assert!(tried > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn notice_after(mut self, time: Duration) -> Self {
        self.policy.notice = Some(time);
        self
    }

    /// Makes a call that failed again, at most `retries` times. Whatever the function did
    /// before it failed is done again.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, shared::Counter};
    /// fn third_time_lucky(tries: Counter) -> i64 {
    ///     let before = tries.add(1);
    ///     assert!(before >= 2);
    ///     before
    /// }
    /// let pool = Pool::new(1)?;
    /// assert_eq!(pool.calls(third_time_lucky).retries(2).call(Counter::new(0)?)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.policy.retries = retries;
        self
    }

    /// Retries only failures for which `retry_if` returns `true`, for example deaths of
    /// processes, and not panics.
    ///
    /// A thread that the pool keeps for callbacks calls `retry_if`, which may use the pool.
    /// Until it returns, the call is neither retried nor failed. If it panics, the panic is
    /// printed, and the call has failed.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let calls = pool.calls(|()| -> u8 { panic!("always") })
    ///     .retries(5)
    ///     .retry_if(|error| error.signal().is_some());
    /// assert_eq!(calls.call(()).unwrap_err().attempts(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn retry_if(mut self, retry_if: fn(&TaskError) -> bool) -> Self {
        self.policy.retry_if = Some(retry_if);
        self
    }

    /// Waits for `wait` before the first retry, and twice as long before each further one,
    /// up to 65,536 times as long. A time that is too long to be counted never ends.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::{Duration, Instant};
    /// let pool = Pool::new(1)?;
    /// let calls = pool.calls(|()| -> u8 { panic!("always") }).retries(2);
    /// let begin = Instant::now();
    /// assert!(calls.backoff(Duration::from_millis(5)).call(()).is_err());
    /// assert!(begin.elapsed() >= Duration::from_millis(15));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn backoff(mut self, wait: Duration) -> Self {
        self.policy.backoff = wait;
        self
    }

    /// Sets the priority; 0 unless set. Workers begin calls of higher priority first. A
    /// worker in the middle of a chunk of lower priority finishes the call that it runs, and
    /// gives the other calls of the chunk back.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let urgent = pool.calls(|x: u64| x + 1).priority(10);
    /// assert_eq!(urgent.call(1)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn priority(mut self, priority: i32) -> Self {
        self.policy.priority = priority;
        self
    }

    /// Sets how many arguments go to a worker at once, instead of as many as take half a
    /// millisecond. It has no effect on [`call`](Calls::call) and [`spawn`](Calls::spawn).
    ///
    /// # Panics
    /// If it is zero.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(2)?;
    /// assert_eq!(pool.calls(|x: u64| x + 1).chunk_size(1).map(0..3)?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let (pool, mut taken) = (Pool::new(2)?, 0);
    /// let arguments = (0..100).inspect(|_| taken += 1);
    /// let mut results = pool.calls(|x: u64| x + 1).look_ahead(3).imap(arguments);
    /// assert_eq!(results.next().unwrap()?, 1);
    /// drop(results);
    /// assert!(taken <= 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "buffersize")]
    pub fn look_ahead(mut self, arguments: u64) -> Self {
        assert!(arguments > 0, "no arguments in advance");
        self.options.look_ahead = Some(arguments);
        self
    }

    /// Sets until when all calls must be done. What runs then is killed, with its worker.
    ///
    /// It has no effect on [`spawn`](Calls::spawn), whose handle has
    /// [`join_deadline`](super::TaskHandle::join_deadline) and
    /// [`cancel`](super::TaskHandle::cancel).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, pool::Pool};
    /// use std::time::Duration;
    /// fn sleep(milliseconds: u64) { std::thread::sleep(Duration::from_millis(milliseconds)); }
    /// let pool = Pool::new(2)?;
    /// let soon = || Deadline::after(Duration::from_millis(20));
    /// let late = pool.calls(sleep).deadline(soon()).map([0, 3_600_000]).unwrap_err();
    /// assert!(late.is_timeout());
    /// let late = pool.calls(sleep).deadline(soon()).call(3_600_000).unwrap_err();
    /// assert!(late.is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.options.deadline = Some(deadline);
        self.policy.cancellable = true;
        self
    }

    /// Shows how far it has come, how fast, and how long it will take, in a bar on
    /// standard error, if that is a terminal. It has no effect on [`call`](Calls::call) and
    /// [`spawn`](Calls::spawn).
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
}
