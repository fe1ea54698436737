//! System V shared memory.

use super::message_queue::gone;
use super::{Accepted, CREATE, EXCLUSIVE, Key, PRIVATE_MODE, require_accepted};
use crate::error::Context;
use crate::os::memory::{Region, SharedBytes};
use crate::{Error, ErrorKind, Result, limits};
use procession_sys::{Errno, sysv::shm};
use std::sync::Arc;

pub use procession_sys::sysv::shm::Status as SegmentStatus;

/// A segment of memory, shmget(2).
///
/// The kernel reserves the memory at creation; a full machine is an error
/// there. A segment cannot change its length, so an attachment never raises
/// SIGBUS.
///
/// # If a process dies
/// It is detached. The segment outlives every process until
/// [`remove`](SharedMemory::remove), which takes effect when the last
/// attachment is gone: attach everywhere, then remove, and nothing can leak.
///
/// # Across fork and exec
/// Attachments are inherited by fork (and counted), and gone after exec.
///
/// # Examples
/// ```
/// use procession::os::sysv::{Key, SharedMemory};
/// let segment = SharedMemory::create(Key::PRIVATE, 4096)?;
/// let memory = segment.attach()?;
/// segment.remove()?; // goes with the last attachment
/// memory.bytes().write(0, b"still here");
/// assert_eq!(memory.bytes().to_vec(0, 10), b"still here");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SharedMemory {
    id: i32,
    key: Key,
    length: usize,
}

