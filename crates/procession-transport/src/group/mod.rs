//! Workers in other processes, and one receiver that learns how each of them
//! ended.

mod event;
mod worker;

pub use event::{Event, WorkerError, WorkerFailure};
pub use worker::Worker;

use crate::fan_in::FanIn;
use crate::inbox::Arrival;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::sender_token::SenderToken;
use procession::__private::error::ErrorBuilder;
use procession::__private::transport::{poll, text_of_panic, timed_out};
use procession::process::{self, ExitStatus, Fork, StartMethod, Task};
use procession::signal::{self, Signal};
use procession::{Deadline, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags};
use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use worker::{Process, Processes, end};

/// Exit code of a worker whose function returned an error.
const EXIT_ERROR: i32 = 1;

/// Exit code of a worker whose function panicked, as Rust's runtime uses.
const EXIT_PANIC: i32 = 101;

/// Worker processes and the receiver of their messages.
///
/// # If a process dies
/// A worker that ends without finishing becomes [`Event::Failed`], after everything that
/// it had sent. Its death wakes the group where the transport can be polled; elsewhere
/// the group looks again after 20 ms at the latest. If the parent dies, the
/// kernel kills the workers ([`process::die_with`]).
///
/// # When dropped
/// Workers that still run are killed and reaped.
///
/// # Examples
/// ```
/// use procession::signal::Signal;
/// use procession_transport::{Event, FanIn, Options, Transport, WorkerGroup};
/// use std::time::Duration;
/// let fan_in = FanIn::open(Transport::Unix, 2, &Options::default())?;
/// let mut group = WorkerGroup::start(fan_in, |worker, sender| {
///     if worker == 1 {
///         std::thread::sleep(Duration::from_secs(3600));
///     }
///     sender.send(b"done")
/// })?;
/// group.workers()[1].signal(Signal::KILL)?;
/// let mut ends = Vec::new();
/// while let Some(event) = group.next()? {
///     match event {
///         Event::Message { worker, bytes } => assert_eq!((worker, &bytes[..]), (0, &b"done"[..])),
///         Event::Finished { worker } => ends.push((worker, None)),
///         Event::Failed(error) => ends.push((error.worker, error.signal())),
///     }
/// }
/// ends.sort_by_key(|end| end.0);
/// assert_eq!(ends, [(0, None), (1, Some(Signal::KILL))]);
/// assert!(group.workers().iter().all(|worker| worker.is_ended()));
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "Crew")]
#[derive(Debug)]
pub struct WorkerGroup {
    workers: Vec<Worker>,
    receiver: Receiver,
}

impl WorkerGroup {
    /// Forks one worker for each sender of `fan_in`. Each calls `work` with its number
    /// and its sender, finishes, and exits; an error or panic of
    /// `work` arrives as [`WorkerFailure::Reported`].
    ///
    /// Workers ignore `SIGINT`: a terminal sends Ctrl-C to the whole process group, and the
    /// parent decides. They are killed when the thread that called this ends.
    ///
    /// # Errors
    /// As [`process::fork`]; workers that were started are killed.
    pub fn start<E: fmt::Display>(
        fan_in: FanIn,
        work: impl Fn(usize, &mut Sender) -> std::result::Result<(), E>,
    ) -> Result<WorkerGroup> {
        let parent = std::process::id();
        let _ = std::io::stderr().flush();
        let mut processes = Processes(Vec::with_capacity(fan_in.senders()));
        // Until a worker ignores it, a Ctrl-C would be its end.
        let held = signal::block(&[Signal::INT])?;
        for index in 0..fan_in.senders() {
            match process::fork()? {
                Fork::Child => process::exit(run_worker(fan_in, index, parent, held, &work)),
                Fork::Parent(child) => processes.0.push(Process::Forked(child)),
            }
        }
        drop(held);
        WorkerGroup::of(processes, fan_in)
    }

