//! The kernel's objects for communication between processes, behind safe handles.
//!
//! Each type is one kernel object with the meaning that its manual page gives it. The types
//! take care of what the manual leaves to the caller: interrupted calls, wall clocks, and
//! races between creating and opening.
//!
//! | object | module | found by | exists until |
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
//! TCP, UDP, Unix stream and datagram sockets are those of std ([`std::net`],
//! [`std::os::unix::net`]); [`socket`] has sequenced packets.
//!
//! # Rules for all of them
//!
//! - Descriptors are close-on-exec; a forked child inherits them.
//! - New objects are private to the user (mode 0600), unless the call names a mode.
//! - `op` blocks, `try_op` does not, `op_timeout` and `op_deadline` block for a limited time,
//!   on the monotonic clock ([`Deadline`](crate::Deadline)).
//! - Dropping a handle closes it and removes nothing; `unlink` and `remove` do.
//! - Memory and files are allocated at creation, so that a full file system is an error there
//!   and no SIGBUS later. (A System V segment takes its memory when it is touched.)

pub mod descriptors;
pub mod eventfd;
pub mod fifo;
pub mod memfd;
pub mod memory;
pub mod mmap;
pub mod pipe;
pub mod posix;
pub(crate) mod room;
pub mod socket;
pub mod sysv;

use crate::fd::size_limit::require_length;
use crate::{Error, ErrorKind, Result, error::Context};
use procession_sys::Errno;
use rustix::fs::FallocateFlags;
use std::os::fd::BorrowedFd;

/// The owner, the permissions and the times of an object, stat(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectStatus {
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// Permission bits, the lowest nine.
    pub mode: u32,
    /// Time of the last read, in seconds since 1970, as exact as the file system keeps it.
    pub accessed: i64,
    /// Time of the last write, in seconds since 1970.
    pub modified: i64,
    /// Time of the last change of owner, permissions or name, in seconds since 1970.
    pub changed: i64,
}

impl ObjectStatus {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the fields' types differ between architectures"
    )]
    fn of(
        descriptor: BorrowedFd<'_>,
        operation: &'static str,
        object: &dyn std::fmt::Display,
    ) -> Result<ObjectStatus> {
        let status = rustix::fs::fstat(descriptor).during(operation, object)?;
        Ok(ObjectStatus {
            uid: status.st_uid,
            gid: status.st_gid,
            mode: status.st_mode & 0o777,
            accessed: status.st_atime as i64,
            modified: status.st_mtime as i64,
            changed: status.st_ctime as i64,
        })
    }
}

/// Makes a file `length` bytes long with its space allocated, so that a full
/// file system is an error here and not a SIGBUS at the first touch. What is not
/// there is refused before anything is taken ([`room`]).
pub(crate) fn allocate(
    file: BorrowedFd<'_>,
    length: usize,
    operation: &'static str,
    object: &dyn std::fmt::Display,
) -> Result<()> {
    allocate_part(file, 0, length, operation, object)
}

/// Makes a file `length` bytes long without allocating its space: the user of a part
/// allocates that part first.
#[expect(
    clippy::disallowed_methods,
    reason = "the user of a part looks for space first"
)]
pub(crate) fn lengthen(
    file: BorrowedFd<'_>,
    length: usize,
    operation: &'static str,
    object: &dyn std::fmt::Display,
) -> Result<()> {
    require_length(0, length as u64, operation, object)?;
    rustix::fs::ftruncate(file, length as u64).during(operation, object)
}

/// Allocates space for `length` bytes of a file from an offset, and makes it so
/// long if it is shorter.
#[expect(clippy::disallowed_methods, reason = "space was looked for above")]
pub(crate) fn allocate_part(
    file: BorrowedFd<'_>,
    offset: u64,
    length: usize,
    operation: &'static str,
    object: &dyn std::fmt::Display,
) -> Result<()> {
    let length = length as u64;
    let end = offset.saturating_add(length);
    let status = rustix::fs::fstat(file);
    let already = status.as_ref().map_or(0, |status| status.st_size);
    let already = u64::try_from(already).unwrap_or(0);
    require_length(already, end, operation, object)?;
    // What a file has already, it need not be given: where it lies is not known, so
    // only of whole ones.
    let has = match status {
        Ok(status) if offset == 0 && length > room::UNASKED => u64::try_from(status.st_blocks)
            .unwrap_or(0)
            .saturating_mul(512),
        _ => 0,
    };
    room::require_in_file(file, length.saturating_sub(has), operation, object)?;
    let mut piece = PIECE;
    let mut from = offset;
    while from < end {
        let bytes = piece.min(end - from);
        if from > offset && has == 0 {
            room::require_in_file(file, end - from, operation, object)?;
        }
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from, bytes) {
            // Signals may come faster than the kernel clears so much.
            Err(Errno::INTR) => piece = (piece / 4).max(SMALLEST_PIECE),
            // No fallocate on this file system: the length alone must do. Of a
            // file that others make longer, too, it could be less than theirs.
            Err(Errno::OPNOTSUPP) if offset == 0 => {
                return rustix::fs::ftruncate(file, length).during(operation, object);
            }
            Err(Errno::NOSPC) => {
                return Err(Error::os(operation, object, Errno::NOSPC)
                    .because(format!("no space for {length} bytes"))
                    .with_hint("free space in the file system, or enlarge it (`mount -o remount,size=...`)"));
            }
            outcome => {
                outcome.during(operation, object)?;
                from += bytes;
            }
        }
    }
    Ok(())
}

/// How much is allocated at a time: between two pieces it is seen whether there is
/// still enough, which others may take at the same time.
const PIECE: u64 = 64 << 20;

/// How much where signals interrupt.
const SMALLEST_PIECE: u64 = 256 << 10;

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
