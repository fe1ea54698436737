//! Checks that memory is available before it is taken.
//!
//! The kernel does not refuse memory that it does not have: it takes the memory from other
//! processes, and in the end kills one of them. So the library checks before it takes much:
//! the machine, the control groups of this process, and the file system. Other processes can
//! take the memory after the check; so a part is left to them, and much is taken in pieces
//! with a check before each. Small amounts are taken without a check, until they add up.
//!
//! # References
//! proc_meminfo(5); cgroup-v2.rst and cgroup-v1/memory.rst of the kernel

mod groups;
mod left;

use crate::{Error, ErrorKind, Result};
use left::{Room, spared};
use procession_sys::Errno;
use std::fmt::Display;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much is taken without a look, which takes a part of the time that the kernel
/// needs to clear twice as much.
pub(super) const UNASKED: u64 = 1 << 20;

/// So much is taken without a look in all.
const UNASKED_IN_ALL: u64 = 16 << 20;

/// Returns `true` if `bytes` are to be checked before they are taken.
fn is_to_be_asked(bytes: u64) -> bool {
    static UNASKED_FOR: AtomicU64 = AtomicU64::new(0);
    let so_far = UNASKED_FOR.fetch_add(bytes.min(UNASKED_IN_ALL), Ordering::Relaxed);
    let is_much = bytes > UNASKED || so_far >= UNASKED_IN_ALL;
    if is_much {
        UNASKED_FOR.store(0, Ordering::Relaxed);
    }
    is_much
}

/// A number of kibibytes in a table of those, as bytes.
fn field(table: &str, name: &str) -> Option<u64> {
    let line = table
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(match line.ends_with("kB") {
        true => number.saturating_mul(1024),
        false => number,
    })
}

/// Bytes of memory that the machine has, if it says so.
pub(crate) fn of_all() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal")
}

/// What the machine has, from `/proc/meminfo`.
fn of_machine(table: &str) -> Option<Room> {
    let free = field(table, "MemAvailable")? + field(table, "SwapFree").unwrap_or(0);
    Some(Room {
        bytes: spared(free, field(table, "MemTotal")?),
        of: "in this machine (MemAvailable)".to_owned(),
        errno: Errno::NOMEM,
        kind: ErrorKind::NoSpace,
        hint: "ask for less, or end what takes the memory",
    })
}

/// What is left of the huge pages of the usual size.
fn of_huge_pages(table: &str) -> Option<Room> {
    let free = field(table, "HugePages_Free")?;
    let unreserved = free.saturating_sub(field(table, "HugePages_Rsvd")?);
    let more = std::fs::read_to_string("/proc/sys/vm/nr_overcommit_hugepages");
    let more = more.ok().and_then(|more| more.trim().parse().ok());
    let more = more.unwrap_or(0_u64);
    let more = more.saturating_sub(field(table, "HugePages_Surp").unwrap_or(0));
    Some(Room {
        bytes: (unreserved + more).saturating_mul(field(table, "Hugepagesize")?),
        of: "in huge pages".to_owned(),
        errno: Errno::NOSPC,
        kind: ErrorKind::NoSpace,
        hint: "keep more huge pages ready: `sysctl vm.nr_hugepages=...`",
    })
}

fn require(
    bytes: u64,
    rooms: impl IntoIterator<Item = Room>,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    match rooms.into_iter().min_by_key(|room| room.bytes) {
        Some(room) if room.bytes < bytes => {
            let because = format!(
                "{bytes} bytes are needed, and {} can be had {}",
                room.bytes, room.of
            );
            Err(Error::os(operation, object, room.errno)
                .of_kind(room.kind)
                .because(because)
                .with_hint(room.hint))
        }
        _ => Ok(()),
    }
}

/// Refuses to take more memory than there is.
///
/// # Errors
/// [`NoSpace`](ErrorKind::NoSpace); [`LimitReached`](ErrorKind::LimitReached): a
/// control group may have no more.
pub(crate) fn require_memory(
    bytes: u64,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    if !is_to_be_asked(bytes) {
        return Ok(());
    }
    require_asked(bytes, operation, object)
}

