//! Files mapped into memory, mmap(2).

use super::memory::{Region, SharedBytes};
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A file that is mapped as a whole, and shared with every process that maps it.
///
/// # If another process truncates the file
/// An access beyond the new end raises SIGBUS, which ends the process.
///
/// | access | if the file is shorter |
/// |---|---|
/// | [`read`](MappedFile::read), [`write`](MappedFile::write) | check the length first and return [`Corrupt`](ErrorKind::Corrupt); a file that is truncated between check and copy raises SIGBUS |
/// | [`checked_read`](MappedFile::checked_read), [`checked_write`](MappedFile::checked_write) | copy through the kernel and return [`Corrupt`](ErrorKind::Corrupt), without a SIGBUS |
/// | [`bytes`](MappedFile::bytes) | checks nothing, raises SIGBUS |
///
/// A [`MemFd`](super::memfd::MemFd) with seals cannot be truncated.
///
/// # If a process dies
/// The bytes that it wrote to the mapping are in the file, flushed or not. A crash of the
/// machine loses pages that were not flushed.
///
/// # Across fork and exec
/// A forked child inherits mapping and descriptor; exec removes both.
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("share");
/// use procession::os::mmap::MappedFile;
/// let writer = MappedFile::create(&path, 1024)?;
/// writer.write(0, b"msg 1\n")?;
/// writer.flush()?;
/// let reader = MappedFile::open_read_only(&path)?;
/// let mut text = [0; 6];
/// reader.read(0, &mut text)?;
/// assert_eq!(&text, b"msg 1\n");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct MappedFile {
    file: OwnedFd,
    path: PathBuf,
    region: Region,
}

impl MappedFile {
    /// Creates a file of `length` zero bytes that only this user may open (mode 0600),
    /// allocates its space, and maps it.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the path exists
    /// - [`NoSpace`](ErrorKind::NoSpace): the file system has no room for `length` bytes
    /// - [`LimitReached`](ErrorKind::LimitReached): `length` exceeds `RLIMIT_FSIZE`
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `length` is zero
    pub fn create(path: impl AsRef<Path>, length: usize) -> Result<MappedFile> {
        let path = path.as_ref();
        let operation = "creating mapped file";
        if length == 0 {
            return Err(
                Error::new(ErrorKind::InvalidInput, operation, path.display())
                    .because("a mapping needs at least one byte"),
            );
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .during(operation, path.display())?;
        let mapped =
            super::allocate(file.as_fd(), length, operation, &path.display()).and_then(|()| {
                Region::map(file.as_fd(), length, true).during(operation, path.display())
            });
        match mapped {
            Ok(region) => Ok(MappedFile {
                file,
                path: path.to_owned(),
                region,
            }),
            Err(error) => {
                // We made it a moment ago and nobody can have used it.
                let _ = rustix::fs::unlink(path);
                Err(error)
            }
        }
    }

    /// Maps an existing file for reading and writing.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller may not read and write
    ///   the file
    /// - [`Untrusted`](ErrorKind::Untrusted): the path is no regular file, or a symbolic link
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the file is empty
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("share");
    /// use procession::{ErrorKind, os::mmap::MappedFile};
    /// std::fs::write(&path, "text").unwrap();
    /// let file = MappedFile::open(&path)?;
    /// assert_eq!((file.path(), file.len(), file.is_empty()), (&*path, 4, false));
    /// file.bytes().write(0, b"T");
    /// assert_eq!(std::fs::read(&path).unwrap(), b"Text");
    /// let error = MappedFile::open(directory.path()).unwrap_err();
    /// assert!(error.raw_os_error().is_some() || error.kind() == ErrorKind::Untrusted);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile> {
        MappedFile::open_with(path.as_ref(), true)
    }

