//! System V shared memory: shmget(2), shmop(2), shmctl(2).

use super::Permissions;
use crate::{Result, check, last_errno};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// State of a segment, `struct shmid_ds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Owner and permissions.
    pub permissions: Permissions,
    /// Size in bytes, as asked for at creation.
    pub size: usize,
    /// Process that made it.
    pub creator_pid: i32,
    /// Process that attached or detached last.
    pub last_pid: i32,
    /// How many times it is attached now.
    pub attached: u64,
    /// Time of the last attach, in seconds since 1970; zero if none.
    pub last_attach_time: i64,
    /// Time of the last detach, in seconds since 1970; zero if none.
    pub last_detach_time: i64,
    /// Time of creation or of the last change.
    pub last_change_time: i64,
    /// Marked for removal: it goes with its last attachment.
    pub removed: bool,
}

/// Finds or makes a segment; returns its id. New memory is zero.
///
/// # Errors
/// As in shmget(2).
pub fn get(key: i32, size: usize, flags: i32) -> Result<i32> {
    // SAFETY: no pointers are involved.
    check(unsafe { libc::shmget(key, size, flags) })
}

/// Maps the segment at an address of the kernel's choice; [`detach`] unmaps.
///
/// # Errors
/// As in shmop(2).
pub fn attach(id: i32, read_only: bool) -> Result<NonNull<u8>> {
    let flags = if read_only { libc::SHM_RDONLY } else { 0 };
    // SAFETY: a null address lets the kernel choose a free range, so no
    // existing mapping is replaced.
    let address = unsafe { libc::shmat(id, std::ptr::null(), flags) };
    if address.addr() == usize::MAX {
        return Err(last_errno());
    }
    NonNull::new(address.cast()).ok_or(crate::Errno::INVAL)
}

/// Unmaps an attachment; the segment stays unless it is marked for removal.
///
/// # Safety
/// `address` came from [`attach`] in this process or one it was forked from,
/// and nothing uses the memory afterwards.
///
/// # Errors
/// `EINVAL`: nothing is attached there.
pub unsafe fn detach(address: NonNull<u8>) -> Result<()> {
    // SAFETY: passed on to the caller.
    check(unsafe { libc::shmdt(address.as_ptr().cast()) })?;
    Ok(())
}

fn read(id: i32) -> Result<libc::shmid_ds> {
    let mut raw = MaybeUninit::uninit();
    // SAFETY: IPC_STAT writes one shmid_ds, for which there is room.
    check(unsafe { libc::shmctl(id, libc::IPC_STAT, raw.as_mut_ptr()) })?;
    // SAFETY: IPC_STAT succeeded, so the struct is filled in.
    Ok(unsafe { raw.assume_init() })
}

/// Reads the state.
///
/// # Errors
/// `EACCES`, `EIDRM`, `EINVAL` as in shmctl(2).
pub fn status(id: i32) -> Result<Status> {
    /// `SHM_DEST` of the kernel's `linux/shm.h`, which libc lacks.
    const DESTROYED: u32 = 0o1000;
    let raw = read(id)?;
    Ok(Status {
        removed: u32::from(raw.shm_perm.mode) & DESTROYED != 0,
        permissions: raw.shm_perm.into(),
        size: raw.shm_segsz,
        creator_pid: raw.shm_cpid,
        last_pid: raw.shm_lpid,
        attached: raw.shm_nattch,
        last_attach_time: raw.shm_atime,
        last_detach_time: raw.shm_dtime,
        last_change_time: raw.shm_ctime,
    })
}

/// Changes owner and permission bits; `None` leaves one as it is.
///
/// # Errors
/// `EPERM`, `EIDRM`, `EINVAL`.
pub fn set(id: i32, owner: Option<(u32, u32)>, mode: Option<u32>) -> Result<()> {
    let mut raw = read(id)?;
    super::change(&mut raw.shm_perm, owner, mode)?;
    // SAFETY: IPC_SET reads one shmid_ds, which is live.
    check(unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut raw) })?;
    Ok(())
}

/// Marks the segment for removal: nobody new can look it up, and it goes with
/// its last attachment.
///
/// # Errors
/// `EPERM`, `EIDRM`, `EINVAL`.
pub fn remove(id: i32) -> Result<()> {
    // SAFETY: IPC_RMID ignores the pointer.
    check(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) })?;
    Ok(())
}

/// Keeps the segment in memory, away from swap, or no longer.
///
/// # Errors
/// `EPERM`, `ENOMEM` (beyond `RLIMIT_MEMLOCK`), `EIDRM`, `EINVAL`.
pub fn lock(id: i32, locked: bool) -> Result<()> {
    let command = if locked {
        libc::SHM_LOCK
    } else {
        libc::SHM_UNLOCK
    };
    // SAFETY: both commands ignore the pointer.
    check(unsafe { libc::shmctl(id, command, std::ptr::null_mut()) })?;
    Ok(())
}
