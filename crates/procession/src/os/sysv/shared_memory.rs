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
/// A segment cannot change its length, so it cannot be truncated. The kernel takes memory for
/// it when it is touched.
///
/// # If a process dies
/// The kernel detaches it. The segment stays until [`remove`](SharedMemory::remove), which
/// takes effect when the last attachment is gone: a segment that all processes have attached
/// and one has removed goes with its last user.
///
/// # Across fork and exec
/// A forked child inherits attachments, which are counted; exec removes them. The id stays
/// valid.
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
    /// Creates a segment of `length` zero bytes that only this user may attach (mode 0600).
    ///
    /// # Errors
    /// - [`AlreadyExists`](ErrorKind::AlreadyExists): a segment has the key
    /// - [`LimitReached`](ErrorKind::LimitReached): `kernel.shmmax`, `shmall` or `shmmni` is
    ///   reached, which the hint names; or a control group allows fewer bytes
    /// - [`NoSpace`](ErrorKind::NoSpace): there is not enough memory
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `length` is zero
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

    /// Opens a segment of this user that nobody else may write.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no segment has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user owns the segment or has created it, or
    ///   others may write it
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SharedMemory};
    /// let key = Key::random()?;
    /// assert!(SharedMemory::open(key).unwrap_err().is_not_found());
    /// let segment = SharedMemory::open_or_create(key, 100)?;
    /// let me = segment.status()?.permissions.uid;
    /// assert_eq!(SharedMemory::open(key)?, SharedMemory::open_of(key, me)?);
    /// assert_eq!(SharedMemory::from_id(segment.id())?.key(), key);
    /// assert_eq!((segment.len(), segment.is_empty(), segment.key()), (100, false, key));
    /// segment.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn open(key: Key) -> Result<SharedMemory> {
        SharedMemory::open_accepted(key, Some(Accepted::Own))
    }

    /// Opens a segment that the user with the id `user` owns, whatever its permissions are.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): no segment has the key
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Untrusted`](ErrorKind::Untrusted): another user than `user` owns the segment
    pub fn open_of(key: Key, user: u32) -> Result<SharedMemory> {
        SharedMemory::open_accepted(key, Some(Accepted::Of(user)))
    }

    /// Opens a segment of any user.
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

    /// Opens a segment of at least `length` bytes, or creates it if no segment has the key.
    ///
    /// # Errors
    /// - those of [`open`](SharedMemory::open) and [`create`](SharedMemory::create)
    /// - [`InvalidInput`](ErrorKind::InvalidInput): the segment is shorter than `length`
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

    /// Returns the segment with this id, which `ipcs -m` shows.
    ///
    /// # Errors
    /// [`Removed`](ErrorKind::Removed): no segment has the id.
    pub fn from_id(id: i32) -> Result<SharedMemory> {
        let operation = "opening System V shared memory";
        let status = shm::status(id).map_err(|errno| gone(operation, id, errno))?;
        Ok(SharedMemory {
            id,
            key: Key::from_raw(status.permissions.key),
            length: status.size,
        })
    }

    /// Returns the id, which is valid in every process of the IPC namespace.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the key of the segment.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// Returns the length in bytes, which is fixed at creation.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns `false`: a segment has at least one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Attaches the segment for reading and writing.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): its mode forbids it
    /// - [`Removed`](ErrorKind::Removed): the segment does not exist any more
    /// - [`NoSpace`](ErrorKind::NoSpace): there is no address space
    #[doc(alias = "shmat")]
    pub fn attach(&self) -> Result<Attachment> {
        self.attach_as(false)
    }

    /// Attaches the segment for reading.
    ///
    /// # Errors
    /// As [`attach`](SharedMemory::attach).
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SharedMemory};
    /// let segment = SharedMemory::create(Key::PRIVATE, 100)?;
    /// segment.attach()?.bytes().write(0, b"text");
    /// let memory = segment.attach_read_only()?;
    /// segment.remove()?;
    /// assert!(!memory.bytes().is_writable());
    /// assert_eq!(memory.bytes().to_vec(0, 4), b"text");
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "SHM_RDONLY")]
    pub fn attach_read_only(&self) -> Result<Attachment> {
        self.attach_as(true)
    }

    fn attach_as(&self, read_only: bool) -> Result<Attachment> {
        let region = Region::attach(self.id, self.length, read_only)
            .map_err(|errno| gone("attaching System V shared memory", self.id, errno))?;
        Ok(Attachment(Arc::new(region)))
    }

    /// Returns size, owner, attachments, and the last operations, shmctl(2).
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller may not read the segment
    /// - [`Removed`](ErrorKind::Removed): the segment does not exist any more
    #[doc(alias = "shmctl", alias = "IPC_STAT")]
    pub fn status(&self) -> Result<SegmentStatus> {
        shm::status(self.id)
            .map_err(|errno| gone("inspecting System V shared memory", self.id, errno))
    }

    /// Changes the permission bits to `mode`.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the segment
    /// - [`Removed`](ErrorKind::Removed): the segment does not exist any more
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SharedMemory};
    /// let segment = SharedMemory::create(Key::PRIVATE, 100)?;
    /// segment.set_mode(0o640)?;
    /// let permissions = segment.status()?.permissions;
    /// assert_eq!(permissions.mode, 0o640);
    /// segment.set_owner(permissions.uid, permissions.gid)?;
    /// segment.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "IPC_SET")]
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        shm::set(self.id, None, Some(mode))
            .map_err(|errno| gone("changing System V shared memory", self.id, errno))
    }

    /// Changes the owner to the user `uid` and the group `gid`.
    ///
    /// # Errors
    /// As [`set_mode`](SharedMemory::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        shm::set(self.id, Some((uid, gid)), None)
            .map_err(|errno| gone("changing System V shared memory", self.id, errno))
    }

    /// Prevents the kernel from swapping out the segment. Pages that have not been touched are
    /// locked when they are.
    ///
    /// # Errors
    /// [`PermissionDenied`](ErrorKind::PermissionDenied) or [`NoSpace`](ErrorKind::NoSpace):
    /// `RLIMIT_MEMLOCK` is reached.
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::{Key, SharedMemory};
    /// let segment = SharedMemory::create(Key::PRIVATE, 4096)?;
    /// match segment.lock_in_memory() {
    ///     Ok(()) => segment.unlock_from_memory()?,
    ///     Err(error) => println!("{error}"), // RLIMIT_MEMLOCK
    /// }
    /// segment.remove()?;
    /// # Ok::<(), procession::Error>(())
    /// ```
    #[doc(alias = "SHM_LOCK")]
    pub fn lock_in_memory(&self) -> Result<()> {
        shm::lock(self.id, true)
            .map_err(|errno| gone("locking System V shared memory", self.id, errno))
    }

    /// Allows the kernel to swap out the segment again.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the segment
    /// - [`Removed`](ErrorKind::Removed): the segment does not exist any more
    #[doc(alias = "SHM_UNLOCK")]
    pub fn unlock_from_memory(&self) -> Result<()> {
        shm::lock(self.id, false)
            .map_err(|errno| gone("unlocking System V shared memory", self.id, errno))
    }

    /// Marks the segment for removal: its key is free at once, and its memory is freed with
    /// the last attachment.
    ///
    /// # Errors
    /// - [`PermissionDenied`](ErrorKind::PermissionDenied): the caller neither owns nor has
    ///   created the segment
    /// - [`Removed`](ErrorKind::Removed): the segment does not exist any more
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

/// A segment that is attached to this process, made by [`SharedMemory::attach`]. It is
/// detached when the last clone is dropped.
///
/// # Examples
/// ```
/// use procession::os::{posix::Semaphore, sysv::{Key, SharedMemory}};
/// use std::sync::Arc;
/// let segment = SharedMemory::create(Key::PRIVATE, 4096)?;
/// let memory = segment.attach()?;
/// segment.remove()?;
/// let semaphore = Semaphore::init_in(Arc::clone(memory.region()), 0, 1)?;
/// memory.detach(); // the semaphore keeps the segment attached
/// semaphore.wait()?;
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Attachment(Arc<Region>);

impl Attachment {
    /// Returns the bytes, for copies and atomic operations.
    #[must_use]
    pub fn bytes(&self) -> SharedBytes<'_> {
        self.0.bytes()
    }

    /// Returns the memory, in which a
    /// [`Semaphore`](crate::os::posix::Semaphore::init_in) can be placed.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.0
    }

    /// Drops this handle, which detaches the segment unless there are clones, shmdt(2).
    #[doc(alias = "shmdt")]
    pub fn detach(self) {}
}