    /// Starts one worker for each sender of `fan_in` on the family's server,
    /// or by executing the program anew ([`StartMethod`]). Each gets its
    /// [`SenderToken`] as the argument of `work`, which most often is
    /// [`SenderToken::work`] and no more.
    ///
    /// # Errors
    /// As [`Builder::spawn`](process::Builder::spawn); workers that were
    /// started are killed. [`InvalidInput`](ErrorKind::InvalidInput): with
    /// [`StartMethod::Fork`], for which there is [`start`](WorkerGroup::start): a
    /// forked worker holds copies of everybody's ends.
    ///
    /// # Examples
    /// ```
    /// use procession::process::StartMethod;
    /// use procession::task;
    /// use procession_transport::{WorkerGroup, Event, FanIn, Options, SenderToken, Transport};
    /// let fan_in = FanIn::open(Transport::Pipe, 2, &Options::default())?;
    /// let factor = 10;
    /// let work = task!([factor] |token: SenderToken| {
    ///     token.work(|index, sender| sender.send(&[factor * index as u8]))
    /// });
    /// let mut group = WorkerGroup::spawn(fan_in, StartMethod::ForkServer, &work)?;
    /// let mut received = Vec::new();
    /// while let Some(event) = group.next()? {
    ///     if let Event::Message { bytes, .. } = event {
    ///         received.extend(bytes);
    ///     }
    /// }
    /// received.sort();
    /// assert_eq!(received, [0, 10]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn spawn(
        fan_in: FanIn,
        method: StartMethod,
        work: &Task<SenderToken, std::result::Result<(), String>>,
    ) -> Result<WorkerGroup> {
        if method == StartMethod::Fork {
            let error = ErrorBuilder::new(ErrorKind::InvalidInput, "starting worker group", method);
            return Err(error
                .because("a forked worker would hold everybody's ends")
                .with_hint("use `WorkerGroup::start`")
                .build());
        }
        let mut processes = Processes(Vec::with_capacity(fan_in.senders()));
        for index in 0..fan_in.senders() {
            let builder = process::Builder::new()
                .start_method(method)
                .name(format!("worker-{index}"));
            let task = builder.spawn_task(work, fan_in.sender_token(index)?)?;
            processes.0.push(Process::Task(Box::new(task)));
        }
        WorkerGroup::of(processes, fan_in)
    }

    fn of(mut processes: Processes, fan_in: FanIn) -> Result<WorkerGroup> {
        let receiver = fan_in.into_receiver()?;
        let processes = std::mem::take(&mut processes.0);
        let workers = processes.into_iter().map(Worker::new).collect();
        Ok(WorkerGroup { workers, receiver })
    }

    /// Returns the workers, by number.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Blocks until the next event; returns `None` when every worker has ended.
    ///
    /// # Errors
    /// The channel as a whole has failed.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator could not report errors once"
    )]
    pub fn next(&mut self) -> Result<Option<Event>> {
        self.next_until(Deadline::NEVER, None)
    }

    /// Returns the next event if there is one, without blocking; `None` when every worker
    /// has ended.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock), and as [`next`](WorkerGroup::next).
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        self.next_until(Deadline::NOW, None)
    }

    /// Blocks until the next event, at most until `deadline`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`next`](WorkerGroup::next).
    pub fn next_deadline(&mut self, deadline: Deadline) -> Result<Option<Event>> {
        self.next_until(deadline, None)
    }

    /// Blocks until the next event, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), and as [`next`](WorkerGroup::next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Event>> {
        self.next_until(Deadline::after(timeout), None)
    }

    /// Blocks until the next event, at most until `deadline`, or until `interrupt` is
    /// readable, which may be a [`Signals`](signal::Signals).
    ///
    /// # Errors
    /// [`Interrupted`](ErrorKind::Interrupted): `interrupt` is readable; and as
    /// [`next_deadline`](WorkerGroup::next_deadline).
    pub fn next_until(
        &mut self,
        deadline: Deadline,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Event>> {
        loop {
            // Before any bad news: what stops us may have stopped workers too.
            if interrupt.is_some_and(is_readable) {
                let transport = self.receiver.transport();
                return Err(
                    ErrorBuilder::new(ErrorKind::Interrupted, "gathering", transport).build(),
                );
            }
            if let Some(event) = self.next_arrival() {
                return Ok(Some(event));
            }
            if self.collect_dead()? {
                continue;
            }
            if let Some(event) = self.next_end() {
                return Ok(Some(event));
            }
            if self.workers.iter().all(|worker| worker.ended) {
                return Ok(None);
            }
            if self.receiver.drain()? {
                continue;
            }
            let running = self.workers.iter().filter(|worker| worker.status.is_none());
            let mut also: Vec<BorrowedFd<'_>> =
                running.map(|worker| worker.process.as_fd()).collect();
            also.extend(interrupt);
            if deadline.has_passed() {
                return Err(timed_out(deadline, "gathering", self.receiver.transport()));
            }
            let running = self.workers.iter().filter(|worker| worker.status.is_none());
            if running.clone().all(|worker| worker.finished) {
                // Nothing more comes over the channel, which may be one that cannot
                // be waited for beside descriptors.
                poll::wait_for_any(&also, deadline)?;
            } else {
                self.receiver.wait(&also, deadline)?;
            }
        }
    }

    /// What has come over the channel.
    fn next_arrival(&mut self) -> Option<Event> {
        while let Some(arrival) = self.receiver.inbox.pop() {
            match arrival {
                Arrival::Message { sender, bytes } => {
                    self.workers[sender].messages += 1;
                    return Some(Event::Message {
                        worker: sender,
                        bytes,
                    });
                }
                Arrival::End { sender } => self.workers[sender].finished = true,
                Arrival::Failure { sender, reason } => {
                    self.workers[sender]
                        .failure
                        .get_or_insert(WorkerFailure::Reported(reason));
                }
                Arrival::Broken { sender, error } => {
                    let worker = &mut self.workers[sender];
                    worker.failure.get_or_insert(WorkerFailure::Protocol(error));
                    // What it goes on to say is not listened to.
                    let _ = worker.process.signal(Signal::KILL);
                }
            }
        }
        None
    }

    /// Reaps workers that have ended and takes what they left in the channel. Returns `true`
    /// if one was reaped: of one that its server has not reaped yet there is no status.
    fn collect_dead(&mut self) -> Result<bool> {
        let running = self.workers.iter().filter(|worker| worker.status.is_none());
        let mut descriptors: Vec<PollFd<'_>> = running
            .map(|worker| PollFd::new(&worker.process, PollFlags::IN))
            .collect();
        if descriptors.is_empty() || poll::wait(&mut descriptors, Deadline::NOW)? == 0 {
            return Ok(false);
        }
        let mut any = false;
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            if worker.status.is_some() {
                continue;
            }
            let (status, failure) = match worker.process.try_wait() {
                Ok(None) => continue,
                Ok(Some(end)) => end,
                Err(error) => (ExitStatus::from_raw(0), Some(WorkerFailure::Lost(error))),
            };
            worker.status = Some(status);
            self.receiver.drain_dead(index)?;
            self.workers[index].last_words = failure;
            any = true;
        }
        Ok(any)
    }

    /// The end of a worker whose last words have been heard.
    fn next_end(&mut self) -> Option<Event> {
        let done = |worker: &Worker| worker.status.is_some() && !worker.ended;
        let index = self.workers.iter().position(done)?;
        let worker = &mut self.workers[index];
        worker.ended = true;
        let status = worker.status?;
        if worker.failure.is_none() {
            worker.failure = worker.last_words.take();
        }
        if worker.finished && status.success() && worker.failure.is_none() {
            return Some(Event::Finished { worker: index });
        }
        Some(Event::Failed(WorkerError {
            worker: index,
            pid: worker.process.id(),
            transport: self.receiver.transport(),
            failure: worker
                .failure
                .clone()
                .unwrap_or(WorkerFailure::Ended(status)),
            messages: worker.messages,
            in_message: self.receiver.inbox.is_partial(index),
        }))
    }
}

fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    poll::readable(descriptor, Deadline::NOW).is_ok()
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        let running = self
            .workers
            .iter_mut()
            .filter(|worker| worker.status.is_none());
        end(running.map(|worker| &mut worker.process).collect());
    }
}

/// A worker's life; returns its exit code.
fn run_worker<E: fmt::Display>(
    fan_in: FanIn,
    index: usize,
    parent: u32,
    held: signal::Blocked,
    work: &impl Fn(usize, &mut Sender) -> std::result::Result<(), E>,
) -> i32 {
    let prepared = process::die_with(parent)
        .and_then(|()| signal::ignore(Signal::INT))
        .and_then(|()| {
            drop(held);
            fan_in.into_sender(index)
        });
    let mut sender = match prepared {
        Ok(sender) => sender,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "worker {index}: {error}");
            return EXIT_ERROR;
        }
    };
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| work(index, &mut sender)));
    let (reason, code) = match outcome {
        Ok(Ok(())) => (None, 0),
        Ok(Err(error)) => (Some(error.to_string()), EXIT_ERROR),
        Err(panic) => {
            let text = text_of_panic(&*panic);
            (Some(format!("panicked: {text}")), EXIT_PANIC)
        }
    };
    let sent = match &reason {
        None => sender.finish(),
        Some(reason) => sender.fail(reason),
    };
    if let (Err(error), Some(reason)) = (&sent, &reason) {
        // The channel cannot carry the reason; the terminal may.
        let _ = writeln!(std::io::stderr(), "worker {index}: {reason} ({error})");
    }
    if code == 0 && sent.is_err() {
        EXIT_ERROR
    } else {
        code
    }
}
