//! Waiting for several tasks of a pool.

use super::handle::TaskHandle;
use super::scheduler::ids::ChunkId;
use super::shared::Shared;
use crate::{Deadline, Error, ErrorKind, Result};
use std::sync::Arc;

/// Blocks until one of the tasks has ended, well or not; returns its index in `tasks`, the
/// lowest one if there are several.
///
/// The results stay in the handles: [`try_join`](TaskHandle::try_join) takes them. A handle
/// that was joined counts as ended.
///
/// # If a process dies
/// A task whose worker dies has ended, unless it is tried again.
///
/// # Across fork and exec
/// In a forked copy of the process, [`Unsupported`](ErrorKind::Unsupported).
///
/// # Errors
/// - [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
///   [`Deadline::NOW`]: no task has ended
/// - [`InvalidInput`](ErrorKind::InvalidInput): `tasks` is empty, or the tasks are of
///   different pools
///
/// # Cost
/// Each wake-up looks at all tasks.
///
/// # Examples
/// ```
/// use procession::{pool::{self, Pool}, Deadline};
/// use std::time::Duration;
/// fn nap(milliseconds: u64) { std::thread::sleep(Duration::from_millis(milliseconds)) }
/// let pool = Pool::new(2)?;
/// let mut naps = vec![pool.spawn(nap, 3_600_000)?, pool.spawn(nap, 1)?];
/// let first = pool::wait_any(&naps, Deadline::NEVER)?;
/// assert_eq!(first, 1);
/// naps.swap_remove(first).join()?;
/// # Ok::<(), procession::Error>(())
/// ```
pub fn wait_any<R>(tasks: &[TaskHandle<R>], deadline: Deadline) -> Result<usize> {
    let operation = "waiting for one of several tasks";
    let Some((shared, chunks)) = of_one_pool(tasks, operation)? else {
        return Err(Error::new(ErrorKind::InvalidInput, operation, "").because("`tasks` is empty"));
    };
    let ended = shared.wait(deadline, false, |state| {
        let has_ended =
            |chunk: &Option<ChunkId>| chunk.is_none_or(|chunk| state.tasks().has_result(chunk));
        chunks.iter().position(has_ended)
    });
    ended.ok_or_else(|| Error::new(deadline.error_kind(), operation, ""))
}

/// Blocks until one of the tasks has failed, and returns its index in `tasks`; or until all
/// have ended well, and returns `None`.
///
/// The results stay in the handles, as with [`wait_any`]. A handle that was joined counts as
/// ended well, and so does a task whose result cannot be decoded, which is only known when it
/// is joined. A task that is tried again has not failed yet.
///
/// # If a process dies
/// A task whose worker dies has failed, unless it is tried again.
///
/// # Across fork and exec
/// In a forked copy of the process, [`Unsupported`](ErrorKind::Unsupported).
///
/// # Errors
/// - the deadline's
/// - [`InvalidInput`](ErrorKind::InvalidInput): the tasks are not all of one pool
///
/// # Cost
/// As [`wait_any`].
///
/// # Examples
/// ```
/// use procession::{pool::{self, Pool}, Deadline};
/// fn check(number: u64) { assert!(number != 7, "seven") }
/// let pool = Pool::new(2)?;
/// let tasks: Vec<_> = (0..10).map(|n| pool.spawn(check, n)).collect::<Result<_, _>>()?;
/// let failed = pool::wait_first_failure(&tasks, Deadline::NEVER)?;
/// assert_eq!(failed, Some(7));
/// tasks.iter().for_each(|task| task.cancel());
/// # Ok::<(), procession::Error>(())
/// ```
pub fn wait_first_failure<R>(tasks: &[TaskHandle<R>], deadline: Deadline) -> Result<Option<usize>> {
    let operation = "waiting for a failure of several tasks";
    let Some((shared, chunks)) = of_one_pool(tasks, operation)? else {
        return Ok(None);
    };
    let ended = shared.wait(deadline, false, |state| {
        let tasks = state.tasks();
        let mut all_have_ended = true;
        for (at, chunk) in chunks.iter().enumerate() {
            let Some(chunk) = *chunk else { continue };
            if tasks.has_failed(chunk) {
                return Some(Some(at));
            }
            all_have_ended &= tasks.has_result(chunk);
        }
        all_have_ended.then_some(None)
    });
    ended.ok_or_else(|| Error::new(deadline.error_kind(), operation, ""))
}

/// A pool, and chunks of tasks; `None` for those that were joined.
type Tasks<'t> = (&'t Arc<Shared>, Vec<Option<ChunkId>>);

/// Returns the pool of all tasks, and their chunks; `None` if there are no tasks.
fn of_one_pool<'t, R>(
    tasks: &'t [TaskHandle<R>],
    operation: &'static str,
) -> Result<Option<Tasks<'t>>> {
    let Some(first) = tasks.first() else {
        return Ok(None);
    };
    let shared = first.shared();
    shared.check_process()?;
    if tasks.iter().any(|task| !Arc::ptr_eq(task.shared(), shared)) {
        let error = Error::new(ErrorKind::InvalidInput, operation, "");
        return Err(error.because("the tasks belong to different pools"));
    }
    let chunks = tasks.iter().map(TaskHandle::chunk);
    Ok(Some((shared, chunks.collect())))
}
