//! Signs of life in a file: record locks that last exactly as long as the memory
//! of a process.
//!
//! The lock belongs to an open file description that nothing refers to but one
//! mapping of the process. So it is there as long as that mapping: the kernel takes
//! mappings down when the last thread of the process has left its memory for good —
//! none of them runs, and no system call of theirs writes any more — whether the
//! process ends, is killed, or executes another program.
//!
//! - A forked copy does not inherit the mapping (`MADV_DONTFORK`). But one that another
//!   thread forks, by other means than this library's, while the sign is being put up can:
//!   then the sign is there as long as that copy is.
//! - No descriptor has to stay open, and closing others of the same file drops
//!   nothing, as it would with the record locks of POSIX.
//! - Every process that has the file can ask, in whatever namespaces of pids, time and
//!   users it is, with whatever mounted at `/proc`.
//!
//! # Safety
//! A mapping without any access (`PROT_NONE`) at an address that the kernel chose,
//! which nobody else knows.
//!
//! # References
//! fcntl(2) "Open file description locks", madvise(2)

use crate::fork_local::WipedWord;
use crate::{Errno, Result, check, last_errno};
use rustix::fs::{Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Where the bytes are that locks are about: behind whatever a file contains.
const FIRST_BYTE: i64 = 1 << 62;

/// A sign that is being put up: it can be taken back until it is
/// [settled](Arriving::settle).
#[derive(Debug)]
pub struct Arriving {
    /// The description that the lock belongs to.
    file: OwnedFd,
    presence: Presence,
}

/// A sign of life. It goes when this is dropped, or with the process's memory.
#[derive(Debug)]
pub struct Presence {
    /// Address of the mapping; zero in a forked copy, which has none.
    mapped: WipedWord,
}

impl Arriving {
    /// Opens a file once more, by `/proc/self/fd`, and maps it.
    ///
    /// # Errors
    /// As open(2): without a `/proc` that this process is in, or where the file may
    /// not be opened any more. `ENOMEM`.
    pub fn at(file: BorrowedFd<'_>) -> Result<Arriving> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let again = rustix::fs::open(path, flags, Mode::empty())?;
        let (ours, theirs) = (rustix::fs::fstat(&again)?, rustix::fs::fstat(file)?);
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino) {
            // What is mounted there is not about us.
            return Err(Errno::NOENT);
        }
        let presence = Presence::of(again.as_fd())?;
        Ok(Arriving {
            file: again,
            presence,
        })
    }

    /// Puts the sign at a place, if nobody has one there.
    ///
    /// # Errors
    /// As fcntl(2), where the file system has no record locks.
    pub fn try_place(&self, place: usize) -> Result<bool> {
        match set(&self.file, place, libc::F_WRLCK) {
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Takes the sign back from a place.
    pub fn leave(&self, place: usize) {
        // What fails goes with the description.
        let _ = set(&self.file, place, libc::F_UNLCK);
    }

    /// Leaves the sign to the mapping alone.
    #[must_use]
    pub fn settle(self) -> Presence {
        self.presence
    }
}

impl Presence {
    fn of(file: BorrowedFd<'_>) -> Result<Presence> {
        let mapped = WipedWord::new()?;
        let length = rustix::param::page_size();
        // SAFETY: a null hint lets the kernel choose a free range, so no existing
        // mapping is replaced.
        let address = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::empty(),
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        mapped.store(address.expose_provenance() as u64, Ordering::Relaxed);
        let presence = Presence { mapped };
        // SAFETY: advice on a mapping of ours, which nobody reads or writes.
        if unsafe { libc::madvise(address, length, libc::MADV_DONTFORK) } != 0 {
            return Err(last_errno());
        }
        Ok(presence)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let address = self.mapped.load(Ordering::Relaxed);
        if address == 0 {
            return;
        }
        let address = std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: the mapping was made by this process, or the word would be zero;
        // nobody has a pointer into it.
        let _ = unsafe { rustix::mm::munmap(address, rustix::param::page_size()) };
    }
}

/// Returns `true` if a process has a sign at a place of a file. An answer of `false` is proof
/// that the process that put one there has left, or has no memory any more.
///
/// # Errors
/// As fcntl(2), where the file system has no record locks.
pub fn is_there(file: BorrowedFd<'_>, place: usize) -> Result<bool> {
    let mut lock = lock_at(place, libc::F_WRLCK);
    // SAFETY: the structure lives for the call.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) })?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn set(file: &OwnedFd, place: usize, kind: libc::c_int) -> Result<()> {
    let lock = lock_at(place, kind);
    // SAFETY: the structure lives for the call, which only reads it.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }).map(drop)
}

fn lock_at(place: usize, kind: libc::c_int) -> libc::flock {
    // SAFETY: all zero is a value of it; the number of a process has to be zero.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = FIRST_BYTE + place as i64;
    lock.l_len = 1;
    lock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_seen_while_it_lasts_by_whoever_has_the_file() {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = rustix::fs::memfd_create("presence", flags).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        let copy = file.try_clone().unwrap();
        let sees = |place| is_there(file.as_fd(), place).unwrap();
        assert!(!sees(7));
        let arriving = Arriving::at(file.as_fd()).unwrap();
        assert!(arriving.try_place(7).unwrap());
        let presence = arriving.settle();
        // Closing another descriptor of the file changes nothing.
        drop(copy);
        assert!(sees(7));
        assert!(!sees(6));
        let second = Arriving::at(file.as_fd()).unwrap();
        assert!(!second.try_place(7).unwrap());
        assert!(second.try_place(6).unwrap());
        second.leave(6);
        assert!(!sees(6));
        drop(presence);
        assert!(!sees(7));
    }
}
