//! Memory files without a name, memfd_create(2).

use super::memory::Region;
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{MemfdFlags, SealFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Operations that are forbidden on a memory file from now on, for every process,
/// fcntl(2) "File Sealing".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Seals {
    /// The file cannot become shorter, so that its mappings raise no SIGBUS.
    #[doc(alias = "F_SEAL_SHRINK")]
    pub shrink: bool,
    /// The file cannot become longer.
    #[doc(alias = "F_SEAL_GROW")]
    pub grow: bool,
    /// The file cannot be written. Sealing fails while a writable mapping exists.
    #[doc(alias = "F_SEAL_WRITE")]
    pub write: bool,
    /// The file cannot be written or mapped writable from now on; existing mappings stay
    /// writable.
    #[doc(alias = "F_SEAL_FUTURE_WRITE")]
    pub future_write: bool,
    /// No seals can be added.
    #[doc(alias = "F_SEAL_SEAL")]
    pub seal: bool,
}

impl Seals {
    /// The size is fixed, and no other seals can be added: the seals for shared memory.
    pub const FIXED_SIZE: Seals = Seals {
        shrink: true,
        grow: true,
        write: false,
        future_write: false,
        seal: true,
    };

    fn flags(self) -> SealFlags {
        let pairs = [
            (self.shrink, SealFlags::SHRINK),
            (self.grow, SealFlags::GROW),
            (self.write, SealFlags::WRITE),
            (self.future_write, SealFlags::FUTURE_WRITE),
            (self.seal, SealFlags::SEAL),
        ];
        pairs
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, flag)| flag)
            .collect()
    }
}

impl From<SealFlags> for Seals {
    fn from(flags: SealFlags) -> Seals {
        Seals {
            shrink: flags.contains(SealFlags::SHRINK),
            grow: flags.contains(SealFlags::GROW),
            write: flags.contains(SealFlags::WRITE),
            future_write: flags.contains(SealFlags::FUTURE_WRITE),
            seal: flags.contains(SealFlags::SEAL),
        }
    }
}

/// A file in memory without a name. Other processes get it by fork, as an argument of a
/// [task](crate::process::spawn), or in a message ([`descriptors`](super::descriptors)).
///
/// # If a process dies
/// The kernel frees the memory with the last descriptor and mapping.
///
/// # Across fork and exec
/// A forked child inherits descriptor and mappings; exec removes both.
///
/// # Examples
/// ```
/// use procession::os::memfd::{MemFd, Seals};
/// let file = MemFd::create("numbers", 4096)?;
/// file.seal(Seals::FIXED_SIZE)?;
/// let region = file.map()?;
/// region.bytes().write(0, b"four");
/// assert_eq!(file.map_read_only()?.bytes().to_vec(0, 4), b"four");
/// assert!(file.resize(8192).is_err());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug)]
pub struct MemFd(OwnedFd);

impl MemFd {
    /// Creates a memory file of `length` zero bytes and allocates them. `label` is shown in
    /// `/proc/PID/fd` and `/proc/PID/maps`; the file cannot be opened by it.
    ///
    /// # Errors
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `label` is longer than 249 bytes or
    ///   contains a NUL
    /// - [`LimitReached`](ErrorKind::LimitReached): the process has no descriptor left, or a
    ///   control group or `RLIMIT_FSIZE` allows fewer bytes
    pub fn create(label: &str, length: usize) -> Result<MemFd> {
        let operation = "creating memory file";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(label, flags).during(operation, label)?;
        if length > 0 {
            super::allocate(file.as_fd(), length, operation, &label)?;
        }
        Ok(MemFd(file))
    }