impl SharedMemory {
    /// Creates a segment of `length` zero bytes that only this user may
    /// attach.
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): the key is taken
    /// - [`LimitReached`](ErrorKind::LimitReached): `kernel.shmmax`, `shmall`
    ///   or `shmmni`; the hint names the one; or a control group may have no more
    /// - [`NoSpace`](ErrorKind::NoSpace): not so much memory is there, and
    ///   [`InvalidInput`](ErrorKind::InvalidInput) for a length of zero
    #[doc(alias = "shmget")]
    pub fn create(key: Key, length: usize) -> Result<SharedMemory> {
        let operation = "creating System V shared memory";
        if length == 0 {
            return Err(Error::new(ErrorKind::InvalidInput, operation, key)
                .because("a segment needs at least one byte"));
        }
        // The kernel takes the memory only when it is touched; what will not be
        // there then is refused now.
        crate::os::room::require_memory(length as u64, operation, &key)?;
        let id = shm::get(key.as_raw(), length, CREATE | EXCLUSIVE | PRIVATE_MODE)
            .map_err(|errno| explain_creation(Error::os(operation, key, errno), errno, length))?;
        Ok(SharedMemory { id, key, length })
    }

    /// Finds a segment of this user that nobody else may write.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied);
    /// [`Untrusted`](ErrorKind::Untrusted): another user owns it or has made it, or
    /// others may write it.
    pub fn open(key: Key) -> Result<SharedMemory> {
        SharedMemory::open_accepted(key, Some(Accepted::Own))
    }

    /// Finds a segment that belongs to a user, whoever may read and write it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied);
    /// [`Untrusted`](ErrorKind::Untrusted): it is yet another user's.
    pub fn open_of(key: Key, user: u32) -> Result<SharedMemory> {
        SharedMemory::open_accepted(key, Some(Accepted::Of(user)))
    }

    /// Finds a segment, whosever it is.
    pub(crate) fn find(key: Key) -> Result<SharedMemory> {
        SharedMemory::open_accepted(key, None)
    }

    fn open_accepted(key: Key, accepted: Option<Accepted>) -> Result<SharedMemory> {
        let operation = "opening System V shared memory";
        if key == Key::PRIVATE {
            return Err(Error::new(ErrorKind::InvalidInput, operation, key)
                .because("a private segment has no key to be found by"));
        }
        let id = shm::get(key.as_raw(), 0, 0).during(operation, key)?;
        let status = shm::status(id);
        if let Some(accepted) = accepted {
            let permissions = status.map(|status| status.permissions);
            require_accepted(permissions, accepted, operation, key)?;
        }
        let length = status.map_err(|errno| gone(operation, id, errno))?.size;
        Ok(SharedMemory { id, key, length })
    }

    /// Finds a segment of at least `length` bytes, or creates it.
    ///
    /// # Errors
    /// As [`open`](SharedMemory::open) and [`create`](SharedMemory::create);
    /// [`InvalidInput`](ErrorKind::InvalidInput): it exists and is shorter.
    pub fn open_or_create(key: Key, length: usize) -> Result<SharedMemory> {
        loop {
            match SharedMemory::create(key, length) {
                Err(error) if error.is_already_exists() => {}
                outcome => return outcome,
            }
            match SharedMemory::open(key) {
                // Removed between the two calls: try again to create it.
                Err(error) if error.is_not_found() || error.kind() == ErrorKind::Removed => {}
                Ok(segment) if segment.length < length => {
                    return Err(Error::new(
                        ErrorKind::InvalidInput,
                        "opening System V shared memory",
                        key,
                    )
                    .because(format!(
                        "it has {} bytes, {length} are wanted",
                        segment.length
                    )));
                }
                outcome => return outcome,
            }
        }
    }

    /// The segment with this id, as `ipcs -m` shows it.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed): no segment has it.
    pub fn from_id(id: i32) -> Result<SharedMemory> {
        let operation = "opening System V shared memory";
        let status = shm::status(id).map_err(|errno| gone(operation, id, errno))?;
        Ok(SharedMemory {
            id,
            key: Key::from_raw(status.permissions.key),
            length: status.size,
        })
    }

    /// The id, valid in every process of the IPC namespace.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key it was found by.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Length in bytes, fixed at creation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Always false: a segment has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Attaches the segment for reading and writing.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed), [`NoSpace`](ErrorKind::NoSpace).
    #[doc(alias = "shmat")]
    pub fn attach(&self) -> Result<Attachment> {
        self.attach_as(false)
    }

    /// Attaches the segment for reading.
    ///
    /// # Errors
    /// As [`attach`](SharedMemory::attach).
    #[doc(alias = "SHM_RDONLY")]
    pub fn attach_read_only(&self) -> Result<Attachment> {
        self.attach_as(true)
    }

    fn attach_as(&self, read_only: bool) -> Result<Attachment> {
        let region = Region::attach(self.id, self.length, read_only)
            .map_err(|errno| gone("attaching System V shared memory", self.id, errno))?;
        Ok(Attachment(Arc::new(region)))
    }

    /// Size, owner, attachments, and who did what when.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed),
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    #[doc(alias = "shmctl", alias = "IPC_STAT")]
    pub fn status(&self) -> Result<SegmentStatus> {
        shm::status(self.id)
            .map_err(|errno| gone("inspecting System V shared memory", self.id, errno))
    }

    /// Changes the permission bits.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed).
    #[doc(alias = "IPC_SET")]
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        shm::set(self.id, None, Some(mode))
            .map_err(|errno| gone("changing System V shared memory", self.id, errno))
    }

    /// Gives the segment to another user and group.
    ///
    /// # Errors
    /// As [`set_mode`](SharedMemory::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        shm::set(self.id, Some((uid, gid)), None)
            .map_err(|errno| gone("changing System V shared memory", self.id, errno))
    }

    /// Keeps the segment in memory, away from swap, once it has been touched.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) and
    /// [`NoSpace`](ErrorKind::NoSpace): beyond `RLIMIT_MEMLOCK`.
    #[doc(alias = "SHM_LOCK")]
    pub fn lock_in_memory(&self) -> Result<()> {
        shm::lock(self.id, true)
            .map_err(|errno| gone("locking System V shared memory", self.id, errno))
    }

    /// Lets the segment be swapped out again.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed).
    #[doc(alias = "SHM_UNLOCK")]
    pub fn unlock_from_memory(&self) -> Result<()> {
        shm::lock(self.id, false)
            .map_err(|errno| gone("unlocking System V shared memory", self.id, errno))
    }

    /// Marks the segment for removal: its key is free at once, its memory
    /// goes with the last attachment.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied),
    /// [`Removed`](ErrorKind::Removed).
    #[doc(alias = "IPC_RMID")]
    pub fn remove(self) -> Result<()> {
        shm::remove(self.id)
            .map_err(|errno| gone("removing System V shared memory", self.id, errno))
    }
}

fn explain_creation(error: Error, errno: Errno, length: usize) -> Error {
    let limit = match errno {
        Errno::INVAL => limits::sysv_segment_bytes(),
        Errno::NOSPC => {
            let pages = limits::sysv_memory_pages();
            let wanted = length.div_ceil(rustix::param::page_size()) as u64;
            if pages.value().is_some_and(|most| wanted > most) {
                pages
            } else {
                limits::sysv_segments()
            }
        }
        _ => return error,
    };
    error
        .of_kind(ErrorKind::LimitReached)
        .because(format!("{length} bytes, and {limit}"))
        .with_hint(limit.hint())
}

/// A segment attached to this process, detached when the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub struct Attachment(Arc<Region>);

impl Attachment {
    /// The bytes, for copying in and out.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        self.0.bytes()
    }

    /// The memory, to place a
    /// [`Semaphore`](crate::os::posix::Semaphore::init_in) in.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.0
    }

    /// Detaches now, unless a clone is still in use.
    #[doc(alias = "shmdt")]
    pub fn detach(self) {}
}
