//! Lines of what a program writes, as they come.

use super::communicate::Conversation;
use super::line_buffer::LineBuffer;
use crate::os::pipe::Reader;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use rustix::event::{PollFd, PollFlags};
use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::str::Utf8Error;
use std::time::Duration;

/// Longest line, unless another limit is set.
const MAX_LINE_BYTES: usize = 1 << 20;

/// One of the two streams that a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output, and what was merged into it.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a program wrote; see [`Lines`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    stream: OutputStream,
    bytes: Vec<u8>,
    is_complete: bool,
}

impl Line {
    /// Returns the stream to which the program wrote the line.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, OutputStream, Stdio};
    /// let script = Command::shell("echo problem >&2").stderr(Stdio::Piped);
    /// let line = script.spawn()?.lines()?.next_line()?.expect("there is one");
    /// assert_eq!(line.stream(), OutputStream::Stderr);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn stream(&self) -> OutputStream {
        self.stream
    }

    /// Returns the bytes of the line as the program wrote them, without the newline. A
    /// carriage return before the newline stays.
    ///
    /// # Examples
    /// See [`to_str`](Line::to_str).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of the line, as [`bytes`](Line::bytes) does, without a copy.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let mut child = Command::new("echo").arg("a").stdout(Stdio::Piped).spawn()?;
    /// let lines: Vec<Vec<u8>> = child
    ///     .lines()?
    ///     .map(|line| line.map(|line| line.into_bytes()))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(lines, [b"a"]);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the line as text; bytes that are not UTF-8 are replaced by U+FFFD.
    ///
    /// # Examples
    /// See [`to_str`](Line::to_str).
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Returns the line as text if it is UTF-8.
    ///
    /// # Errors
    /// [`Utf8Error`]: it is not, and where.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let mut child = Command::new("printf").arg("A\\377\\n").stdout(Stdio::Piped).spawn()?;
    /// let line = child.lines()?.next_line()?.expect("there is one");
    /// assert_eq!(line.bytes(), b"A\xff");
    /// assert_eq!(line.text(), "A\u{fffd}");
    /// assert_eq!(line.to_str().unwrap_err().valid_up_to(), 1);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn to_str(&self) -> std::result::Result<&str, Utf8Error> {
        std::str::from_utf8(&self.bytes)
    }

    /// Returns `true` if the program ended the line with a newline, and `false` if the stream
    /// ended without one: the program does not write it, or was killed in the middle of the line.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let mut child = Command::shell("printf 'half a li'; kill -9 $$").stdout(Stdio::Piped).spawn()?;
    /// let line = child.lines()?.next_line()?.expect("there is one");
    /// assert_eq!((line.text().as_ref(), line.is_complete()), ("half a li", false));
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// The lines that a program writes to its pipes, as they come; from
/// [`CommandChild::lines`](super::CommandChild::lines).
///
/// The thread that asks for the next line reads both pipes, so that a program that fills one of
/// them does not stand still, and what was set by [`Command::input`](super::Command::input) is
/// written at the same time. The lines of one stream are in order; how the lines of two
/// streams follow each other says nothing about when they were written. Merge the streams
/// ([`Stdio::Stdout`](crate::process::Stdio::Stdout)) where that matters.
///
/// The iterator returns each line as [`next_line`](Lines::next_line) does. After an error of the
/// kind [`LimitReached`](ErrorKind::LimitReached) it goes on with the line after the long one.
///
/// # Units and limits
/// A line has at most [`max_line_bytes`](Lines::max_line_bytes) bytes, 1 MiB unless set. The
/// memory in use is that, and 64 KiB, for each stream. While nobody asks for lines the
/// program is stopped by its full pipe, as by any reader that is slow.
///
/// # If a process dies
/// What the program had written is read, and then comes the end; a last line without a newline
/// is not [complete](Line::is_complete). A process that the program leaves behind with
/// the pipe open keeps the stream open:
/// [`lines_until_exit`](super::CommandChild::lines_until_exit) does not go on for it.
///
/// # If it is dropped
/// The pipes are closed, and a program that goes on writing is ended by SIGPIPE.
///
/// # Across fork and exec
/// A forked child has a copy of the pipes, and takes lines away from its parent if it reads
/// them. The descriptors are closed by exec.
///
/// # Cost
/// One read(2) for up to 64 KiB of lines, one poll(2) where nothing is there, and one allocation
/// for each line.
///
/// # Examples
/// ```
/// use procession::process::{Command, OutputStream, Stdio};
/// let script = Command::shell("echo begin; echo problem >&2; echo end");
/// let mut child = script.stdout(Stdio::Piped).stderr(Stdio::Piped).spawn()?;
/// let (mut said, mut problems) = (Vec::new(), Vec::new());
/// for line in child.lines()? {
///     let line = line?;
///     match line.stream() {
///         OutputStream::Stderr => problems.push(line.text().into_owned()),
///         _ => said.push(line.text().into_owned()),
///     }
/// }
/// assert!(child.wait()?.success());
/// assert_eq!((said, problems), (vec!["begin".into(), "end".into()], vec!["problem".into()]));
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Lines {
    streams: [Stream; 2],
    /// What the program is to be fed.
    input: Conversation,
    /// Whose end is the end of the lines.
    pidfd: Option<OwnedFd>,
    max_line_bytes: usize,
    /// The stream that is asked first, so that each has its turn.
    turn: usize,
}

