//! Starting a program, and running it to its end.

use super::communicate::Conversation;
use super::line::CommandLine;
use super::{Command, CommandChild, CommandError, Output, Pipeline};
use crate::error::Context;
use crate::process::inherited::require_number;
use crate::process::launch::client;
use crate::process::launch::connection::Surroundings;
use crate::process::launch::protocol;
use crate::process::launch::protocol::Work;
use crate::process::launch::settings::Group;
use crate::process::running::Running;
use crate::process::stdio::open_stdio;
use crate::process::{ExitStatus, Inherited, Stdio};
use crate::{Deadline, Error, ErrorKind, Result};
use rustix::pipe::PipeFlags;
use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};

impl Command {
    /// Refuses input that nobody would write.
    pub(in crate::process) fn refuse_input(&self, operation: &'static str) -> Result<()> {
        if self.input.is_empty() {
            return Ok(());
        }
        let error = Error::new(ErrorKind::InvalidInput, operation, self.program.display());
        Err(error
            .because("nobody writes its `input`")
            .with_hint("open a file as its standard input"))
    }

    /// Starts the program and returns when it has been executed.
    ///
    /// # Blocking
    /// Until the kernel has executed the program or said why not: some file accesses.
    ///
    /// # If a process dies
    /// If the family's server is killed meanwhile, the error is
    /// [`ProcessDied`](crate::ErrorKind::ProcessDied), and the program does not run.
    ///
    /// # Errors
    /// These do not pass by themselves:
    /// - [`NotFound`](crate::ErrorKind::NotFound): there is no such program or directory
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): the file is no program, or the
    ///   caller may not become its user
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the arguments are too long (`E2BIG`), one
    ///   contains a NUL byte, there are too many symbolic links, or [`fd`](Command::fd) was given a
    ///   number that no program can have
    ///
    /// These may pass:
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): no process (`EAGAIN`) or
    ///   descriptor is left (`EMFILE`, `ENFILE`; those of the family's server without a number)
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): no memory is left (`ENOMEM`)
    /// - [`Busy`](crate::ErrorKind::Busy): a process has the program open for writing (`ETXTBSY`)
    /// - [`ProcessDied`](crate::ErrorKind::ProcessDied): the server was killed; the next
    ///   start has another one
    ///
    /// And as [`Builder::spawn`](crate::process::Builder::spawn). The server goes on after each of
    /// them. [`raw_os_error`](crate::Error::raw_os_error) has the kernel's number.
    ///
    /// # Cost
    /// Two messages to the server and one vfork, however large the caller is.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use procession::ErrorKind;
    /// let child = Command::new("true").spawn()?;
    /// assert!(child.pid() > 0);
    /// let absent = Command::new("not-a-program").spawn();
    /// assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # References
    /// execve(2), exec(3)
    pub fn spawn(mut self) -> Result<CommandChild> {
        let stdio = std::mem::take(&mut self.stdio);
        self.spawn_with(stdio.map(Option::unwrap_or_default))
    }

    /// Runs the program with the caller's standard streams, and returns how it ended.
    ///
    /// # Blocking
    /// Until the program has ended, at most the [`timeout`](Command::timeout).
    ///
    /// # Errors
    /// - [`CommandError::NotStarted`]: as [`spawn`](Command::spawn)
    /// - [`CommandError::TimedOut`]: its time was over; it has been killed
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let status = Command::new("sh").args(["-c", "exit 7"]).status()?;
    /// assert_eq!(status.code(), Some(7));
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    pub fn status(self) -> std::result::Result<ExitStatus, CommandError> {
        let deadline = self.deadline();
        let line = self.to_string();
        let mut child = self.spawn().map_err(CommandError::NotStarted)?;
        child.finish(&line, deadline, None)?;
        child.wait().map_err(CommandError::NotStarted)
    }

    /// Runs the program and collects what it writes, however it ends.
    ///
    /// # Blocking
    /// Until the program has ended and all processes have closed its outputs, at most the
    /// [`timeout`](Command::timeout). A process that the program leaves behind with its outputs
    /// open is waited for, too.
    ///
    /// # Errors
    /// - [`CommandError::NotStarted`]: as [`spawn`](Command::spawn)
    /// - [`CommandError::TimedOut`]: its time was over; it has been killed
    /// - [`CommandError::TooMuchOutput`]: it wrote more than the
    ///   [`output_limit`](Command::output_limit); it has been killed
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let output = Command::shell("echo out; echo err >&2; exit 2").output()?;
    /// assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    /// assert_eq!(output.status.code(), Some(2));
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    pub fn output(mut self) -> std::result::Result<Output, CommandError> {
        self.collect();
        let (deadline, limit) = (self.deadline(), self.output_limit);
        let line = self.to_string();
        let mut child = self.spawn().map_err(CommandError::NotStarted)?;
        child.finish(&line, deadline, limit)
    }

    /// Runs the program and collects what it writes, as [`output`](Command::output) does; a status
    /// other than success is an error that tells the status, and quotes what the program last wrote to
    /// standard error.
    ///
    /// # Blocking
    /// As [`output`](Command::output).
    ///
    /// # Errors
    /// - [`CommandError::Failed`]: the program exited with a code other than zero, or was killed
    /// - the others as [`output`](Command::output)
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// assert_eq!(Command::new("echo").arg("fine").check()?.text(), "fine");
    /// let failed = Command::shell("echo why >&2; exit 3").check().unwrap_err();
    /// assert_eq!(failed.status().and_then(|status| status.code()), Some(3));
    /// assert_eq!(failed.stderr_tail(), "why");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    pub fn check(self) -> std::result::Result<Output, CommandError> {
        let line = self.to_string();
        let output = self.output()?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(CommandError::failed(line, output))
        }
    }

    /// Returns a pipeline: what this program writes, the next one reads.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let lines = Command::new("printf").arg("b\\na\\nb\\n")
    ///     .pipe(Command::new("sort"))
    ///     .pipe(Command::new("uniq").arg("-c"))
    ///     .check()?;
    /// assert_eq!(lines.stdout.iter().filter(|byte| **byte == b'\n').count(), 2);
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn pipe(self, next: Command) -> Pipeline {
        Pipeline::new(self, next)
    }

    /// Sets pipes for what is not set.
    fn collect(&mut self) {
        let [stdin, stdout, stderr] = &mut self.stdio;
        stdin.get_or_insert(Stdio::Null);
        stdout.get_or_insert(Stdio::Piped);
        stderr.get_or_insert(Stdio::Piped);
    }

    fn deadline(&self) -> Deadline {
        self.timeout.map_or(Deadline::NEVER, Deadline::after)
    }

    fn spawn_with(self, stdio: [Stdio; 3]) -> Result<CommandChild> {
        let line = CommandLine(&self.program, &self.arguments).to_string();
        let mut settings = self.settings;
        settings.name = self.program.to_string_lossy().into_owned();
        let leads_group = settings.group != Group::Parents;
        let is_merged = matches!(stdio[2], Stdio::Stdout);
        let (stdio, pipes) = open_stdio(stdio)?;
        let surroundings = Surroundings::of(&self.environment, self.directory.as_deref())?;
        let (mailbox, theirs) = protocol::pair()?;
        // Its exec closes the other end; else the reason comes first.
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let (failure, told) = pipe.during("starting program", &line)?;
        let signals = self.inherited.as_ref().map(|inherited| inherited.signals);
        let (numbers, copies): (Vec<RawFd>, Vec<OwnedFd>) =
            descriptors(self.inherited, self.descriptors)?
                .into_iter()
                .unzip();
        let mut further = vec![told];
        further.extend(copies);
        let work = Work::Program {
            program: self.program,
            arg0: self.arg0,
            arguments: self.arguments,
            numbers,
            signals,
        };
        let server = client::start(
            &settings,
            &surroundings,
            &work,
            &mailbox,
            theirs,
            stdio,
            further,
        )?;
        let running = Running::await_start(line.clone(), mailbox, server, true, None, leads_group)?;
        let reason = read_to_end(failure).during("starting program", &line)?;
        if !reason.is_empty() {
            running.wait(Deadline::NEVER)?;
            let error = postcard::from_bytes::<Error>(&reason);
            return Err(error.unwrap_or_else(|_| {
                Error::new(crate::ErrorKind::Other, "starting program", line)
            }));
        }
        let conversation = Conversation::over(pipes, is_merged, self.input);
        Ok(CommandChild::new(running, self.on_drop, conversation))
    }
}

/// What comes out of a pipe until its end; nothing is asked about the pipe first.
fn read_to_end(pipe: OwnedFd) -> procession_sys::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut buffer))? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// What the program is to find beside its standard streams, each number once.
fn descriptors(
    inherited: Option<Inherited>,
    set: Vec<(RawFd, OwnedFd)>,
) -> Result<BTreeMap<RawFd, OwnedFd>> {
    let mut all = BTreeMap::new();
    for (number, descriptor) in inherited.iter().flat_map(|it| it.descriptors.iter()) {
        if set.iter().all(|(other, _)| other != number) {
            let copy = descriptor.try_clone();
            all.insert(
                *number,
                copy.during("copying inherited descriptor", number)?,
            );
        }
    }
    for (number, descriptor) in set {
        require_number(number)?;
        let limit = crate::limits::open_files();
        if limit
            .value()
            .is_some_and(|most| u64::from(number.cast_unsigned()) >= most)
        {
            return Err(
                Error::new(crate::ErrorKind::LimitReached, "giving descriptor", number)
                    .because("the number is beyond the limit of open files")
                    .with_hint(limit.hint()),
            );
        }
        all.insert(number, descriptor);
    }
    Ok(all)
}
