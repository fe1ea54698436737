//! Services that are started again when they die.
//!
//! The words are those of Erlang's supervisors: a *child specification* says how a service
//! is started, stopped and restarted, the *strategy* is one-for-one (the death of one child
//! does not touch the others), and more than so many restarts within some time are a fault
//! that restarting does not mend, of which the caller hears.

mod child_spec;
mod error;
mod event;
mod restarts;
mod service;

pub use child_spec::{ChildSpec, Restart};
pub use error::SupervisorError;
pub use event::{ChildExit, SupervisorEvent};
pub use service::Supervise;

use crate::os::eventfd::{EventFd, Mode};
use crate::signal::{Signal, Signals};
use crate::{Deadline, Result, poll};
use restarts::{Backoff, Restarts};
use rustix::event::{PollFd, PollFlags};
use service::Service;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Starts services, programs and tasks alike, and starts those again that die.
///
/// [`run`](Supervisor::run) does all the work on the thread that calls it; nothing runs
/// before, behind, or on another thread. It starts the children in the order in which they were
/// added, learns of a death by pidfd, restarts the child as its [`Restart`] policy says, and
/// stops the children in reverse order when it is told to, by a
/// [`Stopper`] or by a [signal](Supervisor::stop_on).
///
/// # Limits
/// At most five restarts within ten seconds, of all children together, unless
/// [`max_restarts`](Supervisor::max_restarts) says otherwise. One more, and all children are
/// stopped and `run` fails with [`SupervisorError::TooManyRestarts`].
///
/// # If a process dies
/// If the process that runs the supervisor ends, however that ends, the family's server kills
/// the children. If the server is killed, the children end with it, and are restarted as after
/// any death.
///
/// # If it panics
/// A panic of an event handler or of a function that starts a child goes through
/// [`run`](Supervisor::run), which kills the children first.
///
/// # Across fork and exec
/// A forked child must not run the copy of a supervisor that runs in its parent.
///
/// # Cost
/// One poll(2) over all children for each event; nothing while nothing happens.
///
/// # Examples
/// ```
/// use procession::process::{ChildSpec, Command, Restart, Supervisor, SupervisorError};
/// fn serve(greeting: String) { println!("{greeting}") }
/// Supervisor::new()
///     .child(ChildSpec::command("prepare", || Command::new("true")).restart(Restart::Never))
///     .child(ChildSpec::task("serve", serve, "hello".to_owned()).restart(Restart::OnFailure))
///     .run()?;
/// # Ok::<(), SupervisorError>(())
/// ```
///
/// # References
/// Erlang/OTP Design Principles, "Supervisor Behaviour"; systemd.service(5), "Restart="
#[derive(Default)]
pub struct Supervisor {
    children: Vec<Child>,
    restarts: Restarts,
    backoff: Backoff,
    stop: Option<Arc<EventFd>>,
    signals: Option<Signals>,
    on_event: Option<Box<OnEvent>>,
}

type OnEvent = dyn FnMut(&SupervisorEvent) + Send;

/// A child, as it is known to its supervisor.
struct Child {
    spec: ChildSpec,
    state: State,
    /// Restarts without a longer life between them.
    in_a_row: u32,
}

enum State {
    Running(Box<dyn Service>, Instant),
    /// It is to be started again then.
    Due(Instant),
    /// It is not started, or not again.
    Over,
}

impl Supervisor {
    /// Returns a supervisor without children.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Supervisor;
    /// // Nothing to do.
    /// Supervisor::new().run()?;
    /// # Ok::<(), procession::process::SupervisorError>(())
    /// ```
    #[must_use]
    pub fn new() -> Supervisor {
        Supervisor::default()
    }

    /// Adds a child behind the others. It is started when they have been started, and stopped
    /// before them.
    ///
    /// # Examples
    /// See [`Supervisor`].
    #[must_use]
    pub fn child(mut self, spec: ChildSpec) -> Supervisor {
        self.children.push(Child {
            spec,
            state: State::Over,
            in_a_row: 0,
        });
        self
    }

    /// Sets how many restarts of all children together are allowed within `period`; five within
    /// ten seconds unless set. Zero restarts nothing: the first death that asks for a restart is
    /// an error.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildSpec, Command, Supervisor, SupervisorError};
    /// use std::time::Duration;
    /// let broken = ChildSpec::command("broken", || Command::shell("exit 3"));
    /// let supervisor = Supervisor::new().max_restarts(2, Duration::from_secs(60));
    /// let error = supervisor.child(broken).run().unwrap_err();
    /// assert!(matches!(error, SupervisorError::TooManyRestarts { .. }));
    /// assert_eq!(
    ///     error.to_string(),
    ///     "supervising `broken`: more than 2 restarts within 60s: it exited with code 3"
    /// );
    /// ```
    #[doc(alias = "intensity")]
    #[must_use]
    pub fn max_restarts(mut self, restarts: usize, period: Duration) -> Supervisor {
        self.restarts = Restarts::new(restarts, period);
        self
    }

