//! The ladder by which a process is stopped.

use super::Signal;
use std::time::Duration;

/// How to stop a process: ask, insist, force, each with a time of grace. The
/// last step, `SIGKILL`, is always there.
///
/// # Examples
/// ```
/// use procession::process::{self, Stop, TaskError};
/// use std::time::Duration;
/// let mut busy = process::spawn(|()| -> () { loop { std::hint::spin_loop() } }, ())?;
/// let stop = Stop::new()
///     .request(Duration::from_millis(1))
///     .terminate(Duration::from_secs(1));
/// assert!(matches!(busy.stop(stop), Err(TaskError::Cancelled(..))));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stop {
    request: Option<Duration>,
    terminate: Option<Duration>,
    group: bool,
}

impl Stop {
    /// Returns the shortest ladder: `SIGKILL` at once.
    ///
    /// # Examples
    /// See [`Stop`].
    #[must_use]
    pub fn new() -> Stop {
        Stop::default()
    }

    /// First asks the task, which sees it in
    /// [`Current::stop_requested`](super::Current::stop_requested), and gives
    /// it `grace` to end. Programs that are not tasks cannot be asked.
    ///
    /// # Examples
    /// See [`Stop`].
    #[must_use]
    pub fn request(mut self, grace: Duration) -> Stop {
        self.request = Some(grace);
        self
    }

    /// Then sends `SIGTERM`, and gives the process `grace` to end.
    ///
    /// # Examples
    /// See [`Stop`].
    #[must_use]
    pub fn terminate(mut self, grace: Duration) -> Stop {
        self.terminate = Some(grace);
        self
    }

    /// Signals the whole process group, if the process leads one.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal, Stop};
    /// use std::time::Duration;
    /// let script = Command::shell("sleep 60 & sleep 60").process_group().spawn()?;
    /// let stop = Stop::new().terminate(Duration::from_secs(10)).group();
    /// assert_eq!(script.stop(stop)?.signal(), Some(Signal::TERM));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn group(mut self) -> Stop {
        self.group = true;
        self
    }

    pub(super) fn is_group(self) -> bool {
        self.group
    }

    /// The steps, `None` being the request, each with its grace.
    pub(super) fn steps(self) -> impl Iterator<Item = (Option<Signal>, Duration)> {
        let request = self.request.map(|grace| (None, grace));
        let terminate = self.terminate.map(|grace| (Some(Signal::TERM), grace));
        let kill = Some((Some(Signal::KILL), Duration::ZERO));
        [request, terminate, kill].into_iter().flatten()
    }
}
