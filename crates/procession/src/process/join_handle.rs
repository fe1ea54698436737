//! Waiting for a task, and stopping it.

use super::running::Running;
use super::{Signal, Stop, TaskError};
use crate::codec;
use crate::os::pipe;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::event::{PollFd, PollFlags};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What becomes of a task whose handle is dropped before it was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDrop {
    /// It goes on, until it ends or its family does; as with threads.
    #[default]
    Detach,
    /// It is killed, and is gone when the drop returns.
    Kill,
    /// The drop waits for its end, however long that takes.
    Join,
}

/// A process that runs a task and will have a result.
///
/// It is a descriptor (the process's pidfd, readable when the process has
/// ended), so it can be polled beside others; with the feature `tokio` it is
/// also a future.
///
/// # If the handle is dropped
/// As [`Builder::on_drop`](super::Builder::on_drop) says; unless it does, the
/// task goes on, and dies with its family at the latest. No zombie is left.
///
/// # If a process dies
/// The task's death is a [`TaskError`]. If this process dies, the family's
/// server, which the kernel tells of it at once, kills the task.
///
/// # Across fork and exec
/// A forked copy can signal the task; it must not join it.
///
/// # Examples
/// ```
/// use procession::process;
/// use std::time::Duration;
/// fn slowly(seconds: u64) -> u64 {
///     std::thread::sleep(Duration::from_secs(seconds));
///     seconds
/// }
/// let mut slow = process::spawn(slowly, 3600)?;
/// assert!(slow.join_timeout(Duration::from_millis(5)).unwrap_err().is_timeout());
/// slow.kill()?;
/// assert_eq!(slow.join().unwrap_err().signal(), Some(process::Signal::KILL));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct JoinHandle<R> {
    pub(super) running: Running,
    on_drop: OnDrop,
    stopped: bool,
    joined: bool,
    stdin: Mutex<Option<pipe::Writer>>,
    stdout: Option<pipe::Reader>,
    stderr: Option<pipe::Reader>,
    #[cfg(feature = "tokio")]
    pub(super) await_state: Option<super::await_state::AwaitState>,
    result: PhantomData<fn() -> R>,
}

/// Our ends of a task's piped standard streams.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<pipe::Writer>,
    pub(crate) stdout: Option<pipe::Reader>,
    pub(crate) stderr: Option<pipe::Reader>,
}

impl<R> JoinHandle<R> {
    pub(super) fn new(running: Running, on_drop: OnDrop, pipes: Pipes) -> Self {
        JoinHandle {
            running,
            on_drop,
            stopped: false,
            joined: false,
            stdin: Mutex::new(pipes.stdin),
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            #[cfg(feature = "tokio")]
            await_state: None,
            result: PhantomData,
        }
    }

    /// Returns the task's process id. When the task has ended and was reaped, the number may be
    /// given to another process.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Builder};
    /// let mut task = Builder::new().name("greeter").spawn(|()| std::process::id(), ())?;
    /// assert_eq!(task.name(), "greeter");
    /// let pid = task.pid();
    /// assert_eq!(task.join().unwrap(), pid);
    /// assert!(task.is_finished());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "id")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// Returns the task's name, given or `task-N`.
    ///
    /// # Examples
    /// See [`pid`](JoinHandle::pid).
    #[must_use]
    pub fn name(&self) -> &str {
        self.running.name()
    }