    /// Creates a memory file in huge pages of the default size, which the machine must have
    /// reserved (`vm.nr_hugepages`). `length` is rounded up to whole pages.
    ///
    /// # Errors
    /// - those of [`create`](MemFd::create)
    /// - [`NoSpace`](ErrorKind::NoSpace): not enough huge pages are free
    /// - [`Unsupported`](ErrorKind::Unsupported): the kernel has no huge pages
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, os::memfd::MemFd};
    /// match MemFd::create_huge("table", 1) {
    ///     Ok(file) => assert!(file.len()? >= 1 << 20),
    ///     // The machine has reserved none.
    ///     Err(error) => assert!(matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::Unsupported)),
    /// }
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "MFD_HUGETLB")]
    pub fn create_huge(label: &str, length: usize) -> Result<MemFd> {
        let operation = "creating memory file of huge pages";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB;
        let file = match rustix::fs::memfd_create(label, flags) {
            Err(errno @ (Errno::NODEV | Errno::NOSYS | Errno::INVAL)) if !label.contains('\0') => {
                return Err(Error::os(operation, label, errno).of_kind(ErrorKind::Unsupported));
            }
            outcome => outcome.during(operation, label)?,
        };
        let status = rustix::fs::fstat(&file).during(operation, label)?;
        let page = usize::try_from(status.st_blksize).unwrap_or(1).max(1);
        if length > 0 {
            let length = length.div_ceil(page).saturating_mul(page);
            super::allocate(file.as_fd(), length, operation, &label).map_err(|error| {
                error.with_hint("keep more huge pages ready: `sysctl vm.nr_hugepages=...`")
            })?;
        }
        Ok(MemFd(file))
    }

    /// Takes a descriptor that another process sent, after checking that it is a memory file
    /// that is sealed against shrinking.
    ///
    /// # Errors
    /// [`Untrusted`](ErrorKind::Untrusted): it is no memory file, or it has no such seal.
    ///
    /// # Examples
    /// ```
    /// use procession::{ErrorKind, os::memfd::{MemFd, Seals}};
    /// use std::os::fd::OwnedFd;
    /// let file = MemFd::create("received", 4096)?;
    /// let error = MemFd::from_sealed(OwnedFd::from(file)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Untrusted);
    /// let file = MemFd::create("received", 4096)?;
    /// file.seal(Seals::FIXED_SIZE)?;
    /// let file = MemFd::from_sealed(OwnedFd::from(file))?;
    /// assert_eq!((file.len()?, file.is_empty()?), (4096, false));
    /// assert_eq!(file.seals()?, Seals::FIXED_SIZE);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn from_sealed(descriptor: OwnedFd) -> Result<MemFd> {
        let operation = "accepting memory file";
        let untrusted = |why| Error::new(ErrorKind::Untrusted, operation, "").because(why);
        match rustix::fs::fcntl_get_seals(&descriptor) {
            Ok(seals) if seals.contains(SealFlags::SHRINK) => Ok(MemFd(descriptor)),
            Ok(_) => Err(untrusted("it is not sealed against shrinking")),
            Err(Errno::INVAL) => Err(untrusted("it is not a memory file")),
            Err(errno) => Err(Error::os(operation, "", errno)),
        }
    }

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Those of the system call, which a memory file does not cause.
    pub fn len(&self) -> Result<usize> {
        let status = rustix::fs::fstat(&self.0).during("measuring memory file", "")?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Returns `true` if the file has no bytes.
    ///
    /// # Errors
    /// As [`len`](MemFd::len).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Changes the length to `length` bytes; new bytes are zero and allocated. Touching mapped
    /// memory behind a smaller length raises SIGBUS.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): a seal forbids it
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    #[expect(clippy::disallowed_methods, reason = "it becomes shorter")]
    pub fn resize(&self, length: usize) -> Result<()> {
        let operation = "resizing memory file";
        if length > self.len()? {
            return super::allocate(self.0.as_fd(), length, operation, &"");
        }
        rustix::fs::ftruncate(&self.0, length as u64).during(operation, "")
    }

    /// Adds seals, which cannot be removed.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the file has [`Seals::seal`]
    /// - [`Busy`](ErrorKind::Busy): `seals` has [`Seals::write`], and a writable mapping
    ///   exists
    #[doc(alias = "F_ADD_SEALS")]
    pub fn seal(&self, seals: Seals) -> Result<()> {
        rustix::fs::fcntl_add_seals(&self.0, seals.flags()).during("sealing memory file", "")
    }

    /// Returns the seals of the file.
    ///
    /// # Errors
    /// Those of the system call, which a memory file does not cause.
    #[doc(alias = "F_GET_SEALS")]
    pub fn seals(&self) -> Result<Seals> {
        let flags = rustix::fs::fcntl_get_seals(&self.0).during("reading seals", "")?;
        Ok(flags.into())
    }

    /// Maps the whole file for reading and writing.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): writing is sealed
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the file is empty
    pub fn map(&self) -> Result<Region> {
        Region::map(self.0.as_fd(), self.len()?, true).during("mapping memory file", "")
    }

    /// Maps the whole file for reading.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): the file is empty.
    pub fn map_read_only(&self) -> Result<Region> {
        Region::map(self.0.as_fd(), self.len()?, false).during("mapping memory file", "")
    }
}

impl MemFd {
    /// What another process of the family made and sent.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> MemFd {
        MemFd(descriptor)
    }
}

crate::handle::travels!(MemFd);

impl AsFd for MemFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<MemFd> for OwnedFd {
    fn from(file: MemFd) -> OwnedFd {
        file.0
    }
}
