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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
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
    accepted: Accepted,
}

/// Whose FIFO is used: the path may have another one by now, each time that it is
/// opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    /// Ours, that nobody else may write.
    Own,
    /// Of this user, whoever may write: that was asked for.
    Of(u32),
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
            accepted: Accepted::Own,
        })
    }

    /// Creates a FIFO with these permission bits, whatever the umask is: `0o620` is one
    /// that the group may write to. Whoever may write is believed to be who is meant.
    ///
    /// # If a process dies
    /// One that is killed in between leaves a FIFO that only this user may open.
    ///
    /// # Errors
    /// As [`create`](Fifo::create); [`InvalidInput`](ErrorKind::InvalidInput): bits
    /// that are no permissions, or not the owner's to read and write.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("orders");
    /// use procession::os::fifo::Fifo;
    /// let fifo = Fifo::create_with_mode(&path, 0o622)?;
    /// assert_eq!(fifo.status()?.mode, 0o622);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn create_with_mode(path: impl AsRef<Path>, mode: u32) -> Result<Fifo> {
        let operation = "creating FIFO";
        let path = path.as_ref();
        let object = path.display();
        if mode & !0o777 != 0 || mode & 0o600 != 0o600 {
            return Err(
                Error::new(ErrorKind::InvalidInput, operation, object).because(format!(
                    "{mode:o} are no permission bits with which its owner reads and writes it"
                )),
            );
        }
        let mut fifo = Fifo::create(path)?;
        if mode & 0o022 != 0 {
            fifo.accepted = Accepted::Of(rustix::process::geteuid().as_raw());
        }
        // What was made, and not what has the path by now.
        let changed = fifo.handle(operation).and_then(|handle| {
            let of_handle = format!("/proc/self/fd/{}", handle.as_raw_fd());
            rustix::fs::chmod(of_handle, Mode::from_bits_retain(mode)).during(operation, object)
        });
        if let Err(error) = changed {
            let _ = fifo.unlink();
            return Err(error);
        }
        Ok(fifo)
    }

    /// Uses an existing FIFO.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound)
    /// - [`Untrusted`](ErrorKind::Untrusted): not a FIFO (a symbolic link to
    ///   one is not), another user's, or writable by others
    pub fn open(path: impl AsRef<Path>) -> Result<Fifo> {
        Fifo::open_accepted(path.as_ref(), Accepted::Own)
    }

    /// Uses an existing FIFO that belongs to a user, whoever may read and write it: for
    /// programs of several users, who know each other.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound),
    ///   [`PermissionDenied`](ErrorKind::PermissionDenied)
    /// - [`Untrusted`](ErrorKind::Untrusted): not a FIFO, or yet another user's
    pub fn open_of(path: impl AsRef<Path>, user: u32) -> Result<Fifo> {
        Fifo::open_accepted(path.as_ref(), Accepted::Of(user))
    }

    fn open_accepted(path: &Path, accepted: Accepted) -> Result<Fifo> {
        let fifo = Fifo {
            path: path.to_owned(),
            accepted,
        };
        fifo.handle("opening FIFO").map(|_| fifo)
    }

    /// A descriptor that is good for nothing but looking, of what is accepted.
    fn handle(&self, operation: &'static str) -> Result<OwnedFd> {
        let object = self.path.display();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&self.path, flags, Mode::empty());
        let handle = handle.during(operation, object)?;
        self.require_fifo(handle.as_fd())?;
        Ok(handle)
    }

    /// Creates the FIFO for this user alone, or uses the one that is there.
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
        let operation = "inspecting FIFO";
        let handle = self.handle(operation)?;
        super::ObjectStatus::of(handle.as_fd(), operation, &self.path.display())
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

    fn open_end(&self, access: OFlags) -> Result<OwnedFd> {
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
        self.require_fifo(descriptor.as_fd())?;
        Ok(descriptor)
    }

    fn require_fifo(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        let operation = "opening FIFO";
        let path = self.path.display();
        let untrusted =
            |why: String| Error::new(ErrorKind::Untrusted, operation, &path).because(why);
        let status = rustix::fs::fstat(descriptor).during("checking FIFO", &path)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
            return Err(untrusted("it is not a FIFO".to_owned())
                .with_hint("choose another path, or remove what is there"));
        }
        match self.accepted {
            Accepted::Own => super::require_private(&status, operation, &path),
            Accepted::Of(user) if status.st_uid == user => Ok(()),
            Accepted::Of(user) => {
                let owner = status.st_uid;
                Err(untrusted(format!(
                    "it belongs to user {owner}, not to user {user}"
                )))
            }
        }
    }
}

/// The reading end of a FIFO.
#[derive(Debug)]
pub struct FifoReader {
    reader: OwnedFd,
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