    /// Returns `true` if the process has ended, so that joining takes no longer than its status needs
    /// to arrive.
    ///
    /// # Examples
    /// See [`pid`](JoinHandle::pid).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.joined || poll::readable(self.running.pidfd(), Deadline::NOW).is_ok()
    }

    /// Takes the writing end of the task's standard input, if that was
    /// [`piped`](super::Stdio::Piped) and was not taken before.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, Stdio};
    /// let builder = Builder::new().stdin(Stdio::Piped);
    /// let mut task = builder.spawn(|()| std::io::stdin().lines().count(), ())?;
    /// task.take_stdin().unwrap().write_all(b"a\nb\n")?;
    /// assert_eq!(task.join().unwrap(), 2);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn take_stdin(&mut self) -> Option<pipe::Writer> {
        let stdin = self.stdin.get_mut();
        stdin.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes the reading end of the task's standard output, if that was piped and was not taken before.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Builder, Stdio};
    /// use std::io::Read;
    /// let builder = Builder::new().stdout(Stdio::Piped).stderr(Stdio::Piped);
    /// let mut task = builder.spawn(|()| { println!("said"); eprintln!("problem") }, ())?;
    /// let (mut said, mut problem) = (String::new(), String::new());
    /// task.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    /// task.take_stderr().unwrap().read_to_string(&mut problem).unwrap();
    /// assert_eq!((said.as_str(), problem.as_str()), ("said\n", "problem\n"));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn take_stdout(&mut self) -> Option<pipe::Reader> {
        self.stdout.take()
    }

    /// Takes the reading end of the task's standard error, if that was piped and was not taken before.
    ///
    /// # Examples
    /// See [`take_stdout`](JoinHandle::take_stdout).
    pub fn take_stderr(&mut self) -> Option<pipe::Reader> {
        self.stderr.take()
    }

    /// Sends the process a signal: this very process, whatever has happened to
    /// its number since.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) (ESRCH): it has ended and was reaped.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Builder, Signal};
    /// let parks = |()| -> () { loop { std::thread::park() } };
    /// let mut task = Builder::new().process_group().spawn(parks, ())?;
    /// assert!(task.try_wait().unwrap_err().is_would_block());
    /// task.signal(Signal::HUP)?;
    /// task.wait()?;
    /// assert_eq!(task.join().unwrap_err().signal(), Some(Signal::HUP));
    /// let mut task = Builder::new().process_group().spawn(parks, ())?;
    /// task.signal_group(Signal::TERM)?;
    /// assert_eq!(task.join().unwrap_err().signal(), Some(Signal::TERM));
    /// let mut task = process::spawn(parks, ())?;
    /// task.terminate()?;
    /// task.wait_timeout(std::time::Duration::from_secs(60))?;
    /// task.wait_deadline(procession::Deadline::NEVER)?;
    /// assert_eq!(task.try_join()?.unwrap_err().signal(), Some(Signal::TERM));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Kills the task (`SIGKILL`); join it afterwards.
    ///
    /// # Errors
    /// As [`signal`](JoinHandle::signal).
    ///
    /// # Examples
    /// See [`JoinHandle`].
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks the process to end (`SIGTERM`), which kills it unless it has
    /// decided otherwise.
    ///
    /// # Errors
    /// As [`signal`](JoinHandle::signal).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Signals the whole process group, if the task leads one
    /// ([`Builder::process_group`](super::Builder::process_group)).
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): it does not;
    /// [`NotFound`](ErrorKind::NotFound): nobody is left in it.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        self.running.signal_group(signal)
    }

    /// Waits until the process has ended, and leaves the result to be joined. Standard
    /// input, if piped and not taken, is closed first.
    ///
    /// # Errors
    /// The system call's.
    pub fn wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns `Ok` if the process has ended, and leaves the result to be joined, and its
    /// standard input as it is.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): it runs.
    pub fn try_wait(&self) -> Result<()> {
        self.wait_deadline(Deadline::NOW)
    }

    /// Waits until the process has ended, at most `timeout`, and leaves the result to be
    /// joined. Standard input, if piped and not taken, is closed first.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until the process has ended, at most until the deadline, and
    /// leaves the result to be joined. Standard input, if piped and not taken, is closed
    /// first, unless the deadline has passed.
    ///
    /// # Errors
    /// The deadline's.
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<()> {
        // A task that waits for the end of its input would never end.
        if !deadline.has_passed() {
            let stdin = self.stdin.lock();
            *stdin.unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.running.wait(deadline)
    }
}

impl<R: DeserializeOwned> JoinHandle<R> {
    /// Waits until the task's process has ended, and returns what the function
    /// returned.
    ///
    /// Joining a second time is an error ([`TaskError::Io`]). Standard input,
    /// if piped and not taken, is closed first.
    ///
    /// # Errors
    /// How the task failed.
    ///
    /// # Cost
    /// Two polls if it runs; a result beyond 4,000 bytes is mapped, not copied,
    /// and decoded from there.
    ///
    /// # Examples
    /// See [`spawn`](super::spawn).
    pub fn join(&mut self) -> std::result::Result<R, TaskError> {
        self.join_deadline(Deadline::NEVER)
            .unwrap_or_else(|error| Err(TaskError::io(error)))
    }

    /// Returns the result of the task if it has ended, and how it failed as the inner
    /// error.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): the task is still running.
    pub fn try_join(&mut self) -> Result<std::result::Result<R, TaskError>> {
        self.join_deadline(Deadline::NOW)
    }

    /// Blocks until the task has ended, at most `timeout`, and returns its result; how it
    /// failed is the inner error.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): the task is still running.
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<std::result::Result<R, TaskError>> {
        self.join_deadline(Deadline::after(timeout))
    }

