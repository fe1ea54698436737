//! What happens to the children of a supervisor.

use crate::Error;
use crate::process::{ExitStatus, TaskError};
use std::fmt;
use std::time::Duration;

/// How a child of a [`Supervisor`](super::Supervisor) ended.
///
/// # Examples
/// See [`is_failure`](ChildExit::is_failure).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildExit {
    /// A program exited or was killed, or a task exited with code zero.
    Exited(ExitStatus),
    /// The function of a task returned.
    Returned,
    /// A task panicked, exited, was killed or was cancelled.
    Failed(TaskError),
    /// It could not be started again.
    NotStarted(Error),
}

impl ChildExit {
    /// Returns `true` if the child failed, as
    /// [`Restart::OnFailure`](super::Restart::OnFailure) means it: unless it exited with code zero or its
    /// function returned.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildExit, ExitStatus};
    /// assert!(!ChildExit::Returned.is_failure());
    /// assert!(ChildExit::Exited(ExitStatus::from_raw(9)).is_failure());
    /// ```
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            ChildExit::Exited(status) => !status.success(),
            ChildExit::Returned => false,
            ChildExit::Failed(_) | ChildExit::NotStarted(_) => true,
        }
    }
}

impl fmt::Display for ChildExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildExit::Exited(status) => status.fmt(f),
            ChildExit::Returned => f.write_str("returned"),
            ChildExit::Failed(error) => write!(f, "failed: {error}"),
            ChildExit::NotStarted(error) => write!(f, "could not be started: {error}"),
        }
    }
}

/// Something that happened to a child of a [`Supervisor`](super::Supervisor), by the child's
/// name.
///
/// # Examples
/// See [`Supervisor::on_event`](super::Supervisor::on_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// The child was started, for the first time or again.
    #[non_exhaustive]
    Started {
        /// Its name.
        child: String,
        /// Its process id.
        pid: u32,
    },
    /// The child ended by itself, or could not be started again.
    #[non_exhaustive]
    Exited {
        /// Its name.
        child: String,
        /// How it ended.
        exit: ChildExit,
    },
    /// The child will be restarted.
    #[non_exhaustive]
    Restarting {
        /// Its name.
        child: String,
        /// How long it is left alone before that.
        after: Duration,
    },
    /// The supervisor stopped the child.
    #[non_exhaustive]
    Stopped {
        /// Its name.
        child: String,
        /// How it ended.
        exit: ChildExit,
    },
}

impl fmt::Display for SupervisorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupervisorEvent::Started { child, pid } => {
                write!(f, "`{child}` started as process {pid}")
            }
            SupervisorEvent::Exited { child, exit } => write!(f, "`{child}` {exit}"),
            SupervisorEvent::Restarting { child, after } => {
                write!(f, "`{child}` will be restarted after {after:?}")
            }
            SupervisorEvent::Stopped { child, exit } => {
                write!(f, "`{child}` was stopped: {exit}")
            }
        }
    }
}
