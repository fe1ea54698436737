//! Running other programs: what [`std::process::Command`] has, and what it
//! lacks — output that is collected without deadlock, within a time and a
//! size; a timeout that ends the whole group; errors that tell what the
//! program said last; pipelines; and the promise that a program does not
//! outlive whoever started it.
//!
//! The server of the family does the starting, with `std`'s own `exec`.

mod child;
mod communicate;
mod error;
mod pipeline;

pub use child::CommandChild;
pub use communicate::Output;
pub use error::CommandError;
pub use pipeline::{Pipeline, PipelineChild};

use super::environment::Environment;
use super::inherited::require_number;
use super::running::Running;
use super::setters::setters;
use super::start::client;
use super::start::connection::Surroundings;
use super::start::packet;
use super::start::server::Work;
use super::start::settings::{Group, LimitedResource, Settings};
use super::stdio::open_stdio;
use super::{ExitStatus, Inherited, OnDrop, Stdio};
use crate::error::Context;
use crate::{Deadline, Error, Result};
use rustix::pipe::PipeFlags;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program to be run.
///
/// # What the program inherits
/// The standard streams, environment and directory of the caller, as they are
/// now, unless set. No signal is blocked; ignored are those that the family's
/// first process ignored when it first started something, but not SIGPIPE. There is
/// no descriptor but 0, 1 and 2. [`fd`](Command::fd) and [`inherit`](Command::inherit)
/// give it more. Its parent, as getppid(2) sees it, is the family's server.
///
/// # If a process dies
/// The program is killed when the process that started it ends, however that ends:
/// the kernel tells the family's server at once, which does it. Its children, daemons
/// included, are killed when the family's first process has ended.
///
/// # Errors
/// The methods that run it say [`CommandError::NotStarted`] where this program
/// cannot start processes at all; see
/// [`StartMethod::Spawn`](super::StartMethod::Spawn).
///
/// # Examples
/// ```
/// use procession::process::{Command, CommandError};
/// use std::time::Duration;
/// let output = Command::new("tr").args(["a-z", "A-Z"]).input("loud").check()?;
/// assert_eq!(output.stdout, b"LOUD");
///
/// let failed = Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]).check();
/// assert_eq!(
///     failed.unwrap_err().to_string(),
///     "`sh -c 'echo no such luck >&2; exit 3'` exited with code 3: no such luck"
/// );
///
/// let slow = Command::new("sleep").arg("60").timeout(Duration::from_millis(5)).check();
/// assert!(matches!(slow, Err(CommandError::TimedOut { .. })));
/// # Ok::<(), CommandError>(())
/// ```
#[derive(Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Environment,
    directory: Option<PathBuf>,
    settings: Settings,
    stdio: [Option<Stdio>; 3],
    input: Vec<u8>,
    timeout: Option<Duration>,
    output_limit: Option<usize>,
    on_drop: OnDrop,
    descriptors: Vec<(RawFd, OwnedFd)>,
    inherited: Option<Inherited>,
}

impl Command {
    setters!();

    /// A program by path, or by name to be looked for in `PATH`.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Environment::default(),
            directory: None,
            settings: Settings::new(),
            stdio: [None, None, None],
            input: Vec::new(),
            timeout: None,
            output_limit: None,
            on_drop: OnDrop::Detach,
            descriptors: Vec::new(),
            inherited: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let arguments = arguments.into_iter();
        self.arguments
            .extend(arguments.map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Standard input; the caller's unless set, or the null device where the
    /// output is collected.
    #[must_use]
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[0] = Some(stdio.into());
        self
    }

