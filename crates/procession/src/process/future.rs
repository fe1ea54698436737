//! A task's handle as a future, for tokio.

use super::await_state::AwaitState;
use super::{JoinHandle, TaskError};
use crate::error::Context;
use crate::fd::reactor;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::unix::AsyncFd;

fn register(descriptor: impl AsFd) -> crate::Result<AsyncFd<OwnedFd>> {
    reactor::register(descriptor, "awaiting task")
}

/// With the feature `tokio`, awaiting a handle joins it. Dropping the future
/// does with the task what dropping the handle does.
///
/// # Panics
/// Outside a tokio runtime with I/O enabled.
///
/// # Cost
/// Two descriptors in tokio's reactor, one after the other; no thread.
impl<R: DeserializeOwned> Future for JoinHandle<R> {
    type Output = Result<R, TaskError>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Result<R, TaskError>> {
        loop {
            if let Ok(result) = self.try_join() {
                self.await_state = None;
                return Poll::Ready(result);
            }
            let made = match &self.await_state {
                None => register(self.as_fd()).map(AwaitState::End),
                Some(AwaitState::End(end)) => {
                    // Once over, it stays so: it is asked once.
                    match ready!(end.poll_read_ready(context)) {
                        Ok(_) => register(self.running.mailbox()).map(AwaitState::Status),
                        Err(error) => Err(error).during("awaiting task", ""),
                    }
                }
                Some(AwaitState::Status(status)) => {
                    match ready!(status.poll_read_ready(context)) {
                        Ok(mut guard) => guard.clear_ready(),
                        Err(error) => {
                            let error = Err::<(), _>(error).during("awaiting task", "");
                            return Poll::Ready(Err(TaskError::io(error.unwrap_err())));
                        }
                    }
                    continue;
                }
            };
            match made {
                Ok(made) => self.await_state = Some(made),
                Err(error) => return Poll::Ready(Err(TaskError::io(error))),
            }
        }
    }
}
