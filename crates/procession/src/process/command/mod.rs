//! Other programs: what [`std::process::Command`] has, and what it lacks — output that is
//! collected without deadlock, within a time and a size; a timeout that ends the whole
//! group; errors that quote the program's last words; scripts; pipelines; and the promise
//! that a program does not outlive the process that started it.
//!
//! The server of the family starts the programs.

mod child;
mod communicate;
mod error;
mod line;
mod line_buffer;
mod lines;
mod pipeline;
mod run;
mod shell;

pub use child::CommandChild;
pub use communicate::Output;
pub use error::CommandError;
pub use lines::{Line, Lines, OutputStream};
pub use pipeline::{Pipeline, PipelineChild};

use super::environment::Environment;
use super::launch::settings::{Group, LimitedResource, Settings};
use super::setters::setters;
use super::{ExitStatus, Inherited, OnDrop, Stdio};
use std::ffi::{OsStr, OsString};
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program that is to be run, with its arguments, streams and limits.
///
/// Each method takes the command and returns it. [`spawn`](Command::spawn) starts the program
/// and returns a handle; [`status`](Command::status), [`output`](Command::output) and
/// [`check`](Command::check) run it to its end.
///
/// # What the program inherits
/// The standard streams, environment and directory of the caller, as they are
/// when the program is started, unless set. No signal is blocked; ignored are those that the
/// family's first process ignored when it first started something, but not SIGPIPE. There is
/// no descriptor but 0, 1 and 2; [`fd`](Command::fd) and [`inherit`](Command::inherit)
/// give it more. Its parent, as getppid(2) sees it, is the family's server.
///
/// # If a process dies
/// The program is killed when the process that started it ends, however that ends:
/// the kernel tells the family's server at once, which kills the program. Its children, daemons
/// included, are killed when the family's first process has ended.
///
/// # Across fork and exec
/// A forked child has a copy of the command, and may run it.
///
/// # Errors
/// The methods that run it return [`CommandError::NotStarted`] where this program
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
///
/// # References
/// execve(2), environ(7), path_resolution(7)
#[derive(Debug)]
pub struct Command {
    program: OsString,
    arg0: Option<OsString>,
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

    /// Describes a program by path, or by name to be looked for in the directories of the `PATH` that the
    /// program will have. A name without `/` is looked for, anything else is a path; a relative
    /// path begins in [`current_dir`](Command::current_dir).
    ///
    /// Nothing is checked here: [`spawn`](Command::spawn) says if there is no such program.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// assert!(Command::new("true").status()?.success());
    /// assert!(Command::new("/bin/true").status()?.success());
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            arg0: None,
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

    /// Sets argument zero, the name by which the program is called; it is what
    /// [`new`](Command::new) was given unless set. Programs that are several in one (BusyBox,
    /// `bash` as `sh`) look at it, and a shell whose argument zero begins with `-` is a login
    /// shell. Which file is executed does not depend on it. A script, whose interpreter is
    /// executed in its place, does not see it.
    ///
    /// # Errors
    /// [`spawn`](Command::spawn) returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if
    /// `name` contains a NUL byte.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let shell = Command::new("sh").arg0("called-so").args(["-c", "echo $0"]);
    /// assert_eq!(shell.check()?.text(), "called-so");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    ///
    /// # References
    /// execve(2)
    #[must_use]
    pub fn arg0(mut self, name: impl AsRef<OsStr>) -> Command {
        self.arg0 = Some(name.as_ref().to_owned());
        self
    }

    /// Adds an argument. The program gets it as it is: no shell looks into it.
    ///
    /// # Errors
    /// [`spawn`](Command::spawn) returns [`InvalidInput`](crate::ErrorKind::InvalidInput) if it
    /// contains a NUL byte, or is longer than the kernel takes.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let output = Command::new("printf").arg("<%s>").arg("a  $b; c").check()?;
    /// assert_eq!(output.text(), "<a  $b; c>");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments, each as by [`arg`](Command::arg).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// assert_eq!(Command::new("echo").args(["a", "b"]).check()?.text(), "a b");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let arguments = arguments.into_iter();
        self.arguments
            .extend(arguments.map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets standard input. Unless set, it is the caller's, or the null device where the output is
    /// collected ([`output`](Command::output), [`check`](Command::check)).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let file = std::fs::File::open("/proc/self/comm").unwrap();
    /// assert!(!Command::new("cat").stdin(file).check()?.text().is_empty());
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[0] = Some(stdio.into());
        self
    }

