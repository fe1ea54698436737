//! Pipes: one-way byte streams, pipe(7).

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

/// Writes of up to this many bytes are atomic: the bytes of two writers never
/// interleave, and a writer that is killed has written all of them or none.
///
/// # References
/// pipe(7), "PIPE_BUF"
pub const ATOMIC_WRITE_BYTES: usize = 4096;

/// Creates a pipe.
///
/// # Units and limits
/// Holds 64 KiB until [`Writer::set_capacity`] says otherwise; a user who has
/// filled `fs.pipe-user-pages-soft` gets 4 KiB.
///
/// # If a process dies
/// When the last writer is gone, by exit or by `kill -9`, the reader reads
/// what is left and then end of file. When the last reader is gone, writing
/// fails with [`Disconnected`](crate::ErrorKind::Disconnected) (EPIPE;
/// Rust programs ignore SIGPIPE). A process that forgets to drop its copy of
/// the writer keeps the reader waiting: after a fork, drop the half you do
/// not use.
///
/// # Across fork and exec
/// Inherited by fork, closed by exec.
///
/// # Errors
/// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor left.
///
/// # Cost
/// One system call; one per read and write that need not wait.
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

/// The end of a pipe or FIFO that bytes come out of.
///
/// Its descriptor is non-blocking inside; [`into_blocking`](Reader::into_blocking)
/// makes it fit for other programs.
#[derive(Debug)]
pub struct Reader(OwnedFd);

/// The end of a pipe or FIFO that bytes go into.
///
/// Its descriptor is non-blocking inside; [`into_blocking`](Writer::into_blocking)
/// makes it fit for other programs.
#[derive(Debug)]
pub struct Writer(OwnedFd);

impl Reader {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn from_nonblocking(descriptor: OwnedFd) -> Reader {
        Reader(descriptor)
    }

    /// Reads what is there, at most `buffer.len()` bytes, waiting for the
    /// first; zero is end of file.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NEVER)
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): nothing is there yet.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NOW)
    }

    /// Reads, waiting at most `timeout` for the first byte.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn read_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.read_deadline(buffer, Deadline::after(timeout))
    }

    /// Reads, waiting for the first byte until the deadline.
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

    /// Bytes that wait to be read.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "FIONREAD")]
    pub fn available(&self) -> Result<usize> {
        let available = rustix::io::ioctl_fionread(&self.0).during("measuring pipe", "")?;
        Ok(usize::try_from(available).unwrap_or(usize::MAX))
    }

    /// Bytes that the pipe holds.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "F_GETPIPE_SZ")]
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd())
    }

    /// The descriptor with its non-blocking mode taken off, for a program
    /// that does not expect it.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    pub fn into_blocking(self) -> Result<OwnedFd> {
        into_blocking(self.0)
    }
}

impl Writer {
    /// Takes over a non-blocking descriptor.
    pub(crate) fn from_nonblocking(descriptor: OwnedFd) -> Writer {
        Writer(descriptor)
    }

    /// Writes some of the bytes, waiting until there is room for the first;
    /// returns how many. Up to [`ATOMIC_WRITE_BYTES`] go all or not at all.
    ///
    /// # Errors
    /// [`Disconnected`](crate::ErrorKind::Disconnected): no reader is left.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_deadline(bytes, Deadline::NEVER)
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): the pipe is full.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        self.write_deadline(bytes, Deadline::NOW)
    }

    /// Writes some, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn write_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<usize> {
        self.write_deadline(bytes, Deadline::after(timeout))
    }

    /// Writes some, waiting until the deadline.
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

    /// Writes all of the bytes, waiting as often as needed.
    ///
    /// # Errors
    /// As [`write`](Writer::write); some of the bytes may have gone.
    pub fn write_all(&self, bytes: &[u8]) -> Result<()> {
        self.write_all_deadline(bytes, Deadline::NEVER)
    }

    /// Writes all of the bytes, waiting at most `timeout` in all.
    ///
    /// # Errors
    /// As [`write_timeout`](Writer::write_timeout); some of the bytes may have gone.
    pub fn write_all_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.write_all_deadline(bytes, Deadline::after(timeout))
    }

    /// Writes all of the bytes before the deadline.
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

    /// Bytes that the pipe holds.
    ///
    /// # Errors
    /// None that a pipe can cause; reported all the same.
    #[doc(alias = "F_GETPIPE_SZ")]
    pub fn capacity(&self) -> Result<usize> {
        capacity(self.as_fd())
    }

    /// Asks for room for `bytes` bytes and returns how many there are then:
    /// the kernel rounds up to a power of two of pages.
    ///
    /// # Errors
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): beyond
    ///   `fs.pipe-max-size`
    /// - [`Busy`](crate::ErrorKind::Busy): more than that is waiting inside
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

    /// The descriptor with its non-blocking mode taken off, for a program
    /// that does not expect it.
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
    /// Another descriptor for the same end, to give to another process.
    /// Readers of one pipe share what comes out of it; end of file reaches
    /// all of them.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor left.
    pub fn try_clone(&self) -> Result<Reader> {
        self.0
            .try_clone()
            .map(Reader)
            .during("copying end of pipe", "")
    }
}

crate::handle::travels!(Reader);

impl Writer {
    /// Another descriptor for the same end, to give to another process.
    /// The reader sees end of file when the last copy is gone.
    ///
    /// # Errors
    /// [`LimitReached`](crate::ErrorKind::LimitReached): no descriptor left.
    pub fn try_clone(&self) -> Result<Writer> {
        self.0
            .try_clone()
            .map(Writer)
            .during("copying end of pipe", "")
    }
}

crate::handle::travels!(Writer);
