//! Pipes: one-way streams of bytes, pipe(7).

use crate::error::Context;
use crate::poll::repeat;
use crate::{Deadline, Result};
use procession_sys::Errno;
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The largest write that is atomic, in bytes (`PIPE_BUF`): up to this length, the bytes of
/// two writers do not interleave.
///
/// # Examples
/// ```
/// use procession::os::pipe::{self, ATOMIC_WRITE_BYTES};
/// let (reader, writer) = pipe::pipe()?;
/// assert_eq!(writer.write(&[1; ATOMIC_WRITE_BYTES])?, ATOMIC_WRITE_BYTES);
/// assert_eq!(reader.available()?, 4096);
/// # Ok::<(), procession::Error>(())
/// ```
///
/// # References
/// pipe(7), "PIPE_BUF"
pub const ATOMIC_WRITE_BYTES: usize = 4096;

/// Creates a pipe and returns its ends, the reading end first as pipe(2) does.
///
/// # Units and limits
/// A pipe holds 64 KiB until [`Writer::set_capacity`] changes that; less if the user has
/// reached `fs.pipe-user-pages-soft`, pipe(7).
///
/// # If a process dies
/// When the last writer is gone, by exit or by `kill -9`, the reader reads what is left and
/// then end of file. When the last reader is gone, writing fails with
/// [`Disconnected`](crate::ErrorKind::Disconnected) (EPIPE; Rust programs ignore SIGPIPE). A
/// process that keeps its copy of the writer keeps the reader waiting: after a fork, drop
/// the end that the process does not use.
///
/// # Across fork and exec
/// A forked child inherits both ends; exec closes them. An end can be an argument of a
/// [task](crate::process::spawn).
///
/// # Errors
/// [`LimitReached`](crate::ErrorKind::LimitReached): the process has no descriptor left.
///
/// # Cost
/// One system call, and one for each read and write that does not wait.
///
/// # Examples
/// ```
/// use procession::{os::pipe, process::{fork, exit, Fork}};
/// use std::io::Read;
/// let (mut reader, writer) = pipe::pipe()?;
/// match fork()? {
///     Fork::Child => {
///         writer.write_all(b"from the child")?;
///         exit(0)
///     }
///     Fork::Parent(child) => {
///         drop(writer);
///         let mut text = String::new();
///         reader.read_to_string(&mut text).unwrap();
///         assert_eq!(text, "from the child");
///         assert!(child.wait()?.success());
///     }
/// }
/// # Ok::<(), procession::Error>(())
/// ```
#[doc(alias = "pipe2")]
pub fn pipe() -> Result<(Reader, Writer)> {
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (reader, writer) = rustix::pipe::pipe_with(flags).during("creating pipe", "")?;
    Ok((Reader(reader), Writer(writer)))
}

/// The reading end of a pipe or FIFO.
///
/// The descriptor is non-blocking; [`into_blocking`](Reader::into_blocking) changes that for
/// programs that do not expect it.
///
/// # Examples
/// ```
/// use procession::{Deadline, os::pipe};
/// use std::time::Duration;
/// let (reader, writer) = pipe::pipe()?;
/// let mut buffer = [0; 4];
/// assert!(reader.try_read(&mut buffer).unwrap_err().is_would_block());
/// let late = reader.read_timeout(&mut buffer, Duration::from_millis(1));
/// assert!(late.unwrap_err().is_timeout());
/// writer.write_all(b"abcdef")?;
/// assert_eq!(reader.available()?, 6);
/// assert_eq!(reader.read(&mut buffer)?, 4);
/// assert_eq!(reader.read_deadline(&mut buffer, Deadline::NEVER)?, 2);
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader(OwnedFd);

