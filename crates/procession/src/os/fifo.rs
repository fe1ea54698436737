//! FIFOs: pipes with a path, fifo(7).
//!
//! Any program can take part: `echo ts > fifo` writes, `cat fifo` reads. Two traps of the
//! plain calls are taken care of: open(2) blocks until the other side opens too, and a
//! reader sees end of file whenever the last writer closes, even if another writer is about
//! to open.

use super::pipe::{Reader, Writer};
use crate::error::Context;
use crate::{Deadline, Error, ErrorKind, Result, poll};
use procession_sys::Errno;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The path of a FIFO.
///
/// Dropping the value removes nothing: the FIFO stays in the file system until
/// [`unlink`](Fifo::unlink).
///
/// # Units and limits
/// Capacity and atomic writes are those of a [pipe](super::pipe::pipe()).
///
/// # If a process dies
/// The kernel closes its ends: the reader sees end of file when the last writer is gone, and
/// writing fails with [`Disconnected`](ErrorKind::Disconnected) when the last reader is. The
/// path stays.
///
/// # Across fork and exec
/// A forked child inherits the descriptors of readers and writers; exec closes them.
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

/// The owner that is accepted. It is checked each time that the path is opened, because the
/// path may lead to another FIFO by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    /// This user, and nobody else may write.
    Own,
    /// The user that the caller named; others may write.
    Of(u32),
}

impl Fifo {
    /// Creates a FIFO that only this user may open (mode 0600), mkfifo(3).
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the path exists
    /// - [`NotFound`](ErrorKind::NotFound): the directory does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the directory is not writable
    /// - [`NoSpace`](ErrorKind::NoSpace): the file system is full
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

    /// Creates a FIFO with the permission bits `mode`, independent of the umask. With
    /// `0o620` the group may write to it.
    ///
    /// # If a process dies
    /// A process that is killed in the middle leaves a FIFO that only this user may open.
    ///
    /// # Errors
    /// - those of [`create`](Fifo::create)
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `mode` has other bits than permissions,
    ///   or the owner could not read and write
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

    /// Opens an existing FIFO of this user that nobody else may write.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist
    /// - [`Untrusted`](ErrorKind::Untrusted): the path is no FIFO (a symbolic link to a FIFO
    ///   is none), another user owns it, or others may write it
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::{ErrorKind, os::fifo::Fifo};
    /// assert!(Fifo::open(&path).unwrap_err().is_not_found());
    /// Fifo::create(&path)?;
    /// assert_eq!(Fifo::open(&path)?.path(), path);
    /// std::fs::write(directory.path().join("file"), "no FIFO").unwrap();
    /// let error = Fifo::open(directory.path().join("file")).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Untrusted);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Fifo> {
        Fifo::open_accepted(path.as_ref(), Accepted::Own)
    }

    /// Opens an existing FIFO that the user with the id `user` owns, whatever its
    /// permissions are. This is for programs of several users that trust each other.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the directory is not accessible
    /// - [`Untrusted`](ErrorKind::Untrusted): the path is no FIFO, or another user owns it
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::{ErrorKind, os::fifo::Fifo};
    /// let me = Fifo::create_with_mode(&path, 0o622)?.status()?.uid;
    /// // Others may write it, so it is not opened without naming its owner.
    /// assert_eq!(Fifo::open(&path).unwrap_err().kind(), ErrorKind::Untrusted);
    /// assert!(Fifo::open_of(&path, me).is_ok());
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Returns a descriptor (`O_PATH`) of the FIFO, after checking that it is accepted.
    fn handle(&self, operation: &'static str) -> Result<OwnedFd> {
        let object = self.path.display();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&self.path, flags, Mode::empty());
        let handle = handle.during(operation, object)?;
        self.require_fifo(handle.as_fd())?;
        Ok(handle)
    }

    /// Creates a FIFO that only this user may open, or opens the existing one.
    ///
    /// # Errors
    /// As [`create`](Fifo::create) and [`open`](Fifo::open).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Fifo> {
        match Fifo::create(&path) {
            Err(error) if error.is_already_exists() => Fifo::open(path),
            outcome => outcome,
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns owner, permissions and times, stat(2).
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
    /// A read blocks until the first byte arrives, and returns end of file when the last
    /// writer has closed its end. [`FifoReader::wait_for_writer`] then prepares the reader
    /// for the next writer.
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

    /// Opens the reading end, and keeps a writing end open beside it. There is no end of
    /// file: reads block until a writer writes.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::os::fifo::Fifo;
    /// let fifo = Fifo::create(&path)?;
    /// let reader = fifo.persistent_reader()?;
    /// assert!(reader.is_persistent());
    /// fifo.writer()?.write_all(b"one")?; // the writer closes its end
    /// let mut buffer = [0; 8];
    /// assert_eq!(reader.read(&mut buffer)?, 3);
    /// assert!(reader.try_read(&mut buffer).unwrap_err().is_would_block());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn persistent_reader(&self) -> Result<FifoReader> {
        let reader = self.open_end(OFlags::RDONLY)?;
        let anchor = Some(Writer::from_nonblocking(self.open_end(OFlags::WRONLY)?));
        Ok(FifoReader {
            reader,
            fifo: self.clone(),
            anchor,
        })
    }

    /// Opens the writing end, blocking until a process has the reading end open.
    ///
    /// # Errors
    /// As [`open`](Fifo::open).
    pub fn writer(&self) -> Result<Writer> {
        self.writer_deadline(Deadline::NEVER)
    }

    /// Opens the writing end if a process has the reading end open.
    ///
    /// # Errors
    /// - [`WouldBlock`](ErrorKind::WouldBlock): no process has it open
    /// - those of [`open`](Fifo::open)
    pub fn try_writer(&self) -> Result<Writer> {
        self.writer_deadline(Deadline::NOW)
    }

    /// Opens the writing end, blocking at most `timeout` until there is a reader.
    ///
    /// # Errors
    /// - [`TimedOut`](ErrorKind::TimedOut): no reader has come
    /// - those of [`open`](Fifo::open)
    pub fn writer_timeout(&self, timeout: Duration) -> Result<Writer> {
        self.writer_deadline(Deadline::after(timeout))
    }

    /// Opens the writing end, blocking until there is a reader, until `deadline` at most.
    ///
    /// # Cost
    /// The kernel has no bounded call for this: the library tries again after 1 ms, and
    /// later after up to 20 ms.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::{Deadline, os::fifo::Fifo};
    /// use std::time::Duration;
    /// let fifo = Fifo::create(&path)?;
    /// assert!(fifo.try_writer().unwrap_err().is_would_block());
    /// assert!(fifo.writer_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    /// let reader = fifo.reader()?;
    /// let writer = fifo.writer_deadline(Deadline::NOW)?;
    /// writer.write_all(b"hello")?;
    /// assert_eq!(reader.into_reader().available()?, 5);
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Removes the path. Processes that have the FIFO open can go on using it.
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

