//! A program that runs.

use super::communicate::{Conversation, Output};
use super::{CommandError, ExitStatus, Lines, OnDrop};
use crate::error::Context;
use crate::os::pipe;
use crate::process::running::Running;
use crate::process::{Signal, Stop};
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A program that was started by [`Command::spawn`](super::Command::spawn).
///
/// It is a descriptor, the program's pidfd, readable when it has ended.
///
/// Several threads may share it: all methods that wait, stop and signal take `&self`, and one
/// thread can kill the program for which others wait. A signal goes by pidfd, and so never to
/// another process that got the number.
///
/// # If the handle is dropped
/// As [`Command::on_drop`](super::Command::on_drop) says; unless it does, the
/// program goes on, and dies with its family. No zombie is left.
///
/// # Examples
/// ```
/// use procession::process::{Command, Signal};
/// let sleeper = Command::new("sleep").arg("60").spawn()?;
/// assert_eq!(sleeper.try_wait()?, None);
/// std::thread::scope(|scope| {
///     let waiter = scope.spawn(|| sleeper.wait());
///     sleeper.terminate()?;
///     assert_eq!(waiter.join().unwrap()?.signal(), Some(Signal::TERM));
///     Ok::<(), procession::Error>(())
/// })?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct CommandChild {
    running: Running,
    on_drop: OnDrop,
    /// Nobody sleeps under its lock.
    conversation: Mutex<Conversation>,
}

impl CommandChild {
    pub(super) fn new(running: Running, on_drop: OnDrop, talk: Conversation) -> CommandChild {
        CommandChild {
            running,
            on_drop,
            conversation: Mutex::new(talk),
        }
    }

    /// Whether this is the process that started it, not a forked copy.
    pub(in crate::process) fn is_ours(&self) -> bool {
        self.running.is_ours()
    }

    /// The program's process id. When it has ended, the number may be given
    /// to another process.
    #[doc(alias = "id")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// The writing end of its standard input, once, if it was piped.
    pub fn take_stdin(&mut self) -> Option<pipe::Writer> {
        // Whoever waits for room in it borrows this handle.
        self.conversation().stdin.take().and_then(Arc::into_inner)
    }

    /// The reading end of its standard output, once, if it was piped.
    pub fn take_stdout(&mut self) -> Option<pipe::Reader> {
        self.conversation().stdout.take()
    }

    /// The reading end of its standard error, once, if it was piped.
    pub fn take_stderr(&mut self) -> Option<pipe::Reader> {
        self.conversation().stderr.take()
    }

    fn conversation(&mut self) -> &mut Conversation {
        let conversation = self.conversation.get_mut();
        conversation.unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds it these bytes, beyond those given before, collects what it
    /// writes to its pipes, and waits for its end: all at once, so that
    /// neither side waits for the other.
    ///
    /// # Blocking
    /// Until its outputs are closed and it has ended. A program that it leaves
    /// behind with its outputs open is waited for, too.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): nothing is lost; calling again with
    /// no input goes on where this ended.
    ///
    /// # Examples
    /// ```
    /// use procession::{process::{Command, Stdio}, Deadline};
    /// use std::time::Duration;
    /// let mut cat = Command::new("sh").args(["-c", "cat; sleep 0.05; echo end"])
    ///     .stdin(Stdio::Piped).stdout(Stdio::Piped).spawn()?;
    /// let soon = Deadline::after(Duration::from_millis(5));
    /// assert!(cat.communicate(b"begin ", soon).unwrap_err().is_timeout());
    /// let output = cat.communicate(b"", Deadline::NEVER)?;
    /// assert_eq!(output.text(), "begin end");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn communicate(&mut self, input: &[u8], deadline: Deadline) -> Result<Output> {
        let conversation = self.conversation();
        conversation.input.extend_from_slice(input);
        conversation.proceed(deadline, None)?;
        self.running.wait(deadline)?;
        self.take_output()
    }

