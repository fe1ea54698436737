//! The kernel's own channels and objects, safe and complete.
//!
//! Each type here is one kernel object behind an owned handle, with nothing
//! added to its meaning: what the manual page promises is what you get, and
//! what it leaves to the caller — interrupted calls, wall clocks, short
//! reads, races between creating and opening — is taken care of.
//!
//! | object | module | name | lives until |
//! |---|---|---|---|
//! | pipe | [`pipe`] | none | last descriptor |
//! | FIFO | [`fifo`] | path | unlinked |
//! | socket pair, sequenced-packet sockets, credentials | [`socket`] | none, path | last descriptor |
//! | descriptors in messages | [`descriptors`] | – | – |
//! | event counter | [`eventfd`] | none | last descriptor |
//! | memory file with seals | [`memfd`] | none | last descriptor, last mapping |
//! | file mapping | [`mmap`] | path | unlinked |
//! | message queue | [`posix::MessageQueue`], [`sysv::MessageQueue`] | name, key | unlinked, removed |
//! | semaphore | [`posix::Semaphore`], [`sysv::SemaphoreSet`] | name or none, key | unlinked, removed |
//! | shared memory | [`posix::SharedMemory`], [`sysv::SharedMemory`] | name, key | unlinked and closed, removed and detached |
//!
//! TCP, UDP, Unix stream and datagram sockets are std's
//! ([`std::net`], [`std::os::unix::net`]); what std lacks is in [`socket`].
//!
//! # Rules that hold for all of them
//!
//! - Descriptors are close-on-exec; a fork copies them.
//! - New objects are private to the user (mode 0600).
//! - `op` waits, `try_op` does not, `op_timeout` and `op_deadline` wait for a
//!   while, on the monotonic clock ([`Deadline`](crate::Deadline)).
//! - Dropping a handle closes it and removes nothing; `unlink` and `remove`
//!   remove, and only when called.
//! - A full disk or memory file system is found at creation, not at the first
//!   touch.

pub mod descriptors;
pub mod eventfd;
pub mod fifo;
pub mod memfd;
pub mod memory;
pub mod mmap;
pub mod pipe;
pub mod posix;
pub mod socket;
pub mod sysv;

use crate::{Error, ErrorKind, Result, error::Context};
use procession_sys::Errno;
use rustix::fs::FallocateFlags;
use std::os::fd::BorrowedFd;

/// Makes a file `length` bytes long with its space allocated, so that a full
/// file system is an error here and not a SIGBUS at the first touch.
pub(crate) fn allocate(
    file: BorrowedFd<'_>,
    length: usize,
    operation: &'static str,
    object: &dyn std::fmt::Display,
) -> Result<()> {
    let length = length as u64;
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
            Err(Errno::INTR) => continue,
            // No fallocate on this file system: the length alone must do.
            Err(Errno::OPNOTSUPP) => {
                return rustix::fs::ftruncate(file, length).during(operation, object);
            }
            Err(Errno::NOSPC) => {
                return Err(Error::os(operation, object, Errno::NOSPC)
                    .because(format!("no space for {length} bytes"))
                    .with_hint("free space in the file system, or enlarge it (`mount -o remount,size=...`)"));
            }
            outcome => return outcome.during(operation, object),
        }
    }
}

/// Refuses an object that somebody else owns or may write.
fn require_private(
    status: &rustix::fs::Stat,
    operation: &'static str,
    object: &dyn std::fmt::Display,
) -> Result<()> {
    let untrusted = |why: String| {
        Err(Error::new(ErrorKind::Untrusted, operation, object)
            .because(why)
            .with_hint("remove it, or choose a name in a directory that only you may write"))
    };
    let me = rustix::process::geteuid().as_raw();
    if status.st_uid != me {
        return untrusted(format!(
            "it belongs to user {}, not to user {me}",
            status.st_uid
        ));
    }
    if status.st_mode & 0o022 != 0 {
        return untrusted(format!(
            "others may write it (mode {:o})",
            status.st_mode & 0o777
        ));
    }
    Ok(())
}
