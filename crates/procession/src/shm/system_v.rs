//! Shared objects in System V segments.
//!
//! A segment with a key can be found from the moment it exists, before anything
//! is in it. So it is made and opened under the lock of the directory of names,
//! and a file there names the process that is making it: a process that finds the
//! file while it holds the lock knows that the maker was killed, and removes what
//! the maker left.

use super::backing::{Backing, Extent};
use super::directory::Directory;
use super::header;
use super::named::PLACES;
use super::object::{Class, Object};
use super::published::Published;
use crate::error::Context;
use crate::os::sysv::{Key, SharedMemory};
use crate::{Error, ErrorKind, Result};
use procession_sys::Errno;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::sync::Arc;

/// What the file is called that says that a segment is being made.
fn mark_of(key: Key) -> String {
    format!("k{:08x}", key.as_raw())
}

/// How tables call a segment.
pub(super) fn name_of(key: Key) -> String {
    format!("sysv:{:#010x}", key.as_raw())
}

/// The key that such a file is about.
pub(super) fn key_of_mark(file_name: &str) -> Option<Key> {
    let digits = file_name.strip_prefix('k').filter(|it| it.len() == 8)?;
    let key = u32::from_str_radix(digits, 16).ok()?;
    Some(Key::from_raw(key.cast_signed()))
}

fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Removed)
}

/// Removes a segment; that it is gone already is as good.
pub(super) fn remove(segment: SharedMemory) -> Result<()> {
    match segment.remove() {
        Err(error) if is_gone(&error) => Ok(()),
        outcome => outcome,
    }
}

fn find(key: Key) -> Result<Option<SharedMemory>> {
    match SharedMemory::find(key) {
        Err(error) if is_gone(&error) => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn require_own(segment: &SharedMemory, operation: &'static str) -> Result<()> {
    let permissions = segment.status()?.permissions;
    let me = rustix::process::geteuid().as_raw();
    // Who has created a segment keeps the owner's rights, whomever it was given to.
    let is_ours = permissions.uid == me && [0, me].contains(&permissions.creator_uid);
    if is_ours && permissions.mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Untrusted, operation, segment.key())
        .because("it is not a segment of ours that only we may use"))
}

impl Directory {
    /// Removes what a killed maker of a segment with this key has left.
    pub(super) fn clear_half_made(&self, key: Key) -> Result<()> {
        let operation = "looking for a half-made segment";
        let mark = mark_of(key);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.path, &mark, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            outcome => outcome.during(operation, key)?,
        };
        let mut maker = [0; 4];
        let read = rustix::io::read(&file, &mut maker).during(operation, key)?;
        // Killed before it wrote its number, it had made nothing. And another
        // program may have come to the key since: that one's is left alone.
        if read == maker.len()
            && let Some(segment) = find(key)?
            && require_own(&segment, operation).is_ok()
            && segment.status()?.creator_pid == i32::from_ne_bytes(maker)
            && Object::open(Backing::SystemV(segment.clone()), operation).is_err()
        {
            remove(segment)?;
        }
        rustix::fs::unlinkat(&self.path, mark, AtFlags::empty()).during(operation, key)
    }

    /// The segment with this key, unless nobody uses it: then it is removed.
    fn system_v(&self, key: Key, class: Class) -> Result<Option<Arc<Object>>> {
        let operation = "opening System V segment";
        self.clear_half_made(key)?;
        let Some(segment) = find(key)? else {
            return Ok(None);
        };
        require_own(&segment, operation)?;
        let backing = Backing::SystemV(segment.clone());
        let object = self.attached(backing, Published::SystemV, class, operation);
        let object = object.map_err(|error| error.about(key))?;
        if object.is_none() {
            remove(segment)?;
        }
        Ok(object)
    }
}

impl Object {
    /// Returns `true` if a segment begins with the header of this library.
    pub(super) fn is_ours(segment: &SharedMemory) -> bool {
        let attached = segment.attach_read_only();
        attached.is_ok_and(|attached| header::begins_as_ours(attached.region().bytes()))
    }

    /// Makes an object in a segment with this key, or, without one, in a segment
    /// that goes with its last attachment.
    pub(super) fn create_system_v(
        key: Key,
        class: Class,
        body: usize,
        fill: impl FnOnce(&Object) -> Result<()>,
    ) -> Result<Arc<Object>> {
        let operation = "creating System V segment";
        let extent = Extent::fixed(body);
        let length = Object::length_inside(PLACES, extent)?;
        let about = |error: Error| error.about(key);
        let inside = |segment: &SharedMemory| -> Result<Object> {
            let backing = Backing::SystemV(segment.clone());
            let object = Object::inside(backing, class, PLACES, extent, fill).map_err(about)?;
            object.join()?;
            Ok(object)
        };
        if key == Key::PRIVATE {
            let segment = SharedMemory::create(key, length)?;
            let object = inside(&segment);
            // It is attached, and goes with the last one who is.
            segment.remove()?;
            return object?.publish(None, class);
        }
        let directory = Directory::lock()?;
        let existing = match directory.system_v(key, class) {
            Err(error) if is_something_else(&error) => true,
            outcome => outcome?.is_some(),
        };
        if existing {
            return Err(Error::os(operation, key, Errno::EXIST));
        }
        let mark = mark_of(key);
        let unmark = || {
            let _ = rustix::fs::unlinkat(&directory.path, &mark, AtFlags::empty());
        };
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory.path, &mark, flags, Mode::RUSR | Mode::WUSR);
        let maker = std::process::id().to_ne_bytes();
        file.and_then(|file| rustix::io::write(file, &maker))
            .during(operation, key)
            .inspect_err(|_| unmark())?;
        let segment = SharedMemory::create(key, length).inspect_err(|_| unmark())?;
        let object = inside(&segment).inspect_err(|_| {
            let _ = segment.clone().remove();
        });
        unmark();
        object?.publish(Some(Published::SystemV), class)
    }

    /// Opens the object in the segment with this key.
    pub(super) fn open_system_v(key: Key, class: Class) -> Result<Arc<Object>> {
        let directory = Directory::lock()?;
        let object = directory.system_v(key, class)?;
        object.ok_or_else(|| Error::os("opening System V segment", key, Errno::NOENT))
    }
}

/// Returns `true` if an object that the caller did not ask for has the key.
fn is_something_else(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Incompatible | ErrorKind::Corrupt | ErrorKind::Untrusted
    )
}

/// This user's segments that have a key and that nobody else may use.
pub(super) fn segments() -> Result<Vec<SharedMemory>> {
    let path = "/proc/sysvipc/shm";
    let table = match std::fs::read_to_string(path) {
        // A kernel without them has none; of a machine without /proc, nothing can be
        // said, which is not to keep the rest from being listed.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        outcome => outcome.during("listing System V segments", path)?,
    };
    let me = rustix::process::geteuid().as_raw();
    let segment = |line: &str| {
        let mut words = line.split_whitespace();
        let key: i64 = words.next()?.parse().ok()?;
        let id = words.next()?.parse().ok()?;
        let segment = SharedMemory::from_id(id).ok().filter(|_| key != 0)?;
        let permissions = segment.status().ok()?.permissions;
        (permissions.uid == me && permissions.mode & 0o077 == 0).then_some(segment)
    };
    Ok(table.lines().skip(1).filter_map(segment).collect())
}
