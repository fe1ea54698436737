//! One call of a function, and how it is to be run.

use super::scheduler::chunk::{Arguments, Policy};
use super::scheduler::ids::{ChunkId, JobId};
use super::scheduler::task_table::{Owner, Span};
use super::scheduler::{Definition, Key, Scheduler};
use super::shared::Shared;
use super::{TaskError, TaskHandle};
use crate::process::task::record::{self, Encoding};
use crate::process::{self, Task};
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// A function to be called by workers.
#[derive(Debug)]
pub(super) enum Function<A, R> {
    Plain(fn(A) -> R),
    Task(Task<A, R>),
}

impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Self {
        match self {
            Function::Plain(function) => Function::Plain(*function),
            Function::Task(task) => Function::Task(task.clone()),
        }
    }
}

impl<A, R> Function<A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    fn key(&self) -> Key {
        match self {
            Function::Plain(function) => process::key_of(*function),
            Function::Task(task) => task.key(),
        }
    }

    /// What workers have to know of it.
    fn define(&self) -> Result<Definition> {
        let (encoded, captured) = match self {
            Function::Plain(function) => (Task::new(*function)?.encode_definition()?, None),
            Function::Task(task) => (task.encode_definition()?, Some(task.kept())),
        };
        Ok(Definition { encoded, captured })
    }

    /// Does something with the pool's job for it, unless the pool takes nothing any more.
    ///
    /// Encoding what it has captured is code of others, so the lock is given back for it.
    pub(super) fn with_job<T>(
        &self,
        shared: &Shared,
        act: impl FnOnce(&mut Scheduler, JobId) -> T,
    ) -> std::result::Result<T, TaskError> {
        shared.check_process()?;
        let key = self.key();
        let (mut act, mut definition) = (Some(act), None);
        loop {
            let done = shared.with(|state| {
                if let Some(refusal) = Shared::refusal(state.phase()) {
                    return Err(refusal);
                }
                let known = state.jobs().find(key);
                let learnt = known.or_else(|| Some(state.jobs_mut().add(key, definition.take()?)));
                Ok(learnt.and_then(|job| Some(act.take()?(state, job))))
            })?;
            match done {
                Some(value) => return Ok(value),
                None => definition = Some(self.define()?),
            }
        }
    }
}

/// Descriptors that one packet carries, and some to spare.
const MOST_DESCRIPTORS: usize = 250;

/// Encodes an argument as a record behind others, or, if it is large or has
/// descriptors, by itself.
#[inline]
pub(super) fn encode<A: Serialize>(
    argument: &A,
    records: &mut Vec<u8>,
) -> Result<Option<Arguments>> {
    let body = record::begin(records);
    let encoded = match record::encode(argument, records) {
        Ok(Encoding::Record) => {
            record::end(records, body, record::Status::Value);
            return Ok(None);
        }
        Ok(Encoding::Long) => Ok(Arguments::Long(Arc::new(records.split_off(body)))),
        Ok(Encoding::Alone(encoded)) if encoded.descriptors.len() > MOST_DESCRIPTORS => {
            let why = format!("{} descriptors in one argument", encoded.descriptors.len());
            let error = Error::new(crate::ErrorKind::LimitReached, "encoding argument", "");
            Err(error.because(why))
        }
        Ok(Encoding::Alone(encoded)) => Ok(Arguments::Mailed(Arc::new(encoded))),
        Err(error) => Err(error),
    };
    records.truncate(body - record::HEAD);
    encoded.map(Some)
}

/// A call to be made, from [`Pool::task`](crate::pool::Pool::task).
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// use std::time::Duration;
/// fn fetch(page: u32) -> String { format!("page {page}") }
/// let pool = Pool::new(2)?;
/// let task = pool.task(fetch, 7)
///     .timeout(Duration::from_secs(10))
///     .retries(3)
///     .spawn()?;
/// assert_eq!(task.join()?, "page 7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is called before `spawn` or `call`"]
pub struct Call<'p, A, R> {
    shared: &'p Arc<Shared>,
    function: Function<A, R>,
    argument: A,
    policy: Policy,
}

