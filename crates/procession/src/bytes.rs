//! Large bytes that travel without being copied at the other end.

use crate::codec::{self, MAX_INLINE};
use crate::error::Context;
use crate::fd::size_limit;
use procession_sys::memory::SealedBytes;
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// Bytes that do not change, for arguments, captures and results that are
/// large, or go to many tasks.
///
/// Sending them the first time puts them into a memory file that nobody can
/// change any more; every receiver maps it and reads them there, and a
/// process that sends them on sends the same file. A `Vec<u8>` is copied once more at the
/// other end, and element by element on the way.
///
/// # Units and limits
/// Up to 4,000 bytes travel with the message instead.
///
/// # If a process dies
/// The memory goes with the last process that has it.
///
/// # Errors
/// Encoding fails where the kernel has no memory for the file.
///
/// # Examples
/// ```
/// use procession::{process, task, Bytes};
/// let table = Bytes::from(vec![7; 1 << 20]);
/// let sum = task!([table] |range: std::ops::Range<usize>| {
///     table[range].iter().map(|byte| u64::from(*byte)).sum::<u64>()
/// });
/// let mut tasks = [0..100, 100..1000]
///     .map(|range| process::spawn_task(&sum, range).unwrap());
/// assert_eq!(tasks.each_mut().map(|task| task.join().unwrap()), [700, 6300]);
/// ```
///
/// # References
/// memfd_create(2), fcntl(2) "File Sealing"
#[derive(Clone)]
pub struct Bytes(Arc<Inner>);

enum Inner {
    /// Made here; put into a file when first sent.
    Owned(Vec<u8>, OnceLock<OwnedFd>),
    /// In a file from elsewhere.
    Mapped(SealedBytes, OwnedFd),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(Arc::new(Inner::Owned(bytes, OnceLock::new())))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::from(bytes.to_vec())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Inner::Owned(bytes, _) => bytes,
            Inner::Mapped(bytes, _) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} of them)", self.len())
    }
}

impl Bytes {
    /// The file that they are in, made if there is none.
    fn file(&self) -> crate::Result<&OwnedFd> {
        match &*self.0 {
            Inner::Mapped(_, file) => Ok(file),
            Inner::Owned(bytes, made) => match made.get() {
                Some(file) => Ok(file),
                None => {
                    let file = seal(bytes)?;
                    Ok(made.get_or_init(|| file))
                }
            },
        }
    }
}

fn seal(bytes: &[u8]) -> crate::Result<OwnedFd> {
    let operation = "putting bytes into memory file";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("procession-bytes", flags).during(operation, "")?;
    let mut file = File::from(file);
    size_limit::require_writable_to(bytes.len() as u64, operation, &"")?;
    file.write_all(bytes).during(operation, bytes.len())?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).during(operation, "")?;
    Ok(file.into())
}

/// As they travel.
#[derive(Serialize, Deserialize)]
enum Travelling<'a> {
    Inline(#[serde(borrow)] &'a [u8]),
    File(u32),
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.len() <= MAX_INLINE {
            return Travelling::Inline(self).serialize(serializer);
        }
        let file = self.file().map_err(serde::ser::Error::custom)?;
        let place = codec::put(file.as_fd()).map_err(serde::ser::Error::custom)?;
        Travelling::File(place).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Travelling::deserialize(deserializer)? {
            Travelling::Inline(bytes) => Ok(Bytes::from(bytes)),
            Travelling::File(place) => {
                let file = codec::take(place).map_err(serde::de::Error::custom)?;
                let bytes = SealedBytes::map(file.as_fd()).map_err(serde::de::Error::custom)?;
                Ok(Bytes(Arc::new(Inner::Mapped(bytes, file))))
            }
        }
    }
}
