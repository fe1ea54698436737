//! FIFOs: pipes with a path, fifo(7).
//!
//! Any program can take part: `echo ts > fifo` is a writer, `cat fifo` a
//! reader. Two traps of the plain calls are taken care of: opening blocks
//! until the other side opens too, and a reader sees end of file whenever the
//! last writer leaves, even if the next one is about to come.

use super::pipe::{Reader, Writer};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::Errno;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A FIFO's path.
///
/// Dropping the value removes nothing: a FIFO lives in the file system until
/// [`unlink`](Fifo::unlink).
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("fifo");
/// use procession::os::fifo::Fifo;
/// let fifo = Fifo::open_or_create(&path)?;
/// let reader = fifo.reader()?;
/// std::process::Command::new("sh").arg("-c")
///     .arg(format!("echo ts > {}", path.display())).status().unwrap();
/// let mut buffer = [0; 16];
/// let length = reader.read(&mut buffer)?;
/// assert_eq!(&buffer[..length], b"ts\n");
/// fifo.unlink()?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    path: PathBuf,
}

impl Fifo {
    /// Creates a FIFO that only this user may open.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): something has that path
    /// - [`NotFound`](ErrorKind::NotFound): no such directory
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied),
    ///   [`NoSpace`](ErrorKind::NoSpace)
    #[doc(alias = "mkfifo")]
    pub fn create(path: impl AsRef<Path>) -> Result<Fifo> {
        let path = path.as_ref();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0)
            .during("creating FIFO", path.display())?;
        Ok(Fifo {
            path: path.to_owned(),
        })
    }

    /// Uses an existing FIFO.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound)
    /// - [`Untrusted`](ErrorKind::Untrusted): not a FIFO (a symbolic link to
    ///   one is not), another user's, or writable by others
    pub fn open(path: impl AsRef<Path>) -> Result<Fifo> {
        let path = path.as_ref();
        let object = path.display();
        let handle = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .during("opening FIFO", object)?;
        require_fifo(handle.as_fd(), path)?;
        Ok(Fifo {
            path: path.to_owned(),
        })
    }

    /// Creates the FIFO, or uses the one that is there.
    ///
    /// # Errors
    /// As [`create`](Fifo::create) and [`open`](Fifo::open).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Fifo> {
        match Fifo::create(&path) {
            Err(error) if error.is_already_exists() => Fifo::open(path),
            outcome => outcome,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Owner, permissions and times.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<super::ObjectStatus> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let object = self.path.display();
        let handle = rustix::fs::open(&self.path, flags, Mode::empty())
            .during("inspecting FIFO", &object)?;
        require_fifo(handle.as_fd(), &self.path)?;
        super::ObjectStatus::of(handle.as_fd(), "inspecting FIFO", &object)
    }

    /// Opens the reading end without waiting for a writer.
    ///
    /// A read waits for the first byte, and then sees end of file when the
    /// last writer has left; [`FifoReader::wait_for_writer`] waits for the
    /// next one.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    pub fn reader(&self) -> Result<FifoReader> {
        let reader = self.open_end(OFlags::RDONLY)?;
        Ok(FifoReader {
            reader,
            fifo: self.clone(),
            anchor: None,
        })
    }

    /// Opens the reading end and keeps a writing end open beside it, so that
    /// there is no end of file: reads wait for whichever writer comes next.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    pub fn persistent_reader(&self) -> Result<FifoReader> {
        let reader = self.open_end(OFlags::RDONLY)?;
        let anchor = Some(Writer::from_nonblocking(self.open_end(OFlags::WRONLY)?));
        Ok(FifoReader {
            reader,
            fifo: self.clone(),
            anchor,
        })
    }

    /// Opens the writing end, waiting until there is a reader.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    pub fn writer(&self) -> Result<Writer> {
        self.writer_deadline(Deadline::NEVER)
    }

    /// Opens the writing end if there is a reader.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): there is none.
    pub fn try_writer(&self) -> Result<Writer> {
        self.writer_deadline(Deadline::NOW)
    }

    /// Opens the writing end, waiting at most `timeout` for a reader.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn writer_timeout(&self, timeout: Duration) -> Result<Writer> {
        self.writer_deadline(Deadline::after(timeout))
    }

    /// Opens the writing end, waiting until the deadline for a reader.
    ///
    /// The kernel has no call for "open when a reader comes" that can be
    /// bounded, so this asks again every 1 to 20 ms.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn writer_deadline(&self, deadline: Deadline) -> Result<Writer> {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.open_end(OFlags::WRONLY) {
                Ok(descriptor) => return Ok(Writer::from_nonblocking(descriptor)),
                Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                    if deadline.has_passed() {
                        let kind = deadline.error_kind();
                        return Err(Error::new(kind, "opening FIFO", self.path.display())
                            .because("no reader has it open"));
                    }
                    poll::wait(&mut [], deadline.min(Deadline::after(pause)))?;
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the path. Processes that have it open keep their pipe.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn unlink(&self) -> Result<()> {
        rustix::fs::unlink(&self.path).during("removing FIFO", self.path.display())
    }

    fn open_end(&self, access: OFlags) -> Result<std::os::fd::OwnedFd> {
        let flags = access | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(&self.path, flags, Mode::empty()).map_err(|errno| {
            let error = Error::os("opening FIFO", self.path.display(), errno);
            match errno {
                Errno::LOOP => error
                    .of_kind(ErrorKind::Untrusted)
                    .because("it is a symbolic link"),
                _ => error,
            }
        })?;
        // The path may have been replaced since it was checked.
        require_fifo(descriptor.as_fd(), &self.path)?;
        Ok(descriptor)
    }
}

