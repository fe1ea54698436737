//! Record locks that belong to an open file description: they last as long as any copy
//! of its descriptor, in whatever process or message, and go with the last one, however
//! it goes.
//!
//! # References
//! fcntl(2) "Open file description locks (non-POSIX)"

use crate::{Result, check};
use std::os::fd::{AsRawFd, BorrowedFd};

/// One byte of a file, or all of it.
fn range(kind: libc::c_int, byte: Option<i64>) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte.unwrap_or(0),
        l_len: i64::from(byte.is_some()),
        l_pid: 0,
    }
}

fn set(file: BorrowedFd<'_>, kind: libc::c_int, byte: Option<i64>) -> Result<()> {
    let lock = range(kind, byte);
    // SAFETY: reads a lock's description, which lives through the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    check(outcome).map(drop)
}

/// Locks a byte, together with other processes that do the same.
///
/// # Errors
/// `EAGAIN`, `EACCES`: somebody has locked it alone.
pub fn share(file: BorrowedFd<'_>, byte: i64) -> Result<()> {
    set(file, libc::F_RDLCK, Some(byte))
}

/// Takes the lock of a byte away.
///
/// # Errors
/// None that Linux can cause.
pub fn unlock(file: BorrowedFd<'_>, byte: i64) -> Result<()> {
    set(file, libc::F_UNLCK, Some(byte))
}

/// Locks the whole file alone.
///
/// # Errors
/// `EAGAIN`, `EACCES`: somebody has locked a part of it.
pub fn take_all(file: BorrowedFd<'_>) -> Result<()> {
    set(file, libc::F_WRLCK, None)
}

/// Returns `true` if another description has locked a byte.
///
/// # Errors
/// None that Linux can cause.
pub fn is_locked_by_others(file: BorrowedFd<'_>, byte: i64) -> Result<bool> {
    let mut lock = range(libc::F_WRLCK, Some(byte));
    // SAFETY: reads and writes a lock's description, which lives through the call.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    check(outcome)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_lock_lasts_as_long_as_a_copy_of_its_descriptor() {
        let path = std::env::temp_dir().join(format!("record-lock-{}", std::process::id()));
        let open = || {
            let mut options = std::fs::File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path).unwrap()
        };
        let (one, other) = (open(), open());
        let copy = one.try_clone().unwrap();
        share(one.as_fd(), 7).unwrap();
        drop(one);
        assert!(is_locked_by_others(other.as_fd(), 7).unwrap());
        assert!(!is_locked_by_others(other.as_fd(), 8).unwrap());
        assert!(take_all(other.as_fd()).is_err());
        share(other.as_fd(), 7).unwrap();
        unlock(other.as_fd(), 7).unwrap();
        drop(copy);
        assert!(!is_locked_by_others(other.as_fd(), 7).unwrap());
        take_all(other.as_fd()).unwrap();
        assert!(share(open().as_fd(), 9).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