/// The writing end of a pipe or FIFO.
///
/// The descriptor is non-blocking; [`into_blocking`](Writer::into_blocking) changes that for
/// programs that do not expect it.
///
/// # Examples
/// ```
/// use procession::{Deadline, os::pipe};
/// use std::time::Duration;
/// let (reader, writer) = pipe::pipe()?;
/// assert_eq!(writer.write(b"one")?, 3);
/// writer.write_all_timeout(b"two", Duration::from_secs(1))?;
/// writer.write_all_deadline(b"three", Deadline::NEVER)?;
/// let full = vec![0; writer.capacity()?];
/// writer.write_deadline(&full, Deadline::NEVER)?; // writes what there is room for
/// while writer.try_write(&full).is_ok() {}
/// let late = writer.write_timeout(b"x", Duration::from_millis(1));
/// assert!(late.unwrap_err().is_timeout());
/// drop(reader);
/// assert!(writer.write(b"x").unwrap_err().is_disconnected());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer(OwnedFd);

impl Reader {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn from_nonblocking(descriptor: OwnedFd) -> Reader {
        Reader(descriptor)
    }

    /// Reads up to `buffer.len()` bytes and returns how many, blocking until the first
    /// arrives. Zero is end of file: no process has a writing end any more.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NEVER)
    }

    /// Reads the bytes that have arrived, without blocking.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): none has arrived.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NOW)
    }

    /// Reads, blocking at most `timeout` until the first byte arrives.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn read_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.read_deadline(buffer, Deadline::after(timeout))
    }

    /// Reads, blocking until the first byte arrives, until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn read_deadline(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        repeat(
            self.as_fd(),
            PollFlags::IN,
            deadline,
            "reading from pipe",
            &"",
            || rustix::io::read(&self.0, &mut *buffer),
        )
    }

    /// Returns how many bytes wait to be read.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "FIONREAD")]
    pub fn available(&self) -> Result<usize> {
        let available = rustix::io::ioctl_fionread(&self.0).during("measuring pipe", "")?;
        Ok(usize::try_from(available).unwrap_or(usize::MAX))
    }

    /// Returns the capacity in bytes.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "F_GETPIPE_SZ")]
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd())
    }

    /// Turns the non-blocking mode off and returns the descriptor, for a program that does
    /// not expect that mode. The mode belongs to the open file: it changes for copies of the
    /// descriptor, too.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    ///
    /// # Examples
    /// ```
    /// use procession::os::pipe;
    /// use std::{fs::File, io::Read};
    /// let (reader, writer) = pipe::pipe()?;
    /// writer.write_all(b"text")?;
    /// drop(File::from(writer.into_blocking()?)); // std can write to it as well
    /// let mut text = String::new();
    /// File::from(reader.into_blocking()?).read_to_string(&mut text).unwrap();
    /// assert_eq!(text, "text");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn into_blocking(self) -> Result<OwnedFd> {
        into_blocking(self.0)
    }
}

impl Writer {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn from_nonblocking(descriptor: OwnedFd) -> Writer {
        Writer(descriptor)
    }

