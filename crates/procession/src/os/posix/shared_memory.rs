//! POSIX shared memory.

use crate::error::Context;
use crate::os::memory::Region;
use crate::{Name, Result};
use rustix::fs::Mode;
use rustix::shm::OFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A memory file that has a name under `/dev/shm`, shm_overview(7).
///
/// # If a process dies
/// The kernel removes its mappings. The name stays until [`unlink`](SharedMemory::unlink),
/// and the contents until also the last descriptor and mapping are gone. Dropping the handle
/// closes it and does not unlink.
///
/// # If another process shrinks it
/// Touching a mapping beyond the new end raises SIGBUS, because the object cannot be sealed.
/// A [`MemFd`](crate::os::memfd::MemFd) can be.
///
/// # Across fork and exec
/// A forked child inherits descriptor and mappings; exec removes both. The handle can be an
/// argument or a result of a [task](crate::process::spawn).
///
/// # Examples
/// ```
/// use procession::{Name, os::posix::SharedMemory};
/// let name = Name::random("procession-doc")?.to_string();
/// let memory = SharedMemory::create(&name, 4096)?;
/// let region = memory.map()?;
/// region.bytes().write(0, &1.5_f64.to_ne_bytes());
/// let other = SharedMemory::open(&name)?.map()?;
/// SharedMemory::unlink(&name)?;
/// assert_eq!(other.bytes().to_vec(0, 8), 1.5_f64.to_ne_bytes());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct SharedMemory {
    #[serde(with = "crate::handle")]
    descriptor: OwnedFd,
    name: Name,
}

