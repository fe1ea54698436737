//! The process of a worker, as the pool holds it.

use super::stderr_tail::StderrTail;
use crate::Deadline;
use crate::os::pipe;
use crate::pool::scheduler::Process;
use crate::pool::worker::Assignment;
use crate::process::{self, JoinHandle, Signal, TaskError};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that are passed on at once: a pipe that is ready for writing takes as many
/// without blocking.
const PORTION: usize = 4096;

/// A worker's process.
#[derive(Debug)]
pub(in crate::pool) struct WorkerProcess {
    pid: u32,
    /// Readable when it has ended.
    pub(in crate::pool) pidfd: OwnedFd,
    handle: Mutex<JoinHandle<()>>,
    /// What it writes to its standard error, if we read that.
    stderr: Option<pipe::Reader>,
    /// It has closed that.
    is_silent: AtomicBool,
    stderr_tail: Mutex<StderrTail>,
}

impl WorkerProcess {
    pub(in crate::pool) fn start(
        builder: process::Builder,
        assignment: Assignment,
    ) -> crate::Result<WorkerProcess> {
        let mut handle = builder.spawn(crate::pool::worker::live, assignment)?;
        let pidfd = handle.as_fd().try_clone_to_owned();
        Ok(WorkerProcess {
            pid: handle.pid(),
            pidfd: crate::error::Context::during(pidfd, "starting worker", "")?,
            stderr: handle.take_stderr(),
            handle: Mutex::new(handle),
            is_silent: AtomicBool::new(false),
            stderr_tail: Mutex::default(),
        })
    }

    /// Returns its standard error, if the pool reads that and it may write more.
    pub(in crate::pool) fn open_stderr(&self) -> Option<&pipe::Reader> {
        let is_open = !self.is_silent.load(Ordering::Relaxed);
        self.stderr.as_ref().filter(|_| is_open)
    }

    /// Reads a portion of what it has written to its standard error, keeps the tail, and
    /// passes it on if `passes_on`. Returns `true` if there was something.
    pub(in crate::pool) fn relay_stderr(&self, passes_on: bool) -> bool {
        let Some(stderr) = self.open_stderr() else {
            return false;
        };
        let mut bytes = [0; PORTION];
        let count = match stderr.try_read(&mut bytes) {
            Ok(count @ 1..) => count,
            Err(error) if error.is_would_block() => return false,
            _ => {
                self.is_silent.store(true, Ordering::Relaxed);
                return false;
            }
        };
        self.tail().add(&bytes[..count]);
        if passes_on {
            pass_on_all(&bytes[..count]);
        }
        true
    }

    /// Returns the last that it wrote to its standard error.
    pub(in crate::pool) fn stderr_tail(&self) -> String {
        self.tail().text()
    }

    fn tail(&self) -> MutexGuard<'_, StderrTail> {
        self.stderr_tail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self) -> MutexGuard<'_, JoinHandle<()>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, which it has.
    pub(in crate::pool) fn join(&self) -> Result<(), TaskError> {
        self.handle()
            .join_deadline(Deadline::NEVER)
            .unwrap_or_else(|error| Err(TaskError::io(error)))
    }
}

impl Process for WorkerProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn kill(&self) -> crate::Result<()> {
        let handle = self.handle();
        // It may be gone, or not have come to leading one.
        let _ = handle.signal_group(Signal::KILL);
        match handle.kill() {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes to standard error, without the lock that its users take: one of them may hold it
/// while it waits for the pool.
fn pass_on_all(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(std::io::stderr(), bytes)) {
            Ok(count @ 1..) => bytes = &bytes[count.min(bytes.len())..],
            // If ours is closed or full, there is nobody to tell.
            _ => return,
        }
    }
}