    /// Standard output; the caller's unless set, or a pipe where the output is
    /// collected.
    #[must_use]
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[1] = Some(stdio.into());
        self
    }

    /// Standard error; the caller's unless set, or a pipe where the output is
    /// collected.
    #[must_use]
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[2] = Some(stdio.into());
        self
    }

    /// A descriptor that the program finds under this number, beside its standard streams:
    /// what a shell's `7>file` is. The program shares what the descriptor refers to (its
    /// position in a file, its state) with everybody who has a copy. For the same number
    /// the last call counts.
    ///
    /// Numbers that the program could not have make [`spawn`](Command::spawn) fail: those
    /// of standard streams and negative ones with
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), those beyond the soft limit of open
    /// files with [`LimitReached`](crate::ErrorKind::LimitReached).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// use std::io::Read;
    /// let (mut reader, writer) = std::io::pipe().unwrap();
    /// let command = Command::new("sh").args(["-c", "echo said >&7"]).fd(7, writer);
    /// assert!(command.status().unwrap().success());
    /// let mut said = String::new();
    /// reader.read_to_string(&mut said).unwrap();
    /// assert_eq!(said, "said\n");
    /// ```
    #[doc(alias = "pass_fds")]
    #[doc(alias = "fd_mappings")]
    #[must_use]
    pub fn fd(mut self, number: RawFd, descriptor: impl Into<OwnedFd>) -> Command {
        self.descriptors.push((number, descriptor.into()));
        self
    }

    /// Hands on what the calling process got from whoever executed it: the program finds
    /// the same descriptors beyond its standard streams, and the same signals ignored and
    /// blocked. A descriptor that is set by [`fd`](Command::fd) takes the place of an
    /// inherited one.
    #[must_use]
    pub fn inherit(mut self, inherited: &Inherited) -> Command {
        self.inherited = Some(inherited.clone());
        self
    }

    /// Bytes to be its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Command {
        self.input = bytes.into();
        self.stdio[0] = Some(Stdio::Piped);
        self
    }

    /// How long it may run. It is started in a process group of its own then,
    /// and all of that is killed when the time is over.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self.process_group()
    }

    /// How many bytes it may write to each of standard output and error where
    /// these are collected; beyond that it is killed.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Command {
        self.output_limit = Some(bytes);
        self
    }

    /// Makes it the leader of a process group of its own, which
    /// [`CommandChild::signal_group`] reaches. Such a group may not read from
    /// the terminal.
    #[must_use]
    pub fn process_group(mut self) -> Command {
        self.settings.group = Group::Own;
        self
    }

    /// Makes it the leader of a session of its own, without a terminal.
    #[must_use]
    pub fn session(mut self) -> Command {
        self.settings.group = Group::Session;
        self
    }

    /// What becomes of the program when its handle is dropped.
    #[must_use]
    pub fn on_drop(mut self, policy: OnDrop) -> Command {
        self.on_drop = policy;
        self
    }

    /// Starts the program and returns when it runs.
    ///
    /// # Errors
    /// What does not pass by itself:
    /// - [`NotFound`](crate::ErrorKind::NotFound): no such program or
    ///   directory
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): it is no
    ///   program, or its user may not be become
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): too long arguments (`E2BIG`), a
    ///   NUL byte in one, too many symbolic links, a number that [`fd`](Command::fd) cannot
    ///   have
    ///
    /// What may pass:
    /// - [`LimitReached`](crate::ErrorKind::LimitReached): processes (`EAGAIN`) or
    ///   descriptors (`EMFILE`, `ENFILE`; those of the family's server without a number)
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): memory (`ENOMEM`)
    /// - [`Busy`](crate::ErrorKind::Busy): somebody writes to the program (`ETXTBSY`)
    /// - [`ProcessDied`](crate::ErrorKind::ProcessDied): the server was killed; the next
    ///   start has another one
    ///
    /// And as [`Builder::spawn`](super::Builder::spawn). The server goes on after each of
    /// them. [`raw_os_error`](crate::Error::raw_os_error) has the kernel's number.
    pub fn spawn(mut self) -> Result<CommandChild> {
        let stdio = std::mem::take(&mut self.stdio);
        self.spawn_with(stdio.map(Option::unwrap_or_default))
    }

    /// Runs the program with the caller's standard streams; its status.
    ///
    /// # Errors
    /// [`CommandError::NotStarted`], [`CommandError::TimedOut`].
    pub fn status(self) -> std::result::Result<ExitStatus, CommandError> {
        let deadline = self.deadline();
        let line = self.to_string();
        let input = self.input.clone();
        let mut child = self.spawn().map_err(CommandError::NotStarted)?;
        child.set_input(input);
        child.finish(&line, deadline, None)?;
        child.wait().map_err(CommandError::NotStarted)
    }

    /// Runs the program and collects what it writes, whatever its status.
    ///
    /// # Errors
    /// [`CommandError::NotStarted`], [`CommandError::TimedOut`],
    /// [`CommandError::TooMuchOutput`].
    pub fn output(mut self) -> std::result::Result<Output, CommandError> {
        self.collect();
        let (deadline, limit) = (self.deadline(), self.output_limit);
        let line = self.to_string();
        let input = std::mem::take(&mut self.input);
        let mut child = self.spawn().map_err(CommandError::NotStarted)?;
        child.set_input(input);
        child.finish(&line, deadline, limit)
    }

    /// [`output`](Command::output), where a status other than success is an
    /// error that tells it, and what the program last wrote to standard error.
    ///
    /// # Errors
    /// [`CommandError::Failed`], and as [`output`](Command::output).
    pub fn check(self) -> std::result::Result<Output, CommandError> {
        let line = self.to_string();
        let output = self.output()?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(CommandError::failed(line, output))
        }
    }

    /// A pipeline: what this program writes, the next one reads.
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
        let (stdio, pipes) = open_stdio(stdio)?;
        let surroundings = Surroundings::of(&self.environment, self.directory.as_deref())?;
        let (mailbox, theirs) = packet::pair()?;
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
        let mut running =
            Running::await_start(line.clone(), mailbox, server, true, None, leads_group)?;
        let reason = read_to_end(failure).during("starting program", &line)?;
        if !reason.is_empty() {
            running.wait(Deadline::NEVER)?;
            let error = postcard::from_bytes::<Error>(&reason);
            return Err(error.unwrap_or_else(|_| {
                Error::new(crate::ErrorKind::Other, "starting program", line)
            }));
        }
        Ok(CommandChild::new(running, self.on_drop, pipes))
    }
}

impl fmt::Display for Command {
    /// As a shell would take it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CommandLine(&self.program, &self.arguments).fmt(f)
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

struct CommandLine<'a>(&'a OsStr, &'a [OsString]);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(self.0).chain(self.1.iter().map(OsString::as_os_str));
        for (place, word) in words.enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                f.write_str(&word)?;
            } else {
                write!(f, "'{}'", word.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}