macro_rules! policies {
    () => {
        /// Kills the worker of a task that runs longer, and fails the task; another
        /// worker takes its place. Children of the task are killed with it. A time that is
        /// too long to be counted is no limit.
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.policy.timeout = Some(timeout);
            self
        }

        /// Gives notice to a task that runs longer, which it sees with
        /// [`stop_requested`](super::stop_requested), and which does nothing else.
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
        /// let tried = pool.task(search, ()).notice_after(Duration::from_millis(5)).call()?;
        /// assert!(tried > 0);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn notice_after(mut self, time: Duration) -> Self {
            self.policy.notice = Some(time);
            self
        }

        /// Tries a task that failed again, at most so often. Whatever it did before it
        /// failed is done again.
        pub fn retries(mut self, retries: u32) -> Self {
            self.policy.retries = retries;
            self
        }

        /// Retries only failures for which `retry_if` returns `true`, for example deaths
        /// of processes, and not panics.
        ///
        /// A thread that the pool keeps for callbacks calls `retry_if`, which may use
        /// the pool. Until it returns, the task is neither retried nor failed. If it
        /// panics, the panic is printed, and the task has failed.
        ///
        /// # Examples
        /// ```
        /// use procession::pool::Pool;
        /// let pool = Pool::new(1)?;
        /// let task = pool.task(|()| -> u8 { panic!("always") }, ())
        ///     .retries(5)
        ///     .retry_if(|error| error.signal().is_some());
        /// assert_eq!(task.call().unwrap_err().attempts(), 1);
        /// # Ok::<(), procession::Error>(())
        /// ```
        pub fn retry_if(mut self, retry_if: fn(&TaskError) -> bool) -> Self {
            self.policy.retry_if = Some(retry_if);
            self
        }

        /// Waits so long before the first retry, and twice as long before each further
        /// one, up to 65,536 times as long. A time that is too long to be counted never
        /// ends.
        pub fn backoff(mut self, wait: Duration) -> Self {
            self.policy.backoff = wait;
            self
        }

        /// Sets the priority; 0 unless set. Workers begin tasks of higher priority first.
        /// A worker in the middle of a chunk of lower priority finishes the call that it
        /// runs, and gives the other calls of the chunk back.
        pub fn priority(mut self, priority: i32) -> Self {
            self.policy.priority = priority;
            self
        }
    };
}
pub(super) use policies;

impl<'p, A, R> Call<'p, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    pub(super) fn new(shared: &'p Arc<Shared>, function: Function<A, R>, argument: A) -> Self {
        Call {
            shared,
            function,
            argument,
            policy: Policy::default(),
        }
    }

    policies!();

    /// Gives the task to the pool.
    ///
    /// # Errors
    /// As [`Pool::spawn`](crate::pool::Pool::spawn).
    pub fn spawn(self) -> std::result::Result<TaskHandle<R>, TaskError> {
        let chunk = add(self.shared, &self.function, &self.argument, self.policy)?;
        Ok(TaskHandle::new(Arc::clone(self.shared), chunk))
    }

    /// Gives the task to the pool, and waits for the result.
    ///
    /// # Errors
    /// As [`Pool::call`](crate::pool::Pool::call).
    pub fn call(self) -> std::result::Result<R, TaskError> {
        self.spawn()?.join()
    }
}

/// Gives one call to the pool.
fn add<A, R>(
    shared: &Shared,
    function: &Function<A, R>,
    argument: &A,
    policy: Policy,
) -> std::result::Result<ChunkId, TaskError>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    shared.check_process()?;
    let mut records = Vec::new();
    let arguments = match encode(argument, &mut records) {
        Ok(None) => Arguments::Records(Arc::new(records), 0),
        Ok(Some(alone)) => alone,
        Err(error) => return Err(TaskError::codec(error)),
    };
    if policy.may_be_judged() && !shared.executor.ensure_thread() {
        return Err(no_thread().into());
    }
    function.with_job(shared, |state, job| {
        let chunk = state.add(
            job,
            Owner::Handle,
            policy,
            arguments,
            Span { first: 0, count: 1 },
        );
        if state.queued() > 1 {
            // Workers were full: perhaps they are not any more.
            state.collect();
        } else {
            state.dispatch();
        }
        chunk
    })
}

/// There can be no thread for code of others.
pub(super) fn no_thread() -> Error {
    Error::new(crate::ErrorKind::LimitReached, "adding task to pool", "")
        .because("no thread can be made for its `retry_if`")
        .with_hint(crate::limits::processes().hint())
}