fn require_fifo(descriptor: BorrowedFd<'_>, path: &Path) -> Result<()> {
    let status = rustix::fs::fstat(descriptor).during("checking FIFO", path.display())?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
        return Err(
            Error::new(ErrorKind::Untrusted, "opening FIFO", path.display())
                .because("it is not a FIFO")
                .with_hint("choose another path, or remove what is there"),
        );
    }
    super::require_private(&status, "opening FIFO", &path.display())
}

/// The reading end of a FIFO.
#[derive(Debug)]
pub struct FifoReader {
    reader: std::os::fd::OwnedFd,
    fifo: Fifo,
    /// Held, never written: while it is open there is no end of file.
    anchor: Option<Writer>,
}

impl FifoReader {
    /// Reads what is there, waiting for the first byte. Zero is end of file:
    /// every writer has left (never, for a persistent reader).
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NEVER)
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): nothing is there yet.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NOW)
    }

    /// Reads, waiting at most `timeout` for the first byte.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn read_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.read_deadline(buffer, Deadline::after(timeout))
    }

    /// Reads, waiting for the first byte until the deadline. A reader that no
    /// writer has ever joined waits for one, where read(2) would report end
    /// of file.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    pub fn read_deadline(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        // A fresh descriptor without a writer is not readable, yet read(2) on
        // it returns zero at once: poll first, always.
        poll::readable(&self.reader, deadline)?;
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut *buffer)) {
            // Another reader of the same FIFO took the bytes.
            Err(Errno::AGAIN) if !deadline.has_passed() => self.read_deadline(buffer, deadline),
            outcome => outcome.during("reading from FIFO", self.fifo.path.display()),
        }
    }

    /// After an end of file: makes the reader ready for the next writer, so
    /// that a read waits for its bytes. Bytes that the next writer has
    /// written already are kept.
    ///
    /// # Errors
    /// As [`Fifo::open`]; also if the path is gone, since the next writer
    /// could not come.
    pub fn wait_for_writer(&mut self) -> Result<()> {
        // The new end is opened before the old one closes, so the pipe and
        // the bytes in it live on; the kernel reports "hung up" on a reading
        // end only for writers that left after it was opened.
        self.reader = self.fifo.open_end(OFlags::RDONLY)?;
        Ok(())
    }

    /// Whether a writing end is kept open, so that there is no end of file.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.anchor.is_some()
    }

    /// The reading end as that of a pipe.
    #[must_use]
    pub fn into_reader(self) -> Reader {
        Reader::from_nonblocking(self.reader)
    }
}

impl AsFd for FifoReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl std::io::Read for FifoReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(FifoReader::read(self, buffer)?)
    }
}
