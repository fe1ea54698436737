//! The process of a worker, as the pool holds it.

use super::words::LastWords;
use super::worker::Assignment;
use crate::Deadline;
use crate::os::pipe;
use crate::process::{self, JoinHandle, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A worker's process.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    /// Readable when it has ended.
    pub(super) pidfd: OwnedFd,
    handle: Mutex<JoinHandle<()>>,
    /// What it writes to its standard error, if we read that.
    stderr: Option<pipe::Reader>,
    /// It has closed that.
    is_silent: AtomicBool,
    pub(super) words: Mutex<LastWords>,
}

impl Process {
    pub(super) fn start(
        builder: process::Builder,
        assignment: Assignment,
    ) -> crate::Result<Process> {
        let mut handle = builder.spawn(super::worker::live, assignment)?;
        let pidfd = handle.as_fd().try_clone_to_owned();
        Ok(Process {
            pid: handle.pid(),
            pidfd: crate::error::Context::during(pidfd, "starting worker", "")?,
            stderr: handle.take_stderr(),
            handle: Mutex::new(handle),
            is_silent: AtomicBool::new(false),
            words: Mutex::default(),
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it writes to its standard error, if we read that and it may write more.
    pub(super) fn open_stderr(&self) -> Option<&pipe::Reader> {
        let is_open = !self.is_silent.load(Ordering::Relaxed);
        self.stderr.as_ref().filter(|_| is_open)
    }

    /// It will write no more.
    pub(super) fn is_silent_now(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    fn handle(&self) -> MutexGuard<'_, JoinHandle<()>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it, and whoever is left of its group.
    ///
    /// # Errors
    /// It lives on: we may not, and nobody does it for us.
    pub(super) fn kill(&self) -> crate::Result<()> {
        let handle = self.handle();
        // It may be gone, or not have come to leading one.
        let _ = handle.signal_group(Signal::KILL);
        match handle.kill() {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// How it ended, which it has.
    pub(super) fn join(&self) -> Result<(), process::TaskError> {
        self.handle()
            .join_deadline(Deadline::NEVER)
            .unwrap_or_else(|error| Err(process::TaskError::Io(error)))
    }
}
