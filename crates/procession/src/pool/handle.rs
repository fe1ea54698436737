//! A task of a pool, in the background.

use super::TaskError;
use super::executor;
use super::scheduler::chunk::Piece;
use super::scheduler::ids::ChunkId;
use super::scheduler::task_table::Callback;
use super::shared::Shared;
use crate::{Deadline, process};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A task that a pool runs in the background, and its result.
///
/// [`Pool::spawn`](super::Pool::spawn) makes it. It is also a future, for any executor.
///
/// # If the handle is dropped
/// The task goes on, and its result is thrown away.
///
/// # If a process dies
/// If the worker that runs the task dies, the task fails, or is
/// [tried again](super::Calls::retries). The death of another worker does not affect it.
///
/// # If the pool is dropped
/// The task fails as [cancelled](TaskError::is_cancelled), unless its result is here.
///
/// # Across fork and exec
/// The handle belongs to the process that made the pool. In a forked copy, joining it fails with
/// [`Unsupported`](crate::ErrorKind::Unsupported), and dropping the copy does nothing.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// let pool = Pool::new(2)?;
/// let task = pool.spawn(|x: u64| x * x, 12)?;
/// assert_eq!(task.join()?, 144);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the result of the task is lost with the handle; `detach` says that that is meant"]
pub struct TaskHandle<R> {
    shared: Arc<Shared>,
    chunk: Option<ChunkId>,
    result: PhantomData<fn() -> R>,
}

impl<R> TaskHandle<R> {
    pub(super) fn new(shared: Arc<Shared>, chunk: ChunkId) -> TaskHandle<R> {
        TaskHandle {
            shared,
            chunk: Some(chunk),
            result: PhantomData,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn chunk(&self) -> Option<ChunkId> {
        self.chunk
    }

    /// Returns `true` if the task has ended: [`join`](TaskHandle::join) does not block.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, Deadline};
    /// let pool = Pool::new(1)?;
    /// let mut task = pool.spawn(|x: u64| x + 1, 1)?;
    /// while !task.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(task.join_deadline(Deadline::NOW)??, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let Some(number) = self.chunk else {
            return true;
        };
        let is_finished = self.shared.with_own(|state| {
            state.collect();
            state.tasks().has_result(number)
        });
        // In a copy of the process, joining it fails at once.
        is_finished.unwrap_or(true)
    }

    /// Drops the handle: the task goes on by itself, and its result is thrown away.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, shared::Counter};
    /// let (pool, counter) = (Pool::new(1)?, Counter::new(0)?);
    /// pool.spawn(|counter: Counter| { counter.add(1); }, counter.clone())?.detach();
    /// pool.join();
    /// assert_eq!(counter.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn detach(self) {}

    /// Cancels the task, which fails as [cancelled](TaskError::is_cancelled). If it runs, its worker
    /// is killed, and another one takes its place. If the result is here already, it stays.
    ///
    /// # Blocking
    /// Does not wait for the worker's end.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::time::Duration;
    /// let pool = Pool::new(1)?;
    /// let mut task = pool.spawn(|()| std::thread::sleep(Duration::from_secs(3600)), ())?;
    /// assert!(task.try_join().unwrap_err().is_would_block());
    /// assert!(task.join_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// task.cancel();
    /// assert!(task.join().unwrap_err().is_cancelled());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.cancel_after(Duration::ZERO);
    }

    /// Gives the task notice, which it sees with [`stop_requested`](super::stop_requested), and
    /// [cancels](TaskHandle::cancel) it if it has not ended by itself after `grace`. A task that no
    /// worker has begun is cancelled at once.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::{self, Pool};
    /// use procession::queue;
    /// use std::time::Duration;
    /// fn search(begun: queue::Sender<()>) -> &'static str {
    ///     begun.send(()).unwrap();
    ///     while !pool::stop_requested() {
    ///         std::thread::yield_now();
    ///     }
    ///     "nothing"
    /// }
    /// let (begun, has_begun) = queue::bounded(1)?;
    /// let pool = Pool::new(1)?;
    /// let task = pool.spawn(|begun| search(begun).to_owned(), begun)?;
    /// has_begun.recv()?;
    /// task.cancel_after(Duration::from_secs(60));
    /// assert_eq!(task.join()?, "nothing");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_after(&self, grace: Duration) {
        if let Some(number) = self.chunk {
            let _ = self.shared.with_own(|state| {
                state.cancel_task(number, grace);
            });
        }
    }
}

impl<R: DeserializeOwned> TaskHandle<R> {
    /// Blocks until the task has ended, and returns its result.
    ///
    /// # Errors
    /// Why the task failed.
    ///
    /// # Cost
    /// No system call, if the result is here or comes soon.
    ///
    /// # Examples
    /// See [`TaskHandle`].
    pub fn join(mut self) -> Result<R, TaskError> {
        self.join_deadline(Deadline::NEVER)
            .unwrap_or_else(|error| Err(error.into()))
    }

