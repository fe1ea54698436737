//! A worker and its process.

use super::event::WorkerFailure;
use procession::process::{Child, ExitStatus, JoinHandle, TaskError};
use procession::signal::Signal;
use procession::{Deadline, Result};
use std::os::fd::{AsFd, BorrowedFd};

/// A worker of a [`WorkerGroup`](crate::WorkerGroup).
#[derive(Debug)]
pub struct Worker {
    pub(crate) process: Process,
    pub(crate) messages: u64,
    pub(crate) ended: bool,
    /// The worker has said "that was all".
    pub(crate) finished: bool,
    pub(crate) failure: Option<WorkerFailure>,
    /// What its process gave as the reason, if the channel did not carry it.
    pub(crate) last_words: Option<WorkerFailure>,
    pub(crate) status: Option<ExitStatus>,
}

/// A worker's process, by whom it was started.
#[derive(Debug)]
pub(crate) enum Process {
    Forked(Child),
    Task(Box<JoinHandle<std::result::Result<(), String>>>),
}

impl Process {
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Process::Forked(child) => child.signal(signal),
            Process::Task(task) => task.signal(signal),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        match self {
            Process::Forked(child) => child.id(),
            Process::Task(task) => task.pid(),
        }
    }

    /// How it ended, if it has, and what it gave as the reason.
    pub(crate) fn try_wait(&mut self) -> Result<Option<(ExitStatus, Option<WorkerFailure>)>> {
        let task = match self {
            Process::Forked(child) => {
                return Ok(child.try_wait()?.map(|status| (status, None)));
            }
            Process::Task(task) => task,
        };
        let outcome = match task.try_join() {
            Ok(outcome) => outcome,
            Err(error) if error.is_would_block() => return Ok(None),
            Err(error) => return Err(error),
        };
        let failed = |code: u8, text| {
            let status = ExitStatus::from_raw(u16::from(code) << 8);
            (status, Some(WorkerFailure::Reported(text)))
        };
        Ok(Some(match outcome {
            Ok(Ok(())) => (ExitStatus::from_raw(0), None),
            Ok(Err(reason)) => failed(1, reason),
            Err(TaskError::Exited(code, ..)) => (ExitStatus::from_raw(u16::from(code) << 8), None),
            Err(TaskError::Signaled {
                signal,
                core_dumped,
                ..
            }) => (killed_by(signal, core_dumped), None),
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

/// As wait(2) says it.
fn killed_by(signal: Signal, core_dumped: bool) -> ExitStatus {
    let signal = u16::try_from(signal.as_raw()).expect("signals are numbered up to 64");
    ExitStatus::from_raw(signal | u16::from(core_dumped) << 7)
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
    pub(crate) fn new(process: Process) -> Worker {
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

    /// Returns the worker's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal to the worker's process.
    ///
    /// # Errors
    /// [`NotFound`](procession::ErrorKind::NotFound): it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Returns `true` if it has been reported as finished or failed.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }
}

/// Workers of a group that is being started: ended if it is not.
pub(crate) struct Processes(pub(crate) Vec<Process>);

impl Drop for Processes {
    fn drop(&mut self) {
        end(self.0.iter_mut().collect());
    }
}

/// Kills all, then waits for all.
pub(crate) fn end(mut processes: Vec<&mut Process>) {
    for process in &processes {
        let _ = process.signal(Signal::KILL);
    }
    for process in &mut processes {
        process.wait();
    }
}
