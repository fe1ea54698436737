//! A task that was given to a pool.

use super::TaskError;
use super::chunk::{Callback, Owner, Piece, Place};
use super::shared::Shared;
use super::state::{After, Calling, State};
use crate::{Deadline, process};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A task that a pool runs, or has run, and its result.
///
/// It is also a future, for any executor.
///
/// # If the handle is dropped
/// The task goes on, and its result is thrown away.
///
/// # If a process dies
/// The task's own worker: the task has failed. Any other: nothing.
///
/// # Across fork and exec
/// It is of no use in other processes; a forked copy of this one must not use it.
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
    chunk: Option<usize>,
    result: PhantomData<fn() -> R>,
}

impl<R> TaskHandle<R> {
    pub(super) fn new(shared: Arc<Shared>, chunk: usize) -> TaskHandle<R> {
        TaskHandle {
            shared,
            chunk: Some(chunk),
            result: PhantomData,
        }
    }

    /// Whether the result is here.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let Some(number) = self.chunk else {
            return true;
        };
        self.shared.with(|state| {
            state.collect();
            state.chunks[number].result.is_some()
        })
    }

    /// Lets the task go on by itself; its result is thrown away.
    pub fn detach(self) {}

    /// Ends the task, whether it has begun or not: its worker is killed, and another
    /// takes its place. If the result is here already, it stays.
    pub fn cancel(&self) {
        self.cancel_after(Duration::ZERO);
    }

    /// Gives the task notice, which it sees with
    /// [`stop_requested`](super::stop_requested), and ends it if it has not ended by
    /// itself after `grace`. A task that has not begun never begins.
    pub fn cancel_after(&self, grace: Duration) {
        if let Some(number) = self.chunk {
            self.shared.with(|state| state.cancel(number, grace));
        }
    }
}

/// Takes the result of a chunk whose handle asks for it.
fn take(state: &mut State, number: usize) -> Option<Piece> {
    let chunk = &mut state.chunks[number];
    let piece = chunk.result.take()?;
    match chunk.place {
        Place::Done => drop(state.chunks.remove(number)),
        // It goes when the worker has said how it went.
        _ => chunk.owner = Owner::Nobody,
    }
    Some(piece)
}

impl<R: DeserializeOwned> TaskHandle<R> {
    /// Waits for the result.
    ///
    /// # Errors
    /// How the task failed.
    ///
    /// # Cost
    /// None in the kernel, if the result is there or comes soon.
    pub fn join(mut self) -> Result<R, TaskError> {
        self.join_deadline(Deadline::NEVER)
            .unwrap_or_else(|| unreachable!("never does not pass"))
    }

    /// The result, if it is here.
    pub fn try_join(&mut self) -> Option<Result<R, TaskError>> {
        self.join_deadline(Deadline::NOW)
    }

    /// Waits at most `timeout`; `None` when the task is not done.
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<R, TaskError>> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Waits until the deadline; `None` when the task is not done.
    pub fn join_deadline(&mut self, deadline: Deadline) -> Option<Result<R, TaskError>> {
        let Some(number) = self.chunk else {
            return Some(Err(joined_before()));
        };
        let piece = self
            .shared
            .wait(deadline, false, |state| take(state, number))?;
        self.chunk = None;
        Some(piece.into_result())
    }
}

impl<R: DeserializeOwned + 'static> TaskHandle<R> {
    /// Has a function called with the result, in a thread of the pool that calls one
    /// after the other; a panic of one is printed, and does no harm to others. The end
    /// of the pool waits until all have been called; if it is terminated, those that are
    /// left get that error.
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
        let Some(number) = self.chunk.take() else {
            return;
        };
        let callback = Callback(Box::new(move |piece: Piece| function(piece.into_result())));
        self.shared.with(|state| {
            state.callbacks.get_or_insert_with(start_calling);
            match take(state, number) {
                Some(piece) => state.afterwards.push(After::Call(callback, piece)),
                None => {
                    state.watched += 1;
                    state.chunks[number].callback = Some(callback);
                }
            }
        });
    }
}

/// Starts the thread that calls functions with results.
fn start_calling() -> Calling {
    let (sender, receiver) = std::sync::mpsc::channel::<(Callback, Piece)>();
    let call = move || {
        for (callback, piece) in receiver {
            let call = std::panic::AssertUnwindSafe(|| (callback.0)(piece));
            // The hook has printed it.
            let _ = std::panic::catch_unwind(call);
        }
    };
    // Without a thread the functions are dropped, and those who wait for them see it.
    let thread = std::thread::Builder::new()
        .name("procession-call".to_owned())
        .spawn(call);
    Calling {
        sender,
        thread: thread.ok(),
    }
}

fn joined_before() -> TaskError {
    let error = crate::Error::new(crate::ErrorKind::InvalidInput, "joining task", "");
    TaskError::new(process::TaskError::Io(
        error.because("it was joined before"),
    ))
}

impl<R: DeserializeOwned> Future for TaskHandle<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(number) = self.chunk else {
            return Poll::Ready(Err(joined_before()));
        };
        let piece = self.shared.with(|state| {
            state.collect();
            let piece = take(state, number);
            if piece.is_none() {
                let old = state.chunks[number].waker.replace(context.waker().clone());
                state.watched += usize::from(old.is_none());
            }
            piece
        });
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
        if self.shared.check_process().is_err() {
            // A copy of another process's, whose lock may never be free.
            return;
        }
        self.shared.with(|state| {
            let Some(chunk) = state.chunks.get_mut(number) else {
                return;
            };
            if chunk.waker.take().is_some() {
                state.watched -= 1;
            }
            chunk.result = None;
            match chunk.place {
                Place::Done => drop(state.chunks.remove(number)),
                _ => chunk.owner = Owner::Nobody,
            }
        });
    }
}

impl<R> std::fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskHandle")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
