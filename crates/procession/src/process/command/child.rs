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

    /// Returns the program's process id. When the program has ended and was reaped, the number may be
    /// given to another process.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{self, Command};
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// assert_eq!(process::inspect(child.pid())?.expect("it runs").name, "sleep");
    /// child.kill()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "id")]
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    /// Takes the writing end of standard input, if that was
    /// [`piped`](crate::process::Stdio::Piped) and was not taken before. Drop it to end the program's
    /// input.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let counts = Command::new("wc").arg("-c").stdin(Stdio::Piped).stdout(Stdio::Piped);
    /// let mut child = counts.spawn()?;
    /// let stdin = child.take_stdin().expect("it is piped");
    /// stdin.write_all(b"four")?;
    /// drop(stdin);
    /// let line = child.lines()?.next_line()?.expect("there is one");
    /// assert_eq!(line.text().trim(), "4");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn take_stdin(&mut self) -> Option<pipe::Writer> {
        // Whoever waits for room in it borrows this handle.
        self.conversation().stdin.take().and_then(Arc::into_inner)
    }

    /// Takes the reading end of standard output, if that was piped and was not taken before.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// use std::io::Read;
    /// let script = Command::shell("echo said").stdout(Stdio::Piped);
    /// let mut child = script.spawn()?;
    /// let mut text = String::new();
    /// let mut pipe = child.take_stdout().expect("it is piped");
    /// pipe.read_to_string(&mut text).unwrap();
    /// assert_eq!(text, "said\n");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn take_stdout(&mut self) -> Option<pipe::Reader> {
        self.conversation().stdout.take()
    }

    /// Takes the reading end of standard error, if that was piped and was not taken before.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// use std::io::Read;
    /// let script = Command::shell("echo said >&2").stderr(Stdio::Piped);
    /// let mut child = script.spawn()?;
    /// let mut text = String::new();
    /// let mut pipe = child.take_stderr().expect("it is piped");
    /// pipe.read_to_string(&mut text).unwrap();
    /// assert_eq!(text, "said\n");
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Blocks until the program has ended, and returns how. Several threads may wait at once, and
    /// each gets the status; asked again, it is returned again. What was set by
    /// [`input`](super::Command::input) is written first, and standard input, if piped and not taken,
    /// is closed. Outputs that are piped are not read: a program that fills one of them does not end.
    ///
    /// # Errors
    /// As poll(2) has them; [`Unsupported`](ErrorKind::Unsupported): this process is a forked copy of
    /// the one that started the program.
    ///
    /// # Examples
    /// See [`CommandChild`].
    pub fn wait(&self) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::NEVER)
    }

    /// Returns how the program ended if it has ended, and `None` while it runs. Its input is left as
    /// it is.
    ///
    /// # Errors
    /// As [`wait`](CommandChild::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// assert_eq!(child.try_wait()?, None);
    /// child.kill()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_wait(&self) -> Result<Option<ExitStatus>> {
        match self.running.wait(Deadline::NOW) {
            Ok(()) => self.ended().map(Some),
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits as [`wait`](CommandChild::wait) does, at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): the program runs; and as [`wait`](CommandChild::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use std::time::Duration;
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// assert!(child.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
    /// child.kill()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<ExitStatus> {
        self.wait_deadline(Deadline::after(timeout))
    }

    /// Waits as [`wait`](CommandChild::wait) does, until `deadline` at most. A deadline that has passed
    /// leaves the input as it is.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or [`WouldBlock`](ErrorKind::WouldBlock) with
    /// [`Deadline::NOW`]: the program runs; and as [`wait`](CommandChild::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, process::Command};
    /// let child = Command::new("true").spawn()?;
    /// assert!(child.wait_deadline(Deadline::NEVER)?.success());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns when the program ended, once its status is known: the time at which the server reaped
    /// it, however late the status is asked for. It is the time at which the end was noticed where the
    /// server was killed, or counts time otherwise because of a namespace of times.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let child = Command::new("true").spawn()?;
    /// assert_eq!(child.ended_at(), None);
    /// child.wait()?;
    /// let ended = child.ended_at().expect("its status is known");
    /// assert!(ended <= std::time::Instant::now());
    /// assert_eq!(child.ended_at(), Some(ended));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn ended_at(&self) -> Option<Instant> {
        self.running.ended_at()
    }

    /// Returns a descriptor that is readable as soon as [`wait`](CommandChild::wait) returns at
    /// once: a moment later than the pidfd, when the server has told the status. It is readable
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

    /// Sends the program a signal: this very process, whatever has happened to its number since.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound): it has ended and was reaped.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal};
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// child.signal(Signal::HUP)?;
    /// assert_eq!(child.wait()?.signal(), Some(Signal::HUP));
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # References
    /// pidfd_send_signal(2)
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running.signal(signal)
    }

    /// Kills the program (`SIGKILL`); wait for it afterwards. What the program has started is not
    /// killed; [`signal_group`](CommandChild::signal_group) kills it, too.
    ///
    /// # Errors
    /// As [`signal`](CommandChild::signal).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal};
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// child.kill()?;
    /// assert_eq!(child.wait()?.signal(), Some(Signal::KILL));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks the program to end (`SIGTERM`), which it may ignore.
    ///
    /// # Errors
    /// As [`signal`](CommandChild::signal).
    ///
    /// # Examples
    /// See [`CommandChild`].
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends a signal to all processes of the program's process group, if the program leads one
    /// ([`process_group`](super::Command::process_group), [`timeout`](super::Command::timeout),
    /// [`session`](super::Command::session)).
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the program does not lead a group
    /// - [`NotFound`](ErrorKind::NotFound): no process is left in the group
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal};
    /// let child = Command::shell("sleep 60 & sleep 60").process_group().spawn()?;
    /// child.signal_group(Signal::TERM)?;
    /// assert_eq!(child.wait()?.signal(), Some(Signal::TERM));
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        self.running.signal_group(signal)
    }

    /// Ends the program step by step, `SIGTERM` and then `SIGKILL`, with the times of `stop`;
    /// waits for its end, and returns how it ended.
    ///
    /// # Errors
    /// As [`wait`](CommandChild::wait).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal, Stop};
    /// use std::time::Duration;
    /// let child = Command::new("sleep").arg("60").spawn()?;
    /// let stop = Stop::new().terminate(Duration::from_secs(10));
    /// assert_eq!(child.stop(stop)?.signal(), Some(Signal::TERM));
    /// # Ok::<(), procession::Error>(())
    /// ```
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
