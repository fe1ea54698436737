//! The first bytes of a segment.
//!
//! ```text
//!   0        8         16            24       32            48
//! ┌────────┬─────────┬─────────────┬────────┬─────────────┬─────────────┐
//! │ magic  │ version │ type        │ length │ id          │ registry id │
//! │        │ kind    │ fingerprint │        │   16 bytes  │   16 bytes  │
//! ├────────┼─────────┼─────────────┼────────┼──────────┬──┴─────────────┤
//! │ regis- │ body    │ body length │ made   │ boot     │ longest │ (re- │
//! │ try at │ at      │             │ at     │          │ body    │ serv)│
//! └────────┴─────────┴─────────────┴────────┴──────────┴─────────┴──────┘
//!   64       72        80            88       96         104       112 … 127
//! ```
//!
//! `registry at` is zero where the registry is another segment's, the one with
//! `registry id`. `longest body` is zero where the segment does not grow; in one
//! that does, `body length` grows, and `length` is what it was at first. All
//! numbers are in the machine's order and 64 bits wide, but for version and kind,
//! 32 bits each.

use super::safe::Fingerprint;
use crate::name::random_bytes;
use crate::{Error, ErrorKind, Result};
use procession_sys::memory::SharedBytes;
use std::sync::atomic::Ordering;

/// Bytes of the header.
pub(super) const BYTES: usize = 128;

/// Most bytes that a segment can have: half of what a process can address.
pub(super) const MOST_BYTES: usize = 1 << 46;

/// Where the id is.
pub(super) const ID: usize = 32;

/// Where the length of the body is.
pub(super) const BODY_LENGTH: usize = 80;

const MAGIC: u64 = u64::from_le_bytes(*b"procshm\x01");

/// Changes with every change of any layout.
const VERSION: u64 = 5;

/// What lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Kind {
    Registry = 1,
    Segment = 2,
    Mutex = 3,
    ReentrantMutex = 4,
    RwLock = 5,
    Semaphore = 6,
    BoundedSemaphore = 7,
    Condvar = 8,
    Event = 9,
    Barrier = 10,
    Once = 11,
    Value = 12,
    Array = 13,
    Counter = 14,
    Queue = 15,
}

impl Kind {
    const ALL: [(Kind, &'static str); 15] = [
        (Kind::Registry, "registry"),
        (Kind::Segment, "segment"),
        (Kind::Mutex, "mutex"),
        (Kind::ReentrantMutex, "reentrant mutex"),
        (Kind::RwLock, "rwlock"),
        (Kind::Semaphore, "semaphore"),
        (Kind::BoundedSemaphore, "bounded semaphore"),
        (Kind::Condvar, "condvar"),
        (Kind::Event, "event"),
        (Kind::Barrier, "barrier"),
        (Kind::Once, "once"),
        (Kind::Value, "value"),
        (Kind::Array, "array"),
        (Kind::Counter, "counter"),
        (Kind::Queue, "queue"),
    ];

    /// As messages and tables call it.
    pub(crate) fn word(self) -> &'static str {
        let named = Kind::ALL.iter().find(|(kind, _)| *kind == self);
        named.map_or("object", |(_, word)| word)
    }

    fn of(number: u64) -> Option<Kind> {
        let mut kinds = Kind::ALL.iter().map(|(kind, _)| *kind);
        kinds.find(|kind| *kind as u64 == number)
    }
}

/// A header, read once and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) fingerprint: u64,
    pub(crate) length: usize,
    pub(crate) id: u128,
    pub(crate) registry_id: u128,
    /// `None`: in another segment.
    pub(crate) registry_at: Option<usize>,
    pub(crate) body_at: usize,
    pub(crate) body_length: usize,
    /// How long the body can become; `None`: it stays as it is.
    pub(crate) longest_body: Option<usize>,
    /// Seconds since 1970.
    pub(crate) made_at: u64,
}

/// How long an object is that can have overflow ranges behind it, as its header claims, which
/// is to be read and checked yet.
pub(super) fn length_before_overflow(memory: SharedBytes<'_>) -> Option<usize> {
    if Kind::of(memory.atomic_u64(8).load(Ordering::Relaxed) >> 32) != Some(Kind::Queue) {
        return None;
    }
    let length = memory.atomic_u64(24).load(Ordering::Relaxed);
    Some(usize::try_from(length).map_or(BYTES, |length| length.clamp(BYTES, MOST_BYTES)))
}

/// The id by its bytes, wherever they were read.
pub(super) fn id_of(bytes: [u8; 16]) -> u128 {
    let number = u128::from_ne_bytes(bytes);
    // Its halves are in the machine's order, the lower one first.
    if cfg!(target_endian = "big") {
        number.rotate_left(64)
    } else {
        number
    }
}

