//! Programs and tasks as a supervisor sees them.

use super::event::ChildExit;
use crate::Result;
use crate::process::{CommandChild, ExitStatus, JoinHandle, Stop, TaskError};
use serde::de::DeserializeOwned;
use std::os::fd::AsFd;

/// What a [`Supervisor`](super::Supervisor) can look after: [`CommandChild`] and
/// [`JoinHandle`], and nothing else.
///
/// # Examples
/// See [`ChildSpec::new`](super::ChildSpec::new).
pub trait Supervise: Service {}

/// What that takes; not to be called or implemented elsewhere.
pub trait Service: AsFd + Send {
    #[doc(hidden)]
    fn pid(&self) -> u32;
    /// Returns `true` in the process that started it, `false` in a forked copy of that.
    #[doc(hidden)]
    fn is_ours(&self) -> bool;
    /// The process has ended: how, and no zombie is left.
    #[doc(hidden)]
    fn reap(&mut self) -> Result<ChildExit>;
    #[doc(hidden)]
    fn stop(&mut self, stop: Stop) -> Result<ChildExit>;
}

impl Supervise for CommandChild {}

impl Service for CommandChild {
    fn pid(&self) -> u32 {
        CommandChild::pid(self)
    }

    fn is_ours(&self) -> bool {
        CommandChild::is_ours(self)
    }

    fn reap(&mut self) -> Result<ChildExit> {
        self.wait().map(ChildExit::Exited)
    }

    fn stop(&mut self, stop: Stop) -> Result<ChildExit> {
        CommandChild::stop(self, stop).map(ChildExit::Exited)
    }
}

impl<R: DeserializeOwned> Supervise for JoinHandle<R> {}

impl<R: DeserializeOwned> Service for JoinHandle<R> {
    fn pid(&self) -> u32 {
        JoinHandle::pid(self)
    }

    fn is_ours(&self) -> bool {
        self.running.is_ours()
    }

    fn reap(&mut self) -> Result<ChildExit> {
        Ok(of_task(self.join()))
    }

    fn stop(&mut self, stop: Stop) -> Result<ChildExit> {
        Ok(of_task(JoinHandle::stop(self, stop)))
    }
}

fn of_task<R>(result: std::result::Result<R, TaskError>) -> ChildExit {
    match result {
        Ok(_) => ChildExit::Returned,
        // `std::process::exit(0)` is no failure, as it is none of a program.
        Err(TaskError::Exited(0, ..)) => ChildExit::Exited(ExitStatus::from_raw(0)),
        Err(error) => ChildExit::Failed(error),
    }
}
