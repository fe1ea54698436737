//! What a group reports.

use crate::transport::Transport;
use procession::__private::error::ErrorBuilder;
use procession::process::ExitStatus;
use procession::signal::Signal;
use procession::{Error, ErrorKind};
use std::fmt;

/// What a [`WorkerGroup`](crate::WorkerGroup) reports.
#[derive(Debug)]
pub enum Event {
    /// A whole message of a worker has arrived.
    Message {
        /// The number of the worker.
        worker: usize,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A worker finished and has been reaped; nothing more comes from it.
    Finished {
        /// Which one.
        worker: usize,
    },
    /// A worker failed and has been reaped; nothing more comes from it. What
    /// it had sent whole was delivered before.
    Failed(WorkerError),
}

/// How a worker failed: which one, over which transport, and what it was doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerError {
    /// Which worker, from zero.
    pub worker: usize,
    /// Its former process id.
    pub pid: u32,
    /// The transport it was sending over.
    pub transport: Transport,
    /// What happened.
    pub failure: WorkerFailure,
    /// Number of whole messages that it had sent.
    pub messages: u64,
    /// `true` if it had begun another message.
    pub in_message: bool,
}

/// What went wrong with a worker.
#[doc(alias = "Failure")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerFailure {
    /// Its process ended before it had finished, or unsuccessfully afterwards.
    Ended(ExitStatus),
    /// Its function returned an error or panicked; the text of either.
    Reported(String),
    /// It broke the rules of the channel.
    Protocol(Error),
    /// Another part of the program reaped its process, so how it ended is unknown.
    Lost(Error),
}

impl WorkerError {
    /// Returns the signal that killed the worker, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match &self.failure {
            WorkerFailure::Ended(status) => status.signal(),
            _ => None,
        }
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "worker {} (pid {}) over {}: ",
            self.worker, self.pid, self.transport
        )?;
        match &self.failure {
            WorkerFailure::Ended(status) => status.fmt(f)?,
            WorkerFailure::Reported(reason) => f.write_str(reason)?,
            WorkerFailure::Protocol(error) | WorkerFailure::Lost(error) => error.fmt(f)?,
        }
        match (self.in_message, self.messages) {
            (true, sent) => write!(f, ", in the middle of message {sent}"),
            (false, 0) => f.write_str(", before its first message"),
            (false, 1) => f.write_str(", after 1 message"),
            (false, sent) => write!(f, ", after {sent} messages"),
        }
    }
}

impl std::error::Error for WorkerError {}

impl From<WorkerError> for Error {
    fn from(error: WorkerError) -> Error {
        ErrorBuilder::new(ErrorKind::ProcessDied, "gathering", error.transport)
            .because(error.to_string())
            .build()
    }
}

impl From<WorkerError> for std::io::Error {
    fn from(error: WorkerError) -> std::io::Error {
        Error::from(error).into()
    }
}
