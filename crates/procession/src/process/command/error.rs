//! How a command failed.

use super::{ExitStatus, Output};
use crate::Error;
use std::fmt;

/// Bytes of standard error that an error quotes.
const QUOTED_BYTES: usize = 2000;

/// How a command failed: before it ran, by itself, or by our hand. What it
/// had written by then is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The program could not be started, or the kernel failed us.
    NotStarted(Error),
    /// It ended with a status other than success.
    #[non_exhaustive]
    Failed {
        /// The command, as a shell would take it.
        command: String,
        /// What it wrote, and its status.
        output: Output,
    },
    /// Its time was over, and its process group has been killed.
    #[non_exhaustive]
    TimedOut {
        /// The command, as a shell would take it.
        command: String,
        /// What it had written.
        output: Output,
    },
    /// It wrote more than was allowed, and has been killed.
    #[non_exhaustive]
    TooMuchOutput {
        /// The command, as a shell would take it.
        command: String,
        /// What it had written, up to the limit.
        output: Output,
    },
}

impl CommandError {
    pub(super) fn failed(command: String, output: Output) -> CommandError {
        CommandError::Failed { command, output }
    }

    /// With what the programs before it said in front of what it said.
    pub(super) fn after(mut self, words: &[Vec<u8>]) -> CommandError {
        match &mut self {
            CommandError::NotStarted(_) => {}
            CommandError::Failed { output, .. }
            | CommandError::TimedOut { output, .. }
            | CommandError::TooMuchOutput { output, .. } => {
                let last = std::mem::take(&mut output.stderr);
                output.stderr = [words.concat(), last].concat();
            }
        }
        self
    }

    /// Returns how the program ended, if it was started.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// let failed = Command::shell("echo out; echo why >&2; exit 3").check().unwrap_err();
    /// assert_eq!(failed.status().and_then(|status| status.code()), Some(3));
    /// assert_eq!(failed.output().map(|output| output.text()), Some("out".to_owned()));
    /// assert_eq!(failed.stderr_tail(), "why");
    /// let absent = Command::new("not-a-program").check().unwrap_err();
    /// assert_eq!((absent.status(), absent.output()), (None, None));
    /// ```
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.output().map(|output| output.status)
    }

    /// Returns what the program had written, if it was started.
    ///
    /// # Examples
    /// See [`status`](CommandError::status).
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        match self {
            CommandError::NotStarted(_) => None,
            CommandError::Failed { output, .. }
            | CommandError::TimedOut { output, .. }
            | CommandError::TooMuchOutput { output, .. } => Some(output),
        }
    }

    /// Returns the last lines that the program wrote to standard error, as far as that was
    /// collected: whole lines, at most 2,000 bytes, and without blanks at the end. Where
    /// standard error was merged into standard output, they are the last lines of that.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        let stderr = self.output().map_or(&[][..], Output::last_words);
        let cut = stderr.len().saturating_sub(QUOTED_BYTES);
        let mut tail = &stderr[cut..];
        if cut > 0 {
            // From the beginning of a line, if there is one.
            let line = tail.iter().position(|byte| *byte == b'\n');
            tail = line.map_or(tail, |end| &tail[end + 1..]);
        }
        String::from_utf8_lossy(tail).trim_end().to_owned()
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::NotStarted(error) => return error.fmt(f),
            CommandError::Failed { command, output } => {
                write!(f, "`{command}` {}", output.status)?;
            }
            CommandError::TimedOut { command, .. } => {
                write!(f, "`{command}` did not end in time and was killed")?;
            }
            CommandError::TooMuchOutput { command, .. } => {
                write!(f, "`{command}` wrote more than was allowed and was killed")?;
            }
        }
        match self.stderr_tail() {
            tail if tail.is_empty() => Ok(()),
            tail if tail.contains('\n') => write!(f, "; it said last:\n{tail}"),
            tail => write!(f, ": {tail}"),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommandError::NotStarted(error) => error.source(),
            _ => None,
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Error {
        let kind = match &error {
            CommandError::NotStarted(error) => return error.clone(),
            CommandError::TimedOut { .. } => crate::ErrorKind::TimedOut,
            CommandError::TooMuchOutput { .. } => crate::ErrorKind::LimitReached,
            CommandError::Failed { .. } => crate::ErrorKind::ProcessDied,
        };
        Error::new(kind, "running command", "").because(error.to_string())
    }
}

crate::error::into_io_error!(CommandError);
