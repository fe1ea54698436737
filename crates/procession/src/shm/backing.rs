//! What the memory of an object is to the kernel.

use super::header;
use crate::error::Context;
use crate::os::memfd::{MemFd, Seals};
use crate::os::memory::Region;
use crate::os::sysv::SharedMemory;
use crate::{Error, ErrorKind, Result};
use rustix::fs::{FallocateFlags, FileType};
use std::fmt::Display;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What memory is mapped from.
#[derive(Debug)]
pub(super) enum Backing {
    /// A file: in memory and without a name, below `/dev/shm`, or on a disk.
    File(Arc<OwnedFd>),
    /// A System V segment.
    SystemV(SharedMemory),
}

/// What tells the objects of a process from each other. The kernel may call two pieces of
/// memory alike: ids of System V segments are those of a namespace, and inodes come again
/// on some file systems.
pub(super) type Key = (Identity, u128);

/// Tells one piece of memory from others, where the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    File { device: u64, inode: u64 },
    SystemV(i32),
}

/// How much memory an object takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Bytes behind the header.
    pub(crate) body: usize,
    /// How many these can become; `None`: no more.
    pub(crate) longest_body: Option<usize>,
    /// Of the machine's huge pages.
    pub(crate) huge_pages: bool,
    /// Behind the body, the file goes on, of which parts are allocated and mapped as
    /// they are needed.
    pub(crate) overflow: bool,
    /// Bytes of the body that are allocated at first, if that is not all: the user of
    /// the rest allocates it.
    pub(crate) at_first: Option<usize>,
}

impl Extent {
    pub(crate) const fn fixed(body: usize) -> Extent {
        Extent {
            body,
            longest_body: None,
            huge_pages: false,
            overflow: false,
            at_first: None,
        }
    }

    /// A body, and overflow ranges behind it.
    pub(crate) const fn with_overflow(body: usize) -> Extent {
        Extent {
            overflow: true,
            ..Extent::fixed(body)
        }
    }
}

/// How far a file goes on for overflow ranges behind its body, or as far as the limit of its
/// maker allows: nobody makes it longer later, so that no lower limit of others is in
/// the way. More than machines have memory, and less than what file systems can count.
const FOR_OVERFLOW: usize = 1 << 43;

impl Backing {
    /// A memory file without a name that cannot become shorter, and longer only
    /// if it is to grow.
    pub(super) fn anonymous(label: &str, length: usize, extent: Extent) -> Result<Backing> {
        crate::os::room::require_addresses(length as u64, "creating shared object", &"")?;
        let operation = "creating memory file";
        let file = match extent.at_first {
            None if extent.huge_pages => MemFd::create_huge(label, length)?,
            None if !extent.overflow => MemFd::create(label, length)?,
            _ => {
                let file = MemFd::create(label, 0)?;
                allocate_first(file.as_fd(), length, extent, operation)?;
                file
            }
        };
        file.seal(Seals {
            grow: extent.longest_body.is_none(),
            ..Seals::FIXED_SIZE
        })?;
        Ok(Backing::File(Arc::new(file.into())))
    }

    /// Refuses a file that another process made and sent, unless it cannot become
    /// shorter under us.
    pub(super) fn require_sealed(&self, operation: &'static str) -> Result<()> {
        match self {
            Backing::File(file) => {
                MemFd::from_sealed(file.try_clone().during(operation, "")?).map(drop)
            }
            // Those never do.
            Backing::SystemV(_) => Ok(()),
        }
    }

    /// The length that it has now.
    pub(super) fn length(&self, operation: &'static str) -> Result<usize> {
        match self {
            Backing::File(file) => {
                let status = rustix::fs::fstat(file).during(operation, "")?;
                Ok(usize::try_from(status.st_size).unwrap_or(0))
            }
            Backing::SystemV(segment) => Ok(segment.len()),
        }
    }

    /// Maps that many bytes; those behind the end of a file are there when it has
    /// grown.
    pub(super) fn map(&self, length: usize, operation: &'static str) -> Result<Arc<Region>> {
        match self {
            Backing::File(file) => {
                let region = Region::map(file.as_fd(), length, true).during(operation, "")?;
                Ok(Arc::new(region))
            }
            Backing::SystemV(segment) => Ok(Arc::clone(segment.attach()?.region())),
        }
    }

    /// Makes a file so long, with all of it allocated.
    pub(super) fn allocate(&self, length: usize, operation: &'static str) -> Result<()> {
        match self {
            Backing::File(file) => crate::os::allocate(file.as_fd(), length, operation, &""),
            Backing::SystemV(_) => Err(no_file(operation)),
        }
    }

    /// Makes the file of a new object so long, and allocates what it has at first.
    pub(super) fn allocate_new(
        &self,
        length: usize,
        extent: Extent,
        operation: &'static str,
    ) -> Result<()> {
        match self {
            Backing::File(file) => allocate_first(file.as_fd(), length, extent, operation),
            Backing::SystemV(_) => Err(no_file(operation)),
        }
    }