    /// Sets standard output. Unless set, it is the caller's, or a pipe where the output is
    /// collected.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let silent = Command::new("echo").arg("unheard").stdout(Stdio::Null);
    /// assert_eq!(silent.check()?.text(), "");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[1] = Some(stdio.into());
        self
    }

    /// Sets standard error. Unless set, it is the caller's, or a pipe where the output is
    /// collected. [`Stdio::Stdout`] merges it into standard output.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let merged = Command::shell("echo problem >&2").stderr(Stdio::Stdout);
    /// assert_eq!(merged.check()?.text(), "problem");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Command {
        self.stdio[2] = Some(stdio.into());
        self
    }

    /// Gives the program a descriptor beside its standard streams, under this number:
    /// what a shell's `7>file` does. The program shares what the descriptor refers to (its
    /// position in a file, its state) with all processes that have a copy. For the same number
    /// the last call counts.
    ///
    /// # Errors
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

    /// Hands on what the calling process got from the program that executed it: the new program
    /// finds the same descriptors beyond its standard streams, and the same signals ignored and
    /// blocked. A descriptor that is set by [`fd`](Command::fd) takes the place of an
    /// inherited one.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Inherited};
    /// let inherited = Inherited::capture()?;
    /// assert!(Command::new("true").inherit(&inherited).status()?.success());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn inherit(mut self, inherited: &Inherited) -> Command {
        self.inherited = Some(inherited.clone());
        self
    }

    /// Sets the bytes that the program reads from its standard input, and then the end of file.
    /// They are written while the program's output is read, so that there is no
    /// deadlock. A program that does not read all of them is no error.
    ///
    /// What [`spawn`](Command::spawn) starts is given them by
    /// [`wait`](CommandChild::wait), [`communicate`](CommandChild::communicate) and
    /// [`lines`](CommandChild::lines).
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let sorted = Command::new("sort").input("b\na\n").check()?;
    /// assert_eq!(sorted.text(), "a\nb");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Command {
        self.input = bytes.into();
        self.stdio[0] = Some(Stdio::Piped);
        self
    }

    /// Limits how long [`status`](Command::status), [`output`](Command::output) and
    /// [`check`](Command::check) let the program run, measured from its start. The program leads
    /// a process group of its own then, all of which is killed when the time is over. What
    /// [`spawn`](Command::spawn) starts has the group and no limit: its handle has
    /// [`wait_timeout`](CommandChild::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, CommandError};
    /// use std::time::Duration;
    /// let slow = Command::new("sleep").arg("60").timeout(Duration::from_millis(5));
    /// assert!(matches!(slow.status(), Err(CommandError::TimedOut { .. })));
    /// # Ok::<(), CommandError>(())
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self.process_group()
    }

    /// Limits how many bytes the program may write to each of standard output and standard error
    /// where these are collected. When it writes more it is killed, and the result is
    /// [`CommandError::TooMuchOutput`] with the first `bytes` bytes.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, CommandError};
    /// let endless = Command::new("yes").output_limit(1000).output();
    /// assert!(matches!(endless, Err(CommandError::TooMuchOutput { .. })));
    /// # Ok::<(), CommandError>(())
    /// ```
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Command {
        self.output_limit = Some(bytes);
        self
    }

    /// Makes the program the leader of a process group of its own, which
    /// [`CommandChild::signal_group`] reaches. A program in such a group that reads from the
    /// terminal is stopped by the kernel.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Signal};
    /// let script = Command::shell("sleep 60 & sleep 60").process_group();
    /// let child = script.spawn()?;
    /// child.signal_group(Signal::KILL)?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    ///
    /// # References
    /// setpgid(2)
    #[must_use]
    pub fn process_group(mut self) -> Command {
        self.settings.group = Group::Own;
        self
    }

    /// Makes the program the leader of a session of its own, without a terminal, and so of a
    /// process group as well.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// // The sixth number of the line is the session.
    /// let command = Command::shell("set -- $(cat /proc/self/stat); test $6 = $$").session();
    /// assert!(command.status()?.success());
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    ///
    /// # References
    /// setsid(2)
    #[must_use]
    pub fn session(mut self) -> Command {
        self.settings.group = Group::Session;
        self
    }

    /// Sets what becomes of the program when its [`CommandChild`] is dropped before it was waited
    /// for: it goes on unless set ([`OnDrop::Detach`]).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, OnDrop, PidFd};
    /// let child = Command::new("sleep").arg("60").on_drop(OnDrop::Kill).spawn()?;
    /// let watch = PidFd::open(child.pid())?;
    /// drop(child);
    /// assert!(!watch.is_alive());
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn on_drop(mut self, policy: OnDrop) -> Command {
        self.on_drop = policy;
        self
    }
}
