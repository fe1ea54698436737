//! System V message queues, semaphore sets and shared memory, sysvipc(7).
//!
//! Objects have an integer id, found through an integer [`Key`], and live in
//! the IPC namespace until they are removed: dropping a handle removes
//! nothing, and no process's death does. `ipcs` lists them.
//!
//! Any user can be the first to make an object with a key. So `open` and
//! `open_or_create` refuse one that another user owns or has made, or may write;
//! `open_of` takes that of a user whom the caller names, and `from_id` any.

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

/// What a System V object is found by.
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
    /// The key under which every creation makes a new object that nobody can
    /// look up: hand its id to others.
    pub const PRIVATE: Key = Key(procession_sys::sysv::PRIVATE);

    /// A number agreed on by other means; zero is [`PRIVATE`](Key::PRIVATE).
    #[must_use]
    pub fn from_raw(key: i32) -> Key {
        Key(key)
    }

    /// The key that unrelated programs derive from an existing file and a
    /// project number. It is 8 bits of the project, 8 of the device and 16 of
    /// the inode, so two files may well collide; create exclusively.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound);
    /// [`InvalidInput`](ErrorKind::InvalidInput): project zero, which the
    /// manual leaves undefined.
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

    /// A key that nobody can guess and that is not [`PRIVATE`](Key::PRIVATE).
    ///
    /// # Errors
    /// The kernel has no random numbers to give.
    pub fn random() -> Result<Key> {
        loop {
            let key = i32::from_ne_bytes(crate::name::random_bytes()?) & i32::MAX;
            if key != 0 {
                return Ok(Key(key));
            }
        }
    }

    /// The number.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0
    }
}

/// Whose objects are accepted by their key: anybody may be the first to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    /// Ours, that nobody else may write.
    Own,
    /// Of this user, whoever may use them: that was asked for.
    Of(u32),
}

/// Refuses an object that was found by its key and is not to be trusted. Who has
/// created one keeps the owner's rights, whomever it was given to.
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

    /// Takes what [`Display`](fmt::Display) writes, and decimal numbers.
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