/// A new id of an object.
pub(super) fn new_id() -> Result<u128> {
    Ok(u128::from_ne_bytes(random_bytes()?))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "shown to people, and not measured"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

impl Header {
    /// Writes the header; the magic number last.
    pub(super) fn write(&self, memory: SharedBytes<'_>) {
        let put = |offset, value| memory.atomic_u64(offset).store(value, Ordering::Relaxed);
        put(8, VERSION | (self.kind as u64) << 32);
        put(16, self.fingerprint);
        put(24, self.length as u64);
        put(ID, self.id as u64);
        put(ID + 8, (self.id >> 64) as u64);
        put(48, self.registry_id as u64);
        put(56, (self.registry_id >> 64) as u64);
        put(64, self.registry_at.unwrap_or(0) as u64);
        put(72, self.body_at as u64);
        put(BODY_LENGTH, self.body_length as u64);
        put(88, self.made_at);
        put(96, boot());
        put(104, self.longest_body.unwrap_or(0) as u64);
        // SYNC(header): all of the above is there when the number is.
        memory.atomic_u64(0).store(MAGIC, Ordering::Release);
    }

    /// Reads and checks the header of a segment as long as `memory`.
    pub(super) fn read(memory: SharedBytes<'_>, operation: &'static str) -> Result<Header> {
        let (header, is_of_now) = Header::read_of_any_time(memory, operation)?;
        if !is_of_now {
            return Err(Error::new(ErrorKind::Removed, operation, "")
                .because("it was made before the machine last started"));
        }
        Ok(header)
    }

    /// [`read`](Header::read), and whether the machine has not been started since
    /// it was written.
    pub(super) fn read_of_any_time(
        memory: SharedBytes<'_>,
        operation: &'static str,
    ) -> Result<(Header, bool)> {
        let wrong = |kind, why: String| Err(Error::new(kind, operation, "").because(why));
        if memory.len() < BYTES {
            let why = format!("{} bytes are too few for a header", memory.len());
            return wrong(ErrorKind::Corrupt, why);
        }
        let get = |offset| memory.atomic_u64(offset).load(Ordering::Relaxed);
        // SYNC(header): see `write`.
        if memory.atomic_u64(0).load(Ordering::Acquire) != MAGIC {
            return wrong(ErrorKind::Corrupt, "it is no segment of ours".to_owned());
        }
        let (version, kind) = (get(8) & 0xffff_ffff, get(8) >> 32);
        if version != VERSION {
            let error = Error::new(ErrorKind::Incompatible, operation, "");
            return Err(error
                .because(format!(
                    "it was made by another version of the library: its layout is version {version}, ours is {VERSION}"
                ))
                .with_hint("open it with the version of procession that made it, or `unlink` it"));
        }
        let number = |offset| usize::try_from(get(offset)).unwrap_or(usize::MAX);
        let mut header = Header {
            kind: match Kind::of(kind) {
                Some(kind) => kind,
                None => return wrong(ErrorKind::Corrupt, format!("it is of unknown kind {kind}")),
            },
            fingerprint: get(16),
            length: number(24),
            id: u128::from(get(ID)) | u128::from(get(ID + 8)) << 64,
            registry_id: u128::from(get(48)) | u128::from(get(56)) << 64,
            registry_at: Some(number(64)).filter(|&at| at != 0),
            body_at: number(72),
            body_length: number(BODY_LENGTH),
            longest_body: Some(number(104)).filter(|&longest| longest != 0),
            made_at: get(88),
        };
        if header.longest_body.is_some() {
            // It may have grown since the file was measured.
            let behind = memory.len().saturating_sub(header.body_at);
            header.body_length = header.body_length.min(behind);
        }
        let ends = header.body_at.checked_add(header.body_length);
        let length_fits = match header.longest_body {
            None => header.length == memory.len(),
            Some(longest) => {
                let most = header.body_at.checked_add(longest);
                header.length <= memory.len() && most.is_some_and(|most| most <= MOST_BYTES)
            }
        };
        let fits = ends.is_some_and(|end| end <= memory.len())
            && length_fits
            && header.body_at >= BYTES
            && header.body_at.is_multiple_of(64);
        if !fits {
            let why = "its parts do not fit into its length".to_owned();
            return wrong(ErrorKind::Corrupt, why);
        }
        Ok((header, get(96) == boot()))
    }

    /// Bytes of address space that it takes.
    pub(super) fn mapped_length(&self, file_length: usize) -> usize {
        let longest = self
            .longest_body
            .map_or(0, |longest| self.body_at + longest);
        longest.max(file_length)
    }

    /// Refuses a segment of another kind or type.
    pub(super) fn expect(
        &self,
        kind: Kind,
        fingerprint: Fingerprint,
        operation: &'static str,
    ) -> Result<()> {
        let wrong =
            |why: String| Err(Error::new(ErrorKind::Incompatible, operation, "").because(why));
        if self.kind != kind {
            return wrong(format!(
                "it is of kind {}, not {}",
                self.kind.word(),
                kind.word()
            ));
        }
        if fingerprint != Fingerprint::ANY && self.fingerprint != fingerprint.number() {
            return wrong(format!(
                "its type has another layout (fingerprint {:016x}, ours {:016x})",
                self.fingerprint,
                fingerprint.number()
            ));
        }
        Ok(())
    }
}

/// Returns `true` if memory begins with the header of a segment of this library.
pub(super) fn begins_as_ours(memory: SharedBytes<'_>) -> bool {
    let mut first = [0; 8];
    memory.len() >= first.len() && {
        memory.read(0, &mut first);
        u64::from_ne_bytes(first) == MAGIC
    }
}

/// A number for this start of the machine; 0 where the kernel does not tell.
fn boot() -> u64 {
    static BOOT: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = id
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(16)
            .collect();
        u64::from_str_radix(&digits, 16).unwrap_or(0)
    })
}