    /// Bytes that a file has taken.
    pub(super) fn taken(&self, operation: &'static str) -> Result<u64> {
        match self {
            Backing::File(file) => {
                let status = rustix::fs::fstat(file).during(operation, "")?;
                Ok(u64::try_from(status.st_blocks).unwrap_or(0) * 512)
            }
            Backing::SystemV(segment) => Ok(segment.len() as u64),
        }
    }

    /// Allocates a part of a file.
    pub(super) fn allocate_part(
        &self,
        offset: u64,
        length: usize,
        operation: &'static str,
    ) -> Result<()> {
        match self {
            Backing::File(file) => {
                crate::os::allocate_part(file.as_fd(), offset, length, operation, &"")
            }
            Backing::SystemV(_) => Err(no_file(operation)),
        }
    }

    /// Gives back the memory of a part of a file.
    pub(super) fn clear_part(&self, offset: u64, length: u64) {
        if let Backing::File(file) = self {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // What fails is memory that the next message finds there.
            #[expect(clippy::disallowed_methods, reason = "it gives memory back")]
            let _ = rustix::fs::fallocate(file, punch, offset, length);
        }
    }

    /// Maps a part of a file.
    pub(super) fn map_part(
        &self,
        offset: u64,
        length: usize,
        operation: &'static str,
    ) -> Result<Arc<Region>> {
        match self {
            Backing::File(file) => {
                let region = Region::map_part(file.as_fd(), offset, length, true);
                Ok(Arc::new(region.during(operation, "")?))
            }
            Backing::SystemV(_) => Err(no_file(operation)),
        }
    }

    pub(super) fn identity(&self) -> Result<Identity> {
        Ok(match self {
            Backing::File(file) => {
                let status = rustix::fs::fstat(file).during("identifying shared object", "")?;
                Identity::File {
                    device: status.st_dev,
                    inode: status.st_ino,
                }
            }
            Backing::SystemV(segment) => Identity::SystemV(segment.id()),
        })
    }

    /// What tells this memory from all that this process has: what the kernel calls it,
    /// and the id that is written in it, which is zero where none is.
    pub(super) fn key(&self) -> Result<Key> {
        let mut id = [0; 16];
        let operation = "identifying shared object";
        match self {
            Backing::File(file) => {
                rustix::io::pread(file, &mut id, header::ID as u64).during(operation, "")?;
            }
            Backing::SystemV(segment) if segment.len() >= header::BYTES => {
                let attached = segment.attach_read_only()?;
                attached.region().bytes().read(header::ID, &mut id);
            }
            Backing::SystemV(_) => {}
        }
        Ok((self.identity()?, header::id_of(id)))
    }

    /// Returns `true` if the user of this process owns the memory.
    pub(super) fn is_of_this_user(&self) -> bool {
        let owner = match self {
            Backing::File(file) => rustix::fs::fstat(file).ok().map(|status| status.st_uid),
            Backing::SystemV(segment) => {
                let status = segment.status().ok();
                status.map(|status| status.permissions.uid)
            }
        };
        owner == Some(rustix::process::geteuid().as_raw())
    }

    pub(super) fn file(&self) -> Option<&Arc<OwnedFd>> {
        match self {
            Backing::File(file) => Some(file),
            Backing::SystemV(_) => None,
        }
    }
}

fn allocate_first(
    file: BorrowedFd<'_>,
    length: usize,
    extent: Extent,
    operation: &'static str,
) -> Result<()> {
    let later = extent.body - extent.at_first.unwrap_or(extent.body).min(extent.body);
    crate::os::allocate(file, length - later, operation, &"")?;
    let whole = match extent.overflow {
        true => with_overflow(length),
        false => length,
    };
    match later == 0 && whole == length {
        true => Ok(()),
        false => crate::os::lengthen(file, whole, operation, &""),
    }
}

/// How long to make a file with a body that ends there, for overflow ranges behind it.
fn with_overflow(length: usize) -> usize {
    let limit = crate::limits::soft(rustix::process::Resource::Fsize);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(usize::MAX);
    length.saturating_add(FOR_OVERFLOW).min(limit).max(length)
}

fn no_file(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, operation, "").because("a System V segment keeps its length")
}

/// Refuses a file that is not a plain one of this user's, for this user alone.
pub(super) fn require_own_file(
    file: &OwnedFd,
    operation: &'static str,
    object: impl Display,
) -> Result<()> {
    let status = rustix::fs::fstat(file).during(operation, &object)?;
    let plain = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    let ours = status.st_uid == rustix::process::geteuid().as_raw();
    if plain && ours && status.st_mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Untrusted, operation, object)
        .because("it is not a plain file of ours that only we may use"))
}
