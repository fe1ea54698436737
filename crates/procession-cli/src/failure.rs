//! How a command fails: what it says, and its exit code.

use crate::say::say;
use procession::__private::error::ErrorBuilder;
use procession::ErrorKind;
use procession::process::Inherited;
use procession::signal::Signal;
use procession_transport::WorkerError;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library said no.
    Library(procession::Error),
    /// A worker did not do its work.
    Worker(WorkerError),
    /// A task of a pool failed.
    Task(procession::pool::TaskError),
    /// Several runs, some of which failed; the table says which.
    Runs { failed: usize, of: usize },
    /// A method of an object of a manager panicked.
    Method(procession::manager::CallError),
    /// Some jobs failed, which have said so themselves.
    Jobs { failed: u64, code: i32 },
    /// A signal asked us to stop.
    Signal(Signal),
    /// The reader of the output has gone.
    OutputClosed,
    /// Our output could not be written.
    Output(std::io::Error),
    /// The standard error of jobs could not be written.
    StandardError(std::io::Error),
    /// A thread of ours has panicked, with these words.
    Panicked(String),
    /// Our input could not be read.
    Input(std::io::Error),
    /// A file that was named cannot be used.
    File(std::path::PathBuf, std::io::Error),
    /// A file that was opened could not be read to its end.
    Reading(std::path::PathBuf, std::io::Error),
    /// A file that was opened could not be written.
    Writing(std::path::PathBuf, std::io::Error),
    /// A socket cannot be had or used.
    Network(std::io::Error),
    /// A queue was to be left while messages were not done, of which so many wait.
    Undelivered { queue: String, waiting: usize },
    /// Arguments that do not go together.
    Usage(String),
}

impl Failure {
    /// An error while standard output was written.
    pub(crate) fn output(error: std::io::Error) -> Failure {
        match error.kind() {
            // Whoever ignores SIGPIPE wants to hear of it instead.
            std::io::ErrorKind::BrokenPipe if !Inherited::ignored_pipe() => Failure::OutputClosed,
            _ => Failure::Output(error),
        }
    }

    /// A thread could not be started.
    pub(crate) fn thread(error: std::io::Error) -> Failure {
        let hint = "raise the limit of processes and threads of this user (ulimit -u), or of the container (pids.max)";
        let error = ErrorBuilder::from(system("starting a thread", "", &error));
        Failure::Library(
            error
                .of_kind(ErrorKind::LimitReached)
                .with_hint(hint)
                .build(),
        )
    }

    /// A descriptor could not be copied.
    pub(crate) fn copying(what: &str, error: std::io::Error) -> Failure {
        let hint = "raise the limit of open files (ulimit -n), or have fewer jobs at once (-j)";
        let error = ErrorBuilder::from(system("copying the descriptor of", what, &error));
        Failure::Library(error.with_hint(hint).build())
    }

    /// The signal that ends this process, after everything is cleared away.
    pub(crate) fn signal(&self) -> Option<Signal> {
        match self {
            Failure::Signal(signal) => Some(*signal),
            Failure::OutputClosed => Some(Signal::PIPE),
            _ => None,
        }
    }

    /// 1 a task failed, 3 not found, 4 permission, 124 timeout, 125 our own
    /// failure, 128+n signal n where that cannot be sent. (0 is success, 2 is clap's for
    /// usage.)
    pub(crate) fn code(&self) -> i32 {
        match self {
            Failure::Library(error) => match error.kind() {
                ErrorKind::NotFound => 3,
                ErrorKind::PermissionDenied | ErrorKind::Untrusted => 4,
                ErrorKind::TimedOut => 124,
                ErrorKind::ProcessDied | ErrorKind::ConnectionLost => 1,
                ErrorKind::InvalidInput => 2,
                _ => 125,
            },
            Failure::Worker(_) | Failure::Task(_) | Failure::Method(_) | Failure::Runs { .. } => 1,
            Failure::Jobs { code, .. } => *code,
            Failure::Signal(signal) => 128 + signal.as_raw(),
            Failure::OutputClosed => 128 + Signal::PIPE.as_raw(),
            Failure::File(_, error) => match error.kind() {
                std::io::ErrorKind::NotFound => 3,
                std::io::ErrorKind::PermissionDenied => 4,
                _ => 125,
            },
            Failure::Undelivered { .. } => 124,
            Failure::Usage(_) => 2,
            Failure::Output(_)
            | Failure::StandardError(_)
            | Failure::Panicked(_)
            | Failure::Input(_)
            | Failure::Reading(..)
            | Failure::Writing(..)
            | Failure::Network(_) => 125,
        }
    }

    /// Prints on standard error what happened, and what to try.
    pub(crate) fn report(&self) {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let say = |text: &dyn std::fmt::Display| say!("{red}error:{red:#} {text}");
        match self {
            Failure::Library(error) => {
                say(error);
                if let Some(hint) = error.hint() {
                    say!("  try: {hint}");
                }
            }
            Failure::Worker(error) => say(error),
            Failure::Task(error) => say(error),
            Failure::Method(error) => say(error),
            Failure::Runs { failed, of } => say(&format!("{failed} of {of} runs failed")),
            Failure::Jobs { failed: 1, .. } => say(&"a job failed"),
            Failure::Jobs { failed, .. } => say(&format!("{failed} jobs failed")),
            Failure::Signal(signal) => say!("stopped by {signal}; nothing is left running"),
            Failure::OutputClosed => {}
            Failure::Output(error) => say(&format!("writing standard output: {error}")),
            Failure::StandardError(error) => say(&format!("writing standard error: {error}")),
            Failure::Panicked(text) => say(&format!("internal error, a bug in procession: {text}")),
            Failure::Input(error) => say(&format!("reading standard input: {error}")),
            Failure::File(path, error) => say(&format!("opening {}: {error}", path.display())),
            Failure::Reading(path, error) => say(&format!("reading {}: {error}", path.display())),
            Failure::Writing(path, error) => say(&format!("writing {}: {error}", path.display())),
            Failure::Network(error) => say(&format!("using a socket: {error}")),
            Failure::Undelivered { queue, waiting } => {
                let what = match waiting {
                    0 => "received messages are not yet done".to_owned(),
                    1 => "1 message not yet received".to_owned(),
                    _ => format!("{waiting} messages not yet received"),
                };
                say(&format!("queue {queue:?}: timed out: {what}"));
                say!(
                    "  try: start a receiver; a queue is removed with its last user, and its messages with it"
                );
            }
            Failure::Usage(text) => say(text),
        }
    }
}

/// An error of the system, with the operation and the object.
pub(crate) fn system(
    operation: &'static str,
    object: impl std::fmt::Display,
    error: &std::io::Error,
) -> procession::Error {
    match error.raw_os_error() {
        Some(errno) => ErrorBuilder::os(operation, object, errno).build(),
        None => {
            let error = std::io::Error::new(error.kind(), error.to_string());
            ErrorBuilder::new(ErrorKind::Other, operation, object)
                .caused_by(error)
                .build()
        }
    }
}

impl From<procession::pool::TaskError> for Failure {
    fn from(error: procession::pool::TaskError) -> Failure {
        Failure::Task(error)
    }
}

impl From<procession::Error> for Failure {
    fn from(error: procession::Error) -> Failure {
        Failure::Library(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::output(error)
    }
}
