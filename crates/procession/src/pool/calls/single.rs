//! One call at a time.

use super::Calls;
use crate::pool::function::{Function, encode, no_thread};
use crate::pool::scheduler::chunk::{Arguments, Policy};
use crate::pool::scheduler::ids::ChunkId;
use crate::pool::scheduler::task_table::{Owner, Span};
use crate::pool::shared::Shared;
use crate::pool::{TaskError, TaskHandle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

impl<A, R> Calls<'_, A, R>
where
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
{
    /// Has a worker call the function.
    ///
    /// # Blocking
    /// Does not wait for workers: what no worker can take waits in this process.
    ///
    /// # Errors
    /// As [`Pool::spawn`](crate::pool::Pool::spawn).
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(2)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// let scale = pool.task(&scale).retries(1);
    /// let (one, two) = (scale.spawn(1)?, scale.spawn(2)?);
    /// assert_eq!(one.join()? + two.join()?, 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(&self, argument: A) -> Result<TaskHandle<R>, TaskError> {
        let chunk = add(self.shared, &self.function, &argument, self.policy)?;
        Ok(TaskHandle::new(Arc::clone(self.shared), chunk))
    }

    /// Has a worker call the function, and waits for the result.
    ///
    /// # Blocking
    /// Until the result is there; with a [deadline](Calls::deadline), at most until then.
    ///
    /// # Errors
    /// The failure of the call, or as [`spawn`](Calls::spawn).
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, task};
    /// let pool = Pool::new(1)?;
    /// let factor = 3;
    /// let scale = task!([factor] |x: u64| x * factor);
    /// assert_eq!(pool.task(&scale).call(5)?, 15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "apply")]
    pub fn call(&self, argument: A) -> Result<R, TaskError> {
        let Some(deadline) = self.options.deadline else {
            return self.spawn(argument)?.join();
        };
        if deadline.has_passed() {
            return Err(TaskError::timed_out());
        }
        let mut task = self.spawn(argument)?;
        task.join_deadline(deadline).unwrap_or_else(|_late| {
            task.cancel();
            Err(TaskError::timed_out())
        })
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
