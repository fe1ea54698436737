//! A worker, and its process by whom it was started.

use super::event::Failure;
use crate::process::{Child, ExitStatus, JoinHandle, TaskError};
use crate::signal::Signal;
use crate::{Deadline, Result};
use std::os::fd::{AsFd, BorrowedFd};

/// A worker that has not come to its end yet, or has.
#[derive(Debug)]
pub struct Worker {
    pub(super) process: Process,
    pub(super) messages: u64,
    pub(super) ended: bool,
    /// The worker has said "that was all".
    pub(super) finished: bool,
    pub(super) failure: Option<Failure>,
    /// What its process gave as the reason, if the channel did not carry it.
    pub(super) last_words: Option<Failure>,
    pub(super) status: Option<ExitStatus>,
}

/// A worker's process, by whom it was started.
#[derive(Debug)]
pub(super) enum Process {
    Forked(Child),
    Task(Box<JoinHandle<std::result::Result<(), String>>>),
}

impl Process {
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Process::Forked(child) => child.signal(signal),
            Process::Task(task) => task.signal(signal),
        }
    }

    pub(super) fn id(&self) -> u32 {
        match self {
            Process::Forked(child) => child.id(),
            Process::Task(task) => task.pid(),
        }
    }

    /// How it ended, if it has, and what it gave as the reason.
    pub(super) fn try_wait(&mut self) -> Result<Option<(ExitStatus, Option<Failure>)>> {
        let task = match self {
            Process::Forked(child) => {
                return Ok(child.try_wait()?.map(|status| (status, None)));
            }
            Process::Task(task) => task,
        };
        let Ok(outcome) = task.try_join() else {
            return Ok(None);
        };
        let failed = |code: u8, text| {
            let status = ExitStatus::from_raw(u16::from(code) << 8);
            (status, Some(Failure::Reported(text)))
        };
        Ok(Some(match outcome {
            Ok(Ok(())) => (ExitStatus::from_raw(0), None),
            Ok(Err(reason)) => failed(1, reason),
            Err(TaskError::Signaled { .. } | TaskError::Exited(_)) => {
                (task.status().unwrap_or(ExitStatus::from_raw(0)), None)
            }
            Err(error) => failed(1, error.to_string()),
        }))
    }

    /// Waits for its end.
    fn wait(&mut self) {
        let _ = match self {
            Process::Forked(child) => child.wait().map(drop),
            Process::Task(task) => task.wait_deadline(Deadline::NEVER),
        };
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Process::Forked(child) => child.as_fd(),
            Process::Task(task) => task.as_fd(),
        }
    }
}

impl Worker {
    pub(super) fn new(process: Process) -> Worker {
        Worker {
            process,
            messages: 0,
            ended: false,
            finished: false,
            failure: None,
            last_words: None,
            status: None,
        }
    }

    /// The worker's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends the worker's process a signal.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound): it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Whether it has been reported as finished or failed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

/// Workers of a crew that is being started: ended if it is not.
pub(super) struct Processes(pub(super) Vec<Process>);

impl Drop for Processes {
    fn drop(&mut self) {
        end(self.0.iter_mut().collect());
    }
}

/// Kills all, then waits for all.
pub(super) fn end(mut processes: Vec<&mut Process>) {
    for process in &processes {
        let _ = process.signal(Signal::KILL);
    }
    for process in &mut processes {
        process.wait();
    }
}
