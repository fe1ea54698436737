//! Why a task gave no result.

use super::task_report::{Details, Report};
use crate::signal::Signal;
use crate::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a task gave no result, whether it had a process of its own or ran in a
/// [pool](crate::pool).
///
/// Each variant says what happened; a pattern ends in `..`, because a variant may get more
/// fields. The methods tell which run it happened to:
/// [`pid`](TaskError::pid), and in pools [`index`](TaskError::index),
/// [`attempts`](TaskError::attempts) and [`stderr`](TaskError::stderr). Two errors are equal
/// if they say the same of both.
///
/// # Examples
/// ```
/// use procession::{pool::Pool, process::{self, TaskError}};
/// fn divide(x: u32) -> u32 { 100 / x }
///
/// match process::spawn(divide, 0)?.join() {
///     Err(TaskError::Panicked(panic, ..)) => assert_eq!(panic.message, "attempt to divide by zero"),
///     other => panic!("{other:?}"),
/// }
/// match Pool::new(1)?.map(divide, [1, 0]) {
///     Err(error @ TaskError::Panicked(..)) => assert_eq!(error.index(), Some(1)),
///     other => panic!("{other:?}"),
/// }
/// let exited = process::spawn(|code| -> u32 { std::process::exit(code) }, 3)?.join();
/// assert!(matches!(exited, Err(TaskError::Exited(3, ..))));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its function panicked.
    Panicked(Box<Panic>, #[doc(hidden)] Report),
    /// Its process exited before the function returned, with this code.
    Exited(u8, #[doc(hidden)] Report),
    /// A signal killed its process.
    #[non_exhaustive]
    Signaled {
        /// The signal.
        signal: Signal,
        /// `true` if the process left a core dump.
        core_dumped: bool,
        /// For SIGKILL: `true` if the kernel killed some process for want of memory while
        /// the task ran, most likely this one (the kernel does not say); `None` where
        /// nobody looked.
        out_of_memory: Option<bool>,
        /// `true` if the stack of the task's own thread had overflowed, which the process
        /// reported, also on standard error. An overflow in another thread is not
        /// reported. Neither is one that Rust's runtime detects, as after
        /// [`Fork`](super::StartMethod::Fork) from `main`: there the signal is SIGABRT,
        /// and the runtime reports the overflow on standard error.
        stack_overflowed: bool,
        #[doc(hidden)]
        report: Report,
    },
    /// Its time was over: it was killed, or not even begun.
    TimedOut(#[doc(hidden)] Report),
    /// It was stopped by [`JoinHandle::stop`](super::JoinHandle::stop), cancelled, or its
    /// pool was terminated.
    Cancelled(#[doc(hidden)] Report),
    /// Its process ended, or could not be made, before the function was called.
    NeverStarted(Error, #[doc(hidden)] Report),
    /// The argument could not be decoded, or the result could not be encoded or decoded.
    Codec(Error, #[doc(hidden)] Report),
    /// A system call of this library failed, the exit status is lost, or the task was
    /// refused, as by a pool that is closed.
    Io(Error, #[doc(hidden)] Report),
}

/// A panic that happened in another process.
///
/// # Examples
/// See [`TaskError::panic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// Its message.
    pub message: String,
    /// Where it happened, as `file:line:column`.
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
    /// Returns the signal that killed the process, if one did.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Signal};
    /// let error = process::spawn(|()| -> u32 { std::process::abort() }, ())?.join().unwrap_err();
    /// assert_eq!(error.signal(), Some(Signal::ABRT));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match self {
            TaskError::Signaled { signal, .. } => Some(*signal),
            _ => None,
        }
    }

    /// Returns the code that the process exited with, if it exited before the function
    /// returned.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, process};
    /// fn exit(code: i32) -> u32 { std::process::exit(code) }
    /// let error = process::spawn(exit, 3)?.join().unwrap_err();
    /// assert_eq!(error.exit_code(), Some(3));
    /// let error = Pool::new(1)?.call(exit, 4).unwrap_err();
    /// assert_eq!(error.exit_code(), Some(4));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            TaskError::Exited(code, ..) => Some(*code),
            _ => None,
        }
    }

    /// Returns the panic, if the function panicked.
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
            TaskError::Panicked(panic, ..) => Some(panic),
            _ => None,
        }
    }

    /// Returns `true` if the task was stopped or cancelled, or its pool was terminated.
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
        matches!(self, TaskError::Cancelled(..))
    }

    /// Returns `true` if the time of the task was over.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Builder;
    /// use std::time::Duration;
    /// fn sleep(_: ()) { std::thread::sleep(Duration::from_secs(3600)); }
    /// let mut task = Builder::new().timeout(Duration::from_millis(10)).spawn(sleep, ())?;
    /// assert!(task.join().unwrap_err().is_timeout());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, TaskError::TimedOut(..))
    }

    /// Returns the position of the argument among those that a pool was given, from zero;
    /// `None` for a single task.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let error = Pool::new(2)?.map(|x: u64| 100 / x, [1, 0, 2]).unwrap_err();
    /// assert_eq!(error.index(), Some(1));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn index(&self) -> Option<u64> {
        self.details()?.index
    }

    /// Returns the id of the process that ran the task last; `None` if none did.
    ///
    /// # Examples
    /// ```
    /// use procession::process;
    /// let mut task = process::spawn(|()| -> u32 { panic!("no luck") }, ())?;
    /// let pid = task.pid();
    /// assert_eq!(task.join().unwrap_err().pid(), Some(pid));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.details()?.pid
    }

    /// Returns how often a pool has tried the task; 0 if it never did, or if the task had a
    /// process of its own.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let error = pool.calls(|x: u64| 100 / x).retries(2).map([0]).unwrap_err();
    /// assert_eq!(error.attempts(), 3);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.details().map_or(0, |details| details.attempts)
    }

    /// Returns the last that a pool's worker wrote to its standard error, at most some
    /// 16 KiB, if the worker died; nothing if the pool does not
    /// [listen](crate::pool::Builder::stderr), or if the task had a process of its own.
    ///
    /// # Examples
    /// ```
    /// use procession::pool::Pool;
    /// let pool = Pool::new(1)?;
    /// let error = pool.call(|()| -> u32 {
    ///     eprintln!("this is the end");
    ///     std::process::abort()
    /// }, ()).unwrap_err();
    /// assert!(error.stderr().ends_with("this is the end\n"));
    /// assert_eq!(pool.call(|()| "alive".to_owned(), ())?, "alive");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn stderr(&self) -> &str {
        self.details().map_or("", |details| &details.stderr)
    }

    /// Returns what to try, where the library knows.
    ///
    /// # Examples
    /// ```
    /// use procession::process;
    /// let error = process::spawn(|()| -> u32 { panic!("no luck") }, ())?.join().unwrap_err();
    /// assert_eq!(error.hint(), None);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let out_of_memory = match self {
            TaskError::NeverStarted(error, ..)
            | TaskError::Codec(error, ..)
            | TaskError::Io(error, ..)
                if error.hint().is_some() =>
            {
                return error.hint().map(str::to_owned);
            }
            TaskError::Signaled {
                stack_overflowed: true,
                ..
            } => return Some(DEEP.to_owned()),
            TaskError::Signaled { out_of_memory, .. } => *out_of_memory == Some(true),
            _ => false,
        };
        let details = self.details().filter(|details| details.is_of_pool)?;
        let is_refused = details.stderr.contains("memory allocation of");
        (out_of_memory || is_refused).then(|| match details.memory_limit {
            Some(limit) => format!("the worker may have {limit} bytes: raise its `memory_limit`"),
            None => "run fewer workers, or give each a `memory_limit`".to_owned(),
        })
    }
}

