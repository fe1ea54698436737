//! POSIX shared memory.

use crate::error::Context;
use crate::os::memory::Region;
use crate::{Name, Result};
use rustix::fs::Mode;
use rustix::shm::OFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A memory file with a name under `/dev/shm`, shm_overview(7).
///
/// # If a process dies
/// Its mappings go; name and contents stay until
/// [`unlink`](SharedMemory::unlink) *and* the last descriptor and mapping are
/// gone. Dropping the handle closes and does not unlink.
///
/// # If another process shrinks it
/// Touching a mapping beyond the new end raises SIGBUS: the object cannot be
/// sealed. Share only with programs you trust, or use
/// [`MemFd`](crate::os::memfd::MemFd).
///
/// # Across fork and exec
/// Descriptor and mappings are inherited by fork and gone after exec.
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
    /// Creates an object of `length` zero bytes, all allocated, that only
    /// this user may open.
    ///
    /// # Errors
    /// - [`AlreadyExists`](crate::ErrorKind::AlreadyExists): the name is taken
    /// - [`NoSpace`](crate::ErrorKind::NoSpace): `/dev/shm` has no room for
    ///   all of it; nothing is left behind
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
    /// [`NotFound`](crate::ErrorKind::NotFound),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
    pub fn open(name: &str) -> Result<SharedMemory> {
        SharedMemory::open_as(name, OFlags::RDWR)
    }

    /// Opens an object for reading.
    ///
    /// # Errors
    /// As [`open`](SharedMemory::open).
    pub fn open_read_only(name: &str) -> Result<SharedMemory> {
        SharedMemory::open_as(name, OFlags::RDONLY)
    }

    fn open_as(name: &str, access: OFlags) -> Result<SharedMemory> {
        let name = Name::new(name)?;
        let descriptor = rustix::shm::open(name.as_c_str(), access, Mode::empty())
            .during("opening shared memory", &name)?;
        Ok(SharedMemory { descriptor, name })
    }

    /// Opens an object if it exists, else creates it with `length` bytes.
    ///
    /// An object that its creator has not yet given a length is waited for,
    /// for at most a second: it may have died in between.
    ///
    /// # Errors
    /// As [`create`](SharedMemory::create) and [`open`](SharedMemory::open);
    /// [`Untrusted`](crate::ErrorKind::Untrusted) for an existing object of
    /// another user or one that others may write;
    /// [`Corrupt`](crate::ErrorKind::Corrupt): it exists without bytes.
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

    /// Removes a name. Processes that have the object open or mapped keep it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound),
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
    #[doc(alias = "shm_unlink")]
    pub fn unlink(name: &str) -> Result<()> {
        let name = Name::new(name)?;
        rustix::shm::unlink(name.as_c_str()).during("removing shared memory", &name)
    }

    /// The name it was opened by, which may have been removed since.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Length in bytes now.
    ///
    /// # Errors
    /// None that an open object can cause; reported all the same.
    pub fn len(&self) -> Result<usize> {
        let status =
            rustix::fs::fstat(&self.descriptor).during("measuring shared memory", &self.name)?;
        Ok(usize::try_from(status.st_size).unwrap_or(0))
    }

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`len`](SharedMemory::len).
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Owner, permissions and times.
    ///
    /// # Errors
    /// None that an open object can cause; reported all the same.
    #[doc(alias = "fstat")]
    pub fn status(&self) -> Result<crate::os::ObjectStatus> {
        crate::os::ObjectStatus::of(
            self.descriptor.as_fd(),
            "inspecting shared memory",
            &self.name,
        )
    }

    /// Changes the length. Existing mappings keep theirs: map again to reach
    /// new bytes, and do not touch what was cut off.
    ///
    /// # Errors
    /// [`NoSpace`](crate::ErrorKind::NoSpace);
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): open for reading only.
    #[expect(clippy::disallowed_methods, reason = "it becomes shorter")]
    pub fn resize(&self, length: usize) -> Result<()> {
        let operation = "resizing shared memory";
        if length > self.len()? {
            return crate::os::allocate(self.descriptor.as_fd(), length, operation, &self.name);
        }
        rustix::fs::ftruncate(&self.descriptor, length as u64).during(operation, &self.name)
    }

    /// Maps all of it, for reading and writing.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied): open for
    /// reading only; [`InvalidInput`](crate::ErrorKind::InvalidInput): empty.
    #[doc(alias = "mmap")]
    pub fn map(&self) -> Result<Region> {
        Region::map(self.descriptor.as_fd(), self.len()?, true)
            .during("mapping shared memory", &self.name)
    }

    /// Maps all of it, for reading.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): it is empty.
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
