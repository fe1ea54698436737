//! System V message queues, semaphore sets and shared memory, sysvipc(7).
//!
//! An object has an integer id, which is found through an integer [`Key`]. It stays in the
//! IPC namespace until it is removed: neither dropping a handle nor the death of a process
//! removes it. `ipcs` lists the objects.
//!
//! Any user can be the first to create an object with a key. So `open` and `open_or_create`
//! refuse an object that another user owns or has created, or that others may write.
//! `open_of` accepts an object of the user that the caller names, and `from_id` any object.

mod message_queue;
mod operation;
mod semaphore_set;
mod shared_memory;

pub use message_queue::{Flags, MessageQueue, QueueStatus, Select};
pub use operation::Operation;
pub use procession_sys::sysv::Permissions;
pub use semaphore_set::{SemaphoreSet, SetStatus};
pub use shared_memory::{Attachment, SegmentStatus, SharedMemory};

use crate::error::Context;
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const CREATE: i32 = 0o1000;
const EXCLUSIVE: i32 = 0o2000;
const PRIVATE_MODE: i32 = 0o600;

/// The key of a System V object, by which processes find it.
///
/// # Examples
/// ```
/// use procession::os::sysv::Key;
/// assert_eq!(Key::from_raw(42).as_raw(), 42);
/// assert_eq!(Key::from_path("/", 7)?, Key::from_path("/", 7)?);
/// assert!(Key::from_path("/no/such/file", 7).is_err());
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Key(i32);

impl Key {
    /// The key `IPC_PRIVATE`: every creation makes a new object, which cannot be found by its
    /// key. Other processes use its id.
    pub const PRIVATE: Key = Key(procession_sys::sysv::PRIVATE);

    /// Returns the key with this number; zero is [`PRIVATE`](Key::PRIVATE).
    #[must_use]
    pub fn from_raw(key: i32) -> Key {
        Key(key)
    }

    /// Derives a key from an existing file and a project number, ftok(3). The key has 8 bits
    /// of the project, 8 bits of the device and 16 bits of the inode, so two files can have
    /// the same key.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound): the file does not exist
    /// - [`InvalidInput`](ErrorKind::InvalidInput): `project` is zero, which ftok(3) leaves
    ///   undefined
    #[doc(alias = "ftok")]
    pub fn from_path(path: impl AsRef<Path>, project: u8) -> Result<Key> {
        let path = path.as_ref();
        let operation = "making System V key";
        let invalid =
            |why| Error::new(ErrorKind::InvalidInput, operation, path.display()).because(why);
        if project == 0 {
            return Err(invalid("the project number must not be zero"));
        }
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| invalid("the path contains a NUL"))?;
        procession_sys::sysv::ftok(&c_path, project.into())
            .during(operation, path.display())
            .map(Key)
    }

    /// Returns a random positive key of 31 bits.
    ///
    /// # Errors
    /// Those of getrandom(2).
    ///
    /// # Examples
    /// ```
    /// use procession::os::sysv::Key;
    /// let key = Key::random()?;
    /// assert!(key.as_raw() > 0);
    /// assert_eq!(key.to_string().parse::<Key>()?, key);
    /// # Ok::<(), procession::Error>(())
    /// ```
    pub fn random() -> Result<Key> {
        loop {
            let key = i32::from_ne_bytes(crate::name::random_bytes()?) & i32::MAX;
            if key != 0 {
                return Ok(Key(key));
            }
        }
    }

    /// Returns the number.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

/// The owner whose objects are accepted: any user can be the first to create an object with a
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    /// This user, and nobody else may write.
    Own,
    /// The user that the caller named; others may use the object.
    Of(u32),
}

/// Refuses an object that was found by its key and is not to be trusted. The creator of an
/// object keeps the rights of its owner, also after it was given to another user.
fn require_accepted(
    permissions: procession_sys::Result<Permissions>,
    accepted: Accepted,
    operation: &'static str,
    key: Key,
) -> Result<()> {
    let untrusted = |why: String| {
        Error::new(ErrorKind::Untrusted, operation, key)
            .because(why)
            .with_hint("choose another key, or name its user (`open_of`, `--of`)")
    };
    let me = rustix::process::geteuid().as_raw();
    let wanted = match accepted {
        Accepted::Own => me,
        Accepted::Of(user) => user,
    };
    let permissions = match permissions {
        Ok(permissions) => permissions,
        Err(Errno::ACCESS) => {
            return Err(untrusted(
                "its owner lets nobody look whose it is".to_owned(),
            ));
        }
        Err(errno) => return Err(Error::os(operation, key, errno).of_kind(ErrorKind::Removed)),
    };
    let Permissions {
        uid, creator_uid, ..
    } = permissions;
    if uid != wanted {
        return Err(untrusted(format!(
            "it belongs to user {uid}, not to user {wanted}"
        )));
    }
    if ![0, me, wanted].contains(&creator_uid) {
        return Err(untrusted(format!(
            "user {creator_uid} has made it, and may still do with it what its owner may"
        )));
    }
    if accepted == Accepted::Own && permissions.mode & 0o022 != 0 {
        let mode = permissions.mode;
        return Err(untrusted(format!("others may write it (mode {mode:o})")));
    }
    Ok(())
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Key::PRIVATE => f.write_str("private"),
            Key(raw) => write!(f, "{raw:#010x}"),
        }
    }
}

impl std::str::FromStr for Key {
    type Err = Error;

    /// Parses the text that [`Display`](fmt::Display) writes, and decimal numbers.
    fn from_str(text: &str) -> Result<Key> {
        let number = match text.strip_prefix("0x") {
            // All 32 bits are written, so that the sign is one of them.
            Some(digits) => u32::from_str_radix(digits, 16).map(u32::cast_signed),
            None if text == "private" => return Ok(Key::PRIVATE),
            None => text.parse(),
        };
        number.map(Key).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, "parsing System V key", text)
                .because(error.to_string())
        })
    }
}