/// The reading end of a FIFO, made by [`Fifo::reader`].
#[derive(Debug)]
pub struct FifoReader {
    reader: OwnedFd,
    fifo: Fifo,
    /// Held, never written: while it is open there is no end of file.
    anchor: Option<Writer>,
}

impl FifoReader {
    /// Reads up to `buffer.len()` bytes and returns how many, blocking until the first
    /// arrives. Zero is end of file: every writer has closed its end. A
    /// [persistent](Fifo::persistent_reader) reader sees no end of file.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NEVER)
    }

    /// Reads the bytes that have arrived, without blocking.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock): none has arrived.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_deadline(buffer, Deadline::NOW)
    }

    /// Reads, blocking at most `timeout` until the first byte arrives.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut).
    pub fn read_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize> {
        self.read_deadline(buffer, Deadline::after(timeout))
    }

    /// Reads, blocking until the first byte arrives, until `deadline` at most. Before the
    /// first writer has opened the FIFO this blocks, where read(2) reports end of file.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), or
    /// [`WouldBlock`](ErrorKind::WouldBlock) with [`Deadline::NOW`].
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::{Deadline, os::fifo::Fifo};
    /// use std::time::Duration;
    /// let fifo = Fifo::create(&path)?;
    /// let reader = fifo.reader()?;
    /// let mut buffer = [0; 8];
    /// let error = reader.read_timeout(&mut buffer, Duration::from_millis(1)).unwrap_err();
    /// assert!(error.is_timeout());
    /// fifo.writer()?.write_all(b"late")?;
    /// assert_eq!(reader.read_deadline(&mut buffer, Deadline::NEVER)?, 4);
    /// assert_eq!(reader.read_deadline(&mut buffer, Deadline::NEVER)?, 0); // end of file
    /// # Ok::<(), procession::Error>(())
    /// ```
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

    /// Prepares the reader for the next writer after an end of file, so that a read blocks
    /// until that writer writes. Bytes that the next writer has written already are kept.
    /// The call itself does not block.
    ///
    /// # Errors
    /// Those of [`Fifo::open`]; [`NotFound`](ErrorKind::NotFound) also means that no writer
    /// can come any more.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("fifo");
    /// use procession::os::fifo::Fifo;
    /// let fifo = Fifo::create(&path)?;
    /// let mut reader = fifo.reader()?;
    /// let mut buffer = [0; 8];
    /// for text in ["first", "second"] {
    ///     fifo.writer()?.write_all(text.as_bytes())?;
    ///     let length = reader.read(&mut buffer)?;
    ///     assert_eq!(&buffer[..length], text.as_bytes());
    ///     assert_eq!(reader.read(&mut buffer)?, 0);
    ///     reader.wait_for_writer()?;
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn wait_for_writer(&mut self) -> Result<()> {
        // The new end is opened before the old one closes, so the pipe and
        // the bytes in it live on; the kernel reports "hung up" on a reading
        // end only for writers that left after it was opened.
        self.reader = self.fifo.open_end(OFlags::RDONLY)?;
        Ok(())
    }

    /// Returns `true` if the reader keeps a writing end open, so that there is no end of file.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.anchor.is_some()
    }

    /// Turns the reader into the reading end of a pipe. A persistent reader gives its writing
    /// end up.
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