    /// Sets how long a child that dies again and again is left alone. The first death is
    /// answered at once. A child that dies again, before it has lived for the period of
    /// [`max_restarts`](Supervisor::max_restarts), is restarted after `first`, then after twice
    /// as long, up to `max`: 10 ms and 1 s unless set.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Supervisor;
    /// use std::time::Duration;
    /// let patient = Supervisor::new()
    ///     .backoff(Duration::from_secs(1), Duration::from_secs(60))
    ///     .max_restarts(20, Duration::from_secs(600));
    /// patient.run()?;
    /// # Ok::<(), procession::process::SupervisorError>(())
    /// ```
    #[must_use]
    pub fn backoff(mut self, first: Duration, max: Duration) -> Supervisor {
        self.backoff = Backoff { first, max };
        self
    }

    /// Sets a function that is called for each event, on the thread that calls
    /// [`run`](Supervisor::run) and under no lock. Restarts do not happen while it runs: hand
    /// long work to another thread. A later call replaces the function.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildSpec, Command, Restart, Supervisor};
    /// let (sender, events) = std::sync::mpsc::channel();
    /// Supervisor::new()
    ///     .child(ChildSpec::command("once", || Command::new("true")).restart(Restart::Never))
    ///     .on_event(move |event| sender.send(event.to_string()).unwrap())
    ///     .run()?;
    /// let events: Vec<String> = events.iter().collect();
    /// assert!(events[0].starts_with("`once` started as process "), "{events:?}");
    /// assert_eq!(events[1], "`once` exited with code 0");
    /// # Ok::<(), procession::process::SupervisorError>(())
    /// ```
    #[must_use]
    pub fn on_event(
        mut self,
        handler: impl FnMut(&SupervisorEvent) + Send + 'static,
    ) -> Supervisor {
        self.on_event = Some(Box::new(handler));
        self
    }