    /// Returns the lines that the program writes to its pipes, as they come. What was set by
    /// [`input`](super::Command::input) is written meanwhile; standard input, if piped and not
    /// [taken](CommandChild::take_stdin), is closed behind it.
    ///
    /// The lines end when all processes have closed the pipes, those included that the program
    /// has left behind; see [`lines_until_exit`](CommandChild::lines_until_exit). Reap the
    /// program afterwards.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): neither standard output nor standard error
    /// is a pipe, or both were taken.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let sorted = Command::new("sort").input("b\na\n").stdout(Stdio::Piped);
    /// let mut child = sorted.spawn()?;
    /// for (line, expected) in child.lines()?.zip(["a", "b"]) {
    ///     assert_eq!(line?.text(), expected);
    /// }
    /// assert!(child.wait()?.success());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "BufRead")]
    pub fn lines(&mut self) -> Result<Lines> {
        Lines::new(self.conversation(), None)
    }

    /// Returns the lines that the program writes, as [`lines`](CommandChild::lines) does, up to
    /// its end: what is in the pipes when it has ended is read, and what a process that it has
    /// left behind writes later is not.
    ///
    /// # Errors
    /// As [`lines`](CommandChild::lines), and [`LimitReached`](ErrorKind::LimitReached): no
    /// descriptor is left for a copy of the pidfd.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal, Stdio};
    /// let leaves = Command::shell("sleep 60 & echo said").stdout(Stdio::Piped).process_group();
    /// let mut child = leaves.spawn()?;
    /// let lines: Vec<_> = child.lines_until_exit()?.collect::<Result<_, _>>()?;
    /// assert_eq!(lines[0].text(), "said");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn lines_until_exit(&mut self) -> Result<Lines> {
        let copy = self.running.pidfd().try_clone_to_owned();
        let pidfd = copy.during("copying pidfd of", self.running.name())?;
        Lines::new(self.conversation(), Some(pidfd))
    }

    /// Feeds the first of the programs before this one, when it communicates, and
    /// collects what they write to their standard errors.
    pub(super) fn take_care_of(&mut self, others: &mut [CommandChild]) {
        if let Some(first) = others.first_mut() {
            self.conversation().take_input_of(first.conversation());
        }
        let stderrs = others.iter_mut().map(CommandChild::take_stderr);
        let before = stderrs.map(|reader| (reader, Vec::new())).collect();
        self.conversation().before = before;
    }

    /// What they wrote there.
    pub(super) fn take_words_of_others(&mut self) -> Vec<Vec<u8>> {
        let before = std::mem::take(&mut self.conversation().before);
        before.into_iter().map(|(_, words)| words).collect()
    }

    /// Communicates until the end, or ends the program when it takes too long
    /// or writes too much.
    pub(super) fn finish(
        &mut self,
        line: &str,
        deadline: Deadline,
        limit: Option<usize>,
    ) -> std::result::Result<Output, CommandError> {
        let talked = self.conversation().proceed(deadline, limit);
        let error = match talked.and_then(|()| self.running.wait(deadline)) {
            Ok(()) => return self.take_output().map_err(CommandError::NotStarted),
            Err(error) => error,
        };
        let _ = if self.running.leads_group() {
            self.signal_group(Signal::KILL)
        } else {
            self.kill()
        };
        // What it had written and nobody has read yet.
        let moment = Deadline::after(Duration::from_millis(50));
        let _ = self.conversation().proceed(moment, limit);
        let ended = self.running.wait(Deadline::NEVER);
        let output = ended.and_then(|()| self.take_output());
        let output = output.map_err(CommandError::NotStarted)?;
        let command = line.to_owned();
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                Err(CommandError::TimedOut { command, output })
            }
            ErrorKind::LimitReached => Err(CommandError::TooMuchOutput { command, output }),
            _ => Err(CommandError::NotStarted(error)),
        }
    }

    fn take_output(&mut self) -> Result<Output> {
        let status = self.ended()?;
        let conversation = self.conversation();
        let [stdout, stderr] = std::mem::take(&mut conversation.written);
        Ok(Output {
            status,
            stdout,
            stderr,
            is_merged: conversation.is_merged,
        })
    }

    fn ended(&self) -> Result<ExitStatus> {
        self.running
            .status()
            .ok_or_else(|| Error::new(ErrorKind::Busy, "waiting for program", self.running.name()))
    }

    /// Waits until it has ended. Its standard input, if piped and not taken,
    /// is closed first.
    ///
    /// # Errors
    /// None of its own.
    pub fn wait(&self) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Its status, if it has ended.
    ///
    /// # Errors
    /// As [`wait`](CommandChild::wait).
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        match self.running.wait(Deadline::NOW) {
            Ok(()) => self.ended().map(Some),
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits until the deadline.
    ///
    /// # Errors
    /// The deadline's.
    pub fn wait_deadline(&self, deadline: Deadline) -> Result<ExitStatus> {
        // A program that waits for the rest of its input, or for its end, would never end.
        if !deadline.has_passed() {
            self.feed(deadline)?;
        }
        self.running.wait(deadline)?;
        self.ended()
    }

    /// Gives the program its input and closes that; returns earlier if the program ends.
    fn feed(&self, deadline: Deadline) -> Result<()> {
        loop {
            let stdin = {
                let conversation = self.conversation.lock();
                let mut conversation = conversation.unwrap_or_else(PoisonError::into_inner);
                conversation.feed()?;
                conversation.stdin.clone()
            };
            let Some(stdin) = stdin else { return Ok(()) };
            let mut watched = [
                PollFd::new(&*stdin, PollFlags::OUT),
                PollFd::from_borrowed_fd(self.running.pidfd(), PollFlags::IN),
            ];
            if poll::wait(&mut watched, deadline)? == 0 {
                let operation = "writing input of program";
                return Err(Error::new(
                    deadline.error_kind(),
                    operation,
                    self.running.name(),
                ));
            }
            if !watched[1].revents().is_empty() {
                return Ok(());
            }
        }
    }

    /// When it ended, once its status is known: when the server reaped it, however late
    /// somebody asks; where the server was killed, or counts time otherwise because of a
    /// namespace of times, when its end was noticed.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use std::time::Duration;
    /// let child = Command::new("true").spawn()?;
    /// assert_eq!(child.ended_at(), None);
    /// child.wait()?;
    /// let ended = child.ended_at().expect("its status is known");
    /// std::thread::sleep(Duration::from_millis(20));
    /// assert!(ended.elapsed() >= Duration::from_millis(20));
    /// assert_eq!(child.ended_at(), Some(ended));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn ended_at(&self) -> Option<Instant> {
        self.running.ended_at()
    }

    /// A descriptor that is readable as soon as [`wait`](CommandChild::wait) returns at
    /// once: a moment later than the pidfd, when the server has told the status. It is so
    /// too where the server was killed; then the pidfd tells of the end.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use procession::{Deadline, poll};
    /// let child = Command::new("false").spawn()?;
    /// poll::readable(child.status_fd(), Deadline::NEVER)?;
    /// assert_eq!(child.wait()?.code(), Some(1));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn status_fd(&self) -> BorrowedFd<'_> {
        self.running.news()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Ends it without appeal (`SIGKILL`); wait for it afterwards.
    ///
    /// # Errors
    /// As [`signal`](CommandChild::signal).
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks it to end (`SIGTERM`).
    ///
    /// # Errors
    /// As [`signal`](CommandChild::signal).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Signals its whole process group, if it leads one.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): it does not;
    /// [`NotFound`](ErrorKind::NotFound): nobody is left in it.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        self.running.signal_group(signal)
    }

    /// Ends it step by step — `SIGTERM`, `SIGKILL` — and waits.
    ///
    /// # Errors
    /// As [`wait`](CommandChild::wait).
    pub fn stop(&self, stop: Stop) -> Result<ExitStatus> {
        let whole_group = stop.is_group() && self.running.leads_group();
        for (step, grace) in stop.steps() {
            let Some(signal) = step else { continue };
            if poll::readable(self, Deadline::NOW).is_ok() && !whole_group {
                break;
            }
            // It may end by itself at any moment.
            let _ = if whole_group {
                self.signal_group(signal)
            } else {
                self.signal(signal)
            };
            match self.wait_timeout(grace) {
                Err(error) if error.is_timeout() => {}
                outcome if !whole_group => return outcome,
                // The rest of the group gets its last step, too.
                _ => {}
            }
        }
        self.wait()
    }
}

impl AsFd for CommandChild {
    /// The pidfd: readable when the program has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.running.pidfd()
    }
}

impl Drop for CommandChild {
    fn drop(&mut self) {
        if !self.running.is_ours() {
            return;
        }
        match self.on_drop {
            OnDrop::Detach => {}
            OnDrop::Kill => {
                let _ = self.kill();
                let _ = self.wait();
            }
            OnDrop::Join => {
                let _ = self.wait();
            }
        }
    }
}
