//! What a supervisor knows of a child before it is started.

use super::event::ChildExit;
use super::service::{Service, Supervise};
use crate::Result;
use crate::process::{Builder, Command, Stop};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// How long a child may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// When a child that has ended is started again.
///
/// # Examples
/// ```
/// use procession::process::{ChildSpec, Command, Restart};
/// let once = ChildSpec::command("migrate", || Command::new("true")).restart(Restart::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Restart {
    /// However it has ended (Erlang's `permanent`).
    #[default]
    #[doc(alias = "permanent")]
    Always,
    /// If it has failed: if it exited with a code other than zero, was killed, panicked, or could
    /// not be started (Erlang's `transient`).
    #[doc(alias = "transient")]
    OnFailure,
    /// Never (Erlang's `temporary`).
    #[doc(alias = "temporary")]
    Never,
}

impl Restart {
    pub(super) fn applies_to(self, exit: &ChildExit) -> bool {
        match self {
            Restart::Always => true,
            Restart::OnFailure => exit.is_failure(),
            Restart::Never => false,
        }
    }
}

/// How a child of a [`Supervisor`](super::Supervisor) is started, restarted and stopped.
///
/// # Examples
/// ```
/// use procession::process::{ChildSpec, Command, Restart, Stop};
/// use std::time::Duration;
/// let server = ChildSpec::command("server", || Command::new("httpd").arg("-f"))
///     .restart(Restart::Always)
///     .stop(Stop::new().terminate(Duration::from_secs(30)));
/// ```
pub struct ChildSpec {
    pub(super) name: String,
    pub(super) start: Box<Start>,
    pub(super) restart: Restart,
    pub(super) stop: Stop,
}

type Start = dyn FnMut() -> Result<Box<dyn Service>> + Send;

impl ChildSpec {
    /// Describes a child that `start` starts: a program by [`Command::spawn`], a task by
    /// [`Builder::spawn`], with all their settings.
    ///
    /// `start` is called for each start, on the thread that calls
    /// [`Supervisor::run`](super::Supervisor::run) and under no lock.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, ChildSpec, Restart, Supervisor};
    /// fn work(_: ()) { /* … */ }
    /// let modest = ChildSpec::new("modest", || Builder::new().niceness(10).spawn(work, ()));
    /// Supervisor::new().child(modest.restart(Restart::OnFailure)).run()?;
    /// # Ok::<(), procession::process::SupervisorError>(())
    /// ```
    #[must_use]
    pub fn new<C: Supervise + 'static>(
        name: impl Into<String>,
        mut start: impl FnMut() -> Result<C> + Send + 'static,
    ) -> ChildSpec {
        ChildSpec {
            name: name.into(),
            start: Box::new(move || Ok(Box::new(start()?))),
            restart: Restart::default(),
            stop: Stop::new().terminate(GRACE),
        }
    }

    /// Describes a program; `command` is called for each start, as [`new`](ChildSpec::new) calls
    /// `start`.
    ///
    /// # If a process dies
    /// What the program has started goes on when it dies, beside its restarted self. With
    /// [`Command::process_group`] it is killed with the program.
    ///
    /// # Examples
    /// See [`Supervisor`](super::Supervisor).
    #[must_use]
    pub fn command(
        name: impl Into<String>,
        mut command: impl FnMut() -> Command + Send + 'static,
    ) -> ChildSpec {
        ChildSpec::new(name, move || {
            let command = command();
            command.refuse_input("starting supervised program")?;
            command.spawn()
        })
    }

    /// Describes a function in a process of its own, which is called with a clone of `argument`
    /// for each start. It fails if it panics, exits with a code other than zero, or is killed; when it
    /// returns, it has succeeded, whatever it returns.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildSpec, Restart, Supervisor};
    /// fn serve(port: u16) { assert_eq!(port, 80) }
    /// let server = ChildSpec::task("server", serve, 80).restart(Restart::OnFailure);
    /// Supervisor::new().child(server).run()?;
    /// # Ok::<(), procession::process::SupervisorError>(())
    /// ```
    #[must_use]
    pub fn task<A, R>(name: impl Into<String>, function: fn(A) -> R, argument: A) -> ChildSpec
    where
        A: Serialize + DeserializeOwned + Clone + Send + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let name = name.into();
        let title = name.clone();
        ChildSpec::new(name, move || {
            let builder = Builder::new().name(title.clone());
            builder.spawn(function, argument.clone())
        })
    }

    /// Sets when the child is restarted: always, unless set.
    ///
    /// # Examples
    /// See [`Supervisor`](super::Supervisor).
    #[must_use]
    pub fn restart(mut self, policy: Restart) -> ChildSpec {
        self.restart = policy;
        self
    }

    /// Sets how the child is stopped: by SIGTERM, and by SIGKILL after five seconds, unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildSpec, Command, Stop};
    /// use std::time::Duration;
    /// let slow = ChildSpec::command("database", || Command::new("postgres"))
    ///     .stop(Stop::new().terminate(Duration::from_secs(60)));
    /// ```
    #[doc(alias = "shutdown")]
    #[must_use]
    pub fn stop(mut self, stop: Stop) -> ChildSpec {
        self.stop = stop;
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}