    /// Has [`run`](Supervisor::run) stop all children when one of these signals arrives. They are
    /// caught from now on, until the supervisor is dropped.
    ///
    /// # Errors
    /// As [`Signals::new`].
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, ChildSpec, Command, Signal, Supervisor, SupervisorEvent};
    /// Supervisor::new()
    ///     .child(ChildSpec::command("server", || Command::new("sleep").arg("3600")))
    ///     .stop_on(&[Signal::TERM, Signal::INT])?
    ///     .on_event(|event| if let SupervisorEvent::Started { .. } = event {
    ///         process::send_signal_to_self(Signal::TERM).unwrap();
    ///     })
    ///     .run()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn stop_on(mut self, signals: &[Signal]) -> Result<Supervisor> {
        self.signals = Some(Signals::new(signals)?);
        Ok(self)
    }

    /// Returns a handle by which other threads have [`run`](Supervisor::run) stop.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor is left.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{ChildSpec, Command, Supervisor};
    /// let server = ChildSpec::command("server", || Command::new("sleep").arg("3600"));
    /// let mut supervisor = Supervisor::new().child(server);
    /// let stopper = supervisor.stopper()?;
    /// let running = std::thread::spawn(move || supervisor.run());
    /// stopper.stop();
    /// running.join().unwrap()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn stopper(&mut self) -> Result<Stopper> {
        let stop = match &self.stop {
            Some(stop) => Arc::clone(stop),
            None => Arc::new(EventFd::new(0, Mode::Counter)?),
        };
        self.stop = Some(Arc::clone(&stop));
        Ok(Stopper(stop))
    }

    /// Starts the children, and restarts them until the supervisor is stopped, until no child is
    /// left that runs or is to be restarted, or until there were too many restarts. No child runs when it
    /// returns.
    ///
    /// # Blocking
    /// Until then. Stopping takes as long as the children do, each at most the time of its
    /// [`stop`](ChildSpec::stop).
    ///
    /// # Errors
    /// - [`SupervisorError::NotStarted`]: a child could not be started at first; those before it
    ///   have been stopped
    /// - [`SupervisorError::TooManyRestarts`]: the limit is reached; all others have been stopped
    /// - [`SupervisorError::Failed`]: a system call failed; the children have been killed
    ///
    /// # Examples
    /// See [`Supervisor`].
    pub fn run(mut self) -> std::result::Result<(), SupervisorError> {
        for index in 0..self.children.len() {
            if let Err(error) = self.start(index) {
                let child = self.children[index].spec.name.clone();
                self.stop_all()?;
                return Err(SupervisorError::NotStarted { child, error });
            }
        }
        while self.is_any_left() {
            let (ready, is_stopped) = self.wait()?;
            if is_stopped {
                break;
            }
            for index in ready {
                let exit = match &mut self.children[index].state {
                    State::Running(service, _) => service.reap()?,
                    State::Due(_) => match self.start(index) {
                        Ok(()) => continue,
                        Err(error) => ChildExit::NotStarted(error),
                    },
                    State::Over => continue,
                };
                self.has_ended(index, exit)?;
            }
        }
        self.stop_all()
    }

    fn is_any_left(&self) -> bool {
        let mut states = self.children.iter().map(|child| &child.state);
        states.any(|state| !matches!(state, State::Over))
    }

    /// Waits until a child has ended or is to be started, or until the supervisor is to stop:
    /// which children, and whether it is.
    fn wait(&mut self) -> Result<(Vec<usize>, bool)> {
        let due = self.children.iter().filter_map(|child| match child.state {
            State::Due(at) => Some(at),
            _ => None,
        });
        let deadline = due.min().map_or(Deadline::NEVER, Deadline::at);
        let mut watched = Vec::with_capacity(self.children.len() + 2);
        let mut indices = Vec::with_capacity(self.children.len());
        for (index, child) in self.children.iter().enumerate() {
            if let State::Running(service, _) = &child.state {
                watched.push(PollFd::from_borrowed_fd(service.as_fd(), PollFlags::IN));
                indices.push(index);
            }
        }
        let stops = [
            self.stop.as_ref().map(|stop| stop.as_fd()),
            self.signals.as_ref().map(AsFd::as_fd),
        ];
        for stop in stops.into_iter().flatten() {
            watched.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        }
        poll::wait(&mut watched, deadline)?;
        let is_ready = |watched: &PollFd<'_>| !watched.revents().is_empty();
        let (children, stops) = watched.split_at(indices.len());
        let ended = indices.into_iter().zip(children);
        let mut ready: Vec<usize> = ended
            .filter(|(_, watched)| is_ready(watched))
            .map(|(index, _)| index)
            .collect();
        let is_stopped = stops.iter().any(is_ready);
        let now = Instant::now();
        for (index, child) in self.children.iter().enumerate() {
            if matches!(child.state, State::Due(at) if at <= now) {
                ready.push(index);
            }
        }
        Ok((ready, is_stopped))
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let child = &mut self.children[index];
        let service = (child.spec.start)()?;
        let (name, pid) = (child.spec.name.clone(), service.pid());
        child.state = State::Running(service, Instant::now());
        self.tell(SupervisorEvent::Started { child: name, pid });
        Ok(())
    }

    /// A child has ended by itself: decides whether it is restarted, and when.
    fn has_ended(
        &mut self,
        index: usize,
        exit: ChildExit,
    ) -> std::result::Result<(), SupervisorError> {
        let now = Instant::now();
        let child = &mut self.children[index];
        let name = child.spec.name.clone();
        let lived = match child.state {
            State::Running(_, since) => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        child.state = State::Over;
        let restarts = child.spec.restart.applies_to(&exit);
        self.tell(SupervisorEvent::Exited {
            child: name.clone(),
            exit: exit.clone(),
        });
        if !restarts {
            return Ok(());
        }
        if !self.restarts.allow(now) {
            self.stop_all()?;
            return Err(SupervisorError::TooManyRestarts {
                child: name,
                restarts: self.restarts.max,
                period: self.restarts.period,
                exit,
            });
        }
        let child = &mut self.children[index];
        child.in_a_row = match lived >= self.restarts.period {
            true => 0,
            false => child.in_a_row.saturating_add(1),
        };
        let after = self.backoff.delay(child.in_a_row);
        child.state = State::Due(now.checked_add(after).unwrap_or(now));
        self.tell(SupervisorEvent::Restarting { child: name, after });
        Ok(())
    }

    /// Stops the children that run, the last first.
    fn stop_all(&mut self) -> std::result::Result<(), SupervisorError> {
        for index in (0..self.children.len()).rev() {
            let child = &mut self.children[index];
            let state = std::mem::replace(&mut child.state, State::Over);
            if let State::Running(mut service, since) = state {
                let exit = service.stop(child.spec.stop).inspect_err(|_| {
                    // It is killed with the others.
                    child.state = State::Running(service, since);
                })?;
                let child = child.spec.name.clone();
                self.tell(SupervisorEvent::Stopped { child, exit });
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: SupervisorEvent) {
        if let Some(on_event) = &mut self.on_event {
            on_event(&event);
        }
    }
}

impl Drop for Supervisor {
    /// Kills the children that are left by an error or a panic, the last first.
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            if let State::Running(service, _) = &mut child.state
                && service.is_ours()
            {
                let _ = service.stop(super::Stop::new());
            }
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.children.iter().map(|child| &child.spec);
        f.debug_struct("Supervisor")
            .field("children", &children.collect::<Vec<_>>())
            .field("restarts", &self.restarts)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// Stops a [`Supervisor`] that runs on another thread; from [`Supervisor::stopper`].
///
/// # Examples
/// See [`Supervisor::stopper`].
#[derive(Clone, Debug)]
pub struct Stopper(Arc<EventFd>);

impl Stopper {
    /// Has [`Supervisor::run`] stop the children and return. Returns at once, and may be called
    /// before `run`, and any number of times.
    ///
    /// # Examples
    /// See [`Supervisor::stopper`].
    pub fn stop(&self) {
        // It fails only where it would overflow: then it has been called before.
        let _ = self.0.try_add(1);
    }
}