fn require_asked(bytes: u64, operation: &'static str, object: &dyn Display) -> Result<()> {
    // What cannot be read limits nothing that we could know of.
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let swap = field(&table, "SwapFree").unwrap_or(0);
    let rooms = of_machine(&table).into_iter().chain(groups::rooms(swap));
    require(bytes, rooms, operation, object)
}

/// Refuses to take more for a file in memory than there is memory, or than its file
/// system may have.
///
/// # Errors
/// As [`require_memory`].
pub(super) fn require_in_file(
    file: BorrowedFd<'_>,
    bytes: u64,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const HUGETLBFS: u64 = 0x9584_58f6;
    if !is_to_be_asked(bytes) {
        return Ok(());
    }
    let Ok(system) = rustix::fs::fstatfs(file) else {
        return Ok(());
    };
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        reason = "the fields' types differ between architectures"
    )]
    let (kind, unit) = (system.f_type as u64 & 0xffff_ffff, system.f_bsize as u64);
    // One without a limit says that it has no blocks at all. Of those on disks, the
    // kernel knows before it takes anything.
    if kind == TMPFS && system.f_blocks > 0 {
        let room = Room {
            bytes: system.f_bfree.saturating_mul(unit),
            of: "in the file system".to_owned(),
            errno: Errno::NOSPC,
            kind: ErrorKind::NoSpace,
            hint: "free space in the file system, or enlarge it (`mount -o remount,size=...`)",
        };
        require(bytes, [room], operation, object)?;
    }
    match kind {
        TMPFS | RAMFS => require_asked(bytes, operation, object),
        HUGETLBFS => {
            let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
            require(bytes, of_huge_pages(&table), operation, object)
        }
        _ => Ok(()),
    }
}

/// Refuses to map more than the address space of this process may have.
///
/// # Errors
/// [`LimitReached`](ErrorKind::LimitReached)
pub(crate) fn require_addresses(
    bytes: u64,
    operation: &'static str,
    object: &dyn Display,
) -> Result<()> {
    let limit = crate::limits::soft(rustix::process::Resource::As);
    let Some(limit) = limit.filter(|_| bytes > UNASKED) else {
        return Ok(());
    };
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages: Option<u64> = pages.and_then(|pages| pages.split(' ').next()?.parse().ok());
    let Some(pages) = pages else {
        return Ok(());
    };
    let taken = pages.saturating_mul(rustix::param::page_size() as u64);
    let room = Room {
        bytes: limit.saturating_sub(taken),
        of: "in the address space of this process (RLIMIT_AS)".to_owned(),
        errno: Errno::NOMEM,
        kind: ErrorKind::LimitReached,
        hint: "raise the limit: `ulimit -v`",
    };
    require(bytes, [room], operation, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "MemTotal:       32768000 kB\nMemFree:        100 kB\n\
        MemAvailable:   16384000 kB\nSwapFree:       1000 kB\nHugePages_Free:       10\n\
        HugePages_Rsvd:        3\nHugePages_Surp:        0\nHugepagesize:       2048 kB\n";

    #[test]
    fn the_machine_keeps_some() {
        let room = of_machine(TABLE).unwrap();
        assert_eq!(room.bytes, 16_385_000 * 1024 - left::LEFT_TO_OTHERS);
        assert_eq!(of_machine("MemTotal: 5 kB"), None);
        assert_eq!(spared(100, 3200), 0);
        assert_eq!(spared(1000, 3200), 900);
    }

    #[test]
    fn huge_pages_that_others_reserved_are_not_there() {
        assert!(of_huge_pages(TABLE).unwrap().bytes >= 7 * (2 << 20));
    }

    #[test]
    fn an_error_has_both_numbers_and_a_hint() {
        let error = require(17 << 40, of_machine(TABLE), "making it", &"it").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let text = error.to_string();
        assert!(text.contains("18691697672192 bytes are needed"), "{text}");
        assert!(text.contains("16509804544 can be had"), "{text}");
        assert!(error.hint().is_some());
        assert!(require(1, of_machine(TABLE), "making it", &"it").is_ok());
    }

    #[test]
    fn what_fits_is_not_refused() {
        require_memory(2 << 20, "making it", &"it").unwrap();
        require_memory(u64::MAX, "making it", &"it").unwrap_err();
    }
}