    /// Writes as many of the bytes as there is room for and returns how many, blocking while
    /// the pipe is full. Up to [`ATOMIC_WRITE_BYTES`] bytes are written all or not at all.
    ///
    /// # Errors
    /// [`Disconnected`](crate::ErrorKind::Disconnected): no reader is left.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_deadline(bytes, Deadline::NEVER)
    }

    /// Writes as many of the bytes as there is room for, without blocking.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): the pipe is full.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_deadline(bytes, Deadline::NOW)
    }

    /// Writes as many of the bytes as there is room for, blocking at most `timeout` while the
    /// pipe is full.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn write_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<usize> {
        self.write_deadline(bytes, Deadline::after(timeout))
    }

    /// Writes as many of the bytes as there is room for, blocking while the pipe is full,
    /// until `deadline` at most.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), or
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn write_deadline(&self, bytes: &[u8], deadline: Deadline) -> Result<usize> {
        repeat(
            self.as_fd(),
            PollFlags::OUT,
            deadline,
            "writing to pipe",
            &"",
            || rustix::io::write(&self.0, bytes),
        )
    }

    /// Writes all of the bytes, blocking whenever the pipe is full.
    ///
    /// # Errors
    /// As [`write`](Writer::write); some of the bytes may have gone.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        self.write_all_deadline(bytes, Deadline::NEVER)
    }

    /// Writes all of the bytes, blocking at most `timeout` in total.
    ///
    /// # Errors
    /// As [`write_timeout`](Writer::write_timeout); some of the bytes may have gone.
    pub fn write_all_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.write_all_deadline(bytes, Deadline::after(timeout))
    }

    /// Writes all of the bytes, blocking until `deadline` at most.
    ///
    /// # Errors
    /// As [`write_deadline`](Writer::write_deadline); some of the bytes may
    /// have gone.
    pub fn write_all_deadline(&self, bytes: &[u8], deadline: Deadline) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let written = self.write_deadline(left, deadline)?;
            left = &left[written..];
        }
        Ok(())
    }

    /// Returns the capacity in bytes.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "F_GETPIPE_SZ")]
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd())
    }

    /// Sets the capacity to at least `bytes` bytes and returns the new capacity: the kernel
    /// rounds up to a power of two of pages.
    ///
    /// # Errors
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): `bytes` exceeds
    ///   `fs.pipe-max-size`, and the process lacks `CAP_SYS_RESOURCE`
    /// - [`Busy`](crate::ErrorKind::Busy): the pipe contains more bytes than `bytes`
    ///
    /// # Examples
    /// ```
    /// let (_reader, writer) = procession::os::pipe::pipe()?;
    /// assert!(writer.set_capacity(5000)? >= 5000); // 8192 with pages of 4 KiB
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "F_SETPIPE_SZ")]
    pub fn set_capacity(&self, bytes: usize) -> Result<usize> {
        match rustix::pipe::fcntl_setpipe_size(&self.0, bytes) {
            Err(Errno::PERM) => {
                Err(
                    crate::Error::os("enlarging pipe", format!("{bytes} bytes"), Errno::PERM)
                        .with_hint(crate::limits::pipe_bytes().hint()),
                )
            }
            outcome => {
                outcome.during("enlarging pipe", format!("{bytes} bytes"))?;
                self.capacity()
            }
        }
    }

    /// Turns the non-blocking mode off and returns the descriptor, for a program that does
    /// not expect that mode. The mode belongs to the open file: it changes for copies of the
    /// descriptor, too.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    pub fn into_blocking(self) -> Result<OwnedFd> {
        into_blocking(self.0)
    }
}

fn capacity(descriptor: BorrowedFd<'_>) -> Result<usize> {
    rustix::pipe::fcntl_getpipe_size(descriptor).during("measuring pipe", "")
}

fn into_blocking(descriptor: OwnedFd) -> Result<OwnedFd> {
    let flags = rustix::fs::fcntl_getfl(&descriptor).during("reading flags of pipe", "")?;
    rustix::fs::fcntl_setfl(&descriptor, flags - OFlags::NONBLOCK)
        .during("changing flags of pipe", "")?;
    Ok(descriptor)
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(Reader::read(self, buffer)?)
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(Writer::write(self, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reader {
    /// Returns another descriptor of the same end. Each byte is read by one of the readers;
    /// end of file reaches all of them.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): the process has no descriptor left.
    pub fn try_clone(&self) -> Result<Reader> {
        self.0
            .try_clone()
            .map(Reader)
            .during("copying end of pipe", "")
    }
}

crate::handle::travels!(Reader);

impl Writer {
    /// Returns another descriptor of the same end. The reader sees end of file when the last
    /// of them is closed.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): the process has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use procession::os::pipe;
    /// let (reader, writer) = pipe::pipe()?;
    /// let copy = writer.try_clone()?;
    /// drop(writer);
    /// copy.write(b"x")?; // the pipe is still open
    /// let mut buffer = [0; 2];
    /// assert_eq!(reader.try_clone()?.read(&mut buffer)?, 1);
    /// drop(copy);
    /// assert_eq!(reader.read(&mut buffer)?, 0);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn try_clone(&self) -> Result<Writer> {
        self.0
            .try_clone()
            .map(Writer)
            .during("copying end of pipe", "")
    }
}

crate::handle::travels!(Writer);
