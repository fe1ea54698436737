//! The calling process as a task, and its parent.

use super::StartMethod;
use super::launch::protocol::Mailbox;
use crate::error::Context;
use crate::process_token;
use crate::signal::Signal;
use crate::{Deadline, Error, Result, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// What a task's process knows of itself.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) method: StartMethod,
    /// Whose the values here are; a forked copy is another process.
    pub(crate) process: u64,
    pub(crate) mailbox: Mailbox,
    pub(crate) parent_pid: u32,
    pub(crate) parent: OwnedFd,
    /// Where to ask to be a client of the family's server, if it made this process.
    pub(crate) admission: Option<Mailbox>,
}

static TASK: RwLock<Option<Arc<Task>>> = RwLock::new(None);

/// Makes the calling process a task.
pub(crate) fn become_task(task: Task) -> Arc<Task> {
    let task = Arc::new(task);
    *TASK.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&task));
    task
}

/// The task that the calling process runs, if it does.
pub(crate) fn task() -> Option<Arc<Task>> {
    let task = TASK.read().unwrap_or_else(PoisonError::into_inner).clone();
    task.filter(|task| task.process == process_token::current())
}

/// Returns the calling process as a task, if it was started by [`spawn`](super::spawn) or a
/// [`Builder`](super::Builder); `None` in others, the program's first process
/// among them.
///
/// # Examples
/// ```
/// use procession::process::{self, Builder};
/// assert!(process::current().is_none());
/// let mut child = Builder::new().name("worker").spawn(|()| {
///     process::current().unwrap().name().to_owned()
/// }, ())?;
/// assert_eq!(child.join().unwrap(), "worker");
/// # Ok::<(), procession::Error>(())
/// ```
#[must_use]
pub fn current() -> Option<Current> {
    task().map(Current)
}

/// The calling process as a task; see [`current`].
#[derive(Clone, Debug)]
pub struct Current(Arc<Task>);

impl Current {
    /// Returns the name of the task, given or `task-N`.
    ///
    /// # Examples
    /// See [`current`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns how the task was started.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, StartMethod};
    /// let mut task = process::spawn(|()| {
    ///     let me = process::current().unwrap();
    ///     (me.start_method() == StartMethod::ForkServer, me.id())
    /// }, ())?;
    /// let pid = task.pid();
    /// assert_eq!(task.join().unwrap(), (true, pid));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        self.0.method
    }

    /// Returns the task's process id.
    ///
    /// # Examples
    /// See [`start_method`](Current::start_method).
    #[must_use]
    pub fn id(&self) -> u32 {
        std::process::id()
    }

    /// Returns `true` if the parent has asked the task to end
    /// ([`Stop::request`](super::Stop::request)), or has ended. A task that runs
    /// for long looks now and then, and returns.
    ///
    /// # Cost
    /// One poll(2).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Stop};
    /// use std::time::Duration;
    /// let mut polite = process::spawn(|()| {
    ///     let me = process::current().unwrap();
    ///     while !me.stop_requested() { std::thread::yield_now() }
    ///     "as you wish".to_owned()
    /// }, ())?;
    /// let stop = Stop::new().request(Duration::from_secs(60));
    /// assert_eq!(polite.stop(stop).unwrap(), "as you wish");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn stop_requested(&self) -> bool {
        self.0.mailbox.has_news()
    }
}

impl AsFd for Current {
    /// Readable when the parent has asked the task to end.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.mailbox.as_fd()
    }
}

/// Returns the process that started this one with [`spawn`](super::spawn) or a
/// [`Builder`](super::Builder); `None` in others. It is the process whose
/// program asked for this one, whichever process forked it.
///
/// # Examples
/// ```
/// use procession::process;
/// let me = std::process::id();
/// let mut child = process::spawn(|()| process::parent().unwrap().id(), ())?;
/// assert_eq!(child.join().unwrap(), me);
/// # Ok::<(), procession::Error>(())
/// ```
#[must_use]
pub fn parent() -> Option<Parent> {
    task().map(Parent)
}

/// The process that started this one; see [`parent`].
///
/// # If a process dies
/// When the parent ends, the kernel or the family's server kills this process at
/// once, so there is rarely something to do about it.
#[derive(Clone, Debug)]
pub struct Parent(Arc<Task>);

impl Parent {
    /// Returns the parent's process id.
    ///
    /// # Examples
    /// See [`parent`].
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.parent_pid
    }

    /// Returns `true` while the parent runs.
    ///
    /// # Cost
    /// One poll(2).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Signal};
    /// let mut task = process::spawn(|()| {
    ///     let parent = process::parent().unwrap();
    ///     // Most programs ignore it.
    ///     parent.signal(Signal::WINCH).unwrap();
    ///     parent.is_alive() && parent.try_wait().unwrap_err().is_would_block()
    /// }, ())?;
    /// assert!(task.join().unwrap());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        poll::readable(&self.0.parent, Deadline::NOW).is_err()
    }

    /// Sends the parent a signal: this very process, whatever has happened to its number since.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound): it has ended
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): it belongs to another user
    ///
    /// # Examples
    /// See [`is_alive`](Parent::is_alive).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        procession_sys::signal::send(self.0.parent.as_fd(), signal.as_raw())
            .during("signalling parent", format!("{} with {signal}", self.id()))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// The system call's.
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, process};
    /// use std::time::Duration;
    /// let mut task = process::spawn(|()| {
    ///     let parent = process::parent().unwrap();
    ///     let later = parent.wait_deadline(Deadline::NOW).unwrap_err().is_would_block();
    ///     later && parent.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout()
    ///     // `parent.wait()` would never return: this process ends with its parent.
    /// }, ())?;
    /// assert!(task.join().unwrap());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns `Ok` if it has ended.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): it runs.
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Waits until it has ended, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until it has ended, or until `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        poll::readable(&self.0.parent, deadline)
            .map_err(|error| Error::new(error.kind(), "waiting for the end of parent", self.id()))
    }
}

impl AsFd for Parent {
    /// Its pidfd: readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.parent.as_fd()
    }
}