const DEEP: &str = "give it a larger stack (`ulimit -s`), or have it call itself less deep";

/// How the library makes one, and says more of it.
impl TaskError {
    pub(crate) const fn exited(code: u8) -> TaskError {
        TaskError::Exited(code, Report::NONE)
    }

    pub(crate) const fn timed_out() -> TaskError {
        TaskError::TimedOut(Report::NONE)
    }

    pub(crate) const fn cancelled() -> TaskError {
        TaskError::Cancelled(Report::NONE)
    }

    pub(crate) fn panicked(panic: Panic) -> TaskError {
        TaskError::Panicked(Box::new(panic), Report::NONE)
    }

    pub(crate) const fn never_started(error: Error) -> TaskError {
        TaskError::NeverStarted(error, Report::NONE)
    }

    pub(crate) const fn codec(error: Error) -> TaskError {
        TaskError::Codec(error, Report::NONE)
    }

    pub(crate) const fn io(error: Error) -> TaskError {
        TaskError::Io(error, Report::NONE)
    }

    /// Of the argument at this position.
    pub(crate) fn at(mut self, index: Option<u64>) -> TaskError {
        let details = self.report_mut().details_mut();
        (details.index, details.is_of_pool) = (index, true);
        self
    }

    /// After so many attempts.
    pub(crate) fn after(mut self, attempts: u32) -> TaskError {
        let details = self.report_mut().details_mut();
        (details.attempts, details.is_of_pool) = (attempts, true);
        self
    }

    pub(crate) fn in_process(mut self, pid: u32) -> TaskError {
        self.report_mut().details_mut().pid = Some(pid);
        self
    }