    /// Maps an existing file for reading only.
    ///
    /// # Errors
    /// As [`open`](MappedFile::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<MappedFile> {
        MappedFile::open_with(path.as_ref(), false)
    }

    fn open_with(path: &Path, writable: bool) -> Result<MappedFile> {
        let operation = "mapping file";
        let untrusted =
            |why| Error::new(ErrorKind::Untrusted, operation, path.display()).because(why);
        let access = if writable {
            OFlags::RDWR
        } else {
            OFlags::RDONLY
        };
        // NONBLOCK: opening a FIFO that somebody put there must not hang.
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(untrusted("it is a symbolic link")),
            outcome => outcome.during(operation, path.display())?,
        };
        let status = rustix::fs::fstat(&file).during(operation, path.display())?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(untrusted("it is not a regular file"));
        }
        let length = usize::try_from(status.st_size).unwrap_or(0);
        if length == 0 {
            return Err(
                Error::new(ErrorKind::InvalidInput, operation, path.display())
                    .because("the file is empty"),
            );
        }
        let region =
            Region::map(file.as_fd(), length, writable).during(operation, path.display())?;
        Ok(MappedFile {
            file,
            path: path.to_owned(),
            region,
        })
    }

    /// Returns the path by which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of mapped bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.region.bytes().len()
    }

    /// Returns `false`: an empty file cannot be mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the mapped bytes, for copies and atomic operations. These do not check the
    /// length of the file; see [`MappedFile`].
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        self.region.bytes()
    }

    /// Returns the current length of the file in bytes, which other processes can change.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn file_len(&self) -> Result<usize> {
        let status = rustix::fs::fstat(&self.file).during("measuring file", self.path.display())?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Extends file and mapping to `length` bytes and allocates the space; a file that
    /// another process has extended already is only mapped. A `length` that is not larger
    /// changes nothing.
    ///
    /// # Errors
    /// [`NoSpace`](ErrorKind::NoSpace): the file system has no room; the old mapping stays
    /// usable.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("share");
    /// use procession::os::mmap::MappedFile;
    /// let mut file = MappedFile::create(&path, 10)?;
    /// let other = MappedFile::open(&path)?;
    /// file.grow(20)?;
    /// assert_eq!((file.len(), file.file_len()?), (20, 20));
    /// assert_eq!((other.len(), other.file_len()?), (10, 20));
    /// assert_eq!(file.status()?.mode, 0o600);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn grow(&mut self, length: usize) -> Result<()> {
        let operation = "growing mapped file";
        if length > self.file_len()? {
            super::allocate(self.file.as_fd(), length, operation, &self.path.display())?;
        }
        if length > self.len() {
            let writable = self.bytes().is_writable();
            self.region = Region::map(self.file.as_fd(), length, writable)
                .during(operation, self.path.display())?;
        }
        Ok(())
    }

    /// Returns owner, permissions and times, fstat(2).
    ///
    /// # Errors
    /// Those of fstat(2), which an open file does not cause.
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<crate::os::ObjectStatus> {
        crate::os::ObjectStatus::of(
            self.file.as_fd(),
            "inspecting mapped file",
            &self.path.display(),
        )
    }

    fn require_mapped(&self, operation: &'static str, offset: usize, length: usize) -> Result<()> {
        if offset
            .checked_add(length)
            .is_some_and(|end| end <= self.len())
        {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::InvalidInput, operation, self.path.display()).because(format!(
                "{length} bytes at {offset} leave the {} mapped",
                self.len()
            )),
        )
    }

    fn require_writable(&self, operation: &'static str) -> Result<()> {
        if self.bytes().is_writable() {
            return Ok(());
        }
        Err(
            Error::new(ErrorKind::PermissionDenied, operation, self.path.display())
                .because("the file is mapped for reading only"),
        )
    }

    fn require_in_file(&self, operation: &'static str, end: usize) -> Result<()> {
        match self.file_len()? {
            length if length >= end => Ok(()),
            length => Err(self.truncated(operation, length)),
        }
    }

    fn truncated(&self, operation: &'static str, length: usize) -> Error {
        Error::new(ErrorKind::Corrupt, operation, self.path.display()).because(format!(
            "another process truncated the file to {length} bytes"
        ))
    }

    /// Copies bytes from `offset` of the mapping into `into`.
    ///
    /// # Errors
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the range is outside the mapping
    /// - [`Corrupt`](ErrorKind::Corrupt): another process truncated the file
    ///
    /// # Cost
    /// One fstat(2) and the copy.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let operation = "reading mapped file";
        self.require_mapped(operation, offset, into.len())?;
        self.require_in_file(operation, offset + into.len())?;
        self.bytes().read(offset, into);
        Ok(())
    }

    /// Copies the bytes of `from` to `offset` of the mapping.
    ///
    /// # Errors
    /// - those of [`read`](MappedFile::read)
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the file is mapped for reading
    ///   only
    ///
    /// # Cost
    /// One fstat(2) and the copy.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let operation = "writing mapped file";
        self.require_writable(operation)?;
        self.require_mapped(operation, offset, from.len())?;
        self.require_in_file(operation, offset + from.len())?;
        self.bytes().write(offset, from);
        Ok(())
    }

    /// Copies bytes from `offset` into `into` with pread(2), so that a file that is truncated
    /// in the middle is an error and no SIGBUS.
    ///
    /// # Errors
    /// As [`read`](MappedFile::read).
    ///
    /// # Cost
    /// One pread(2) per piece that the kernel returns.
    #[doc(alias = "pread")]
    pub fn checked_read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let operation = "reading mapped file";
        self.require_mapped(operation, offset, into.len())?;
        let mut done = 0;
        while done < into.len() {
            let at = (offset + done) as u64;
            let read =
                rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut into[done..], at));
            match read.during(operation, self.path.display())? {
                0 => return Err(self.truncated(operation, offset + done)),
                length => done += length,
            }
        }
        Ok(())
    }

    /// Copies the bytes of `from` to `offset` with pwrite(2), so that a truncated file is an
    /// error and no SIGBUS. A file that is truncated between check and write becomes longer
    /// again.
    ///
    /// # Errors
    /// - those of [`write`](MappedFile::write)
    /// - [`NoSpace`](ErrorKind::NoSpace): the file system is full
    /// - [`LimitReached`](ErrorKind::LimitReached): the range ends behind `RLIMIT_FSIZE`,
    ///   which bounds writes but not mappings
    ///
    /// # Cost
    /// One fstat(2), a look at that limit and one pwrite(2) per piece that the kernel takes.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("share");
    /// use procession::{ErrorKind, os::mmap::MappedFile};
    /// let file = MappedFile::create(&path, 10)?;
    /// file.checked_write(4, b"middle")?;
    /// let mut text = [0; 6];
    /// file.checked_read(4, &mut text)?;
    /// assert_eq!(&text, b"middle");
    /// std::fs::write(&path, "cut").unwrap(); // another process truncates the file
    /// let error = file.checked_read(4, &mut text).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Corrupt);
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "pwrite")]
    pub fn checked_write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let operation = "writing mapped file";
        self.require_writable(operation)?;
        self.require_mapped(operation, offset, from.len())?;
        let end = offset + from.len();
        self.require_in_file(operation, end)?;
        crate::fd::size_limit::require_writable_to(end as u64, operation, &self.path.display())?;
        let mut done = 0;
        while done < from.len() {
            let at = (offset + done) as u64;
            let written =
                rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, &from[done..], at));
            done += written.during(operation, self.path.display())?;
        }
        Ok(())
    }

    /// Writes changed pages to the device, blocking until the device has them, msync(2).
    ///
    /// # Errors
    /// The error of the device, such as `EIO`.
    #[doc(alias = "msync")]
    pub fn flush(&self) -> Result<()> {
        self.region
            .flush(0, self.len(), true)
            .during("flushing mapped file", self.path.display())
    }

    /// Calls msync(2) with `MS_ASYNC`. Linux writes changed pages by itself after a while, and
    /// this call starts nothing.
    ///
    /// # Errors
    /// Those of msync(2), which a mapped file does not cause.
    #[doc(alias = "MS_ASYNC")]
    pub fn flush_async(&self) -> Result<()> {
        self.region
            .flush(0, self.len(), false)
            .during("flushing mapped file", self.path.display())
    }

    /// Writes the changed pages of `length` bytes at `offset` to the device, blocking until
    /// the device has them.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the range is outside the mapping.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("share");
    /// use procession::os::mmap::MappedFile;
    /// let file = MappedFile::create(&path, 10_000)?;
    /// file.write(5000, b"changed")?;
    /// file.flush_range(5000, 7)?;
    /// file.flush_async()?;
    /// assert!(file.flush_range(9_999, 2).is_err());
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn flush_range(&self, offset: usize, length: usize) -> Result<()> {
        self.region
            .flush(offset, length, true)
            .during("flushing mapped file", self.path.display())
    }

    /// Closes the file and returns the mapping, which stays usable.
    ///
    /// # Examples
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("share");
    /// use procession::os::mmap::MappedFile;
    /// let file = MappedFile::create(&path, 10)?;
    /// file.write(0, b"kept")?;
    /// file.unlink()?;
    /// let region = file.into_region();
    /// assert_eq!(region.bytes().to_vec(0, 4), b"kept");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[must_use]
    pub fn into_region(self) -> Region {
        self.region
    }

    /// Removes the path; mappings and descriptors stay usable.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the path does not exist any more
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the directory is not writable
    pub fn unlink(&self) -> Result<()> {
        rustix::fs::unlink(&self.path).during("removing mapped file", self.path.display())
    }
}

impl AsFd for MappedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