impl SharedMemory {
    /// Creates an object of `length` zero bytes that only this user may open (mode 0600), and
    /// allocates the bytes.
    ///
    /// # Errors
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the name exists
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the name is invalid
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): `/dev/shm` has no room for `length` bytes;
    ///   the name is removed again
    #[doc(alias = "shm_open")]
    pub fn create(name: &str, length: usize) -> Result<SharedMemory> {
        let operation = "creating shared memory";
        let name = Name::new(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let descriptor = rustix::shm::open(name.as_c_str(), flags, Mode::RUSR | Mode::WUSR)
            .during(operation, &name)?;
        let memory = SharedMemory { descriptor, name };
        if length > 0 {
            let file = memory.descriptor.as_fd();
            if let Err(error) = crate::os::allocate(file, length, operation, &memory.name) {
                let _ = rustix::shm::unlink(memory.name.as_c_str());
                return Err(error);
            }
        }
        Ok(memory)
    }

    /// Opens an object for reading and writing.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): the mode of the object
    ///   forbids it
    pub fn open(name: &str) -> Result<SharedMemory> {
        SharedMemory::open_as(name, OFlags::RDWR)
    }

    /// Opens an object for reading.
    ///
    /// # Errors
    /// As [`open`](SharedMemory::open).
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::SharedMemory};
    /// let name = Name::random("procession-doc")?.to_string();
    /// SharedMemory::create(&name, 4)?.map()?.bytes().write(0, b"text");
    /// let memory = SharedMemory::open_read_only(&name)?;
    /// SharedMemory::unlink(&name)?;
    /// assert!(memory.map().is_err());
    /// assert_eq!(memory.map_read_only()?.bytes().to_vec(0, 4), b"text");
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_read_only(name: &str) -> Result<SharedMemory> {
        SharedMemory::open_as(name, OFlags::RDONLY)
    }

    fn open_as(name: &str, access: OFlags) -> Result<SharedMemory> {
        let name = Name::new(name)?;
        let descriptor = rustix::shm::open(name.as_c_str(), access, Mode::empty())
            .during("opening shared memory", &name)?;
        Ok(SharedMemory { descriptor, name })
    }

    /// Opens an object, or creates it with `length` bytes if it does not exist.
    ///
    /// Blocks for at most a second while the object has no bytes, because its creator sets
    /// the length after the name.
    ///
    /// # Errors
    /// - those of [`create`](SharedMemory::create) and [`open`](SharedMemory::open)
    /// - [`Untrusted`](crate::ErrorKind::Untrusted): another user owns the object, or others
    ///   may write it
    /// - [`Corrupt`](crate::ErrorKind::Corrupt): the object still has no bytes; its creator
    ///   may have died
    ///
    /// # Examples
    /// ```
    /// use procession::{Name, os::posix::SharedMemory};
    /// let name = Name::random("procession-doc")?.to_string();
    /// let first = SharedMemory::open_or_create(&name, 100)?;
    /// let second = SharedMemory::open_or_create(&name, 100)?; // opens it
    /// SharedMemory::unlink(&second.name().to_string())?;
    /// first.resize(200)?;
    /// assert_eq!((second.len()?, second.is_empty()?), (200, false));
    /// assert_eq!(second.status()?.mode, 0o600);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open_or_create(name: &str, length: usize) -> Result<SharedMemory> {
        let operation = "opening shared memory";
        loop {
            match SharedMemory::create(name, length) {
                Err(error) if error.is_already_exists() => {}
                outcome => return outcome,
            }
            let memory = match SharedMemory::open(name) {
                // Removed between the two calls: try again to create it.
                Err(error) if error.is_not_found() => continue,
                outcome => outcome?,
            };
            let status = rustix::fs::fstat(&memory.descriptor).during(operation, &memory.name)?;
            crate::os::require_private(&status, operation, &memory.name)?;
            let deadline = crate::Deadline::after(std::time::Duration::from_secs(1));
            while length > 0 && memory.is_empty()? {
                if deadline.has_passed() {
                    return Err(crate::Error::new(
                        crate::ErrorKind::Corrupt,
                        operation,
                        &memory.name,
                    )
                    .because("it exists without bytes; its creator may have died")
                    .with_hint("remove it and try again"));
                }
                let pause = crate::Deadline::after(std::time::Duration::from_millis(1));
                crate::poll::wait(&mut [], pause)?;
            }
            return Ok(memory);
        }
    }

    /// Removes the name. Processes that have the object open or mapped can go on using it.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound): the name does not exist
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): another user owns it
    #[doc(alias = "shm_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        rustix::shm::unlink(name.as_c_str()).during("removing shared memory", &name)
    }

    /// Returns the name by which the object was opened; it may have been removed since.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the current length in bytes.
    ///
    /// # Errors
    /// Those of fstat(2), which an open object does not cause.
    pub fn len(&self) -> Result<usize> {
        let status =
            rustix::fs::fstat(&self.descriptor).during("measuring shared memory", &self.name)?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Returns `true` if the object has no bytes.
    ///
    /// # Errors
    /// As [`len`](SharedMemory::len).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Returns owner, permissions and times, fstat(2).
    ///
    /// # Errors
    /// Those of fstat(2), which an open object does not cause.
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<crate::os::ObjectStatus> {
        crate::os::ObjectStatus::of(
            self.descriptor.as_fd(),
            "inspecting shared memory",
            &self.name,
        )
    }

    /// Changes the length to `length` bytes; new bytes are zero and allocated. Existing
    /// mappings keep their length: map again to reach new bytes. Touching mapped memory
    /// behind a smaller length raises SIGBUS.
    ///
    /// # Errors
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): `/dev/shm` has no room
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the object is open for reading
    ///   only
    #[expect(clippy::disallowed_methods, reason = "it becomes shorter")]
    pub fn resize(&self, length: usize) -> Result<()> {
        let operation = "resizing shared memory";
        if length > self.len()? {
            return crate::os::allocate(self.descriptor.as_fd(), length, operation, &self.name);
        }
        rustix::fs::ftruncate(&self.descriptor, length as u64).during(operation, &self.name)
    }

    /// Maps the whole object for reading and writing.
    ///
    /// # Errors
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied): the object is open for
    ///   reading only
    /// - [`InvalidInput`](crate::ErrorKind::InvalidInput): the object is empty
    #[doc(alias = "mmap")]
    pub fn map(&self) -> Result<Region> {
        Region::map(self.descriptor.as_fd(), self.len()?, true)
            .during("mapping shared memory", &self.name)
    }

    /// Maps the whole object for reading.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): the object is empty.
    pub fn map_read_only(&self) -> Result<Region> {
        Region::map(self.descriptor.as_fd(), self.len()?, false)
            .during("mapping shared memory", &self.name)
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