    pub(crate) fn with_stderr(mut self, tail: String, memory_limit: Option<u64>) -> TaskError {
        let details = self.report_mut().details_mut();
        (details.stderr, details.memory_limit) = (tail, memory_limit);
        details.is_of_pool = true;
        self
    }

    /// The same for another task, of whose run nothing is known.
    pub(crate) fn without_report(mut self) -> TaskError {
        *self.report_mut() = Report::NONE;
        self
    }

    fn details(&self) -> Option<&Details> {
        match self {
            TaskError::Panicked(.., report)
            | TaskError::Exited(.., report)
            | TaskError::Signaled { report, .. }
            | TaskError::TimedOut(report)
            | TaskError::Cancelled(report)
            | TaskError::NeverStarted(.., report)
            | TaskError::Codec(.., report)
            | TaskError::Io(.., report) => report.details(),
        }
    }

    fn report_mut(&mut self) -> &mut Report {
        match self {
            TaskError::Panicked(.., report)
            | TaskError::Exited(.., report)
            | TaskError::Signaled { report, .. }
            | TaskError::TimedOut(report)
            | TaskError::Cancelled(report)
            | TaskError::NeverStarted(.., report)
            | TaskError::Codec(.., report)
            | TaskError::Io(.., report) => report,
        }
    }

    fn last_words(&self) -> Option<&str> {
        self.stderr().lines().next_back()
    }

    fn write_failure(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panic, ..) => write!(f, "{panic}"),
            TaskError::Exited(code, ..) => {
                write!(f, "exited with code {code} instead of returning")
            }
            TaskError::Signaled {
                signal,
                core_dumped,
                out_of_memory,
                stack_overflowed,
                ..
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
            TaskError::TimedOut(..) => f.write_str("killed at its deadline"),
            TaskError::Cancelled(..) => f.write_str("stopped"),
            TaskError::NeverStarted(error, ..) => write!(f, "never started: {error}"),
            TaskError::Codec(error, ..) | TaskError::Io(error, ..) => write!(f, "{error}"),
        }
    }
}

/// What happened, and in which worker.
struct Cause<'a>(&'a TaskError);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_failure(f)?;
        // A process of its own is told by its handle.
        let details = self.0.details().filter(|details| details.is_of_pool);
        let Some(pid) = details.and_then(|details| details.pid) else {
            return Ok(());
        };
        write!(f, " (process {pid}")?;
        if self.0.attempts() > 1 {
            write!(f, ", attempt {}", self.0.attempts())?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index(), self.attempts()) {
            (Some(index), _) => write!(f, "task {index} failed: ")?,
            (None, 0) => {}
            (None, _) => f.write_str("task failed: ")?,
        }
        write!(f, "{}", Cause(self))?;
        if self.details().is_some_and(|details| details.is_of_pool)
            && let Some(hint) = self.hint()
        {
            write!(f, "; {hint}")?;
        }
        if let Some(last) = self.last_words() {
            write!(f, "; its last words: {last}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Their text is in ours.
            TaskError::NeverStarted(error, ..)
            | TaskError::Codec(error, ..)
            | TaskError::Io(error, ..) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for TaskError {
    /// Says that the task could not be started at all, or that nobody knows what became
    /// of it.
    ///
    /// # Examples
    /// ```
    /// use procession::{pool::Pool, process::{self, TaskError}};
    /// fn both(pool: &Pool) -> Result<u64, TaskError> {
    ///     let alone = process::spawn(|x: u64| x + 1, 1)?.join()?;
    ///     Ok(alone + pool.call(|x: u64| x + 1, 2)?)
    /// }
    /// assert_eq!(both(&Pool::new(1)?)?, 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
    fn from(error: Error) -> TaskError {
        TaskError::io(error)
    }
}

impl From<TaskError> for Error {
    /// Returns the error inside, where there is one; else an error of the kind `TimedOut` or
    /// `ProcessDied` with the same text.
    fn from(error: TaskError) -> Error {
        let kind = match error {
            TaskError::NeverStarted(error, ..)
            | TaskError::Codec(error, ..)
            | TaskError::Io(error, ..) => return error,
            TaskError::TimedOut(..) => ErrorKind::TimedOut,
            _ => ErrorKind::ProcessDied,
        };
        let index = error.index().map(|index| index.to_string());
        let mut cause = Cause(&error).to_string();
        if let Some(last) = error.last_words() {
            cause.push_str("; its last words: ");
            cause.push_str(last);
        }
        let told = Error::new(kind, "running task", index.unwrap_or_default()).because(cause);
        match error.hint() {
            Some(hint) => told.with_hint(hint),
            None => told,
        }
    }
}

crate::error::into_io_error!(TaskError);
