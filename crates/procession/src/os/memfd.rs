//! Memory files without a name, memfd_create(2).

use super::memory::Region;
use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{MemfdFlags, SealFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What may no longer be done to a memory file, by anybody, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Seals {
    /// It cannot become shorter: mappings of it never raise SIGBUS.
    #[doc(alias = "F_SEAL_SHRINK")]
    pub shrink: bool,
    /// It cannot become longer.
    #[doc(alias = "F_SEAL_GROW")]
    pub grow: bool,
    /// Nobody can write any more; fails while a writable mapping exists.
    #[doc(alias = "F_SEAL_WRITE")]
    pub write: bool,
    /// Nobody can map it writable or write from now on; mappings that exist
    /// stay writable.
    #[doc(alias = "F_SEAL_FUTURE_WRITE")]
    pub future_write: bool,
    /// Nobody can add seals.
    #[doc(alias = "F_SEAL_SEAL")]
    pub seal: bool,
}

impl Seals {
    /// Of fixed size, for good: what shared memory wants.
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

/// A file in memory that has no name, so that nothing can leak and nobody can
/// squat on it; give it to other processes by fork or in a message
/// ([`descriptors`](super::descriptors)).
///
/// # If a process dies
/// The memory goes with its last descriptor and mapping.
///
/// # Across fork and exec
/// Inherited by fork, closed by exec.
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
    /// Creates a memory file of `length` zero bytes, all of them allocated.
    /// The label shows in `/proc/PID/fd` and `/proc/PID/maps`; it names
    /// nothing.
    ///
    /// # Errors
    /// - [`NoSpace`](ErrorKind::NoSpace): no memory for that length
    /// - [`InvalidInput`](ErrorKind::InvalidInput): a label over 249 bytes or
    ///   with a NUL
    /// - [`LimitReached`](ErrorKind::LimitReached): no descriptor left
    pub fn create(label: &str, length: usize) -> Result<MemFd> {
        let operation = "creating memory file";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(label, flags).during(operation, label)?;
        if length > 0 {
            super::allocate(file.as_fd(), length, operation, &label)?;
        }
        Ok(MemFd(file))
    }

    /// [`create`](MemFd::create), in huge pages that the machine keeps ready
    /// (`vm.nr_hugepages`), of its default size; the length is rounded up to
    /// whole ones.
    ///
    /// # Errors
    /// As [`create`](MemFd::create); [`NoSpace`](ErrorKind::NoSpace) where there
    /// are not enough of them; [`Unsupported`](ErrorKind::Unsupported): the kernel
    /// has none.
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

    /// Takes a descriptor that another process sent, after checking that it
    /// is a memory file that can no longer shrink.
    ///
    /// # Errors
    /// [`Untrusted`](ErrorKind::Untrusted): it is something else, or may be
    /// truncated under our feet.
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

    /// Length in bytes.
    ///
    /// # Errors
    /// None that a memory file can cause; reported all the same.
    pub fn len(&self) -> Result<usize> {
        let status = rustix::fs::fstat(&self.0).during("measuring memory file", "")?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`len`](MemFd::len).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Changes the length; new bytes are zero and allocated. Memory mapped
    /// beyond a new, smaller length raises SIGBUS when touched.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): a seal forbids it;
    /// [`NoSpace`](ErrorKind::NoSpace).
    #[expect(clippy::disallowed_methods, reason = "it becomes shorter")]
    pub fn resize(&self, length: usize) -> Result<()> {
        let operation = "resizing memory file";
        if length > self.len()? {
            return super::allocate(self.0.as_fd(), length, operation, &"");
        }
        rustix::fs::ftruncate(&self.0, length as u64).during(operation, "")
    }

    /// Adds seals.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): sealing is sealed
    /// - [`Busy`](ErrorKind::Busy): sealing writes while somebody has a
    ///   writable mapping
    #[doc(alias = "F_ADD_SEALS")]
    pub fn seal(&self, seals: Seals) -> Result<()> {
        rustix::fs::fcntl_add_seals(&self.0, seals.flags()).during("sealing memory file", "")
    }

    /// The seals it has.
    ///
    /// # Errors
    /// None that a memory file can cause; reported all the same.
    #[doc(alias = "F_GET_SEALS")]
    pub fn seals(&self) -> Result<Seals> {
        let flags = rustix::fs::fcntl_get_seals(&self.0).during("reading seals", "")?;
        Ok(flags.into())
    }

    /// Maps the whole file, for reading and writing.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied): writing is sealed;
    /// [`InvalidInput`](ErrorKind::InvalidInput): it is empty.
    pub fn map(&self) -> Result<Region> {
        Region::map(self.0.as_fd(), self.len()?, true).during("mapping memory file", "")
    }

    /// Maps the whole file, for reading.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput): it is empty.
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
