//! Feeding a program and collecting what it writes, all at once, so that
//! neither waits for the other.

use crate::os::pipe::{Reader, Writer};
use crate::process::ExitStatus;
use crate::process::join_handle::Pipes;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::fmt;
use std::sync::Arc;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// What a program wrote, and how it ended.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output, if that was collected.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that was collected.
    pub stderr: Vec<u8>,
    /// Standard error was what standard output was.
    pub(super) is_merged: bool,
}

impl Output {
    /// Where the last words of a program that failed are: standard error, or what that was
    /// merged into.
    pub(super) fn last_words(&self) -> &[u8] {
        match self.is_merged && self.stderr.is_empty() {
            true => &self.stdout,
            false => &self.stderr,
        }
    }

    /// Returns standard output as text, without the newlines at its end; bytes that are not UTF-8 are
    /// replaced by U+FFFD.
    ///
    /// # Examples
    /// ```
    /// use procession::process::Command;
    /// assert_eq!(Command::new("echo").arg("a").output()?.text(), "a");
    /// # Ok::<(), procession::process::CommandError>(())
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.trim_end_matches('\n').to_owned()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("status", &self.status)
            .field("stdout", &String::from_utf8_lossy(&self.stdout))
            .field("stderr", &String::from_utf8_lossy(&self.stderr))
            .finish()
    }
}

/// Conversation with a program, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) input: Vec<u8>,
    /// Bytes of the input that were taken.
    fed: usize,
    /// Shared by those that wait for room in it.
    pub(super) stdin: Option<Arc<Writer>>,
    pub(super) stdout: Option<Reader>,
    pub(super) stderr: Option<Reader>,
    /// Standard error goes where standard output goes.
    pub(super) is_merged: bool,
    pub(super) written: [Vec<u8>; 2],
    /// Standard errors of the programs before this one in a pipeline, and what came.
    pub(super) before: Vec<(Option<Reader>, Vec<u8>)>,
}

impl Conversation {
    /// With a program at the other end of these pipes.
    pub(super) fn over(pipes: Pipes, is_merged: bool, input: Vec<u8>) -> Conversation {
        Conversation {
            input,
            is_merged,
            stdin: pipes.stdin.map(Arc::new),
            stdout: pipes.stdout,
            stderr: pipes.stderr,
            ..Conversation::default()
        }
    }

    /// Goes on until both outputs have ended and the input was taken, or the
    /// deadline passes; nothing is lost then, and calling again goes on.
    pub(super) fn proceed(&mut self, deadline: Deadline, limit: Option<usize>) -> Result<()> {
        let operation = "communicating";
        let mut buffer = Vec::new();
        loop {
            self.feed()?;
            buffer.resize(READ_BYTES, 0);
            let outputs = [&mut self.stdout, &mut self.stderr];
            let outputs = outputs.into_iter().zip(&mut self.written);
            let before = self.before.iter_mut();
            let before = before.map(|(reader, written)| (reader, written));
            for (reader, written) in outputs.chain(before) {
                collect(reader, written, &mut buffer, limit)?;
            }
            let mut watched: Vec<PollFd<'_>> = Vec::with_capacity(3);
            let before = self.before.iter().map(|(reader, _)| reader);
            for reader in [&self.stdout, &self.stderr]
                .into_iter()
                .chain(before)
                .flatten()
            {
                watched.push(PollFd::new(reader, PollFlags::IN));
            }
            if let Some(stdin) = &self.stdin {
                watched.push(PollFd::new(stdin, PollFlags::OUT));
            }
            if watched.is_empty() {
                return Ok(());
            }
            if deadline.has_passed() || poll::wait(&mut watched, deadline)? == 0 {
                return Err(Error::new(deadline.error_kind(), operation, ""));
            }
        }
    }

    /// Takes over what the program of another conversation is to be fed, and where.
    pub(super) fn take_input_of(&mut self, other: &mut Conversation) {
        self.input = std::mem::take(&mut other.input);
        self.fed = std::mem::take(&mut other.fed);
        self.stdin = other.stdin.take();
    }

    /// Gives the program what it takes now, and closes its input when it has all.
    pub(super) fn feed(&mut self) -> Result<()> {
        while let Some(stdin) = &self.stdin {
            let left = &self.input[self.fed..];
            if left.is_empty() {
                self.stdin = None;
                break;
            }
            match stdin.try_write(left) {
                Ok(length) => self.fed += length,
                Err(error) if error.is_would_block() => break,
                // It does not want the rest, as `head` does not.
                Err(error) if error.is_disconnected() => self.stdin = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Takes what is there now; forgets a reader at its end.
fn collect(
    reader: &mut Option<Reader>,
    written: &mut Vec<u8>,
    buffer: &mut [u8],
    limit: Option<usize>,
) -> Result<()> {
    while let Some(open) = reader {
        match open.try_read(buffer) {
            Ok(0) => *reader = None,
            Ok(length) => {
                let room = limit.map_or(usize::MAX, |limit| limit - written.len());
                written.extend_from_slice(&buffer[..length.min(room)]);
                if length > room {
                    let error = Error::new(ErrorKind::LimitReached, "communicating", "");
                    return Err(error.because(format!(
                        "the program wrote more than {} bytes",
                        written.len()
                    )));
                }
            }
            Err(error) if error.is_would_block() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
