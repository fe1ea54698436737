//! System V IPC, sysvipc(7): objects named by an integer key, addressed by an
//! integer id, and alive until they are removed.

pub mod msg;
pub mod sem;
pub mod shm;

use crate::{Result, check};
use std::ffi::CStr;

/// The key that always makes a new object nobody can look up.
pub const PRIVATE: i32 = libc::IPC_PRIVATE;

/// Owner and permissions, `struct ipc_perm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The key it was made with; zero for a private object.
    pub key: i32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// User id of the creator.
    pub creator_uid: u32,
    /// Group id of the creator.
    pub creator_gid: u32,
    /// Permission bits, the lowest nine.
    pub mode: u32,
}

impl From<libc::ipc_perm> for Permissions {
    fn from(raw: libc::ipc_perm) -> Permissions {
        Permissions {
            key: raw.__key,
            uid: raw.uid,
            gid: raw.gid,
            creator_uid: raw.cuid,
            creator_gid: raw.cgid,
            mode: u32::from(raw.mode) & 0o777,
        }
    }
}

/// Makes a key from an existing file and a project number (its low eight bits
/// count, and must not be zero). Different files may give the same key.
///
/// # Errors
/// As stat(2) on the path.
///
/// # References
/// ftok(3)
pub fn ftok(path: &CStr, project: i32) -> Result<i32> {
    // SAFETY: the path is a C string.
    check(unsafe { libc::ftok(path.as_ptr(), project) })
}

/// Applies a change of owner and permission bits to the kernel's struct.
fn change(raw: &mut libc::ipc_perm, owner: Option<(u32, u32)>, mode: Option<u32>) -> Result<()> {
    if let Some((uid, gid)) = owner {
        raw.uid = uid;
        raw.gid = gid;
    }
    if let Some(mode) = mode {
        raw.mode = (mode & 0o777).try_into().map_err(|_| crate::Errno::INVAL)?;
    }
    Ok(())
}
