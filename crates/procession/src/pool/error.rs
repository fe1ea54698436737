//! How a task of a pool failed.

use crate::Error;
use crate::process::{self, Panic, Signal};
use std::fmt;

/// How a task of a pool failed, and what is known of it.
///
/// # Examples
/// ```
/// use procession::pool::Pool;
/// let pool = Pool::new(1)?;
/// let error = pool.call(|()| -> u32 {
///     eprintln!("this is the end");
///     std::process::abort()
/// }, ()).unwrap_err();
/// assert_eq!(error.signal(), Some(procession::process::Signal::ABRT));
/// assert!(error.stderr().ends_with("this is the end\n"));
/// assert_eq!(pool.call(|()| "alive".to_owned(), ())?, "alive");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError(Box<Details>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    failure: process::TaskError,
    index: Option<u64>,
    pid: Option<u32>,
    attempts: u32,
    stderr: String,
    memory_limit: Option<u64>,
}

impl TaskError {
    pub(super) fn new(failure: process::TaskError) -> TaskError {
        TaskError(Box::new(Details {
            failure,
            index: None,
            pid: None,
            attempts: 0,
            stderr: String::new(),
            memory_limit: None,
        }))
    }

    pub(super) fn at(mut self, index: Option<u64>) -> TaskError {
        self.0.index = index;
        self
    }

    pub(super) fn after(mut self, attempts: u32) -> TaskError {
        self.0.attempts = attempts;
        self
    }

    pub(super) fn in_process(mut self, pid: u32) -> TaskError {
        self.0.pid = Some(pid);
        self
    }

    pub(super) fn with_stderr(mut self, tail: String, memory_limit: Option<u64>) -> TaskError {
        self.0.stderr = tail;
        self.0.memory_limit = memory_limit;
        self
    }

    /// What happened.
    #[must_use]
    pub fn failure(&self) -> &process::TaskError {
        &self.0.failure
    }

    /// Place of the argument among those that were given, from zero; `None` for a
    /// single task.
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.0.index
    }

    /// The process that ran the task last; `None` if none did.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.0.pid
    }

    /// How often it was tried; 0 if it never was.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The signal that killed the task's process, if one did.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        self.0.failure.signal()
    }

    /// The panic, if the function panicked.
    #[must_use]
    pub fn panic(&self) -> Option<&Panic> {
        self.0.failure.panic()
    }

    /// The code that the task's process exited with, if it exited in the middle of the task.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let failed = Pool::new(1)?.call(|code| -> u32 { std::process::exit(code) }, 3);
    /// assert_eq!(failed.unwrap_err().exit_code(), Some(3));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        self.0.failure.exit_code()
    }

    /// The last that the process wrote to its standard error, at most some 16 KiB,
    /// where the process died; or nothing, where the pool does not
    /// [listen](super::Builder::stderr).
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.0.stderr
    }

    /// Whether it ran out of time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.failure.is_timeout()
    }

    /// Whether it was cancelled, or its pool terminated.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.failure.is_cancelled()
    }

    /// What to try, where the library knows.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Some(hint) = self.0.failure.hint() {
            return Some(hint.to_owned());
        }
        let is_out_of_memory = matches!(
            self.0.failure,
            process::TaskError::Signaled {
                out_of_memory: Some(true),
                ..
            }
        ) || self.0.stderr.contains("memory allocation of");
        is_out_of_memory.then(|| match self.0.memory_limit {
            Some(limit) => format!("the worker may have {limit} bytes: raise its `memory_limit`"),
            None => "run fewer workers, or give each a `memory_limit`".to_owned(),
        })
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task ")?;
        if let Some(index) = self.0.index {
            write!(f, "{index} ")?;
        }
        write!(f, "failed: {}", self.0.failure)?;
        if let Some(pid) = self.0.pid {
            write!(f, " (process {pid}")?;
            if self.0.attempts > 1 {
                write!(f, ", attempt {}", self.0.attempts)?;
            }
            f.write_str(")")?;
        }
        if let Some(hint) = self.hint() {
            write!(f, "; {hint}")?;
        }
        if let Some(last) = self.0.stderr.lines().next_back() {
            write!(f, "; its last words: {last}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // Its own text is in ours.
        self.0.failure.source()
    }
}

impl From<process::TaskError> for TaskError {
    /// How a task without a pool failed, for functions that use both.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::{Pool, TaskError}, process};
    /// fn both(pool: &Pool) -> Result<u64, TaskError> {
    ///     let alone = process::spawn(|x: u64| x + 1, 1)?.join()?;
    ///     Ok(alone + pool.call(|x: u64| x + 1, 2)?)
    /// }
    /// assert_eq!(both(&Pool::new(1)?)?, 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    fn from(failure: process::TaskError) -> TaskError {
        TaskError::new(failure)
    }
}

impl From<Error> for TaskError {
    /// What kept the task from being tried at all.
    fn from(error: Error) -> TaskError {
        TaskError::new(process::TaskError::Io(error))
    }
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Error {
        error.0.failure.into()
    }
}

crate::error::into_io_error!(TaskError);