    /// Returns the result if it is here; the inner error is why the task failed.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): the task has not ended.
    pub fn try_join(&mut self) -> crate::Result<Result<R, TaskError>> {
        self.join_deadline(Deadline::NOW)
    }

    /// Blocks until the task has ended, at most `timeout`; the inner error is why the task failed.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut): the task has not ended.
    pub fn join_timeout(&mut self, timeout: Duration) -> crate::Result<Result<R, TaskError>> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Blocks until the task has ended or `deadline` has passed; the inner error is why the task
    /// failed.
    ///
    /// # Errors
    /// As [`join_timeout`](TaskHandle::join_timeout), or, with [`Deadline::NOW`], as
    /// [`try_join`](TaskHandle::try_join).
    pub fn join_deadline(&mut self, deadline: Deadline) -> crate::Result<Result<R, TaskError>> {
        let Some(number) = self.chunk else {
            return Ok(Err(joined_before()));
        };
        if let Err(error) = self.shared.check_process() {
            return Ok(Err(error.into()));
        }
        let piece = self.shared.wait(deadline, false, |state| {
            state.tasks_mut().take_result(number)
        });
        let Some(piece) = piece else {
            return Err(crate::Error::new(deadline.error_kind(), "joining task", ""));
        };
        self.chunk = None;
        Ok(piece.into_result())
    }
}

impl<R: DeserializeOwned + 'static> TaskHandle<R> {
    /// Calls `function` with the result, once, unless this process ends before. The end of
    /// the pool waits until the functions of all tasks have returned; functions of tasks that the
    /// end of the pool cancelled are called with that error.
    ///
    /// A thread of the pool calls one function after the other; a panic of one is printed,
    /// and does no harm to others. Functions of tasks that end at nearly the same time may
    /// be called in another order than the tasks have ended. A function may use the pool,
    /// and wait for other tasks. It may end the pool too: the end of the pool then waits neither
    /// for this function nor for those that come after it, which are called when it has returned.
    ///
    /// Where the pool has ended, or has no thread and cannot make one, `on_done` waits for the
    /// result and calls `function` itself.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// use std::sync::mpsc;
    /// let pool = Pool::new(1)?;
    /// let (sender, results) = mpsc::channel();
    /// pool.spawn(|x: u64| x + 1, 1)?.on_done(move |result| sender.send(result).unwrap());
    /// assert_eq!(results.recv()??, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_done(mut self, function: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let Some(number) = self.chunk.filter(|_| shared.check_process().is_ok()) else {
            // That fails at once.
            let result = self.join();
            return executor::run(|| function(result));
        };
        if !shared.executor.ensure_thread() {
            let piece = shared.wait(Deadline::NEVER, false, |state| {
                state.tasks_mut().take_result(number)
            });
            self.chunk = None;
            return executor::run(|| piece.map(decoded).map_or((), function));
        }
        self.chunk = None;
        let callback = Callback(Box::new(move |piece: Piece| function(decoded(piece))));
        shared.with(|state| state.tasks_mut().call_back(number, callback));
    }
}

/// Decodes the result in a piece. A panic of its `Deserialize` is an error.
fn decoded<R: DeserializeOwned>(piece: Piece) -> Result<R, TaskError> {
    let decode = std::panic::AssertUnwindSafe(|| piece.into_result());
    std::panic::catch_unwind(decode).unwrap_or_else(|payload| {
        let why = format!(
            "its `Deserialize` panicked: {}",
            process::text_of_panic(&*payload)
        );
        std::mem::forget(payload);
        let error = crate::Error::new(crate::ErrorKind::Corrupt, "decoding result", "");
        Err(TaskError::codec(error.because(why)))
    })
}

fn joined_before() -> TaskError {
    let error = crate::Error::new(crate::ErrorKind::InvalidInput, "joining task", "");
    TaskError::io(error.because("it was joined before"))
}

impl<R: DeserializeOwned> Future for TaskHandle<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(number) = self.chunk else {
            return Poll::Ready(Err(joined_before()));
        };
        // Wakers are code of others, which the lock is not held for.
        let mut waker = Some(context.waker().clone());
        let piece = self.shared.with_own(|state| {
            state.collect();
            let tasks = state.tasks_mut();
            let piece = tasks.take_result(number);
            if piece.is_none()
                && let Some(new) = waker.take()
            {
                waker = tasks.watch(number, new);
            }
            piece
        });
        drop(waker);
        let Some(piece) = piece else {
            let refusal = self.shared.check_process();
            return Poll::Ready(Err(
                refusal.map_or_else(TaskError::from, |()| joined_before())
            ));
        };
        match piece {
            Some(piece) => {
                self.chunk = None;
                Poll::Ready(piece.into_result())
            }
            None => Poll::Pending,
        }
    }
}

impl<R> Drop for TaskHandle<R> {
    fn drop(&mut self) {
        let Some(number) = self.chunk else { return };
        // In a copy of another process's, this is forgotten with the copy.
        let waker = self
            .shared
            .with_own(|state| state.tasks_mut().drop_handle(number));
        // Its destructor is code of others.
        drop(waker);
    }
}

impl<R> std::fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskHandle")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
