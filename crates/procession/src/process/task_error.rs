//! How a task failed.

use crate::Error;
use crate::signal::Signal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a task failed, as data.
///
/// # Examples
/// ```
/// use procession::process::{self, Signal, TaskError};
///
/// let failed = process::spawn(|()| -> u32 { panic!("no luck") }, ())?.join();
/// match failed.unwrap_err() {
///     TaskError::Panicked(panic) => assert_eq!(panic.message, "no luck"),
///     other => panic!("{other}"),
/// }
/// let exited = process::spawn(|code| -> u32 { std::process::exit(code) }, 3)?.join();
/// assert!(matches!(exited, Err(TaskError::Exited(3))));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its function panicked.
    Panicked(Panic),
    /// Its process exited before the function returned, with this code.
    Exited(u8),
    /// A signal killed its process.
    #[non_exhaustive]
    Signaled {
        /// Which.
        signal: Signal,
        /// Whether it left a core dump.
        core_dumped: bool,
        /// For SIGKILL: whether the kernel killed some process for want of
        /// memory while the task ran; `None` where nobody looked. Likely this
        /// one, but the kernel does not say.
        out_of_memory: Option<bool>,
        /// Its stack had overflowed, which it said: on standard error as well. A stack
        /// of another thread than the task's own is not told of, nor one that Rust's
        /// runtime watches, as after [`Fork`](super::StartMethod::Fork) from `main`:
        /// there the signal is SIGABRT, and standard error has that runtime's words.
        stack_overflowed: bool,
    },
    /// Its deadline passed, and it was killed.
    TimedOut,
    /// It was stopped by [`JoinHandle::stop`](super::JoinHandle::stop).
    Cancelled,
    /// Its process never came as far as calling the function.
    NeverStarted(Error),
    /// The argument could not be decoded, or the result not be encoded or
    /// decoded.
    Codec(Error),
    /// The kernel failed us, or the status is lost.
    Io(Error),
}

/// A panic that happened in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where, as `file:line:column`.
    pub location: Option<String>,
    /// The call stack, if `RUST_BACKTRACE` is set in the task's environment.
    pub backtrace: Option<String>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl TaskError {
    /// The signal that killed the process, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match self {
            TaskError::Signaled { signal, .. } => Some(*signal),
            _ => None,
        }
    }

    /// The code that the process exited with, if it exited before the function returned.
    ///
    /// # Examples
    /// ```
    /// use procession::process;
    /// let error = process::spawn(|code| -> u32 { std::process::exit(code) }, 3)?.join().unwrap_err();
    /// assert_eq!(error.exit_code(), Some(3));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            TaskError::Exited(code) => Some(*code),
            _ => None,
        }
    }

    /// The panic, if the function panicked.
    ///
    /// # Examples
    /// ```
    /// use procession::process;
    /// let error = process::spawn(|()| -> u32 { panic!("no luck") }, ())?.join().unwrap_err();
    /// assert_eq!(error.panic().unwrap().message, "no luck");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn panic(&self) -> Option<&Panic> {
        match self {
            TaskError::Panicked(panic) => Some(panic),
            _ => None,
        }
    }

    /// Returns `true` if the task was stopped.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Stop};
    /// use std::time::Duration;
    /// let mut task = process::spawn(|()| std::thread::sleep(Duration::from_secs(3600)), ())?;
    /// assert!(task.stop(Stop::new()).unwrap_err().is_cancelled());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, TaskError::Cancelled)
    }

    /// Whether the deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, TaskError::TimedOut)
    }

    /// What to try, where the library knows.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            TaskError::NeverStarted(error) | TaskError::Codec(error) | TaskError::Io(error) => {
                error.hint()
            }
            TaskError::Signaled {
                stack_overflowed: true,
                ..
            } => Some("give it a larger stack (`ulimit -s`), or have it call itself less deep"),
            _ => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panic) => panic.fmt(f),
            TaskError::Exited(code) => write!(f, "exited with code {code} instead of returning"),
            TaskError::Signaled {
                signal,
                core_dumped,
                out_of_memory,
                stack_overflowed,
            } => {
                write!(f, "killed by {signal}")?;
                if *core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                if *out_of_memory == Some(true) {
                    f.write_str(" (the kernel was out of memory)")?;
                }
                if *stack_overflowed {
                    f.write_str(" (its stack had overflowed)")?;
                }
                Ok(())
            }
            TaskError::TimedOut => f.write_str("killed at its deadline"),
            TaskError::Cancelled => f.write_str("stopped"),
            TaskError::NeverStarted(error) => write!(f, "never started: {error}"),
            TaskError::Codec(error) | TaskError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their text is in ours.
            TaskError::NeverStarted(error) | TaskError::Codec(error) | TaskError::Io(error) => {
                error.source()
            }
            _ => None,
        }
    }
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Error {
        match error {
            TaskError::NeverStarted(error) | TaskError::Codec(error) | TaskError::Io(error) => {
                error
            }
            TaskError::TimedOut => Error::new(crate::ErrorKind::TimedOut, "running task", "")
                .because(error.to_string()),
            other => Error::new(crate::ErrorKind::ProcessDied, "running task", "")
                .because(other.to_string()),
        }
    }
}

crate::error::into_io_error!(TaskError);