    /// Blocks until the task has ended or the deadline has passed, and returns the result
    /// of the task; how it failed is the inner error.
    ///
    /// # Errors
    /// As [`join_timeout`](JoinHandle::join_timeout), or, with [`Deadline::NOW`], as
    /// [`try_join`](JoinHandle::try_join).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, process};
    /// let mut task = process::spawn(|x: u64| x * x, 7)?;
    /// assert_eq!(task.join_deadline(Deadline::NEVER)?.unwrap(), 49);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn join_deadline(
        &mut self,
        deadline: Deadline,
    ) -> Result<std::result::Result<R, TaskError>> {
        if self.joined {
            let error = Error::new(ErrorKind::InvalidInput, "joining process", self.name());
            return Ok(Err(TaskError::io(error.because("it was joined before"))));
        }
        match self.wait_deadline(deadline) {
            Ok(()) => {}
            Err(error) if error.is_timeout() || error.is_would_block() => return Err(error),
            Err(error) => return Ok(Err(TaskError::io(error))),
        }
        self.joined = true;
        let result = self.running.take_result().and_then(|(body, descriptors)| {
            codec::decode(&body, descriptors).map_err(TaskError::codec)
        });
        Ok(result.map_err(|error| {
            let error = match error {
                TaskError::Signaled { .. } if self.stopped => TaskError::cancelled(),
                error => error,
            };
            error.in_process(self.pid())
        }))
    }

    /// Ends the task step by step — a request, `SIGTERM`, `SIGKILL` — and
    /// joins it: its result if it still came to one, else
    /// [`TaskError::Cancelled`].
    ///
    /// # Blocking
    /// At most as long as the steps take, and then until the kernel has ended
    /// the process.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Stop, TaskError};
    /// use std::time::Duration;
    /// let mut polite = process::spawn(|()| {
    ///     let me = process::current().unwrap();
    ///     procession::poll::readable(&me, procession::Deadline::NEVER).unwrap();
    ///     "as you wish".to_owned()
    /// }, ())?;
    /// let stop = Stop::new().request(Duration::from_secs(10));
    /// assert_eq!(polite.stop(stop).unwrap(), "as you wish");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn stop(&mut self, stop: Stop) -> std::result::Result<R, TaskError> {
        let whole_group = stop.is_group() && self.running.leads_group();
        for (step, grace) in stop.steps() {
            if self.is_finished() {
                break;
            }
            self.stopped = true;
            // It may end by itself at any moment.
            let _ = match step {
                None => self.running.request_stop(),
                Some(signal) if whole_group => self.running.signal_group(signal),
                Some(signal) => self.running.signal(signal),
            };
            if let Ok(result) = self.join_timeout(grace) {
                return result;
            }
        }
        self.join()
    }
}

impl<R> AsFd for JoinHandle<R> {
    /// The pidfd: readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.pidfd()
    }
}

impl<R> Drop for JoinHandle<R> {
    fn drop(&mut self) {
        if self.joined || !self.running.is_ours() {
            return;
        }
        match self.on_drop {
            OnDrop::Detach => {}
            OnDrop::Kill => {
                let _ = self.kill();
                let _ = self.wait_deadline(Deadline::NEVER);
            }
            OnDrop::Join => {
                let _ = self.wait_deadline(Deadline::NEVER);
            }
        }
    }
}

/// Waits until one of the processes has ended; returns its place. Takes
/// whatever is a pidfd: [`JoinHandle`], [`Child`](super::Child), mixed as
/// `&dyn AsFd`.
///
/// # Errors
/// The deadline's; [`InvalidInput`](ErrorKind::InvalidInput): there are none,
/// so that it would be for ever.
///
/// # Cost
/// One poll(2).
///
/// # Examples
/// ```
/// use procession::{process, Deadline};
/// use std::time::Duration;
/// fn nap(milliseconds: u64) { std::thread::sleep(Duration::from_millis(milliseconds)) }
/// let naps = [process::spawn(nap, 3_600_000)?, process::spawn(nap, 1)?];
/// assert_eq!(process::wait_any(&naps, Deadline::NEVER)?, 1);
/// naps[0].kill()?;
/// process::wait_all(&naps, Deadline::NEVER)?;
/// # Ok::<(), procession::Error>(())
/// ```
pub fn wait_any<P: AsFd>(processes: &[P], deadline: Deadline) -> Result<usize> {
    let operation = "waiting for one of several processes";
    if processes.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, operation, "").because("there are none"));
    }
    let watched = processes.iter().map(|one| PollFd::new(one, PollFlags::IN));
    let mut watched: Vec<PollFd<'_>> = watched.collect();
    if poll::wait(&mut watched, deadline)? == 0 {
        return Err(Error::new(deadline.error_kind(), operation, ""));
    }
    let ended = |watched: &PollFd<'_>| !watched.revents().is_empty();
    Ok(watched.iter().position(ended).unwrap_or(0))
}

/// Waits until all of the processes have ended, in whatever order.
///
/// # Errors
/// The deadline's.
///
/// # Examples
/// See [`wait_any`].
pub fn wait_all<P: AsFd>(processes: &[P], deadline: Deadline) -> Result<()> {
    for process in processes {
        poll::readable(process.as_fd(), deadline)
            .map_err(|error| Error::new(error.kind(), "waiting for several processes", ""))?;
    }
    Ok(())
}