#[derive(Debug)]
struct Stream {
    reader: Option<Reader>,
    buffer: LineBuffer,
    /// How much of it is still read, where the program has ended.
    left: Option<usize>,
}

impl Lines {
    pub(super) fn new(talk: &mut Conversation, pidfd: Option<OwnedFd>) -> Result<Lines> {
        let (stdout, stderr) = (talk.stdout.take(), talk.stderr.take());
        if stdout.is_none() && stderr.is_none() {
            let operation = "reading lines of program";
            return Err(Error::new(ErrorKind::InvalidInput, operation, "")
                .because("neither of its outputs is a pipe, or both were taken")
                .with_hint("start it with `stdout(Stdio::Piped)`"));
        }
        let stream = |reader| Stream {
            reader,
            buffer: LineBuffer::default(),
            left: None,
        };
        let mut input = Conversation::default();
        input.take_input_of(talk);
        Ok(Lines {
            streams: [stream(stdout), stream(stderr)],
            input,
            pidfd,
            max_line_bytes: MAX_LINE_BYTES,
            turn: 0,
        })
    }

    /// Sets the length of the longest line, in bytes without the newline. A longer line is an
    /// error of the kind [`LimitReached`](ErrorKind::LimitReached), and is skipped.
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// use procession::ErrorKind;
    /// let script = Command::shell("head -c 1000000 /dev/zero; echo; echo after");
    /// let mut child = script.stdout(Stdio::Piped).spawn()?;
    /// let mut lines = child.lines()?.max_line_bytes(1000);
    /// assert_eq!(lines.next_line().unwrap_err().kind(), ErrorKind::LimitReached);
    /// assert_eq!(lines.next_line()?.expect("there is one").text(), "after");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Lines {
        self.max_line_bytes = bytes;
        self
    }

    /// Returns the next line of either stream, blocking until the program has written one;
    /// `None` when both streams have ended.
    ///
    /// # Errors
    /// - [`LimitReached`](ErrorKind::LimitReached): the line is longer than
    ///   [`max_line_bytes`](Lines::max_line_bytes); the next call returns the line after it
    /// - others as read(2) has them; the stream has ended then
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let mut child = Command::new("echo").arg("a").stdout(Stdio::Piped).spawn()?;
    /// let mut lines = child.lines()?;
    /// assert_eq!(lines.next_line()?.expect("there is one").text(), "a");
    /// assert_eq!(lines.next_line()?, None);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        self.next_line_deadline(Deadline::NEVER)
    }

    /// Returns the next line if the program has written one; part of a line is kept for a later
    /// call.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): no whole line is there; and as
    /// [`next_line`](Lines::next_line).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// let mut child = Command::new("sleep").arg("60").stdout(Stdio::Piped).spawn()?;
    /// assert!(child.lines()?.try_next_line().unwrap_err().is_would_block());
    /// child.kill()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_next_line(&mut self) -> Result<Option<Line>> {
        self.next_line_deadline(Deadline::NOW)
    }

    /// Returns the next line, blocking at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): no whole line has come; nothing is lost. And as
    /// [`next_line`](Lines::next_line).
    ///
    /// # Examples
    /// ```
    /// use procession::process::{Command, Stdio};
    /// use std::time::Duration;
    /// let mut child = Command::new("sleep").arg("60").stdout(Stdio::Piped).spawn()?;
    /// let mut lines = child.lines()?;
    /// assert!(lines.next_line_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
    /// child.kill()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn next_line_timeout(&mut self, timeout: Duration) -> Result<Option<Line>> {
        self.next_line_deadline(Deadline::after(timeout))
    }

    /// Returns the next line, blocking until `deadline` at most.
    ///
    /// # Errors
    /// As [`next_line_timeout`](Lines::next_line_timeout), or with [`Deadline::NOW`] as
    /// [`try_next_line`](Lines::try_next_line).
    ///
    /// # Examples
    /// ```
    /// use procession::{Deadline, process::{Command, Stdio}};
    /// let mut child = Command::new("echo").arg("a").stdout(Stdio::Piped).spawn()?;
    /// let line = child.lines()?.next_line_deadline(Deadline::NEVER)?;
    /// assert_eq!(line.expect("there is one").text(), "a");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn next_line_deadline(&mut self, deadline: Deadline) -> Result<Option<Line>> {
        let mut has_read = false;
        loop {
            if let Some(line) = self.take_line()? {
                return Ok(Some(line));
            }
            if self.streams.iter().all(|stream| stream.reader.is_none()) {
                return Ok(None);
            }
            // Also if more can be read at once: a program that writes for ever without the end
            // of a line does not stretch the time, nor hide its end.
            if has_read && deadline != Deadline::NOW {
                self.wait(deadline)?;
            }
            self.input.feed()?;
            has_read = false;
            for stream in &mut self.streams {
                has_read |= stream.read()?;
            }
            if !has_read {
                self.wait(deadline)?;
            }
        }
    }

    /// A line that is here already.
    fn take_line(&mut self) -> Result<Option<Line>> {
        for place in [self.turn, 1 - self.turn] {
            let stream = &mut self.streams[place];
            let is_over = stream.reader.is_none();
            if let Some((bytes, is_complete)) = stream.buffer.take(self.max_line_bytes, is_over)? {
                self.turn = 1 - place;
                let stream = [OutputStream::Stdout, OutputStream::Stderr][place];
                return Ok(Some(Line {
                    stream,
                    bytes,
                    is_complete,
                }));
            }
        }
        Ok(None)
    }

    /// Waits until there is something to read, or to write, or until the program has ended.
    fn wait(&mut self, deadline: Deadline) -> Result<()> {
        let readers = self.streams.iter();
        let readers = readers.filter_map(|stream| stream.reader.as_ref());
        let mut watched: Vec<PollFd<'_>> = readers
            .map(|reader| PollFd::new(reader, PollFlags::IN))
            .collect();
        if let Some(stdin) = &self.input.stdin {
            watched.push(PollFd::new(&**stdin, PollFlags::OUT));
        }
        if let Some(pidfd) = &self.pidfd {
            watched.push(PollFd::new(pidfd, PollFlags::IN));
        }
        if deadline.has_passed() || poll::wait(&mut watched, deadline)? == 0 {
            let operation = "reading lines of program";
            return Err(Error::new(deadline.error_kind(), operation, ""));
        }
        let last = watched.last().is_some_and(|it| !it.revents().is_empty());
        if self.pidfd.is_some() && last {
            self.pidfd = None;
            // What it wrote is in the pipes by now, and what comes behind is of others.
            for stream in &mut self.streams {
                stream.end_behind_what_is_there()?;
            }
        }
        Ok(())
    }
}

impl Iterator for Lines {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        self.next_line().transpose()
    }
}

impl Stream {
    /// Reads what is there now; `false` if that is nothing.
    fn read(&mut self) -> Result<bool> {
        let Some(reader) = &self.reader else {
            return Ok(false);
        };
        let most = self.left.unwrap_or(usize::MAX);
        match self.buffer.read(most, |bytes| reader.try_read(bytes)) {
            Ok(count) => {
                if let Some(left) = &mut self.left {
                    *left -= count;
                }
                if count == 0 || self.left == Some(0) {
                    self.reader = None;
                }
                Ok(true)
            }
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => {
                self.reader = None;
                Err(error)
            }
        }
    }

    fn end_behind_what_is_there(&mut self) -> Result<()> {
        if let Some(reader) = &self.reader {
            match reader.available()? {
                0 => self.reader = None,
                left => self.left = Some(left),
            }
        }
        Ok(())
    }
}
