//! Files mapped into memory, mmap(2).

use super::memory::{Region, SharedBytes};
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A file mapped whole, shared with every process that maps it too.
///
/// # If another process truncates the file
/// The kernel answers an access beyond the new end with SIGBUS, which ends
/// the process. [`read`](MappedFile::read) and [`write`](MappedFile::write)
/// ask for the length first and return [`Corrupt`](ErrorKind::Corrupt), which
/// leaves the instant between question and access; the `checked_` twins go
/// through the kernel (pread, pwrite on the same pages) and leave none.
/// [`bytes`](MappedFile::bytes) asks nothing. Files that cannot be truncated
/// are [`MemFd`](super::memfd::MemFd)s with seals.
///
/// # If a process dies
/// What it wrote to the mapping is in the file, flushed or not; only a crash
/// of the machine loses pages that were not flushed.
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
    /// Creates a file of `length` zero bytes, with its space allocated, that
    /// only this user may open, and maps it.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): something has that path
    /// - [`NoSpace`](ErrorKind::NoSpace): not enough room for all of it
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a length of zero
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
    /// - [`NotFound`](ErrorKind::NotFound),
    ///   [`PermissionDenied`](ErrorKind::PermissionDenied)
    /// - [`Untrusted`](ErrorKind::Untrusted): not a regular file, or a
    ///   symbolic link
    /// - [`InvalidInput`](ErrorKind::InvalidInput): it is empty
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

    /// Where the file was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.region.bytes().len()
    }

    /// Always false: an empty file cannot be mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The mapping itself. No call checks the file's length; see the type.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        self.region.bytes()
    }

    /// Length of the file now, which others may have changed.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn file_len(&self) -> Result<usize> {
        let status = rustix::fs::fstat(&self.file).during("measuring file", self.path.display())?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Makes file and mapping longer, with the space allocated, or maps what
    /// another process has made longer. A shorter length changes nothing.
    ///
    /// # Errors
    /// [`NoSpace`](ErrorKind::NoSpace); the old mapping stays usable.
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

    /// Owner, permissions and times.
    ///
    /// # Errors
    /// None that an open object can cause; reported all the same.
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

    /// Copies bytes out of the mapping.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): outside the mapping;
    /// [`Corrupt`](ErrorKind::Corrupt): the file has been truncated.
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

    /// Copies bytes into the mapping.
    ///
    /// # Errors
    /// As [`read`](MappedFile::read), and
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) if mapped read-only.
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

    /// Copies bytes out by way of the kernel: a truncated file is an error at
    /// whatever instant it happens, never a SIGBUS.
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

    /// Copies bytes in by way of the kernel. Writing beyond the end of a
    /// truncated file would make it longer again, so this refuses to.
    ///
    /// # Errors
    /// As [`write`](MappedFile::write); [`NoSpace`](ErrorKind::NoSpace);
    /// [`LimitReached`](ErrorKind::LimitReached): the bytes lie behind what this process
    /// may write of a file (`RLIMIT_FSIZE`), which a mapping may.
    ///
    /// # Cost
    /// One fstat(2), a look at that limit and one pwrite(2) per piece that the kernel takes.
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

    /// Writes changed pages to the device and waits until they are there.
    ///
    /// # Errors
    /// Those of the device.
    #[doc(alias = "msync")]
    pub fn flush(&self) -> Result<()> {
        self.region
            .flush(0, self.len(), true)
            .during("flushing mapped file", self.path.display())
    }

    /// Asks that changed pages be written to the device soon.
    ///
    /// # Errors
    /// None that a mapped file can cause; reported all the same.
    #[doc(alias = "MS_ASYNC")]
    pub fn flush_async(&self) -> Result<()> {
        self.region
            .flush(0, self.len(), false)
            .during("flushing mapped file", self.path.display())
    }

    /// Writes the changed pages of one range and waits.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): outside the mapping.
    pub fn flush_range(&self, offset: usize, length: usize) -> Result<()> {
        self.region
            .flush(offset, length, true)
            .during("flushing mapped file", self.path.display())
    }

    /// The mapping without the file.
    #[must_use]
    pub fn into_region(self) -> Region {
        self.region
    }

    /// Removes the path; mappings and descriptors stay valid.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn unlink(&self) -> Result<()> {
        rustix::fs::unlink(&self.path).during("removing mapped file", self.path.display())
    }
}

impl AsFd for MappedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
